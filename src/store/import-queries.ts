import type { Insertable, Selectable } from 'kysely'
import { type ImportPair, WRAPPING_ALGORITHMS, WRAPPING_KEY_SPECS } from '../core/ports/import-store.ts'
import { storeAltered } from './faults.ts'
import type { ImportPairTable, StoreDb } from './schema.ts'

const STATES = ['Making', 'Ready', 'Ended'] as const satisfies readonly ImportPair['state'][]

export async function insertImportPair(db: StoreDb, pair: ImportPair): Promise<void> {
  await db.insertInto('import_pair').values(rowOf(pair)).execute()
}

export async function selectImportPair(db: StoreDb, pairId: string): Promise<ImportPair | undefined> {
  const row = await db.selectFrom('import_pair').selectAll().where('pair_id', '=', pairId).executeTakeFirst()
  return row && pairOf(row)
}

export async function updateImportPair(
  db: StoreDb,
  pairId: string,
  from: ImportPair['state'],
  to: ImportPair['state'],
): Promise<boolean> {
  const moved = await db
    .updateTable('import_pair')
    .set({ state: to })
    .where('pair_id', '=', pairId)
    .where('state', '=', from)
    .executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

export async function removeImportPair(db: StoreDb, pairId: string): Promise<void> {
  await db.deleteFrom('import_pair').where('pair_id', '=', pairId).execute()
}

export async function selectImportPairsToEnd(
  db: StoreDb,
  when: { readonly expiresBy: number; readonly begunBy: number; readonly endedBy: number },
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<ImportPair[]> {
  let pairs = db
    .selectFrom('import_pair')
    .selectAll()
    .where((eb) =>
      eb.or([
        eb.and([eb('state', 'in', ['Making', 'Ready']), eb('expires_at', '<=', when.expiresBy)]),
        eb.and([eb('state', '=', 'Making'), eb('created_at', '<=', when.begunBy)]),
        eb.and([eb('state', '=', 'Ended'), eb('expires_at', '<=', when.endedBy)]),
      ]),
    )
    .orderBy('pair_id')
    .limit(limit)
  if (after !== undefined) pairs = pairs.where('pair_id', '>', after)
  return (await pairs.execute()).map(pairOf)
}

export async function countPairsOfKey(db: StoreDb, region: string, keyId: string): Promise<number> {
  const { count } = await db
    .selectFrom('import_pair')
    .select(({ fn }) => fn.countAll<number | string>().as('count'))
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .where('state', '!=', 'Ended')
    .executeTakeFirstOrThrow()
  return Number(count)
}

function rowOf(pair: ImportPair): Insertable<ImportPairTable> {
  return {
    pair_id: pair.pairId,
    account_id: pair.accountId,
    region: pair.region,
    key_id: pair.keyId,
    token: pair.token,
    algorithm: pair.algorithm,
    spec: pair.spec,
    secret_hash: pair.secretHash,
    state: pair.state,
    created_at: pair.createdAt,
    expires_at: pair.expiresAt,
  }
}

function pairOf(row: Selectable<ImportPairTable>): ImportPair {
  return {
    pairId: row.pair_id,
    accountId: row.account_id,
    region: row.region,
    keyId: row.key_id,
    token: row.token,
    algorithm: oneOf(WRAPPING_ALGORITHMS, row.algorithm),
    spec: oneOf(WRAPPING_KEY_SPECS, row.spec),
    secretHash: row.secret_hash,
    state: oneOf(STATES, row.state),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }
}

function oneOf<Word extends string>(words: readonly Word[], text: string): Word {
  const word = words.find((one) => one === text)
  if (word !== undefined) return word
  throw storeAltered(`import_pair holds "${text}", which this program does not know`)
}
