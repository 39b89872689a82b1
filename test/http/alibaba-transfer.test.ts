import { generateKeyPairSync, hash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { DkmsClient, type Transport } from '../support/dkms-client.ts'
import { ALICE } from '../support/kms-fixture.ts'
import { alibabaFixture } from './alibaba-fixture.ts'

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const clientKeyId = 'KAAP.33333333-3333-4333-8333-333333333333'
const { accountId, region } = ALICE
const configured = [
  { clientKeyId, publicKey, accountId, region, notBefore: 0, notAfter: Number.POSITIVE_INFINITY },
]

/** What the transfer SDKs of Alibaba Cloud put before a blob of the OpenAPI to make one of AdvanceDecrypt of it. */
const ADVANCE_HEAD = Buffer.from('240002', 'hex')
const ID_BYTES = 36
const IV_BYTES = 12

describe('the OpenAPI and the instance API, as the transfer SDKs convert between them', () => {
  const fixture = alibabaFixture({ configured })
  const { rpc, server } = fixture
  const transport: Transport = async (headers, body) => {
    const answer = await server.inject({ method: 'POST', url: '/', headers, payload: body })
    return { status: answer.statusCode, headers: answer.headers, body: answer.rawPayload }
  }
  const instance = new DkmsClient({ clientKeyId, privateKey }, transport, () => fixture.clock.now())
  const blobOf = (json: Readonly<Record<string, unknown>>) =>
    Buffer.from(String(json['CiphertextBlob']), 'base64')

  /** The digest that stands for an encryption context in the instance API. */
  const EncryptionContext = JSON.stringify({ b: '2', a: 'ü', 'c.d': '' })
  const Aad = hash('sha256', 'a=ü&b=2&c.d=', 'buffer')

  it('AdvanceDecrypt opens a data key of the OpenAPI behind three bytes, to its text', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    for (const action of ['GenerateDataKey', 'GenerateDataKeyWithoutPlaintext']) {
      const { json } = await rpc(action, { KeyId, EncryptionContext })
      const CiphertextBlob = Buffer.concat([ADVANCE_HEAD, blobOf(json)])
      const opened = await instance.call('AdvanceDecrypt', { CiphertextBlob, Aad })
      expect([opened.status, opened.text['KeyId']]).toEqual([200, KeyId])
      const text = opened.bytes['Plaintext']?.toString('latin1') ?? ''
      expect(Buffer.from(text, 'base64')).toHaveLength(32)
      if (action === 'GenerateDataKey') expect(text).toBe(json['Plaintext'])
      expect((await instance.call('AdvanceDecrypt', { CiphertextBlob })).status).toBe(400)
    }
  })

  it('Decrypt opens a blob of the OpenAPI in parts: version in the header, IV, and the rest', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const { json } = await rpc('Encrypt', { KeyId, Plaintext: 'Grüße', EncryptionContext })
    const blob = blobOf(json)
    const opened = await instance.call(
      'Decrypt',
      {
        KeyId,
        Iv: blob.subarray(ID_BYTES, ID_BYTES + IV_BYTES),
        CiphertextBlob: blob.subarray(ID_BYTES + IV_BYTES),
        Aad,
      },
      { headers: { 'x-kms-migrationkeyversionid': blob.toString('latin1', 0, ID_BYTES) } },
    )
    expect([opened.status, opened.bytes['Plaintext']?.toString('utf8')]).toEqual([200, 'Grüße'])
  })

  it('the OpenAPI opens what Encrypt and AdvanceEncrypt sealed, as the text that it is', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const Plaintext = Buffer.from('Grüße')
    const plain = await instance.call('Encrypt', { KeyId, Plaintext, Aad })
    const version = Buffer.from(String(plain.headers['x-kms-migrationkeyversionid']))
    const joined = [
      version,
      plain.bytes['Iv'] ?? Buffer.alloc(0),
      plain.bytes['CiphertextBlob'] ?? Buffer.alloc(0),
    ]
    const advance = await instance.call('AdvanceEncrypt', { KeyId, Plaintext, Aad })
    for (const blob of [
      Buffer.concat(joined),
      advance.bytes['CiphertextBlob']?.subarray(ADVANCE_HEAD.length),
    ]) {
      const CiphertextBlob = blob?.toString('base64') ?? ''
      const { json } = await rpc('Decrypt', { CiphertextBlob, EncryptionContext })
      expect(json).toMatchObject({ Plaintext: 'Grüße', KeyId })
    }
  })

  it('bytes that are no text, and data keys, are base64', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const sealed = await instance.call('AdvanceEncrypt', { KeyId, Plaintext: Buffer.of(0xff, 0xfe) })
    const CiphertextBlob = sealed.bytes['CiphertextBlob']?.toString('base64') ?? ''
    expect((await rpc('Decrypt', { CiphertextBlob })).json['Plaintext']).toBe('//4=')
    const made = await instance.call('AdvanceGenerateDataKey', { KeyId, NumberOfBytes: 32 })
    const key = await rpc('Decrypt', {
      CiphertextBlob: made.bytes['CiphertextBlob']?.toString('base64') ?? '',
    })
    expect(key.json['Plaintext']).toBe(made.bytes['Plaintext']?.toString('base64'))
  })
})
