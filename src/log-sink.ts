import { writeSync } from 'node:fs'
import type { DestinationStream } from 'pino'
import { errnoOf } from './lib/errno.ts'

/** Lines are written together, for one system call instead of dozens. */
const WRITE_CHARACTERS = 16_384
const FLUSH_INTERVAL_MS = 250
/** Text that is kept while its reader is slow; what comes beyond is dropped and counted. */
const PENDING_CHARACTERS_MAX = 1_048_576

/**
 * Where log lines go. A log that cannot be written (its reader is gone, the disk is full) must never stop the service: lines
 * are dropped and counted, and the count is told once writing works again.
 */
export class LogSink implements DestinationStream {
  readonly #fd: number
  readonly #timer: NodeJS.Timeout
  #pending = ''
  #dropped = 0
  /** The reader is slow: the timer tries again, not every line. */
  #blocked = false

  constructor(fd: number) {
    this.#fd = fd
    this.#timer = setInterval(() => this.flush(), FLUSH_INTERVAL_MS)
    this.#timer.unref()
  }

  /** Takes one line, newline included. Lines of the last 250 ms, or 16 KiB, are lost when the process is killed. */
  write(line: string): void {
    if (this.#pending.length + line.length > PENDING_CHARACTERS_MAX) {
      this.#dropped += 1
      return
    }
    this.#pending += line
    if (this.#pending.length >= WRITE_CHARACTERS && !this.#blocked) this.flush()
  }

  /** Writes what is pending, as far as the reader takes it. Never throws, never waits. */
  flush(): void {
    if (this.#pending === '') return
    let bytes = Buffer.from(this.#pending, 'utf8')
    this.#pending = ''
    this.#blocked = false
    try {
      while (bytes.length > 0) bytes = bytes.subarray(writeSync(this.#fd, bytes))
      this.#tellDropped()
    } catch (error) {
      // A slow reader gets the rest later; with any other error the text is lost, and the next flush tries anew.
      this.#blocked = errnoOf(error) === 'EAGAIN'
      if (this.#blocked) this.#pending = bytes.toString('utf8')
      else this.#dropped += 1
    }
  }

  /** Lines, or blocks of lines, that were lost since it was last told. */
  get dropped(): number {
    return this.#dropped
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return
    const line = {
      level: 40,
      time: new Date().toISOString(),
      dropped: this.#dropped,
      msg: 'log lines were dropped',
    }
    this.#dropped = 0
    this.#pending = `${JSON.stringify(line)}\n`
  }
}
