import type { InvocationBlock } from '../core/ports/invocation-ledger.ts'
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

/** A cross join, because SQLite keeps its order: by the count, rather than through every enabled key. */
export async function selectMostLeased(db: StoreDb): Promise<number> {
  const row = await db
    .selectFrom('gcm_invocation as g')
    .crossJoin('master_key as k')
    .select('g.leased')
    .whereRef('k.primary_version_id', '=', 'g.version_id')
    .where('k.state', '=', 'Enabled')
    .orderBy('g.leased', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.leased ?? 0
}
