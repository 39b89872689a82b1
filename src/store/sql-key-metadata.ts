import { KmsError } from '../core/errors.ts'
import type { Grant, GrantPrincipal } from '../core/grant.ts'
import type { Alias } from '../core/key.ts'
import type { CanaryStore } from '../core/ports/canary-store.ts'
import type { GrantStore } from '../core/ports/grant-store.ts'
import type { KeyStore, PageRequest } from '../core/ports/key-store.ts'
import type { KeyUse, KeyUseStore } from '../core/ports/key-use-store.ts'
import type { KeyPolicies, PolicyLanguage, PolicyStore } from '../core/ports/policy-store.ts'
import type { Tag, TagStore } from '../core/ports/tag-store.ts'
import * as aliases from './alias-queries.ts'
import * as attachments from './attachment-queries.ts'
import * as canaries from './canary-queries.ts'
import { checkAlias, checkCanary, checkPage, isStorableText } from './check.ts'
import { checkGrant, checkKeyUses, checkPolicy, checkTagKeys, checkTags } from './check-metadata.ts'
import type { ConstraintMeanings } from './faults.ts'
import * as grants from './grant-queries.ts'
import { requireVisibleKey } from './key-queries.ts'
import * as uses from './key-use-queries.ts'
import type { StoreDb } from './schema.ts'

/** More than a key ever has. */
const TAGS_READ_MAX = 1000

type AliasStore = Pick<KeyStore, 'createAlias' | 'getAlias' | 'updateAlias' | 'deleteAlias' | 'listAliases'>

interface Page {
  readonly after?: string | undefined
  readonly limit: number
}

