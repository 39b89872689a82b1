import { ciphertextInvalid } from '../../core/errors.ts'
import type {
  CallOptions,
  CryptoProvider,
  KeyPairRequest,
  MadeMaterial,
  MasterKeyRef,
  MaterialPresence,
  Sealed,
  SealedInside,
  SealedKeyPair,
  SealMode,
} from '../../core/ports/crypto-provider.ts'
import { invariant } from '../../lib/invariant.ts'
import { creationOf, presenceOf } from './creation.ts'
import { faultToKmsError, toFault, tokenTimeout } from './errors.ts'
import { isWellFormed } from './gcm.ts'
import { ImportCalls } from './import-calls.ts'
import { insideSealModeFor, SEAL_MODE_NUMBERS } from './inside-mode.ts'
import { KeyUseCalls } from './key-use-calls.ts'
import type { LaneFleet } from './lane-fleet.ts'
import { parseJsonPart } from './lanes/messages.ts'
import { handlesOf, type MaterialHandles } from './material-handles.ts'
import { pairOf, pairParts } from './pair-call.ts'
import { type FoundMaterial, READ_BACK } from './procedures/find-master-key.ts'
import { bufferOf, PLAINTEXT_BYTES_MAX, requireAad, requireLength, sealedOf } from './provider-parts.ts'
import {
  CRYPTO_LANES_MAX,
  type Pkcs11ProviderEvents,
  type Pkcs11Status,
  type Pkcs11TokenSettings,
} from './settings.ts'
import { TokenCalls } from './token-calls.ts'

const RANDOM_BYTES_MAX = 1024

/** {@link CryptoProvider} over one token of a PKCS#11 library. Cryptoki runs in worker threads ("lanes") alone. */
export class Pkcs11Provider implements CryptoProvider {
  readonly #settings: Pkcs11TokenSettings
  readonly #calls: TokenCalls
  readonly #lanes: LaneFleet
  readonly #uses: KeyUseCalls
  readonly #imports: ImportCalls

  readonly createImportPair: CryptoProvider['createImportPair'] = (...call) =>
    this.#imports.createImportPair(...call)
  readonly destroyImportPair: CryptoProvider['destroyImportPair'] = (...call) =>
    this.#imports.destroyImportPair(...call)
  readonly importMasterKey: CryptoProvider['importMasterKey'] = (...call) =>
    this.#imports.importMasterKey(...call)

  readonly readPublicKey: CryptoProvider['readPublicKey'] = (...call) => this.#uses.readPublicKey(...call)
  readonly sign: CryptoProvider['sign'] = (...call) => this.#uses.sign(...call)
  readonly decryptRsa: CryptoProvider['decryptRsa'] = (...call) => this.#uses.decryptRsa(...call)
  readonly deriveSecret: CryptoProvider['deriveSecret'] = (...call) => this.#uses.deriveSecret(...call)
  readonly mac: CryptoProvider['mac'] = (...call) => this.#uses.mac(...call)

  private constructor(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents) {
    const { crypto } = settings.lanes
    invariant(crypto >= 1 && crypto <= CRYPTO_LANES_MAX, `lanes.crypto is 1 to ${CRYPTO_LANES_MAX}`)
    this.#settings = settings
    this.#calls = new TokenCalls(settings, events)
    this.#lanes = this.#calls.connection.lanes
    this.#uses = new KeyUseCalls(this.#calls)
    this.#imports = new ImportCalls(settings, this.#calls)
  }

  /**
   * Starts the lanes and tries to connect once. A token that is absent is not an error: the provider connects when it
   * appears. A wrong PIN is never tried twice; `status()` says so.
   *
   * @throws Error with a sentence for operators when `settings.select` is not one we take.
   */
  static async start(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents): Promise<Pkcs11Provider> {
    const provider = new Pkcs11Provider(settings, events)
    await provider.#calls.connection.start()
    return provider
  }

  status(): Pkcs11Status {
    return this.#calls.connection.status()
  }

  /** Whether calls are taken right now. Cheap: a router asks it for every request. */
  get available(): boolean {
    return this.#calls.connection.available
  }

  /** Counts the connections so far: what was learned of the token holds for one of them. */
  get generation(): number {
    return this.#calls.connection.generation
  }

  /** Lets calls in flight end, refuses new ones, logs out, finalizes the library and ends the workers. */
  async close(): Promise<void> {
    await this.#calls.connection.close()
  }

