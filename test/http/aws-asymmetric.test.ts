import {
  constants,
  createHash,
  createPublicKey,
  diffieHellman,
  ECDH,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  randomUUID,
  verify,
} from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { encodeNativeEnvelope } from '../../src/core/envelope/native-envelope.ts'
import { KEY_SPECS, type KeySpec, keySpecRow } from '../../src/core/key-spec.ts'
import { ALICE } from '../support/kms-fixture.ts'
import { type AwsFixture, awsFixture } from './aws-fixture.ts'

const ARN = `arn:aws:kms:us-east-1:${ALICE.accountId}:key/`
const BLOB = expect.stringMatching(/^[A-Za-z0-9+/]+=*$/)
const MESSAGE = Buffer.from('to be signed')
const Message = MESSAGE.toString('base64')
const bytesOf = (text: unknown) => Buffer.from(String(text), 'base64')
const sha = (bits: 256 | 384 | 512, bytes = MESSAGE) => createHash(`sha${bits}`).update(bytes).digest()

let fixture: AwsFixture
beforeEach(() => {
  fixture = awsFixture()
})

async function ok(operation: string, input: object): Promise<Record<string, unknown>> {
  const answer = await fixture.request(operation, input)
  expect(answer, answer.text).toMatchObject({ status: 200 })
  return answer.json
}

/** Name and text of the fault. */
async function fault(operation: string, input: object): Promise<readonly [unknown, unknown]> {
  const { status, json } = await fixture.request(operation, input)
  expect([400, 500]).toContain(status)
  return [json['__type'], json['message']]
}

interface NewKey {
  readonly KeyId: string
  readonly arn: string
}

async function newKey(KeySpec: string, KeyUsage: string): Promise<NewKey> {
  const { KeyMetadata } = await ok('CreateKey', { KeySpec, KeyUsage })
  const { KeyId } = KeyMetadata as { KeyId: string }
  return { KeyId, arn: `${ARN}${KeyId}` }
}

async function publicKeyOf({ KeyId }: NewKey) {
  const { PublicKey } = await ok('GetPublicKey', { KeyId })
  return createPublicKey({ key: bytesOf(PublicKey), format: 'der', type: 'spki' })
}

const usages = (Object.keys(KEY_SPECS) as KeySpec[]).flatMap((spec) =>
  keySpecRow(spec).usages.map((usage) => [spec, usage] as const),
)
const RSA_SIGNING = [
  'RSASSA_PKCS1_V1_5_SHA_256',
  'RSASSA_PKCS1_V1_5_SHA_384',
  'RSASSA_PKCS1_V1_5_SHA_512',
  'RSASSA_PSS_SHA_256',
  'RSASSA_PSS_SHA_384',
  'RSASSA_PSS_SHA_512',
]
const RSA_OAEP = ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256']

