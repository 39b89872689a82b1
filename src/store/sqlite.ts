import { resolve } from 'node:path'
import type Database from 'better-sqlite3'
import { Kysely } from 'kysely'
import { invariant } from '../lib/invariant.ts'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations/index.ts'
import type { Migration, SqlTypes } from './migrations/migration.ts'
import type { StoreSchema } from './schema.ts'
import { SqlKeyStore } from './sql-key-store.ts'
import { asOpenError, openConnection } from './sqlite-connection.ts'
import { sqliteDialect } from './sqlite-dialect.ts'
import { classifySqliteFault } from './sqlite-faults.ts'
import { createStoreFile, inspectStoreFile, realStorePath } from './sqlite-file.ts'
import { StoreOpenError } from './store-open-error.ts'
import { type FileWatch, WatchedFile, watchDatabase } from './watched-file.ts'

/** SQLite compares text by its UTF-8 bytes unless told otherwise (sqlite.org, "Collating Sequences", BINARY). */
export const SQLITE_TYPES: SqlTypes = { bytewiseText: 'text' }

const BUSY_TIMEOUT_MS = 2_000
const BUSY_TIMEOUT_MS_MAX = 60_000

export interface SqliteStoreOptions {
  /** The database file; made with mode 0600 when it is not there. Its directory must exist and be writable. */
  readonly path: string
  /** How long a write waits for another process's, 0 to 60000; 2000 unless given. */
  readonly busyTimeoutMs?: number
  /** The instance lock, when this process serves: a store whose lock file is gone is not available. */
  readonly lock?: FileWatch
}

/**
 * Opens the store in a file and brings its schema up to date. From then on it serves from that very file: when the path
 * comes to name another, every call is answered with `STORE_UNAVAILABLE` until a restart.
 *
 * @throws {@link StoreOpenError} listing every problem with its hint; a store that was there is left as it was.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqlKeyStore> {
  const { busyTimeoutMs = BUSY_TIMEOUT_MS } = options
  invariant(busyTimeoutMs >= 0 && busyTimeoutMs <= BUSY_TIMEOUT_MS_MAX, 'busyTimeoutMs is 0 to 60000')
  const path = resolve(options.path)
  const problems = inspectStoreFile(path)
  if (problems.length > 0) throw new StoreOpenError(problems)
  const realPath = realStorePath(path)
  createStoreFile(realPath)
  const file = new WatchedFile(path)
  const database = await openConnection(realPath, busyTimeoutMs)
  const watches = [watchDatabase(file, realPath), ...(options.lock ? [options.lock] : [])]
  return migratedStore(database, busyTimeoutMs, MIGRATIONS, watches).catch((error: unknown) => {
    throw asOpenError(error, path)
  })
}

/** The store over an open connection, which it closes; at once when it cannot be migrated. */
export async function migratedStore(
  database: Database.Database,
  busyTimeoutMs: number,
  migrations: readonly Migration[],
  watches: readonly FileWatch[] = [],
): Promise<SqlKeyStore> {
  const db = new Kysely<StoreSchema>({ dialect: sqliteDialect(database, busyTimeoutMs, watches) })
  try {
    await migrate(db, migrations, SQLITE_TYPES, Date.now())
  } catch (error) {
    await db.destroy()
    throw error
  }
  return new SqlKeyStore(db, classifySqliteFault)
}
