import type { Clock } from '../lib/clock.ts'

/** How long a result is given again instead of computing anew. */
const MAX_AGE_MS = 1_000

/**
 * A result that is computed at most once per {@link MAX_AGE_MS} and once at a time, so that callers who need no
 * credential cannot keep the process or a token busy with it. A failure goes to those who wait and is not kept.
 */
export class Kept<Result> {
  readonly #compute: () => Promise<Result>
  readonly #clock: Clock
  #last: { readonly result: Result; readonly at: number } | undefined
  #running: Promise<Result> | undefined

  constructor(compute: () => Promise<Result>, clock: Clock) {
    this.#compute = compute
    this.#clock = clock
  }

  get(): Promise<Result> {
    const now = this.#clock.monotonic()
    const last = this.#last
    if (last && now - last.at < MAX_AGE_MS) return Promise.resolve(last.result)
    this.#running ??= this.#run()
    return this.#running
  }

  async #run(): Promise<Result> {
    try {
      const result = await this.#compute()
      this.#last = { result, at: this.#clock.monotonic() }
      return result
    } finally {
      this.#running = undefined
    }
  }
}
