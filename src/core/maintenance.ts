import { type Clock, DAY_MS } from '../lib/clock.ts'
import { HINT_OF_ALTERED } from './altered.ts'
import { isKmsError } from './errors.ts'
import { pendingVersionOf, tokenRef } from './find-key.ts'
import type { KeyState, KeyVersion, MasterKey } from './key.ts'
import type { KeyDirectory } from './key-directory.ts'
import { pairOfSpec } from './key-spec.ts'
import { hasReplicas, siblingsOf } from './multi-region.ts'
import type { CryptoProvider, MaterialPresence } from './ports/crypto-provider.ts'
import type { KeyStore } from './ports/key-store.ts'
import { TokenFailures } from './token-failures.ts'

export interface MaintenanceDeps {
  readonly store: KeyStore
  readonly provider: CryptoProvider
  readonly directory: KeyDirectory
  readonly clock: Clock
  readonly log: MaintenanceLog
  /** How long a key must be seen due by this process before it is destroyed. Milliseconds. */
  readonly destructionGraceMs: number
}

export interface MaintenanceLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
  error(fields: Readonly<Record<string, unknown>>, message: string): void
}

/** What one round did. */
export interface MaintenanceReport {
  /** Keys whose creation was cut short after their objects were made: enabled. */
  readonly finished: number
  /** Keys whose creation was cut short before that: rolled back. */
  readonly rolledBack: number
  /** Keys whose deletion window and grace have ended: destroyed. */
  readonly destroyed: number
  /** Keys that a later round must come back to, because the token or the store failed, or their objects are altered. */
  readonly failed: number
}

type Outcome = keyof MaintenanceReport | 'lost' | 'waiting'

const PAGE_ROWS = 100
const TOKEN_CALL_TIMEOUT_MS = 10_000

/**
 * What time does to keys (ADR 0005). A creation that was cut short is finished where its objects are whole, and rolled
 * back where one is missing; objects that are altered wait for an operator. A key whose deletion window has ended is
 * destroyed, after a grace in which this very process has seen it due: a clock that jumps or a restored backup must not
 * destroy at once what somebody still relies on.
 *
 * Destroying claims the row as `Deleting` (a revision check, so one process wins and a late change loses), destroys the
 * token objects, and leaves the tombstone `Deleted`, with which the key's aliases go (STO-8). A round that is cut short
 * anywhere is finished by the next.
 */
export class Maintenance {
  readonly #deps: MaintenanceDeps
  /** When each key that is due was first seen so, by the monotonic clock. */
  #dueSince = new Map<string, number>()

  constructor(deps: MaintenanceDeps) {
    this.#deps = deps
  }

  /**
   * One round over all keys.
   *
   * @param creatingBefore - Creations that began before then are given up. Milliseconds since the epoch.
   * @param signal - Ends the round after the key in hand.
   */
  async run(creatingBefore: number, signal?: AbortSignal): Promise<MaintenanceReport> {
    const round = new Round(this.#deps.store, signal)
    // First, so that what fails below is not tried twice in one round.
    await round.over('Deleting', (key) => this.#guard(key, () => this.#destroy(key)))
    await round.over('Creating', (key) =>
      this.#guard(key, async () => (key.createdAt < creatingBefore ? this.#settleCreation(key) : 'waiting')),
    )
    const due = new Map<string, number>()
    await round.over('PendingDeletion', (key) =>
      this.#guard(key, async () =>
        this.#isDue(key, due) ? this.#claimAndDestroy(key, 'destroyed') : 'waiting',
      ),
    )
    this.#dueSince = due
    await round.over('PendingReplicaDeletion', (key) => this.#guard(key, () => this.#beginWindow(key)))
    return round.report
  }

  async #guard(key: MasterKey, end: () => Promise<Outcome>): Promise<Outcome | 'token-failed'> {
    try {
      return await end()
    } catch (error) {
      const fields = { keyId: key.keyId, state: key.state, token: key.token, err: error }
      this.#deps.log.warn(fields, 'could not tend a key; the next round tries again')
      return isKmsError(error, 'TOKEN_UNAVAILABLE') || isKmsError(error, 'TOKEN_TIMEOUT')
        ? 'token-failed'
        : 'failed'
    }
  }

  #isDue(key: MasterKey, due: Map<string, number>): boolean {
    const { clock, destructionGraceMs, log } = this.#deps
    if (key.deletionAt === undefined || key.deletionAt > clock.now()) return false
    const id = `${key.region}/${key.keyId}`
    const since = this.#dueSince.get(id) ?? clock.monotonic()
    due.set(id, since)
    const leftMs = destructionGraceMs - (clock.monotonic() - since)
    if (leftMs <= 0) return true
    if (!this.#dueSince.has(id)) {
      log.warn({ keyId: key.keyId, leftMs }, 'a key will be destroyed: its deletion window has ended')
    }
    return false
  }

