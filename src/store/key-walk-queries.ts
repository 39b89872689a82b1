import { sql } from 'kysely'
import type { KeyState, MasterKey } from '../core/key.ts'
import type { KeyPlace, PageRequest, TokenUse } from '../core/ports/key-store.ts'
import { type KeysQuery, withVersions } from './key-queries.ts'
import type { StoreDb } from './schema.ts'

/** Walks over the keys of all accounts and regions: what maintenance, rotation and the ends of imported material ask for. */

export async function selectKeysInState(
  db: StoreDb,
  state: KeyState,
  page: PageRequest<KeyPlace>,
  token?: string,
): Promise<MasterKey[]> {
  const keys = db.selectFrom('master_key').selectAll().where('state', '=', state)
  return withVersions(db, pageOf(token === undefined ? keys : keys.where('token', '=', token), page))
}

/** One page of keys of all accounts and regions, by (region, key id). */
function pageOf(keys: KeysQuery, { after, limit }: PageRequest<KeyPlace>): KeysQuery {
  const page = keys.orderBy('region').orderBy('key_id').limit(limit)
  if (!after) return page
  return page.where((eb) => eb(eb.refTuple('region', 'key_id'), '>', eb.tuple(after.region, after.keyId)))
}

export async function selectKeysInRotation(db: StoreDb, page: PageRequest<KeyPlace>): Promise<MasterKey[]> {
  const keys = db.selectFrom('master_key').selectAll().where('pending_version_id', 'is not', null)
  return withVersions(db, pageOf(keys, page))
}

/** Enabled keys, not being rotated: few of them by the index of what else is asked. */
function rotatableKeys(db: StoreDb): KeysQuery {
  return (
    db
      .selectFrom('master_key')
      .selectAll()
      // An expression, because SQLite would walk every enabled key by the index of a plain column.
      .where(sql<string>`state || ''`, '=', 'Enabled')
      .where('pending_version_id', 'is', null)
  )
}

/** Enabled keys, not being rotated, whose primary version had at least `leasedMin` GCM invocations handed out. */
export async function selectKeysToRotate(
  db: StoreDb,
  leasedMin: number,
  page: PageRequest<KeyPlace>,
): Promise<MasterKey[]> {
  const keys = rotatableKeys(db)
    .where((eb) => eb.or([eb('multi_region', 'is', null), eb('multi_region', '=', 'PRIMARY')]))
    .where('primary_version_id', 'in', (eb) =>
      eb.selectFrom('gcm_invocation').select('version_id').where('leased', '>=', leasedMin),
    )
  return withVersions(db, pageOf(keys, page))
}

/** Enabled keys, not being rotated, whose schedule is due at `dueBy`. */
export async function selectKeysDueForRotation(
  db: StoreDb,
  dueBy: number,
  page: PageRequest<KeyPlace>,
): Promise<MasterKey[]> {
  return withVersions(db, pageOf(rotatableKeys(db).where('rotation_next_at', '<=', dueBy), page))
}

/** Keys with imported material that has expired, or that was left while it came or went. */
export async function selectKeysWithMaterialToEnd(
  db: StoreDb,
  { expiresBy, begunBy }: { readonly expiresBy: number; readonly begunBy: number },
  page: PageRequest<KeyPlace>,
): Promise<MasterKey[]> {
  const keys = db
    .selectFrom('master_key')
    .selectAll()
    .where('key_id', 'in', (eb) =>
      eb
        .selectFrom('key_version')
        .select('key_version.key_id')
        .where((v) =>
          v.or([
            v.and([v('material_state', '=', 'Imported'), v('material_expires_at', '<=', expiresBy)]),
            v.and([
              v('material_state', 'in', ['Importing', 'Destroying']),
              v('material_since', '<=', begunBy),
            ]),
          ]),
        ),
    )
    .where(sql<string>`state || ''`, 'not in', ['Deleting', 'Deleted'])
  return withVersions(db, pageOf(keys, page))
}

export async function selectTokens(db: StoreDb): Promise<TokenUse[]> {
  const rows = await db
    .selectFrom('master_key')
    .select(({ fn }) => [
      'token',
      fn.countAll<number | string>().as('keys'),
      fn.min<string>('key_id').as('keyId'),
    ])
    .where('state', '!=', 'Deleted')
    .groupBy('token')
    .orderBy('token')
    .execute()
  return rows.map(({ token, keys, keyId }) => ({ token, keys: Number(keys), keyId }))
}
