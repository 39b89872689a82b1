/** So many keys in a row that their token does not answer for end a round for its keys: it is away, and the next round comes. */
const IN_A_ROW_MAX = 5

/** Counts, over one round, the keys in a row that each token did not answer for: one that is away must not hold up the others. */
export class TokenFailures {
  readonly #inARow = new Map<string, number>()

  isAway(token: string): boolean {
    return (this.#inARow.get(token) ?? 0) >= IN_A_ROW_MAX
  }

  count(token: string, answered: boolean): void {
    if (answered) this.#inARow.delete(token)
    else this.#inARow.set(token, (this.#inARow.get(token) ?? 0) + 1)
  }
}
