import { setTimeout as delay } from 'node:timers/promises'
import { Backoff } from './backoff.ts'
import type { Lane } from './lanes/lane.ts'
import type { LanePool } from './lanes/pool.ts'

/** Longest pause between two tries to get a session for a lane. Milliseconds. */
const PAUSE_MAX_MS = 1_000
/** Tries in vain for so long are no passing shortage: the sessions may be our own, which the library lost count of. */
const IN_VAIN_MS = 10_000

interface Waiting {
  readonly pool: LanePool
  readonly lane: Lane
}

/** Brings lanes that have no session back to work, one at a time and with pauses: a token that is short of sessions is not stormed. */
export class LaneTender {
  readonly #next: () => Waiting | undefined
  readonly #attach: (waiting: Waiting) => Promise<void>
  readonly #inVain: () => unknown
  readonly #signal: AbortSignal
  #working = false

  /**
   * @param next - A lane that waits; none while there is no connection.
   * @param inVain - Called again and again once no lane got a session for long.
   * @param signal - Ends the work.
   */
  constructor(
    next: () => Waiting | undefined,
    attach: (waiting: Waiting) => Promise<void>,
    inVain: () => unknown,
    signal: AbortSignal,
  ) {
    this.#next = next
    this.#attach = attach
    this.#inVain = inVain
    this.#signal = signal
  }

  /** A lane may wait. */
  wake(): void {
    if (!this.#working) void this.#work()
  }

  async #work(): Promise<void> {
    this.#working = true
    const backoff = new Backoff(PAUSE_MAX_MS)
    let hopefulAt = performance.now()
    while (this.#next() && !this.#signal.aborted) {
      await delay(backoff.next(), undefined, { signal: this.#signal, ref: false }).catch(() => undefined)
      const waiting = this.#next()
      if (!waiting || this.#signal.aborted) break
      await this.#attach(waiting)
      if (waiting.lane.ready) {
        backoff.reset()
        hopefulAt = performance.now()
      } else if (performance.now() - hopefulAt > IN_VAIN_MS) this.#inVain()
    }
    this.#working = false
  }
}
