import {
  createCipheriv,
  createDecipheriv,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { ciphertextInvalid, KmsError } from '../../src/core/errors.ts'
import { KEY_PAIR_SPECS, type PairAlgorithm } from '../../src/core/key-pair-spec.ts'
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
} from '../../src/core/ports/crypto-provider.ts'
import { u16 } from '../../src/lib/bytes.ts'

const KEY_WRAP_PAD_IV = Buffer.from('a65959a6', 'hex')

interface Material {
  readonly enc: Buffer
  readonly wrap: Buffer
}

/** A CryptoProvider whose "token" is this process's memory: the double that the core and the façades are tested with. */
export class SoftwareProvider implements CryptoProvider {
  readonly #materials = new Map<string, Material>()
  /** Names of the methods called, in order. */
  readonly calls: string[] = []
  /** Private keys of the pairs that were made, PKCS#8. */
  readonly pairsMade: Buffer[] = []
  /** While set, every call fails with it. */
  failWith: KmsError | undefined
  /** IDs of versions whose objects are there and not as they were made. */
  readonly altered = new Set<string>()

  async createMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void> {
    this.#enter('createMasterKey', ref.token, options)
    const id = materialId(ref)
    if (this.#materials.has(id)) {
      throw new KmsError('ALREADY_EXISTS', 'The token already holds that key.', { keyId: ref.keyId })
    }
    this.#materials.set(id, { enc: randomBytes(32), wrap: randomBytes(32) })
  }

  async destroyMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<void> {
    this.#enter('destroyMasterKey', ref.token, options)
    this.#materials.delete(materialId(ref))
  }

  async findMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MaterialPresence> {
    this.#enter('findMasterKey', ref.token, options)
    if (!this.#materials.has(materialId(ref))) return 'absent'
    return this.altered.has(ref.versionId) ? 'altered' : 'present'
  }

  async seal(ref: MasterKeyRef, plaintext: Buffer, aad: Buffer, options: CallOptions): Promise<Sealed> {
    this.#enter('seal', ref.token, options)
    return gcmSeal(this.#require(ref).enc, plaintext, aad)
  }

  async sealRandom(
    ref: MasterKeyRef,
    lengthBytes: number,
    aad: Buffer,
    options: CallOptions,
  ): Promise<Sealed & { readonly plaintext: Buffer }> {
    this.#enter('sealRandom', ref.token, options)
    const plaintext = randomBytes(lengthBytes)
    return { ...gcmSeal(this.#require(ref).enc, plaintext, aad), plaintext }
  }

  async sealRandomInside(
    ref: MasterKeyRef,
    lengthBytes: number,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedInside> {
    this.#enter('sealRandomInside', ref.token, options)
    const { enc, wrap } = this.#require(ref)
    const cipher = createCipheriv('id-aes256-wrap-pad', wrap, KEY_WRAP_PAD_IV)
    const wrapped = Buffer.concat([u16(lengthBytes), cipher.update(randomBytes(lengthBytes)), cipher.final()])
    return { ...gcmSeal(enc, wrapped, aadFor('W2')), mode: 'W2' }
  }

  async sealKeyPair(
    ref: MasterKeyRef,
    { spec, readable }: KeyPairRequest,
    aadFor: (mode: SealMode) => Buffer,
    options: CallOptions,
  ): Promise<SealedKeyPair> {
    this.#enter('sealKeyPair', ref.token, options)
    const { enc, wrap } = this.#require(ref)
    const { publicKey, privateKey } = makeKeyPair(KEY_PAIR_SPECS[spec].algorithm)
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
    this.pairsMade.push(Buffer.from(pkcs8))
    if (readable)
      return { ...gcmSeal(enc, pkcs8, aadFor('W0')), mode: 'W0', publicKey: spki, privateKey: pkcs8 }
    const cipher = createCipheriv('id-aes256-wrap-pad', wrap, KEY_WRAP_PAD_IV)
    const wrapped = Buffer.concat([u16(0), cipher.update(pkcs8), cipher.final()])
    return { ...gcmSeal(enc, wrapped, aadFor('W2')), mode: 'W2', publicKey: spki }
  }

  async open(
    ref: MasterKeyRef,
    mode: SealMode,
    sealed: Sealed,
    aad: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    this.#enter('open', ref.token, options)
    const { enc, wrap } = this.#require(ref)
    if (mode === 'W1') throw ciphertextInvalid()
    try {
      const opened = gcmOpen(enc, sealed, aad)
      if (mode !== 'W2') return opened
      const decipher = createDecipheriv('id-aes256-wrap-pad', wrap, KEY_WRAP_PAD_IV)
      const key = Buffer.concat([decipher.update(opened.subarray(2)), decipher.final()])
      return key.subarray(0, opened.readUInt16BE(0) || key.length)
    } catch (error) {
      throw ciphertextInvalid(error)
    }
  }

  async generateRandom(token: string, lengthBytes: number, options: CallOptions): Promise<Buffer> {
    this.#enter('generateRandom', token, options)
    return randomBytes(lengthBytes)
  }

  async checkHealth(token: string, _ref: MasterKeyRef | undefined, options: CallOptions): Promise<void> {
    this.#enter('checkHealth', token, options)
  }

  #enter(call: string, token: string, options: CallOptions): void {
    this.calls.push(call)
    if (this.failWith) throw this.failWith
    if (options.deadlineAt <= Date.now()) throw new KmsError('TOKEN_TIMEOUT', 'The token is busy.', { token })
  }

  #require(ref: MasterKeyRef): Material {
    const material = this.#materials.get(materialId(ref))
    if (material) return material
    throw new KmsError('TOKEN_UNAVAILABLE', 'The token does not hold that key.', { token: ref.token })
  }
}

function makeKeyPair(algorithm: PairAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm.kind === 'rsa') return generateKeyPairSync('rsa', { modulusLength: algorithm.modulusBits })
  if (algorithm.kind === 'ed25519') return generateKeyPairSync('ed25519')
  return generateKeyPairSync('ec', { namedCurve: algorithm.curve.opensslName })
}

function materialId(ref: MasterKeyRef): string {
  return `${ref.token}/${ref.keyId}/${ref.versionId}`
}

function gcmSeal(key: Buffer, plaintext: Buffer, aad: Buffer): Sealed {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return { iv, ciphertext, tag: cipher.getAuthTag() }
}

function gcmOpen(key: Buffer, sealed: Sealed, aad: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.iv)
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.tag)
  return Buffer.concat([decipher.update(sealed.ciphertext), decipher.final()])
}
