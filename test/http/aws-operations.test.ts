import { beforeEach, describe, expect, it } from 'vitest'
import { ALICE } from '../support/kms-fixture.ts'
import { type AwsFixture, awsFixture } from './aws-fixture.ts'

const ARN = `arn:aws:kms:us-east-1:${ALICE.accountId}`
const MATERIAL_ID = expect.stringMatching(/^[a-f0-9]{64}$/)
const BLOB = expect.stringMatching(/^[A-Za-z0-9+/]+=*$/)
const ALGORITHM = 'SYMMETRIC_DEFAULT'

let fixture: AwsFixture
let keyId: string
let keyArn: string
beforeEach(async () => {
  fixture = awsFixture()
  keyId = (await fixture.newKey()).keyId
  keyArn = `${ARN}:key/${keyId}`
})

/** Calls an operation that must succeed. */
async function ok(operation: string, input: object): Promise<Record<string, unknown>> {
  const answer = await fixture.request(operation, input)
  expect(answer, answer.text).toMatchObject({ status: 200 })
  return answer.json
}

describe('every answer', () => {
  it('has a request id, the type of AWS JSON 1.1 and the time', async () => {
    const { headers } = await fixture.request('ListKeys')
    expect(headers['x-amzn-requestid']).toMatch(/^[0-9a-f-]{36}$/)
    expect(headers['content-type']).toBe('application/x-amz-json-1.1')
    expect(Math.abs(Date.parse(String(headers['date'])) - Date.now())).toBeLessThan(2_000)
  })

  it('is empty for an operation without output', async () => {
    expect(await fixture.request('DisableKey', { KeyId: keyId })).toMatchObject({ status: 200, text: '' })
  })
})

describe('operations on data', () => {
  it('Encrypt and Decrypt', async () => {
    const Plaintext = Buffer.from('plain').toString('base64')
    const sealed = await ok('Encrypt', { KeyId: keyId, Plaintext, EncryptionContext: { a: 'bc' } })
    expect(sealed).toEqual({ CiphertextBlob: BLOB, KeyId: keyArn, EncryptionAlgorithm: ALGORITHM })
    const { CiphertextBlob } = sealed
    expect(await ok('Decrypt', { CiphertextBlob, EncryptionContext: { a: 'bc' } })).toEqual({
      KeyId: keyArn,
      Plaintext,
      EncryptionAlgorithm: ALGORITHM,
      KeyMaterialId: MATERIAL_ID,
    })
    const other = await fixture.request('Decrypt', { CiphertextBlob, EncryptionContext: { ab: 'c' } })
    expect(other.json).toEqual({ __type: 'InvalidCiphertextException', message: '' })
  })

  it('ReEncrypt', async () => {
    const target = (await fixture.newKey()).keyId
    const { CiphertextBlob } = await ok('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_128' })
    const moved = await ok('ReEncrypt', { CiphertextBlob, SourceKeyId: keyArn, DestinationKeyId: target })
    expect(moved).toEqual({
      CiphertextBlob: BLOB,
      SourceKeyId: keyArn,
      KeyId: `${ARN}:key/${target}`,
      SourceEncryptionAlgorithm: ALGORITHM,
      DestinationEncryptionAlgorithm: ALGORITHM,
      SourceKeyMaterialId: MATERIAL_ID,
      DestinationKeyMaterialId: MATERIAL_ID,
    })
    expect(moved['SourceKeyMaterialId']).not.toBe(moved['DestinationKeyMaterialId'])
  })

  it.each([
    [{ KeySpec: 'AES_256' }, 32],
    [{ KeySpec: 'AES_128' }, 16],
    [{ NumberOfBytes: 1024 }, 1024],
  ])('GenerateDataKey and GenerateDataKeyWithoutPlaintext with %j', async (size, bytes) => {
    const made = await ok('GenerateDataKey', { KeyId: keyId, ...size })
    expect(made).toEqual({ CiphertextBlob: BLOB, KeyId: keyArn, Plaintext: BLOB, KeyMaterialId: MATERIAL_ID })
    expect(Buffer.from(String(made['Plaintext']), 'base64')).toHaveLength(bytes)
    const opened = await ok('Decrypt', { CiphertextBlob: made['CiphertextBlob'] })
    expect(opened['Plaintext']).toBe(made['Plaintext'])
    const sealed = await ok('GenerateDataKeyWithoutPlaintext', { KeyId: keyId, ...size })
    expect(sealed).toEqual({ CiphertextBlob: BLOB, KeyId: keyArn, KeyMaterialId: MATERIAL_ID })
  })

  it('GenerateRandom', async () => {
    const { Plaintext } = await ok('GenerateRandom', { NumberOfBytes: 7 })
    expect(Buffer.from(String(Plaintext), 'base64')).toHaveLength(7)
  })

  it('authenticates a context pair that is named __proto__', async () => {
    const input = `{"KeyId":"${keyId}","KeySpec":"AES_256","EncryptionContext":{"__proto__":"x"}}`
    const { json } = await fixture.request('GenerateDataKey', input)
    const blob = String(json['CiphertextBlob'])
    const decrypt = (context: string) =>
      fixture.request('Decrypt', `{"CiphertextBlob":"${blob}","EncryptionContext":${context}}`)
    expect((await decrypt('{"__proto__":"x"}')).status).toBe(200)
    expect((await decrypt('{"__proto__":"y"}')).json['__type']).toBe('InvalidCiphertextException')
    expect((await decrypt('{}')).json['__type']).toBe('InvalidCiphertextException')
  })

  it('takes a key by id, ARN, alias and alias ARN', async () => {
    await ok('CreateAlias', { AliasName: 'alias/a/b', TargetKeyId: keyArn })
    for (const KeyId of [keyId, keyArn, 'alias/a/b', `${ARN}:alias/a/b`]) {
      expect(await ok('GenerateDataKey', { KeyId, KeySpec: 'AES_256' })).toMatchObject({ KeyId: keyArn })
    }
  })

  it('takes members that it does not know, and null for absent, as AWS does', async () => {
    await ok('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256', NumberOfBytes: null, Future: [1] })
    await ok('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256', DryRun: false, GrantTokens: [] })
  })
})

