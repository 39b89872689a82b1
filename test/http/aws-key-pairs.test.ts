import { createPrivateKey, createPublicKey, randomUUID, sign, verify } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { KEY_PAIR_SPECS } from '../../src/core/key-pair-spec.ts'
import { ALICE } from '../support/kms-fixture.ts'
import { type AwsFixture, awsFixture } from './aws-fixture.ts'

const BLOB = expect.stringMatching(/^[A-Za-z0-9+/]+=*$/)
const MATERIAL_ID = expect.stringMatching(/^[a-f0-9]{64}$/)
const EncryptionContext = { purpose: 'signing' }

let fixture: AwsFixture
let keyId: string
let keyArn: string
beforeEach(async () => {
  fixture = awsFixture()
  keyId = (await fixture.newKey()).keyId
  keyArn = `arn:aws:kms:us-east-1:${ALICE.accountId}:key/${keyId}`
})

const bytesOf = (text: unknown) => Buffer.from(String(text), 'base64')

/** Whether a signature of the private key verifies with the public key. */
function match(publicKey: unknown, privateKey: unknown): boolean {
  const key = createPrivateKey({ key: bytesOf(privateKey), format: 'der', type: 'pkcs8' })
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  const text = Buffer.from('signed')
  const spki = createPublicKey({ key: bytesOf(publicKey), format: 'der', type: 'spki' })
  return verify(digest, text, spki, sign(digest, text, key))
}

