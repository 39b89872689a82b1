import { tokenRef } from '../../core/find-key.ts'
import type { KeyState, MasterKey } from '../../core/key.ts'
import type { KeyStore } from '../../core/ports/key-store.ts'
import type { HaPair } from './ha-pair.ts'
import type { CopyState } from './ha-proof.ts'
import type { ReplicaProofs } from './ha-proofs.ts'
import type { Pkcs11Provider } from './provider.ts'
import type { Pkcs11Log } from './settings.ts'

export interface HaProverParts {
  readonly name: string
  readonly primary: Pkcs11Provider
  readonly replica: Pkcs11Provider
  readonly pair: HaPair
  readonly proofs: ReplicaProofs
  readonly store: Pick<KeyStore, 'listKeysOfToken'>
  readonly log: Pkcs11Log
  /** Pause between rounds while a version is not proven, or the connections changed. Milliseconds. */
  readonly intervalMs: number
}

/** How many versions are in which state, as the last round found them. */
export type CopyCounts = Readonly<Record<CopyState, number>>

/** Versions whose material must be there to be used, now or when somebody enables the key or cancels its deletion. */
const STATES: readonly KeyState[] = ['Enabled', 'Disabled', 'PendingDeletion', 'PendingReplicaDeletion']
const PAGE_ROWS = 100
const WATCH_INTERVAL_MS = 500
/** Longer than a proof takes, so that one which takes its time is counted. */
const PROOF_WAIT_MS = 10_000
/** A round over very many keys is followed by a rest, so that rounds take a small share of the time. */
const REST_FACTOR = 10
/** Where everything was proven, keys that were made since wait at most so long. */
const WHOLE_ROUND_INTERVALS = 10

/**
 * Proves every version's copy ahead of its use, beside the requests and one at a time: so a failover finds them proven, the
 * canaries are in the store before the primary goes away, and operators see what is not copied yet.
 */
export class HaProver {
  readonly #parts: HaProverParts
  readonly #timer: NodeJS.Timeout
  readonly #stop = new AbortController()
  #round: Promise<void> = Promise.resolve()
  #running = false
  #dueAt = 0
  #restUntil = 0
  #created = 0
  /** The connections that the last round met. */
  #met = ''
  #counts: CopyCounts = { proven: 0, refused: 0, unproven: 0 }

  constructor(parts: HaProverParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.#tick(), WATCH_INTERVAL_MS)
    this.#timer.unref()
    this.#tick()
  }

  get counts(): CopyCounts {
    return this.#counts
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort()
    await this.#round
  }

  #tick(): void {
    const { primary, replica, pair } = this.#parts
    pair.watch()
    if (pair.created !== this.#created) {
      this.#created = pair.created
      this.#dueAt = Math.min(this.#dueAt, performance.now() + this.#parts.intervalMs / WHOLE_ROUND_INTERVALS)
    }
    if (this.#running || !(primary.available || replica.available)) return
    const now = performance.now()
    if (now < this.#restUntil || (this.#meets() === this.#met && now < this.#dueAt)) return
    this.#running = true
    this.#round = this.#run().finally(() => {
      this.#running = false
    })
  }

  #meets(): string {
    const { primary, replica } = this.#parts
    return [primary, replica].map((one) => `${one.generation}${one.available}`).join()
  }

  async #run(): Promise<void> {
    const { name, log, intervalMs } = this.#parts
    const before = this.#counts
    const startedAt = performance.now()
    this.#met = this.#meets()
    try {
      const counts = { proven: 0, refused: 0, unproven: 0 }
      for (const state of STATES) await this.#walk(state, counts)
      if (this.#stop.signal.aborted) return
      this.#counts = counts
      const same = (Object.keys(counts) as CopyState[]).every((one) => counts[one] === before[one])
      if (!same) log.info({ token: name, ...counts }, 'copies of keys in the replica')
    } catch (error) {
      log.warn({ token: name, err: error }, 'could not look for keys to prove; the next round tries again')
    }
    const whole = this.#counts.refused + this.#counts.unproven === 0
    const now = performance.now()
    this.#dueAt = now + intervalMs * (whole ? WHOLE_ROUND_INTERVALS : 1)
    this.#restUntil = now + REST_FACTOR * (now - startedAt)
  }

  async #walk(state: KeyState, counts: Record<CopyState, number>): Promise<void> {
    const { name, store } = this.#parts
    let after: { readonly region: string; readonly keyId: string } | undefined
    while (!this.#stop.signal.aborted) {
      const page = await store.listKeysOfToken(name, state, { after, limit: PAGE_ROWS })
      for (const key of page) await this.#proveKey(key, counts)
      const last = page.at(-1)
      if (!last || page.length < PAGE_ROWS) return
      after = { region: last.region, keyId: last.keyId }
    }
  }

  async #proveKey(key: MasterKey, counts: Record<CopyState, number>): Promise<void> {
    const { proofs } = this.#parts
    for (const version of key.versions) {
      if (this.#stop.signal.aborted) return
      // Neither token has objects of material that its owner is still to import, or took away.
      if (version.imported && version.imported.state !== 'Imported') continue
      const { state } = await proofs.prove(tokenRef(key, version), { deadlineAt: Date.now() + PROOF_WAIT_MS })
      counts[state] += 1
    }
  }
}
