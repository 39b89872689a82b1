import type { AccessPoint, AccessPolicy, ClientKey } from '../../src/core/client-key.ts'
import { KmsError } from '../../src/core/errors.ts'
import type { AccessName, AccessStore } from '../../src/core/ports/access-store.ts'

interface Entry extends AccessName {
  readonly createdAt: number
}

const keyOf = ({ accountId, region, name }: AccessName) => JSON.stringify([accountId, region, name])
const isText = (...texts: readonly string[]) =>
  texts.every((text) => text.isWellFormed() && !text.includes('\0'))

/** Entries of one kind, copied in and out. */
class Entries<Row extends Entry> {
  readonly rows = new Map<string, Row>()

  create(row: Row, max: number): void {
    requireText(...textsOf(row))
    if (this.rows.has(keyOf(row)))
      throw new KmsError('ALREADY_EXISTS', 'There is one of this name already.', {})
    if (this.list(row.accountId, row.region).length >= max) throw limitExceeded()
    this.rows.set(keyOf(row), structuredClone(row))
  }

  get(name: AccessName): Row | undefined {
    return structuredClone(this.rows.get(keyOf(name)))
  }

  change(name: AccessName, change: (before: Row) => Row): boolean {
    const before = this.get(name)
    if (!before) return false
    const { accountId, region, createdAt } = before
    const row = { ...structuredClone(change(before)), accountId, region, name: name.name, createdAt }
    requireText(...textsOf(row))
    this.rows.set(keyOf(name), row)
    return true
  }

  list(accountId: string, region: string): Row[] {
    return [...this.rows.values()]
      .filter((row) => row.accountId === accountId && row.region === region)
      .toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
      .map((row) => structuredClone(row))
  }
}

/** The {@link AccessStore} in memory. */
export class MemoryAccessStore implements AccessStore {
  readonly #policies = new Entries<AccessPolicy>()
  readonly #points = new Entries<AccessPoint>()
  readonly #clientKeys = new Map<string, ClientKey>()

  async createAccessPolicy(policy: AccessPolicy, max: number): Promise<void> {
    this.#policies.create(policy, max)
  }

  async getAccessPolicy(name: AccessName): Promise<AccessPolicy | undefined> {
    return this.#policies.get(name)
  }

  async changeAccessPolicy(
    name: AccessName,
    change: (before: AccessPolicy) => AccessPolicy,
  ): Promise<boolean> {
    return this.#policies.change(name, change)
  }

  async deleteAccessPolicy(name: AccessName): Promise<boolean> {
    return this.#policies.rows.delete(keyOf(name))
  }

  async listAccessPolicies(accountId: string, region: string): Promise<readonly AccessPolicy[]> {
    return this.#policies.list(accountId, region)
  }

  async createAccessPoint(point: AccessPoint, max: number): Promise<void> {
    this.#points.create(point, max)
  }

  async getAccessPoint(name: AccessName): Promise<AccessPoint | undefined> {
    return this.#points.get(name)
  }

  async changeAccessPoint(name: AccessName, change: (before: AccessPoint) => AccessPoint): Promise<boolean> {
    return this.#points.change(name, change)
  }

  async deleteAccessPoint(name: AccessName): Promise<boolean> {
    for (const key of await this.listClientKeys(name)) this.#clientKeys.delete(key.clientKeyId)
    return this.#points.rows.delete(keyOf(name))
  }

  async listAccessPoints(accountId: string, region: string): Promise<readonly AccessPoint[]> {
    return this.#points.list(accountId, region)
  }

  async createClientKey(key: ClientKey, max: number): Promise<boolean> {
    const { accountId, region, accessPoint: name, clientKeyId } = key
    requireText(accountId, region, name, clientKeyId)
    const point = { accountId, region, name }
    if (!this.#points.get(point)) return false
    if (this.#clientKeys.has(clientKeyId)) {
      throw new KmsError('ALREADY_EXISTS', 'There is one of this name already.', {})
    }
    if ((await this.listClientKeys(point)).length >= max) throw limitExceeded()
    this.#clientKeys.set(clientKeyId, copyOf(key))
    return true
  }

  async getClientKey(clientKeyId: string): Promise<ClientKey | undefined> {
    const key = this.#clientKeys.get(clientKeyId)
    return key && copyOf(key)
  }

  async deleteClientKey(accountId: string, region: string, clientKeyId: string): Promise<boolean> {
    const key = this.#clientKeys.get(clientKeyId)
    if (key?.accountId !== accountId || key.region !== region) return false
    return this.#clientKeys.delete(clientKeyId)
  }

  async listClientKeys({ accountId, region, name }: AccessName): Promise<readonly ClientKey[]> {
    return [...this.#clientKeys.values()]
      .filter((key) => key.accountId === accountId && key.region === region && key.accessPoint === name)
      .toSorted((a, b) => (a.clientKeyId < b.clientKeyId ? -1 : 1))
      .map(copyOf)
  }
}

function copyOf(key: ClientKey): ClientKey {
  return { ...key, publicKey: Buffer.from(key.publicKey) }
}

function textsOf(row: Entry): string[] {
  return Object.values(row)
    .flat()
    .filter((value) => typeof value === 'string')
}

function requireText(...texts: readonly string[]): void {
  if (!isText(...texts)) throw new KmsError('REQUEST_INVALID', 'The text cannot be kept.', { field: 'text' })
}

function limitExceeded(): KmsError<'LIMIT_EXCEEDED'> {
  return new KmsError('LIMIT_EXCEEDED', 'There are as many as there may be.', { limit: 'entries' })
}
