import type { KeyPairSpec } from '../key-pair-spec.ts'
import type { KeyPairCrypto } from './key-pair-crypto.ts'
import type { MacCrypto } from './mac-crypto.ts'
import type { MaterialImporter } from './material-importer.ts'
import type { CallOptions, MasterKeyRef } from './provider-call.ts'

export type { ImportPairRef, ImportWrapping, WrappedMaterial } from './material-importer.ts'
export type { CallOptions, MasterKeyRef, ProviderTimings } from './provider-call.ts'

/** What there is to know of material that was made. */
export interface MadeMaterial {
  /** Of a key pair: SubjectPublicKeyInfo in DER, in the one form of core/spki.ts. */
  readonly publicKey?: Buffer
}

/**
 * How a payload was sealed under a master key version.
 * `W0`: host bytes, C_Encrypt(CKM_AES_GCM) under the object that encrypts. `W1`: C_WrapKey(CKM_AES_GCM) of a token key
 * under the object that wraps. `W2`: C_WrapKey with key wrap, then C_Encrypt(CKM_AES_GCM) over two bytes that hold the
 * format of the wrap and the length of the key, and the wrapped bytes (docs/spec/envelope.md, ENV-11).
 */
export type SealMode = 'W0' | 'W1' | 'W2'

/** What one AES-256-GCM seal produced. */
export interface Sealed {
  /** 1 to 16 bytes; 12 where the token lets the caller choose. */
  readonly iv: Buffer
  readonly ciphertext: Buffer
  /** 16 bytes. */
  readonly tag: Buffer
}

/** What {@link CryptoProvider.sealRandomInside} produced. */
export interface SealedInside extends Sealed {
  /** W1 or W2; W0 together with {@link SealedInside.hostMemory}. */
  readonly mode: SealMode
  /** Present when the data key was in the memory of this process, because the token can do no better and the operator allows it. */
  readonly hostMemory?: true
}

/** Which key pair to make. */
export interface KeyPairRequest {
  readonly spec: KeyPairSpec
  /** Whether the caller gets the private key too. */
  readonly readable: boolean
}

/** What {@link CryptoProvider.sealKeyPair} produced: the private key, sealed, and what may be known of the pair. */
export interface SealedKeyPair extends Sealed {
  readonly mode: SealMode
  /** SubjectPublicKeyInfo in DER, in the one form of core/spki.ts. */
  readonly publicKey: Buffer
  /** PKCS#8 in DER, where it was asked for: the very bytes that `open` gives back. The caller zeroes them. */
  readonly privateKey?: Buffer
  /**
   * Present when the private key was in the memory of this process although nobody asked for it, because the token can do
   * no better and the operator allows it.
   */
  readonly hostMemory?: true
}

/**
 * What the token holds of a master key version.
 * `present`: exactly the objects that `createMasterKey` makes, with every attribute that it reads back: such a version may
 * be used. `absent`: nothing. `partial`: an object is missing, so nothing was ever acknowledged of it, and it is good for
 * `destroyMasterKey` alone. `altered`: objects of each kind are there, but there are too many or an attribute reads back
 * otherwise. Something may have been sealed with those, so nothing destroys them by itself.
 */
export type MaterialPresence = 'absent' | 'partial' | 'altered' | 'present'

/**
 * Cryptography on master keys that never leave their token.
 *
 * Every method may throw {@link KmsError} `TOKEN_UNAVAILABLE` (the token is absent, logged out or broken; retryable)
 * and `TOKEN_TIMEOUT` (queue full or deadline passed; retryable). Methods that take a ref throw
 * `TOKEN_UNAVAILABLE` too when its objects are not in the token: the store says they must be.
 * Calls are safe at any concurrency.
 */
export interface CryptoProvider extends KeyPairCrypto, MacCrypto, MaterialImporter {
  /**
   * Makes the objects of a new version, reads their attributes back and uses each once: of a symmetric key two AES-256 keys,
   * one to encrypt with and one to wrap with; of a MAC key one secret; of a key pair a private key that may do what the
   * usage asks and nothing else, and its public key, from which the private one can be told again. Serialized per token.
   *
   * A token makes one key pair at a time, as in {@link CryptoProvider.sealKeyPair}, which is the caller's to see to; when the
   * promise settles, or at `options.deadlineAt`, nothing of the call goes on in the token, unless it hangs.
   *
   * @throws {@link KmsError} `ALREADY_EXISTS` when an object with the same CKA_ID or CKA_LABEL is there; nothing is made.
   *   `UNSUPPORTED` when the token cannot make such a key, which the message says with the name of the token and of the
   *   mechanism, or does not keep what the template asks (a key that could be extracted is destroyed): nothing is left.
   * @see PKCS#11 v3.1, "Secret key objects", "AES key generation", "RSA", "Elliptic Curve", "Generic secret key"
   */
  createMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MadeMaterial>

