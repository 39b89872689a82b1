/** How many calls of one kind may run at a time. */
export interface InFlightBounds {
  readonly max: number
  /** Of one account: a loop of one tenant leaves room for the others. */
  readonly perAccountMax: number
}

/** Refuses calls past a bound instead of queueing them: what waits for a slow token costs memory, rows and deadlines. */
export class InFlightLimit {
  readonly #bounds: InFlightBounds
  readonly #byAccount = new Map<string, number>()
  #total = 0

  constructor(bounds: InFlightBounds) {
    this.#bounds = bounds
  }

  /**
   * Runs `fn` within the bounds.
   *
   * @throws What `refuse` makes, before `fn` is called, when a bound is reached.
   */
  async use<T>(accountId: string, fn: () => Promise<T>, refuse: () => Error): Promise<T> {
    const ofAccount = this.#byAccount.get(accountId) ?? 0
    if (this.#total >= this.#bounds.max || ofAccount >= this.#bounds.perAccountMax) throw refuse()
    this.#count(accountId, 1)
    try {
      return await fn()
    } finally {
      this.#count(accountId, -1)
    }
  }

  #count(accountId: string, change: 1 | -1): void {
    this.#total += change
    const left = (this.#byAccount.get(accountId) ?? 0) + change
    if (left === 0) this.#byAccount.delete(accountId)
    else this.#byAccount.set(accountId, left)
  }
}
