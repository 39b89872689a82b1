import { isUuid } from '../lib/bytes.ts'
import type { KeySpec, KeyUsage } from './key-spec.ts'

export type { KeySpec, KeyUsage } from './key-spec.ts'

/** Where the material of a key comes from: the token, or its owner, who imports it and may take it away again. */
export type KeyOrigin = 'AWS_KMS' | 'EXTERNAL'

/**
 * Where a master key is in its life. `Creating`: a row without a token object that anybody may rely on. `PendingImport`: material
 * that its owner has to import is missing. `PendingReplicaDeletion`: a primary key whose deletion window begins when its last
 * replica is gone. `Deleting`: its objects are being destroyed, nothing brings it back. `Deleted`: a tombstone, kept so that
 * its ciphertexts are answered with "the key does not exist" rather than "invalid".
 */
export type KeyState =
  | 'Creating'
  | 'PendingImport'
  | 'Enabled'
  | 'Disabled'
  | 'PendingDeletion'
  | 'PendingReplicaDeletion'
  | 'Deleting'
  | 'Deleted'

/**
 * What a key of a multi-region key is in its region. One region has the `PRIMARY`, which alone is rotated and replicated; the
 * others have a `REPLICA`. They share id, versions and material, and nothing else.
 */
export type MultiRegionRole = 'PRIMARY' | 'REPLICA'

/** Ids of multi-region keys begin so, and no others. */
export const MULTI_REGION_ID_PREFIX = 'mrk-'
const MULTI_REGION_ID = /^mrk-[0-9a-f]{32}$/

/** Whether a key could have this id: a UUID in lower case, or that of a multi-region key. */
export function isKeyId(text: string): boolean {
  return isUuid(text) || MULTI_REGION_ID.test(text)
}

/** What rotates a key: the scheduler (its period, or the bound of GCM invocations), or a caller. */
export type RotationType = 'AUTOMATIC' | 'ON_DEMAND'

/** The rotation by which a version became the primary one. */
export interface VersionRotation {
  readonly type: RotationType
  /** Milliseconds since the epoch. */
  readonly at: number
}

/**
 * The material of a version that is imported.
 * `PendingImport`: nothing of it is in the token. `Importing`: its objects may or may not be there. `Imported`: they are there, and
 * were acknowledged. `Destroying`: they are being destroyed, and nothing brings them back but another import.
 */
export interface ImportedMaterial {
  readonly state: 'PendingImport' | 'Importing' | 'Imported' | 'Destroying'
  /** When it came into this state. Milliseconds since the epoch. */
  readonly since: number
  /**
   * What was sealed under the material when it was first imported: only the same material opens it. Absent until then, kept for
   * ever after. It tells nothing of the material to who does not have it.
   */
  readonly canary?: string
  /**
   * UUID of the import that brings or brought the material, by which its objects are named: what ends one import never
   * touches the objects of another. Absent until the first, and of material from before there were such ids.
   */
  readonly importId?: string
  /** When it is destroyed, in `Imported` alone. Milliseconds since the epoch; never when absent. */
  readonly expiresAt?: number
  /** What the owner wrote to it; at most 256 characters. */
  readonly description?: string
}

/**
 * One generation of key material in the token: one AES-256 object to seal with and one to wrap with, or one object for a MAC,
 * or the two of a key pair.
 */
export interface KeyVersion {
  /** UUID, lower case, 36 characters. */
  readonly versionId: string
  /** 1 for the initial version, then one more for each that followed. */
  readonly number: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Absent for a version that no rotation made the primary one, such as the initial one and every other of a key pair. Set once. */
  readonly rotation?: VersionRotation
  /**
   * SubjectPublicKeyInfo in DER, base64, of a version that is a key pair. Absent while it is being made, and never changed
   * once it is there.
   */
  readonly publicKey?: string
  /** Of a key whose origin is `EXTERNAL` alone. */
  readonly imported?: ImportedMaterial
}

