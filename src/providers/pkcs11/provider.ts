import { ciphertextInvalid } from '../../core/errors.ts'
import type {
  CallOptions,
  CryptoProvider,
  KeyPairRequest,
  MasterKeyRef,
  MaterialPresence,
  Sealed,
  SealedInside,
  SealedKeyPair,
  SealMode,
} from '../../core/ports/crypto-provider.ts'
import { invariant } from '../../lib/invariant.ts'
import { TokenConnection } from './connection.ts'
import {
  faultToKmsError,
  lacksSession,
  type TokenFault,
  toFault,
  tokenTimeout,
  tokenUnavailable,
} from './errors.ts'
import { isWellFormed } from './gcm.ts'
import { insideSealModeFor, SEAL_MODE_NUMBERS } from './inside-mode.ts'
import type { LaneFleet } from './lane-fleet.ts'
import type { CallOutcome } from './lanes/lane.ts'
import { jsonPart, type Operation, parseJsonPart, REPLY } from './lanes/messages.ts'
import type { LanePool } from './lanes/pool.ts'
import { faultIn, mayHelpToRepeat } from './lanes/reply.ts'
import { handlesOf, MaterialHandleCache, type MaterialHandles, refKey } from './material-handles.ts'
import { MissingKeyGuard } from './missing-key-guard.ts'
import { pairOf, pairParts } from './pair-call.ts'
import { type FoundMaterial, READ_BACK } from './procedures/find-master-key.ts'
import { bufferOf, type Parts, requireAad, requireLength, sealedOf } from './provider-parts.ts'
import {
  CRYPTO_LANES_MAX,
  type Pkcs11ProviderEvents,
  type Pkcs11Status,
  type Pkcs11TokenSettings,
} from './settings.ts'

const PLAINTEXT_BYTES_MAX = 4096
const RANDOM_BYTES_MAX = 1024

/** {@link CryptoProvider} over one token of a PKCS#11 library. Cryptoki runs in worker threads ("lanes") alone. */
export class Pkcs11Provider implements CryptoProvider {
  readonly #settings: Pkcs11TokenSettings
  readonly #connection: TokenConnection
  readonly #lanes: LaneFleet
  readonly #handles = new MaterialHandleCache(
    (ref, options) => this.#search(ref, options),
    () => tokenTimeout(this.#settings.name),
  )
  readonly #missing = new MissingKeyGuard()

