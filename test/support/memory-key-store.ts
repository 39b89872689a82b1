import { isDeepStrictEqual } from 'node:util'
import { ALIASES_PER_KEY_MAX, tooManyAliases } from '../../src/core/alias.ts'
import { KmsError } from '../../src/core/errors.ts'
import type { Alias, KeyState, KeyVersion, MasterKey } from '../../src/core/key.ts'
import type { InvocationBlock } from '../../src/core/ports/invocation-ledger.ts'
import type {
  KeyAttachments,
  KeyPlace,
  KeyStore,
  PageRequest,
  TokenUse,
} from '../../src/core/ports/key-store.ts'
import { invariant } from '../../src/lib/invariant.ts'
import {
  checkAlias,
  checkCanary,
  checkCount,
  checkKey,
  checkLease,
  checkPage,
  checkReplacement,
  checkReplica,
  checkTime,
} from '../../src/store/check.ts'
import { checkAttachments } from '../../src/store/check-metadata.ts'
import { MemoryImportStore } from './memory-import-store.ts'
import { MemoryKeyMetadata } from './memory-key-metadata.ts'
import { compare, cut } from './memory-pages.ts'

/** Of keys in these, callers are not to learn. */
const HIDDEN: readonly KeyState[] = ['Creating', 'Deleting', 'Deleted']