  async createMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MadeMaterial> {
    this.#calls.handles.forget(ref)
    if (this.#calls.connection.renewing) await this.#calls.ready(options)
    const connected = this.#calls.requireUp()
    const { operation, job } = creationOf(this.#settings, this.#calls.nameOf(ref), ref, options)
    const [made, publicKey] = await this.#calls.run(this.#lanes.write, operation, 0, [job], options)
    this.#calls.handles.forget(ref)
    this.#calls.missing.found(ref)
    const handles = handlesOf(parseJsonPart(made) as FoundMaterial)
    if (handles && this.#calls.connection.connected === connected) this.#calls.handles.remember(ref, handles)
    return publicKey ? { publicKey: bufferOf(publicKey) } : {}
  }

  async destroyMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void> {
    this.#calls.handles.forget(ref)
    this.#calls.missing.destroyed(ref)
    try {
      await this.#calls.run(this.#lanes.write, 'destroyMasterKey', 0, [this.#calls.nameOf(ref)], options)
    } finally {
      this.#calls.handles.forget(ref)
      this.#calls.missing.destroyed(ref)
    }
  }

  async findMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MaterialPresence> {
    return this.#presence(ref, READ_BACK.created, options)
  }

  /** As `findMasterKey`, of a version whose material was made elsewhere and brought here: it need not be LOCAL. */
  async findCopy(ref: MasterKeyRef, options: CallOptions): Promise<MaterialPresence> {
    return this.#presence(ref, READ_BACK.copied, options)
  }

  async #presence(ref: MasterKeyRef, readBack: number, options: CallOptions): Promise<MaterialPresence> {
    const [part] = await this.#calls.run(
      this.#lanes.write,
      'findMasterKey',
      readBack,
      [this.#calls.nameOf(ref)],
      options,
    )
    return presenceOf(parseJsonPart(part) as FoundMaterial)
  }

  async seal(ref: MasterKeyRef, plaintext: Buffer, aad: Buffer, options: CallOptions): Promise<Sealed> {
    requireLength(plaintext.length, PLAINTEXT_BYTES_MAX, 'plaintext')
    requireAad(aad)
    const parts = await this.#calls.onKey(
      ref,
      'seal',
      0,
      (handleOf) => [handleOf('enc'), aad, plaintext],
      options,
    )
    return sealedOf(parts)
  }

  async sealRandom(ref: MasterKeyRef, lengthBytes: number, aad: Buffer, options: CallOptions) {
    requireLength(lengthBytes, RANDOM_BYTES_MAX, 'lengthBytes')
    requireAad(aad)
    const parts = await this.#calls.onKey(
      ref,
      'sealRandom',
      lengthBytes,
      (handleOf) => [handleOf('enc'), aad],
      options,
    )
    return { ...sealedOf(parts), plaintext: bufferOf(parts[2]) }
  }

  async sealRandomInside(
    ref: MasterKeyRef,
    lengthBytes: number,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedInside> {
    requireLength(lengthBytes, RANDOM_BYTES_MAX, 'lengthBytes')
    if (this.#calls.connection.renewing) await this.#calls.ready(options)
    const mode = this.#insideModeFor(lengthBytes)
    const aad = aadFor(mode)
    requireAad(aad)
    const args = (handleOf: MaterialHandles) => [
      handleOf('enc'),
      handleOf('wrap'),
      aad,
      Buffer.of(SEAL_MODE_NUMBERS[mode]),
    ]
    const sealed = sealedOf(await this.#calls.onKey(ref, 'sealRandomInside', lengthBytes, args, options))
    return { ...sealed, mode, ...(mode === 'W0' && { hostMemory: true as const }) }
  }

  #insideModeFor(lengthBytes: number): SealMode {
    const { capabilities } = this.#calls.requireUp()
    try {
      return insideSealModeFor(capabilities, lengthBytes, this.#settings.allowHostMemory === true)
    } catch (error) {
      throw faultToKmsError(this.#settings.name, toFault(error))
    }
  }

  /** Begun at once or not at all, and only with time left for all of it: what is begun cannot be stopped. */
  async sealKeyPair(
    ref: MasterKeyRef,
    request: KeyPairRequest,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedKeyPair> {
    const { name, pairTimeoutMs, allowHostMemory = false } = this.#settings
    const partsOn = pairParts({ ...request, allowHostMemory }, aadFor)
    const { pair } = this.#lanes
    const args = (handles: MaterialHandles) => {
      if (!pair.idle || Date.now() + pairTimeoutMs > options.deadlineAt) throw tokenTimeout(name)
      return partsOn(handles)
    }
    return pairOf(await this.#calls.onKey(ref, 'sealKeyPair', 0, args, options, pair))
  }

  async open(
    ref: MasterKeyRef,
    mode: SealMode,
    sealed: Sealed,
    aad: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    requireAad(aad)
    if (!isWellFormed(sealed))
      throw ciphertextInvalid(new Error('The IV, the ciphertext or the tag has a wrong length.'))
    const bytes = Buffer.concat([sealed.ciphertext, sealed.tag])
    const args = (handleOf: MaterialHandles) => [handleOf('enc'), handleOf('wrap'), aad, sealed.iv, bytes]
    const parts = await this.#calls.onKey(ref, 'open', SEAL_MODE_NUMBERS[mode], args, options)
    return bufferOf(parts[0])
  }

  async generateRandom(token: string, lengthBytes: number, options: CallOptions): Promise<Buffer> {
    this.#calls.requireToken(token)
    requireLength(lengthBytes, RANDOM_BYTES_MAX, 'lengthBytes')
    return bufferOf(
      (await this.#calls.run(this.#lanes.crypto, 'generateRandom', lengthBytes, [], options))[0],
    )
  }

  async checkHealth(token: string, ref: MasterKeyRef | undefined, options: CallOptions): Promise<void> {
    this.#calls.requireToken(token)
    const { control } = this.#lanes
    if (ref) await this.#calls.onKey(ref, 'checkHealth', 0, (handleOf) => [handleOf('enc')], options, control)
    else await this.#calls.run(control, 'checkHealth', 0, [], options)
  }
}
