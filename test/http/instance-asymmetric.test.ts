import { constants, createHash, createPublicKey, publicEncrypt, randomUUID, verify } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { KeySpec, KeyUsage } from '../../src/core/key-spec.ts'
import type { DkmsAnswer, Fields } from '../support/dkms-client.ts'
import { call } from '../support/kms-fixture.ts'
import { type InstanceFixture, instanceFixture } from './instance-fixture.ts'

const Text = Buffer.from('what is signed')
const Digest = createHash('sha256').update(Text).digest()
const VERSION_HEADER = 'x-kms-migrationkeyversionid'

let fixture: InstanceFixture
const keys: Record<string, string> = {}
beforeAll(async () => {
  fixture = instanceFixture()
  fixture.versions.intervalMs = 0
  const make = async (name: string, spec: KeySpec, usage: KeyUsage) => {
    keys[name] = (await fixture.kms.createKey(call(), { spec, usage })).keyId
  }
  await make('rsa', 'RSA_2048', 'SIGN_VERIFY')
  await make('ec', 'ECC_NIST_P256', 'SIGN_VERIFY')
  await make('k1', 'ECC_SECG_P256K1', 'SIGN_VERIFY')
  await make('oaep', 'RSA_2048', 'ENCRYPT_DECRYPT')
  await make('aes', 'SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
}, 60_000)

const ok = async (api: string, fields: Fields, options = {}): Promise<DkmsAnswer> => {
  const answer = await fixture.alice.call(api, fields, options)
  expect(answer, JSON.stringify(answer.text)).toMatchObject({ status: 200 })
  return answer
}
const refused = async (api: string, fields: Fields, options = {}) => {
  const { status, text } = await fixture.alice.call(api, fields, options)
  return [status, text['ErrorCode']]
}
const publicKeyOf = async (KeyId: string) => {
  const { text } = await ok('GetPublicKey', { KeyId })
  expect(text['KeyId']).toBe(KeyId)
  return createPublicKey(text['PublicKey'] ?? '')
}

const cases = [
  { name: 'rsa', Algorithm: 'RSA_PSS_SHA_256', padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
  { name: 'rsa', Algorithm: 'RSA_PKCS1_SHA_256', padding: constants.RSA_PKCS1_PADDING },
  { name: 'ec', Algorithm: 'ECDSA_SHA_256' },
  { name: 'k1', Algorithm: 'ECDSA_SHA_256' },
] as const

describe('Sign, Verify and GetPublicKey', () => {
  it.each(cases)(
    '$Algorithm of $name is a signature that others verify',
    async ({ name, Algorithm, ...how }) => {
      const KeyId = keys[name] ?? ''
      const key = await publicKeyOf(KeyId)
      for (const fields of [
        { Message: Text, MessageType: 'RAW' },
        { Message: Text },
        { Message: Digest, MessageType: 'DIGEST' },
        { Digest },
      ]) {
        const { bytes, text, headers } = await ok('Sign', { KeyId, Algorithm, ...fields })
        const { Signature = Buffer.alloc(0) } = bytes
        expect(verify('sha256', Text, { key, ...how }, Signature)).toBe(true)
        const MessageType = 'Message' in fields && fields.MessageType !== 'DIGEST' ? 'RAW' : 'DIGEST'
        expect(text).toMatchObject({ KeyId, Algorithm, MessageType })
        expect(headers[VERSION_HEADER]).toMatch(/^[\da-f-]{36}$/)
        expect((await ok('Verify', { KeyId, Algorithm, Signature, ...fields })).text).toMatchObject({
          KeyId,
          Value: 'true',
          Algorithm,
          MessageType,
        })
        const other = { KeyId, Algorithm, Signature, Message: Buffer.from('else') }
        expect((await ok('Verify', other)).text['Value']).toBe('false')
      }
    },
  )

  it('have an algorithm of the key where none is named', async () => {
    const { text } = await ok('Sign', { KeyId: keys['rsa'], Message: Text })
    expect(text['Algorithm']).toBe('RSA_PSS_SHA_256')
    expect((await ok('Sign', { KeyId: keys['ec'], Message: Text })).text['Algorithm']).toBe('ECDSA_SHA_256')
  })

  it('take the version that is there alone', async () => {
    const { headers } = await ok('GetPublicKey', { KeyId: keys['ec'] })
    const under = (version: unknown) => ({ headers: { [VERSION_HEADER]: String(version) } })
    await ok('Sign', { KeyId: keys['ec'], Message: Text }, under(headers[VERSION_HEADER]))
    for (const api of ['Sign', 'GetPublicKey']) {
      const fields = { KeyId: keys['ec'], ...(api === 'Sign' && { Message: Text }) }
      expect(await refused(api, fields, under(randomUUID()))).toEqual([404, 'Forbidden.KeyVersionNotFound'])
    }
  })

  it('are refused with what is missing, too long, or of another key', async () => {
    const INVALID = [400, 'InvalidParameter']
    const UNSUPPORTED = [400, 'UnsupportedOperation']
    const KeyId = keys['ec']
    expect(await refused('Sign', { KeyId })).toEqual([400, 'MissingParameter'])
    expect(await refused('Sign', { Message: Text })).toEqual([400, 'MissingParameter'])
    expect(await refused('Verify', { KeyId, Message: Text })).toEqual([400, 'MissingParameter'])
    expect(await refused('Sign', { KeyId, Message: Buffer.alloc(4097) })).toEqual(INVALID)
    expect(await refused('Sign', { KeyId, Message: Text, MessageType: 'raw' })).toEqual(INVALID)
    expect(await refused('Sign', { KeyId, Message: Text, MessageType: 'DIGEST' })).toEqual(INVALID)
    expect(await refused('Sign', { KeyId, Message: Text, Algorithm: 'ECDSA_SHA_384' })).toEqual(INVALID)
    expect(await refused('Sign', { KeyId, Message: Text, Algorithm: 'SM2DSA' })).toEqual(UNSUPPORTED)
    expect(await refused('Sign', { KeyId, Message: Text, Algorithm: 'RSA_PSS_SHA_256' })).toEqual(UNSUPPORTED)
    expect(await refused('Sign', { KeyId: keys['aes'], Message: Text })).toEqual(UNSUPPORTED)
    expect(await refused('Sign', { KeyId: keys['oaep'], Message: Text })).toEqual(UNSUPPORTED)
    expect(await refused('GetPublicKey', { KeyId: keys['aes'] })).toEqual(UNSUPPORTED)
    const foreign = await fixture.mallory.call('GetPublicKey', { KeyId: KeyId ?? '' })
    expect(foreign.status).toBe(404)
  })
})

describe('Encrypt and Decrypt with RSA', () => {
  it.each(['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1', ''])(
    '"%s" opens what others encrypt, and its own',
    async (Algorithm) => {
      const KeyId = keys['oaep'] ?? ''
      const told = Algorithm || 'RSAES_OAEP_SHA_256'
      const key = await publicKeyOf(KeyId)
      const oaepHash = told === 'RSAES_OAEP_SHA_1' ? 'sha1' : 'sha256'
      const foreign = publicEncrypt({ key, oaepHash, padding: constants.RSA_PKCS1_OAEP_PADDING }, Text)
      const own = await ok('Encrypt', { KeyId, Algorithm, Plaintext: Text })
      expect(own.text['Algorithm']).toBe(told)
      expect(own.bytes['Iv']).toHaveLength(0)
      for (const CiphertextBlob of [foreign, own.bytes['CiphertextBlob']]) {
        const opened = await ok('Decrypt', { KeyId, Algorithm, CiphertextBlob })
        expect(opened.bytes['Plaintext']).toEqual(Text)
        expect(opened.text['Algorithm']).toBe(told)
      }
    },
  )

  it('refuses what goes with AES-GCM alone, and what is too long', async () => {
    const fields = { KeyId: keys['oaep'], Plaintext: Text }
    const INVALID = [400, 'InvalidParameter']
    expect(await refused('Encrypt', { ...fields, Aad: Text })).toEqual(INVALID)
    expect(await refused('Encrypt', { ...fields, Iv: Buffer.alloc(12) })).toEqual(INVALID)
    expect(await refused('Encrypt', { ...fields, Plaintext: Buffer.alloc(256) })).toEqual(INVALID)
    expect(await refused('Decrypt', { KeyId: keys['oaep'], CiphertextBlob: Buffer.alloc(256) })).toEqual(
      INVALID,
    )
    expect(await refused('Encrypt', { ...fields, Algorithm: 'SM2PKE' })).toEqual([
      400,
      'UnsupportedOperation',
    ])
  })
})

describe('another version of a key pair', () => {
  const under = (version: string) => ({ headers: { [VERSION_HEADER]: version } })
  /** The ids of the initial version and of one that is made now. */
  async function grow(name: string): Promise<readonly [string, string]> {
    const key = { kind: 'id', keyId: keys[name] ?? '' } as const
    const { key: grown, version } = await fixture.kms.createKeyVersion(call(), { key, waitMs: 0 })
    return [grown.primaryVersionId, version.versionId]
  }

  it.each([
    ['rsa', 'RSA_PSS_SHA_256'],
    ['ec', 'ECDSA_SHA_256'],
  ])(
    'of %s signs and verifies where the header names it, and the initial one without',
    async (name, Algorithm) => {
      const KeyId = keys[name]
      const before = await ok('GetPublicKey', { KeyId })
      const [initial, second] = await grow(name)
      const sign = { KeyId, Algorithm, Message: Text }
      const after = await ok('GetPublicKey', { KeyId })
      expect(after.text['PublicKey']).toBe(before.text['PublicKey'])
      expect(after.headers[VERSION_HEADER]).toBe(initial)
      const other = await ok('GetPublicKey', { KeyId }, under(second))
      expect(other.text['PublicKey']).not.toBe(before.text['PublicKey'])
      expect(other.headers[VERSION_HEADER]).toBe(second)
      for (const [own, used] of [
        [{}, initial],
        [under(initial), initial],
        [under(second), second],
      ] as const) {
        const signed = await ok('Sign', sign, own)
        expect(signed.headers[VERSION_HEADER]).toBe(used)
        const check = { ...sign, Signature: signed.bytes['Signature'] }
        for (const version of [initial, second]) {
          const verified = await ok('Verify', check, under(version))
          expect(verified.text['Value']).toBe(String(version === used))
          expect(verified.headers[VERSION_HEADER]).toBe(version)
        }
        const unnamed = await ok('Verify', check)
        expect(unnamed.text['Value']).toBe(String(used === initial))
        expect(unnamed.headers[VERSION_HEADER]).toBe(initial)
      }
    },
  )

  it('encrypts and opens where the header names it, and the initial one without', async () => {
    const KeyId = keys['oaep']
    const [initial, second] = await grow('oaep')
    const sealed = await ok('Encrypt', { KeyId, Plaintext: Text }, under(second))
    expect(sealed.headers[VERSION_HEADER]).toBe(second)
    const fields = { KeyId, CiphertextBlob: sealed.bytes['CiphertextBlob'] }
    const opened = await ok('Decrypt', fields, under(second))
    expect(opened.bytes['Plaintext']).toEqual(Text)
    expect(opened.headers[VERSION_HEADER]).toBe(second)
    const INVALID = [400, 'InvalidParameter']
    expect(await refused('Decrypt', fields)).toEqual(INVALID)
    expect(await refused('Decrypt', fields, under(initial))).toEqual(INVALID)
    const unnamed = await ok('Encrypt', { KeyId, Plaintext: Text })
    expect(unnamed.headers[VERSION_HEADER]).toBe(initial)
    const back = { KeyId, CiphertextBlob: unnamed.bytes['CiphertextBlob'] }
    expect((await ok('Decrypt', back, under(initial))).bytes['Plaintext']).toEqual(Text)
  })

  it('of another key is none of this one', async () => {
    const foreign = (await ok('GetPublicKey', { KeyId: keys['k1'] })).headers[VERSION_HEADER]
    const none = [404, 'Forbidden.KeyVersionNotFound']
    for (const version of [String(foreign), randomUUID()]) {
      const fields = { KeyId: keys['ec'], Message: Text }
      expect(await refused('Sign', fields, under(version))).toEqual(none)
      expect(await refused('Verify', { ...fields, Signature: Text }, under(version))).toEqual(none)
      const rsa = { KeyId: keys['oaep'] }
      expect(await refused('Encrypt', { ...rsa, Plaintext: Text }, under(version))).toEqual(none)
      const blob = { ...rsa, CiphertextBlob: Buffer.alloc(256) }
      expect(await refused('Decrypt', blob, under(version))).toEqual(none)
    }
  })
})

describe('operations of symmetric keys alone', () => {
  it.each([
    ['GenerateDataKey', { NumberOfBytes: 1 }],
    ['AdvanceGenerateDataKey', { NumberOfBytes: 1 }],
    ['GenerateDataKeyPair', { KeyPairSpec: 'EC_P256', KeyFormat: 'PEM' }],
    ['GenerateDataKeyPairWithoutPlaintext', { KeyPairSpec: 'EC_P256', KeyFormat: 'PEM' }],
    ['AdvanceGenerateDataKeyPair', { KeyPairSpec: 'EC_P256', KeyFormat: 'PEM' }],
    ['AdvanceGenerateDataKeyPairWithoutPlaintext', { KeyPairSpec: 'EC_P256', KeyFormat: 'PEM' }],
    ['AdvanceEncrypt', { Plaintext: Text }],
  ])('%s says which key is none', async (api, fields) => {
    for (const name of ['rsa', 'ec', 'oaep']) {
      const KeyId = keys[name] ?? ''
      const { status, text } = await fixture.alice.call(api, { KeyId, ...fields })
      expect([status, text['ErrorCode'], text['ErrorMessage']]).toEqual([
        404,
        'Forbidden.OnlySymmetricKeySupported',
        `The key ${KeyId} is not a symmetric key. The API only supports symmetric keys.`,
      ])
    }
  })
})
