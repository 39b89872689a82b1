import { generateKeyPairSync, privateEncrypt, randomUUID, sign } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { encode, signDkms } from '../support/dkms-client.ts'
import { ALICE_CLIENT, type InstanceFixture, instanceFixture, MALLORY_CLIENT } from './instance-fixture.ts'

const fields = { Length: 16 }
const body = encode('Length:i', fields)
const VERSION = 'x-kms-migrationkeyversionid'

let fixture: InstanceFixture
beforeEach(() => {
  fixture = instanceFixture()
})

type Options = Parameters<InstanceFixture['alice']['call']>[2]
const refused = async (options: Options, api = 'GenerateRandom') => {
  const { status, text } = await fixture.alice.call(api, fields, options)
  return [status, text['ErrorCode'], text['ErrorMessage']]
}
const invalid = (name: string) => [400, 'InvalidParam', `The Param ${name} is invalid.`]
const MISMATCH = [401, 'SignatureNotMatch', 'Signature is not matched.']
const SKEWED = [400, 'RequestTimeTooSkewed', 'Request time exceeds server time more than 15 minutes.']

describe('signatures of the instance API', () => {
  it('are taken as the SDKs and as the documentation write them', async () => {
    for (const scheme of ['Bearer', 'TOKEN']) {
      expect((await fixture.alice.call('GenerateRandom', fields, { scheme })).status).toBe(200)
    }
    const at = fixture.clock.now()
    const utc = { date: new Date(at).toUTCString().replace('GMT', 'UTC') }
    expect((await fixture.alice.call('GenerateRandom', fields, { headers: utc })).status).toBe(200)
    const padded = { [VERSION]: '  \t', 'x-kms-other': ' spaced  ', 'x-kms-a': '1' }
    expect((await fixture.alice.call('GenerateRandom', fields, { headers: padded })).status).toBe(200)
  })

  it('stand for two requests of one second that are the same', async () => {
    const at = fixture.clock.now()
    const answers = await Promise.all(
      [1, 2, 3].map(() => fixture.alice.call('GenerateRandom', fields, { at })),
    )
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  })

  it.each([
    ['Bearer', 'bearer'],
    ['no scheme', ''],
    ['another scheme', 'Basic'],
  ])('with %s in another form are refused', async (_what, scheme) => {
    expect(await refused({ scheme })).toEqual(invalid('Authorization'))
  })

  it.each([
    ['', 'Authorization'],
    ['Bearer', 'Authorization'],
    ['Bearer !!!!', 'Authorization'],
    ['Bearer YQ', 'Authorization'],
    [`Bearer ${'A'.repeat(1028)}`, 'Authorization'],
  ])('an Authorization of "%.20s" is refused', async (authorization, name) => {
    expect(await refused({ extra: { authorization } })).toEqual(invalid(name))
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['too little', Buffer.alloc(255, 1)],
    ['too much', Buffer.alloc(257, 1)],
    ['zeros', Buffer.alloc(256)],
    ['more than the modulus', Buffer.alloc(256, 0xff)],
  ])('of %s are none', async (_what, signature) => {
    const authorization = `Bearer ${signature.toString('base64')}`
    const answer = await refused({ extra: { authorization } })
    expect([MISMATCH, invalid('Authorization')]).toContainEqual(answer)
  })

  it('by another client key are none', async () => {
    const forged = fixture.clientOf({ ...MALLORY_CLIENT, clientKeyId: ALICE_CLIENT.clientKeyId })
    const { status, text } = await forged.call('GenerateRandom', fields)
    expect([status, text['ErrorCode'], text['ErrorMessage']]).toEqual(MISMATCH)
  })

  it('with another hash or padding are none', async () => {
    const { privateKey } = ALICE_CLIENT
    const headers = signDkms(ALICE_CLIENT, 'GenerateRandom', body, { at: fixture.clock.now() })
    const text = Buffer.from('anything')
    for (const signature of [sign('sha1', text, privateKey), privateEncrypt(privateKey, Buffer.alloc(20))]) {
      const authorization = `Bearer ${signature.toString('base64')}`
      expect((await fixture.transport({ ...headers, authorization }, body)).status).toBe(401)
    }
  })

  it('bind every header that says what is asked for', async () => {
    const at = new Date(fixture.clock.now() + 1000).toUTCString()
    const changes: Readonly<Record<string, string>>[] = [
      { 'x-kms-apiname': 'Encrypt' },
      { 'x-kms-apiversion': 'dkms-gcs-0.3' },
      { 'x-kms-acccesskeyid': MALLORY_CLIENT.clientKeyId },
      { 'x-kms-new': 'added' },
      { [VERSION]: randomUUID() },
      { date: at },
      { 'content-type': 'application/x-protobuf; charset=utf-8' },
    ]
    for (const extra of changes) expect(await refused({ extra }), JSON.stringify(extra)).toEqual(MISMATCH)
  })

  it('bind the body, by its hash in upper case', async () => {
    const other = encode('Length:i', { Length: 17 })
    expect(await refused({ sentBody: other })).toEqual(invalid('Content-SHA256'))
    expect(await refused({ sentBody: Buffer.alloc(0) })).toEqual(invalid('Content-SHA256'))
    const hash = signDkms(ALICE_CLIENT, 'GenerateRandom', body)['content-sha256'] ?? ''
    for (const value of [hash.toLowerCase(), hash.slice(1), `${hash}00`, 'x'.repeat(64), undefined]) {
      expect(await refused({ headers: { 'content-sha256': value } })).toEqual(invalid('Content-SHA256'))
    }
  })

  it('are good for a quarter of an hour, either way', async () => {
    const now = Math.floor(fixture.clock.now() / 1000) * 1000
    for (const offset of [-890_000, 890_000]) {
      expect((await fixture.alice.call('GenerateRandom', fields, { at: now + offset })).status).toBe(200)
    }
    for (const offset of [-902_000, 902_000]) expect(await refused({ at: now + offset })).toEqual(SKEWED)
  })

  it.each([
    undefined,
    '',
    'yesterday',
    '2026-11-28T12:00:00Z',
    'Sun, 31 Feb 2027 10:00:00 GMT',
    'Mon, 01 Jan 1990 10:00:00 GMT+1',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    '9'.repeat(5000),
  ])('with the date %.30s are refused', async (date) => {
    expect(await refused({ headers: { date } })).toEqual(invalid('Date'))
  })

  it('with a weekday that is another day’s are refused', async () => {
    const date = new Date(fixture.clock.now()).toUTCString()
    const other = (date.startsWith('Mon') ? 'Tue' : 'Mon') + date.slice(3)
    expect(await refused({ headers: { date: other } })).toEqual(invalid('Date'))
  })

  it('say who, how and what', async () => {
    const noKey = [
      400,
      'MissingParameter',
      'Parameter x-kms-acccesskeyid does not exist in http header or body.',
    ]
    expect(await refused({ headers: { 'x-kms-acccesskeyid': undefined } })).toEqual(noKey)
    expect(await refused({ headers: { 'x-kms-acccesskeyid': '' } })).toEqual(noKey)
    const badKey = { 'x-kms-acccesskeyid': 'KAAP.<x>' }
    expect(await refused({ headers: badKey })).toEqual(invalid('x-kms-acccesskeyid'))
    for (const value of ['RSA_PKCS1_SHA_1', undefined, 'rsa_pkcs1_sha_256']) {
      const headers = { 'x-kms-signaturemethod': value }
      expect(await refused({ headers })).toEqual(invalid('x-kms-signaturemethod'))
    }
    const badName = [400, 'InvalidApiName', 'The ApiName "CreateKey" is invalid.']
    expect(await refused({}, 'CreateKey')).toEqual(badName)
    expect(await refused({}, '__proto__')).toEqual([
      400,
      'InvalidApiName',
      'The ApiName "__proto__" is invalid.',
    ])
    const badVersion = [400, 'InvalidApiVersion', 'The ApiVersion "dkms-gcs-0.1" is invalid.']
    expect(await refused({ headers: { 'x-kms-apiversion': 'dkms-gcs-0.1' } })).toEqual(badVersion)
    expect(await refused({ headers: { 'content-type': 'text/plain' } })).toEqual(invalid('Content-Type'))
  })

  it('of client keys that are not there, or not at this time', async () => {
    const clientKeyId = `KAAP.${randomUUID()}`
    const unknown = [404, 'Unauthorized', `The AccessKey ID "${clientKeyId}" does not exist in our records.`]
    expect(await refused({ headers: { 'x-kms-acccesskeyid': clientKeyId } })).toEqual(unknown)
    fixture.clock.advance(2 * 86_400_000)
    expect((await refused({})).slice(0, 2)).toEqual([404, 'Unauthorized'])
  })

  it.each(['x-kms-apiname', 'x-kms-acccesskeyid', 'date', 'authorization', 'content-sha256', 'content-type'])(
    'with %s twice are refused',
    async (name) => {
      const headers = signDkms(ALICE_CLIENT, 'GenerateRandom', body, { at: fixture.clock.now() })
      const answer = await fixture.server.inject({
        method: 'POST',
        url: '/',
        headers: { ...headers, [name]: [headers[name] ?? '', headers[name] ?? ''] as unknown as string },
        payload: body,
      })
      expect(answer.statusCode).toBe(400)
      expect(answer.rawPayload.toString('latin1')).toContain('is invalid.')
    },
  )

  it('of another target than / are refused', async () => {
    const headers = signDkms(ALICE_CLIENT, 'GenerateRandom', body, { at: fixture.clock.now() })
    const answer = await fixture.server.inject({ method: 'POST', url: '/?a=b', headers, payload: body })
    expect(answer.statusCode).toBe(400)
    expect(answer.headers['content-type']).toBe('application/x-protobuf')
  })
})

