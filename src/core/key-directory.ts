import type { Clock } from '../lib/clock.ts'
import type { Grant } from './grant.ts'
import { asOf } from './imported-material.ts'
import type { Alias, MasterKey } from './key.ts'
import type { KeyStore } from './ports/key-store.ts'
import type { KeyPolicies } from './ports/policy-store.ts'

export interface KeyDirectorySettings {
  /** How long a row may be used after it was read, so that other gateways' changes are seen. Milliseconds. */
  readonly maxAgeMs: number
  /** Rows of each kind that are kept; the oldest goes first. */
  readonly entriesMax: number
}

/** Names a row that changed. */
export interface ChangedRow {
  readonly kind: 'key' | 'alias' | 'policy' | 'grant'
  /** Region and key id of a key or a policy; account, region and name of an alias; id of a grant. */
  readonly parts: readonly string[]
}

/**
 * Tells other processes of one gateway that a row changed.
 *
 * @returns A promise that resolves when every one of them has called {@link KeyDirectory.forget}; it never rejects.
 */
export type TellPeers = (row: ChangedRow) => Promise<void>

/** Ages are whole milliseconds, and a timer may fire one early. */
const AGE_MARGIN_MS = 5

/**
 * The rows that requests need, held in memory: a request asks the store only for what is not cached and fresh.
 * A change made through this process is seen at once. Before it is acknowledged its peers have been told, or `maxAgeMs` have
 * passed, in which whoever could not be told has read the row anew: an acknowledged change is seen by every process.
 * Rows that are absent are not held.
 */
export class KeyDirectory {
  readonly #store: KeyStore
  readonly #clock: Clock
  readonly #maxAgeMs: number
  readonly #tellPeers: TellPeers | undefined
  readonly #keys: FreshCache<MasterKey>
  readonly #aliases: FreshCache<Alias>
  readonly #keyIdsByVersion: FreshCache<string>
  readonly #policies: FreshCache<KeyPolicies>
  readonly #grants: FreshCache<Grant>

  constructor(store: KeyStore, clock: Clock, settings: KeyDirectorySettings, tellPeers?: TellPeers) {
    this.#store = store
    this.#clock = clock
    this.#maxAgeMs = settings.maxAgeMs
    this.#tellPeers = tellPeers
    this.#keys = new FreshCache(clock, settings.maxAgeMs, settings.entriesMax)
    this.#aliases = new FreshCache(clock, settings.maxAgeMs, settings.entriesMax)
    this.#policies = new FreshCache(clock, settings.maxAgeMs, settings.entriesMax)
    this.#grants = new FreshCache(clock, settings.maxAgeMs, settings.entriesMax)
    // A version never moves to another key: what was read once holds for ever.
    this.#keyIdsByVersion = new FreshCache(clock, Number.POSITIVE_INFINITY, settings.entriesMax)
  }

  /** A key of a region as it is at this moment, tombstones included. */
  async getKey(region: string, keyId: string): Promise<MasterKey | undefined> {
    const key = await this.#keys.get(cacheKey(region, keyId), () => this.#store.getKey(region, keyId))
    return key && asOf(key, this.#clock.now())
  }

  /**
   * The key that a version belongs to, if `region` has it. `known` tells whether any region does. A version is in the row that
   * is returned: one that another process made since the row was read has its row read anew.
   */
  async getKeyByVersion(
    region: string,
    versionId: string,
  ): Promise<{ readonly known: boolean; readonly key: MasterKey | undefined }> {
    const keyId = await this.#keyIdsByVersion.get(versionId, () => this.#store.findKeyIdByVersion(versionId))
    if (keyId === undefined) return { known: false, key: undefined }
    const key = await this.getKey(region, keyId)
    if (!key || key.versions.some((version) => version.versionId === versionId)) return { known: true, key }
    this.forgetKey(region, keyId)
    return { known: true, key: await this.getKey(region, keyId) }
  }

  getAlias(accountId: string, region: string, name: string): Promise<Alias | undefined> {
    return this.#aliases.get(cacheKey(accountId, region, name), () =>
      this.#store.getAlias(accountId, region, name),
    )
  }

