import type { AccessPoint, AccessPolicy, ClientKey } from '../core/client-key.ts'
import { KmsError } from '../core/errors.ts'
import type { AccessName, AccessStore } from '../core/ports/access-store.ts'
import * as access from './access-queries.ts'
import { isStorableText } from './check.ts'
import { checkAccessEntry, checkClientKey } from './check-access.ts'
import type { ConstraintMeanings } from './faults.ts'
import type { StoreDb } from './schema.ts'

/** How statements of a store are run. */
export interface StoreRunner {
  /** One statement, or several that need not be one. */
  run<T>(work: (db: StoreDb) => Promise<T>): Promise<T>
  /** A transaction. */
  change<T>(work: (db: StoreDb) => Promise<T>, meanings?: ConstraintMeanings): Promise<T>
}

const unique = () => new KmsError('ALREADY_EXISTS', 'There is one of this name already.', {})

/** The {@link AccessStore} over the tables of a key store. */
export class SqlAccessStore implements AccessStore {
  readonly #store: StoreRunner

  constructor(store: StoreRunner) {
    this.#store = store
  }

  async createAccessPolicy(policy: AccessPolicy, max: number): Promise<void> {
    checkAccessEntry(policy, [...policy.permissions, ...policy.resources, policy.instance ?? ''])
    await this.#store.change((db) => access.insertEntry(db, access.rowOfPolicy(policy), max), { unique })
  }

  async getAccessPolicy(name: AccessName): Promise<AccessPolicy | undefined> {
    if (!isStorable(name)) return undefined
    const row = await this.#store.run((db) => access.selectEntry(db, 'policy', name))
    return row && access.policyOfRow(row)
  }

  async changeAccessPolicy(
    name: AccessName,
    change: (before: AccessPolicy) => AccessPolicy,
  ): Promise<boolean> {
    return this.#changeEntry('policy', name, (row) => {
      const policy = change(access.policyOfRow(row))
      checkAccessEntry(policy, [...policy.permissions, ...policy.resources, policy.instance ?? ''])
      return access.rowOfPolicy(policy)
    })
  }

  async deleteAccessPolicy(name: AccessName): Promise<boolean> {
    return isStorable(name) && (await this.#store.run((db) => access.deleteEntry(db, 'policy', name)))
  }

  async listAccessPolicies(accountId: string, region: string): Promise<readonly AccessPolicy[]> {
    if (!isStorable({ accountId, region, name: '' })) return []
    const rows = await this.#store.run((db) => access.selectEntries(db, 'policy', accountId, region))
    return rows.map(access.policyOfRow)
  }

  async createAccessPoint(point: AccessPoint, max: number): Promise<void> {
    checkAccessEntry(point, point.policies)
    await this.#store.change((db) => access.insertEntry(db, access.rowOfPoint(point), max), { unique })
  }

  async getAccessPoint(name: AccessName): Promise<AccessPoint | undefined> {
    if (!isStorable(name)) return undefined
    const row = await this.#store.run((db) => access.selectEntry(db, 'point', name))
    return row && access.pointOfRow(row)
  }

  async changeAccessPoint(name: AccessName, change: (before: AccessPoint) => AccessPoint): Promise<boolean> {
    return this.#changeEntry('point', name, (row) => {
      const point = change(access.pointOfRow(row))
      checkAccessEntry(point, point.policies)
      return access.rowOfPoint(point)
    })
  }

  async deleteAccessPoint(name: AccessName): Promise<boolean> {
    return isStorable(name) && (await this.#store.change((db) => access.deletePoint(db, name)))
  }

  async listAccessPoints(accountId: string, region: string): Promise<readonly AccessPoint[]> {
    if (!isStorable({ accountId, region, name: '' })) return []
    const rows = await this.#store.run((db) => access.selectEntries(db, 'point', accountId, region))
    return rows.map(access.pointOfRow)
  }

  async createClientKey(key: ClientKey, max: number): Promise<boolean> {
    checkClientKey(key)
    return this.#store.change((db) => access.insertClientKey(db, key, max), { unique })
  }

  async getClientKey(clientKeyId: string): Promise<ClientKey | undefined> {
    if (!isStorableText(clientKeyId)) return undefined
    return this.#store.run((db) => access.selectClientKey(db, clientKeyId))
  }

  async deleteClientKey(accountId: string, region: string, clientKeyId: string): Promise<boolean> {
    if (!isStorable({ accountId, region, name: clientKeyId })) return false
    return this.#store.run((db) => access.deleteClientKeyById(db, accountId, region, clientKeyId))
  }

  async listClientKeys(point: AccessName): Promise<readonly ClientKey[]> {
    if (!isStorable(point)) return []
    return this.#store.run((db) => access.selectClientKeys(db, point))
  }

  async #changeEntry(
    kind: access.EntryKind,
    name: AccessName,
    change: (row: access.EntryRow) => Pick<access.EntryRow, 'description' | 'content'>,
  ): Promise<boolean> {
    if (!isStorable(name)) return false
    return this.#store.change(async (db) => {
      const row = await access.selectEntry(db, kind, name)
      return row !== undefined && (await access.updateEntry(db, kind, name, change(row)))
    })
  }
}

function isStorable({ accountId, region, name }: AccessName): boolean {
  return [accountId, region, name].every(isStorableText)
}