/** When a key is rotated by itself. */
export interface RotationSchedule {
  /** Days between two rotations; {@link ROTATION_PERIOD_DAYS} says which. */
  readonly periodDays: number
  /** When the next one is due. Milliseconds since the epoch. */
  readonly nextAt: number
}

/** From what Alibaba Cloud KMS takes at least to what AWS KMS takes at most. */
export const ROTATION_PERIOD_DAYS = { min: 7, max: 2560 } as const

/**
 * A version in the making: its objects may or may not be in the token, and nothing was ever sealed under it. Its number is
 * the one after the last version's. `Making`: it becomes a version once its objects are there. `Abandoned`: its objects
 * are being destroyed, nothing brings it back.
 */
export interface PendingVersion {
  readonly versionId: string
  readonly state: 'Making' | 'Abandoned'
  /** The rotation that it is made for; absent of a key pair, which stands beside those before it and does not become the primary one. */
  readonly rotation?: RotationType
  /** Milliseconds since the epoch. */
  readonly createdAt: number
}

/** A named series of key versions. Immutable: a change is a new value with the next revision. */
export interface MasterKey {
  /** UUID, lower case; `mrk-` and 32 hex digits for a multi-region key. */
  readonly keyId: string
  readonly accountId: string
  /** Name of the region that it is visible in, and in no other: replicas are keys of their own. */
  readonly region: string
  /** Name of the token that holds its material. */
  readonly token: string
  readonly spec: KeySpec
  readonly usage: KeyUsage
  /** `AWS_KMS` when absent. */
  readonly origin?: KeyOrigin
  readonly state: KeyState
  /** At most 8192 characters. */
  readonly description: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** When its material is destroyed, in milliseconds since the epoch; set in `PendingDeletion` alone. */
  readonly deletionAt?: number
  /** Days that its deletion window will have; set in `PendingReplicaDeletion` alone. */
  readonly deletionWindowDays?: number
  /** Set for a multi-region key, which an id of the `mrk-` form tells as well. */
  readonly multiRegion?: MultiRegionRole
  /**
   * Set while the key is protected from being scheduled for deletion, through whatever API: why, in the words of who protected it,
   * at most 8192 characters, possibly none.
   */
  readonly deletionProtection?: string
  /**
   * Set for a key whose maker asked for one that needs no HSM (Alibaba's `ProtectionLevel`): its description says so for ever, or
   * tools that compare would make it anew. It is in the token like every other. Never changes.
   */
  readonly protectionLevel?: 'SOFTWARE'
  /** At least one, ordered by number; the same in every region of a multi-region key. */
  readonly versions: readonly KeyVersion[]
  /** Version that new encryptions use; one of `versions`. Of a key pair the initial one for ever, so that its public key stays what it is. */
  readonly primaryVersionId: string
  /** Set while a version of the key is being made; in no state before `Enabled`, not when `Deleted`, and on no replica. */
  readonly pendingVersion?: PendingVersion
  /** Set while the key is rotated by itself every so many days. Kept while it is disabled or pends deletion. */
  readonly rotationSchedule?: RotationSchedule
  /** Grows by one with each stored change; a change made on an old revision is refused. */
  readonly revision: number
}

/** A friendly name of one key in one account and region. */
export interface Alias {
  readonly accountId: string
  readonly region: string
  /** Full name, `alias/…`. */
  readonly name: string
  readonly keyId: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly updatedAt: number
}

/** How a caller names a key: by id, or by an alias of the caller's account and region. */
export type KeyIdentifier =
  | { readonly kind: 'id'; readonly keyId: string }
  | { readonly kind: 'alias'; readonly alias: string }

/** Who calls: the account that owns keys, the credential used, the region addressed. */
export interface Principal {
  readonly accountId: string
  readonly accessKeyId: string
  readonly region: string
  /** Ids of the keys that the credential is limited to; absent for one that may use whatever its account may. */
  readonly keyIds?: ReadonlySet<string>
}
