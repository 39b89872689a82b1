import type { Selectable } from 'kysely'
import { type KeyUse, TRACKED_OPERATIONS } from '../core/ports/key-use-store.ts'
import { storeAltered } from './faults.ts'
import { HIDDEN_STATES } from './key-queries.ts'
import type { KeyUseTable, StoreDb } from './schema.ts'

/** The migration that made the table: uses are kept since it ran. */
const MIGRATION_OF_USES = 'key-metadata'

/** Keeps later uses in place of earlier ones, of keys that are there. Needs a transaction. @param uses - 1 to 1000. */
export async function upsertKeyUses(db: StoreDb, uses: readonly KeyUse[]): Promise<void> {
  const keys = await db
    .selectFrom('master_key')
    .select(['region', 'key_id'])
    .where(
      'key_id',
      'in',
      uses.map(({ keyId }) => keyId),
    )
    .where('state', 'not in', HIDDEN_STATES)
    .execute()
  const there = new Set(keys.map(({ region, key_id }) => `${region}\0${key_id}`))
  const rows = uses.filter(({ region, keyId }) => there.has(`${region}\0${keyId}`)).map(rowOfUse)
  if (rows.length === 0) return
  await db
    .insertInto('key_use')
    .values(rows)
    .onConflict((conflict) =>
      conflict
        .columns(['region', 'key_id'])
        .doUpdateSet((row) => ({
          operation: row.ref('excluded.operation'),
          used_at: row.ref('excluded.used_at'),
          request_id: row.ref('excluded.request_id'),
        }))
        .whereRef('excluded.used_at', '>=', 'key_use.used_at'),
    )
    .execute()
}

function rowOfUse({ region, keyId, operation, usedAt, requestId }: KeyUse) {
  return { region, key_id: keyId, operation, used_at: usedAt, request_id: requestId ?? null }
}

export async function selectKeyUse(db: StoreDb, region: string, keyId: string): Promise<KeyUse | undefined> {
  const row = await db
    .selectFrom('key_use')
    .selectAll()
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .executeTakeFirst()
  return row && useOfRow(row)
}

function useOfRow(row: Selectable<KeyUseTable>): KeyUse {
  const operation = TRACKED_OPERATIONS.find((known) => known === row.operation)
  if (!operation) throw storeAltered('key_use.operation holds a word that this program does not know')
  return {
    region: row.region,
    keyId: row.key_id,
    operation,
    usedAt: row.used_at,
    ...(row.request_id !== null && { requestId: row.request_id }),
  }
}

export async function selectUsesSince(db: StoreDb): Promise<number> {
  const row = await db
    .selectFrom('schema_migration')
    .select('applied_at')
    .where('name', '=', MIGRATION_OF_USES)
    .executeTakeFirst()
  if (!row) throw storeAltered('schema_migration has lost a row')
  return row.applied_at
}
