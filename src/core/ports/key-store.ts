import type { Alias, KeyState, MasterKey } from '../key.ts'
import type { CanaryStore } from './canary-store.ts'
import type { GrantStore } from './grant-store.ts'
import type { InvocationLedger } from './invocation-ledger.ts'
import type { KeyUseStore } from './key-use-store.ts'
import type { KeyPolicies, PolicyStore } from './policy-store.ts'
import type { Tag, TagStore } from './tag-store.ts'

/** A page of rows in ascending key order. A row that exists throughout a walk is seen exactly once, whatever is created meanwhile. */
export interface PageRequest<After> {
  /** Rows strictly after this one; from the start when absent. */
  readonly after?: After | undefined
  /** 1 to 1000. */
  readonly limit: number
}

/** Where a walk over the keys of all accounts and regions has come to. */
export interface KeyPlace {
  readonly region: string
  readonly keyId: string
}

/** What is stored beside a new key, in the same change. */
export interface KeyAttachments {
  /** At most 50, no tag key twice. */
  readonly tags?: readonly Tag[]
  /** At most one in each language. */
  readonly policies?: KeyPolicies
}

/** That keys name a token. */
export interface TokenUse {
  readonly token: string
  /** How many keys name it, in whatever state but `Deleted`. */
  readonly keys: number
  /** The first of them by id. */
  readonly keyId: string
}

/**
 * Where keys and aliases are kept; docs/spec/store.md has each promise as a numbered clause. A change is durable when its
 * promise resolves (STO-1), and all of it or none of it is seen (STO-2). Safe at any concurrency, several processes
 * included. Values are copied: what a caller does to them later does not reach the store (STO-20).
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`, and does so once the store was closed.
 *
 * Text with a NUL or a lone surrogate is kept nowhere (STO-17): a write, and the `after` of a page, that holds one throws
 * `REQUEST_INVALID`; a lookup, a listing and a removal by such text find nothing.
 *
 * These are bugs of the caller and throw {@link InvariantError}:
 * - a key that is not as core/key.ts has it: no version, versions not numbered from 1 in order, a primary version that is
 *   none of them, `deletionAt` in another state than `PendingDeletion`, a revision below 1, a `pendingVersion` that is one
 *   of the versions or in a state that has none, or that rotates a key which is not symmetric; a rotation schedule in a state
 *   or of a period that has none; a replica with a schedule or a `pendingVersion`;
 * - a time of a key or an alias that is not a whole number;
 * - a replacement that differs from the stored key in account, token, spec, usage, creation time or a stored version, or, of a key
 *   that is not symmetric, in the primary version;
 * - a page whose `limit` is not 1 to 1000.
 */
