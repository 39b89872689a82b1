import Database from 'better-sqlite3'
import { StoreFault } from './faults.ts'
import { whileBusy } from './sqlite-dialect.ts'
import { StoreOpenError, type StoreProblem, type StoreProblemCode } from './store-open-error.ts'

/** Marks a database as ours ("p11k"), so that another program's is not written into (sqlite.org, "PRAGMA application_id"). */
const APPLICATION_ID = 0x7031316b
/** The longest that SQLite itself waits for a lock, with the event loop standing still. */
const BUSY_BLOCK_MS = 10

/** How each connection must be set, and what the database reads back when it is. */
const SETTINGS: Readonly<Record<string, readonly [value: string, readBack: unknown]>> = {
  // A transaction is one append to the log, and readers never wait for writers.
  journal_mode: ['wal', 'wal'],
  // In WAL mode NORMAL may lose the last commits with the power; FULL syncs each one.
  synchronous: ['full', 2],
  // macOS: a sync that reaches the medium. No effect elsewhere.
  fullfsync: ['on', 1],
  foreign_keys: ['on', 1],
  // What a tampered schema may call stays harmless.
  trusted_schema: ['off', 0],
}

/**
 * Opens an existing file, checks that it is ours and sound, and sets the connection up.
 *
 * @throws {@link StoreOpenError} when it is not a database, is damaged, is somebody else's or cannot be durable.
 */
export async function openConnection(path: string, busyTimeoutMs: number): Promise<Database.Database> {
  let database: Database.Database | undefined
  try {
    database = new Database(path, { fileMustExist: true, timeout: BUSY_BLOCK_MS })
    await prepare(database, path, busyTimeoutMs)
    return database
  } catch (error) {
    database?.close()
    throw asOpenError(error, path)
  }
}

async function prepare(database: Database.Database, path: string, busyTimeoutMs: number): Promise<void> {
  const pragma = (source: string) => whileBusy(busyTimeoutMs, () => database.pragma(source, { simple: true }))
  const tables = await whileBusy(busyTimeoutMs, () =>
    database.prepare<[], number>('select count(*) from sqlite_schema').pluck().get(),
  )
  const owner = await pragma('application_id')
  if (owner !== APPLICATION_ID && (owner !== 0 || tables !== 0)) throw new StoreOpenError([foreign(path)])
  for (const [name, [value, readBack]] of Object.entries(SETTINGS)) {
    await pragma(`${name} = ${value}`)
    const found = await pragma(name)
    if (found !== readBack) throw new StoreOpenError([notDurable(path, name, found)])
  }
  const finding = await pragma('quick_check(1)')
  if (finding !== 'ok') throw new StoreOpenError([damaged(path, String(finding))])
  if (owner !== APPLICATION_ID) await pragma(`application_id = ${APPLICATION_ID}`)
}

/** What a failure to open means to the operator. Errors that are not the driver's pass through. */
export function asOpenError(error: unknown, path: string): unknown {
  if (error instanceof StoreFault)
    return new StoreOpenError(
      [problemOf('DATABASE_FAILED', `The store ${path} was lost: ${error.code}.`, error.hint)],
      {
        cause: error,
      },
    )
  if (!(error instanceof Database.SqliteError)) return error
  const [code] = /^SQLITE_(?:NOTADB|CORRUPT)/.exec(error.code) ?? []
  if (code === 'SQLITE_NOTADB') return new StoreOpenError([notDatabase(path)], { cause: error })
  if (code === 'SQLITE_CORRUPT') return new StoreOpenError([damaged(path, error.message)], { cause: error })
  const problem = `The store ${path} cannot be opened: ${error.message} (${error.code}).`
  const hint = 'Check the disk, the free space, and that no other program holds the file.'
  return new StoreOpenError([{ code: 'DATABASE_FAILED', problem, hint }], { cause: error })
}

function problemOf(code: StoreProblemCode, problem: string, hint: string): StoreProblem {
  return { code, problem, hint }
}

const notDatabase = (path: string) =>
  problemOf(
    'FILE_NOT_DATABASE',
    `The file ${path} is not an SQLite database.`,
    'Correct the path of the store, or restore the file from a backup.',
  )

const damaged = (path: string, finding: string) =>
  problemOf(
    'FILE_DAMAGED',
    `The store ${path} is damaged: ${finding}.`,
    'Stop, keep a copy of the file with its -wal file, and restore a backup.',
  )

const foreign = (path: string) =>
  problemOf(
    'DATABASE_FOREIGN',
    `The database ${path} belongs to another program.`,
    'Correct the path of the store; p11kms does not write into databases that it did not make.',
  )

const notDurable = (path: string, setting: string, found: unknown) =>
  problemOf(
    'DURABILITY_UNAVAILABLE',
    `The store ${path} refuses ${setting}: it stays at ${String(found)}.`,
    'Move the store to a local disk; network file systems cannot hold it.',
  )