/** The members that say what a key may be used with. */
const ALGORITHMS: Readonly<Record<string, object>> = {
  'SYMMETRIC_DEFAULT ENCRYPT_DECRYPT': { EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'] },
  'RSA_2048 ENCRYPT_DECRYPT': { EncryptionAlgorithms: RSA_OAEP },
  'RSA_3072 ENCRYPT_DECRYPT': { EncryptionAlgorithms: RSA_OAEP },
  'RSA_4096 ENCRYPT_DECRYPT': { EncryptionAlgorithms: RSA_OAEP },
  'RSA_2048 SIGN_VERIFY': { SigningAlgorithms: RSA_SIGNING },
  'RSA_3072 SIGN_VERIFY': { SigningAlgorithms: RSA_SIGNING },
  'RSA_4096 SIGN_VERIFY': { SigningAlgorithms: RSA_SIGNING },
  'ECC_NIST_P256 SIGN_VERIFY': { SigningAlgorithms: ['ECDSA_SHA_256'] },
  'ECC_NIST_P384 SIGN_VERIFY': { SigningAlgorithms: ['ECDSA_SHA_384'] },
  'ECC_NIST_P521 SIGN_VERIFY': { SigningAlgorithms: ['ECDSA_SHA_512'] },
  'ECC_SECG_P256K1 SIGN_VERIFY': { SigningAlgorithms: ['ECDSA_SHA_256'] },
  'ECC_NIST_EDWARDS25519 SIGN_VERIFY': { SigningAlgorithms: ['ED25519_SHA_512', 'ED25519_PH_SHA_512'] },
  'ECC_NIST_P256 KEY_AGREEMENT': { KeyAgreementAlgorithms: ['ECDH'] },
  'ECC_NIST_P384 KEY_AGREEMENT': { KeyAgreementAlgorithms: ['ECDH'] },
  'ECC_NIST_P521 KEY_AGREEMENT': { KeyAgreementAlgorithms: ['ECDH'] },
  'HMAC_224 GENERATE_VERIFY_MAC': { MacAlgorithms: ['HMAC_SHA_224'] },
  'HMAC_256 GENERATE_VERIFY_MAC': { MacAlgorithms: ['HMAC_SHA_256'] },
  'HMAC_384 GENERATE_VERIFY_MAC': { MacAlgorithms: ['HMAC_SHA_384'] },
  'HMAC_512 GENERATE_VERIFY_MAC': { MacAlgorithms: ['HMAC_SHA_512'] },
  'ML_DSA_44 SIGN_VERIFY': { SigningAlgorithms: ['ML_DSA_SHAKE_256'] },
  'ML_DSA_65 SIGN_VERIFY': { SigningAlgorithms: ['ML_DSA_SHAKE_256'] },
  'ML_DSA_87 SIGN_VERIFY': { SigningAlgorithms: ['ML_DSA_SHAKE_256'] },
}

describe('CreateKey', () => {
  it.each(usages)('%s for %s tells the same as DescribeKey', async (KeySpec, KeyUsage) => {
    const { KeyMetadata } = await ok('CreateKey', { KeySpec, KeyUsage, Description: 'd' })
    const { KeyId } = KeyMetadata as { KeyId: string }
    expect(KeyMetadata).toEqual({
      AWSAccountId: ALICE.accountId,
      KeyId,
      Arn: `${ARN}${KeyId}`,
      CreationDate: expect.any(Number),
      Enabled: true,
      Description: 'd',
      KeyUsage,
      KeyState: 'Enabled',
      Origin: 'AWS_KMS',
      KeyManager: 'CUSTOMER',
      CustomerMasterKeySpec: KeySpec,
      KeySpec,
      ...ALGORITHMS[`${KeySpec} ${KeyUsage}`],
      MultiRegion: false,
      ...(KeySpec === 'SYMMETRIC_DEFAULT' && {
        CurrentKeyMaterialId: expect.stringMatching(/^[a-f0-9]{64}$/),
      }),
    })
    expect(await ok('DescribeKey', { KeyId })).toEqual({ KeyMetadata })
  })

  it.each(['RSA_2048', 'HMAC_256', 'SM2', 'ML_KEM_512'])('%s asks for a KeyUsage', async (KeySpec) => {
    expect(await fault('CreateKey', { KeySpec })).toEqual([
      'ValidationException',
      'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
    ])
  })

  it.each([
    ['RSA_2048', 'KEY_AGREEMENT'],
    ['RSA_2048', 'GENERATE_VERIFY_MAC'],
    ['ECC_NIST_P256', 'ENCRYPT_DECRYPT'],
    ['ECC_SECG_P256K1', 'KEY_AGREEMENT'],
    ['ECC_NIST_EDWARDS25519', 'KEY_AGREEMENT'],
    ['HMAC_512', 'SIGN_VERIFY'],
    ['SYMMETRIC_DEFAULT', 'SIGN_VERIFY'],
    ['ML_DSA_44', 'ENCRYPT_DECRYPT'],
    ['ML_KEM_768', 'SIGN_VERIFY'],
    ['RSA_4096', 'ENCAPSULATE_DECAPSULATE'],
  ])('%s is not for %s', async (KeySpec, KeyUsage) => {
    expect(await fault('CreateKey', { KeySpec, KeyUsage })).toEqual([
      'ValidationException',
      `KeyUsage ${KeyUsage} is not compatible with KeySpec ${KeySpec}`,
    ])
  })

  it.each([
    ['SM2', 'SIGN_VERIFY', 'CKM_SM2_KEY_PAIR_GEN'],
    ['ML_KEM_1024', 'ENCAPSULATE_DECAPSULATE', 'CKM_ML_KEM_KEY_PAIR_GEN'],
  ])('%s is refused with the names of token and mechanism', async (KeySpec, KeyUsage, mechanism) => {
    const [type, message] = await fault('CreateKey', { KeySpec, KeyUsage })
    expect(type).toBe('UnsupportedOperationException')
    expect(message).toContain(`The token "main" is not asked for keys of spec ${KeySpec} (${mechanism}): `)
    expect(await ok('ListKeys', {})).toMatchObject({ Keys: [] })
  })

  it('of a spec that the token turns out unable to make leaves nothing', async () => {
    fixture.provider.unable.add('ECC_SECG_P256K1')
    const input = { KeySpec: 'ECC_SECG_P256K1', KeyUsage: 'SIGN_VERIFY' }
    expect(await fault('CreateKey', input)).toEqual([
      'UnsupportedOperationException',
      'The token "main" makes no key of spec ECC_SECG_P256K1 (CKM_X).',
    ])
    expect(await ok('ListKeys', {})).toMatchObject({ Keys: [] })
    expect(await fixture.store.listKeysInState('Creating', { limit: 10 })).toEqual([])
  })

  it('takes the spec under its old name', async () => {
    const { KeyMetadata } = await ok('CreateKey', {
      CustomerMasterKeySpec: 'HMAC_224',
      KeyUsage: 'GENERATE_VERIFY_MAC',
    })
    expect(KeyMetadata).toMatchObject({ KeySpec: 'HMAC_224', CustomerMasterKeySpec: 'HMAC_224' })
  })
})

describe('Sign and Verify', () => {
  const cases = usages
    .filter(([, usage]) => usage === 'SIGN_VERIFY')
    .flatMap(([spec]) => keySpecRow(spec).signing?.map((algorithm) => [spec, algorithm] as const) ?? [])
    .filter(([spec, algorithm]) => !/_(?:3072|4096)$/.test(spec) && !/_PH_|^ML_DSA/.test(algorithm))

  it.each(cases)('%s %s', async (spec, SigningAlgorithm) => {
    const key = await newKey(spec, 'SIGN_VERIFY')
    const input = { KeyId: key.KeyId, Message, SigningAlgorithm }
    const signed = await ok('Sign', input)
    expect(signed).toEqual({ KeyId: key.arn, Signature: BLOB, SigningAlgorithm })
    const { Signature } = signed
    const valid = { KeyId: key.arn, SignatureValid: true, SigningAlgorithm }
    expect(await ok('Verify', { ...input, Signature })).toEqual(valid)
    const bits = Number(SigningAlgorithm.slice(-3)) as 256 | 384 | 512
    const isEd = SigningAlgorithm === 'ED25519_SHA_512'
    const options = SigningAlgorithm.includes('PSS')
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: bits / 8 }
      : {}
    const publicKey = { key: await publicKeyOf(key), ...options }
    expect(verify(isEd ? null : `sha${bits}`, MESSAGE, publicKey, bytesOf(Signature))).toBe(true)
    const invalid = ['KMSInvalidSignatureException', '']
    const other = { ...input, Signature, Message: Buffer.from('other').toString('base64') }
    expect(await fault('Verify', other)).toEqual(invalid)
    for (const bytes of [Buffer.of(1), Buffer.alloc(6144, 1), bytesOf(Signature).subarray(1)]) {
      expect(await fault('Verify', { ...input, Signature: bytes.toString('base64') })).toEqual(invalid)
    }
    if (isEd) return
    const digest = { ...input, Message: sha(bits).toString('base64'), MessageType: 'DIGEST' }
    expect(await ok('Verify', { ...digest, Signature })).toEqual(valid)
    const ofDigest = await ok('Sign', digest)
    expect(await ok('Verify', { ...input, Signature: ofDigest['Signature'] })).toEqual(valid)
    for (const length of [1, bits / 8 - 1, bits / 8 + 1, 4096]) {
      const wrong = { ...digest, Message: Buffer.alloc(length).toString('base64') }
      const text = `Digest is invalid length for algorithm ${SigningAlgorithm}.`
      expect(await fault('Sign', wrong)).toEqual(['ValidationException', text])
      expect(await fault('Verify', { ...wrong, Signature })).toEqual(['ValidationException', text])
    }
  })

  it('Verify and GetPublicKey ask no token', async () => {
    const key = await newKey('ECC_NIST_P256', 'SIGN_VERIFY')
    const input = { KeyId: key.KeyId, Message, SigningAlgorithm: 'ECDSA_SHA_256' }
    const { Signature } = await ok('Sign', input)
    const before = fixture.provider.calls.length
    await ok('Verify', { ...input, Signature })
    await ok('GetPublicKey', { KeyId: key.KeyId })
    expect(fixture.provider.calls).toHaveLength(before)
  })

  it.each([
    ['RSA_2048', 'ECDSA_SHA_256'],
    ['ECC_NIST_P256', 'ECDSA_SHA_384'],
    ['ECC_NIST_P256', 'SM2DSA'],
    ['ECC_NIST_EDWARDS25519', 'ML_DSA_SHAKE_256'],
    ['ECC_SECG_P256K1', 'RSASSA_PSS_SHA_256'],
  ])('a key of spec %s does not sign with %s', async (spec, SigningAlgorithm) => {
    const { KeyId } = await newKey(spec, 'SIGN_VERIFY')
    const text = `Algorithm ${SigningAlgorithm} is incompatible with key spec ${spec}.`
    const input = { KeyId, Message, SigningAlgorithm }
    expect(await fault('Sign', input)).toEqual(['InvalidKeyUsageException', text])
    expect(await fault('Verify', { ...input, Signature: Message })).toEqual([
      'InvalidKeyUsageException',
      text,
    ])
  })

  it('Ed25519 takes the message type of each algorithm alone', async () => {
    const { KeyId } = await newKey('ECC_NIST_EDWARDS25519', 'SIGN_VERIFY')
    const pure = { KeyId, SigningAlgorithm: 'ED25519_SHA_512' }
    const digest = { Message: sha(512).toString('base64'), MessageType: 'DIGEST' }
    expect(await fault('Sign', { ...pure, ...digest })).toEqual([
      'ValidationException',
      'Algorithm ED25519_SHA_512 requires MessageType RAW.',
    ])
    const prehash = { KeyId, SigningAlgorithm: 'ED25519_PH_SHA_512' }
    expect(await fault('Sign', { ...prehash, Message })).toEqual([
      'ValidationException',
      'Algorithm ED25519_PH_SHA_512 requires MessageType DIGEST.',
    ])
    expect(await fault('Sign', { ...prehash, ...digest, Message })).toEqual([
      'ValidationException',
      'Digest is invalid length for algorithm ED25519_PH_SHA_512.',
    ])
    expect((await fault('Sign', { ...pure, Message, MessageType: 'EXTERNAL_MU' }))[0]).toBe(
      'ValidationException',
    )
  })

  it.each([
    ['Message', { Message: '' }, 'greater than or equal to 1'],
    ['Message', { Message: Buffer.alloc(4097).toString('base64') }, 'less than or equal to 4096'],
    ['Signature', { Signature: Buffer.alloc(6145).toString('base64') }, 'less than or equal to 6144'],
  ])('%s has its bounds, and is not shown', async (member, changed, bound) => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'SIGN_VERIFY')
    const input = { KeyId, Message, SigningAlgorithm: 'ECDSA_SHA_256', Signature: Message, ...changed }
    expect(await fault('Verify', input)).toEqual([
      'ValidationException',
      `1 validation error detected: Value at '${member.toLowerCase()}' failed to satisfy constraint: Member must have length ${bound}`,
    ])
  })
})

