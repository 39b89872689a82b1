import { constants, createHash, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { keySpecRow } from '../../src/core/key-spec.ts'
import { asymmetricFixture, BLOB, bytesOf, MESSAGE, Message, USAGES } from './aws-asymmetric-fixture.ts'

const sha = (bits: 256 | 384 | 512, bytes = MESSAGE) => createHash(`sha${bits}`).update(bytes).digest()
const { fixture, ok, fault, newKey, publicKeyOf } = asymmetricFixture()

describe('Sign and Verify', () => {
  const cases = USAGES.filter(([, usage]) => usage === 'SIGN_VERIFY')
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
    const before = fixture().provider.calls.length
    await ok('Verify', { ...input, Signature })
    await ok('GetPublicKey', { KeyId: key.KeyId })
    expect(fixture().provider.calls).toHaveLength(before)
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
