import { randomBytes } from 'node:crypto'
import { KMS } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ALICE } from '../support/kms-fixture.ts'
import { wrapMaterial } from '../support/wrap-material.ts'
import { ALICE_KEY, awsFixture } from './aws-fixture.ts'

/**
 * What the provider `aws` of Terraform sends and compares (its resources aws_kms_key, _external_key, _grant,
 * _key_policy and _replica_key): an attribute that comes back otherwise than it was given is planned as a change for ever.
 */
const ROOT = `arn:aws:iam::${ALICE.accountId}:root`
const [HOME, AWAY] = ['us-east-1', 'eu-central-1']

const fixture = awsFixture()
let kms: KMS
let away: KMS
beforeAll(async () => {
  const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
  const settings = { endpoint, credentials: { ...ALICE_KEY }, maxAttempts: 1 }
  kms = new KMS({ ...settings, region: HOME })
  away = new KMS({ ...settings, region: AWAY })
})
afterAll(async () => {
  kms.destroy()
  away.destroy()
  await fixture.server.close()
})

/** What the provider reads of a key, in its order. */
async function read(client: KMS, KeyId: string) {
  const { KeyMetadata } = await client.describeKey({ KeyId })
  const { Policy = '' } = await client.getKeyPolicy({ KeyId, PolicyName: 'default' })
  const rotation = await client.getKeyRotationStatus({ KeyId })
  const { Tags } = await client.listResourceTags({ KeyId, Limit: 50 })
  return { ...KeyMetadata, Policy: JSON.parse(Policy) as unknown, ...rotation, KeyId, Tags }
}

