import { createPublicKey, type KeyObject } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../lib/clock.ts'
import { type AccessPolicy, CLIENT_KEY_PREFIX, type ClientKey, USER_PERMISSION } from './client-key.ts'
import { FreshCache, type KeyDirectorySettings } from './key-directory.ts'
import type { AccessStore } from './ports/access-store.ts'

/** What a client key lets its owner do. */
export interface ClientCredential {
  readonly clientKeyId: string
  /** RSA of 2048 bits or more. */
  readonly publicKey: KeyObject
  readonly accountId: string
  /** Region whose keys it uses: the protocol names none. */
  readonly region: string
  /** Milliseconds since the epoch; valid from `notBefore` on and before `notAfter`. */
  readonly notBefore: number
  readonly notAfter: number
  /** Ids of the keys that it may use; every one of its account and region when absent. */
  readonly keyIds?: ReadonlySet<string>
}

export interface ClientKeyDirectoryDeps {
  readonly access: AccessStore
  readonly clock: Clock
  readonly cache: KeyDirectorySettings
  /** Client keys of the configuration, which no store has. */
  readonly configured: readonly ClientCredential[]
  /** Whether other processes hold rows of the same store. */
  readonly hasPeers: boolean
}

const EVERY_KEY = 'key/*'
const KEY_RESOURCE = 'key/'
/** Ages are whole milliseconds, and a timer may fire one early. */
const AGE_MARGIN_MS = 5

/**
 * Client keys by id, with what their access points allow, held in memory as rows of keys are. An acknowledged change is seen by
 * every process: other ones have read their rows anew by then.
 */
export class ClientKeyDirectory {
  readonly #deps: ClientKeyDirectoryDeps
  readonly #configured: ReadonlyMap<string, ClientCredential>
  #stored: FreshCache<ClientCredential>

  constructor(deps: ClientKeyDirectoryDeps) {
    this.#deps = deps
    this.#configured = new Map(deps.configured.map((credential) => [credential.clientKeyId, credential]))
    this.#stored = this.#newCache()
  }

  /** @throws {@link KmsError} `STORE_UNAVAILABLE` */
  find(clientKeyId: string): Promise<ClientCredential | undefined> {
    const configured = this.#configured.get(clientKeyId)
    if (configured) return Promise.resolve(configured)
    if (!clientKeyId.startsWith(CLIENT_KEY_PREFIX)) return Promise.resolve(undefined)
    return this.#stored.get(clientKeyId, () => this.#read(clientKeyId))
  }

  /** To be called, and waited for, after every change of a client key, an access point or a policy. */
  async changed(): Promise<void> {
    this.#stored = this.#newCache()
    if (this.#deps.hasPeers) await delay(this.#deps.cache.maxAgeMs + AGE_MARGIN_MS)
  }

  #newCache(): FreshCache<ClientCredential> {
    const { clock, cache } = this.#deps
    return new FreshCache(clock, cache.maxAgeMs, cache.entriesMax)
  }

  async #read(clientKeyId: string): Promise<ClientCredential | undefined> {
    const key = await this.#deps.access.getClientKey(clientKeyId)
    if (!key) return undefined
    const { accountId, region, notBefore, notAfter } = key
    const publicKey = createPublicKey({ key: key.publicKey, format: 'der', type: 'spki' })
    const keyIds = await this.#readScope(key)
    return { clientKeyId, publicKey, accountId, region, notBefore, notAfter, ...(keyIds && { keyIds }) }
  }

  /** What the policies of the access point allow together; `undefined` when that is every key. */
  async #readScope({ accountId, region, accessPoint }: ClientKey): Promise<ReadonlySet<string> | undefined> {
    const { access } = this.#deps
    const point = await access.getAccessPoint({ accountId, region, name: accessPoint })
    const names = point?.policies ?? []
    const policies = await Promise.all(
      names.map((name) => access.getAccessPolicy({ accountId, region, name })),
    )
    const resources = policies.flatMap((policy) => (policy && allowsUse(policy) ? policy.resources : []))
    if (resources.includes(EVERY_KEY)) return undefined
    const keys = resources.filter((resource) => resource.startsWith(KEY_RESOURCE))
    return new Set(keys.map((resource) => resource.slice(KEY_RESOURCE.length)))
  }
}

function allowsUse({ permissions }: AccessPolicy): boolean {
  return permissions.includes(USER_PERMISSION)
}
