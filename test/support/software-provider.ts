import {
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  privateEncrypt,
  randomBytes,
  sign,
} from 'node:crypto'
import { ciphertextInvalid, KmsError } from '../../src/core/errors.ts'
import { type DataPairAlgorithm, KEY_PAIR_SPECS } from '../../src/core/key-pair-spec.ts'
import {
  keySpecRow,
  MAC_ALGORITHMS,
  type MacAlgorithm,
  OAEP_ALGORITHMS,
  type OaepAlgorithm,
  SIGNING_ALGORITHMS,
  type TokenSigning,
} from '../../src/core/key-spec.ts'
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
} from '../../src/core/ports/crypto-provider.ts'
import type { BroughtMaterial } from '../../src/core/ports/material-importer.ts'
import { digestInfo } from '../../src/core/rsa-encodings.ts'
import { u16 } from '../../src/lib/bytes.ts'
import { type MlDsaPair, makeMlDsaPair, type PhFlagWay, signEd25519ph } from './noble-signatures.ts'
import { encodePss, signDigest } from './sign-digest.ts'
import { materialOf, unwrapMaterial } from './software-import.ts'

const KEY_WRAP_PAD_IV = Buffer.from('a65959a6', 'hex')

interface Material {
  readonly enc: Buffer
  readonly wrap: Buffer
  /** Of a key pair, and of a MAC key. */
  readonly pair?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
  readonly mlDsa?: MlDsaPair
  readonly secret?: Buffer
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
  /** Private keys of import pairs, by id. */
  readonly importPairs = new Map<string, KeyObject>()

  /** How many versions it has objects of. */
  get held(): number {
    return this.#materials.size
  }

  /** Specs that this token cannot make. */
  readonly unable = new Set<string>()
  /** What it makes of the flag of Ed25519ph. */
  phFlag: PhFlagWay = 'honoured'
  /** Whether it takes µ for a message. */
  hashesMu = false

  async createMasterKey(ref: MasterKeyRef, options: CallOptions): Promise<MadeMaterial> {
    this.#enter('createMasterKey', ref.token, options)
    const id = materialId(ref)
    if (this.#materials.has(id)) {
      throw new KmsError('ALREADY_EXISTS', 'The token already holds that key.', { keyId: ref.keyId })
    }
    const { spec = 'SYMMETRIC_DEFAULT' } = ref
    if (this.unable.has(spec)) {
      throw new KmsError('UNSUPPORTED', `The token "${ref.token}" makes no key of spec ${spec} (CKM_X).`, {})
    }
    const { kind } = keySpecRow(spec)
    const secrets = { enc: randomBytes(32), wrap: randomBytes(32) }
    if (kind.kind === 'aes') this.#materials.set(id, secrets)
    else if (kind.kind === 'hmac')
      this.#materials.set(id, { ...secrets, secret: randomBytes(kind.lengthBytes) })
    else if (kind.kind === 'ml-dsa') this.#materials.set(id, { ...secrets, mlDsa: makeMlDsaPair(kind.set) })
    else this.#materials.set(id, { ...secrets, pair: makeKeyPair(kind) })
    const { pair, mlDsa } = this.#require(ref)
    const publicKey = pair ? spkiOf(pair.publicKey) : mlDsa?.spki
    return publicKey ? { publicKey } : {}
  }

  async readPublicKey(ref: MasterKeyRef, options: CallOptions): Promise<Buffer> {
    this.#enter('readPublicKey', ref.token, options)
    return this.#require(ref).mlDsa?.spki ?? spkiOf(this.#requirePair(ref).publicKey)
  }

  async sign(
    ref: MasterKeyRef,
    algorithm: TokenSigning,
    data: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    this.#enter('sign', ref.token, options)
    const { mlDsa } = this.#require(ref)
    if (mlDsa) return mlDsa.sign(this.hashesMu ? 'ML_DSA_SHAKE_256' : algorithm, data)
    const key = this.#requirePair(ref).privateKey
    if (algorithm === 'ED25519_PH_SHA_512') return signEd25519ph(key, data, this.phFlag)
    return signData(key, algorithm, data)
  }

  async decryptRsa(
    ref: MasterKeyRef,
    algorithm: OaepAlgorithm,
    ciphertext: Buffer,
    _publicKey: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    this.#enter('decryptRsa', ref.token, options)
    const { hash: oaepHash } = OAEP_ALGORITHMS[algorithm]
    const key = {
      key: this.#requirePair(ref).privateKey,
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash,
    }
    try {
      return privateDecrypt(key, ciphertext)
    } catch (error) {
      throw ciphertextInvalid(error)
    }
  }

