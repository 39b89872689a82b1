import type { Logger } from 'pino'
import { SYSTEM_CLOCK } from './lib/clock.ts'

/** Pause between two rounds when the next one was asked for: a key that cannot be rotated must not keep a process busy. */
const PAUSE_MS = 1_000

/** Runs rounds one after the other, beside the requests: at once, at intervals, and soon after it is asked to. */
export class RotationLoop {
  readonly #run: (signal: AbortSignal) => Promise<void>
  readonly #intervalMs: number
  readonly #log: Logger
  readonly #stop = new AbortController()
  #round: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #asked = false
  #endedAt = Number.NEGATIVE_INFINITY

  constructor(run: (signal: AbortSignal) => Promise<void>, intervalMs: number, log: Logger) {
    this.#run = run
    this.#intervalMs = intervalMs
    this.#log = log
  }

  start(): void {
    this.#plan(0)
  }

  /** Something is due. Returns at once. */
  wake(): void {
    this.#asked = true
    if (!this.#round) this.#planSoon()
  }

  /** Lets the key in hand be finished, no more. */
  async stop(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#timer)
    await this.#round
  }

  #planSoon(): void {
    this.#plan(Math.max(0, this.#endedAt + PAUSE_MS - SYSTEM_CLOCK.monotonic()))
  }

  #plan(inMs: number): void {
    if (this.#stop.signal.aborted) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#round = this.#runOnce()
    }, inMs)
    this.#timer.unref()
  }

  async #runOnce(): Promise<void> {
    this.#asked = false
    try {
      await this.#run(this.#stop.signal)
    } catch (error) {
      this.#log.error({ err: error }, 'looking for keys to rotate failed; the next round tries again')
    }
    this.#endedAt = SYSTEM_CLOCK.monotonic()
    this.#round = undefined
    if (this.#asked) this.#planSoon()
    else this.#plan(this.#intervalMs)
  }
}
