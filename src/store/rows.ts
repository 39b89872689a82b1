import type { Insertable, Selectable } from 'kysely'
import type {
  Alias,
  ImportedMaterial,
  KeyOrigin,
  KeySpec,
  KeyState,
  KeyUsage,
  KeyVersion,
  MasterKey,
  MultiRegionRole,
  PendingVersion,
  RotationType,
} from '../core/key.ts'
import { KEY_SPECS } from '../core/key-spec.ts'
import { storeAltered } from './faults.ts'
import type { AliasTable, KeyVersionTable, MasterKeyTable } from './schema.ts'

/** What a column may hold; a new member fails the build until it is listed. */
const SPECS: Readonly<Record<KeySpec, unknown>> = KEY_SPECS
const USAGES: Readonly<Record<KeyUsage, true>> = {
  ENCRYPT_DECRYPT: true,
  SIGN_VERIFY: true,
  GENERATE_VERIFY_MAC: true,
  KEY_AGREEMENT: true,
}
const STATES: Readonly<Record<KeyState, true>> = {
  Creating: true,
  PendingImport: true,
  Enabled: true,
  Disabled: true,
  PendingDeletion: true,
  PendingReplicaDeletion: true,
  Deleting: true,
  Deleted: true,
}

const ROTATION_TYPES: Readonly<Record<RotationType, true>> = { AUTOMATIC: true, ON_DEMAND: true }
const MULTI_REGION: Readonly<Record<MultiRegionRole, true>> = { PRIMARY: true, REPLICA: true }
const MATERIAL_STATES: Readonly<Record<ImportedMaterial['state'], true>> = {
  PendingImport: true,
  Importing: true,
  Imported: true,
  Destroying: true,
}
const ORIGINS: Readonly<Record<KeyOrigin, true>> = { AWS_KMS: true, EXTERNAL: true }
const PROTECTION_LEVELS = { SOFTWARE: true } as const
const PENDING_STATES: Readonly<Record<PendingVersion['state'], true>> = { Making: true, Abandoned: true }

/** A key joined with one of its versions. */
export interface KeyRow extends Selectable<MasterKeyTable> {
  readonly version_id: string
  readonly version_number: number
  readonly version_created_at: number
  readonly version_rotation_type: string | null
  readonly version_rotated_at: number | null
  readonly version_public_key: string | null
  readonly material_state: string | null
  readonly material_since: number | null
  readonly material_canary: string | null
  readonly material_expires_at: number | null
  readonly material_description: string | null
  readonly material_import_id: string | null
}

/**
 * Keys from rows ordered by key, then version number.
 *
 * @throws {@link KmsError} `STORE_UNAVAILABLE` when a column holds a word that this program does not know.
 */
export function keysOfRows(rows: readonly KeyRow[]): MasterKey[] {
  const keys: (MasterKey & { readonly versions: KeyVersion[] })[] = []
  for (const row of rows) {
    const version = versionOfRow(row)
    const last = keys.at(-1)
    if (last?.keyId === row.key_id && last.region === row.region) last.versions.push(version)
    else keys.push(keyOfRow(row, [version]))
  }
  return keys
}

function versionOfRow(row: KeyRow): KeyVersion {
  const { version_rotation_type: type, version_rotated_at: at } = row
  const version = {
    versionId: row.version_id,
    number: row.version_number,
    createdAt: row.version_created_at,
    ...(row.version_public_key !== null && { publicKey: row.version_public_key }),
    ...materialOfRow(row),
  }
  if (type === null) return version
  if (at === null) throw storeAltered('key_version holds half a rotation')
  return { ...version, rotation: { type: known(ROTATION_TYPES, 'key_version.rotation_type', type), at } }
}

function materialOfRow(row: KeyRow): Pick<KeyVersion, 'imported'> {
  const { material_state: state, material_since: since, material_canary: canary } = row
  const {
    material_expires_at: expiresAt,
    material_description: description,
    material_import_id: importId,
  } = row
  if (state === null) return {}
  if (since === null) throw storeAltered('key_version holds half a material')
  return {
    imported: {
      state: known(MATERIAL_STATES, 'key_version.material_state', state),
      since,
      ...(canary !== null && { canary }),
      ...(expiresAt !== null && { expiresAt }),
      ...(description !== null && { description }),
      ...(importId !== null && { importId }),
    },
  }
}

