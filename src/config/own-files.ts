import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { errnoOf } from '../lib/errno.ts'
import { ConfigError } from './config-error.ts'

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

/**
 * Makes a folder, or takes one that is there and belongs to the user that runs this; nobody else may look into it then.
 *
 * @throws {@link ConfigError} for a symbolic link, something else than a folder, or another user's.
 */
export function ensureOwnFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: FOLDER_MODE })
  // One descriptor for every question, so that all answers are of one folder.
  const fd = openFolder(path)
  try {
    if (!isOurs(fstatSync(fd))) throw refused(path, 'The folder belongs to another user')
    fchmodSync(fd, FOLDER_MODE)
  } finally {
    closeSync(fd)
  }
}

function openFolder(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (error) {
    if (!['ELOOP', 'ENOTDIR'].includes(errnoOf(error))) throw error
    throw refused(path, 'This is a symbolic link or no folder')
  }
}

/** Writes a file with mode 0600 under its name at once: never half of it. What a crash left of an earlier try goes first. */
export function writeOwnFile(file: string, text: string): void {
  const part = `${file}.part`
  removeLeftOver(part)
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const fd = openSync(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE)
  try {
    writeFileSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(part, file)
}

function removeLeftOver(part: string): void {
  const stat = lstatSync(part, { throwIfNoEntry: false })
  if (!stat) return
  if (!stat.isFile() || !isOurs(stat))
    throw refused(part, 'This is not a file that p11kms left here; remove it')
  unlinkSync(part)
}

function isOurs({ uid }: Stats): boolean {
  return process.geteuid === undefined || uid === process.geteuid()
}

function refused(path: string, problem: string): ConfigError {
  const message = `${problem}. PINs and credentials are kept here: name another folder with --home or P11KMS_HOME.`
  return new ConfigError(path, [{ path: '', message }])
}
