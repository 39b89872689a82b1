import { writeSync } from 'node:fs'

const STDOUT_FD = 1
const STDERR_FD = 2

/** Writes a line for the person or program that ran the command. */
export function printLine(text: string): void {
  write(STDOUT_FD, `${text}\n`)
}

/** Writes a line about what went wrong. */
export function printError(text: string): void {
  write(STDERR_FD, `p11kms: ${text}\n`)
}

/** A reader that is gone is no reason to end a service. */
function write(fd: number, text: string): void {
  try {
    let rest = Buffer.from(text, 'utf8')
    while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest))
  } catch {
    // There is nowhere left to say it.
  }
}
