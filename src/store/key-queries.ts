import { isDeepStrictEqual } from 'node:util'
import type { Selectable, SelectQueryBuilder } from 'kysely'
import { KmsError } from '../core/errors.ts'
import type { KeyState, MasterKey } from '../core/key.ts'
import type { KeyAttachments, PageRequest } from '../core/ports/key-store.ts'
import { POLICY_LANGUAGES } from '../core/ports/policy-store.ts'
import { upsertPolicy, upsertTags } from './attachment-queries.ts'
import { checkReplacement } from './check.ts'
import { keysOfRows, rotationColumns, rowOfKey, rowsOfVersions, versionColumns } from './rows.ts'
import type { MasterKeyTable, StoreDb, StoreSchema } from './schema.ts'

/** States of keys that callers are not to learn of: no listing shows them, no alias comes to point at them. */
export const HIDDEN_STATES: readonly KeyState[] = ['Creating', 'Deleting', 'Deleted']

export type KeysQuery = SelectQueryBuilder<StoreSchema, 'master_key', Selectable<MasterKeyTable>>

/**
 * The keys that `keys` selects, with their versions, by (region, key id). One statement, so that a key is never read
 * with the versions of another moment.
 */
export async function withVersions(db: StoreDb, keys: KeysQuery): Promise<MasterKey[]> {
  const rows = await db
    .selectFrom(keys.as('k'))
    .innerJoin('key_version as v', 'v.key_id', 'k.key_id')
    .selectAll('k')
    .select([
      'v.version_id',
      'v.number as version_number',
      'v.created_at as version_created_at',
      'v.rotation_type as version_rotation_type',
      'v.rotated_at as version_rotated_at',
      'v.public_key as version_public_key',
      'v.material_state',
      'v.material_since',
      'v.material_canary',
      'v.material_expires_at',
      'v.material_description',
      'v.material_import_id',
    ])
    .orderBy('k.region')
    .orderBy('k.key_id')
    .orderBy('v.number')
    .execute()
  return keysOfRows(rows)
}

export async function selectKey(db: StoreDb, region: string, keyId: string): Promise<MasterKey | undefined> {
  const keys = db.selectFrom('master_key').selectAll().where('region', '=', region)
  return (await withVersions(db, keys.where('key_id', '=', keyId)))[0]
}

export async function selectRegions(db: StoreDb, keyId: string): Promise<MasterKey[]> {
  return withVersions(db, db.selectFrom('master_key').selectAll().where('key_id', '=', keyId))
}

export async function selectKeyIdByVersion(db: StoreDb, versionId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('key_version')
    .select('key_id')
    .where('version_id', '=', versionId)
    .executeTakeFirst()
  return row?.key_id
}

export async function selectKeysOfAccount(
  db: StoreDb,
  accountId: string,
  region: string,
  page: PageRequest<string>,
): Promise<MasterKey[]> {
  let keys = db
    .selectFrom('master_key')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('state', 'not in', HIDDEN_STATES)
    .orderBy('key_id')
    .limit(page.limit)
  if (page.after !== undefined) keys = keys.where('key_id', '>', page.after)
  return withVersions(db, keys)
}

/** Versions first: the key points at its primary one. Needs a transaction. */
export async function insertKey(db: StoreDb, key: MasterKey, attachments: KeyAttachments): Promise<void> {
  await db.insertInto('key_version').values(rowsOfVersions(key.keyId, key.versions)).execute()
  await db.insertInto('master_key').values(rowOfKey(key)).execute()
  await attach(db, key, attachments)
}

async function attach(
  db: StoreDb,
  { region, keyId }: MasterKey,
  { tags = [], policies = {} }: KeyAttachments,
): Promise<void> {
  if (tags.length > 0) await upsertTags(db, region, keyId, tags)
  for (const language of POLICY_LANGUAGES) {
    const policy = policies[language]
    if (policy !== undefined) await upsertPolicy(db, region, keyId, language, policy)
  }
}

