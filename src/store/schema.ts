import type { Kysely } from 'kysely'
import type { PolicyLanguage } from '../core/ports/policy-store.ts'

/**
 * The tables as migrations/ leaves them. Times are milliseconds since the epoch in 64-bit columns; a dialect whose
 * driver gives those as text turns them into numbers itself.
 */
export interface StoreSchema {
  readonly master_key: MasterKeyTable
  readonly key_version: KeyVersionTable
  readonly alias: AliasTable
  readonly gcm_invocation: GcmInvocationTable
  readonly lease: LeaseTable
  readonly import_pair: ImportPairTable
  readonly replica_canary: ReplicaCanaryTable
  readonly access_entry: AccessEntryTable
  readonly client_key: ClientKeyTable
  readonly key_tag: KeyTagTable
  readonly key_policy: KeyPolicyTable
  readonly key_grant: KeyGrantTable
  readonly key_use: KeyUseTable
  readonly heartbeat: HeartbeatTable
  readonly schema_migration: MigrationTable
}

/** One row per key and region. */
export interface MasterKeyTable {
  readonly region: string
  readonly key_id: string
  readonly account_id: string
  readonly token: string
  readonly spec: string
  readonly usage: string
  readonly state: string
  readonly description: string
  readonly created_at: number
  readonly deletion_at: number | null
  /** Null for a key that is not protected. */
  readonly deletion_protection: string | null
  /** What was asked for where it was no HSM; null otherwise. */
  readonly protection_level: string | null
  readonly primary_version_id: string
  readonly pending_version_id: string | null
  readonly pending_version_state: string | null
  readonly pending_version_at: number | null
  readonly pending_version_rotation: string | null
  readonly rotation_period_days: number | null
  readonly rotation_next_at: number | null
  readonly multi_region: string | null
  readonly deletion_window_days: number | null
  readonly origin: string | null
  readonly revision: number
}

/** Versions belong to a key id, not to a region: the replicas of a multi-region key share them. */
export interface KeyVersionTable {
  readonly version_id: string
  readonly key_id: string
  readonly number: number
  readonly created_at: number
  readonly rotation_type: string | null
  readonly rotated_at: number | null
  readonly public_key: string | null
  readonly material_state: string | null
  readonly material_since: number | null
  readonly material_canary: string | null
  readonly material_expires_at: number | null
  readonly material_description: string | null
  readonly material_import_id: string | null
}

export interface AliasTable {
  readonly account_id: string
  readonly region: string
  readonly name: string
  readonly key_id: string
  readonly created_at: number
  readonly updated_at: number
}

/** How many AES-GCM invocations of a version were handed out to processes; no row for a version that never was asked for. */
interface GcmInvocationTable {
  readonly version_id: string
  readonly leased: number
}

/** One row per lease that was taken and not released; it may have ended since. */
interface LeaseTable {
  readonly name: string
  readonly holder: string
  readonly expires_at: number
}

/** What a token sealed under a version, by which a copy of it in another token is proven. */
interface ReplicaCanaryTable {
  readonly version_id: string
  readonly canary: string
}

/** A policy or an access point. */
export interface AccessEntryTable {
  readonly account_id: string
  readonly region: string
  readonly kind: 'policy' | 'point'
  readonly name: string
  readonly description: string
  /** JSON of what only its kind has. */
  readonly content: string
  readonly created_at: number
}

export interface ClientKeyTable {
  readonly client_key_id: string
  readonly account_id: string
  readonly region: string
  /** Name of its access point. */
  readonly access_point: string
  /** SubjectPublicKeyInfo, base64 of the DER. */
  readonly public_key: string
  readonly created_at: number
  readonly not_before: number
  readonly not_after: number
}

export interface KeyTagTable {
  readonly region: string
  readonly key_id: string
  readonly tag_key: string
  readonly tag_value: string
}

/** No row for a key that has the default policy of the language. */
interface KeyPolicyTable {
  readonly region: string
  readonly key_id: string
  readonly language: PolicyLanguage
  readonly policy: string
}

/** Principals are their kind, a space, and their name. */
export interface KeyGrantTable {
  readonly grant_id: string
  readonly account_id: string
  readonly region: string
  readonly key_id: string
  readonly name: string | null
  readonly grantee: string
  readonly retiring: string | null
  /** Sorted, with a space between. */
  readonly operations: string
  /** `GrantConstraints` as JSON. */
  readonly constraints_json: string | null
  readonly created_at: number
  readonly token_key: string
  readonly fingerprint: string | null
}

/** What a key was last used for. */
export interface KeyUseTable {
  readonly region: string
  readonly key_id: string
  readonly operation: string
  readonly used_at: number
  readonly request_id: string | null
}

/** A key pair that material may be wrapped for. */
export interface ImportPairTable {
  readonly pair_id: string
  readonly account_id: string
  readonly region: string
  readonly key_id: string
  readonly token: string
  readonly algorithm: string
  readonly spec: string
  readonly secret_hash: string
  readonly state: string
  readonly created_at: number
  readonly expires_at: number
}

/** The one row that `ping` writes to. */
interface HeartbeatTable {
  readonly id: number
  readonly beats: number
}

/** What was done to this database, one row per migration. */
interface MigrationTable {
  readonly number: number
  readonly name: string
  /** SHA-256 of the migration, 64 lower-case hex digits. */
  readonly checksum: string
  readonly applied_at: number
}

/** The database itself, or a transaction on it. */
export type StoreDb = Kysely<StoreSchema>
