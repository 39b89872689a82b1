/** Languages that policies of keys are written in: `AWS`, and `RAM` of Alibaba Cloud. */
export const POLICY_LANGUAGES = ['AWS', 'RAM'] as const

export type PolicyLanguage = (typeof POLICY_LANGUAGES)[number]

/** The policy of a key in each language, as it was written; it has the default one of the language where there is none. */
export type KeyPolicies = { readonly [Language in PolicyLanguage]?: string }

/**
 * Policies of keys.
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`.
 */
export interface PolicyStore {
  /**
   * Keeps `policy` in place of the one in the same language (STO-52).
   *
   * @param policy - 1 to 32768 bytes of UTF-8.
   * @throws {@link KmsError} `KEY_NOT_FOUND` when the region does not have the key, or has it in `Creating`, `Deleting` or
   *   `Deleted`; `REQUEST_INVALID` for text that cannot be kept (STO-17).
   */
  putKeyPolicy(region: string, keyId: string, language: PolicyLanguage, policy: string): Promise<void>

  /** None for a key that is not there. */
  getKeyPolicies(region: string, keyId: string): Promise<KeyPolicies>
}
