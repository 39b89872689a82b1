import type { Clock } from '../lib/clock.ts'
import type { MasterKey } from './key.ts'
import type { IntendedUse, KeyUse, KeyUseStore } from './ports/key-use-store.ts'

/** Keys whose last use waits to be stored. Past it the one that waits longest is dropped: the store is away then. */
const WAITING_MAX = 100_000
/** Uses that one change of the store keeps. */
const BATCH_USES = 200

export interface LastUsesDeps {
  readonly store: KeyUseStore
  readonly clock: Clock
}

/** A call that uses keys: it says of which it is about to, all checks passed. */
export type UsingCall<Call> = Call & { readonly uses: IntendedUse[] }

/**
 * What each key was last used for. Noted in memory, which costs a request nothing, and stored when {@link LastUses.flush} is
 * called: at intervals and at the end. Another process sees a use after that; a process that is killed forgets what
 * it noted since.
 */
export class LastUses {
  readonly #deps: LastUsesDeps
  readonly #waiting = new Map<string, KeyUse>()

  constructor(deps: LastUsesDeps) {
    this.#deps = deps
  }

  /** Does the work of a call, and notes what it used once it has succeeded. */
  async during<Call extends { readonly requestId?: string }, T>(
    call: Call,
    work: (call: UsingCall<Call>) => Promise<T>,
  ): Promise<T> {
    const uses: IntendedUse[] = []
    const result = await work({ ...call, uses })
    this.#note(uses, call.requestId)
    return result
  }

  /**
   * What the key was last used for, as far as this process knows.
   *
   * @throws {@link KmsError} `STORE_UNAVAILABLE`
   */
  async get({ region, keyId }: Pick<MasterKey, 'region' | 'keyId'>): Promise<KeyUse | undefined> {
    const stored = await this.#deps.store.getKeyUse(region, keyId)
    const waiting = this.#waiting.get(idOf({ region, keyId }))
    if (!stored || !waiting) return waiting ?? stored
    return waiting.usedAt >= stored.usedAt ? waiting : stored
  }

  /**
   * Stores what was noted. What cannot be stored waits for the next time, unless the key was used again meanwhile.
   *
   * @throws {@link KmsError} `STORE_UNAVAILABLE`
   */
  async flush(): Promise<void> {
    const taken = [...this.#waiting]
    for (let at = 0; at < taken.length; at += BATCH_USES) {
      const batch = taken.slice(at, at + BATCH_USES)
      await this.#deps.store.putKeyUses(batch.map(([, use]) => use))
      for (const [id, use] of batch) if (this.#waiting.get(id) === use) this.#waiting.delete(id)
    }
  }

  #note(uses: readonly IntendedUse[], requestId: string | undefined): void {
    if (uses.length === 0) return
    const usedAt = this.#deps.clock.now()
    for (const { key, operation } of uses) {
      const { region, keyId } = key
      this.#keep({ region, keyId, operation, usedAt, ...(requestId !== undefined && { requestId }) })
    }
  }

  /** A key that is used again keeps its place, so that what is dropped has waited longest. */
  #keep(use: KeyUse): void {
    this.#waiting.set(idOf(use), use)
    if (this.#waiting.size <= WAITING_MAX) return
    const oldest = this.#waiting.keys().next().value
    if (oldest !== undefined) this.#waiting.delete(oldest)
  }
}

/** Neither part holds a NUL. */
function idOf({ region, keyId }: Pick<MasterKey, 'region' | 'keyId'>): string {
  return `${region}\0${keyId}`
}
