import type { Clock } from '../lib/clock.ts'
import { authorize } from './authorize/authorize.ts'
import { type AccessPoint, type AccessPolicy, CLIENT_KEY_PREFIX, type ClientKey } from './client-key.ts'
import type { ClientKeyDirectory } from './client-key-directory.ts'
import { KmsError } from './errors.ts'
import type { InFlightLimit } from './in-flight-limit.ts'
import type { Principal } from './key.ts'
import type { CallContext } from './kms-context.ts'
import type { AccessStore } from './ports/access-store.ts'
import type { ClientKeyIssuer } from './ports/client-key-issuer.ts'

export interface ClientAccessDeps {
  readonly access: AccessStore
  readonly directory: ClientKeyDirectory
  readonly issuer: ClientKeyIssuer
  /** Bounds the keys in the making. */
  readonly issues: InFlightLimit
  readonly clock: Clock
  /** A fresh random UUID, lower case. */
  readonly newId: () => string
}

export type PolicyInput = Pick<
  AccessPolicy,
  'name' | 'description' | 'permissions' | 'resources' | 'instance'
>
export type PointInput = Pick<AccessPoint, 'name' | 'description' | 'policies'>

/** A change of some members; those that are absent stay. */
export type Change<Input extends { readonly name: string }> = Pick<Input, 'name'> & {
  readonly [Member in keyof Omit<Input, 'name'>]?: Input[Member] | undefined
}

export interface ClientKeyInput {
  readonly accessPoint: string
  /** As {@link PASSWORD} has it. */
  readonly password: string
  /** Now when absent. Milliseconds since the epoch. */
  readonly notBefore?: number | undefined
  /** {@link LIFETIME_MS} after `notBefore` when absent. Milliseconds since the epoch. */
  readonly notAfter?: number | undefined
}

/** A client key as its owner gets it, once. */
export interface CreatedClientKey {
  readonly clientKey: ClientKey
  /** PKCS#12 under the password: the only copy of the private key. */
  readonly pkcs12: Buffer
}

/** How many of each an account may have in a region; client keys, an access point. */
const LIMITS = { policies: 100, points: 100, clientKeys: 10 } as const

const DAY_MS = 86_400_000
/** How long a client key is good for where nothing is said; at most twice as long. */
const LIFETIME_MS = 5 * 365 * DAY_MS

/** The last moment that certificates and answers have a form for: the end of the year 9999. */
const TIME_MAX = Date.UTC(10_000, 0) - 1

