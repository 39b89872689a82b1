import { describe, expect, it } from 'vitest'
import { ALICE } from '../support/kms-fixture.ts'
import { ARN, asymmetricFixture, BLOB, Message, RSA_OAEP, USAGES } from './aws-asymmetric-fixture.ts'

const RSA_SIGNING = [
  'RSASSA_PKCS1_V1_5_SHA_256',
  'RSASSA_PKCS1_V1_5_SHA_384',
  'RSASSA_PKCS1_V1_5_SHA_512',
  'RSASSA_PSS_SHA_256',
  'RSASSA_PSS_SHA_384',
  'RSASSA_PSS_SHA_512',
]

/** The members that say what a key may be used with, by "spec usage". */
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

const { fixture, ok, fault, newKey } = asymmetricFixture()

describe('CreateKey', () => {
  it.each(USAGES)('%s for %s tells the same as DescribeKey', async (KeySpec, KeyUsage) => {
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
    fixture().provider.unable.add('ECC_SECG_P256K1')
    const input = { KeySpec: 'ECC_SECG_P256K1', KeyUsage: 'SIGN_VERIFY' }
    expect(await fault('CreateKey', input)).toEqual([
      'UnsupportedOperationException',
      'The token "main" makes no key of spec ECC_SECG_P256K1 (CKM_X).',
    ])
    expect(await ok('ListKeys', {})).toMatchObject({ Keys: [] })
    expect(await fixture().store.listKeysInState('Creating', { limit: 10 })).toEqual([])
  })

  it('takes the spec under its old name', async () => {
    const { KeyMetadata } = await ok('CreateKey', {
      CustomerMasterKeySpec: 'HMAC_224',
      KeyUsage: 'GENERATE_VERIFY_MAC',
    })
    expect(KeyMetadata).toMatchObject({ KeySpec: 'HMAC_224', CustomerMasterKeySpec: 'HMAC_224' })
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
