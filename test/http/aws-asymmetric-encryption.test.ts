import { publicEncrypt, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodeNativeEnvelope } from '../../src/core/envelope/native-envelope.ts'
import { asymmetricFixture, BLOB, bytesOf, RSA_OAEP } from './aws-asymmetric-fixture.ts'

const { fixture, ok, fault, newKey, publicKeyOf } = asymmetricFixture()

describe('Encrypt, Decrypt and ReEncrypt with RSA', () => {
  const Plaintext = Buffer.from('plain').toString('base64')

  it.each(RSA_OAEP)('%s, also of what others encrypted', async (EncryptionAlgorithm) => {
    const key = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const named = { KeyId: key.KeyId, EncryptionAlgorithm }
    const calls = fixture().provider.calls.length
    const sealed = await ok('Encrypt', { ...named, Plaintext })
    expect(fixture().provider.calls).toHaveLength(calls)
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
    const [key] = await fixture().store.listKeysInState('Enabled', { limit: 1 })
    const blob = encodeNativeEnvelope({
      form: { mode: 'W0', presentation: 'raw' },
      keyVersionId: key?.primaryVersionId ?? '',
      sealed: { iv: Buffer.alloc(12), ciphertext: Buffer.of(1), tag: Buffer.alloc(16) },
    })
    const CiphertextBlob = blob.toString('base64')
    const before = fixture().provider.calls.length
    expect(await fault('Decrypt', { CiphertextBlob })).toEqual(['InvalidCiphertextException', ''])
    expect(await fault('ReEncrypt', { CiphertextBlob, DestinationKeyId: KeyId })).toEqual([
      'InvalidKeyUsageException',
      'Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.',
    ])
    expect(fixture().provider.calls).toHaveLength(before)
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
