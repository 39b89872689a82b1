/** How many may wait. */
export interface QueueBounds {
  readonly max: number
  /** Of one account: a loop of one tenant leaves room for the others. */
  readonly perAccountMax: number
}

/**
 * Who waits for a turn: accounts take turns, and callers of one account have theirs in the order in which they came. So one that
 * asks for much waits for itself, and another one's single call for one turn of each at the most.
 */
export class FairQueue {
  readonly #bounds: QueueBounds
  /** Accounts in the order of their turns. */
  readonly #byAccount = new Map<string, (() => void)[]>()
  #size = 0

  constructor(bounds: QueueBounds) {
    this.#bounds = bounds
  }

  /** @returns `false`, and `begin` does not wait, where a bound is reached. */
  add(accountId: string, begin: () => void): boolean {
    const ofAccount = this.#byAccount.get(accountId) ?? []
    const { max, perAccountMax } = this.#bounds
    if (this.#size >= max || ofAccount.length >= perAccountMax) return false
    ofAccount.push(begin)
    this.#byAccount.set(accountId, ofAccount)
    this.#size += 1
    return true
  }

  /** `begin` waits no longer. */
  remove(accountId: string, begin: () => void): void {
    const ofAccount = this.#byAccount.get(accountId) ?? []
    const at = ofAccount.indexOf(begin)
    if (at < 0) return
    ofAccount.splice(at, 1)
    this.#size -= 1
    if (ofAccount.length === 0) this.#byAccount.delete(accountId)
  }

  /** Takes out who is next; its account is last from then on. */
  next(): (() => void) | undefined {
    const [turn] = this.#byAccount
    if (!turn) return undefined
    const [accountId, ofAccount] = turn
    const begin = ofAccount.shift()
    this.#size -= 1
    this.#byAccount.delete(accountId)
    if (ofAccount.length > 0) this.#byAccount.set(accountId, ofAccount)
    return begin
  }
}
