import { ciphertextInvalid } from '../../core/errors.ts'
import type { MacAlgorithm, OaepAlgorithm, SigningAlgorithm } from '../../core/key-spec.ts'
import type {
  CallOptions,
  CryptoProvider,
  ImportPairRef,
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
import { invariant } from '../../lib/invariant.ts'
import { creationOf, presenceOf } from './creation.ts'
import { faultToKmsError, toFault, tokenTimeout } from './errors.ts'
import { isWellFormed } from './gcm.ts'
import { insideSealModeFor, SEAL_MODE_NUMBERS } from './inside-mode.ts'
import type { LaneFleet } from './lane-fleet.ts'
import { jsonPart, parseJsonPart } from './lanes/messages.ts'
import { handlesOf, type MaterialHandles } from './material-handles.ts'
import { pairOf, pairParts } from './pair-call.ts'
import type { ImportPairJob } from './procedures/create-import-pair.ts'
import { OAEP_NUMBERS } from './procedures/decrypt-rsa.ts'
import { type FoundMaterial, READ_BACK } from './procedures/find-master-key.ts'
import type { ImportJob } from './procedures/import-master-key.ts'
import { MAC_NUMBERS, SIGNING_NUMBERS } from './procedures/sign.ts'
import { bufferOf, requireAad, requireLength, sealedOf } from './provider-parts.ts'
import {
  CRYPTO_LANES_MAX,
  type Pkcs11ProviderEvents,
  type Pkcs11Status,
  type Pkcs11TokenSettings,
} from './settings.ts'
import type { MaterialName } from './templates.ts'
import { TokenCalls } from './token-calls.ts'

const PLAINTEXT_BYTES_MAX = 8192
const RANDOM_BYTES_MAX = 1024

/** {@link CryptoProvider} over one token of a PKCS#11 library. Cryptoki runs in worker threads ("lanes") alone. */
export class Pkcs11Provider implements CryptoProvider {
  readonly #settings: Pkcs11TokenSettings
  readonly #calls: TokenCalls
  readonly #lanes: LaneFleet

  private constructor(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents) {
    const { crypto } = settings.lanes
    invariant(crypto >= 1 && crypto <= CRYPTO_LANES_MAX, `lanes.crypto is 1 to ${CRYPTO_LANES_MAX}`)
    this.#settings = settings
    this.#calls = new TokenCalls(settings, events)
    this.#lanes = this.#calls.connection.lanes
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

  async createImportPair(
    { token, pairId }: ImportPairRef,
    { algorithm, spec }: Parameters<CryptoProvider['createImportPair']>[1],
    options: CallOptions,
  ): Promise<{ readonly publicKey: Buffer }> {
    this.#calls.requireToken(token)
    const { pairTimeoutMs, allowHostMemory = false } = this.#settings
    const startBy = options.deadlineAt - pairTimeoutMs
    if (Date.now() > startBy) throw tokenTimeout(token)
    const job: ImportPairJob = { pairId, algorithm, spec, token, allowHostMemory, startBy }
    const [spki] = await this.#calls.run(this.#lanes.write, 'createImportPair', 0, [jsonPart(job)], options)
    return { publicKey: bufferOf(spki) }
  }

  async destroyImportPair({ token, pairId }: ImportPairRef, options: CallOptions): Promise<void> {
    this.#calls.requireToken(token)
    await this.#calls.run(this.#lanes.write, 'destroyImportPair', 0, [jsonPart(pairId)], options)
  }

  async importMasterKey(
    ref: MasterKeyRef,
    { pair, algorithm, wrapped }: WrappedMaterial,
    options: CallOptions,
  ): Promise<{ readonly hostMemory?: true }> {
    this.#calls.handles.forget(ref)
    if (this.#calls.connection.renewing) await this.#calls.ready(options)
    const { pairId } = pair
    const name = parseJsonPart(this.#calls.nameOf(ref)) as MaterialName
    const { allowHostMemory = false } = this.#settings
    const job: ImportJob = { name, pairId, algorithm, token: ref.token, allowHostMemory }
    const parts = [jsonPart(job), wrapped]
    const [, host] = await this.#calls.run(this.#lanes.write, 'importMasterKey', 0, parts, options)
    this.#calls.handles.forget(ref)
    this.#calls.missing.found(ref)
    return parseJsonPart(host) === true ? { hostMemory: true } : {}
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

  async readPublicKey(ref: MasterKeyRef, options: CallOptions): Promise<Buffer> {
    const name = this.#calls.nameOf(ref)
    return bufferOf((await this.#calls.run(this.#lanes.write, 'readPublicKey', 0, [name], options))[0])
  }

  async sign(
    ref: MasterKeyRef,
    algorithm: SigningAlgorithm,
    data: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    requireLength(data.length, PLAINTEXT_BYTES_MAX, 'data')
    const number = SIGNING_NUMBERS.indexOf(algorithm)
    const args = (handleOf: MaterialHandles) => [handleOf('priv'), data]
    return bufferOf((await this.#calls.onKey(ref, 'sign', number, args, options))[0])
  }

  async decryptRsa(
    ref: MasterKeyRef,
    algorithm: OaepAlgorithm,
    ciphertext: Buffer,
    publicKey: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    const number = OAEP_NUMBERS.indexOf(algorithm)
    const args = (handleOf: MaterialHandles) => [handleOf('priv'), ciphertext, publicKey]
    return bufferOf((await this.#calls.onKey(ref, 'decryptRsa', number, args, options))[0])
  }

  async mac(
    ref: MasterKeyRef,
    algorithm: MacAlgorithm,
    message: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    requireLength(message.length, PLAINTEXT_BYTES_MAX, 'message')
    const number = MAC_NUMBERS.indexOf(algorithm)
    const args = (handleOf: MaterialHandles) => [handleOf('mac'), message]
    return bufferOf((await this.#calls.onKey(ref, 'mac', number, args, options))[0])
  }

  async deriveSecret(ref: MasterKeyRef, peerPoint: Buffer, options: CallOptions): Promise<Buffer> {
    const scalarBytes = (peerPoint.length - 1) / 2
    const args = (handleOf: MaterialHandles) => [handleOf('priv'), peerPoint]
    return bufferOf((await this.#calls.onKey(ref, 'deriveSecret', scalarBytes, args, options))[0])
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