describe('data key pairs', () => {
  it.each(Object.values(KEY_PAIR_SPECS).map(({ aws }) => aws))(
    '%s, with the private key, in DER, which Decrypt gives back',
    async (KeyPairSpec) => {
      const input = { KeyId: keyId, KeyPairSpec, EncryptionContext }
      const { status, json } = await fixture.request('GenerateDataKeyPair', input)
      expect(status).toBe(200)
      expect(json).toEqual({
        PrivateKeyCiphertextBlob: BLOB,
        PrivateKeyPlaintext: BLOB,
        PublicKey: BLOB,
        KeyId: keyArn,
        KeyPairSpec,
        KeyMaterialId: MATERIAL_ID,
      })
      expect(match(json['PublicKey'], json['PrivateKeyPlaintext'])).toBe(true)
      const CiphertextBlob = json['PrivateKeyCiphertextBlob']
      expect(bytesOf(CiphertextBlob).length).toBeLessThanOrEqual(6144)
      const opened = await fixture.request('Decrypt', { CiphertextBlob, EncryptionContext })
      expect(opened.json['Plaintext']).toBe(json['PrivateKeyPlaintext'])
      const other = await fixture.request('Decrypt', { CiphertextBlob })
      expect(other.json['__type']).toBe('InvalidCiphertextException')
    },
    20_000,
  )

  it('without the private key', async () => {
    const input = { KeyId: keyId, KeyPairSpec: 'ECC_NIST_P384' }
    const { status, json } = await fixture.request('GenerateDataKeyPairWithoutPlaintext', input)
    expect(status).toBe(200)
    expect(json).toEqual({
      PrivateKeyCiphertextBlob: BLOB,
      PublicKey: BLOB,
      KeyId: keyArn,
      KeyPairSpec: 'ECC_NIST_P384',
      KeyMaterialId: MATERIAL_ID,
    })
    const opened = await fixture.request('Decrypt', { CiphertextBlob: json['PrivateKeyCiphertextBlob'] })
    expect(match(json['PublicKey'], opened.json['Plaintext'])).toBe(true)
  })

  it('keep their private key through ReEncrypt', async () => {
    const target = (await fixture.newKey()).keyId
    const input = { KeyId: keyId, KeyPairSpec: 'ECC_NIST_P256' }
    const { json } = await fixture.request('GenerateDataKeyPair', input)
    const moved = await fixture.request('ReEncrypt', {
      CiphertextBlob: json['PrivateKeyCiphertextBlob'],
      DestinationKeyId: target,
    })
    const opened = await fixture.request('Decrypt', {
      CiphertextBlob: moved.json['CiphertextBlob'],
      KeyId: target,
    })
    expect(opened.json['Plaintext']).toBe(json['PrivateKeyPlaintext'])
  })

  it.each([
    ['SM2', 'CKM_SM2_KEY_PAIR_GEN'],
    ['ML_KEM_768', 'CKM_ML_KEM_KEY_PAIR_GEN'],
  ])('of spec %s are refused with the names of token and mechanism', async (KeyPairSpec, mechanism) => {
    for (const operation of ['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext']) {
      const { json } = await fixture.request(operation, { KeyId: keyId, KeyPairSpec })
      expect(json['__type']).toBe('UnsupportedOperationException')
      const start = `The token "main" is not asked for keys of spec ${KeyPairSpec} (${mechanism}): `
      expect(json['message']).toContain(start)
      const other = await fixture.request(operation, { KeyId: randomUUID(), KeyPairSpec })
      expect(other.json['__type']).toBe('NotFoundException')
    }
  })

  it.each(['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'])(
    '%s wants a spec of the model, and a key that is enabled',
    async (operation) => {
      const without = await fixture.request(operation, { KeyId: keyId })
      expect(without.json).toMatchObject({ __type: 'ValidationException' })
      const wrong = await fixture.request(operation, { KeyId: keyId, KeyPairSpec: 'RSA_1024' })
      expect(wrong.json['message']).toContain("Value 'RSA_1024' at 'keyPairSpec'")
      await fixture.request('DisableKey', { KeyId: keyId })
      const disabled = await fixture.request(operation, { KeyId: keyId, KeyPairSpec: 'ECC_NIST_P256' })
      expect(disabled.json['__type']).toBe('DisabledException')
    },
  )

  it('are made one at a time: who waits in vain is throttled, and the log says what for', async () => {
    const { promise: free, resolve: release } = Promise.withResolvers<void>()
    const sealKeyPair = fixture.provider.sealKeyPair.bind(fixture.provider)
    let running = 0
    fixture.provider.sealKeyPair = async (...args) => {
      running += 1
      await free
      return sealKeyPair(...args)
    }
    const input = { KeyId: keyId, KeyPairSpec: 'ECC_NIST_P256' }
    const first = fixture.request('GenerateDataKeyPair', input)
    await expect.poll(() => running).toBe(1)
    const second = await fixture.request('GenerateDataKeyPairWithoutPlaintext', input)
    expect(second).toMatchObject({ status: 400, json: { __type: 'ThrottlingException' } })
    expect(fixture.lines.some((line) => line.includes('"code":"TOKEN_BUSY"'))).toBe(true)
    expect(running).toBe(1)
    release()
    expect(await first).toMatchObject({ status: 200 })
  })

  it('tell the log when a private key that was to stay inside was in host memory', async () => {
    const sealKeyPair = fixture.provider.sealKeyPair.bind(fixture.provider)
    fixture.provider.sealKeyPair = async (ref, request, aadFor, options) => {
      const { privateKey: _, ...sealed } = await sealKeyPair(
        ref,
        { ...request, readable: true },
        aadFor,
        options,
      )
      return { ...sealed, hostMemory: true }
    }
    const input = { KeyId: keyId, KeyPairSpec: 'ECC_NIST_EDWARDS25519' }
    expect(await fixture.request('GenerateDataKeyPairWithoutPlaintext', input)).toMatchObject({ status: 200 })
    expect(JSON.parse(fixture.lines.at(-1) ?? '')).toMatchObject({ hostMemory: true, outcome: 'ok' })
    expect(await fixture.request('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256' })).toMatchObject({
      status: 200,
    })
    expect(fixture.lines.at(-1)).not.toContain('hostMemory')
  })
})
