import type { Clock } from '../lib/clock.ts'

/** One thing that the service needs: `store`, `token:<name>`. Texts are shown to anybody who asks: no secret in them. */
export interface ComponentHealth {
  readonly ok: boolean
  /** Why it does not work. */
  readonly reason?: string
  /** What the operator can do about it. */
  readonly hint?: string
}

export interface ReadyReport {
  readonly ready: boolean
  readonly components: Readonly<Record<string, ComponentHealth>>
}

/** How the composition root tells the server how things are. */
export interface HealthChecks {
  /** Tries the store and every token for real. Bounded in time by whoever implements it. */
  ready(): Promise<ReadyReport>
}

/** How long a report is shown again instead of trying anew. */
const REPORT_MAX_AGE_MS = 1_000

const CHECK_FAILED: ReadyReport = {
  ready: false,
  components: {
    check: { ok: false, reason: 'The check itself failed.', hint: 'See the log of this process.' },
  },
}

/**
 * The readiness report, computed at most once per {@link REPORT_MAX_AGE_MS} and once at a time, so that callers who
 * need no credential cannot load the token.
 */
export class ReadyProbe {
  readonly #checks: HealthChecks
  readonly #clock: Clock
  readonly #onError: (error: unknown) => void
  #last: { readonly report: ReadyReport; readonly at: number } | undefined
  #running: Promise<ReadyReport> | undefined

  constructor(checks: HealthChecks, clock: Clock, onError: (error: unknown) => void) {
    this.#checks = checks
    this.#clock = clock
    this.#onError = onError
  }

  report(): Promise<ReadyReport> {
    const now = this.#clock.now()
    const last = this.#last
    if (last && now >= last.at && now - last.at < REPORT_MAX_AGE_MS) return Promise.resolve(last.report)
    this.#running ??= this.#run()
    return this.#running
  }

  async #run(): Promise<ReadyReport> {
    let report = CHECK_FAILED
    try {
      report = await this.#checks.ready()
    } catch (error) {
      this.#onError(error)
    }
    this.#last = { report, at: this.#clock.now() }
    this.#running = undefined
    return report
  }
}