/** 8 to 64 of letters, digits and `~!@#$%^&*?_-`; of at least two of the four kinds (lower case, upper case, digits, signs). */
const PASSWORD = /^[A-Za-z0-9~!@#$%^&*?_-]{8,64}$/
const PASSWORD_KINDS = [/[a-z]/, /[A-Z]/, /[0-9]/, /[~!@#$%^&*?_-]/] as const

/**
 * Access points of the instance API, with their policies and client keys: who may use which keys there. Every method may throw
 * {@link KmsError} `ACCESS_DENIED` and `STORE_UNAVAILABLE`, and `ACCESS_ENTRY_NOT_FOUND` where it names something.
 */
export class ClientAccess {
  readonly #deps: ClientAccessDeps

  constructor(deps: ClientAccessDeps) {
    this.#deps = deps
  }

  /** @throws {@link KmsError} `ALREADY_EXISTS`, `LIMIT_EXCEEDED` */
  async createPolicy(context: CallContext, input: PolicyInput): Promise<AccessPolicy> {
    const policy = { ...homeOf(context, 'ManageClientAccess'), ...input, createdAt: this.#deps.clock.now() }
    await this.#deps.access.createAccessPolicy(policy, LIMITS.policies)
    await this.#deps.directory.changed()
    return policy
  }

  async getPolicy(context: CallContext, name: string): Promise<AccessPolicy> {
    const home = homeOf(context, 'ReadClientAccess')
    return (await this.#deps.access.getAccessPolicy({ ...home, name })) ?? notFound('policy', name)
  }

  async listPolicies(context: CallContext): Promise<readonly AccessPolicy[]> {
    const { accountId, region } = homeOf(context, 'ReadClientAccess')
    return this.#deps.access.listAccessPolicies(accountId, region)
  }

  async updatePolicy(context: CallContext, change: Change<PolicyInput>): Promise<void> {
    const home = homeOf(context, 'ManageClientAccess')
    const name = { ...home, name: change.name }
    const changed = await this.#deps.access.changeAccessPolicy(name, (before) => applied(before, change))
    await this.#deps.directory.changed()
    if (!changed) notFound('policy', change.name)
  }

  async deletePolicy(context: CallContext, name: string): Promise<void> {
    const home = homeOf(context, 'ManageClientAccess')
    const deleted = await this.#deps.access.deleteAccessPolicy({ ...home, name })
    await this.#deps.directory.changed()
    if (!deleted) notFound('policy', name)
  }

  /** @throws {@link KmsError} `ALREADY_EXISTS`, `LIMIT_EXCEEDED` */
  async createPoint(context: CallContext, input: PointInput): Promise<AccessPoint> {
    const point = { ...homeOf(context, 'ManageClientAccess'), ...input, createdAt: this.#deps.clock.now() }
    for (const name of input.policies) await this.getPolicy(context, name)
    await this.#deps.access.createAccessPoint(point, LIMITS.points)
    await this.#deps.directory.changed()
    return point
  }

  async getPoint(context: CallContext, name: string): Promise<AccessPoint> {
    const home = homeOf(context, 'ReadClientAccess')
    return (await this.#deps.access.getAccessPoint({ ...home, name })) ?? notFound('access point', name)
  }

  async listPoints(context: CallContext): Promise<readonly AccessPoint[]> {
    const { accountId, region } = homeOf(context, 'ReadClientAccess')
    return this.#deps.access.listAccessPoints(accountId, region)
  }

  async updatePoint(context: CallContext, change: Change<PointInput>): Promise<void> {
    const home = homeOf(context, 'ManageClientAccess')
    for (const name of change.policies ?? []) await this.getPolicy(context, name)
    const name = { ...home, name: change.name }
    const changed = await this.#deps.access.changeAccessPoint(name, (before) => applied(before, change))
    await this.#deps.directory.changed()
    if (!changed) notFound('access point', change.name)
  }

  /** Its client keys are good for nothing from then on. */
  async deletePoint(context: CallContext, name: string): Promise<void> {
    const home = homeOf(context, 'ManageClientAccess')
    const deleted = await this.#deps.access.deleteAccessPoint({ ...home, name })
    await this.#deps.directory.changed()
    if (!deleted) notFound('access point', name)
  }

  /**
   * @throws {@link KmsError} `REQUEST_INVALID` for a password or a time that is not as it must be, `LIMIT_EXCEEDED`,
   *   `ISSUER_BUSY`.
   */
  async createClientKey(context: CallContext, input: ClientKeyInput): Promise<CreatedClientKey> {
    const { access, clock, issuer, issues, newId } = this.#deps
    const home = homeOf(context, 'ManageClientAccess')
    const { accessPoint, password } = input
    await this.getPoint(context, accessPoint)
    if (!isPassword(password)) throw invalid('Password')
    const createdAt = clock.now()
    const { notBefore, notAfter } = requireLifetime(input, createdAt)
    // Making a key pair takes a while, so that one too many is refused before.
    const present = await access.listClientKeys({ ...home, name: accessPoint })
    if (present.length >= LIMITS.clientKeys) throw tooManyClientKeys()
    const clientKeyId = `${CLIENT_KEY_PREFIX}${newId()}`
    const request = { name: clientKeyId, password, notBefore, notAfter }
    const { publicKey, pkcs12 } = await issues.use(home.accountId, () => issuer.issue(request), issuerBusy)
    const clientKey = { ...home, clientKeyId, accessPoint, publicKey, createdAt, notBefore, notAfter }
    if (!(await access.createClientKey(clientKey, LIMITS.clientKeys))) notFound('access point', accessPoint)
    return { clientKey, pkcs12 }
  }

  async getClientKey(context: CallContext, clientKeyId: string): Promise<ClientKey> {
    const { accountId, region } = homeOf(context, 'ReadClientAccess')
    const key = await this.#deps.access.getClientKey(clientKeyId)
    // Whether another account has such a key is nothing to tell.
    return key?.accountId === accountId && key.region === region ? key : notFound('client key', clientKeyId)
  }

  async listClientKeys(context: CallContext, accessPoint: string): Promise<readonly ClientKey[]> {
    await this.getPoint(context, accessPoint)
    const home = homeOf(context, 'ReadClientAccess')
    return this.#deps.access.listClientKeys({ ...home, name: accessPoint })
  }

  async deleteClientKey(context: CallContext, clientKeyId: string): Promise<void> {
    const { accountId, region } = homeOf(context, 'ManageClientAccess')
    const deleted = await this.#deps.access.deleteClientKey(accountId, region, clientKeyId)
    await this.#deps.directory.changed()
    if (!deleted) notFound('client key', clientKeyId)
  }
}

function homeOf(
  { principal }: CallContext,
  action: 'ManageClientAccess' | 'ReadClientAccess',
): Pick<Principal, 'accountId' | 'region'> {
  authorize(principal, action)
  return { accountId: principal.accountId, region: principal.region }
}

/** `before` with those members of `change` that are there. */
function applied<Entry extends object>(before: Entry, change: object): Entry {
  const given = Object.entries(change).filter(([, value]) => value !== undefined)
  return { ...before, ...Object.fromEntries(given) }
}

function isPassword(text: string): boolean {
  return PASSWORD.test(text) && PASSWORD_KINDS.filter((kind) => kind.test(text)).length >= 2
}

function requireLifetime(input: ClientKeyInput, now: number) {
  const { notBefore = now, notAfter = notBefore + LIFETIME_MS } = input
  const ends = notAfter > now && notAfter > notBefore && notAfter <= TIME_MAX
  if (!ends || notAfter - notBefore > 2 * LIFETIME_MS) throw invalid('NotAfter')
  return { notBefore, notAfter }
}

function invalid(field: string): KmsError<'REQUEST_INVALID'> {
  return new KmsError('REQUEST_INVALID', `${field} is not as it must be.`, { field })
}

function issuerBusy(): KmsError<'ISSUER_BUSY'> {
  return new KmsError('ISSUER_BUSY', 'Too many client keys are being made at the same time.', {})
}

function tooManyClientKeys(): KmsError<'LIMIT_EXCEEDED'> {
  const message = `An access point has at most ${LIMITS.clientKeys} client keys.`
  return new KmsError('LIMIT_EXCEEDED', message, { limit: 'client keys' })
}

function notFound(kind: 'policy' | 'access point' | 'client key', name: string): never {
  throw new KmsError('ACCESS_ENTRY_NOT_FOUND', `There is no such ${kind}.`, { kind, name })
}
