/** A key pair in a token that key material may be wrapped for, and the import token that goes with it. */
export interface ImportPair {
  /** UUID, which names its objects in the token. */
  readonly pairId: string
  readonly accountId: string
  readonly region: string
  readonly keyId: string
  /** Name of the token that holds it. */
  readonly token: string
  readonly algorithm: WrappingAlgorithm
  readonly spec: WrappingKeySpec
  /** SHA-256 over the secret of the import token, 64 hexadecimal digits. */
  readonly secretHash: string
  /** `Making`: its objects may or may not be there. `Ready`. `Ended`: they were destroyed, or are being. */
  readonly state: 'Making' | 'Ready' | 'Ended'
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly expiresAt: number
}

export const WRAPPING_ALGORITHMS = [
  'RSAES_OAEP_SHA_1',
  'RSAES_OAEP_SHA_256',
  'RSA_AES_KEY_WRAP_SHA_1',
  'RSA_AES_KEY_WRAP_SHA_256',
] as const
export type WrappingAlgorithm = (typeof WRAPPING_ALGORITHMS)[number]

export const WRAPPING_KEY_SPECS = ['RSA_2048', 'RSA_3072', 'RSA_4096'] as const
export type WrappingKeySpec = (typeof WRAPPING_KEY_SPECS)[number]

/**
 * Where import pairs are kept; docs/spec/store.md has each promise as a numbered clause. A change is durable when its promise
 * resolves. Every method may throw {@link KmsError} `STORE_UNAVAILABLE`.
 */
export interface ImportStore {
  /** @throws {@link KmsError} `ALREADY_EXISTS` when one of that id is there. */
  createImportPair(pair: ImportPair): Promise<void>

  getImportPair(pairId: string): Promise<ImportPair | undefined>

  /** @returns `false`, and changes nothing, where it is not in state `from`. */
  moveImportPair(pairId: string, from: ImportPair['state'], to: ImportPair['state']): Promise<boolean>

  deleteImportPair(pairId: string): Promise<void>

  /**
   * Import pairs that are not `Ended` and expire by `expiresBy`, that are still in the making and were begun by `begunBy`, and that
   * are `Ended` and expired by `endedBy`; at most `limit`, by id, after `after`. Times are milliseconds since the epoch.
   */
  listImportPairsToEnd(
    when: { readonly expiresBy: number; readonly begunBy: number; readonly endedBy: number },
    page: { readonly after?: string | undefined; readonly limit: number },
  ): Promise<readonly ImportPair[]>

  /** How many import pairs of a key are not `Ended`. */
  countImportPairs(region: string, keyId: string): Promise<number>
}

/** What keeps import pairs beside what else it keeps. */
export interface WithImports {
  readonly imports: ImportStore
}
