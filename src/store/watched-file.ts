import { renameSync, type Stats, statSync } from 'node:fs'
import { errnoOf } from '../lib/errno.ts'
import { StoreFault } from './faults.ts'

const REPLACED_HINT =
  'Stop this process. To go on with the old store, put its file back, and the log that was kept beside it back under the name with -wal; to go on with the new one, leave the log. Then start again.'
const REMOVED_HINT =
  'Stop this process, put the file back where it was (or restore a backup), and start again.'

/** Says that the files of a store are still those that were opened. */
export interface FileWatch {
  /**
   * Costs a stat per file.
   *
   * @throws {@link StoreFault} once a file was found replaced or removed, and from then on for ever: what this process
   *   has open is no longer what the next one will find.
   */
  requireInPlace(): void
}

/** A name and the file it had when this was made. */
export class WatchedFile {
  readonly path: string
  readonly #dev: number
  readonly #ino: number

  /** Throws the system's error when there is no such file. */
  constructor(path: string) {
    const { dev, ino } = statSync(path)
    this.path = path
    this.#dev = dev
    this.#ino = ino
  }

  /** What has become of it. A name that cannot be looked up counts as removed: nobody else could open it either. */
  state(): 'in-place' | 'replaced' | 'removed' {
    let now: Stats | undefined
    try {
      now = statSync(this.path, { throwIfNoEntry: false })
    } catch {
      return 'removed'
    }
    if (!now) return 'removed'
    return now.dev === this.#dev && now.ino === this.#ino ? 'in-place' : 'replaced'
  }
}

/** Watches the file of an instance lock. */
export function watchLock(path: string): FileWatch {
  const lock = new WatchedFile(path)
  return watchOver([lock], (file, state) => {
    const problem = `the lock file ${file.path} was ${state}, so another process may serve the store`
    return new StoreFault(
      'STORE_LOCK_LOST',
      problem,
      'See that one process alone serves the store, and restart it.',
    )
  })
}

/**
 * Watches an open database in WAL mode and the files beside it, which SQLite neither replaces nor removes while a
 * connection is open (sqlite.org, "How To Corrupt An SQLite Database File", "Unlinking or renaming a database file").
 *
 * @param database - As the operator names it, a symbolic link perhaps; taken before it was opened.
 * @param realPath - Without symbolic links; the -wal and -shm files stand beside it.
 */
export function watchDatabase(database: WatchedFile, realPath: string): FileWatch {
  const wal = new WatchedFile(`${realPath}-wal`)
  const shm = new WatchedFile(`${realPath}-shm`)
  return watchOver([database, wal, shm], (file, state) => {
    const replaced = file === database && state === 'replaced'
    const aside = replaced && wal.state() === 'in-place' ? setAside(wal.path) : ''
    const problem = `${file.path} was ${state} while it was in use${aside}`
    const hint = state === 'replaced' ? REPLACED_HINT : REMOVED_HINT
    return new StoreFault(`STORE_FILE_${state.toUpperCase()}`, problem, hint)
  })
}

/**
 * The log of the file that was replaced would be played into the one that replaced it when that is opened next. It is kept
 * under another name: whoever puts the old file back puts this back too.
 */
function setAside(wal: string): string {
  const name = `${wal}.of-replaced-store-${Date.now()}`
  try {
    renameSync(wal, name)
    return `; its log is kept as ${name}`
  } catch (error) {
    return `; its log ${wal} must go before that file is opened (${errnoOf(error)})`
  }
}

function watchOver(
  files: readonly WatchedFile[],
  faultOf: (file: WatchedFile, state: 'replaced' | 'removed') => StoreFault,
): FileWatch {
  let lost: StoreFault | undefined
  return {
    requireInPlace: () => {
      if (lost) throw lost
      for (const file of files) {
        const state = file.state()
        if (state === 'in-place') continue
        lost = faultOf(file, state)
        throw lost
      }
    },
  }
}
