import { isKmsError } from '../../core/errors.ts'
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
} from '../../core/ports/crypto-provider.ts'
import { tokenUnavailable } from './errors.ts'
import type { Need } from './ha-proof.ts'
import type { ReplicaProofs } from './ha-proofs.ts'
import type { Pkcs11Provider } from './provider.ts'
import type { Pkcs11Log } from './settings.ts'

export interface HaPairParts {
  /** Name that keys know the pair by. */
  readonly name: string
  readonly primary: Pkcs11Provider
  readonly replica: Pkcs11Provider
  readonly proofs: ReplicaProofs
  readonly log: Pkcs11Log
  /** How long a primary that was away is watched before calls go to it again. Milliseconds. */
  readonly failbackDelayMs: number
}

/**
 * {@link CryptoProvider} over two tokens that hold the same key material. The primary serves while it is there. While it is
 * away, and for a call that failed because it just went, versions that the replica is proven to hold are served by that.
 * Keys are made on the primary alone and destroyed on both or not yet: the replica is a copy, never a second origin.
 *
 * A call that is tried on both tokens may call `aadFor` twice and use two GCM invocations.
 */
export class HaPair implements CryptoProvider {
  readonly #parts: HaPairParts
  /** When the primary was last seen away, `performance.now()`. */
  #awayAt = Number.NEGATIVE_INFINITY
  #failedOver = false
  #servedByReplica = 0
  #created = 0

  constructor(parts: HaPairParts) {
    this.#parts = parts
  }

  /** Calls that the replica answered. */
  get servedByReplica(): number {
    return this.#servedByReplica
  }

  /** Keys made: copies of them are still to be proven. */
  get created(): number {
    return this.#created
  }

  /** Looks whether the primary is there, so that the time it was away is known without calls too. */
  watch(): void {
    const { primary, log, name } = this.#parts
    if (!primary.available) this.#awayAt = performance.now()
    else if (this.#failedOver && !this.#isSettling()) {
      this.#failedOver = false
      log.info({ token: name }, 'the primary serves again')
    }
  }

  async createMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MadeMaterial> {
    const { primary, proofs } = this.#parts
    proofs.forget(ref)
    const made = await primary.createMasterKey(ref, options)
    this.#created += 1
    return made
  }

  /** Material comes to the primary, like every key; here and below. */
  createImportPair(ref: ImportPairRef, wrapping: ImportWrapping, options: CallOptions) {
    return this.#parts.primary.createImportPair(ref, wrapping, options)
  }

  destroyImportPair(ref: ImportPairRef, options: CallOptions): Promise<void> {
    return this.#parts.primary.destroyImportPair(ref, options)
  }

  async importMasterKey(ref: MasterKeyRef, from: WrappedMaterial, options: CallOptions) {
    const { primary, proofs } = this.#parts
    proofs.forget(ref)
    const imported = await primary.importMasterKey(ref, from, options)
    this.#created += 1
    return imported
  }

  async destroyMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void> {
    const { name, primary, replica, proofs } = this.#parts
    for (const [member, what] of [
      [primary, 'primary'],
      [replica, 'replica'],
    ] as const) {
      if (member.available) continue
      throw tokenUnavailable(name, new Error(`The ${what} is away, and a key is destroyed on both tokens.`))
    }
    proofs.forget(ref)
    try {
      await replica.destroyMasterKey(ref, options)
      await primary.destroyMasterKey(ref, options)
    } finally {
      proofs.forget(ref)
    }
  }

  /** What a creation left is on the primary alone. */
  findMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MaterialPresence> {
    return this.#parts.primary.findMasterKey(ref, options)
  }

  seal(ref: MasterKeyRef, plaintext: Buffer, aad: Buffer, options: CallOptions): Promise<Sealed> {
    return this.#serve(ref, 'seal', options, (token) => token.seal(ref, plaintext, aad, options))
  }

  sealRandom(ref: MasterKeyRef, lengthBytes: number, aad: Buffer, options: CallOptions) {
    return this.#serve(ref, 'seal', options, (token) => token.sealRandom(ref, lengthBytes, aad, options))
  }

  sealRandomInside(
    ref: MasterKeyRef,
    lengthBytes: number,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedInside> {
    return this.#serve(ref, 'sealInside', options, (token) =>
      token.sealRandomInside(ref, lengthBytes, aadFor, options),
    )
  }

  /** A private key may be wrapped, or sealed as bytes: the replica has to be proven for both. */
  sealKeyPair(
    ref: MasterKeyRef,
    request: KeyPairRequest,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedKeyPair> {
    return this.#serve(ref, 'sealInside', options, (token) =>
      token.sealKeyPair(ref, request, aadFor, options),
    )
  }

