import { LEASE_MS_MAX, type Lease } from '../core/ports/lease-store.ts'
import type { StoreDb } from './schema.ts'

/** One statement, so that of two that ask at the same time the second sees what the first got. */
export async function upsertLease(
  db: StoreDb,
  { name, holder, expiresAt }: Lease,
  now: number,
): Promise<boolean> {
  const taken = await db
    .insertInto('lease')
    .values({ name, holder, expires_at: expiresAt })
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet({ holder, expires_at: expiresAt })
        .where((row) =>
          row.or([
            row('lease.holder', '=', holder),
            row('lease.expires_at', '<=', now),
            // Of a clock that was wrong: no lease is given for so long.
            row('lease.expires_at', '>', now + LEASE_MS_MAX),
          ]),
        ),
    )
    .executeTakeFirst()
  return taken.numInsertedOrUpdatedRows === 1n
}

export async function deleteLease(db: StoreDb, name: string, holder: string): Promise<boolean> {
  const deleted = await db
    .deleteFrom('lease')
    .where('name', '=', name)
    .where('holder', '=', holder)
    .executeTakeFirst()
  return deleted.numDeletedRows > 0n
}
