import { expect, it } from 'vitest'
import { KmsError } from '../../src/core/errors.ts'
import { ALICE_KEY, awsFixture, SESSION_KEY } from './aws-fixture.ts'

/** Known wherever it turns up, as text or as base64. */
const SECRET = 'the-plaintext-that-must-not-be-logged'
const SECRET_BASE64 = Buffer.from(SECRET).toString('base64')

it('no plaintext, blob, header, secret or token comes into the log, whatever becomes of a request', async () => {
  const fixture = awsFixture()
  const { keyId } = await fixture.newKey()
  const plain = { KeyId: keyId, Plaintext: SECRET_BASE64, EncryptionContext: { [SECRET]: SECRET } }
  const seen: string[] = []
  const note = (value: unknown) => seen.push(String(value))

  const sealed = await fixture.request('Encrypt', plain)
  note(sealed.json['CiphertextBlob'])
  const context = { EncryptionContext: plain.EncryptionContext }
  const opened = await fixture.request('Decrypt', {
    CiphertextBlob: sealed.json['CiphertextBlob'],
    ...context,
  })
  expect(opened.json['Plaintext']).toBe(SECRET_BASE64)
  const made = await fixture.request('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256' })
  note(made.json['Plaintext'])
  note(made.json['CiphertextBlob'])
  note((await fixture.request('GenerateRandom', { NumberOfBytes: 24 })).json['Plaintext'])

  await fixture.request('Encrypt', { ...plain, KeyId: 'x' })
  await fixture.request('Encrypt', `{"Plaintext":"${SECRET_BASE64}`)
  await fixture.request('Encrypt', { ...plain, Plaintext: SECRET })
  await fixture.request('Encrypt', plain, { extra: { 'x-other': SECRET, cookie: SECRET } })
  await fixture.request('Encrypt', plain, { credential: { ...ALICE_KEY, secretAccessKey: SECRET } })
  await fixture.request('Encrypt', plain, { credential: { ...SESSION_KEY, sessionToken: SECRET } })
  await fixture.request('GenerateRandom', { NumberOfBytes: 8 }, { credential: SESSION_KEY })
  await fixture.request('Encrypt', { ...plain, pad: 'x'.repeat(70_000) })
  await fixture.send({ authorization: SECRET }, SECRET)
  fixture.provider.failWith = new KmsError('TOKEN_UNAVAILABLE', 'x', { token: 'main' }, { cause: 'CKR_X' })
  await fixture.request('Encrypt', plain)
  Object.defineProperty(fixture.provider, 'seal', {
    value: () =>
      Promise.reject(Object.assign(new TypeError('ours'), { input: SECRET, plaintext: SECRET_BASE64 })),
  })
  await fixture.request('Encrypt', plain)

  const log = fixture.lines.join('')
  expect(fixture.lines).toHaveLength(15)
  const { secretAccessKey, sessionToken } = SESSION_KEY
  for (const secret of [
    SECRET,
    SECRET_BASE64,
    secretAccessKey,
    sessionToken,
    ALICE_KEY.secretAccessKey,
    ...seen,
  ]) {
    expect(log).not.toContain(secret)
  }
  for (const name of ['authorization', 'Signature=', 'EncryptionContext', 'cookie'])
    expect(log).not.toContain(name)
  const metrics = await fixture.registry.metrics()
  for (const secret of [SECRET, SECRET_BASE64, ...seen]) expect(metrics).not.toContain(secret)
})

it('buffers that held a plaintext are zeroed when the request is answered', async () => {
  const fixture = awsFixture()
  const { keyId } = await fixture.newKey()
  const held: Buffer[] = []
  const seal = fixture.provider.seal.bind(fixture.provider)
  const sealRandom = fixture.provider.sealRandom.bind(fixture.provider)
  fixture.provider.seal = (ref, plaintext, aad, options) => {
    held.push(plaintext)
    return seal(ref, plaintext, aad, options)
  }
  fixture.provider.sealRandom = async (...args) => {
    const sealed = await sealRandom(...args)
    held.push(sealed.plaintext)
    return sealed
  }
  await fixture.request('Encrypt', { KeyId: keyId, Plaintext: SECRET_BASE64 })
  await fixture.request('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256' })
  expect(held.map((bytes) => bytes.every((byte) => byte === 0))).toEqual([true, true])
})
