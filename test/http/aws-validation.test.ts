import { beforeEach, describe, expect, it } from 'vitest'
import { type AwsFixture, awsFixture } from './aws-fixture.ts'

const KEY = '00000000-0000-4000-8000-000000000000'
const FAILED = 'failed to satisfy constraint: Member must'
const B64 = 'QUJD'

let fixture: AwsFixture
beforeEach(() => {
  fixture = awsFixture()
})

type Case = readonly [operation: string, input: object | string, message: string]

describe('a broken constraint is told in AWS’s words', () => {
  const one = (text: string) => `1 validation error detected: ${text}`
  const size = 'Please specify either number of bytes or key spec.'
  const cases: readonly Case[] = [
    [
      'GenerateRandom',
      { NumberOfBytes: 0 },
      one(`Value '0' at 'numberOfBytes' ${FAILED} have value greater than or equal to 1`),
    ],
    [
      'GenerateRandom',
      { NumberOfBytes: 1025 },
      one(`Value '1025' at 'numberOfBytes' ${FAILED} have value less than or equal to 1024`),
    ],
    ['GenerateRandom', {}, 'NumberOfBytes is required.'],
    ['GenerateDataKey', { KeyId: KEY }, size],
    ['GenerateDataKey', { KeyId: KEY, KeySpec: 'AES_256', NumberOfBytes: 32 }, size],
    ['GenerateDataKey', { KeySpec: 'AES_256' }, one(`Value null at 'keyId' ${FAILED} not be null`)],
    [
      'GenerateDataKey',
      { KeyId: KEY, KeySpec: 'AES' },
      one(`Value 'AES' at 'keySpec' ${FAILED} satisfy enum value set: [AES_256, AES_128]`),
    ],
    [
      'GenerateDataKey',
      { KeyId: '', KeySpec: 'AES_256' },
      one(`Value '' at 'keyId' ${FAILED} have length greater than or equal to 1`),
    ],
    [
      'Encrypt',
      { KeyId: KEY, Plaintext: Buffer.alloc(4097).toString('base64') },
      one(`Value at 'plaintext' ${FAILED} have length less than or equal to 4096`),
    ],
    [
      'Encrypt',
      { KeyId: KEY, Plaintext: '' },
      one(`Value at 'plaintext' ${FAILED} have length greater than or equal to 1`),
    ],
    [
      'Encrypt',
      {},
      `2 validation errors detected: Value null at 'keyId' ${FAILED} not be null; Value null at 'plaintext' ${FAILED} not be null`,
    ],
    ['Decrypt', {}, one(`Value null at 'ciphertextBlob' ${FAILED} not be null`)],
    [
      'Decrypt',
      { CiphertextBlob: Buffer.alloc(6145).toString('base64') },
      one(`Value at 'ciphertextBlob' ${FAILED} have length less than or equal to 6144`),
    ],
    [
      'CreateKey',
      { Tags: [{ TagKey: 'a'.repeat(129), TagValue: '' }] },
      one(
        `Value '${'a'.repeat(100)}…' at 'tags.1.member.tagKey' ${FAILED} have length less than or equal to 128`,
      ),
    ],
    [
      'CreateKey',
      { KeyUsage: 'SIGN_VERIFY' },
      'KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT',
    ],
    [
      'CreateKey',
      { KeySpec: 'RSA_2048' },
      'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
    ],
    [
      'CreateAlias',
      { AliasName: 'alias/ä', TargetKeyId: KEY },
      one(`Value 'alias/ä' at 'aliasName' ${FAILED} satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$`),
    ],
    [
      'ListAliases',
      { Limit: 101 },
      one(`Value '101' at 'limit' ${FAILED} have value less than or equal to 100`),
    ],
    [
      'ListKeys',
      { Limit: 1001 },
      one(`Value '1001' at 'limit' ${FAILED} have value less than or equal to 1000`),
    ],
    [
      'ScheduleKeyDeletion',
      { KeyId: KEY, PendingWindowInDays: 6 },
      one(`Value '6' at 'pendingWindowInDays' ${FAILED} have value greater than or equal to 7`),
    ],
    [
      'DescribeKey',
      { KeyId: KEY, GrantTokens: Array(11).fill('t') },
      one(`Value '…' at 'grantTokens' ${FAILED} have length less than or equal to 10`),
    ],
  ]

  it.each(cases)('%s %j', async (operation, input, message) => {
    const answer = await fixture.request(operation, input)
    expect(answer.status).toBe(400)
    expect(answer.json).toEqual({ __type: 'ValidationException', message })
    expect(fixture.passed).toEqual([])
  })
})