describe('operations on keys', () => {
  it('CreateKey and DescribeKey', async () => {
    const { KeyMetadata } = await ok('CreateKey', { Description: 'ü', KeySpec: ALGORITHM, Tags: [] })
    const { KeyId, CreationDate } = KeyMetadata as { KeyId: string; CreationDate: number }
    expect(KeyMetadata).toEqual({
      AWSAccountId: ALICE.accountId,
      KeyId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      Arn: `${ARN}:key/${KeyId}`,
      CreationDate: expect.any(Number),
      Enabled: true,
      Description: 'ü',
      KeyUsage: 'ENCRYPT_DECRYPT',
      KeyState: 'Enabled',
      Origin: 'AWS_KMS',
      KeyManager: 'CUSTOMER',
      CustomerMasterKeySpec: ALGORITHM,
      KeySpec: ALGORITHM,
      EncryptionAlgorithms: [ALGORITHM],
      MultiRegion: false,
      CurrentKeyMaterialId: MATERIAL_ID,
    })
    expect(Math.abs(CreationDate - Date.now() / 1000)).toBeLessThan(5)
    expect(await ok('DescribeKey', { KeyId })).toEqual({ KeyMetadata })
  })

  it('CreateKey without a body', async () => {
    expect(await fixture.request('CreateKey', '')).toMatchObject({ status: 200 })
  })

  it('ListKeys in pages', async () => {
    const others = [await fixture.newKey(), await fixture.newKey()]
    const all = [keyId, ...others.map((key) => key.keyId)].toSorted()
    const first = await ok('ListKeys', { Limit: 2 })
    expect(first).toMatchObject({ Truncated: true, NextMarker: expect.any(String) })
    const second = await ok('ListKeys', { Limit: 2, Marker: first['NextMarker'] })
    expect(second).toEqual({
      Keys: [{ KeyId: all[2], KeyArn: `${ARN}:key/${all[2]}` }],
      Truncated: false,
    })
    expect(await ok('ListKeys', { Limit: 1000 })).toMatchObject({ Truncated: false })
  })

  it('DisableKey, EnableKey, ScheduleKeyDeletion and CancelKeyDeletion', async () => {
    const KeyId = keyArn
    const state = async () => (await ok('DescribeKey', { KeyId }))['KeyMetadata']
    await ok('DisableKey', { KeyId })
    expect(await state()).toMatchObject({ KeyState: 'Disabled', Enabled: false })
    await ok('EnableKey', { KeyId })
    const scheduled = await ok('ScheduleKeyDeletion', { KeyId })
    const DeletionDate = expect.any(Number)
    expect(scheduled).toEqual({ KeyId, DeletionDate, KeyState: 'PendingDeletion', PendingWindowInDays: 30 })
    expect(await state()).toMatchObject({ DeletionDate: scheduled['DeletionDate'], Enabled: false })
    expect(await ok('CancelKeyDeletion', { KeyId })).toEqual({ KeyId })
    expect(await state()).toMatchObject({ KeyState: 'Disabled' })
  })

  it.each([
    ['asymmetric', { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' }],
    ['HMAC', { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }],
  ])('UpdateAlias keeps an alias among keys of one kind, %s ones as well', async (kind, spec) => {
    const make = async (input: object) => {
      const { KeyMetadata } = await ok('CreateKey', input)
      return (KeyMetadata as { readonly KeyId: string }).KeyId
    }
    const AliasName = 'alias/kind'
    await ok('CreateAlias', { AliasName, TargetKeyId: keyId })
    const { json } = await fixture.request('UpdateAlias', { AliasName, TargetKeyId: await make(spec) })
    expect(json).toMatchObject({ __type: 'ValidationException', message: expect.stringContaining(kind) })
    await ok('DeleteAlias', { AliasName })
    await ok('CreateAlias', { AliasName, TargetKeyId: await make(spec) })
    await ok('UpdateAlias', { AliasName, TargetKeyId: await make(spec) })
  })

  it('UpdateAlias keeps an alias among keys of one usage', async () => {
    const usages = ['SIGN_VERIFY', 'ENCRYPT_DECRYPT'].map((KeyUsage) => ({ KeySpec: 'RSA_2048', KeyUsage }))
    const keys = await Promise.all(usages.map((spec) => ok('CreateKey', spec)))
    const [signing, encrypting] = keys.map(({ KeyMetadata }) => (KeyMetadata as { KeyId: string }).KeyId)
    await ok('CreateAlias', { AliasName: 'alias/use', TargetKeyId: signing })
    const { json } = await fixture.request('UpdateAlias', {
      AliasName: 'alias/use',
      TargetKeyId: encrypting,
    })
    expect(json['__type']).toBe('ValidationException')
  })

  it('CreateAlias, UpdateAlias, ListAliases and DeleteAlias', async () => {
    const other = (await fixture.newKey()).keyId
    await ok('CreateAlias', { AliasName: 'alias/x', TargetKeyId: keyId })
    await ok('CreateAlias', { AliasName: 'alias/y', TargetKeyId: other })
    await ok('UpdateAlias', { AliasName: 'alias/y', TargetKeyId: keyId })
    const first = await ok('ListAliases', { KeyId: keyArn, Limit: 1 })
    expect(first).toEqual({
      Aliases: [
        {
          AliasName: 'alias/x',
          AliasArn: `${ARN}:alias/x`,
          TargetKeyId: keyId,
          CreationDate: expect.any(Number),
          LastUpdatedDate: expect.any(Number),
        },
      ],
      Truncated: true,
      NextMarker: expect.any(String),
    })
    await ok('DeleteAlias', { AliasName: 'alias/y' })
    const rest = await ok('ListAliases', { KeyId: keyArn, Limit: 1, Marker: first['NextMarker'] })
    expect(rest).toEqual({ Aliases: [], Truncated: false })
    const foreign = await fixture.request('ListAliases', { Marker: first['NextMarker'] })
    expect(foreign.json['__type']).toBe('InvalidMarkerException')
  })
})
