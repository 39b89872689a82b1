import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { errnoOf } from '../lib/errno.ts'
import type { StoreProblem } from './store-open-error.ts'

/** The owner reads and writes; SQLite gives its -wal and -shm files the mode of the database. */
const FILE_MODE = 0o600
const WRITABLE_BY_OTHERS = 0o022

/** Everything that keeps the file at `path` from being opened or made. Changes nothing. */
export function inspectStoreFile(path: string): readonly StoreProblem[] {
  try {
    return inspect(path)
  } catch (error) {
    return [
      {
        code: 'PATH_NOT_ACCESSIBLE',
        problem: `The store ${path} cannot be looked at (${errnoOf(error)}).`,
        hint: 'Let the user that runs p11kms search every folder of the path (chmod a+x), or correct the path of the store.',
      },
    ]
  }
}

function inspect(path: string): readonly StoreProblem[] {
  const directory = dirname(path)
  if (!statOf(directory)?.isDirectory())
    return [
      {
        code: 'DIRECTORY_MISSING',
        problem: `The store's directory ${directory} does not exist.`,
        hint: 'Make it, owned by the user that runs p11kms, or correct the path of the store.',
      },
    ]
  const problems: StoreProblem[] = []
  // SQLite makes two files beside the database, so the directory must be writable too.
  if (!accessible(directory, constants.R_OK | constants.W_OK | constants.X_OK))
    problems.push({
      code: 'DIRECTORY_NOT_WRITABLE',
      problem: `The store's directory ${directory} is not writable.`,
      hint: 'Give it to the user that runs p11kms; on a read-only file system, move the store.',
    })
  const file = statOf(path)
  if (!file && lstatSync(path, { throwIfNoEntry: false }))
    problems.push({
      code: 'FILE_NOT_REGULAR',
      problem: `The store ${path} is a symbolic link to a file that is not there.`,
      hint: 'Put the file back, or correct the path of the store.',
    })
  return file ? [...problems, ...inspectFile(path, file)] : problems
}

function inspectFile(path: string, file: Stats): readonly StoreProblem[] {
  if (!file.isFile())
    return [
      {
        code: 'FILE_NOT_REGULAR',
        problem: `The store ${path} is not a file.`,
        hint: 'Correct the path of the store.',
      },
    ]
  const problems: StoreProblem[] = []
  if (!accessible(path, constants.R_OK | constants.W_OK))
    problems.push({
      code: 'FILE_NOT_ACCESSIBLE',
      problem: `The store ${path} cannot be read and written.`,
      hint: 'Give it to the user that runs p11kms, with mode 0600.',
    })
  if (file.mode & WRITABLE_BY_OTHERS)
    problems.push({
      code: 'FILE_WRITABLE_BY_OTHERS',
      problem: `The store ${path} can be changed by users other than its owner.`,
      hint: `Find out who may have changed it, then run: chmod 600 ${path}`,
    })
  return problems
}

/**
 * Makes an empty file with mode 0600, its directory entry durable, unless there is one already. One that is there is
 * not opened: closing it again would drop every POSIX lock that this process has on it (fcntl, "Record locks").
 */
export function createStoreFile(path: string): void {
  if (statOf(path)) return
  closeSync(openSync(path, 'a', FILE_MODE))
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

/**
 * The path without symbolic links, so that one store has one name, whatever it is reached by. The file need not be there
 * yet; its folder must.
 */
export function realStorePath(path: string): string {
  return statOf(path) ? realpathSync(path) : join(realpathSync(dirname(path)), basename(path))
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false })
}

function accessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
