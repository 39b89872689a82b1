import type { LoginEnd } from './messages.ts'

/** A login that takes longer does not keep the others waiting: its token hangs. */
const HOLD_MS_MAX = 10_000
/** PINs that are tried in a row without one that is right: the tightest tokens lock at the third. */
const PINS_TRIED_MAX = 2

interface Turn {
  readonly who: object
  readonly digest: string
  readonly answer: (yes: boolean) => void
}

/**
 * One token's PIN is given by one worker at a time, and by none once it was refused: each of them would make the token
 * count a wrong PIN, and real tokens lock after a few.
 */
export class LoginDesk {
  readonly #refused = new Set<string>()
  #holder: (Turn & { readonly timer: NodeJS.Timeout }) | undefined
  #waiting: Turn[] = []

  /**
   * Asks for the turn; asking anew gives up the one that `who` has.
   *
   * @param digest - Stands for the PIN, which itself is not told here.
   */
  ask(who: object, digest: string, answer: (yes: boolean) => void): void {
    if (this.#holder?.who === who) this.#release()
    this.#waiting.push({ who, digest, answer })
    this.#next()
  }

  /** The login came to its end, or `who` did. */
  ended(who: object, how: LoginEnd): void {
    this.#waiting = this.#waiting.filter((turn) => turn.who !== who)
    const { who: holder, digest } = this.#holder ?? {}
    if (holder === who && digest !== undefined) {
      if (how === 'operator') this.#refused.add(digest)
      if (how === 'up') this.#refused.clear()
      this.#release()
    }
    this.#next()
  }

  #release(): void {
    clearTimeout(this.#holder?.timer)
    this.#holder = undefined
  }

  #next(): void {
    while (!this.#holder) {
      const turn = this.#waiting.shift()
      if (!turn) return
      const yes = this.#refused.size < PINS_TRIED_MAX && !this.#refused.has(turn.digest)
      if (yes) this.#holder = { ...turn, timer: setTimeout(() => this.#overdue(), HOLD_MS_MAX) }
      turn.answer(yes)
    }
  }

  #overdue(): void {
    this.#release()
    this.#next()
  }
}
