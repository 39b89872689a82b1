import type { Grant, GrantPrincipal } from '../grant.ts'

/** A page of grants by grant id. */
interface GrantPage {
  readonly after?: string | undefined
  /** 1 to 1000. */
  readonly limit: number
}

/**
 * Grants of keys; docs/spec/store.md has each promise as a numbered clause.
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`.
 */
export interface GrantStore {
  /**
   * Stores a grant, unless its key has one with its fingerprint (STO-53).
   *
   * @param max - How many grants the key may have then.
   * @returns The grant that is there afterwards: `grant`, or the earlier one with its fingerprint; `undefined`, and nothing is
   *   written, when the key has `max` without it.
   * @throws {@link KmsError} `KEY_NOT_FOUND` when the region does not have the key, or has it in `Creating`, `Deleting` or
   *   `Deleted`; `ALREADY_EXISTS` when any key has that grant id; `REQUEST_INVALID` for text that cannot be kept (STO-17).
   */
  createGrant(grant: Grant, max: number): Promise<Grant | undefined>

  /** The grant of that id, whatever its account and region. */
  getGrant(grantId: string): Promise<Grant | undefined>

  /** `false` when the key has no such grant. */
  deleteGrant(region: string, keyId: string, grantId: string): Promise<boolean>

  /** Grants of a key, of one grantee where it is named, by grant id. */
  listGrants(
    region: string,
    keyId: string,
    grantee: GrantPrincipal | undefined,
    page: GrantPage,
  ): Promise<readonly Grant[]>

  /** Grants of an account's keys in a region that `retiring` may end, by grant id. */
  listRetirableGrants(
    accountId: string,
    region: string,
    retiring: GrantPrincipal,
    page: GrantPage,
  ): Promise<readonly Grant[]>
}
