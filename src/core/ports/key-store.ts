import type { Alias, KeyState, MasterKey } from '../key.ts'

/** A page of rows in ascending key order. A row that exists throughout a walk is seen exactly once, whatever is created meanwhile. */
export interface PageRequest<After> {
  /** Rows strictly after this one; from the start when absent. */
  readonly after?: After | undefined
  /** 1 to 1000. */
  readonly limit: number
}

/**
 * Where keys and aliases are kept. Every method may throw {@link KmsError} `STORE_UNAVAILABLE`. A change is durable when
 * its promise resolves (STO-1), and all of it or none of it is seen (STO-2). Safe at any concurrency, several processes
 * included.
 */
export interface KeyStore {
  /** @throws {@link KmsError} `ALREADY_EXISTS` when the region has that key id or any key has one of the version ids. */
  createKey(key: MasterKey): Promise<void>

  /** `undefined` when the region has no such key, whatever its state otherwise; tombstones are returned. */
  getKey(region: string, keyId: string): Promise<MasterKey | undefined>

  /** The key that a version belongs to, in the region if it is there. */
  findKeyIdByVersion(versionId: string): Promise<string | undefined>

  /**
   * Stores `key` in place of the row whose revision is `key.revision - 1`. State `Deleted` takes the key's aliases in
   * this region along, in the same change (STO-8).
   *
   * @returns `false`, and writes nothing, when that row is not there (somebody else was first).
   */
  replaceKey(key: MasterKey): Promise<boolean>

  /** Keys of an account in a region, ordered by key id; `Creating`, `Deleting` and `Deleted` ones are left out. */
  listKeys(accountId: string, region: string, page: PageRequest<string>): Promise<readonly MasterKey[]>

  /** Keys of all accounts and regions in one state, ordered by (region, key id). Serves reconciliation and deletion. */
  listKeysInState(
    state: KeyState,
    page: PageRequest<{ readonly region: string; readonly keyId: string }>,
  ): Promise<readonly MasterKey[]>

  /**
   * @throws {@link KmsError} `ALREADY_EXISTS` when the account and region have that alias.
   *   `KEY_NOT_FOUND` when the key is not there, or is `Creating`, `Deleting` or `Deleted` at the moment of the change.
   */
  createAlias(alias: Alias): Promise<void>

  getAlias(accountId: string, region: string, name: string): Promise<Alias | undefined>

  /**
   * Points an alias at another key. `false` when there is no such alias.
   *
   * @throws {@link KmsError} `KEY_NOT_FOUND` as {@link KeyStore.createAlias} does.
   */
  updateAlias(alias: Alias): Promise<boolean>

  /** `false` when there is no such alias. */
  deleteAlias(accountId: string, region: string, name: string): Promise<boolean>

  /** Aliases of an account in a region, of one key where `keyId` is given, ordered by the UTF-8 bytes of the name. */
  listAliases(
    accountId: string,
    region: string,
    keyId: string | undefined,
    page: PageRequest<string>,
  ): Promise<readonly Alias[]>

  /** Proves that the store answers and can be written to. */
  ping(): Promise<void>

  close(): Promise<void>
}