const statement = { Effect: 'Allow', Principal: { AWS: ROOT }, Action: 'kms:*', Resource: '*' }
const POLICIES = {
  'of the documentation': { Version: '2012-10-17', Id: 'key-default-1', Statement: [statement] },
  'for everybody': {
    Id: 'kms-tf-1',
    Statement: [{ ...statement, Principal: { AWS: '*' } }],
    Version: '2012-10-17',
  },
  'for a service': {
    Version: '2012-10-17',
    Statement: [
      { ...statement, Sid: 'root' },
      {
        Sid: 'logs',
        Effect: 'Allow',
        Principal: { Service: 'logs.us-east-1.amazonaws.com' },
        Action: ['kms:Encrypt*', 'kms:Decrypt*', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
        Resource: '*',
        Condition: {
          ArnLike: { 'kms:EncryptionContext:aws:logs:arn': `arn:aws:logs:*:${ALICE.accountId}:*` },
        },
      },
    ],
  },
  'of one statement, by an account number': {
    Version: '2008-10-17',
    Statement: { ...statement, Principal: { AWS: ALICE.accountId } },
  },
} as const

it.each(Object.entries(POLICIES))(
  'aws_kms_key with a policy %s is found as it was made',
  async (_what, policy) => {
    const Tags = [{ TagKey: 'Name', TagValue: 'payments' }]
    const { KeyMetadata } = await kms.createKey({
      BypassPolicyLockoutSafetyCheck: false,
      KeySpec: 'SYMMETRIC_DEFAULT',
      KeyUsage: 'ENCRYPT_DECRYPT',
      Description: 'of Terraform',
      Policy: JSON.stringify(policy),
      Tags,
    })
    const KeyId = KeyMetadata?.KeyId ?? ''
    await kms.enableKeyRotation({ KeyId, RotationPeriodInDays: 180 })
    expect(await read(kms, KeyId)).toMatchObject({
      KeySpec: 'SYMMETRIC_DEFAULT',
      KeyUsage: 'ENCRYPT_DECRYPT',
      Enabled: true,
      Description: 'of Terraform',
      MultiRegion: false,
      Origin: 'AWS_KMS',
      Policy: policy,
      KeyRotationEnabled: true,
      RotationPeriodInDays: 180,
      Tags,
    })
    await kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
    // By these words the provider knows that somebody else was first.
    await expect(kms.scheduleKeyDeletion({ KeyId })).rejects.toThrow('is pending deletion')
  },
)

it.each([
  ['RSA_2048', 'ENCRYPT_DECRYPT'],
  ['ECC_NIST_P256', 'SIGN_VERIFY'],
  ['ECC_NIST_P384', 'KEY_AGREEMENT'],
  ['HMAC_256', 'GENERATE_VERIFY_MAC'],
] as const)('aws_kms_key of spec %s is read without an error', async (KeySpec, KeyUsage) => {
  const { KeyMetadata } = await kms.createKey({ KeySpec, KeyUsage, BypassPolicyLockoutSafetyCheck: false })
  const key = await read(kms, KeyMetadata?.KeyId ?? '')
  expect(key).toMatchObject({
    KeySpec,
    KeyUsage,
    KeyRotationEnabled: false,
    Policy: POLICIES['of the documentation'],
  })
})

it('aws_kms_grant by the ARN of a key is found by its id among those of the key, and gone when it was revoked', async () => {
  const { KeyMetadata } = await kms.createKey({})
  const KeyId = KeyMetadata?.Arn ?? ''
  const grant = {
    GranteePrincipal: `arn:aws:iam::${ALICE.accountId}:role/service/app`,
    RetiringPrincipal: `arn:aws:iam::${ALICE.accountId}:user/operator`,
    Name: 'app',
    Constraints: { EncryptionContextEquals: { foo: 'bar', baz: 'kaz' } },
  }
  const Operations = ['Encrypt', 'Decrypt', 'GenerateDataKey', 'RetireGrant', 'DescribeKey'] as const
  const { GrantId = '' } = await kms.createGrant({ ...grant, KeyId, Operations: [...Operations] })
  const find = async () =>
    (await kms.listGrants({ KeyId, Limit: 100 })).Grants?.find((one) => one.GrantId === GrantId)
  expect(await find()).toMatchObject(grant)
  expect(new Set((await find())?.Operations)).toEqual(new Set(Operations))
  await kms.revokeGrant({ KeyId, GrantId })
  expect(await find()).toBeUndefined()
})

it('aws_kms_replica_key is found as it was made', async () => {
  const { KeyMetadata } = await kms.createKey({ MultiRegion: true })
  const KeyId = KeyMetadata?.KeyId ?? ''
  await kms.enableKeyRotation({ KeyId })
  const policy = POLICIES['for a service']
  await kms.replicateKey({
    KeyId,
    ReplicaRegion: AWAY,
    BypassPolicyLockoutSafetyCheck: false,
    Policy: JSON.stringify(policy),
  })
  expect(await read(away, KeyId)).toMatchObject({
    KeyState: 'Enabled',
    Description: '',
    Policy: policy,
    KeyRotationEnabled: true,
    Tags: [],
    MultiRegionConfiguration: { MultiRegionKeyType: 'REPLICA', PrimaryKey: { Arn: KeyMetadata?.Arn } },
  })
})

it('aws_kms_external_key is found as it was made, also after its end was moved and taken away', async () => {
  const { KeyMetadata } = await kms.createKey({ Origin: 'EXTERNAL', KeyUsage: 'ENCRYPT_DECRYPT' })
  const KeyId = KeyMetadata?.KeyId ?? ''
  const material = randomBytes(32)
  /** Each change of `valid_to` imports the same material once more. */
  const bring = async (ValidTo: Date | undefined) => {
    const { ImportToken, PublicKey = new Uint8Array() } = await kms.getParametersForImport({
      KeyId,
      WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
      WrappingKeySpec: 'RSA_2048',
    })
    const EncryptedKeyMaterial = wrapMaterial('RSAES_OAEP_SHA_256', PublicKey, material)
    const ExpirationModel = ValidTo ? 'KEY_MATERIAL_EXPIRES' : 'KEY_MATERIAL_DOES_NOT_EXPIRE'
    await kms.importKeyMaterial({ KeyId, ImportToken, EncryptedKeyMaterial, ExpirationModel, ValidTo })
    return (await kms.describeKey({ KeyId })).KeyMetadata
  }
  const inDays = (days: number) => new Date(Math.floor(fixture.clock.now() / 1000) * 1000 + days * 86_400_000)
  for (const ValidTo of [inDays(30), inDays(60)])
    expect(await bring(ValidTo)).toMatchObject({
      KeyState: 'Enabled',
      ExpirationModel: 'KEY_MATERIAL_EXPIRES',
      ValidTo,
    })
  await kms.disableKey({ KeyId })
  const lasting = await bring(undefined)
  expect(lasting).toMatchObject({ KeyState: 'Disabled', ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' })
  expect(lasting).not.toHaveProperty('ValidTo')
})
