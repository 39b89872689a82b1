import { invariant } from '../lib/invariant.ts'
import { selectKeyIdByVersion } from './key-queries.ts'
import type { StoreDb } from './schema.ts'

export async function selectCanary(db: StoreDb, versionId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('replica_canary')
    .select('canary')
    .where('version_id', '=', versionId)
    .executeTakeFirst()
  return row?.canary
}

/** Needs a transaction. */
export async function upsertCanary(db: StoreDb, versionId: string, canary: string): Promise<void> {
  invariant((await selectKeyIdByVersion(db, versionId)) !== undefined, 'a canary is of a version')
  await db
    .insertInto('replica_canary')
    .values({ version_id: versionId, canary })
    .onConflict((conflict) => conflict.column('version_id').doUpdateSet({ canary }))
    .execute()
}
