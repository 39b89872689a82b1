import type { GcmBudget } from './gcm-budget.ts'
import type { MacAlgorithm, OaepAlgorithm, TokenSigning } from './key-spec.ts'
import type {
  CallOptions,
  CryptoProvider,
  ImportPairRef,
  ImportWrapping,
  KeyPairRequest,
  MadeMaterial,
  MasterKeyRef,
  MaterialPresence,
  Sealed,
  SealedInside,
  SealedKeyPair,
  SealMode,
  WrappedMaterial,
} from './ports/crypto-provider.ts'

/**
 * The provider that everything above the tokens is given: takes a GCM invocation of the version before each call that seals
 * under it, whether the seal then succeeds or not. The core asks for this very class, so there is no way to a seal that is
 * not counted, and a method that joins the port fails the build until it is written here that it seals, or that it does
 * not. Calls that seal may throw {@link KmsError} `KEY_EXHAUSTED` and `STORE_UNAVAILABLE` besides what the port says.
 *
 * Both objects of a version are counted as one: W0 and W2 use one invocation of `enc`, W1 one of `wrap`.
 */
export class CountedProvider implements CryptoProvider {
  readonly #provider: CryptoProvider
  readonly #budget: GcmBudget

  constructor(provider: CryptoProvider, budget: GcmBudget) {
    this.#provider = provider
    this.#budget = budget
  }

  /** May seal a canary with the new version, which comes out of the reserve below the bound. */
  createMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MadeMaterial> {
    return this.#provider.createMasterKey(ref, options)
  }

  createImportPair(
    ref: ImportPairRef,
    wrapping: ImportWrapping,
    options: CallOptions,
  ): Promise<{ readonly publicKey: Buffer }> {
    return this.#provider.createImportPair(ref, wrapping, options)
  }

  destroyImportPair(ref: ImportPairRef, options: CallOptions): Promise<void> {
    return this.#provider.destroyImportPair(ref, options)
  }

  /** As {@link CountedProvider.createMasterKey}. */
  importMasterKey(ref: MasterKeyRef, from: WrappedMaterial, options: CallOptions) {
    return this.#provider.importMasterKey(ref, from, options)
  }

  destroyMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void> {
    return this.#provider.destroyMasterKey(ref, options)
  }

  findMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MaterialPresence> {
    return this.#provider.findMasterKey(ref, options)
  }

  seal(ref: MasterKeyRef, plaintext: Buffer, aad: Buffer, options: CallOptions): Promise<Sealed> {
    return this.#counted(ref, () => this.#provider.seal(ref, plaintext, aad, options))
  }

  sealRandom(
    ref: MasterKeyRef,
    lengthBytes: number,
    aad: Buffer,
    options: CallOptions,
  ): Promise<Sealed & { readonly plaintext: Buffer }> {
    return this.#counted(ref, () => this.#provider.sealRandom(ref, lengthBytes, aad, options))
  }

  sealRandomInside(
    ref: MasterKeyRef,
    lengthBytes: number,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedInside> {
    return this.#counted(ref, () => this.#provider.sealRandomInside(ref, lengthBytes, aadFor, options))
  }

  sealKeyPair(
    ref: MasterKeyRef,
    request: KeyPairRequest,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedKeyPair> {
    return this.#counted(ref, () => this.#provider.sealKeyPair(ref, request, aadFor, options))
  }

  /** Opening may seal a canary, once per key, lane and connection: those come out of the reserve below the bound. */
  open(
    ref: MasterKeyRef,
    mode: SealMode,
    sealed: Sealed,
    aad: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    return this.#provider.open(ref, mode, sealed, aad, options)
  }

  /** Key pairs and MAC keys have no GCM invocations: nothing is counted of them, here and below. */
  readPublicKey(ref: MasterKeyRef, options: CallOptions): Promise<Buffer> {
    return this.#provider.readPublicKey(ref, options)
  }

  sign(ref: MasterKeyRef, algorithm: TokenSigning, data: Buffer, options: CallOptions): Promise<Buffer> {
    return this.#provider.sign(ref, algorithm, data, options)
  }

  decryptRsa(
    ref: MasterKeyRef,
    algorithm: OaepAlgorithm,
    ciphertext: Buffer,
    publicKey: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    return this.#provider.decryptRsa(ref, algorithm, ciphertext, publicKey, options)
  }

  mac(ref: MasterKeyRef, algorithm: MacAlgorithm, message: Buffer, options: CallOptions): Promise<Buffer> {
    return this.#provider.mac(ref, algorithm, message, options)
  }

  deriveSecret(ref: MasterKeyRef, peerPoint: Buffer, options: CallOptions): Promise<Buffer> {
    return this.#provider.deriveSecret(ref, peerPoint, options)
  }

  generateRandom(token: string, lengthBytes: number, options: CallOptions): Promise<Buffer> {
    return this.#provider.generateRandom(token, lengthBytes, options)
  }

  /** Without a ref it seals under a key that lives no longer than the connection, and seals nothing but canaries. */
  checkHealth(token: string, ref: MasterKeyRef | undefined, options: CallOptions): Promise<void> {
    const check = () => this.#provider.checkHealth(token, ref, options)
    return ref ? this.#counted(ref, check) : check()
  }

  #counted<T>(ref: MasterKeyRef, seal: () => Promise<T>): Promise<T> {
    const waiting = this.#budget.take(ref)
    return waiting ? waiting.then(seal) : seal()
  }
}
