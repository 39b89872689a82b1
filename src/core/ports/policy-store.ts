/**
 * The policy of a key, as it was written. A key without one has the default policy of its protocol.
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`.
 */
export interface PolicyStore {
  /**
   * Keeps `policy` in place of the one before (STO-52).
   *
   * @param policy - 1 to 32768 bytes of UTF-8.
   * @throws {@link KmsError} `KEY_NOT_FOUND` when the region does not have the key, or has it in `Creating`, `Deleting` or
   *   `Deleted`; `REQUEST_INVALID` for text that cannot be kept (STO-17).
   */
  putKeyPolicy(region: string, keyId: string, policy: string): Promise<void>

  /** `undefined` for a key that has none, or that is not there. */
  getKeyPolicy(region: string, keyId: string): Promise<string | undefined>
}