/** What belongs to keys and is not of their rows: aliases, tags, policies, grants, canaries, and what they were last used for. */
export abstract class SqlKeyMetadata
  implements AliasStore, CanaryStore, TagStore, PolicyStore, GrantStore, KeyUseStore
{
  /** One statement, or several that need not be one. */
  protected abstract read<T>(work: (db: StoreDb) => Promise<T>): Promise<T>

  /** A transaction. */
  protected abstract change<T>(work: (db: StoreDb) => Promise<T>, meanings?: ConstraintMeanings): Promise<T>

  async createAlias(alias: Alias): Promise<void> {
    checkAlias(alias)
    const unique = () =>
      new KmsError('ALREADY_EXISTS', 'An alias with this name exists already.', { alias: alias.name })
    const foreignKey = () => aliases.aliasKeyNotFound(alias)
    await this.change((db) => aliases.insertAlias(db, alias), { unique, foreignKey })
  }

  async getAlias(accountId: string, region: string, name: string): Promise<Alias | undefined> {
    if (![accountId, region, name].every(isStorableText)) return undefined
    return this.read((db) => aliases.selectAlias(db, accountId, region, name))
  }

  async updateAlias(alias: Alias): Promise<boolean> {
    checkAlias(alias)
    const foreignKey = () => aliases.aliasKeyNotFound(alias)
    return this.change((db) => aliases.updateAliasTarget(db, alias), { foreignKey })
  }

  async deleteAlias(accountId: string, region: string, name: string): Promise<boolean> {
    if (![accountId, region, name].every(isStorableText)) return false
    return this.read((db) => aliases.deleteAliasByName(db, accountId, region, name))
  }

  async listAliases(
    accountId: string,
    region: string,
    keyId: string | undefined,
    page: PageRequest<string>,
  ): Promise<readonly Alias[]> {
    checkPage(page.limit, page.after ?? '')
    if (![accountId, region, keyId ?? ''].every(isStorableText)) return []
    return this.read((db) => aliases.selectAliases(db, accountId, region, keyId, page))
  }

  async putTags(region: string, keyId: string, tags: readonly Tag[], max: number): Promise<boolean> {
    checkTags(tags)
    requireKeyText(region, keyId)
    return this.change(async (db) => {
      await requireVisibleKey(db, region, keyId)
      const before = await attachments.selectTags(db, region, keyId, undefined, TAGS_READ_MAX)
      const after = new Set([...before, ...tags].map(({ key }) => key))
      if (after.size > max) return false
      await attachments.upsertTags(db, region, keyId, tags)
      return true
    })
  }

  async removeTags(region: string, keyId: string, tagKeys: readonly string[]): Promise<void> {
    const storable = checkTagKeys(tagKeys)
    if (storable.length === 0 || ![region, keyId].every(isStorableText)) return
    await this.read((db) => attachments.deleteTags(db, region, keyId, storable))
  }

  async listTags(region: string, keyId: string, page: Page): Promise<readonly Tag[]> {
    checkPage(page.limit, page.after ?? '')
    if (![region, keyId].every(isStorableText)) return []
    return this.read((db) => attachments.selectTags(db, region, keyId, page.after, page.limit))
  }

  async putKeyPolicy(region: string, keyId: string, language: PolicyLanguage, policy: string): Promise<void> {
    checkPolicy(policy)
    requireKeyText(region, keyId)
    await this.change(async (db) => {
      await requireVisibleKey(db, region, keyId)
      await attachments.upsertPolicy(db, region, keyId, language, policy)
    })
  }

  async getKeyPolicies(region: string, keyId: string): Promise<KeyPolicies> {
    if (![region, keyId].every(isStorableText)) return {}
    return this.read((db) => attachments.selectPolicies(db, region, keyId))
  }

  async createGrant(grant: Grant, max: number): Promise<Grant | undefined> {
    checkGrant(grant, max)
    const { keyId } = grant
    const unique = () => new KmsError('ALREADY_EXISTS', 'A grant with this id exists already.', { keyId })
    return this.change((db) => grants.insertGrant(db, grant, max), { unique })
  }

  async getGrant(grantId: string): Promise<Grant | undefined> {
    if (!isStorableText(grantId)) return undefined
    return this.read((db) => grants.selectGrant(db, grantId))
  }

  async deleteGrant(region: string, keyId: string, grantId: string): Promise<boolean> {
    if (![region, keyId, grantId].every(isStorableText)) return false
    return this.read((db) => grants.deleteGrantById(db, region, keyId, grantId))
  }

  async listGrants(
    region: string,
    keyId: string,
    grantee: GrantPrincipal | undefined,
    page: Page,
  ): Promise<readonly Grant[]> {
    checkPage(page.limit, page.after ?? '')
    if (![region, keyId, grantee?.name ?? ''].every(isStorableText)) return []
    return this.read((db) => grants.selectGrantsOfKey(db, region, keyId, grantee, page))
  }

  async listRetirableGrants(
    accountId: string,
    region: string,
    retiring: GrantPrincipal,
    page: Page,
  ): Promise<readonly Grant[]> {
    checkPage(page.limit, page.after ?? '')
    if (![accountId, region, retiring.name].every(isStorableText)) return []
    return this.read((db) => grants.selectRetirableGrants(db, accountId, region, retiring, page))
  }

  async putKeyUses(used: readonly KeyUse[]): Promise<void> {
    checkKeyUses(used)
    if (used.length > 0) await this.change((db) => uses.upsertKeyUses(db, used))
  }

  async getKeyUse(region: string, keyId: string): Promise<KeyUse | undefined> {
    if (![region, keyId].every(isStorableText)) return undefined
    return this.read((db) => uses.selectKeyUse(db, region, keyId))
  }

  async getCanary(versionId: string): Promise<string | undefined> {
    if (!isStorableText(versionId)) return undefined
    return this.read((db) => canaries.selectCanary(db, versionId))
  }

  async putCanary(versionId: string, canary: string): Promise<void> {
    checkCanary(versionId, canary)
    await this.change((db) => canaries.upsertCanary(db, versionId, canary))
  }

  async keyUsesSince(): Promise<number> {
    return this.read(uses.selectUsesSince)
  }
}

/** A key that no store can hold is not there. */
function requireKeyText(region: string, keyId: string): void {
  if ([region, keyId].every(isStorableText)) return
  throw new KmsError('KEY_NOT_FOUND', `Key '${keyId}' does not exist.`, { keyId })
}
