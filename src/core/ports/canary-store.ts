/**
 * Proofs that a copy of a key version's material in another token is the same, kept with the keys: a few short texts that
 * the first token sealed, by which the other can be proven while the first is away.
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`.
 */
export interface CanaryStore {
  /** What was last put for the version; `undefined` when nothing was. */
  getCanary(versionId: string): Promise<string | undefined>

  /**
   * Keeps `canary` in place of what was there (STO-42).
   *
   * @param canary - 1 to 8192 characters.
   * @throws {@link InvariantError} when no key has the version, or the text is too long.
   */
  putCanary(versionId: string, canary: string): Promise<void>
}