describe('a request with much wrong in it', () => {
  const refusal = async (operation: string, input: object) => {
    const { json } = await fixture.request(operation, input)
    expect(json['__type']).toBe('ValidationException')
    return String(json['message'])
  }

  it('has its items counted before any is looked at', async () => {
    const tooLong = (path: string, max: number) =>
      `1 validation error detected: Value '…' at '${path}' ${FAILED} have length less than or equal to ${max}`
    const keys = { KeyId: KEY, TagKeys: Array(1001).fill('') }
    expect(await refusal('UntagResource', keys)).toBe(tooLong('tagKeys', 1000))
    const operations = { KeyId: KEY, GranteePrincipal: 'a', Operations: Array(101).fill('') }
    expect(await refusal('CreateGrant', operations)).toBe(tooLong('operations', 100))
    const tokens = { KeyId: KEY, GrantTokens: Array(11).fill('') }
    expect(await refusal('DescribeKey', tokens)).toBe(tooLong('grantTokens', 10))
  })

  it('has no more tags looked at than twice those that a key may have', async () => {
    const message = await refusal('CreateKey', { Tags: Array.from({ length: 9_999 }, () => ({})) })
    expect(message).toMatch(/^200 validation errors detected: .*; …$/)
  })

  it('is told of the first ten constraints and how many there are', async () => {
    const message = await refusal('CreateKey', { Tags: Array.from({ length: 50 }, () => ({})) })
    expect(message).toMatch(/^100 validation errors detected: .*; …$/)
    expect(message.split(FAILED)).toHaveLength(11)
  })

  it('is not told of its long values at length', async () => {
    const message = await refusal('CreateKey', { KeySpec: 'x'.repeat(5_000) })
    expect(message).toContain(`Value '${'x'.repeat(100)}…' at 'keySpec'`)
    expect(message).not.toContain('x'.repeat(101))
  })

  it('is refused before its context is handed on', async () => {
    const wide = Object.fromEntries(Array.from({ length: 2_048 }, (_, index) => [index.toString(36), '']))
    const input = { KeyId: KEY, KeySpec: 'AES_256', EncryptionContext: wide }
    const text = 'The encryption context is longer than 8192 bytes.'
    expect(await refusal('GenerateDataKey', input)).toBe(text)
    expect(fixture.passed).toEqual([])
  })
})

describe('a body that is no request', () => {
  const big = '{"EncryptionContext":'.padEnd(60_000, '[')
  const cases: readonly (readonly [operation: string, body: string | Buffer])[] = [
    ['GenerateRandom', '{"NumberOfBytes":8'],
    ['GenerateRandom', 'null'],
    ['GenerateRandom', '[]'],
    ['GenerateRandom', '"x"'],
    ['GenerateRandom', big],
    ['GenerateRandom', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])],
    ['GenerateRandom', '{"NumberOfBytes":"8"}'],
    ['GenerateRandom', '{"NumberOfBytes":8.5}'],
    ['GenerateRandom', '{"NumberOfBytes":1e400}'],
    ['GenerateDataKey', `{"KeyId":7,"KeySpec":"AES_256"}`],
    ['GenerateDataKey', `{"KeyId":"${KEY}","KeySpec":"AES_256","EncryptionContext":"x"}`],
    ['GenerateDataKey', `{"KeyId":"${KEY}","KeySpec":"AES_256","EncryptionContext":["x"]}`],
    ['GenerateDataKey', `{"KeyId":"${KEY}","KeySpec":"AES_256","EncryptionContext":{"a":1}}`],
    ['GenerateDataKey', `{"KeyId":"${KEY}","KeySpec":"AES_256","EncryptionContext":{"a":null}}`],
    ['GenerateDataKey', `{"KeyId":"${KEY}","KeySpec":"AES_256","EncryptionContext":{"__proto__":{}}}`],
    ['GenerateDataKey', `{"__proto__":{"KeyId":"${KEY}"},"KeySpec":8}`],
    ['Encrypt', `{"KeyId":"${KEY}","Plaintext":"no base64!"}`],
    ['Encrypt', `{"KeyId":"${KEY}","Plaintext":"QUJ"}`],
    ['Encrypt', `{"KeyId":"${KEY}","Plaintext":"QU=D"}`],
  ]

  it.each(cases)('%s %.80s', async (operation, body) => {
    const answer = await fixture.request(operation, body)
    expect(answer.status, answer.text).toBe(400)
    expect(answer.json['__type']).toBe('SerializationException')
    expect(answer.text).not.toContain('no base64')
    expect(fixture.passed).toEqual([])
  })

  it('has another type', async () => {
    for (const type of ['application/cbor', 'text/plain', 'application/jsonp', 'x']) {
      const answer = await fixture.request('GenerateRandom', {}, { headers: { 'content-type': type } })
      expect([answer.status, answer.json['__type']]).toEqual([400, 'SerializationException'])
    }
    expect(fixture.passed).toEqual([])
  })

  it('is too large', async () => {
    const answer = await fixture.request('GenerateRandom', `{"a":"${'x'.repeat(70_000)}"}`)
    expect([answer.status, answer.json['__type']]).toEqual([413, 'RequestEntityTooLargeException'])
    expect(answer.headers['x-amzn-requestid']).toMatch(/^[0-9a-f-]{36}$/)
    expect(fixture.passed).toEqual([])
  })

  it('holds a context that is too long or not well-formed', async () => {
    const contexts = [{ a: 'x'.repeat(8192) }, { a: '\ud800' }]
    const { keyId } = await fixture.newKey()
    for (const EncryptionContext of contexts) {
      const input = { KeyId: keyId, Plaintext: B64, EncryptionContext }
      expect((await fixture.request('Encrypt', input)).json['__type']).toBe('ValidationException')
    }
  })
})

