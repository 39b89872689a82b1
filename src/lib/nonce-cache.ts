import type { Clock } from './clock.ts'

/** Nonces kept per access key; past them the oldest is forgotten. About 50 MB for a key that is used without a pause. */
const PER_KEY_MAX = 262_144

/**
 * Nonces of requests that were authenticated, so that none is taken twice while its timestamp would be. Bounded: access keys
 * are those of the configuration, and each keeps {@link PER_KEY_MAX} at most.
 */
export class NonceCache {
  readonly #clock: Clock
  readonly #byKey = new Map<string, Map<string, number>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Takes a nonce. Call it for requests alone whose signature is right: nobody else uses up an access key's room.
   *
   * @param accessKeyId - Of the configuration.
   * @param validUntil - When the request's timestamp is too old. Milliseconds since the epoch.
   * @returns `false` when the nonce was taken before.
   */
  take(accessKeyId: string, nonce: string, validUntil: number): boolean {
    const nonces = this.#byKey.get(accessKeyId) ?? new Map<string, number>()
    this.#byKey.set(accessKeyId, nonces)
    const now = this.#clock.now()
    const seenUntil = nonces.get(nonce)
    if (seenUntil !== undefined && seenUntil >= now) return false
    nonces.delete(nonce)
    // A copy: a part of a text keeps the whole text in memory, which is all that was sent.
    nonces.set(Buffer.from(nonce, 'utf8').toString('utf8'), validUntil)
    this.#forgetOld(nonces, now)
    return true
  }

  /** From the oldest on; one that is valid for long keeps those behind it, which the bound then lets go. */
  #forgetOld(nonces: Map<string, number>, now: number): void {
    for (const [nonce, validUntil] of nonces) {
      if (validUntil >= now && nonces.size <= PER_KEY_MAX) return
      nonces.delete(nonce)
    }
  }
}
