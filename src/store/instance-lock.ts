import { resolve } from 'node:path'
import Database from 'better-sqlite3'
import { asOpenError } from './sqlite-connection.ts'
import { createStoreFile, inspectStoreFile } from './sqlite-file.ts'
import { StoreOpenError } from './store-open-error.ts'

export interface InstanceLock {
  /** Gives the lock up. May be called again. */
  release(): Promise<void>
}

/** Locks of this process. A lock that nobody referred to would be given up by the garbage collector. */
const held = new Set<Database.Database>()

/**
 * Makes this the one process that serves the store at `path`. The lock is the operating system's, on the file
 * `<path>.lock`, held by an open exclusive transaction: it ends with the process however that ends. The file stays;
 * removing it would let two processes lock two files of one name.
 *
 * @throws {@link StoreOpenError} `STORE_IN_USE`, at once, when another holder has it; the file's own problems else.
 */
export async function acquireInstanceLock(path: string): Promise<InstanceLock> {
  const lockPath = `${resolve(path)}.lock`
  const problems = inspectStoreFile(lockPath)
  if (problems.length > 0) throw new StoreOpenError(problems)
  createStoreFile(lockPath)
  const database = new Database(lockPath, { fileMustExist: true, timeout: 0 })
  try {
    database.exec('begin exclusive')
  } catch (error) {
    database.close()
    throw lockRefused(error, path, lockPath)
  }
  held.add(database)
  return {
    release: async () => {
      held.delete(database)
      database.close()
    },
  }
}

function lockRefused(error: unknown, path: string, lockPath: string): unknown {
  const busy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')
  if (!busy) return asOpenError(error, lockPath)
  return new StoreOpenError(
    [
      {
        code: 'STORE_IN_USE',
        problem: `Another p11kms process serves the store ${path}.`,
        hint: `Stop that process first; "fuser ${lockPath}" tells which one it is.`,
      },
    ],
    { cause: error },
  )
}
