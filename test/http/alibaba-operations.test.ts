import { createPrivateKey, generateKeyPairSync, privateDecrypt } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { call } from '../support/kms-fixture.ts'
import { ALICE_UID, alibabaFixture, faultOf } from './alibaba-fixture.ts'

const fixture = alibabaFixture()
const { rpc, clock } = fixture
const DAY_MS = 86_400_000
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

async function created(parameters: Record<string, string> = {}) {
  const { json } = await rpc('CreateKey', parameters)
  return json['KeyMetadata'] as Record<string, string>
}

async function describeKey(KeyId: string) {
  return (await rpc('DescribeKey', { KeyId })).json['KeyMetadata'] as Record<string, string>
}

describe('the life of a key', () => {
  it('CreateKey and DescribeKey tell the metadata that SDKs and Terraform read', async () => {
    const metadata = await created({ Description: 'D', KeyUsage: 'ENCRYPT/DECRYPT', ProtectionLevel: 'HSM' })
    const { KeyId = '' } = metadata
    expect(metadata).toEqual({
      KeyId: expect.stringMatching(/^[\da-f-]{36}$/),
      Arn: `acs:kms:us-east-1:${ALICE_UID}:key/${KeyId}`,
      Creator: ALICE_UID,
      CreationDate: expect.stringMatching(UTC),
      Description: 'D',
      KeySpec: 'Aliyun_AES_256',
      KeyUsage: 'ENCRYPT/DECRYPT',
      KeyState: 'Enabled',
      Origin: 'Aliyun_KMS',
      ProtectionLevel: 'HSM',
      PrimaryKeyVersion: expect.stringMatching(/^[\da-f-]{36}$/),
      DeleteDate: '',
      MaterialExpireTime: '',
      LastRotationDate: metadata['CreationDate'],
      AutomaticRotation: 'Disabled',
      DKMSInstanceId: '',
    })
    expect(await describeKey(KeyId)).toEqual({
      ...metadata,
      DeletionProtection: 'Disabled',
      DeletionProtectionDescription: '',
    })
  })

  it('rotates by a policy, suspended while the key is disabled', async () => {
    const { KeyId = '', ...metadata } = await created({
      EnableAutomaticRotation: 'true',
      RotationInterval: '604800s',
    })
    expect(metadata).toMatchObject({ AutomaticRotation: 'Enabled', RotationInterval: '604800s' })
    expect(Date.parse(metadata['NextRotationDate'] ?? '') - clock.now()).toBeGreaterThan(6.9 * DAY_MS)
    await rpc('UpdateRotationPolicy', { KeyId, EnableAutomaticRotation: 'true', RotationInterval: '730d' })
    expect(await describeKey(KeyId)).toMatchObject({ RotationInterval: '63072000s' })
    await rpc('DisableKey', { KeyId })
    expect(await describeKey(KeyId)).toMatchObject({ KeyState: 'Disabled', AutomaticRotation: 'Suspended' })
    await rpc('EnableKey', { KeyId })
    await rpc('UpdateRotationPolicy', { KeyId, EnableAutomaticRotation: 'false' })
    const after = await describeKey(KeyId)
    expect(after).toMatchObject({ AutomaticRotation: 'Disabled' })
    expect(after).not.toHaveProperty('RotationInterval')
  })

  it('has versions, of which the primary one seals', async () => {
    const { KeyId = '', PrimaryKeyVersion: first = '' } = await created()
    await fixture.kms.rotateKeyOnDemand(call(), KeyId)
    const { PrimaryKeyVersion: second = '' } = await describeKey(KeyId)
    const { json } = await rpc('ListKeyVersions', { KeyId, PageSize: '1', PageNumber: '2' })
    expect(json).toMatchObject({
      KeyVersions: {
        KeyVersion: [{ KeyId, KeyVersionId: second, CreationDate: expect.stringMatching(UTC) }],
      },
      TotalCount: 2,
      PageNumber: 2,
      PageSize: 1,
    })
    const described = await rpc('DescribeKeyVersion', { KeyId, KeyVersionId: first })
    expect(described.json['KeyVersion']).toMatchObject({ KeyVersionId: first })
    expect((await rpc('GenerateDataKey', { KeyId })).json['KeyVersionId']).toBe(second)
    expect(faultOf(await rpc('DescribeKeyVersion', { KeyId, KeyVersionId: KeyId }))).toEqual([
      404,
      'Forbidden.KeyVersionNotFound',
      'The specified Key version is not found.',
    ])
  })

  it('is not scheduled for deletion while it is protected, through either API', async () => {
    const { KeyId = '', Arn = '' } = await created()
    const protect = { EnableDeletionProtection: 'true', DeletionProtectionDescription: 'of the payroll' }
    expect((await rpc('SetDeletionProtection', { ProtectedResourceArn: Arn, ...protect })).status).toBe(200)
    expect(await describeKey(KeyId)).toMatchObject({
      DeletionProtection: 'Enabled',
      DeletionProtectionDescription: 'of the payroll',
    })
    const deletion = { KeyId, PendingWindowInDays: '7' }
    expect(faultOf(await rpc('ScheduleKeyDeletion', deletion))).toEqual([
      409,
      'Rejected.DeletionProtection',
      'The key is protected from deletion.',
    ])
    await expect(fixture.kms.scheduleKeyDeletion(call(), KeyId, 7)).rejects.toMatchObject({
      code: 'KEY_PROTECTED',
    })
    expect((await rpc('SetDeletionProtection', { KeyId, EnableDeletionProtection: 'False' })).status).toBe(
      200,
    )
    expect((await rpc('ScheduleKeyDeletion', deletion)).status).toBe(200)
    const { KeyState, DeleteDate = '' } = await describeKey(KeyId)
    expect(KeyState).toBe('PendingDeletion')
    expect(Date.parse(DeleteDate) - clock.now()).toBeGreaterThan(6.9 * DAY_MS)
  })

  it.each([
    ['Aliyun_AES_128', 'Aliyun_AES_128'],
    ['Aliyun_SM4', 'Aliyun_SM4'],
    ['EC_SM2', 'The token "main" is not asked for keys of spec SM2 (CKM_SM2_KEY_PAIR_GEN)'],
  ])('of spec %s is not made', async (KeySpec, text) => {
    const answer = await rpc('CreateKey', { KeySpec })
    expect([answer.status, answer.json['Code']]).toEqual([400, 'UnsupportedOperation'])
    expect(answer.json['Message']).toContain(text)
  })
})