describe('requests that are too much', () => {
  it('get 413 with a body past the limit of the server, in the words of the protocol', async () => {
    const answer = await fixture.alice.call('GenerateRandom', {}, { body: Buffer.alloc(300_000) })
    expect([answer.status, answer.text['ErrorCode']]).toEqual([413, 'RequestEntityTooLarge'])
  })

  it('get 413 with a body past 3 MB wherever the server would take more', async () => {
    fixture = instanceFixture({ limits: { bodyBytesMax: 4 * 1024 * 1024 } })
    const tooLong = Buffer.alloc(3 * 1024 * 1024 + 1)
    const answer = await fixture.alice.call('GenerateRandom', {}, { body: tooLong })
    expect([answer.status, answer.text['ErrorCode']]).toEqual([413, 'RequestEntityTooLarge'])
  })

  it('are told that their body is no message, whatever the bytes', async () => {
    for (const hostile of [Buffer.alloc(100_000, 0x5b), Buffer.from('0aff', 'hex'), Buffer.from('{"a":1}')]) {
      const { status, text } = await fixture.alice.call('Encrypt', {}, { body: hostile })
      expect([status, text['ErrorCode'], text['ErrorMessage']]).toEqual([
        400,
        'InvalidParameter',
        'The specified parameter is not valid. The body is no message EncryptRequest of dkms-gcs-0.2.',
      ])
    }
  })

  it('leave one line each in the log, without signatures and plaintexts', async () => {
    const { keyId } = await fixture.newKey()
    const Plaintext = Buffer.from('never-to-be-logged')
    const sealed = await fixture.alice.call('Encrypt', { KeyId: keyId, Plaintext, Aad: Plaintext })
    await fixture.alice.call('Decrypt', {
      KeyId: keyId,
      CiphertextBlob: sealed.bytes['CiphertextBlob'],
      Iv: sealed.bytes['Iv'],
      Aad: Plaintext,
    })
    await refused({ extra: { authorization: 'Bearer c2VjcmV0' } })
    expect(fixture.lines).toHaveLength(3)
    expect(JSON.parse(fixture.lines[0] ?? '')).toMatchObject({
      api: 'alibaba-instance',
      operation: 'Encrypt',
      accessKeyId: ALICE_CLIENT.clientKeyId,
      keyId,
      outcome: 'ok',
    })
    const all = fixture.lines.join('')
    for (const secret of [
      Plaintext,
      Buffer.from('c2VjcmV0', 'base64'),
      sealed.bytes['CiphertextBlob'] as Buffer,
    ]) {
      for (const form of ['latin1', 'base64', 'hex'] as const)
        expect(all).not.toContain(secret.toString(form))
    }
  })
})