  async #settleCreation(key: MasterKey): Promise<Outcome> {
    const presence = await this.#presenceOf(key)
    if (presence === 'altered') {
      const fields = { keyId: key.keyId, token: key.token, hint: HINT_OF_ALTERED }
      this.#deps.log.error(
        fields,
        'could not finish the creation of a key that was cut short: its objects are altered',
      )
      return 'failed'
    }
    if (presence !== 'present') return this.#claimAndDestroy(key, 'rolledBack')
    const versions = await this.#withPublicKeys(key)
    const finished = await this.#replace({ ...key, versions, state: 'Enabled', revision: key.revision + 1 })
    if (!finished) return 'lost'
    this.#deps.log.info({ keyId: key.keyId }, 'finished the creation of a key that was cut short')
    return 'finished'
  }

  /** The versions of a key that are key pairs with their public keys, read from the token anew where they are not kept yet. */
  async #withPublicKeys(key: MasterKey): Promise<readonly KeyVersion[]> {
    if (!pairOfSpec(key.spec)) return key.versions
    const versions: KeyVersion[] = []
    for (const version of key.versions) {
      const options = { deadlineAt: Date.now() + TOKEN_CALL_TIMEOUT_MS }
      const publicKey =
        version.publicKey ??
        (await this.#deps.provider.readPublicKey(tokenRef(key, version), options)).toString('base64')
      versions.push({ ...version, publicKey })
    }
    return versions
  }

  async #presenceOf(key: MasterKey): Promise<MaterialPresence> {
    for (const version of key.versions) {
      const options = { deadlineAt: Date.now() + TOKEN_CALL_TIMEOUT_MS }
      const presence = await this.#deps.provider.findMasterKey(tokenRef(key, version), options)
      if (presence !== 'present') return presence
    }
    return 'present'
  }

  async #claimAndDestroy(key: MasterKey, outcome: 'destroyed' | 'rolledBack'): Promise<Outcome> {
    const { deletionAt: _, ...kept } = key
    const claimed: MasterKey = { ...kept, state: 'Deleting', revision: key.revision + 1 }
    // Somebody else was first: the key was cancelled, finished, or claimed by another process.
    if (!(await this.#replace(claimed))) return 'lost'
    await this.#destroy(claimed)
    return outcome
  }

  /** The window of a primary key begins when its last replica is gone (AWS KMS, "ScheduleKeyDeletion"). */
  async #beginWindow(key: MasterKey): Promise<Outcome> {
    const { deletionWindowDays = 0, ...kept } = key
    if (await hasReplicas(this.#deps.store, key)) return 'waiting'
    const deletionAt = this.#deps.clock.now() + deletionWindowDays * DAY_MS
    const begun: MasterKey = { ...kept, state: 'PendingDeletion', deletionAt, revision: key.revision + 1 }
    if (!(await this.#replace(begun))) return 'lost'
    this.#deps.log.info(
      { keyId: key.keyId, deletionAt },
      'the last replica is gone: the deletion window begins',
    )
    return 'waiting'
  }

  /** Regions of a multi-region key share its objects: the last that goes takes them along. */
  async #destroy(key: MasterKey): Promise<'destroyed'> {
    const siblings = await siblingsOf(this.#deps.store, key)
    if (siblings.every(({ state }) => state === 'Deleting')) await this.#destroyObjects(key)
    const { pendingVersion: _, ...kept } = key
    await this.#replace({ ...kept, state: 'Deleted', revision: key.revision + 1 })
    return 'destroyed'
  }

  async #destroyObjects(key: MasterKey): Promise<void> {
    const pending = pendingVersionOf(key)
    for (const version of pending ? [...key.versions, pending] : key.versions) {
      const options = { deadlineAt: Date.now() + TOKEN_CALL_TIMEOUT_MS }
      await this.#deps.provider.destroyMasterKey(tokenRef(key, version), options)
    }
    this.#deps.log.info({ keyId: key.keyId, token: key.token }, 'destroyed the objects of a key')
  }

  async #replace(key: MasterKey): Promise<boolean> {
    const stored = await this.#deps.store.replaceKey(key)
    await this.#deps.directory.keyChanged(key.region, key.keyId)
    return stored
  }
}

/** Walks the keys of a state page by page and counts what became of them. */
class Round {
  readonly #store: KeyStore
  readonly #signal: AbortSignal | undefined
  readonly #counts = { finished: 0, rolledBack: 0, destroyed: 0, failed: 0 }
  readonly #tokens = new TokenFailures()

  constructor(store: KeyStore, signal: AbortSignal | undefined) {
    this.#store = store
    this.#signal = signal
  }

  get report(): MaintenanceReport {
    return { ...this.#counts }
  }

  async over(state: KeyState, tend: (key: MasterKey) => Promise<Outcome | 'token-failed'>): Promise<void> {
    let after: { readonly region: string; readonly keyId: string } | undefined
    while (!this.#ended) {
      const page = await this.#store.listKeysInState(state, { after, limit: PAGE_ROWS })
      for (const key of page) {
        if (this.#ended) return
        if (this.#tokens.isAway(key.token)) continue
        const outcome = await tend(key)
        this.#tokens.count(key.token, outcome !== 'token-failed')
        this.#count(outcome)
      }
      const last = page.at(-1)
      if (!last || page.length < PAGE_ROWS) return
      after = { region: last.region, keyId: last.keyId }
    }
  }

  get #ended(): boolean {
    return this.#signal?.aborted === true
  }

  #count(outcome: Outcome | 'token-failed'): void {
    if (outcome === 'token-failed') this.#counts.failed += 1
    else if (outcome !== 'lost' && outcome !== 'waiting') this.#counts[outcome] += 1
  }
}
