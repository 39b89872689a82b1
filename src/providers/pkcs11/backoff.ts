/** The first pause; each further one is twice as long. Milliseconds. */
const FIRST_PAUSE_MS = 50

/**
 * Pauses between attempts, doubling up to a bound, each cut by up to a half at random so that many processes do not come
 * back to a token at the same moment.
 */
export class Backoff {
  readonly #maxMs: number
  readonly #random: () => number
  #nextMs: number

  constructor(maxMs: number, random: () => number = Math.random) {
    this.#maxMs = maxMs
    this.#random = random
    this.#nextMs = Math.min(FIRST_PAUSE_MS, maxMs)
  }

  /** How long to wait now. Milliseconds. */
  next(): number {
    const ms = this.#nextMs
    this.#nextMs = Math.min(2 * ms, this.#maxMs)
    return ms * (1 - this.#random() / 2)
  }

  reset(): void {
    this.#nextMs = Math.min(FIRST_PAUSE_MS, this.#maxMs)
  }
}
