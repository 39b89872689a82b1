import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { FileWatch } from './watched-file.ts'

/** Statements kept prepared; the store has about thirty, and list values of other lengths make a few more. */
const PREPARED_STATEMENTS_MAX = 100
/** Pause between two tries for a lock that another process holds. */
const BUSY_RETRY_MS = 5

type Statement = Database.Statement

/**
 * better-sqlite3 under kysely. Unlike kysely's own driver it keeps statements prepared, opens transactions with BEGIN
 * IMMEDIATE (a read that turns into a write fails at once when somebody wrote in between, whatever the busy timeout),
 * and waits for locks without blocking the event loop. No change is acknowledged that went into a file which is not the
 * store's any more.
 */
export function sqliteDialect(
  database: Database.Database,
  busyTimeoutMs: number,
  watches: readonly FileWatch[],
): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new SqliteDriver(database, busyTimeoutMs, watches),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

/** One connection: kysely lends it to one transaction or statement at a time. */
class SqliteDriver implements Driver {
  readonly #database: Database.Database
  readonly #connection: SqliteConnection

  constructor(database: Database.Database, busyTimeoutMs: number, watches: readonly FileWatch[]) {
    this.#database = database
    this.#connection = new SqliteConnection(database, busyTimeoutMs, watches)
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection
  }

  async beginTransaction(): Promise<void> {
    await this.#connection.run('begin immediate', [])
  }

  async commitTransaction(): Promise<void> {
    await this.#connection.run('commit', [])
  }

  async rollbackTransaction(): Promise<void> {
    // A full disk or an I/O error has rolled back already; a second ROLLBACK would fail and hide that error.
    if (this.#database.inTransaction) await this.#connection.run('rollback', [])
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    // SQLite itself leaves the log alone when the database was moved; what is to become of it is decided here.
    this.#connection.noteLostFiles()
    this.#database.close()
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #database: Database.Database
  readonly #busyTimeoutMs: number
  readonly #watches: readonly FileWatch[]
  readonly #prepared = new Map<string, Statement>()

  constructor(database: Database.Database, busyTimeoutMs: number, watches: readonly FileWatch[]) {
    this.#database = database
    this.#busyTimeoutMs = busyTimeoutMs
    this.#watches = watches
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    return this.run<Row>(query.sql, query.parameters)
  }

  // oxlint-disable-next-line require-yield -- kysely asks for the method; nothing here streams.
  async *streamQuery(): AsyncIterableIterator<QueryResult<never>> {
    throw new Error('the SQLite store does not stream')
  }

  /** Outside of a transaction the files are looked at before a statement, and after one that changed anything. */
  async run<Row>(sql: string, parameters: readonly unknown[]): Promise<QueryResult<Row>> {
    if (!this.#database.inTransaction) this.#requireFiles()
    return whileBusy(this.#database.inTransaction ? 0 : this.#busyTimeoutMs, () => {
      const statement = this.#prepare(sql)
      if (statement.reader) return { rows: statement.all(...parameters) as Row[] }
      const { changes } = statement.run(...parameters)
      if (!this.#database.inTransaction) this.#requireFiles()
      return { rows: [], numAffectedRows: BigInt(changes) }
    })
  }

  noteLostFiles(): void {
    try {
      this.#requireFiles()
    } catch {
      // Whoever asked for something was told; closing goes on.
    }
  }

  #requireFiles(): void {
    for (const watch of this.#watches) watch.requireInPlace()
  }

  #prepare(sql: string): Statement {
    const kept = this.#prepared.get(sql)
    if (kept) return kept
    const statement = this.#database.prepare(sql)
    const [oldest] = this.#prepared.keys()
    if (this.#prepared.size >= PREPARED_STATEMENTS_MAX && oldest !== undefined) this.#prepared.delete(oldest)
    this.#prepared.set(sql, statement)
    return statement
  }
}

/** Tries `work` again for as long as another process holds the lock it needs; the event loop runs meanwhile. */
export async function whileBusy<T>(timeoutMs: number, work: () => T): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs
  for (;;) {
    try {
      return work()
    } catch (error) {
      const busy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')
      if (!busy || performance.now() >= giveUpAt) throw error
    }
    await sleep(BUSY_RETRY_MS)
  }
}
