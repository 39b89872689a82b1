import type { OaepAlgorithm, TokenSigning } from '../key-spec.ts'
import type { CallOptions, MasterKeyRef } from './provider-call.ts'

/** What the private key of a master key version does. Fails as `CryptoProvider` says, and as each method adds. */
export interface KeyPairCrypto {
  /**
   * Reads the public key of a key pair from the token anew, and proves that the private key is the one of it.
   *
   * @returns As {@link MadeMaterial.publicKey}.
   */
  readPublicKey(ref: MasterKeyRef, options: CallOptions): Promise<Buffer>

  /**
   * Signs with the private key of a version.
   *
   * @param data - The digest by the hash of the algorithm; for `ED25519_SHA_512` and `ML_DSA_SHAKE_256` the message, 1 to 4096
   *   bytes; for `ML_DSA_EXTERNAL_MU` the 64 bytes of µ.
   * @returns Of ECDSA r and s side by side, each as long as a scalar of the curve; else the bytes of the signature. Whether the
   *   token gives the right one is proved when a key is made, but for `ED25519_PH_SHA_512` and `ML_DSA_EXTERNAL_MU`, which the
   *   caller verifies.
   * @throws {@link KmsError} `UNSUPPORTED` when the token does not know the algorithm; the message has its name and that of
   *   the mechanism.
   * @see PKCS#11 v3.2, "PKCS #1 v1.5 RSA", "PKCS #1 RSA PSS", "ECDSA", "EdDSA", "ML-DSA"
   */
  sign(ref: MasterKeyRef, algorithm: TokenSigning, data: Buffer, options: CallOptions): Promise<Buffer>

  /**
   * Decrypts with the private key of a version (RSAES-OAEP with an empty label).
   *
   * @param publicKey - SubjectPublicKeyInfo of the version, with which the token is proved to work where it refuses.
   * @returns 0 bytes or more, which the caller zeroes.
   * @throws {@link KmsError} `CIPHERTEXT_INVALID` whatever is wrong with the ciphertext, after the same work.
   * @see PKCS#11 v3.1, "PKCS #1 RSA OAEP", "X.509 (raw) RSA"; RFC 8017, "RSAES-OAEP"
   */
  decryptRsa(
    ref: MasterKeyRef,
    algorithm: OaepAlgorithm,
    ciphertext: Buffer,
    publicKey: Buffer,
    options: CallOptions,
  ): Promise<Buffer>

  /**
   * Agrees on a secret with the private key of a version (ECDH without a key derivation function).
   *
   * @param peerPoint - A point of the curve of the version, uncompressed; the caller has seen to that.
   * @returns The abscissa of the shared point, as long as a scalar of the curve. The caller zeroes it.
   * @see PKCS#11 v3.1, "Elliptic curve Diffie-Hellman"; SP 800-56A, "ECC CDH Primitive"
   */
  deriveSecret(ref: MasterKeyRef, peerPoint: Buffer, options: CallOptions): Promise<Buffer>
}
