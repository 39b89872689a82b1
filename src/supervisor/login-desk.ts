import type { LoginEnd } from './messages.ts'

/** A login that takes longer does not keep those with another PIN waiting: its token hangs. */
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
  /** Digests of the logins that take too long: each may still end with the PIN refused. */
  readonly #overdue = new Map<object, string>()
  #waiting: Turn[] = []

  /**
   * Asks for the turn; asking anew gives up the one that `who` has.
   *
   * @param digest - Stands for the PIN, which itself is not told here.
   */
  ask(who: object, digest: string, answer: (yes: boolean) => void): void {
    this.#forget(who)
    this.#waiting.push({ who, digest, answer })
    this.#next()
  }

  /** The login came to its end, however late, or `who` did. */
  ended(who: object, how: LoginEnd): void {
    const digest = this.#forget(who)
    // Who was told no ends, too, and says nothing of its PIN.
    if (digest !== undefined && how === 'operator') this.#refused.add(digest)
    if (digest !== undefined && how === 'up') this.#refused.clear()
    this.#next()
  }

  /** @returns What stands for the PIN that `who` was let give. */
  #forget(who: object): string | undefined {
    this.#waiting = this.#waiting.filter((turn) => turn.who !== who)
    const overdue = this.#overdue.get(who)
    this.#overdue.delete(who)
    return this.#holder?.who === who ? this.#release() : overdue
  }

  #release(): string | undefined {
    const { timer, digest } = this.#holder ?? {}
    clearTimeout(timer)
    this.#holder = undefined
    return digest
  }

  #next(): void {
    while (!this.#holder) {
      const next = this.#waiting.findIndex(({ digest }) => this.#verdict(digest) !== undefined)
      const [turn] = next < 0 ? [] : this.#waiting.splice(next, 1)
      if (!turn) return
      const yes = this.#verdict(turn.digest) === true
      if (yes) this.#holder = { ...turn, timer: setTimeout(() => this.#onOverdue(turn), HOLD_MS_MAX) }
      turn.answer(yes)
    }
  }

  /** @returns Nothing while it depends on how an overdue login ends. */
  #verdict(digest: string): boolean | undefined {
    if (this.#refused.size >= PINS_TRIED_MAX || this.#refused.has(digest)) return false
    const maybeRefused = new Set(this.#overdue.values())
    const isOpen = maybeRefused.has(digest) || this.#refused.size + maybeRefused.size >= PINS_TRIED_MAX
    return isOpen ? undefined : true
  }

  #onOverdue({ who, digest }: Turn): void {
    this.#overdue.set(who, digest)
    this.#release()
    this.#next()
  }
}
