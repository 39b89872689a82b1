import type { MacAlgorithm, OaepAlgorithm, TokenSigning } from '../../core/key-spec.ts'
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
  SealMode,
  WrappedMaterial,
} from '../../core/ports/crypto-provider.ts'
import { tokenUnavailable } from './errors.ts'
import type { CopyCounts } from './ha-prover.ts'
import type { Pkcs11Provider } from './provider.ts'
import type { Pkcs11Status } from './settings.ts'

/** One connection behind a name of the configuration. */
export interface TokenMember {
  /** Name of the token. */
  readonly token: string
  readonly member: 'primary' | 'replica'
  readonly status: Pkcs11Status
  /** Of a replica: how many key versions it was found to hold the same material of, and how many calls it answered. */
  readonly copies?: CopyCounts
  readonly served?: number
}

/** What serves one name of the configuration. */
export interface ServedToken {
  readonly crypto: CryptoProvider
  members(): readonly TokenMember[]
  close(): Promise<void>
}

/** A name that one connection serves. */
export function singleToken(token: string, provider: Pkcs11Provider): ServedToken {
  return {
    crypto: provider,
    members: () => [{ token, member: 'primary', status: provider.status() }],
    close: () => provider.close(),
  }
}

/**
 * {@link CryptoProvider} over several tokens, by the name that a key remembers. A name that is not configured (any more) is
 * answered like a token that is away: the key may come back with the configuration.
 */
export class TokenSet implements CryptoProvider {
  readonly #tokens: ReadonlyMap<string, ServedToken>

  constructor(tokens: ReadonlyMap<string, ServedToken>) {
    this.#tokens = tokens
  }

  members(): readonly TokenMember[] {
    return [...this.#tokens.values()].flatMap((token) => token.members())
  }

  async close(): Promise<void> {
    await Promise.all([...this.#tokens.values()].map((token) => token.close()))
  }

  async createMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MadeMaterial> {
    return this.#require(ref.token).createMasterKey(ref, options)
  }

  async createImportPair(ref: ImportPairRef, wrapping: ImportWrapping, options: CallOptions) {
    return this.#require(ref.token).createImportPair(ref, wrapping, options)
  }

  async destroyImportPair(ref: ImportPairRef, options: CallOptions): Promise<void> {
    return this.#require(ref.token).destroyImportPair(ref, options)
  }

  async importMasterKey(ref: MasterKeyRef, from: WrappedMaterial, options: CallOptions) {
    return this.#require(ref.token).importMasterKey(ref, from, options)
  }

  async destroyMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void> {
    return this.#require(ref.token).destroyMasterKey(ref, options)
  }

  async findMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MaterialPresence> {
    return this.#require(ref.token).findMasterKey(ref, options)
  }

  async seal(ref: MasterKeyRef, plaintext: Buffer, aad: Buffer, options: CallOptions): Promise<Sealed> {
    return this.#require(ref.token).seal(ref, plaintext, aad, options)
  }

  async sealRandom(ref: MasterKeyRef, lengthBytes: number, aad: Buffer, options: CallOptions) {
    return this.#require(ref.token).sealRandom(ref, lengthBytes, aad, options)
  }

  async sealRandomInside(
    ref: MasterKeyRef,
    lengthBytes: number,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ) {
    return this.#require(ref.token).sealRandomInside(ref, lengthBytes, aadFor, options)
  }

  async sealKeyPair(
    ref: MasterKeyRef,
    request: KeyPairRequest,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ) {
    return this.#require(ref.token).sealKeyPair(ref, request, aadFor, options)
  }

  async open(
    ref: MasterKeyRef,
    mode: SealMode,
    sealed: Sealed,
    aad: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    return this.#require(ref.token).open(ref, mode, sealed, aad, options)
  }

  async readPublicKey(ref: MasterKeyRef, options: CallOptions): Promise<Buffer> {
    return this.#require(ref.token).readPublicKey(ref, options)
  }

  async sign(ref: MasterKeyRef, algorithm: TokenSigning, data: Buffer, options: CallOptions) {
    return this.#require(ref.token).sign(ref, algorithm, data, options)
  }

  async decryptRsa(
    ref: MasterKeyRef,
    algorithm: OaepAlgorithm,
    ciphertext: Buffer,
    publicKey: Buffer,
    options: CallOptions,
  ) {
    return this.#require(ref.token).decryptRsa(ref, algorithm, ciphertext, publicKey, options)
  }

  async mac(ref: MasterKeyRef, algorithm: MacAlgorithm, message: Buffer, options: CallOptions) {
    return this.#require(ref.token).mac(ref, algorithm, message, options)
  }

  async deriveSecret(ref: MasterKeyRef, peerPoint: Buffer, options: CallOptions) {
    return this.#require(ref.token).deriveSecret(ref, peerPoint, options)
  }

  async generateRandom(token: string, lengthBytes: number, options: CallOptions): Promise<Buffer> {
    return this.#require(token).generateRandom(token, lengthBytes, options)
  }

  async checkHealth(token: string, ref: MasterKeyRef | undefined, options: CallOptions): Promise<void> {
    return this.#require(token).checkHealth(token, ref, options)
  }

  #require(name: string): CryptoProvider {
    const token = this.#tokens.get(name)
    if (token) return token.crypto
    throw tokenUnavailable(name, new Error(`No token named "${name}" is configured.`))
  }
}
