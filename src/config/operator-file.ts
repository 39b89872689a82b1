import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { errnoOf } from '../lib/errno.ts'

const WRITABLE_BY_OTHERS = 0o022

/** Longest configuration file. Bytes. */
export const CONFIG_BYTES_MAX = 4 * 1024 * 1024

/** Why a file cannot be used; the message goes on after the file's name, and holds nothing of what is in it. */
export class FileProblem extends Error {
  override readonly name = 'FileProblem'
  /** The system's code when it was the system that refused. */
  readonly code: string | undefined

  constructor(message: string, code?: string) {
    super(message)
    this.code = code
  }
}

/**
 * Reads a file that says what the service does. Others than its owner may read it (Kubernetes mounts secrets with mode
 * 0644), never write it.
 *
 * @param source - A path, or a descriptor, which stays open.
 * @returns All of it; no more than `bytesMax` and one are ever read.
 * @throws {@link FileProblem}
 */
export function readOperatorFile(source: string | number, bytesMax: number): Buffer {
  try {
    return typeof source === 'number' ? readBounded(source, bytesMax) : readPath(source, bytesMax)
  } catch (error) {
    if (error instanceof FileProblem) throw error
    throw new FileProblem(`cannot be read (${errnoOf(error)})`, errnoOf(error))
  }
}

function readPath(path: string, bytesMax: number): Buffer {
  const fd = openSync(path, constants.O_RDONLY)
  try {
    // Of the open file, so that it is the one that is read. Terminals and the like have modes of their own.
    const stat = fstatSync(fd)
    if ((stat.isFile() || stat.isFIFO()) && stat.mode & WRITABLE_BY_OTHERS)
      throw new FileProblem(
        `can be changed by users other than its owner; find out who may have, then run: chmod go-w ${path}`,
      )
    if (stat.isFile() && stat.size > bytesMax) throw tooLong(bytesMax)
    return readBounded(fd, bytesMax)
  } finally {
    closeSync(fd)
  }
}

function readBounded(fd: number, bytesMax: number): Buffer {
  const bytes = Buffer.alloc(bytesMax + 1)
  let length = 0
  while (length < bytes.length) {
    const read = readSync(fd, bytes, length, bytes.length - length, null)
    if (read === 0) return bytes.subarray(0, length)
    length += read
  }
  bytes.fill(0)
  throw tooLong(bytesMax)
}

function tooLong(bytesMax: number): FileProblem {
  return new FileProblem(`is longer than ${bytesMax} bytes`)
}
