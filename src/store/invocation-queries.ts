import type { InvocationBlock, LeasedVersion } from '../core/ports/invocation-ledger.ts'
import { invariant } from '../lib/invariant.ts'
import { selectKeyIdByVersion } from './key-queries.ts'
import type { StoreDb } from './schema.ts'

/**
 * Hands out the next invocations of a version. The first write locks the row in every dialect, so nobody reads the count
 * that this one is about to change. Needs a transaction.
 */
export async function leaseNext(
  db: StoreDb,
  versionId: string,
  count: number,
  max: number,
): Promise<InvocationBlock> {
  invariant((await selectKeyIdByVersion(db, versionId)) !== undefined, 'invocations are of a version')
  await db
    .insertInto('gcm_invocation')
    .values({ version_id: versionId, leased: 0 })
    .onConflict((conflict) =>
      conflict.column('version_id').doUpdateSet((eb) => ({ leased: eb.ref('gcm_invocation.leased') })),
    )
    .execute()
  const { leased: first } = await db
    .selectFrom('gcm_invocation')
    .select('leased')
    .where('version_id', '=', versionId)
    .executeTakeFirstOrThrow()
  const given = Math.max(0, Math.min(count, max - first))
  await db
    .updateTable('gcm_invocation')
    .set({ leased: first + given })
    .where('version_id', '=', versionId)
    .execute()
  return { first, count: given }
}

export async function selectMostLeased(db: StoreDb): Promise<LeasedVersion | undefined> {
  const row = await db
    .selectFrom('gcm_invocation as g')
    .innerJoin('master_key as k', 'k.primary_version_id', 'g.version_id')
    .select(['g.version_id', 'g.leased'])
    .where('k.state', '=', 'Enabled')
    .orderBy('g.leased', 'desc')
    .orderBy('g.version_id')
    .executeTakeFirst()
  return row && { versionId: row.version_id, leased: row.leased }
}