  /** Destroys every object of a version. Succeeds when there is none. Serialized per token. */
  destroyMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void>

  /**
   * Looks the objects of a version up in the token itself, past every cache, and reads their attributes back. An
   * interrupted creation may be completed on the answer `present`, so a double must not give it for less.
   */
  findMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MaterialPresence>

  /**
   * Seals bytes of the caller (mode W0).
   *
   * @param plaintext - 1 to 8192 bytes; the caller zeroes it afterwards.
   * @param aad - Authenticated with the payload; at most 16,384 bytes.
   * @see PKCS#11 v3.1, "AES-GCM" (CKM_AES_GCM, CK_GCM_PARAMS)
   */
  seal(ref: MasterKeyRef, plaintext: Buffer, aad: Buffer, options: CallOptions): Promise<Sealed>

  /**
   * Draws a data key from the token's generator, seals it (mode W0) and returns both.
   *
   * @param lengthBytes - 1 to 1024.
   */
  sealRandom(
    ref: MasterKeyRef,
    lengthBytes: number,
    aad: Buffer,
    options: CallOptions,
  ): Promise<Sealed & { readonly plaintext: Buffer }>

  /**
   * Makes a data key inside the token and seals it there (mode W1 or W2): no plaintext byte of it reaches this process. Where
   * the operator allows it, a token that can do neither for this length has the key made in host memory (mode W0), which is
   * zeroed; the result says so.
   *
   * @param lengthBytes - 1 to 1024.
   * @param aadFor - Called once with the mode that will be used, before the token is.
   * @throws {@link KmsError} `UNSUPPORTED` when the token can do neither and the operator does not allow host memory.
   */
  sealRandomInside(
    ref: MasterKeyRef,
    lengthBytes: number,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedInside>

  /**
   * Makes a key pair in the token for the length of this call, and seals its private key. Where it is not to be readable, it
   * stays inside (mode W1 or W2): no byte of it reaches this process, unless the token can do neither for this spec and the
   * operator allows host memory (mode W0), which is zeroed; the result says so. Where it is, the keys are proved to match.
   *
   * A token makes one pair at a time, which is the caller's to see to (core/pair-gate.ts): another call meanwhile may
   * get `TOKEN_TIMEOUT`. When the promise settles, or at `options.deadlineAt`, nothing of the call goes on in the token,
   * unless it hangs.
   *
   * @param aadFor - Called with each mode that may be used, before the token is.
   * @throws {@link KmsError} `UNSUPPORTED` when the token cannot make this spec, or can make it but not seal it inside and the
   *   operator does not allow host memory.
   * @see PKCS#11 v3.1, "RSA", "Elliptic Curve", "C_GenerateKeyPair"
   */
  sealKeyPair(
    ref: MasterKeyRef,
    request: KeyPairRequest,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedKeyPair>

  /**
   * Opens what one of the seal methods made.
   *
   * @returns Exactly the bytes that were sealed; of a private key, PKCS#8 in DER as the token writes it, which
   *   core/pkcs8.ts brings into the one form that callers get. The caller zeroes them.
   * @throws {@link KmsError} `CIPHERTEXT_INVALID` when it does not authenticate, for whatever reason.
   */
  open(ref: MasterKeyRef, mode: SealMode, sealed: Sealed, aad: Buffer, options: CallOptions): Promise<Buffer>

  /**
   * Bytes from the token's generator.
   *
   * @param lengthBytes - 1 to 1024.
   */
  generateRandom(token: string, lengthBytes: number, options: CallOptions): Promise<Buffer>

  /**
   * Proves that the token works by a real seal and open, under `ref` where one is given (on some tokens only an
   * operation with a stored key notices that the token is gone).
   */
  checkHealth(token: string, ref: MasterKeyRef | undefined, options: CallOptions): Promise<void>
}
