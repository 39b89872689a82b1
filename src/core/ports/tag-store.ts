/** A label that the owner of a key put on it. */
export interface Tag {
  /** 1 to 128 characters. */
  readonly key: string
  /** At most 256 characters. */
  readonly value: string
}

/**
 * Tags of keys. A tag key is there once per key, told apart by its bytes.
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`, and those that write `REQUEST_INVALID` for text that cannot be
 * kept (STO-17).
 */
export interface TagStore {
  /**
   * Adds tags to those of a key, in place of those with the same tag key (STO-50).
   *
   * @param tags - 1 to 50, no tag key twice.
   * @param max - How many the key may have then.
   * @returns `false`, and writes nothing, when it would have more.
   * @throws {@link KmsError} `KEY_NOT_FOUND` when the region does not have the key, or has it in `Creating`, `Deleting` or `Deleted`.
   */
  putTags(region: string, keyId: string, tags: readonly Tag[], max: number): Promise<boolean>

  /** Takes tags away; those that are not there are none to take. */
  removeTags(region: string, keyId: string, tagKeys: readonly string[]): Promise<void>

  /** Tags of a key by the UTF-8 bytes of their tag keys. */
  listTags(
    region: string,
    keyId: string,
    page: { readonly after?: string | undefined; readonly limit: number },
  ): Promise<readonly Tag[]>
}