  open(
    ref: MasterKeyRef,
    mode: SealMode,
    sealed: Sealed,
    aad: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    const need = mode === 'W0' ? 'open' : 'openInside'
    return this.#serve(ref, need, options, (token) => token.open(ref, mode, sealed, aad, options))
  }

  /** What a creation made is on the primary alone; a replica that is proven has the same. */
  readPublicKey(ref: MasterKeyRef, options: CallOptions): Promise<Buffer> {
    return this.#serve(ref, 'use', options, (token) => token.readPublicKey(ref, options))
  }

  readonly sign: CryptoProvider['sign'] = (ref, algorithm, data, options) =>
    this.#serve(ref, 'use', options, (token) => token.sign(ref, algorithm, data, options))

  readonly decryptRsa: CryptoProvider['decryptRsa'] = (ref, algorithm, ciphertext, publicKey, options) =>
    this.#serve(ref, 'use', options, (token) =>
      token.decryptRsa(ref, algorithm, ciphertext, publicKey, options),
    )

  readonly mac: CryptoProvider['mac'] = (ref, algorithm, message, options) =>
    this.#serve(ref, 'use', options, (token) => token.mac(ref, algorithm, message, options))

  readonly deriveSecret: CryptoProvider['deriveSecret'] = (ref, peerPoint, options) =>
    this.#serve(ref, 'use', options, (token) => token.deriveSecret(ref, peerPoint, options))

  generateRandom(token: string, lengthBytes: number, options: CallOptions): Promise<Buffer> {
    return this.#serve(undefined, 'open', options, (one) => one.generateRandom(token, lengthBytes, options))
  }

  /** Without a ref it tells whether keys can be made, which is the primary's to do. */
  checkHealth(token: string, ref: MasterKeyRef | undefined, options: CallOptions): Promise<void> {
    if (!ref) return this.#parts.primary.checkHealth(token, ref, options)
    return this.#serve(ref, 'seal', options, (one) => one.checkHealth(token, ref, options))
  }

  /** @param ref - Version that the replica must be proven for; none for what no key is needed for. */
  #serve<Result>(
    ref: MasterKeyRef | undefined,
    need: Need,
    options: CallOptions,
    run: (token: Pkcs11Provider) => Promise<Result>,
  ): Promise<Result> {
    const { primary, replica } = this.#parts
    // A primary that comes and goes is not worth a failed call each time: it serves again once it has stayed.
    if (primary.available && !(replica.available && this.#isSettling())) {
      return run(primary).catch((error: unknown) => this.#afterFailure(error, ref, need, options, run))
    }
    return this.#serveByReplica(ref, need, options, run)
  }

  #isSettling(): boolean {
    return performance.now() - this.#awayAt < this.#parts.failbackDelayMs
  }

  /** The primary went while it had the call: everything that is served here may be done again. */
  async #afterFailure<Result>(
    error: unknown,
    ref: MasterKeyRef | undefined,
    need: Need,
    options: CallOptions,
    run: (token: Pkcs11Provider) => Promise<Result>,
  ): Promise<Result> {
    if (!isKmsError(error, 'TOKEN_UNAVAILABLE') || Date.now() >= options.deadlineAt) throw error
    // It may also lack this key alone, and then the others stay where they are.
    if (!this.#parts.primary.available) this.#awayAt = performance.now()
    if (!(await this.#mayServe(ref, need, options))) throw error
    return this.#onReplica(run)
  }

  async #serveByReplica<Result>(
    ref: MasterKeyRef | undefined,
    need: Need,
    options: CallOptions,
    run: (token: Pkcs11Provider) => Promise<Result>,
  ): Promise<Result> {
    const { primary } = this.#parts
    if (!primary.available) this.#awayAt = performance.now()
    // The primary says best why it is away.
    if (!(await this.#mayServe(ref, need, options))) return run(primary)
    try {
      return await this.#onReplica(run)
    } catch (error) {
      if (!isKmsError(error, 'TOKEN_UNAVAILABLE') || !primary.available) throw error
      return run(primary)
    }
  }

  async #mayServe(ref: MasterKeyRef | undefined, need: Need, options: CallOptions): Promise<boolean> {
    const { replica, proofs } = this.#parts
    if (!replica.available) return false
    return !ref || proofs.allows(ref, need, options)
  }

  async #onReplica<Result>(run: (token: Pkcs11Provider) => Promise<Result>): Promise<Result> {
    const { name, replica, log } = this.#parts
    if (!this.#failedOver) {
      this.#failedOver = true
      log.warn({ token: name }, 'the replica serves: the primary is away')
    }
    const result = await run(replica)
    this.#servedByReplica += 1
    return result
  }
}
