import { constants, createPublicKey, hash, publicEncrypt, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { alibabaFixture, faultOf } from './alibaba-fixture.ts'

const { rpc } = alibabaFixture()
const base64 = (bytes: Buffer) => bytes.toString('base64')

async function keyOf(KeySpec: string, KeyUsage = '') {
  const { json } = await rpc('CreateKey', { KeySpec, KeyUsage })
  const metadata = json['KeyMetadata'] as Record<string, string>
  const { KeyId = '', PrimaryKeyVersion: KeyVersionId = '' } = metadata
  return { metadata, named: { KeyId, KeyVersionId } }
}

async function publicKeyOf(named: Record<string, string>) {
  const { json } = await rpc('GetPublicKey', named)
  expect(json).toMatchObject(named)
  return createPublicKey(String(json['PublicKey']))
}

describe('key pairs', () => {
  it.each([
    ['RSA_2048', 'RSA_PKCS1_SHA_256'],
    ['RSA_2048', 'RSA_PSS_SHA_256'],
    ['EC_P256', 'ECDSA_SHA_256'],
    ['EC_P256K', 'ECDSA_SHA_256'],
  ])('of spec %s sign by %s what others verify, and verify it themselves', async (KeySpec, Algorithm) => {
    const { metadata, named } = await keyOf(KeySpec)
    expect(metadata).toMatchObject({ KeySpec, KeyUsage: 'SIGN/VERIFY' })
    const message = Buffer.from('message')
    const Digest = base64(hash('sha256', message, 'buffer'))
    const { json } = await rpc('AsymmetricSign', { ...named, Algorithm, Digest })
    expect(json).toMatchObject(named)
    const Value = String(json['Value'])
    const key = await publicKeyOf(named)
    const padding =
      Algorithm === 'RSA_PSS_SHA_256'
        ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
        : {}
    expect(verify('sha256', message, { key, ...padding }, Buffer.from(Value, 'base64'))).toBe(true)
    const check = { ...named, Algorithm, Digest, Value }
    expect((await rpc('AsymmetricVerify', check)).json).toMatchObject({ ...named, Value: true })
    const other = { ...check, Digest: base64(hash('sha256', 'other', 'buffer')) }
    expect((await rpc('AsymmetricVerify', other)).json).toMatchObject({ ...named, Value: false })
  })

  it.each([
    ['RSAES_OAEP_SHA_256', 'sha256'],
    ['RSAES_OAEP_SHA_1', 'sha1'],
  ])('of RSA encrypt by %s, and open what others encrypted', async (Algorithm, oaepHash) => {
    const { named } = await keyOf('RSA_2048', 'ENCRYPT/DECRYPT')
    const Plaintext = base64(Buffer.of(0, 1, 255))
    const { json } = await rpc('AsymmetricEncrypt', { ...named, Algorithm, Plaintext })
    const own = { ...named, Algorithm, CiphertextBlob: String(json['CiphertextBlob']) }
    expect((await rpc('AsymmetricDecrypt', own)).json).toMatchObject({ ...named, Plaintext })
    const key = await publicKeyOf(named)
    const theirs = base64(publicEncrypt({ key, oaepHash }, Buffer.from('theirs')))
    const opened = await rpc('AsymmetricDecrypt', { ...named, Algorithm, CiphertextBlob: theirs })
    expect(opened.json['Plaintext']).toBe(base64(Buffer.from('theirs')))
    const { named: destination } = await keyOf('Aliyun_AES_256')
    const moved = await rpc('ReEncrypt', {
      CiphertextBlob: theirs,
      SourceKeyId: named.KeyId,
      SourceEncryptionAlgorithm: Algorithm,
      DestinationKeyId: destination.KeyId,
    })
    const back = await rpc('Decrypt', { CiphertextBlob: String(moved.json['CiphertextBlob']) })
    expect(back.json['Plaintext']).toBe(base64(Buffer.from('theirs')))
  })

  it('refuse another version, another use, another algorithm and another length', async () => {
    const { named } = await keyOf('EC_P256')
    const sign = { ...named, Algorithm: 'ECDSA_SHA_256', Digest: base64(Buffer.alloc(32)) }
    expect(faultOf(await rpc('AsymmetricSign', { ...sign, KeyVersionId: named.KeyId }))).toEqual([
      404,
      'Forbidden.KeyVersionNotFound',
      'The specified Key version is not found.',
    ])
    const rsa = await rpc('AsymmetricSign', { ...sign, Algorithm: 'RSA_PSS_SHA_256' })
    expect([rsa.status, rsa.json['Code']]).toEqual([400, 'Rejected.UnsupportedOperation'])
    expect((await rpc('GenerateDataKey', { KeyId: named.KeyId })).json['Code']).toBe(
      'Rejected.UnsupportedOperation',
    )
    const sm = await rpc('AsymmetricSign', { ...sign, Algorithm: 'SM2DSA' })
    const unsupported = ['UnsupportedOperation', 'This action is not supported. The value "SM2DSA".']
    expect(faultOf(sm)).toEqual([400, ...unsupported])
    const none = await rpc('AsymmetricSign', { ...sign, Algorithm: 'SM2DSa' })
    expect(none.json['Message']).toBe('The specified parameter "Algorithm" is not valid.')
    const sealed = await rpc('AsymmetricEncrypt', { ...named, Algorithm: 'SM2PKE', Plaintext: 'AAAA' })
    expect(sealed.json['Code']).toBe('UnsupportedOperation')
    const short = await rpc('AsymmetricSign', { ...sign, Digest: 'AAAA' })
    expect(short.json['Message']).toBe('The specified parameter "Digest" is not valid.')
    expect(
      (await rpc('CreateKey', { KeySpec: 'EC_P256', KeyUsage: 'ENCRYPT/DECRYPT' })).json['Message'],
    ).toContain('"KeyUsage"')
    const rotated = { KeySpec: 'EC_P256', EnableAutomaticRotation: 'true', RotationInterval: '7d' }
    expect((await rpc('CreateKey', rotated)).json['Code']).toBe('InvalidParameter')
    const tried = await rpc('GetPublicKey', {
      KeyId: sign.KeyId,
      KeyVersionId: sign.KeyVersionId,
      DryRun: 'true',
    })
    expect([tried.status, tried.json['Code']]).toEqual([400, 'DryRunOperationError'])
    expect((await rpc('AsymmetricSign', { ...sign, DryRun: 'true' })).json['Code']).toBe(
      'DryRunOperationError',
    )
    await rpc('DisableKey', { KeyId: named.KeyId })
    expect((await rpc('AsymmetricSign', sign)).json['Code']).toBe('Rejected.Disabled')
  })
})

describe('keys for MACs', () => {
  it.each([
    ['HMAC_224', 'HMAC_SHA_224', 28],
    ['HMAC_256', 'HMAC_SHA_256', 32],
    ['HMAC_384', 'HMAC_SHA_384', 48],
    ['HMAC_512', 'HMAC_SHA_512', 64],
  ])('of spec %s make and verify %s of %i bytes', async (KeySpec, Algorithm, bytes) => {
    const { metadata, named } = await keyOf(KeySpec)
    expect(metadata['KeyUsage']).toBe('GENERATE/VERIFY_MAC')
    const request = { KeyId: named.KeyId, Algorithm, Message: base64(Buffer.from('message')) }
    const { json } = await rpc('GenerateMac', request)
    expect(json).toMatchObject({ KeyId: named.KeyId, Algorithm })
    const Mac = String(json['Mac'])
    expect(Buffer.from(Mac, 'base64')).toHaveLength(bytes)
    expect((await rpc('VerifyMac', { ...request, Mac })).json).toMatchObject({
      KeyId: named.KeyId,
      Value: true,
    })
    const other = { ...request, Mac, Message: base64(Buffer.from('other')) }
    expect((await rpc('VerifyMac', other)).json).toMatchObject({ KeyId: named.KeyId, Value: false })
    expect((await rpc('GenerateMac', { ...request, Algorithm: 'HMAC_SM3' })).json['Code']).toBe(
      'UnsupportedOperation',
    )
  })
})
