import type { WrappingAlgorithm, WrappingKeySpec } from './import-store.ts'
import type { CallOptions, MasterKeyRef } from './provider-call.ts'

/** Names a key pair in a token that material may be wrapped for. */
export interface ImportPairRef {
  /** Name of the token in the configuration. */
  readonly token: string
  /** UUID. */
  readonly pairId: string
}

/** What a pair is made for. */
export interface ImportWrapping {
  readonly algorithm: WrappingAlgorithm
  readonly spec: WrappingKeySpec
  /** Of the key that material will be wrapped for: not every token unwraps every kind of key. */
  readonly material: Required<Pick<MasterKeyRef, 'spec' | 'usage'>>
}

/** What there is to know of material that was brought in. */
export interface BroughtMaterial {
  /** Of a key pair: SubjectPublicKeyInfo in DER, in the one form of core/spki.ts. */
  readonly publicKey?: Buffer
  /**
   * Present where the material was in the memory of this process, because the token can do no better and the operator allows it;
   * it was zeroed.
   */
  readonly hostMemory?: true
}

/** Material that was wrapped for a pair. */
export interface WrappedMaterial {
  readonly pair: ImportPairRef
  readonly algorithm: WrappingAlgorithm
  /** 1 to 6144 bytes. */
  readonly wrapped: Buffer
}

/** Brings material that was made elsewhere into a token. Fails as `CryptoProvider` says, and as each method adds. */
export interface MaterialImporter {
  /**
   * Makes an RSA key pair in the token that stays there until it is destroyed, for material to be wrapped for. Its private key may
   * unwrap and nothing else where the token can unwrap such material with the algorithm and tell that it is such, which is found by
   * trying; where it cannot and the operator allows host memory, it may decrypt and nothing else. One pair is made at a time, as in {@link CryptoProvider.sealKeyPair}.
   *
   * @returns SubjectPublicKeyInfo in DER.
   * @throws {@link KmsError} `UNSUPPORTED` when the token cannot do so, which the message says with the names of
   *   the token, the mechanism and the switch, and the operator does not allow host memory; nothing is left then.
   * @see PKCS#11 v3.1, "PKCS #1 RSA OAEP", "RSA AES KEY WRAP"
   */
  createImportPair(
    ref: ImportPairRef,
    wrapping: ImportWrapping,
    options: CallOptions,
  ): Promise<{ readonly publicKey: Buffer }>

  /** Destroys both keys of a pair. Succeeds when there is none. */
  destroyImportPair(ref: ImportPairRef, options: CallOptions): Promise<void>

  /**
   * Makes the objects of a version from material that was wrapped, with the roles that {@link CryptoProvider.createMasterKey} gives,
   * reads their attributes back, but for those that tell where a key was made, and uses each once. Material is the 32 bytes of an
   * AES key, for both objects; the secret of a MAC key, as long as the hash gives; or a private key as PKCS#8 in DER, whose public
   * key is told from it, whatever else is written beside it.
   *
   * @throws {@link KmsError} `CIPHERTEXT_INVALID` when it does not unwrap, or not to a whole key of that spec; RSA keys have the
   *   public exponent 65537. `ALREADY_EXISTS` when an object
   *   with the same CKA_ID or CKA_LABEL is there; `UNSUPPORTED`. Nothing is made then.
   * @see PKCS#11 v3.1, "C_UnwrapKey"; RFC 5649; RFC 5208, "Private-Key Information Syntax"
   */
  importMasterKey(ref: MasterKeyRef, from: WrappedMaterial, options: CallOptions): Promise<BroughtMaterial>
}