  private constructor(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents) {
    const { crypto } = settings.lanes
    invariant(crypto >= 1 && crypto <= CRYPTO_LANES_MAX, `lanes.crypto is 1 to ${CRYPTO_LANES_MAX}`)
    this.#settings = settings
    this.#connection = new TokenConnection(settings, events, {
      onDown: () => this.#handles.clear(),
      witness: () => this.#missing.witness,
    })
    this.#lanes = this.#connection.lanes
  }

  /**
   * Starts the lanes and tries to connect once. A token that is absent is not an error: the provider connects when it
   * appears. A wrong PIN is never tried twice; `status()` says so.
   *
   * @throws Error with a sentence for operators when `settings.select` is not one we take.
   */
  static async start(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents): Promise<Pkcs11Provider> {
    const provider = new Pkcs11Provider(settings, events)
    await provider.#connection.start()
    return provider
  }

  status(): Pkcs11Status {
    return this.#connection.status()
  }

  /** Whether calls are taken right now. Cheap: a router asks it for every request. */
  get available(): boolean {
    return this.#connection.available
  }

  /** Counts the connections so far: what was learned of the token holds for one of them. */
  get generation(): number {
    return this.#connection.generation
  }

  /** Lets calls in flight end, refuses new ones, logs out, finalizes the library and ends the workers. */
  async close(): Promise<void> {
    await this.#connection.close()
  }

  async createMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void> {
    this.#handles.forget(ref)
    const connected = this.#requireUp()
    const [made] = await this.#run(this.#lanes.write, 'createMasterKey', 0, [this.#nameOf(ref)], options)
    this.#handles.forget(ref)
    this.#missing.found(ref)
    const handles = handlesOf(parseJsonPart(made) as FoundMaterial)
    if (handles && this.#connection.connected === connected) this.#handles.remember(ref, handles)
  }

  async destroyMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void> {
    this.#handles.forget(ref)
    this.#missing.destroyed(ref)
    try {
      await this.#run(this.#lanes.write, 'destroyMasterKey', 0, [this.#nameOf(ref)], options)
    } finally {
      this.#handles.forget(ref)
      this.#missing.destroyed(ref)
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
    const [part] = await this.#run(this.#lanes.write, 'findMasterKey', readBack, [this.#nameOf(ref)], options)
    const found = parseJsonPart(part) as FoundMaterial
    if (found.asCreated) return 'present'
    return found.enc.length + found.wrap.length === 0 ? 'absent' : 'partial'
  }

  async seal(ref: MasterKeyRef, plaintext: Buffer, aad: Buffer, options: CallOptions): Promise<Sealed> {
    requireLength(plaintext.length, PLAINTEXT_BYTES_MAX, 'plaintext')
    requireAad(aad)
    const parts = await this.#onKey(ref, 'seal', 0, ({ enc }) => [enc, aad, plaintext], options)
    return sealedOf(parts)
  }

  async sealRandom(ref: MasterKeyRef, lengthBytes: number, aad: Buffer, options: CallOptions) {
    requireLength(lengthBytes, RANDOM_BYTES_MAX, 'lengthBytes')
    requireAad(aad)
    const parts = await this.#onKey(ref, 'sealRandom', lengthBytes, ({ enc }) => [enc, aad], options)
    return { ...sealedOf(parts), plaintext: bufferOf(parts[2]) }
  }

  async sealRandomInside(
    ref: MasterKeyRef,
    lengthBytes: number,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedInside> {
    requireLength(lengthBytes, RANDOM_BYTES_MAX, 'lengthBytes')
    const mode = this.#insideModeFor(lengthBytes)
    const aad = aadFor(mode)
    requireAad(aad)
    const args = ({ enc, wrap }: MaterialHandles) => [enc, wrap, aad, Buffer.of(SEAL_MODE_NUMBERS[mode])]
    const sealed = sealedOf(await this.#onKey(ref, 'sealRandomInside', lengthBytes, args, options))
    return { ...sealed, mode, ...(mode === 'W0' && { hostMemory: true as const }) }
  }

  #insideModeFor(lengthBytes: number): SealMode {
    const { capabilities } = this.#requireUp()
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
    return pairOf(await this.#onKey(ref, 'sealKeyPair', 0, args, options, pair))
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
    const args = ({ enc, wrap }: MaterialHandles) => [enc, wrap, aad, sealed.iv, bytes]
    const parts = await this.#onKey(ref, 'open', SEAL_MODE_NUMBERS[mode], args, options)
    return bufferOf(parts[0])
  }

  async generateRandom(token: string, lengthBytes: number, options: CallOptions): Promise<Buffer> {
    this.#requireToken(token)
    requireLength(lengthBytes, RANDOM_BYTES_MAX, 'lengthBytes')
    return bufferOf((await this.#run(this.#lanes.crypto, 'generateRandom', lengthBytes, [], options))[0])
  }

  async checkHealth(token: string, ref: MasterKeyRef | undefined, options: CallOptions): Promise<void> {
    this.#requireToken(token)
    const { control } = this.#lanes
    if (ref) await this.#onKey(ref, 'checkHealth', 0, ({ enc }) => [enc], options, control)
    else
      await this.#run(
        control,
        'checkHealth',
        0,
        [Buffer.from(this.#requireUp().healthKeyHex, 'hex')],
        options,
      )
  }

  /** Runs a procedure on the objects of a version; looks their handles up once more where they went stale. */
  async #onKey(
    ref: MasterKeyRef,
    operation: Operation,
    number: number,
    partsFor: (handles: MaterialHandles) => Parts,
    options: CallOptions,
    pool: LanePool = this.#lanes.crypto,
  ): Promise<Parts> {
    const handles = await this.#handlesFor(ref, options)
    const outcome = await pool.call(operation, number, partsFor(handles), options)
    const fault = faultIn(outcome)
    if (!fault || !mayHelpToRepeat(fault, pool)) return this.#settle(outcome, fault)
    if (!lacksSession(fault)) this.#handles.forget(ref, handles)
    const found = await this.#handlesFor(ref, options)
    const second = await pool.call(operation, number, partsFor(found), options)
    return this.#settle(second, faultIn(second))
  }

  /** Handles are numbers that another connection gives to other objects: they are good for the current one alone. */
  async #handlesFor(ref: MasterKeyRef, options: CallOptions): Promise<MaterialHandles> {
    this.#requireToken(ref.token)
    const connected = this.#requireUp()
    const handles = this.#handles.get(ref) ?? (await this.#handles.find(ref, options))
    if (this.#requireUp() !== connected) throw tokenUnavailable(this.#settings.name)
    return handles
  }

  async #run(
    pool: LanePool,
    operation: Operation,
    number: number,
    parts: Parts,
    options: CallOptions,
  ): Promise<Parts> {
    this.#requireUp()
    const first = await pool.call(operation, number, parts, options)
    const starved = faultIn(first)
    const again = starved !== undefined && lacksSession(starved) && pool.open
    const outcome = again ? await pool.call(operation, number, parts, options) : first
    return this.#settle(outcome, faultIn(outcome))
  }

  #settle(outcome: CallOutcome, fault: TokenFault | undefined): Parts {
    const token = this.#settings.name
    if (fault) {
      this.#connection.report(fault)
      throw faultToKmsError(token, fault)
    }
    if (outcome.kind === 'unavailable') throw tokenUnavailable(token, outcome.cause)
    if (outcome.kind === 'timeout' || outcome.frame.code !== REPLY.ok) throw tokenTimeout(token)
    return outcome.frame.parts
  }

  async #find(ref: MasterKeyRef, options: CallOptions): Promise<FoundMaterial> {
    this.#requireUp()
    // Ahead of creations, which are slow: a flood of them would keep every key that is not cached from being used.
    const outcome = await this.#lanes.write.call(
      'findMasterKey',
      READ_BACK.none,
      [this.#nameOf(ref)],
      options,
      true,
    )
    const [found] = this.#settle(outcome, faultIn(outcome))
    const material = parseJsonPart(found) as FoundMaterial
    if (material.enc.length > 1 || material.wrap.length > 1) {
      const cause = new Error(
        `The token holds more than one object of ${refKey(ref)}: their CKA_ID is the same.`,
      )
      throw tokenUnavailable(this.#settings.name, cause)
    }
    return material
  }

  async #search(ref: MasterKeyRef, options: CallOptions): Promise<MaterialHandles> {
    const handles = handlesOf(await this.#find(ref, options))
    if (handles) {
      this.#missing.found(ref)
      return handles
    }
    const reason = `The token does not hold the objects of ${refKey(ref)}.`
    if (this.#missing.mayReconnect(ref)) this.#connection.reconnect('missing-key', { reason }, true)
    throw tokenUnavailable(this.#settings.name, new Error(reason))
  }

  #nameOf(ref: MasterKeyRef): Buffer {
    this.#requireToken(ref.token)
    return jsonPart({ keyId: ref.keyId, versionId: ref.versionId, versionNumber: ref.versionNumber })
  }

  #requireToken(token: string): void {
    invariant(token === this.#settings.name, 'a master key belongs to the token of its provider')
  }

  #requireUp() {
    const { connected } = this.#connection
    if (connected) return connected
    throw tokenUnavailable(this.#settings.name, this.#connection.unavailableCause())
  }
}
