import type { MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import { refKey } from './material-handles.ts'

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
  #witness: MasterKeyRef | undefined

  /** The key that was found last and not destroyed by us: a token that does not show it may have been lost sight of. */
  get witness(): MasterKeyRef | undefined {
    return this.#witness
  }

  /** Says yes at most once per interval. `now` is `performance.now()`. */
  mayReconnect(ref: MasterKeyRef, now = performance.now()): boolean {
    const key = refKey(ref)
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
  found(ref: MasterKeyRef): void {
    const key = refKey(ref)
    this.#witness = ref
    if (this.#seen.size >= KEYS_MAX) this.#seen.clear()
    this.#seen.add(key)
    this.#reconnectedFor.delete(key)
  }

  /** The key is gone because we destroyed it. */
  destroyed(ref: MasterKeyRef): void {
    this.#seen.delete(refKey(ref))
    if (this.#witness && refKey(this.#witness) === refKey(ref)) this.#witness = undefined
  }
}
