/** A key that was here and is not any more may mean that the library lost sight of the token. */
const RECONNECT_INTERVAL_MS = 10_000
/** A key that stayed away after a reconnect is not worth another one for this long. */
const SAME_KEY_INTERVAL_MS = 300_000
const KEYS_MAX = 65_536

/**
 * Decides whether a key that the token does not hold is a reason to reconnect. Only one that this process saw before
 * and did not destroy is, and not again and again: a reconnect interrupts every other key.
 */
export class MissingKeyGuard {
  readonly #seen = new Set<string>()
  readonly #reconnectedFor = new Map<string, number>()
  #lastAt = Number.NEGATIVE_INFINITY

  /** Says yes at most once per interval. `now` is `performance.now()`. */
  mayReconnect(key: string, now = performance.now()): boolean {
    const last = this.#reconnectedFor.get(key) ?? Number.NEGATIVE_INFINITY
    if (
      !this.#seen.has(key) ||
      now - this.#lastAt < RECONNECT_INTERVAL_MS ||
      now - last < SAME_KEY_INTERVAL_MS
    ) {
      return false
    }
    if (this.#reconnectedFor.size >= KEYS_MAX) this.#reconnectedFor.clear()
    this.#reconnectedFor.set(key, now)
    this.#lastAt = now
    return true
  }

  /** The key is in the token. */
  found(key: string): void {
    if (this.#seen.size >= KEYS_MAX) this.#seen.clear()
    this.#seen.add(key)
    this.#reconnectedFor.delete(key)
  }

  /** The key is gone because we destroyed it. */
  destroyed(key: string): void {
    this.#seen.delete(key)
  }
}
