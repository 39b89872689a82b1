import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../src/core/errors.ts'
import { ALICE, MALLORY } from '../support/kms-fixture.ts'
import { type AwsFixture, awsFixture, MALLORY_KEY } from './aws-fixture.ts'

const PREFIX = `arn:aws:kms:us-east-1:${ALICE.accountId}:`
const NO_KEY = '00000000-0000-4000-8000-000000000000'
const THROTTLED = 'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.'
const INACCESSIBLE =
  'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not ' +
  'allowed to access.'

let fixture: AwsFixture
let keyId: string
let keyArn: string
beforeEach(async () => {
  fixture = awsFixture()
  keyId = (await fixture.newKey()).keyId
  keyArn = `${PREFIX}key/${keyId}`
})

async function fault(operation: string, input: object | string, status = 400) {
  const answer = await fixture.request(operation, input)
  expect(answer.status, answer.text).toBe(status)
  const { __type, message } = answer.json
  return [__type, message]
}

async function blobOf(id: string): Promise<string> {
  const { json } = await fixture.request('GenerateDataKey', { KeyId: id, KeySpec: 'AES_256' })
  return String(json['CiphertextBlob'])
}

describe('a key that is not there', () => {
  const size = { KeySpec: 'AES_256' }
  const foreignArn = `arn:aws:kms:us-east-1:${MALLORY.accountId}:key/${NO_KEY}`

  it.each([
    [NO_KEY, `Key '${PREFIX}key/${NO_KEY}' does not exist`],
    [`${PREFIX}key/${NO_KEY}`, `Key '${PREFIX}key/${NO_KEY}' does not exist`],
    [
      'mrk-0123456789abcdef0123456789abcdef',
      `Key '${PREFIX}key/mrk-0123456789abcdef0123456789abcdef' does not exist`,
    ],
    ['fake-key-id', "Invalid keyId 'fake-key-id'"],
    ['mrk-fake-key-id', "Invalid keyId 'mrk-fake-key-id'"],
    ['134f2428cec14b25a1ae9048164dba47', "Invalid keyId '134f2428cec14b25a1ae9048164dba47'"],
    ['alias/none', `Alias ${PREFIX}alias/none is not found.`],
    [`${PREFIX}alias/none`, `Alias ${PREFIX}alias/none is not found.`],
    [`arn:aws:kms:us-west-2:${ALICE.accountId}:key/${NO_KEY}`, 'Invalid arn us-west-2'],
    [`arn:aws:kms:us-west-2:${ALICE.accountId}:alias/none`, 'Invalid arn us-west-2'],
    [foreignArn, `Key '${foreignArn}' does not exist`],
    [`arn:aws-cn:kms:us-east-1:${ALICE.accountId}:key/${NO_KEY}`, /^Invalid arn arn:aws-cn:/],
    [`arn:aws:s3:us-east-1:${ALICE.accountId}:key/${NO_KEY}`, /^Invalid arn arn:aws:s3:/],
    ['arn:aws:kms', 'Invalid arn arn:aws:kms'],
  ])('%s', async (KeyId, message) => {
    const expected = typeof message === 'string' ? message : expect.stringMatching(message)
    expect(await fault('GenerateDataKey', { KeyId, ...size })).toEqual(['NotFoundException', expected])
  })

  it('looks the same to another account as one that never was', async () => {
    const seen = async (id: string) => {
      const { json } = await fixture.request('DescribeKey', { KeyId: id }, { credential: MALLORY_KEY })
      return String(json['message']).replace(id, 'ID')
    }
    expect(await seen(keyId)).toBe(await seen(NO_KEY))
  })

  it('is not found under an alias by a management operation', async () => {
    await fixture.request('CreateAlias', { AliasName: 'alias/a', TargetKeyId: keyId })
    for (const KeyId of ['alias/a', `${PREFIX}alias/a`]) {
      expect(await fault('DisableKey', { KeyId })).toEqual(['NotFoundException', "Invalid keyId 'alias/a'"])
    }
  })
})

describe('a key whose version has had all its encryptions', () => {
  it('encrypts no more, which SDKs take for a reason to try again, and decrypts on', async () => {
    fixture = awsFixture({ gcm: { invocationsMax: 2, leaseInvocations: 2, rotateAt: 1 } })
    const key = await fixture.newKey()
    const CiphertextBlob = await blobOf(key.keyId)
    await blobOf(key.keyId)
    const message =
      'This key has been encrypted with as often as AES-GCM allows; it still decrypts, and encrypts again once it is rotated.'
    const expected = ['LimitExceededException', message]
    const size = { KeySpec: 'AES_256' }
    expect(await fault('GenerateDataKey', { KeyId: key.keyId, ...size })).toEqual(expected)
    expect(await fault('GenerateDataKeyWithoutPlaintext', { KeyId: key.keyId, ...size })).toEqual(expected)
    expect(await fault('Encrypt', { KeyId: key.keyId, Plaintext: 'eA==' })).toEqual(expected)
    expect(await fault('ReEncrypt', { CiphertextBlob, DestinationKeyId: key.keyId })).toEqual(expected)
    expect((await fixture.request('Decrypt', { CiphertextBlob })).status).toBe(200)
  })
})