  /** The policies of a key; that a key has none of its own is held as well. */
  async getKeyPolicies(region: string, keyId: string): Promise<KeyPolicies> {
    const read = () => this.#store.getKeyPolicies(region, keyId)
    return (await this.#policies.get(cacheKey(region, keyId), read)) ?? {}
  }

  /** A grant of any account and region. */
  getGrant(grantId: string): Promise<Grant | undefined> {
    return this.#grants.get(grantId, () => this.#store.getGrant(grantId))
  }

  /** To be called before a key is read past the cache. */
  forgetKey(region: string, keyId: string): void {
    this.#keys.forget(cacheKey(region, keyId))
  }

  /** To be called, and waited for, after every change of a key and before anybody is told of it. */
  async keyChanged(region: string, keyId: string): Promise<void> {
    await this.#changed({ kind: 'key', parts: [region, keyId] })
  }

  /** To be called, and waited for, after every change of an alias and before anybody is told of it. */
  async aliasChanged(accountId: string, region: string, name: string): Promise<void> {
    await this.#changed({ kind: 'alias', parts: [accountId, region, name] })
  }

  /** To be called, and waited for, after every change of a key's policy and before anybody is told of it. */
  async policyChanged(region: string, keyId: string): Promise<void> {
    await this.#changed({ kind: 'policy', parts: [region, keyId] })
  }

  /** To be called, and waited for, after the end of a grant and before anybody is told of it. */
  async grantEnded(grantId: string): Promise<void> {
    await this.#changed({ kind: 'grant', parts: [grantId] })
  }

  /** A peer changed a row. */
  forget({ kind, parts }: ChangedRow): void {
    const caches = { key: this.#keys, alias: this.#aliases, policy: this.#policies, grant: this.#grants }
    caches[kind].forget(cacheKey(...parts))
  }

  async #changed(row: ChangedRow): Promise<void> {
    this.forget(row)
    if (!this.#tellPeers) return
    const { promise: aged, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#maxAgeMs + AGE_MARGIN_MS)
    await Promise.race([this.#tellPeers(row), aged])
    clearTimeout(timer)
  }
}

/** No part holds a NUL: region and account are configured names, key ids and aliases have a grammar. */
function cacheKey(...parts: readonly string[]): string {
  return parts.join('\0')
}

/** Values by key, each for at most `maxAgeMs`; concurrent misses of one key read once. */
export class FreshCache<Value> {
  readonly #clock: Clock
  readonly #maxAgeMs: number
  readonly #entriesMax: number
  readonly #entries = new Map<
    string,
    { readonly value: Promise<Value | undefined>; readonly readAt: number }
  >()

  constructor(clock: Clock, maxAgeMs: number, entriesMax: number) {
    this.#clock = clock
    this.#maxAgeMs = maxAgeMs
    this.#entriesMax = entriesMax
  }

  get(key: string, read: () => Promise<Value | undefined>): Promise<Value | undefined> {
    const now = this.#clock.now()
    const entry = this.#entries.get(key)
    // A clock set back must not keep a row for ever: an entry from the future is stale as well.
    if (entry && now >= entry.readAt && now - entry.readAt <= this.#maxAgeMs) return entry.value
    const fresh = { value: read(), readAt: now }
    this.#entries.delete(key)
    this.#entries.set(key, fresh)
    this.#evict()
    fresh.value.then(
      (value) => value === undefined && this.#drop(key, fresh),
      () => this.#drop(key, fresh),
    )
    return fresh.value
  }

  forget(key: string): void {
    this.#entries.delete(key)
  }

  #drop(key: string, entry: unknown): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key)
  }

  #evict(): void {
    if (this.#entries.size <= this.#entriesMax) return
    const oldest = this.#entries.keys().next().value
    if (oldest !== undefined) this.#entries.delete(oldest)
  }
}