/** The {@link KeyStore} contract in memory: what goes in and what comes out are copies. */
export class MemoryKeyStore extends MemoryKeyMetadata implements KeyStore {
  readonly imports = new MemoryImportStore(() => this.#requireOpen())
  readonly #keys: MasterKey[] = []
  readonly #aliases: Alias[] = []
  readonly #leased = new Map<string, number>()
  readonly #canaries = new Map<string, string>()
  #closed = false

  async createKey(key: MasterKey, attachments: KeyAttachments = {}): Promise<void> {
    this.#requireOpen()
    checkKey(key)
    checkAttachments(attachments)
    // Versions belong to a key id whatever the region, so a key id is made once.
    if (this.#keys.some((other) => other.keyId === key.keyId) || this.#versionsTaken(key))
      throw keyExists(key)
    this.#keys.push(structuredClone(key))
    this.attach(key, attachments)
  }

  async addReplica(
    primary: MasterKey,
    replica: MasterKey,
    attachments: KeyAttachments = {},
  ): Promise<boolean> {
    this.#requireOpen()
    for (const key of [primary, replica]) checkKey(key)
    checkAttachments(attachments)
    checkReplica(primary, replica)
    const index = this.#keyIndex(replica.region, replica.keyId)
    const there = this.#keys[index]
    const before = this.#keys[this.#keyIndex(primary.region, primary.keyId)]
    if (before?.revision !== primary.revision - 1) return false
    checkReplacement(before, primary)
    if (there && there.state !== 'Deleted') throw keyExists(replica)
    if (!(await this.replaceKey(primary))) return false
    if (there) this.#keys.splice(index, 1)
    this.#keys.push(structuredClone(replica))
    this.attach(replica, attachments)
    return true
  }

  async listRegions(keyId: string): Promise<MasterKey[]> {
    this.#requireOpen()
    const rows = this.#keys.filter((key) => key.keyId === keyId)
    return cut(rows, (key) => [key.region], undefined, rows.length)
  }

  async replaceKeys(changed: readonly MasterKey[]): Promise<boolean> {
    this.#requireOpen()
    for (const key of changed) checkKey(key)
    const kept = structuredClone(this.#keys)
    const takeBack = () => this.#keys.splice(0, this.#keys.length, ...kept)
    try {
      if (!changed.every((key) => this.#replace(key))) {
        takeBack()
        return false
      }
    } catch (error) {
      takeBack()
      throw error
    }
    for (const key of changed) this.#dropOfTombstone(key)
    return true
  }

  async getKey(region: string, keyId: string): Promise<MasterKey | undefined> {
    this.#requireOpen()
    return structuredClone(this.#keys[this.#keyIndex(region, keyId)])
  }

  async findKeyIdByVersion(versionId: string): Promise<string | undefined> {
    this.#requireOpen()
    return this.#keys.find((key) => key.versions.some((version) => version.versionId === versionId))?.keyId
  }

  async replaceKey(key: MasterKey): Promise<boolean> {
    this.#requireOpen()
    checkKey(key)
    if (!this.#replace(key)) return false
    this.#dropOfTombstone(key)
    return true
  }

  #replace(key: MasterKey): boolean {
    const index = this.#keyIndex(key.region, key.keyId)
    const before = this.#keys[index]
    if (before?.revision !== key.revision - 1) return false
    checkReplacement(before, key)
    if (this.#versionsTaken(key)) throw keyExists(key)
    this.#keys[index] = structuredClone(key)
    this.#shareVersions(before, key)
    return true
  }

  /** Apart from the replacement: what another key's makes fail is taken back whole. */
  #dropOfTombstone(key: MasterKey): void {
    if (key.state !== 'Deleted') return
    this.#dropAliasesOf(key)
    this.dropMetadataOf(key)
  }

  async listKeys(accountId: string, region: string, page: PageRequest<string>): Promise<MasterKey[]> {
    this.#requireOpen()
    checkPage(page.limit, page.after ?? '')
    const keys = this.#keys.filter((key) => key.accountId === accountId && key.region === region)
    const listed = keys.filter((key) => !HIDDEN.includes(key.state))
    return cut(listed, (key) => [key.keyId], page.after === undefined ? undefined : [page.after], page.limit)
  }

  async listKeysInState(state: KeyState, page: PageRequest<KeyPlace>): Promise<MasterKey[]> {
    return this.#page((key) => key.state === state, page)
  }

  async listKeysInRotation(page: PageRequest<KeyPlace>): Promise<MasterKey[]> {
    return this.#page((key) => key.pendingVersion !== undefined, page)
  }

  async listKeysToRotate(leasedMin: number, page: PageRequest<KeyPlace>): Promise<MasterKey[]> {
    const due = (key: MasterKey) =>
      key.state === 'Enabled' &&
      key.pendingVersion === undefined &&
      key.multiRegion !== 'REPLICA' &&
      (this.#leased.get(key.primaryVersionId) ?? 0) >= leasedMin
    return this.#page(due, page, leasedMin)
  }

  async listKeysDueForRotation(dueBy: number, page: PageRequest<KeyPlace>): Promise<MasterKey[]> {
    this.#requireOpen()
    checkPage(page.limit, page.after?.region ?? '', page.after?.keyId ?? '')
    checkTime(dueBy)
    const due = ({ state, pendingVersion, rotationSchedule }: MasterKey) =>
      state === 'Enabled' &&
      !pendingVersion &&
      rotationSchedule !== undefined &&
      rotationSchedule.nextAt <= dueBy
    return this.#page(due, page)
  }

  async listKeysWithMaterialToEnd(
    { expiresBy, begunBy }: { readonly expiresBy: number; readonly begunBy: number },
    page: PageRequest<KeyPlace>,
  ): Promise<MasterKey[]> {
    this.#requireOpen()
    checkPage(page.limit, page.after?.region ?? '', page.after?.keyId ?? '')
    for (const time of [expiresBy, begunBy]) checkTime(time)
    const due = ({ imported }: KeyVersion) => {
      if (!imported) return false
      if (imported.state === 'Imported')
        return imported.expiresAt !== undefined && imported.expiresAt <= expiresBy
      return imported.state !== 'PendingImport' && imported.since <= begunBy
    }
    const living = ({ state }: MasterKey) => state !== 'Deleting' && state !== 'Deleted'
    return this.#page((key) => living(key) && key.versions.some(due), page)
  }

  #page(
    wanted: (key: MasterKey) => boolean,
    { after, limit }: PageRequest<KeyPlace>,
    count = 1,
  ): MasterKey[] {
    this.#requireOpen()
    const path = after && [after.region, after.keyId]
    checkPage(limit, ...(path ?? []))
    checkCount(count)
    return cut(this.#keys.filter(wanted), (key) => [key.region, key.keyId], path, limit)
  }

  async listKeysOfToken(token: string, state: KeyState, page: PageRequest<KeyPlace>): Promise<MasterKey[]> {
    return this.#page((key) => key.state === state && key.token === token, page)
  }

  async listTokens(): Promise<TokenUse[]> {
    this.#requireOpen()
    const living = this.#keys.filter(({ state }) => state !== 'Deleted')
    const names = [...new Set(living.map(({ token }) => token))].toSorted((a, b) => compare([a], [b]))
    return names.map((token) => {
      const ids = living.filter((key) => key.token === token).map(({ keyId }) => keyId)
      const [keyId = ''] = ids.toSorted((a, b) => compare([a], [b]))
      return { token, keys: ids.length, keyId }
    })
  }

  async createAlias(alias: Alias): Promise<void> {
    this.#requireOpen()
    checkAlias(alias)
    if (this.#aliasIndex(alias.accountId, alias.region, alias.name) >= 0)
      throw new KmsError('ALREADY_EXISTS', 'An alias with this name exists already.', { alias: alias.name })
    this.#requireKeyOf(alias)
    this.#requireRoom(alias)
    this.#aliases.push(structuredClone(alias))
  }

  async getAlias(accountId: string, region: string, name: string): Promise<Alias | undefined> {
    this.#requireOpen()
    return structuredClone(this.#aliases[this.#aliasIndex(accountId, region, name)])
  }

  async updateAlias(alias: Alias): Promise<boolean> {
    this.#requireOpen()
    checkAlias(alias)
    const index = this.#aliasIndex(alias.accountId, alias.region, alias.name)
    const before = this.#aliases[index]
    if (!before) return false
    this.#requireKeyOf(alias)
    if (before.keyId !== alias.keyId) this.#requireRoom(alias)
    this.#aliases[index] = { ...before, keyId: alias.keyId, updatedAt: alias.updatedAt }
    return true
  }

  async deleteAlias(accountId: string, region: string, name: string): Promise<boolean> {
    this.#requireOpen()
    const index = this.#aliasIndex(accountId, region, name)
    if (index >= 0) this.#aliases.splice(index, 1)
    return index >= 0
  }

  async listAliases(
    accountId: string,
    region: string,
    keyId: string | undefined,
    page: PageRequest<string>,
  ): Promise<Alias[]> {
    this.#requireOpen()
    checkPage(page.limit, page.after ?? '')
    const aliases = this.#aliases.filter(
      (alias) =>
        alias.accountId === accountId &&
        alias.region === region &&
        (keyId === undefined || alias.keyId === keyId),
    )
    const after = page.after === undefined ? undefined : [page.after]
    return cut(aliases, (alias) => [alias.name], after, page.limit)
  }

  async leaseInvocations(versionId: string, count: number, max: number): Promise<InvocationBlock> {
    this.#requireOpen()
    checkLease(versionId, count, max)
    const known = this.#keys.some(({ versions }) =>
      versions.some((version) => version.versionId === versionId),
    )
    invariant(known, 'invocations are of a version')
    const first = this.#leased.get(versionId) ?? 0
    const given = Math.max(0, Math.min(count, max - first))
    this.#leased.set(versionId, first + given)
    return { first, count: given }
  }

  async mostLeased(): Promise<number> {
    this.#requireOpen()
    const inUse = this.#keys.filter(({ state }) => state === 'Enabled')
    return Math.max(0, ...inUse.map((key) => this.#leased.get(key.primaryVersionId) ?? 0))
  }

  async getCanary(versionId: string): Promise<string | undefined> {
    this.#requireOpen()
    return this.#canaries.get(versionId)
  }

  async putCanary(versionId: string, canary: string): Promise<void> {
    this.#requireOpen()
    checkCanary(versionId, canary)
    const ids = this.#keys.flatMap(({ versions }) => versions.map((version) => version.versionId))
    invariant(ids.includes(versionId), 'a canary is of a version')
    this.#canaries.set(versionId, canary)
  }

  async ping(): Promise<void> {
    this.#requireOpen()
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  protected override requireOpen(): void {
    this.#requireOpen()
  }

  protected override hasVisible(region: string, keyId: string): boolean {
    const key = this.#keys[this.#keyIndex(region, keyId)]
    return key !== undefined && !HIDDEN.includes(key.state)
  }

  #requireOpen(): void {
    if (this.#closed) throw new KmsError('STORE_UNAVAILABLE', 'The key store is not available.', {})
  }

  #keyIndex(region: string, keyId: string): number {
    return this.#keys.findIndex((key) => key.region === region && key.keyId === keyId)
  }

  #aliasIndex(accountId: string, region: string, name: string): number {
    const wanted = [accountId, region, name]
    return this.#aliases.findIndex((alias) =>
      isDeepStrictEqual([alias.accountId, alias.region, alias.name], wanted),
    )
  }

  #requireRoom({ region, keyId }: Alias): void {
    const there = this.#aliases.filter((alias) => alias.region === region && alias.keyId === keyId)
    if (there.length >= ALIASES_PER_KEY_MAX) throw tooManyAliases()
  }

  #requireKeyOf(alias: Alias): void {
    const key = this.#keys[this.#keyIndex(alias.region, alias.keyId)]
    if (key && !HIDDEN.includes(key.state)) return
    throw new KmsError('KEY_NOT_FOUND', 'The key of this alias does not exist.', { keyId: alias.keyId })
  }

  /** Versions, and which of them is the primary one, are the same in every region. */
  #shareVersions(before: MasterKey, { region, keyId, versions, primaryVersionId }: MasterKey): void {
    if (before.versions.length === versions.length && before.primaryVersionId === primaryVersionId) return
    for (const [index, key] of this.#keys.entries()) {
      if (key.keyId !== keyId || key.region === region) continue
      const shared = structuredClone({ versions, primaryVersionId })
      this.#keys[index] = { ...key, ...shared, revision: key.revision + 1 }
    }
  }

  #dropAliasesOf({ region, keyId }: MasterKey): void {
    const others = this.#aliases.filter((alias) => alias.region !== region || alias.keyId !== keyId)
    this.#aliases.splice(0, this.#aliases.length, ...others)
  }

  /** Whether a version id of `key` is another key's, or is there twice. */
  #versionsTaken(key: MasterKey): boolean {
    const ids = key.versions.map((version) => version.versionId)
    const others = this.#keys.filter((other) => other.keyId !== key.keyId)
    const taken = new Set(others.flatMap((other) => other.versions.map((version) => version.versionId)))
    return new Set(ids).size < ids.length || ids.some((id) => taken.has(id))
  }
}

function keyExists(key: MasterKey): KmsError<'ALREADY_EXISTS'> {
  return new KmsError('ALREADY_EXISTS', 'A key with this id or version exists already.', { keyId: key.keyId })
}
