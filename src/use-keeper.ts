import type { Logger } from 'pino'
import type { LastUses } from './core/last-uses.ts'

/** Stores what keys were last used for at intervals and at the end, beside the requests. */
export class UseKeeper {
  readonly #lastUses: Pick<LastUses, 'flush'>
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  #round: Promise<void> | undefined

  constructor(lastUses: Pick<LastUses, 'flush'>, intervalMs: number, log: Logger) {
    this.#lastUses = lastUses
    this.#log = log
    this.#timer = setInterval(() => this.#begin(), intervalMs)
    this.#timer.unref()
  }

  /** To be called when no request is under way any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#round
    await this.#flush()
  }

  #begin(): void {
    this.#round ??= this.#flush().finally(() => {
      this.#round = undefined
    })
  }

  async #flush(): Promise<void> {
    try {
      await this.#lastUses.flush()
    } catch (error) {
      this.#log.warn({ err: error }, 'could not store when keys were last used; the next round tries again')
    }
  }
}
