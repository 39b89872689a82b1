import { resolve } from 'node:path'
import Database from 'better-sqlite3'
import { asOpenError } from './sqlite-connection.ts'
import { createStoreFile, inspectStoreFile, realStorePath } from './sqlite-file.ts'
import { StoreOpenError } from './store-open-error.ts'
import { type FileWatch, watchLock } from './watched-file.ts'

/** Handed to the store that it protects, which then stops when the lock is lost. */
export interface InstanceLock extends FileWatch {
  /** Gives the lock up. May be called again. */
  release(): Promise<void>
}

/** Locks of this process. A lock that nobody referred to would be given up by the garbage collector. */
const held = new Set<Database.Database>()

/**
 * Makes this the one process that serves the store at `path`. The lock is the operating system's, on the file
 * `<path>.lock` beside the store itself whatever links lead there, held by an open exclusive transaction: it ends with the process however that ends. The file stays;
 * removing it would let two processes lock two files of one name.
 *
 * @throws {@link StoreOpenError} `STORE_IN_USE`, at once, when another holder has it; the file's own problems else.
 */
export async function acquireInstanceLock(path: string): Promise<InstanceLock> {
  requireUsable(resolve(path))
  const lockPath = lockPathOf(path)
  requireUsable(lockPath)
  createStoreFile(lockPath)
  const watch = watchLock(lockPath)
  const database = new Database(lockPath, { fileMustExist: true, timeout: 0 })
  try {
    database.exec('begin exclusive')
    watch.requireInPlace()
  } catch (error) {
    database.close()
    throw lockRefused(error, path, lockPath)
  }
  held.add(database)
  return {
    requireInPlace: () => watch.requireInPlace(),
    release: async () => {
      held.delete(database)
      database.close()
    },
  }
}

/**
 * Watches a lock that another process holds for this one: who works under it stops when its file is lost.
 *
 * @throws The system's error when there is no such file.
 */
export function watchInstanceLock(path: string): FileWatch {
  return watchLock(lockPathOf(path))
}

/** Beside the store itself, whatever links lead there. */
function lockPathOf(path: string): string {
  return `${realStorePath(resolve(path))}.lock`
}

function requireUsable(path: string): void {
  const problems = inspectStoreFile(path)
  if (problems.length > 0) throw new StoreOpenError(problems)
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
