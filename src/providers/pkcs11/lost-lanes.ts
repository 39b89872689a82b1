import type { Lane } from './lanes/lane.ts'

/** So many lanes that end by themselves within a minute are a crash that a new lane repeats. */
const LANES_ENDED_MAX = 16
const LANES_ENDED_WINDOW_MS = 60_000

/** Lanes that were given up, and whether a new one in their place would help. */
export class LostLanes {
  /** Those that had not exited when last looked at: they may still be inside the library. */
  #hung: Lane[] = []
  /** When lanes ended by themselves. */
  #endedAt: number[] = []
  #count = 0
  readonly #hungMax: number

  readonly #now: () => number

  /**
   * @param hungMax - Lanes that may hang at one time.
   * @param now - Milliseconds of a clock that is never set.
   */
  constructor(hungMax: number, now: () => number = () => performance.now()) {
    this.#hungMax = hungMax
    this.#now = now
  }

  add(lane: Lane): void {
    this.#count += 1
    if (lane.exited) this.#endedAt.push(this.#now())
    else this.#hung.push(lane)
  }

  /** Lanes lost since the start. */
  get count(): number {
    return this.#count
  }

  /** Lost lanes whose thread has not ended. */
  get hung(): number {
    this.#hung = this.#hung.filter((lane) => !lane.exited)
    return this.#hung.length
  }

  /** Why another lane would not help, if so. */
  beyondReplacement(): string | undefined {
    if (this.hung > this.#hungMax) return `More than ${this.#hungMax} token lanes hang in the library.`
    const since = this.#now() - LANES_ENDED_WINDOW_MS
    this.#endedAt = this.#endedAt.filter((at) => at > since)
    if (this.#endedAt.length > LANES_ENDED_MAX) return 'Token lanes end again and again.'
    return undefined
  }
}