/** Beside its primary key, which is at the revision that it was copied from. Needs a transaction. */
export async function insertReplica(
  db: StoreDb,
  replica: MasterKey,
  attachments: KeyAttachments,
): Promise<void> {
  await db
    .deleteFrom('master_key')
    .where('region', '=', replica.region)
    .where('key_id', '=', replica.keyId)
    .where('state', '=', 'Deleted')
    .execute()
  await db.insertInto('master_key').values(rowOfKey(replica)).execute()
  await attach(db, replica, attachments)
}

/** `false`, and nothing written, when the row is not at the revision before this one. Needs a transaction. */
export async function updateKey(db: StoreDb, key: MasterKey): Promise<boolean> {
  const before = await selectKey(db, key.region, key.keyId)
  if (before?.revision !== key.revision - 1) return false
  checkReplacement(before, key)
  // The revision is asked for again because on PostgreSQL another writer may commit after the read above.
  const claimed = await db
    .updateTable('master_key')
    .set({
      revision: key.revision,
      state: key.state,
      description: key.description,
      deletion_at: key.deletionAt ?? null,
      deletion_protection: key.deletionProtection ?? null,
      ...rotationColumns(key),
      deletion_window_days: key.deletionWindowDays ?? null,
      multi_region: key.multiRegion ?? null,
    })
    .where('region', '=', key.region)
    .where('key_id', '=', key.keyId)
    .where('revision', '=', before.revision)
    .executeTakeFirst()
  if (claimed.numUpdatedRows === 0n) return false
  if (key.state === 'Deleted') await deleteBelongings(db, key.region, key.keyId)
  for (const [index, version] of before.versions.entries()) {
    const now = key.versions[index]
    if (!now || isDeepStrictEqual(now, version)) continue
    const changed = db.updateTable('key_version').set(versionColumns(now))
    await changed.where('version_id', '=', version.versionId).execute()
  }
  const added = key.versions.slice(before.versions.length)
  if (added.length > 0) await db.insertInto('key_version').values(rowsOfVersions(key.keyId, added)).execute()
  // Last, because the primary version may be one of the added ones.
  if (key.primaryVersionId !== before.primaryVersionId)
    await db
      .updateTable('master_key')
      .set({ primary_version_id: key.primaryVersionId })
      .where('key_id', '=', key.keyId)
      .execute()
  if (added.length > 0 || key.primaryVersionId !== before.primaryVersionId) await reviseSiblings(db, key)
  return true
}

/** Whoever changes a key of the same id in another region has read it without this change, and must lose. */
async function reviseSiblings(db: StoreDb, { region, keyId }: MasterKey): Promise<void> {
  await db
    .updateTable('master_key')
    .set(({ eb }) => ({ revision: eb('revision', '+', 1) }))
    .where('region', '!=', region)
    .where('key_id', '=', keyId)
    .execute()
}

/** What goes with a key that becomes a tombstone. */
const BELONGINGS = ['alias', 'key_tag', 'key_policy', 'key_grant', 'key_use'] as const

async function deleteBelongings(db: StoreDb, region: string, keyId: string): Promise<void> {
  for (const table of BELONGINGS)
    await db.deleteFrom(table).where('region', '=', region).where('key_id', '=', keyId).execute()
}

/**
 * {@link holdVisibleKey}, for changes that must have the key.
 *
 * @throws {@link KmsError} `KEY_NOT_FOUND`
 */
export async function requireVisibleKey(db: StoreDb, region: string, keyId: string): Promise<void> {
  if (await holdVisibleKey(db, region, keyId)) return
  throw new KmsError('KEY_NOT_FOUND', `Key '${keyId}' does not exist.`, { keyId })
}

/**
 * Whether callers may learn of a key; if so, it stays as it is until the transaction ends. A write that changes nothing,
 * because it locks the row in every dialect: a deletion that comes later waits, and then sees the aliases made
 * meanwhile. Keys are locked before aliases everywhere, so that no two transactions wait for each other.
 */
export async function holdVisibleKey(db: StoreDb, region: string, keyId: string): Promise<boolean> {
  const held = await db
    .updateTable('master_key')
    .set((eb) => ({ revision: eb.ref('revision') }))
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .where('state', 'not in', HIDDEN_STATES)
    .executeTakeFirst()
  return held.numUpdatedRows > 0n
}