  async mac(
    ref: MasterKeyRef,
    algorithm: MacAlgorithm,
    message: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    this.#enter('mac', ref.token, options)
    const { secret } = this.#require(ref)
    if (!secret) throw new TypeError('not a MAC key')
    return createHmac(MAC_ALGORITHMS[algorithm].hash, secret).update(message).digest()
  }

  async deriveSecret(ref: MasterKeyRef, peerPoint: Buffer, options: CallOptions): Promise<Buffer> {
    this.#enter('deriveSecret', ref.token, options)
    const { privateKey } = this.#requirePair(ref)
    const ecdh = createECDH(privateKey.asymmetricKeyDetails?.namedCurve ?? '')
    ecdh.setPrivateKey(Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url'))
    return ecdh.computeSecret(peerPoint)
  }

  async createImportPair(
    ref: ImportPairRef,
    { spec }: ImportWrapping,
    options: CallOptions,
  ): Promise<{ readonly publicKey: Buffer }> {
    this.#enter('createImportPair', ref.token, options)
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: Number(spec.slice(4)) })
    this.importPairs.set(ref.pairId, privateKey)
    return { publicKey: publicKey.export({ type: 'spki', format: 'der' }) }
  }

  async destroyImportPair(ref: ImportPairRef, options: CallOptions): Promise<void> {
    this.#enter('destroyImportPair', ref.token, options)
    this.importPairs.delete(ref.pairId)
  }

  async importMasterKey(
    ref: MasterKeyRef,
    { pair, algorithm, wrapped }: WrappedMaterial,
    options: CallOptions,
  ): Promise<BroughtMaterial> {
    this.#enter('importMasterKey', ref.token, options)
    const key = this.importPairs.get(pair.pairId)
    if (!key)
      throw new KmsError('TOKEN_UNAVAILABLE', 'The token does not hold that pair.', { token: ref.token })
    if (this.#materials.has(materialId(ref)))
      throw new KmsError('ALREADY_EXISTS', 'The token already holds that key.', { keyId: ref.keyId })
    const { kind } = keySpecRow(ref.spec ?? 'SYMMETRIC_DEFAULT')
    const material: Material = materialOf(kind, unwrapMaterial(key, { algorithm, wrapped }))
    this.#materials.set(materialId(ref), material)
    return material.pair ? { publicKey: spkiOf(material.pair.publicKey) } : {}
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

  #requirePair(ref: MasterKeyRef): NonNullable<Material['pair']> {
    const { pair } = this.#require(ref)
    if (pair) return pair
    throw new TypeError('not a key pair')
  }

  #require(ref: MasterKeyRef): Material {
    const material = this.#materials.get(materialId(ref))
    if (material) return material
    throw new KmsError('TOKEN_UNAVAILABLE', 'The token does not hold that key.', { token: ref.token })
  }
}

const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })

/** Node signs digests through what is beneath its signatures: RSA without a hash, and ECDSA by BigInt. */
function signData(key: KeyObject, algorithm: TokenSigning, data: Buffer): Buffer {
  if (algorithm === 'ML_DSA_EXTERNAL_MU') throw new KmsError('UNSUPPORTED', 'No ML-DSA.', {})
  const { scheme, hash } = SIGNING_ALGORITHMS[algorithm]
  if (scheme === 'eddsa') return sign(null, data, key)
  if (scheme === 'ecdsa') return signDigest(key, data)
  if (scheme === 'rsa-pkcs1')
    return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, digestInfo(hash, data))
  if (scheme === 'rsa-pss')
    return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encodePss(key, hash, data))
  throw new KmsError('UNSUPPORTED', `No ${scheme}.`, {})
}

function makeKeyPair(algorithm: DataPairAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm.kind === 'rsa') return generateKeyPairSync('rsa', { modulusLength: algorithm.modulusBits })
  if (algorithm.kind === 'ed25519') return generateKeyPairSync('ed25519')
  return generateKeyPairSync('ec', { namedCurve: algorithm.curve.opensslName })
}

function materialId(ref: MasterKeyRef): string {
  return `${ref.token}/${ref.keyId}/${ref.versionId}/${ref.importId ?? ''}`
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
