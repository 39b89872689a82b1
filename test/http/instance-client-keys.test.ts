import { createPublicKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { beforeEach, describe, expect, it } from 'vitest'
import type { CreatedClientKey } from '../../src/core/client-access.ts'
import { call, MALLORY } from '../support/kms-fixture.ts'
import { openPkcs12 } from '../support/pkcs12.ts'
import { type InstanceFixture, instanceFixture } from './instance-fixture.ts'

const USER = 'RbacPermission/Template/CryptoServiceKeyUser'
const PASSWORD = 'a-Password-1'
const DAY_MS = 86_400_000
const NOT_FOUND = { code: 'ACCESS_ENTRY_NOT_FOUND' }

let fixture: InstanceFixture
beforeEach(() => {
  fixture = instanceFixture()
})

const newPolicy = (name: string, resources: readonly string[], permissions: readonly string[] = [USER]) =>
  fixture.clients.createPolicy(call(), { name, description: '', permissions, resources })
const newPoint = (name: string, ...policies: readonly string[]) =>
  fixture.clients.createPoint(call(), { name, description: 'of a test', policies })
const newClientKey = (input: object = {}) =>
  fixture.clients.createClientKey(call(), { accessPoint: 'app', password: PASSWORD, ...input })

const clientOf = ({ clientKey, pkcs12 }: CreatedClientKey) => {
  const { privateKey } = openPkcs12(pkcs12, PASSWORD)
  return fixture.clientOf({ clientKeyId: clientKey.clientKeyId, privateKey })
}
const statusOf = async (made: CreatedClientKey, keyId: string) =>
  (await clientOf(made).call('AdvanceGenerateDataKey', { KeyId: keyId, NumberOfBytes: 32 })).status

describe('a client key', () => {
  it('is a PKCS#12 file that its owner opens and signs with', async () => {
    await newPolicy('all', ['key/*'])
    await newPoint('app', 'all')
    const made = await newClientKey()
    const { clientKeyId, publicKey, notBefore, notAfter } = made.clientKey
    expect(clientKeyId).toMatch(/^KAAP\.[0-9a-f-]{36}$/)
    expect(notAfter - notBefore).toBe(5 * 365 * DAY_MS)
    const { privateKey, certificate } = openPkcs12(made.pkcs12, PASSWORD)
    expect(createPublicKey(privateKey).export({ type: 'spki', format: 'der' })).toEqual(publicKey)
    expect(privateKey.asymmetricKeyDetails).toEqual({ modulusLength: 2048, publicExponent: 65537n })
    expect(certificate.subject).toBe(`CN=${clientKeyId}`)
    expect(certificate.verify(createPublicKey(privateKey))).toBe(true)
    expect(Date.parse(certificate.validTo)).toBe(Math.floor(notAfter / 1000) * 1000)
    // OpenSSL reads it as well, and only with the password.
    expect(() => createSecureContext({ pfx: made.pkcs12, passphrase: PASSWORD })).not.toThrow()
    expect(() => createSecureContext({ pfx: made.pkcs12, passphrase: 'another-Password-1' })).toThrow()
    expect(await statusOf(made, (await fixture.newKey()).keyId)).toBe(200)
    expect(JSON.stringify(await fixture.access.getClientKey(clientKeyId))).not.toContain(PASSWORD)
  })

  it('may use what the policies of its access point allow together', async () => {
    const [first, second, third] = [await fixture.newKey(), await fixture.newKey(), await fixture.newKey()]
    await newPolicy('first', [`key/${first.keyId}`])
    await newPolicy('second', [`key/${second.keyId}`])
    await newPolicy('secrets', ['key/*', 'secret/*'], ['RbacPermission/Template/CryptoServiceSecretUser'])
    await newPoint('app', 'first', 'second', 'secrets')
    const made = await newClientKey()
    const statuses = async () => Promise.all([first, second, third].map(({ keyId }) => statusOf(made, keyId)))
    expect(await statuses()).toEqual([200, 200, 403])
    await fixture.clients.updatePolicy(call(), { name: 'second', resources: [`key/${third.keyId}`] })
    expect(await statuses()).toEqual([200, 403, 200])
    await fixture.clients.updatePoint(call(), { name: 'app', policies: ['second'] })
    expect(await statuses()).toEqual([403, 403, 200])
    await fixture.clients.deletePolicy(call(), 'second')
    expect(await statuses()).toEqual([403, 403, 403])
    await newPolicy('all', ['key/*'])
    await fixture.clients.updatePoint(call(), { name: 'app', policies: ['all'] })
    expect(await statuses()).toEqual([200, 200, 200])
  })

  it('opens no ciphertext of a key that it may not use', async () => {
    const { keyId } = await fixture.newKey()
    const sealed = await fixture.alice.call('AdvanceEncrypt', { KeyId: keyId, Plaintext: Buffer.from('x') })
    await newPolicy('other', [`key/${(await fixture.newKey()).keyId}`])
    await newPoint('app', 'other')
    const { CiphertextBlob } = sealed.bytes
    const answer = await clientOf(await newClientKey()).call('AdvanceDecrypt', { CiphertextBlob })
    expect([answer.status, answer.text['ErrorCode']]).toEqual([403, 'Forbidden.NoPermission'])
  })

  it('is good for nothing once it or its access point is deleted', async () => {
    const { keyId } = await fixture.newKey()
    await newPolicy('all', ['key/*'])
    await newPoint('app', 'all')
    const [one, two] = [await newClientKey(), await newClientKey()]
    expect(await statusOf(one, keyId)).toBe(200)
    await fixture.clients.deleteClientKey(call(), one.clientKey.clientKeyId)
    expect(await statusOf(one, keyId)).toBe(404)
    expect(await statusOf(two, keyId)).toBe(200)
    await fixture.clients.deletePoint(call(), 'app')
    expect(await statusOf(two, keyId)).toBe(404)
  })

  it('is good from its first moment to its last', async () => {
    const { keyId } = await fixture.newKey()
    await newPolicy('all', ['key/*'])
    await newPoint('app', 'all')
    const now = fixture.clock.now()
    const made = await newClientKey({ notBefore: now + DAY_MS, notAfter: now + 2 * DAY_MS })
    expect(await statusOf(made, keyId)).toBe(404)
    fixture.clock.advance(now + DAY_MS - fixture.clock.now())
    expect(await statusOf(made, keyId)).toBe(200)
    fixture.clock.advance(now + 2 * DAY_MS - fixture.clock.now())
    expect(await statusOf(made, keyId)).toBe(404)
  })

  it.each([
    ['too short', 'aB1-aB1'],
    ['too long', 'aB1-'.repeat(17)],
    ['of one kind', 'abcdefghij'],
    ['of other characters', 'pässword-12'],
    ['with a space', 'pass word-12'],
    ['none', ''],
  ])('is refused with a password that is %s', async (_what, password) => {
    await newPoint('app')
    await expect(newClientKey({ password })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      details: { field: 'Password' },
    })
  })

  it('is refused with a time that has passed, ends before it begins, or is too long', async () => {
    await newPoint('app')
    const now = fixture.clock.now()
    for (const times of [
      { notAfter: now },
      { notBefore: now - 2 * DAY_MS, notAfter: now - DAY_MS },
      { notBefore: now + DAY_MS, notAfter: now + DAY_MS },
      { notAfter: now + 11 * 365 * DAY_MS },
      // Five years from then on no date has four digits for the year.
      { notBefore: Date.UTC(9_996, 0) },
    ]) {
      await expect(newClientKey(times)).rejects.toMatchObject({ details: { field: 'NotAfter' } })
    }
  })

  it('is one of at most ten of an access point', async () => {
    await newPoint('app')
    const { accountId, region } = call().principal
    const row = { accountId, region, accessPoint: 'app', publicKey: Buffer.of(1), createdAt: 0 }
    for (let index = 0; index < 10; index++) {
      const key = { ...row, clientKeyId: `KAAP.${index}`, notBefore: 0, notAfter: 1 }
      expect(await fixture.access.createClientKey(key, 10)).toBe(true)
    }
    await expect(newClientKey()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  })
})

describe('access points', () => {
  it('are seen and changed by their own account alone', async () => {
    await newPolicy('all', ['key/*'])
    await newPoint('app', 'all')
    const { clientKey } = await newClientKey()
    const { clients } = fixture
    const mallory = call(MALLORY)
    const elsewhere = call({ ...call().principal, region: 'eu-central-1' })
    for (const context of [mallory, elsewhere]) {
      const { clientKeyId } = clientKey
      for (const attempt of [
        () => clients.getPolicy(context, 'all'),
        () => clients.updatePolicy(context, { name: 'all', resources: [] }),
        () => clients.deletePolicy(context, 'all'),
        () => clients.getPoint(context, 'app'),
        () => clients.updatePoint(context, { name: 'app', description: 'x' }),
        () => clients.deletePoint(context, 'app'),
        () => clients.createClientKey(context, { accessPoint: 'app', password: PASSWORD }),
        () => clients.getClientKey(context, clientKeyId),
        () => clients.listClientKeys(context, 'app'),
        () => clients.deleteClientKey(context, clientKeyId),
        () => clients.createPoint(context, { name: 'x', description: '', policies: ['all'] }),
      ]) {
        await expect(attempt()).rejects.toMatchObject(NOT_FOUND)
      }
      expect(await clients.listPoints(context)).toEqual([])
      expect(await clients.listPolicies(context)).toEqual([])
    }
    expect(await clients.listPoints(call())).toMatchObject([{ name: 'app', policies: ['all'] }])
    expect(await clients.listPolicies(call())).toMatchObject([{ name: 'all', resources: ['key/*'] }])
    expect(await clients.listClientKeys(call(), 'app')).toEqual([clientKey])
    expect(await clients.getClientKey(call(), clientKey.clientKeyId)).toEqual(clientKey)
  })

  it('name policies that are there', async () => {
    await expect(newPoint('app', 'none')).rejects.toMatchObject(NOT_FOUND)
    await newPoint('app')
    const change = { name: 'app', policies: ['none'] }
    await expect(fixture.clients.updatePoint(call(), change)).rejects.toMatchObject(NOT_FOUND)
    await expect(newPoint('app')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await fixture.clients.updatePoint(call(), { name: 'app', description: 'new' })
    expect(await fixture.clients.getPoint(call(), 'app')).toMatchObject({ description: 'new', policies: [] })
  })

  it('change for every process before anybody is told', async () => {
    fixture = instanceFixture({ hasPeers: true })
    const startedAt = performance.now()
    await newPoint('app')
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(200)
  })
})