describe('listings', () => {
  it('of keys have pages, a count and filters', async () => {
    const other = alibabaFixture()
    const ids: string[] = []
    for (let n = 0; n < 12; n++) ids.push((await other.newKey()).keyId)
    ids.sort()
    const first = await other.rpc('ListKeys')
    expect(first.json).toMatchObject({ TotalCount: 12, PageNumber: 1, PageSize: 10 })
    const second = await other.rpc('ListKeys', { PageNumber: '2' })
    const idsOf = (answer: typeof first) =>
      (answer.json['Keys'] as { Key: { KeyId: string; KeyArn: string }[] }).Key.map(({ KeyId }) => KeyId)
    expect([...idsOf(first), ...idsOf(second)]).toEqual(ids)
    expect(idsOf(await other.rpc('ListKeys', { PageNumber: '3' }))).toEqual([])
    const [disabled = ''] = ids
    await other.rpc('DisableKey', { KeyId: disabled })
    const filtered = await other.rpc('ListKeys', {
      Filters: JSON.stringify([
        { Key: 'KeyState', Values: ['Disabled', 'PendingDeletion'] },
        { Key: 'KeySpec', Values: ['Aliyun_AES_256'] },
      ]),
    })
    expect(filtered.json).toMatchObject({ TotalCount: 1 })
    expect(idsOf(filtered)).toEqual([disabled])
    const none = await other.rpc('ListKeys', { Filters: '[{"Key":"ProtectionLevel","Values":["SOFTWARE"]}]' })
    expect(none.json).toMatchObject({ TotalCount: 0, Keys: { Key: [] } })
  })

  it('of aliases are of the account or of a key', async () => {
    const other = alibabaFixture()
    const [a, b] = [(await other.newKey()).keyId, (await other.newKey()).keyId]
    for (const [AliasName, KeyId] of [
      ['alias/a1', a],
      ['alias/a2', a],
      ['alias/b1', b],
    ] as const)
      expect((await other.rpc('CreateAlias', { AliasName, KeyId })).status).toBe(200)
    expect(faultOf(await other.rpc('CreateAlias', { AliasName: 'alias/a1', KeyId: b }))).toEqual([
      400,
      'AliasAlreadyExists',
      'AliasName Already Exists.',
    ])
    expect((await other.rpc('ListAliases')).json).toMatchObject({ TotalCount: 3 })
    await other.rpc('UpdateAlias', { AliasName: 'alias/a2', KeyId: b })
    const ofB = await other.rpc('ListAliasesByKeyId', { KeyId: b })
    expect(ofB.json).toMatchObject({
      TotalCount: 2,
      Aliases: {
        Alias: [
          { AliasName: 'alias/a2', KeyId: b, AliasArn: `acs:kms:us-east-1:${ALICE_UID}:alias/a2` },
          { AliasName: 'alias/b1', KeyId: b },
        ],
      },
    })
    await other.rpc('DeleteAlias', { AliasName: 'alias/a2' })
    expect((await other.rpc('DeleteAlias', { AliasName: 'alias/a2' })).json['Code']).toBe(
      'Forbidden.AliasNotFound',
    )
  })

  it('of regions and the account say that the service is there', async () => {
    const { json } = await rpc('DescribeRegions')
    expect(json['Regions']).toEqual({ Region: [{ RegionId: 'us-east-1' }, { RegionId: 'eu-central-1' }] })
    expect((await rpc('DescribeAccountKmsStatus')).json['AccountStatus']).toBe('Enabled')
    expect((await rpc('OpenKmsService')).status).toBe(200)
  })
})

