import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Migration, SqlTypes } from './migrations/migration.ts'
import type { StoreDb } from './schema.ts'
import { StoreOpenError, type StoreProblem } from './store-open-error.ts'

/**
 * Brings a database to the newest schema, in one transaction: all of it or nothing.
 *
 * @throws {@link StoreOpenError} with every applied migration that this program does not have or has otherwise; the
 *   database is left as it was. Driver errors pass through.
 */
export async function migrate(
  db: StoreDb,
  migrations: readonly Migration[],
  types: SqlTypes,
  now: number,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`create table if not exists schema_migration (
      number integer not null,
      name text not null,
      checksum text not null,
      applied_at bigint not null,
      primary key (number)
    )`.execute(tx)
    const applied = await tx.selectFrom('schema_migration').selectAll().orderBy('number').execute()
    const problems = applied.flatMap((row, index) => problemWith(row, index, migrations, types))
    if (problems.length > 0) throw new StoreOpenError(problems)
    for (const migration of migrations.slice(applied.length)) await apply(tx, migration, types, now)
  })
}

/**
 * For readers that must not migrate.
 *
 * @throws {@link StoreOpenError} when the database does not have the newest schema of this program. Driver errors pass
 *   through.
 */
export async function requireCurrentSchema(
  db: StoreDb,
  migrations: readonly Migration[],
  types: SqlTypes,
): Promise<void> {
  const applied = await db.selectFrom('schema_migration').selectAll().orderBy('number').execute()
  const problems = applied.flatMap((row, index) => problemWith(row, index, migrations, types))
  const older: StoreProblem = {
    code: 'SCHEMA_OLDER',
    problem: `The store has ${applied.length} of the ${migrations.length} migrations of this p11kms.`,
    hint: 'Start the service with this p11kms once: it brings the store up to date.',
  }
  if (applied.length < migrations.length) problems.push(older)
  if (problems.length > 0) throw new StoreOpenError(problems)
}

/** SHA-256 over name and statements, 64 lower-case hex digits. */
export function checksumOf({ name, statements }: Migration, types: SqlTypes): string {
  const hash = createHash('sha256')
  for (const text of [name, ...statements(types)]) hash.update(`${Buffer.byteLength(text)}:${text}`)
  return hash.digest('hex')
}

async function apply(db: StoreDb, migration: Migration, types: SqlTypes, now: number): Promise<void> {
  for (const statement of migration.statements(types)) await sql.raw(statement).execute(db)
  const { number, name } = migration
  const checksum = checksumOf(migration, types)
  await db.insertInto('schema_migration').values({ number, name, checksum, applied_at: now }).execute()
}

function problemWith(
  row: { readonly number: number; readonly name: string; readonly checksum: string },
  index: number,
  migrations: readonly Migration[],
  types: SqlTypes,
): StoreProblem[] {
  const known = migrations[index]
  const what = `Migration ${row.number} (${row.name}) of the store`
  if (!known)
    return [
      {
        code: 'SCHEMA_NEWER',
        problem: `${what} was made by a newer p11kms; this one knows ${migrations.length}.`,
        hint: 'Run the newer p11kms, or restore the backup that was taken before the upgrade.',
      },
    ]
  const same = known.number === row.number && known.name === row.name
  if (same && checksumOf(known, types) === row.checksum) return []
  return [
    {
      code: 'MIGRATION_CHANGED',
      problem: `${what} is not the one that this p11kms has under that number.`,
      hint: 'Run the p11kms release that wrote this store, or restore a backup; do not edit schema_migration.',
    },
  ]
}