describe('client keys that are stored', () => {
  it('speak for their account once they were made, and no more once deleted', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const home = { accountId: '111122223333', region: 'us-east-1' }
    const createdAt = fixture.clock.now()
    await fixture.access.createAccessPoint(
      { ...home, name: 'app', description: '', policies: ['all'], createdAt },
      9,
    )
    const clientKeyId = `KAAP.${randomUUID()}`
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    const times = { createdAt, notBefore: createdAt, notAfter: createdAt + 3_600_000 }
    await fixture.access.createClientKey(
      { ...home, ...times, clientKeyId, accessPoint: 'app', publicKey: spki },
      9,
    )
    const client = fixture.clientOf({ clientKeyId, privateKey })
    const statusOf = async () => (await client.call('GenerateRandom', fields)).status
    // The policy is not there yet, so that nothing is allowed.
    expect(await statusOf()).toBe(403)
    const permissions = ['RbacPermission/Template/CryptoServiceKeyUser']
    const policy = { ...home, name: 'all', description: '', permissions, resources: ['key/*'], createdAt }
    await fixture.access.createAccessPolicy(policy, 9)
    await fixture.clientDirectory.changed()
    expect(await statusOf()).toBe(200)
    await fixture.access.deleteAccessPoint({ ...home, name: 'app' })
    await fixture.clientDirectory.changed()
    expect(await statusOf()).toBe(404)
  })
})
