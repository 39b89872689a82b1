import type { AccessPoint, AccessPolicy, ClientKey } from '../client-key.ts'

/** Names a policy or an access point. */
export interface AccessName {
  readonly accountId: string
  readonly region: string
  readonly name: string
}

/**
 * Where access points, their policies and their client keys are kept; docs/spec/store.md has each promise as a numbered clause.
 * What STO-1, STO-2, STO-17, STO-18 and STO-20 say of keys holds here as well. Every method may throw {@link KmsError}
 * `STORE_UNAVAILABLE`. An account has few of all these, so a listing is whole.
 */
export interface AccessStore {
  /**
   * @param max - How many the account may have in the region.
   * @throws {@link KmsError} `ALREADY_EXISTS`, `LIMIT_EXCEEDED`
   */
  createAccessPolicy(policy: AccessPolicy, max: number): Promise<void>
  getAccessPolicy(name: AccessName): Promise<AccessPolicy | undefined>
  /**
   * Changes a policy as it is at that moment: of two changes the second sees what the first did. Its name and when it was created
   * stay what they were.
   *
   * @param change - Gives the policy as it is to be, at once.
   * @returns `false`, and writes nothing, when there is none of that name.
   */
  changeAccessPolicy(name: AccessName, change: (before: AccessPolicy) => AccessPolicy): Promise<boolean>
  deleteAccessPolicy(name: AccessName): Promise<boolean>
  /** By the UTF-8 bytes of the names. */
  listAccessPolicies(accountId: string, region: string): Promise<readonly AccessPolicy[]>

  /** As {@link AccessStore.createAccessPolicy}. */
  createAccessPoint(point: AccessPoint, max: number): Promise<void>
  getAccessPoint(name: AccessName): Promise<AccessPoint | undefined>
  /** As {@link AccessStore.changeAccessPolicy}. */
  changeAccessPoint(name: AccessName, change: (before: AccessPoint) => AccessPoint): Promise<boolean>
  /** Takes its client keys along, in the same change. */
  deleteAccessPoint(name: AccessName): Promise<boolean>
  /** By the UTF-8 bytes of the names. */
  listAccessPoints(accountId: string, region: string): Promise<readonly AccessPoint[]>

  /**
   * @param max - How many the access point may have.
   * @returns `false`, and writes nothing, when there is no such access point.
   * @throws {@link KmsError} `ALREADY_EXISTS`, `LIMIT_EXCEEDED`
   */
  createClientKey(key: ClientKey, max: number): Promise<boolean>
  /** A client key of any account and region. */
  getClientKey(clientKeyId: string): Promise<ClientKey | undefined>
  /** `false` when the account has no such client key in the region. */
  deleteClientKey(accountId: string, region: string, clientKeyId: string): Promise<boolean>
  /** Those of one access point, by id. */
  listClientKeys(point: AccessName): Promise<readonly ClientKey[]>
}
