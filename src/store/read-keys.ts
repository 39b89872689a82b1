import { readFileSync, type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import Database from 'better-sqlite3'
import { Kysely } from 'kysely'
import { isKmsError } from '../core/errors.ts'
import type { KeyState, MasterKey } from '../core/key.ts'
import { StoreFault } from './faults.ts'
import { selectKeysInState } from './key-walk-queries.ts'
import { requireCurrentSchema } from './migrate.ts'
import { MIGRATIONS } from './migrations/index.ts'
import type { StoreSchema } from './schema.ts'
import { SQLITE_TYPES } from './sqlite.ts'
import { asOpenError } from './sqlite-connection.ts'
import { sqliteDialect } from './sqlite-dialect.ts'
import { realStorePath } from './sqlite-file.ts'
import { StoreOpenError } from './store-open-error.ts'

const BUSY_TIMEOUT_MS = 2_000
const PAGE_ROWS = 1000
/** Keys that are read at most: they are all held in memory. */
const KEYS_MAX = 200_000
/** A store at rest is read whole into memory. Bytes. */
const COPY_BYTES_MAX = 512 * 1024 * 1024
/** A store is opened anew this often when somebody begins to serve from it meanwhile. */
const TRIES_MAX = 3
/** SQLite file format: the bytes at 18 and 19 are 2 for a log beside the file, which memory does not have, and 1 for none. */
const JOURNAL_VERSIONS = { offset: 18, bytes: 2, none: 1 } as const

const STATES: Readonly<Record<KeyState, true>> = {
  Creating: true,
  PendingImport: true,
  Enabled: true,
  Disabled: true,
  PendingDeletion: true,
  PendingReplicaDeletion: true,
  Deleting: true,
  Deleted: true,
}

/**
 * Every key of the store at `path`, as of one moment, tombstones included. Takes no lock that a serving process would notice and changes
 * no file: a store that somebody has open is read beside its log, one at rest from a copy in memory.
 *
 * @throws {@link StoreOpenError} when there is no store of this program's schema, or it is too large to read so.
 */
export async function readKeys(path: string): Promise<readonly MasterKey[]> {
  const absolute = resolve(path)
  try {
    const database = openForReading(realStorePath(absolute))
    try {
      return await readAll(database, absolute)
    } finally {
      database.close()
    }
  } catch (error) {
    throw asReadError(error, absolute)
  }
}

function openForReading(path: string): Database.Database {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    // Opening a file of that kind without its log would make one, owned by whoever asked.
    if (hasLog(path)) return new Database(path, { readonly: true, fileMustExist: true })
    const copy = copyAtRest(path)
    if (copy) return new Database(copy)
  }
  throw refused(`The store ${path} is opened and closed again and again.`, 'Try again.')
}

function hasLog(path: string): boolean {
  return statSync(`${path}-wal`, { throwIfNoEntry: false }) !== undefined
}

/** The bytes of the file, fit to be opened in memory; `undefined` when somebody opened it meanwhile. */
function copyAtRest(path: string): Buffer | undefined {
  const before = statSync(path)
  if (before.size > COPY_BYTES_MAX)
    throw refused(
      `The store ${path} is longer than ${COPY_BYTES_MAX} bytes.`,
      'Ask again while it is served.',
    )
  const bytes = readFileSync(path)
  if (hasLog(path) || !isSame(before, statSync(path))) return undefined
  const { offset, bytes: length, none } = JOURNAL_VERSIONS
  return bytes.fill(none, offset, offset + length)
}

function isSame(before: Stats, after: Stats): boolean {
  return before.ino === after.ino && before.size === after.size && before.mtimeMs === after.mtimeMs
}

async function readAll(database: Database.Database, path: string): Promise<readonly MasterKey[]> {
  const db = new Kysely<StoreSchema>({ dialect: sqliteDialect(database, BUSY_TIMEOUT_MS, []) })
  // One read transaction: every page is of the same moment, and a writer is not held up.
  database.exec('begin')
  await requireCurrentSchema(db, MIGRATIONS, SQLITE_TYPES)
  const keys: MasterKey[] = []
  for (const state of Object.keys(STATES) as KeyState[]) {
    let page: readonly MasterKey[] = []
    do {
      page = await selectKeysInState(db, state, { after: page.at(-1), limit: PAGE_ROWS })
      keys.push(...page)
      if (keys.length > KEYS_MAX)
        throw refused(`The store ${path} has more than ${KEYS_MAX} keys.`, 'Leave the store out.')
    } while (page.length === PAGE_ROWS)
  }
  return keys
}

function asReadError(error: unknown, path: string): unknown {
  const told =
    isKmsError(error, 'STORE_UNAVAILABLE') && error.cause instanceof StoreFault ? error.cause : error
  const read = asOpenError(told, path)
  const code: unknown = read instanceof Error && 'code' in read ? read.code : undefined
  if (read instanceof StoreOpenError || typeof code !== 'string') return read
  return refused(`The store ${path} cannot be read (${code}).`, 'Run this as the user that p11kms runs as.')
}

function refused(problem: string, hint: string): StoreOpenError {
  return new StoreOpenError([{ code: 'DATABASE_FAILED', problem, hint }])
}