describe('a key in the wrong state', () => {
  it('is disabled', async () => {
    await fixture.request('DisableKey', { KeyId: keyId })
    const expected = ['DisabledException', `${keyArn} is disabled.`]
    expect(await fault('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256' })).toEqual(expected)
  })

  it('is pending deletion', async () => {
    const CiphertextBlob = await blobOf(keyId)
    await fixture.request('ScheduleKeyDeletion', { KeyId: keyId })
    const expected = ['KMSInvalidStateException', `${keyArn} is pending deletion.`]
    expect(await fault('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256' })).toEqual(expected)
    expect(await fault('Decrypt', { CiphertextBlob })).toEqual(expected)
    expect(await fault('EnableKey', { KeyId: keyId })).toEqual(expected)
    expect(await fault('ScheduleKeyDeletion', { KeyId: keyId })).toEqual(expected)
  })

  it.each(['Enabled', 'Disabled'])('is %s and so not pending deletion', async (state) => {
    if (state === 'Disabled') await fixture.request('DisableKey', { KeyId: keyId })
    const expected = ['KMSInvalidStateException', `${keyArn} is not pending deletion.`]
    expect(await fault('CancelKeyDeletion', { KeyId: keyId })).toEqual(expected)
  })
})

describe('a ciphertext', () => {
  it('of another key than the one named', async () => {
    const CiphertextBlob = await blobOf(keyId)
    const KeyId = (await fixture.newKey()).keyId
    expect(await fault('Decrypt', { CiphertextBlob, KeyId })).toEqual([
      'IncorrectKeyException',
      'The key ID in the request does not identify a CMK that can perform this operation.',
    ])
  })

  it('that was changed, or never was one', async () => {
    const changed = Buffer.from(await blobOf(keyId), 'base64')
    changed[40] = (changed[40] ?? 0) ^ 1
    for (const blob of [changed, Buffer.from('no blob of ours'), Buffer.alloc(6144)]) {
      const CiphertextBlob = blob.toString('base64')
      expect(await fault('Decrypt', { CiphertextBlob })).toEqual(['InvalidCiphertextException', ''])
    }
  })

  it('of another account', async () => {
    const CiphertextBlob = await blobOf(keyId)
    const { json } = await fixture.request('Decrypt', { CiphertextBlob }, { credential: MALLORY_KEY })
    expect(json).toEqual({ __type: 'AccessDeniedException', message: INACCESSIBLE })
  })
})

describe('an alias', () => {
  it('that exists already', async () => {
    const input = { AliasName: 'alias/a', TargetKeyId: keyId }
    await fixture.request('CreateAlias', input)
    expect(await fault('CreateAlias', input)).toEqual([
      'AlreadyExistsException',
      `An alias with the name ${PREFIX}alias/a already exists`,
    ])
  })

  it.each(['CreateAlias', 'UpdateAlias', 'DeleteAlias'])('%s refuses what AWS keeps', async (operation) => {
    const expected = ['NotAuthorizedException', '']
    expect(await fault(operation, { AliasName: 'alias/aws/s3', TargetKeyId: keyId })).toEqual(expected)
  })

  it('without the prefix, or with a colon', async () => {
    const [type, message] = await fault('CreateAlias', { AliasName: 'a', TargetKeyId: keyId })
    expect(type).toBe('ValidationException')
    expect(message).toBe(
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    )
    const [colon] = await fault('CreateAlias', { AliasName: 'alias/a:b', TargetKeyId: keyId })
    expect(colon).toBe('InvalidAliasNameException')
    const [unknown] = await fault('DeleteAlias', { AliasName: 'alias/a:b' })
    expect(unknown).toBe('NotFoundException')
  })
})

describe('a failure behind the façade', () => {
  const random = { NumberOfBytes: 8 }

  it.each([
    [new KmsError('TOKEN_TIMEOUT', 'x', { token: 'main' }), 400, 'ThrottlingException', THROTTLED],
    [
      new KmsError('TOKEN_UNAVAILABLE', 'x', { token: 'main' }),
      500,
      'KeyUnavailableException',
      expect.any(String),
    ],
    [new KmsError('STORE_UNAVAILABLE', 'x', {}), 503, 'DependencyTimeoutException', expect.any(String)],
    [new KmsError('CONFLICT', 'x', {}), 503, 'DependencyTimeoutException', expect.any(String)],
    [
      new KmsError('UNSUPPORTED', 'The token cannot.', {}),
      400,
      'UnsupportedOperationException',
      'The token cannot.',
    ],
  ])('%s', async (error, status, type, message) => {
    fixture.provider.failWith = error
    expect(await fault('GenerateRandom', random, status)).toEqual([type, message])
  })

  it('of our own tells the caller nothing, the log everything, and the operator by a counter', async () => {
    Object.defineProperty(fixture.provider, 'generateRandom', {
      value: () => Promise.reject(new TypeError('a fault of ours')),
    })
    expect(await fault('GenerateRandom', random, 500)).toEqual(['KMSInternalException', 'internal error'])
    const line = JSON.parse(fixture.lines.at(-1) ?? '{}')
    expect(line).toMatchObject({ level: 50, status: 500, error: { message: 'a fault of ours' } })
    expect(line.error.stack).toContain('aws-faults.test.ts')
    expect(await fixture.registry.metrics()).toContain('p11kms_internal_errors_total 1')
  })
})

describe('an operation', () => {
  it.each(['Nonsense', '', 'constructor', '__proto__'])('that AWS KMS has not: %j', async (operation) => {
    const [type] = await fault(operation, {})
    expect(type).toBe('UnknownOperationException')
    expect(await fixture.registry.metrics()).toContain('operation="unknown"')
  })
})
