/** A key that the store knows and the token does not may mean that the library lost sight of the token. */
const RECONNECT_INTERVAL_MS = 10_000
/** A key that stayed away after a reconnect is not worth another one for this long. */
const SAME_KEY_INTERVAL_MS = 300_000
const KEYS_MAX = 10_000

/** Keeps keys that are really gone from causing one reconnect after another. */
export class MissingKeyGuard {
  readonly #reconnectedFor = new Map<string, number>()
  #lastAt = Number.NEGATIVE_INFINITY

  /** Whether a missing key is a reason to reconnect now; says yes at most once per interval. */
  mayReconnect(key: string, now = performance.now()): boolean {
    const last = this.#reconnectedFor.get(key) ?? Number.NEGATIVE_INFINITY
    if (now - this.#lastAt < RECONNECT_INTERVAL_MS || now - last < SAME_KEY_INTERVAL_MS) return false
    if (this.#reconnectedFor.size >= KEYS_MAX) this.#reconnectedFor.clear()
    this.#reconnectedFor.set(key, now)
    this.#lastAt = now
    return true
  }

  /** The key is there after all. */
  found(key: string): void {
    this.#reconnectedFor.delete(key)
  }
}
