import { writeSync } from 'node:fs'
import { errnoOf } from '../lib/errno.ts'

const STDOUT_FD = 1
const STDERR_FD = 2
/** How long a reader may take for the next piece (a pager that nobody scrolls). Milliseconds. */
const STALLED_MS = 600_000
const RETRY_MS = 5
const PAUSE = new Int32Array(new SharedArrayBuffer(4))

/** Writes a line for the person or program that ran the command. */
export function printLine(text: string): void {
  write(STDOUT_FD, `${text}\n`)
}

/** Writes a line for a person, where standard output is for a program. */
export function printNote(text: string): void {
  write(STDERR_FD, `${text}\n`)
}

/** Writes a line about what went wrong. */
export function printError(text: string): void {
  write(STDERR_FD, `p11kms: ${text}\n`)
}

/** A reader that is gone, or that has stalled for long, is no reason to end a service. */
function write(fd: number, text: string): void {
  let rest = Buffer.from(text, 'utf8')
  let progressAt = performance.now()
  while (rest.length > 0 && performance.now() - progressAt < STALLED_MS) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
      progressAt = performance.now()
    } catch (error) {
      // A pipe that Node has made non-blocking is full: its reader is slower than we are.
      if (errnoOf(error) !== 'EAGAIN') return
      Atomics.wait(PAUSE, 0, 0, RETRY_MS)
    }
  }
}