describe('Encrypt, Decrypt and ReEncrypt with RSA', () => {
  const Plaintext = Buffer.from('plain').toString('base64')

  it.each(RSA_OAEP)('%s, also of what others encrypted', async (EncryptionAlgorithm) => {
    const key = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const named = { KeyId: key.KeyId, EncryptionAlgorithm }
    const calls = fixture.provider.calls.length
    const sealed = await ok('Encrypt', { ...named, Plaintext })
    expect(fixture.provider.calls).toHaveLength(calls)
    expect(sealed).toEqual({ CiphertextBlob: BLOB, KeyId: key.arn, EncryptionAlgorithm })
    const opened = { KeyId: key.arn, Plaintext, EncryptionAlgorithm }
    expect(await ok('Decrypt', { ...named, CiphertextBlob: sealed['CiphertextBlob'] })).toEqual(opened)
    const oaepHash = EncryptionAlgorithm.endsWith('_1') ? 'sha1' : 'sha256'
    const ciphertext = publicEncrypt({ key: await publicKeyOf(key), oaepHash }, bytesOf(Plaintext))
    expect(await ok('Decrypt', { ...named, CiphertextBlob: ciphertext.toString('base64') })).toEqual(opened)
  })

  it('one answer to every bad ciphertext, and to one without a key', async () => {
    const { KeyId } = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const EncryptionAlgorithm = 'RSAES_OAEP_SHA_256'
    const { CiphertextBlob } = await ok('Encrypt', { KeyId, Plaintext, EncryptionAlgorithm })
    const good = bytesOf(CiphertextBlob)
    const invalid = ['InvalidCiphertextException', '']
    const forgeries = [
      Buffer.of(1),
      good.subarray(1),
      Buffer.concat([good, Buffer.of(0)]),
      Buffer.alloc(256, 0xff),
      Buffer.alloc(256),
      Buffer.from(good).fill((good[9] ?? 0) ^ 1, 9, 10),
      Buffer.alloc(6144, 3),
    ]
    for (const bytes of forgeries) {
      const input = { KeyId, EncryptionAlgorithm, CiphertextBlob: bytes.toString('base64') }
      expect(await fault('Decrypt', input)).toEqual(invalid)
    }
    const otherHash = { KeyId, CiphertextBlob, EncryptionAlgorithm: 'RSAES_OAEP_SHA_1' }
    expect(await fault('Decrypt', otherHash)).toEqual(invalid)
    expect(await fault('Decrypt', { CiphertextBlob, EncryptionAlgorithm })).toEqual(invalid)
    expect(await fault('Decrypt', { CiphertextBlob })).toEqual(invalid)
    const other = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    expect(await fault('Decrypt', { KeyId: other.KeyId, CiphertextBlob, EncryptionAlgorithm })).toEqual(
      invalid,
    )
  })

  it('a blob of our own making that names an RSA key is no ciphertext', async () => {
    const { KeyId } = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const [key] = await fixture.store.listKeysInState('Enabled', { limit: 1 })
    const blob = encodeNativeEnvelope({
      form: { mode: 'W0', presentation: 'raw' },
      keyVersionId: key?.primaryVersionId ?? '',
      sealed: { iv: Buffer.alloc(12), ciphertext: Buffer.of(1), tag: Buffer.alloc(16) },
    })
    const CiphertextBlob = blob.toString('base64')
    const before = fixture.provider.calls.length
    expect(await fault('Decrypt', { CiphertextBlob })).toEqual(['InvalidCiphertextException', ''])
    expect(await fault('ReEncrypt', { CiphertextBlob, DestinationKeyId: KeyId })).toEqual([
      'InvalidKeyUsageException',
      'Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.',
    ])
    expect(fixture.provider.calls).toHaveLength(before)
  })

  it.each([
    ['RSA_2048', 'RSAES_OAEP_SHA_1', 214],
    ['RSA_3072', 'RSAES_OAEP_SHA_1', 342],
    ['RSA_4096', 'RSAES_OAEP_SHA_1', 470],
    ['RSA_2048', 'RSAES_OAEP_SHA_256', 190],
    ['RSA_3072', 'RSAES_OAEP_SHA_256', 318],
    ['RSA_4096', 'RSAES_OAEP_SHA_256', 446],
  ])('%s with %s takes %i bytes and no more', async (spec, EncryptionAlgorithm, bytesMax) => {
    const { KeyId } = await newKey(spec, 'ENCRYPT_DECRYPT')
    const input = (length: number) => ({
      KeyId,
      EncryptionAlgorithm,
      Plaintext: randomBytes(length).toString('base64'),
    })
    await ok('Encrypt', input(bytesMax))
    expect(await fault('Encrypt', input(bytesMax + 1))).toEqual([
      'ValidationException',
      `Algorithm ${EncryptionAlgorithm} and key spec ${spec} cannot encrypt data larger than ${bytesMax} bytes.`,
    ])
  })

  it('an encryption context is refused', async () => {
    const { KeyId } = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const named = { KeyId, EncryptionAlgorithm: 'RSAES_OAEP_SHA_1' }
    const { CiphertextBlob } = await ok('Encrypt', { ...named, Plaintext, EncryptionContext: {} })
    const context = { ...named, EncryptionContext: { a: 'b' } }
    expect((await fault('Encrypt', { ...context, Plaintext }))[0]).toBe('ValidationException')
    expect((await fault('Decrypt', { ...context, CiphertextBlob }))[0]).toBe('ValidationException')
  })

  it('algorithms belong to their specs', async () => {
    const rsa = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const aes = await newKey('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
    const text = (algorithm: string, spec: string) => [
      'InvalidKeyUsageException',
      `Algorithm ${algorithm} is incompatible with key spec ${spec}.`,
    ]
    const [KeyId, symmetric] = [rsa.KeyId, aes.KeyId]
    const SYMMETRIC = text('SYMMETRIC_DEFAULT', 'RSA_2048')
    expect(await fault('Encrypt', { KeyId, Plaintext })).toEqual(SYMMETRIC)
    expect(await fault('Encrypt', { KeyId, Plaintext, EncryptionAlgorithm: 'SM2PKE' })).toEqual(
      text('SM2PKE', 'RSA_2048'),
    )
    expect(await fault('Decrypt', { KeyId, CiphertextBlob: Plaintext })).toEqual(SYMMETRIC)
    const oaep = { EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }
    const ofAes = text('RSAES_OAEP_SHA_256', 'SYMMETRIC_DEFAULT')
    expect(await fault('Encrypt', { KeyId: symmetric, Plaintext, ...oaep })).toEqual(ofAes)
    expect(await fault('Decrypt', { KeyId: symmetric, CiphertextBlob: Plaintext, ...oaep })).toEqual(ofAes)
    for (const operation of ['GenerateDataKey', 'GenerateDataKeyWithoutPlaintext'])
      expect(await fault(operation, { KeyId, NumberOfBytes: 16 })).toEqual(SYMMETRIC)
    for (const operation of ['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'])
      expect(await fault(operation, { KeyId, KeyPairSpec: 'ECC_NIST_P256' })).toEqual(SYMMETRIC)
  })

  it('ReEncrypt goes from symmetric to RSA and back, and between RSA keys', async () => {
    const [aes, rsa, other] = [
      await newKey('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT'),
      await newKey('RSA_2048', 'ENCRYPT_DECRYPT'),
      await newKey('RSA_2048', 'ENCRYPT_DECRYPT'),
    ]
    const { CiphertextBlob } = await ok('Encrypt', { KeyId: aes.KeyId, Plaintext })
    const toRsa = await ok('ReEncrypt', {
      CiphertextBlob,
      DestinationKeyId: rsa.KeyId,
      DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
    })
    expect(toRsa).toEqual({
      CiphertextBlob: BLOB,
      SourceKeyId: aes.arn,
      KeyId: rsa.arn,
      SourceEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      SourceKeyMaterialId: expect.stringMatching(/^[a-f0-9]{64}$/),
    })
    const between = await ok('ReEncrypt', {
      CiphertextBlob: toRsa['CiphertextBlob'],
      SourceKeyId: rsa.KeyId,
      SourceEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      DestinationKeyId: other.KeyId,
      DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_1',
    })
    const back = await ok('ReEncrypt', {
      CiphertextBlob: between['CiphertextBlob'],
      SourceKeyId: other.KeyId,
      SourceEncryptionAlgorithm: 'RSAES_OAEP_SHA_1',
      DestinationKeyId: aes.KeyId,
    })
    expect(back).toMatchObject({ DestinationKeyMaterialId: expect.any(String), SourceKeyId: other.arn })
    expect(back).not.toHaveProperty('SourceKeyMaterialId')
    expect(await ok('Decrypt', { CiphertextBlob: back['CiphertextBlob'] })).toMatchObject({ Plaintext })
    const long = await ok('Encrypt', { KeyId: aes.KeyId, Plaintext: randomBytes(191).toString('base64') })
    const tooLong = await fault('ReEncrypt', {
      CiphertextBlob: long['CiphertextBlob'],
      DestinationKeyId: rsa.KeyId,
      DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
    })
    expect(tooLong[0]).toBe('ValidationException')
  })
})

describe('GenerateMac and VerifyMac', () => {
  it.each(['224', '256', '384', '512'])('HMAC_%s', async (bits) => {
    const key = await newKey(`HMAC_${bits}`, 'GENERATE_VERIFY_MAC')
    const MacAlgorithm = `HMAC_SHA_${bits}`
    const input = { KeyId: key.KeyId, Message, MacAlgorithm }
    const made = await ok('GenerateMac', input)
    expect(made).toEqual({ KeyId: key.arn, Mac: BLOB, MacAlgorithm })
    const { Mac } = made
    expect(bytesOf(Mac)).toHaveLength(Number(bits) / 8)
    expect(await ok('VerifyMac', { ...input, Mac })).toEqual({ KeyId: key.arn, MacValid: true, MacAlgorithm })
    const invalid = ['KMSInvalidMacException', '']
    const mac = bytesOf(Mac)
    const forgeries = [
      mac.subarray(1),
      Buffer.concat([mac, Buffer.of(0)]),
      Buffer.of(0),
      Buffer.alloc(6144),
      Buffer.from(mac).fill((mac[3] ?? 0) ^ 1, 3, 4),
    ]
    for (const bytes of forgeries)
      expect(await fault('VerifyMac', { ...input, Mac: bytes.toString('base64') })).toEqual(invalid)
    expect(await fault('VerifyMac', { ...input, Mac, Message: Mac })).toEqual(invalid)
  })

  it('each spec has one algorithm', async () => {
    const { KeyId } = await newKey('HMAC_224', 'GENERATE_VERIFY_MAC')
    const input = { KeyId, Message, MacAlgorithm: 'HMAC_SHA_256' }
    const text = 'Algorithm HMAC_SHA_256 is incompatible with key spec HMAC_224.'
    expect(await fault('GenerateMac', input)).toEqual(['InvalidKeyUsageException', text])
    expect(await fault('VerifyMac', { ...input, Mac: Message })).toEqual(['InvalidKeyUsageException', text])
    const [type, message] = await fault('GenerateMac', { ...input, MacAlgorithm: 'INVALID' })
    expect(type).toBe('ValidationException')
    expect(message).toMatch(/^1 validation error detected: Value 'INVALID' at 'macAlgorithm' failed/)
  })
})

describe('GetPublicKey', () => {
  it.each([
    ['RSA_2048', 'ENCRYPT_DECRYPT'],
    ['RSA_2048', 'SIGN_VERIFY'],
    ['ECC_NIST_P521', 'KEY_AGREEMENT'],
    ['ECC_NIST_EDWARDS25519', 'SIGN_VERIFY'],
  ])('%s for %s', async (KeySpec, KeyUsage) => {
    const key = await newKey(KeySpec, KeyUsage)
    expect(await ok('GetPublicKey', { KeyId: key.KeyId })).toEqual({
      KeyId: key.arn,
      PublicKey: BLOB,
      CustomerMasterKeySpec: KeySpec,
      KeySpec,
      KeyUsage,
      ...ALGORITHMS[`${KeySpec} ${KeyUsage}`],
    })
  })

  it.each([
    ['SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT'],
    ['HMAC_256', 'GENERATE_VERIFY_MAC'],
  ])('%s has none', async (spec, usage) => {
    const { KeyId } = await newKey(spec, usage)
    expect(await fault('GetPublicKey', { KeyId })).toEqual([
      'UnsupportedOperationException',
      `A key of spec ${spec} has no public key.`,
    ])
  })

  it('answers of a disabled key, and not of one that pends deletion', async () => {
    const key = await newKey('ECC_NIST_P256', 'SIGN_VERIFY')
    await ok('DisableKey', { KeyId: key.KeyId })
    await ok('GetPublicKey', { KeyId: key.KeyId })
    await ok('ScheduleKeyDeletion', { KeyId: key.KeyId })
    expect(await fault('GetPublicKey', { KeyId: key.KeyId })).toEqual([
      'KMSInvalidStateException',
      `${key.arn} is pending deletion.`,
    ])
  })
})

describe('DeriveSharedSecret', () => {
  const CURVES = { ECC_NIST_P256: 'P-256', ECC_NIST_P384: 'P-384', ECC_NIST_P521: 'P-521' } as const
  const spki = (namedCurve: string) => {
    const pair = generateKeyPairSync('ec', { namedCurve })
    return { ...pair, der: pair.publicKey.export({ type: 'spki', format: 'der' }) }
  }

  it.each(Object.entries(CURVES))('%s', async (spec, curve) => {
    const key = await newKey(spec, 'KEY_AGREEMENT')
    const other = spki(curve)
    const input = {
      KeyId: key.KeyId,
      KeyAgreementAlgorithm: 'ECDH',
      PublicKey: other.der.toString('base64'),
    }
    const expected = diffieHellman({ privateKey: other.privateKey, publicKey: await publicKeyOf(key) })
    expect(await ok('DeriveSharedSecret', input)).toEqual({
      KeyId: key.arn,
      SharedSecret: expected.toString('base64'),
      KeyAgreementAlgorithm: 'ECDH',
      KeyOrigin: 'AWS_KMS',
    })
  })

  it('takes a point in either form', async () => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT')
    const { der } = spki('P-256')
    const compressed = ECDH.convertKey(der.subarray(-65), 'prime256v1', undefined, undefined, 'compressed')
    const short = Buffer.concat([
      Buffer.from('3039', 'hex'),
      der.subarray(2, 23),
      Buffer.from('032200', 'hex'),
      Buffer.from(compressed),
    ])
    const secretOf = async (bytes: Buffer) =>
      (
        await ok('DeriveSharedSecret', {
          KeyId,
          KeyAgreementAlgorithm: 'ECDH',
          PublicKey: bytes.toString('base64'),
        })
      )['SharedSecret']
    expect(await secretOf(short)).toBe(await secretOf(der))
  })

  it('refuses public keys that are none of the curve', async () => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT')
    const good = spki('P-256').der
    const infinity = Buffer.concat([
      Buffer.from('3019', 'hex'),
      good.subarray(2, 23),
      Buffer.from('03020000', 'hex'),
    ])
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
    const bad = {
      'another curve': spki('P-384').der,
      'a curve of the same length': spki('secp256k1').der,
      'off the curve': Buffer.from(good).fill((good[60] ?? 0) ^ 1, 60, 61),
      'cut off': good.subarray(0, -1),
      'no key at all': Buffer.from('x'),
      'of RSA': rsa.export({ type: 'spki', format: 'der' }),
      'at infinity': infinity,
      'of X25519': generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'der' }),
      'too large a number': Buffer.concat([good.subarray(0, -64), Buffer.alloc(64, 0xff)]),
      'with something behind': Buffer.concat([good, Buffer.alloc(8)]),
      'of a curve that is spelt out': generateKeyPairSync('ec', {
        namedCurve: 'P-256',
        paramEncoding: 'explicit',
      }).publicKey.export({ type: 'spki', format: 'der' }),
    }
    const before = fixture.provider.calls.length
    for (const [what, bytes] of Object.entries(bad)) {
      const input = { KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey: bytes.toString('base64') }
      expect(await fault('DeriveSharedSecret', input), what).toEqual(['ValidationException', ''])
    }
    expect(fixture.provider.calls).toHaveLength(before)
  })

  it('names its one algorithm', async () => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT')
    const input = { KeyId, KeyAgreementAlgorithm: 'INVALID', PublicKey: Message }
    expect(await fault('DeriveSharedSecret', input)).toEqual([
      'ValidationException',
      "1 validation error detected: Value 'INVALID' at 'keyAgreementAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [ECDH]",
    ])
  })
})