describe('a member that this service does not honour is refused by name', () => {
  const key = { KeyId: KEY, KeySpec: 'AES_256' }
  const cases: readonly (readonly [operation: string, input: object, what: string])[] = [
    ['GenerateDataKey', { ...key, Recipient: {} }, 'Recipient'],
    ['CreateKey', { Origin: 'AWS_CLOUDHSM' }, 'Origin AWS_CLOUDHSM'],
    [
      'DeriveSharedSecret',
      { KeyId: KEY, PublicKey: B64, KeyAgreementAlgorithm: 'ECDH', Recipient: {} },
      'Recipient',
    ],
  ]
  it.each(cases)('%s %j', async (operation, input, what) => {
    const { json } = await fixture.request(operation, input)
    const message = `${what} is not supported by this service yet.`
    expect(json).toEqual({ __type: 'UnsupportedOperationException', message })
    expect(fixture.passed).toEqual([])
  })

  it.each([
    ['GenerateRandom', { NumberOfBytes: 8, CustomKeyStoreId: 'cks-1' }, 'CustomKeyStoreId'],
    ['CreateKey', { CustomKeyStoreId: 'cks-1' }, 'CustomKeyStoreId'],
    ['CreateKey', { XksKeyId: 'x' }, 'XksKeyId'],
    ['ConnectCustomKeyStore', { CustomKeyStoreId: 'cks-1' }, 'ConnectCustomKeyStore'],
    ['CreateCustomKeyStore', { CustomKeyStoreName: 'n' }, 'CreateCustomKeyStore'],
    ['DeleteCustomKeyStore', { CustomKeyStoreId: 'cks-1' }, 'DeleteCustomKeyStore'],
    ['DescribeCustomKeyStores', { Limit: 5 }, 'DescribeCustomKeyStores'],
    ['DisconnectCustomKeyStore', { CustomKeyStoreId: 'cks-1' }, 'DisconnectCustomKeyStore'],
    ['UpdateCustomKeyStore', { CustomKeyStoreId: 'cks-1' }, 'UpdateCustomKeyStore'],
  ])('%s %j, because there are no custom key stores', async (operation, input, what) => {
    const { json } = await fixture.request(operation, input)
    expect(json['__type']).toBe('UnsupportedOperationException')
    expect(json['message']).toMatch(new RegExp(`^${what} is not supported: .* no custom key stores`))
    expect(fixture.passed).toEqual([])
  })

  it('custom key stores, once the input is right, and shows no secret of it', async () => {
    const credential = { AccessKeyId: 'short', RawSecretAccessKey: 'a secret' }
    const input = { KeyStorePassword: 'hidden', XksProxyAuthenticationCredential: credential }
    const { json, text } = await fixture.request('CreateCustomKeyStore', input)
    expect(json['__type']).toBe('ValidationException')
    expect(json['message']).toContain(`Value null at 'customKeyStoreName' ${FAILED} not be null`)
    expect(json['message']).toContain(`Value at 'keyStorePassword' ${FAILED} have length greater`)
    for (const secret of ['hidden', 'short', 'a secret']) expect(text).not.toContain(secret)
  })
})

describe('a marker', () => {
  it.each(['x', 'A'.repeat(1024), '____', ' '])('that nobody gave: %.10s', async (Marker) => {
    const { json } = await fixture.request('ListKeys', { Marker })
    expect(json['__type']).toBe('InvalidMarkerException')
    expect(fixture.passed).toEqual([])
  })
})
