import { isDeepStrictEqual } from 'node:util'
import { KmsError } from '../../src/core/errors.ts'
import type { Grant, GrantPrincipal } from '../../src/core/grant.ts'
import type { MasterKey } from '../../src/core/key.ts'
import type { GrantStore } from '../../src/core/ports/grant-store.ts'
import type { KeyAttachments } from '../../src/core/ports/key-store.ts'
import type { KeyUse, KeyUseStore } from '../../src/core/ports/key-use-store.ts'
import type { KeyPolicies, PolicyLanguage, PolicyStore } from '../../src/core/ports/policy-store.ts'
import type { Tag, TagStore } from '../../src/core/ports/tag-store.ts'
import { checkPage, isStorableText } from '../../src/store/check.ts'
import {
  checkGrant,
  checkKeyUses,
  checkPolicy,
  checkTagKeys,
  checkTags,
} from '../../src/store/check-metadata.ts'
import { cut } from './memory-pages.ts'

interface Page {
  readonly after?: string | undefined
  readonly limit: number
}

type KeyName = Pick<MasterKey, 'region' | 'keyId'>

/** What a key store keeps beside keys, in memory. */
export abstract class MemoryKeyMetadata implements TagStore, PolicyStore, GrantStore, KeyUseStore {
  readonly #tags = new Map<string, Map<string, string>>()
  readonly #policies = new Map<string, KeyPolicies>()
  readonly #uses = new Map<string, KeyUse>()
  #grants: Grant[] = []
  readonly #since = Date.now()

  protected abstract requireOpen(): void
  protected abstract hasVisible(region: string, keyId: string): boolean

  protected attach({ region, keyId }: KeyName, { tags = [], policies }: KeyAttachments): void {
    if (tags.length > 0)
      this.#tags.set(idOf(region, keyId), new Map(tags.map(({ key, value }) => [key, value])))
    if (policies) this.#policies.set(idOf(region, keyId), policies)
  }

  protected dropMetadataOf({ region, keyId }: KeyName): void {
    for (const kept of [this.#tags, this.#policies, this.#uses]) kept.delete(idOf(region, keyId))
    this.#grants = this.#grants.filter((grant) => grant.region !== region || grant.keyId !== keyId)
  }

  async putTags(region: string, keyId: string, tags: readonly Tag[], max: number): Promise<boolean> {
    this.requireOpen()
    checkTags(tags)
    this.#requireVisible(region, keyId)
    const added = tags.map(({ key, value }) => [key, value] as const)
    const after = new Map([...(this.#tags.get(idOf(region, keyId)) ?? []), ...added])
    if (after.size > max) return false
    this.#tags.set(idOf(region, keyId), after)
    return true
  }

  async removeTags(region: string, keyId: string, tagKeys: readonly string[]): Promise<void> {
    this.requireOpen()
    for (const key of checkTagKeys(tagKeys)) this.#tags.get(idOf(region, keyId))?.delete(key)
  }

  async listTags(region: string, keyId: string, page: Page): Promise<Tag[]> {
    this.requireOpen()
    checkPage(page.limit, page.after ?? '')
    const tags = [...(this.#tags.get(idOf(region, keyId)) ?? [])].map(([key, value]) => ({ key, value }))
    return pageOf(tags, ({ key }) => key, page)
  }

  async putKeyPolicy(region: string, keyId: string, language: PolicyLanguage, policy: string): Promise<void> {
    this.requireOpen()
    checkPolicy(policy)
    this.#requireVisible(region, keyId)
    this.#policies.set(idOf(region, keyId), {
      ...this.#policies.get(idOf(region, keyId)),
      [language]: policy,
    })
  }

  async getKeyPolicies(region: string, keyId: string): Promise<KeyPolicies> {
    this.requireOpen()
    return this.#policies.get(idOf(region, keyId)) ?? {}
  }

  async createGrant(grant: Grant, max: number): Promise<Grant | undefined> {
    this.requireOpen()
    checkGrant(grant, max)
    const { region, keyId, fingerprint } = grant
    this.#requireVisible(region, keyId)
    const ofKey = this.#grants.filter((other) => other.region === region && other.keyId === keyId)
    const earlier = ofKey.find((other) => fingerprint !== undefined && other.fingerprint === fingerprint)
    if (earlier) return structuredClone(earlier)
    if (ofKey.length >= max) return undefined
    if (this.#grants.some(({ grantId }) => grantId === grant.grantId))
      throw new KmsError('ALREADY_EXISTS', 'A grant with this id exists already.', { keyId })
    this.#grants.push(structuredClone(grant))
    return structuredClone(grant)
  }

  async getGrant(grantId: string): Promise<Grant | undefined> {
    this.requireOpen()
    return structuredClone(this.#grants.find((grant) => grant.grantId === grantId))
  }

  async deleteGrant(region: string, keyId: string, grantId: string): Promise<boolean> {
    this.requireOpen()
    const wanted = [region, keyId, grantId]
    const left = this.#grants.filter(
      (grant) => !isDeepStrictEqual([grant.region, grant.keyId, grant.grantId], wanted),
    )
    const deleted = left.length < this.#grants.length
    this.#grants = left
    return deleted
  }

  async listGrants(
    region: string,
    keyId: string,
    grantee: GrantPrincipal | undefined,
    page: Page,
  ): Promise<Grant[]> {
    this.requireOpen()
    checkPage(page.limit, page.after ?? '')
    const grants = this.#grants.filter(
      (grant) =>
        grant.region === region &&
        grant.keyId === keyId &&
        (!grantee || isDeepStrictEqual(grant.grantee, grantee)),
    )
    return pageOf(grants, ({ grantId }) => grantId, page)
  }

  async listRetirableGrants(
    accountId: string,
    region: string,
    retiring: GrantPrincipal,
    page: Page,
  ): Promise<Grant[]> {
    this.requireOpen()
    checkPage(page.limit, page.after ?? '')
    const grants = this.#grants.filter(
      (grant) =>
        grant.accountId === accountId &&
        grant.region === region &&
        isDeepStrictEqual(grant.retiring, retiring),
    )
    return pageOf(grants, ({ grantId }) => grantId, page)
  }

  async putKeyUses(uses: readonly KeyUse[]): Promise<void> {
    this.requireOpen()
    checkKeyUses(uses)
    for (const use of uses) {
      const id = idOf(use.region, use.keyId)
      const later = use.usedAt >= (this.#uses.get(id)?.usedAt ?? use.usedAt)
      if (later && this.hasVisible(use.region, use.keyId)) this.#uses.set(id, structuredClone(use))
    }
  }

  async getKeyUse(region: string, keyId: string): Promise<KeyUse | undefined> {
    this.requireOpen()
    return structuredClone(this.#uses.get(idOf(region, keyId)))
  }

  async keyUsesSince(): Promise<number> {
    this.requireOpen()
    return this.#since
  }

  #requireVisible(region: string, keyId: string): void {
    if ([region, keyId].every(isStorableText) && this.hasVisible(region, keyId)) return
    throw new KmsError('KEY_NOT_FOUND', `Key '${keyId}' does not exist.`, { keyId })
  }
}

function idOf(region: string, keyId: string): string {
  return JSON.stringify([region, keyId])
}

function pageOf<Row>(rows: readonly Row[], nameOf: (row: Row) => string, { after, limit }: Page): Row[] {
  return cut(rows, (row) => [nameOf(row)], after === undefined ? undefined : [after], limit)
}