export interface KeyStore
  extends InvocationLedger,
    CanaryStore,
    TagStore,
    PolicyStore,
    GrantStore,
    KeyUseStore {
  /**
   * Stores a new key, in whatever state and at whatever revision it is, with its tags and its policy in the same change. A key id
   * is made in one region; others come to have it by {@link KeyStore.addReplica}, because versions belong to a key id whatever
   * the region.
   *
   * @throws {@link KmsError} `ALREADY_EXISTS` when any region has that key id, any key has one of the version ids, or
   *   `key` has one of them twice.
   */
  createKey(key: MasterKey, attachments?: KeyAttachments): Promise<void>

  /**
   * Stores the next revision of a primary key, as {@link KeyStore.replaceKey} does, and in the same change a replica of it
   * with tags and a policy of its own (STO-60, STO-58), in place of the tombstone of an earlier one.
   *
   * @param replica - Of another region, with the id, account, token, spec, usage and versions of the primary key.
   * @returns `false`, and writes nothing, when the primary key is at another revision.
   * @throws {@link KmsError} `ALREADY_EXISTS` when the region has a key of that id that is no tombstone.
   */
  addReplica(primary: MasterKey, replica: MasterKey, attachments?: KeyAttachments): Promise<boolean>

  /** Every key of an id, one per region that ever had it, by region; tombstones included. */
  listRegions(keyId: string): Promise<readonly MasterKey[]>

  /** The key in whatever state it is, tombstones included; `undefined` when the region has no such key. */
  getKey(region: string, keyId: string): Promise<MasterKey | undefined>

  /** Id of the key that a version belongs to, whatever its region and state; `undefined` when no key has it. */
  findKeyIdByVersion(versionId: string): Promise<string | undefined>

  /**
   * Stores `key` in place of the row whose revision is `key.revision - 1`. State `Deleted` takes the key's aliases,
   * tags, policy, grants and last use in this region along, in the same change (STO-8, STO-57). A version that is added, and
   * another primary version, are so in every region that has the key id, whose revisions grow with that (STO-61).
   *
   * @returns `false`, and writes nothing, when that row is not there (somebody else was first). What else is wrong with
   *   the change is not looked at then.
   * @throws {@link KmsError} `ALREADY_EXISTS` when an added version id is another key's, or the key's own already.
   */
  replaceKey(key: MasterKey): Promise<boolean>

  /** As {@link KeyStore.replaceKey} of each: all are stored, or none (STO-62). */
  replaceKeys(keys: readonly MasterKey[]): Promise<boolean>

  /** Keys of an account in a region, ordered by key id; `Creating`, `Deleting` and `Deleted` ones are left out. */
  listKeys(accountId: string, region: string, page: PageRequest<string>): Promise<readonly MasterKey[]>

  /** Keys of all accounts and regions in one state, ordered by (region, key id). Serves reconciliation and deletion. */
  listKeysInState(state: KeyState, page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]>

  /** Keys of all accounts and regions that have a `pendingVersion`, whatever their state, ordered by (region, key id). */
  listKeysInRotation(page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]>

  /**
   * Enabled keys of all accounts and regions, but for replicas, without a `pendingVersion` whose primary version had at least `leasedMin` GCM
   * invocations handed out, ordered by (region, key id).
   *
   * @param leasedMin - 1 or more.
   */
  listKeysToRotate(leasedMin: number, page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]>

  /**
   * Enabled keys of all accounts and regions without a `pendingVersion` whose rotation schedule is due at `dueBy` or before,
   * ordered by (region, key id) (STO-45). Replicas have no schedule.
   *
   * @param dueBy - Milliseconds since the epoch.
   */
  listKeysDueForRotation(dueBy: number, page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]>

  /**
   * Keys of all accounts and regions, but for `Deleting` and `Deleted` ones, with a version whose material is `Imported` and
   * expires at `expiresBy` or before, or is `Importing` or `Destroying` since `begunBy` or before, by (region, key id) (STO-46).
   */
  listKeysWithMaterialToEnd(
    when: { readonly expiresBy: number; readonly begunBy: number },
    page: PageRequest<KeyPlace>,
  ): Promise<readonly MasterKey[]>

  /** As {@link KeyStore.listKeysInState}, of the keys that name one token. */
  listKeysOfToken(token: string, state: KeyState, page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]>

  /** The tokens that keys name, tombstones left out, by the UTF-8 bytes of their names. */
  listTokens(): Promise<readonly TokenUse[]>

  /**
   * The key need not be of the alias's account: whoever names it for a caller sees to that.
   *
   * @throws {@link KmsError} `ALREADY_EXISTS` when the account and region have that alias, whatever its key. Otherwise
   *   `KEY_NOT_FOUND` when the region does not have the key, or has it in `Creating`, `Deleting` or `Deleted` at the
   *   moment of the change (STO-8). Otherwise `LIMIT_EXCEEDED` when the key has 50 aliases in the region.
   */
  createAlias(alias: Alias): Promise<void>

  /** `undefined` when the account has no such alias in the region. Names are told apart by their bytes. */
  getAlias(accountId: string, region: string, name: string): Promise<Alias | undefined>

  /**
   * Points an alias at another key and sets `updatedAt`; `createdAt` stays what it was, whatever `alias` says.
   *
   * @returns `false`, and writes nothing, when there is no such alias, whatever its key.
   * @throws {@link KmsError} `KEY_NOT_FOUND` when the alias is there but its new key is not, and `LIMIT_EXCEEDED` when the new key
   *   has as many others as it may have, as in {@link KeyStore.createAlias}.
   */
  updateAlias(alias: Alias): Promise<boolean>

  /** `false` when there is no such alias. The state of its key does not matter. */
  deleteAlias(accountId: string, region: string, name: string): Promise<boolean>

  /** Aliases of an account in a region, of one key where `keyId` is given, ordered by the UTF-8 bytes of the name. */
  listAliases(
    accountId: string,
    region: string,
    keyId: string | undefined,
    page: PageRequest<string>,
  ): Promise<readonly Alias[]>

  /** Proves with a committed write that the store answers and can be written to. */
  ping(): Promise<void>

  /** Resolves when what was asked for before is finished. May be called again. */
  close(): Promise<void>
}