describe('usages and states', () => {
  const MAKE: Readonly<Record<string, object>> = {
    Sign: { Message, SigningAlgorithm: 'ECDSA_SHA_256' },
    Verify: { Message, SigningAlgorithm: 'ECDSA_SHA_256', Signature: Message },
    GenerateMac: { Message, MacAlgorithm: 'HMAC_SHA_256' },
    VerifyMac: { Message, MacAlgorithm: 'HMAC_SHA_256', Mac: Message },
    DeriveSharedSecret: { KeyAgreementAlgorithm: 'ECDH', PublicKey: Message },
    Encrypt: { Plaintext: Message },
    Decrypt: { CiphertextBlob: Message },
    GenerateDataKey: { NumberOfBytes: 16 },
  }
  const OF: Readonly<Record<string, readonly [spec: string, usage: string]>> = {
    Sign: ['ECC_NIST_P256', 'SIGN_VERIFY'],
    Verify: ['ECC_NIST_P256', 'SIGN_VERIFY'],
    GenerateMac: ['HMAC_256', 'GENERATE_VERIFY_MAC'],
    VerifyMac: ['HMAC_256', 'GENERATE_VERIFY_MAC'],
    DeriveSharedSecret: ['ECC_NIST_P256', 'KEY_AGREEMENT'],
  }

  it.each(Object.keys(MAKE))('%s is refused to keys of every other usage', async (operation) => {
    for (const [spec, usage] of [...new Set(Object.values(OF)), ['RSA_2048', 'ENCRYPT_DECRYPT'] as const]) {
      const own = OF[operation]?.[1] ?? 'ENCRYPT_DECRYPT'
      if (usage === own) continue
      const { KeyId, arn } = await newKey(spec, usage)
      expect(await fault(operation, { KeyId, ...MAKE[operation] })).toEqual([
        'InvalidKeyUsageException',
        `${arn} key usage is ${usage} which is not valid for ${operation}.`,
      ])
    }
  })

  it.each(Object.entries(OF))(
    '%s is refused to a disabled key and to none',
    async (operation, [spec, usage]) => {
      const { KeyId, arn } = await newKey(spec, usage)
      await ok('DisableKey', { KeyId })
      expect(await fault(operation, { KeyId, ...MAKE[operation] })).toEqual([
        'DisabledException',
        `${arn} is disabled.`,
      ])
      await ok('ScheduleKeyDeletion', { KeyId })
      expect(await fault(operation, { KeyId, ...MAKE[operation] })).toEqual([
        'KMSInvalidStateException',
        `${arn} is pending deletion.`,
      ])
      const absent = '00000000-0000-4000-8000-000000000000'
      expect((await fault(operation, { KeyId: absent, ...MAKE[operation] }))[0]).toBe('NotFoundException')
    },
  )
})

describe('Encapsulate and Decapsulate', () => {
  const SharedSecretCiphertextBlob = Buffer.alloc(1088).toString('base64')
  const cases = [
    ['Encapsulate', 'C_EncapsulateKey', {}],
    ['Decapsulate', 'C_DecapsulateKey', { SharedSecretCiphertextBlob }],
  ] as const

  it.each(cases)('%s is refused with the names of the token and of %s', async (operation, name, members) => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT')
    const input = { KeyId, EncapsulationAlgorithm: 'ML_KEM', ...members }
    const refusal = [
      'UnsupportedOperationException',
      `${operation} is not carried out by the token "main": it takes ${name} with CKM_ML_KEM of PKCS#11 v3.2, which the binding to tokens does not call.`,
    ]
    expect(await fault(operation, input)).toEqual(refusal)
    expect(await fault(operation, { ...input, DryRun: true })).toEqual(refusal)
    const absent = await fault(operation, { ...input, KeyId: randomUUID() })
    expect(absent[0]).toBe('NotFoundException')
    expect((await fault(operation, { KeyId, ...members }))[0]).toBe('ValidationException')
    await ok('DisableKey', { KeyId })
    expect((await fault(operation, input))[0]).toBe('DisabledException')
  })
})