describe('data keys', () => {
  it.each([
    [{}, 32],
    [{ KeySpec: 'AES_256' }, 32],
    [{ KeySpec: 'AES_128' }, 16],
    [{ NumberOfBytes: '1' }, 1],
    [{ NumberOfBytes: '1024' }, 1024],
    [{ KeySpec: 'AES_128', NumberOfBytes: '256' }, 256],
    [{ KeySpec: '', NumberOfBytes: '' }, 32],
  ])('of %j have %i bytes, and open to the base64 text', async (parameters, bytes) => {
    const { KeyId = '' } = await created()
    const { json } = await rpc('GenerateDataKey', { KeyId, ...(parameters as Record<string, string>) })
    expect(Buffer.from(String(json['Plaintext']), 'base64')).toHaveLength(bytes)
    const blob = Buffer.from(String(json['CiphertextBlob']), 'base64')
    expect(blob.toString('latin1', 0, 36)).toBe(json['KeyVersionId'])
    const opened = await rpc('Decrypt', { CiphertextBlob: String(json['CiphertextBlob']) })
    expect(opened.json).toMatchObject({
      Plaintext: json['Plaintext'],
      KeyId,
      KeyVersionId: json['KeyVersionId'],
    })
    const inside = await rpc('GenerateDataKeyWithoutPlaintext', {
      KeyId,
      ...(parameters as Record<string, string>),
    })
    expect(inside.json).not.toHaveProperty('Plaintext')
    const key = await rpc('Decrypt', { CiphertextBlob: String(inside.json['CiphertextBlob']) })
    expect(Buffer.from(String(key.json['Plaintext']), 'base64')).toHaveLength(bytes)
  })

  it('keep their text when they are re-encrypted, with another context', async () => {
    const { KeyId = '' } = await created()
    const { KeyId: DestinationKeyId = '' } = await created()
    const { json } = await rpc('GenerateDataKey', { KeyId, EncryptionContext: '{"a":"1"}' })
    const moved = await rpc('ReEncrypt', {
      CiphertextBlob: String(json['CiphertextBlob']),
      SourceEncryptionContext: '{"a":"1"}',
      DestinationKeyId,
      DestinationEncryptionContext: '{"b":"2"}',
    })
    expect(moved.json['KeyId']).toBe(DestinationKeyId)
    const CiphertextBlob = String(moved.json['CiphertextBlob'])
    const opened = await rpc('Decrypt', { CiphertextBlob, EncryptionContext: '{ "b" : "2" }' })
    expect(opened.json['Plaintext']).toBe(json['Plaintext'])
  })

  it.each([
    ['RSAES_OAEP_SHA_256', 'sha256'],
    ['RSAES_OAEP_SHA_1', 'sha1'],
  ])('are exported for the owner of an RSA key by %s', async (WrappingAlgorithm, oaepHash) => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    const { KeyId = '' } = await created()
    const wrapping = {
      PublicKeyBlob: publicKey.toString('base64'),
      WrappingKeySpec: 'RSA_2048',
      WrappingAlgorithm,
    }
    const unwrap = (text: unknown) =>
      privateDecrypt(
        { key: createPrivateKey(privateKey), oaepHash },
        Buffer.from(String(text), 'base64'),
      ).toString('base64')
    const made = await rpc('GenerateAndExportDataKey', { KeyId, KeySpec: 'AES_128', ...wrapping })
    expect(made.json).not.toHaveProperty('Plaintext')
    const CiphertextBlob = String(made.json['CiphertextBlob'])
    const opened = await rpc('Decrypt', { CiphertextBlob })
    expect(opened.json['Plaintext']).toBe(unwrap(made.json['ExportedDataKey']))
    const exported = await rpc('ExportDataKey', { CiphertextBlob, ...wrapping })
    expect(unwrap(exported.json['ExportedDataKey'])).toBe(opened.json['Plaintext'])
    const text = await rpc('Encrypt', { KeyId, Plaintext: 'x' })
    const none = await rpc('ExportDataKey', {
      CiphertextBlob: String(text.json['CiphertextBlob']),
      ...wrapping,
    })
    expect([none.status, none.json['Code']]).toEqual([400, 'InvalidParameter'])
    const long = await rpc('GenerateAndExportDataKey', { KeyId, NumberOfBytes: '1024', ...wrapping })
    expect(long.json['Code']).toBe('InvalidParameter')
    const other = await rpc('ExportDataKey', { CiphertextBlob, ...wrapping, PublicKeyBlob: 'AAAA' })
    expect(other.json['Message']).toContain('"PublicKeyBlob"')
    // OpenSSL takes it for a key, and fails when it is to encrypt.
    const even = Buffer.from(publicKey).fill(0, publicKey.length - 6, publicKey.length - 5)
    const broken = await rpc('ExportDataKey', {
      CiphertextBlob,
      ...wrapping,
      PublicKeyBlob: even.toString('base64'),
    })
    expect([broken.status, broken.json['Code']]).toEqual([400, 'InvalidParameter'])
  })
})
