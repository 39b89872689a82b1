/** The part of a logger that it uses (pino's shape). */
interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

interface Told {
  at: number
  /** Times it happened since, untold. */
  since: number
}

/** Troubles remembered; the oldest goes first, so a flood of different ones is told, each of them once. */
const TROUBLES_MAX = 64

/** Tells the same trouble once, and while it lasts once per interval with how often it happened since. */
export class RepeatedLog {
  readonly #log: Log
  readonly #intervalMs: number
  readonly #now: () => number
  readonly #told = new Map<string, Told>()

  /** @param now - Milliseconds of a clock that is never set. */
  constructor(log: Log, intervalMs: number, now: () => number = () => performance.now()) {
    this.#log = log
    this.#intervalMs = intervalMs
    this.#now = now
  }

  /** @param trouble - What makes it the same; no detail that differs every time. */
  tell(level: keyof Log, trouble: string, fields: object, message: string): void {
    const now = this.#now()
    const known = this.#told.get(trouble)
    if (known && now - known.at < this.#intervalMs) {
      known.since += 1
      return
    }
    this.#told.delete(trouble)
    const oldest = this.#told.size >= TROUBLES_MAX ? this.#told.keys().next().value : undefined
    if (oldest !== undefined) this.#told.delete(oldest)
    this.#told.set(trouble, { at: now, since: 0 })
    this.#log[level]({ ...fields, ...(known && known.since > 0 && { repeated: known.since }) }, message)
  }
}
