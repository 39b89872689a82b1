import type { Logger } from 'pino'
import type { Config } from './config/schema.ts'
import type { Maintenance } from './core/maintenance.ts'
import { SYSTEM_CLOCK } from './lib/clock.ts'

/**
 * What time does to keys, in rounds beside the requests. Of several processes on one store one tends: the grace before a
 * destruction is counted by who does.
 */
export class Tending {
  readonly #config: Config
  readonly #maintenance: Maintenance
  readonly #lockedAt: number
  readonly #log: Logger
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined

  /** @param lockedAt - The store's lock is held since then: older creations are of a process that is gone. */
  constructor(config: Config, maintenance: Maintenance, lockedAt: number, log: Logger) {
    this.#config = config
    this.#maintenance = maintenance
    this.#lockedAt = lockedAt
    this.#log = log
  }

  /** Runs a round now and at intervals; one that falls due while another is under way is left out. */
  start(): void {
    if (this.#timer || this.#stop.signal.aborted) return
    this.#begin()
    this.#timer = setInterval(() => this.#begin(), this.#config.keys.maintenanceIntervalMs)
    this.#timer.unref()
  }

  /** The key in hand is finished, no more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort()
    await this.#round
  }

  #begin(): void {
    this.#round ??= this.#run().finally(() => {
      this.#round = undefined
    })
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    if (signal.aborted) return
    // A younger one may still be under way, here or in another process.
    const underWayMs = 2 * this.#config.server.requestTimeoutMs
    const creatingBefore = Math.max(this.#lockedAt, SYSTEM_CLOCK.now() - underWayMs)
    try {
      const report = await this.#maintenance.run(creatingBefore, signal)
      if (Object.values(report).some((count) => count > 0)) this.#log.info(report, 'maintenance')
    } catch (error) {
      this.#log.error({ err: error }, 'maintenance failed; the next round tries again')
    }
  }
}