function keyOfRow<Versions>(row: KeyRow, versions: Versions): MasterKey & { readonly versions: Versions } {
  const key = {
    keyId: row.key_id,
    accountId: row.account_id,
    region: row.region,
    token: row.token,
    spec: known(SPECS, 'master_key.spec', row.spec),
    usage: known(USAGES, 'master_key.usage', row.usage),
    state: known(STATES, 'master_key.state', row.state),
    description: row.description,
    createdAt: row.created_at,
    versions: versions as Versions & readonly KeyVersion[],
    primaryVersionId: row.primary_version_id,
    revision: row.revision,
  }
  const pendingVersion = pendingOfRow(row)
  return {
    ...key,
    ...(row.deletion_at !== null && { deletionAt: row.deletion_at }),
    ...(row.deletion_window_days !== null && { deletionWindowDays: row.deletion_window_days }),
    ...(row.multi_region !== null && { multiRegion: known(MULTI_REGION, 'multi_region', row.multi_region) }),
    ...(row.deletion_protection !== null && { deletionProtection: row.deletion_protection }),
    ...(row.protection_level !== null && {
      protectionLevel: known(PROTECTION_LEVELS, 'master_key.protection_level', row.protection_level),
    }),
    ...(pendingVersion && { pendingVersion }),
    ...scheduleOfRow(row),
    ...(row.origin !== null && { origin: known(ORIGINS, 'master_key.origin', row.origin) }),
  }
}

function scheduleOfRow({
  rotation_period_days: periodDays,
  rotation_next_at: nextAt,
}: KeyRow): Pick<MasterKey, 'rotationSchedule'> {
  if (periodDays === null) return {}
  if (nextAt === null) throw storeAltered('master_key holds half a rotation schedule')
  return { rotationSchedule: { periodDays, nextAt } }
}

function pendingOfRow(row: KeyRow): PendingVersion | undefined {
  const {
    pending_version_id: versionId,
    pending_version_state: state,
    pending_version_at: createdAt,
    pending_version_rotation: rotation,
  } = row
  if (versionId === null) return undefined
  if (state === null || createdAt === null)
    throw storeAltered('master_key holds half a version in the making')
  return {
    versionId,
    state: known(PENDING_STATES, 'master_key.pending_version_state', state),
    createdAt,
    ...(rotation !== null && {
      rotation: known(ROTATION_TYPES, 'master_key.pending_version_rotation', rotation),
    }),
  }
}

function known<Word extends string>(
  words: Readonly<Record<Word, unknown>>,
  column: string,
  text: string,
): Word {
  if (Object.hasOwn(words, text)) return text as Word
  throw storeAltered(`${column} holds "${text}", which this program does not know`)
}

export function rowOfKey(key: MasterKey): Insertable<MasterKeyTable> {
  return {
    region: key.region,
    key_id: key.keyId,
    account_id: key.accountId,
    token: key.token,
    spec: key.spec,
    usage: key.usage,
    state: key.state,
    description: key.description,
    created_at: key.createdAt,
    deletion_at: key.deletionAt ?? null,
    deletion_protection: key.deletionProtection ?? null,
    protection_level: key.protectionLevel ?? null,
    primary_version_id: key.primaryVersionId,
    multi_region: key.multiRegion ?? null,
    deletion_window_days: key.deletionWindowDays ?? null,
    origin: key.origin ?? null,
    revision: key.revision,
    ...rotationColumns(key),
  }
}

export function rotationColumns({ pendingVersion, rotationSchedule }: MasterKey) {
  return {
    pending_version_id: pendingVersion?.versionId ?? null,
    pending_version_state: pendingVersion?.state ?? null,
    pending_version_at: pendingVersion?.createdAt ?? null,
    pending_version_rotation: pendingVersion?.rotation ?? null,
    rotation_period_days: rotationSchedule?.periodDays ?? null,
    rotation_next_at: rotationSchedule?.nextAt ?? null,
  }
}

export function rowsOfVersions(
  keyId: string,
  versions: readonly KeyVersion[],
): Insertable<KeyVersionTable>[] {
  return versions.map(({ versionId, number, createdAt, ...version }) => ({
    version_id: versionId,
    key_id: keyId,
    number,
    created_at: createdAt,
    ...versionColumns(version),
  }))
}

/** What changes of a version. */
export function versionColumns({
  rotation,
  imported,
  publicKey,
}: Pick<KeyVersion, 'rotation' | 'imported' | 'publicKey'>) {
  return {
    rotation_type: rotation?.type ?? null,
    rotated_at: rotation?.at ?? null,
    material_state: imported?.state ?? null,
    material_since: imported?.since ?? null,
    material_canary: imported?.canary ?? null,
    material_expires_at: imported?.expiresAt ?? null,
    material_description: imported?.description ?? null,
    material_import_id: imported?.importId ?? null,
    public_key: publicKey ?? null,
  }
}

export function aliasOfRow(row: Selectable<AliasTable>): Alias {
  return {
    accountId: row.account_id,
    region: row.region,
    name: row.name,
    keyId: row.key_id,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

export function rowOfAlias(alias: Alias): Insertable<AliasTable> {
  return {
    account_id: alias.accountId,
    region: alias.region,
    name: alias.name,
    key_id: alias.keyId,
    created_at: alias.createdAt,
    updated_at: alias.updatedAt,
  }
}
