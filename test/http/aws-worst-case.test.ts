import { expect, it } from 'vitest'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { awsFixture } from './aws-fixture.ts'

const BODY_BYTES = 256 * 1024
const CPU_MS_MAX = 100
const ANSWER_CHARACTERS_MAX = 64 * 1024

const KEY = '00000000-0000-4000-8000-000000000000'
const BLOB = 'QUJD'
const SEALS = { KeyId: KEY, EncryptionContext: {}, GrantTokens: [], DryRun: false }
const SIGNS = { KeyId: KEY, Message: BLOB, GrantTokens: [], DryRun: false }

/** Members that a request of each operation may have. */
const MEMBERS: Readonly<Record<string, object>> = {
  Encrypt: { ...SEALS, Plaintext: BLOB, EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' },
  Decrypt: { CiphertextBlob: BLOB, ...SEALS, DryRunModifiers: [], Recipient: {} },
  ReEncrypt: {
    CiphertextBlob: BLOB,
    DestinationKeyId: KEY,
    SourceEncryptionContext: {},
    DestinationEncryptionContext: {},
    GrantTokens: [],
    DryRun: true,
    DryRunModifiers: ['IGNORE_CIPHERTEXT'],
    SourceKeyId: KEY,
  },
  GenerateDataKey: { ...SEALS, KeySpec: 'AES_256', Recipient: {} },
  GenerateDataKeyWithoutPlaintext: { ...SEALS, KeySpec: 'AES_256' },
  GenerateDataKeyPair: { ...SEALS, KeyPairSpec: 'ECC_NIST_P256', Recipient: {} },
  GenerateDataKeyPairWithoutPlaintext: { ...SEALS, KeyPairSpec: 'ECC_NIST_P256' },
  GenerateRandom: { NumberOfBytes: 8, CustomKeyStoreId: 'c', Recipient: {} },
  CreateKey: { Description: '', KeySpec: 'SYMMETRIC_DEFAULT', Origin: 'AWS_KMS', Policy: '{}', Tags: [] },
  ReplicateKey: { KeyId: KEY, ReplicaRegion: 'eu-central-1', Description: '', Policy: '{}', Tags: [] },
  UpdatePrimaryRegion: { KeyId: KEY, PrimaryRegion: 'eu-central-1' },
  Sign: { ...SIGNS, SigningAlgorithm: 'ECDSA_SHA_256', MessageType: 'RAW' },
  Verify: { ...SIGNS, SigningAlgorithm: 'ECDSA_SHA_256', Signature: BLOB },
  GenerateMac: { ...SIGNS, MacAlgorithm: 'HMAC_SHA_256' },
  VerifyMac: { ...SIGNS, MacAlgorithm: 'HMAC_SHA_256', Mac: BLOB },
  GetPublicKey: { KeyId: KEY, GrantTokens: [] },
  DeriveSharedSecret: { KeyId: KEY, KeyAgreementAlgorithm: 'ECDH', PublicKey: BLOB, Recipient: {} },
  DescribeKey: { KeyId: KEY, GrantTokens: [] },
  ListKeys: { Limit: 1, Marker: 'x' },
  EnableKey: { KeyId: KEY },
  DisableKey: { KeyId: KEY },
  ScheduleKeyDeletion: { KeyId: KEY, PendingWindowInDays: 7 },
  CancelKeyDeletion: { KeyId: KEY },
  GetParametersForImport: { KeyId: KEY, WrappingAlgorithm: 'RSAES_OAEP_SHA_1', WrappingKeySpec: 'RSA_2048' },
  ImportKeyMaterial: {
    KeyId: KEY,
    ImportToken: BLOB,
    EncryptedKeyMaterial: BLOB,
    ValidTo: 1,
    ExpirationModel: 'KEY_MATERIAL_EXPIRES',
    ImportType: 'NEW_KEY_MATERIAL',
    KeyMaterialDescription: 'x',
    KeyMaterialId: 'ab'.repeat(32),
  },
  DeleteImportedKeyMaterial: { KeyId: KEY, KeyMaterialId: 'ab'.repeat(32) },
  EnableKeyRotation: { KeyId: KEY, RotationPeriodInDays: 90 },
  DisableKeyRotation: { KeyId: KEY },
  GetKeyRotationStatus: { KeyId: KEY },
  RotateKeyOnDemand: { KeyId: KEY },
  ListKeyRotations: { KeyId: KEY, IncludeKeyMaterial: 'ROTATIONS_ONLY', Limit: 1, Marker: 'x' },
  CreateAlias: { AliasName: 'alias/a', TargetKeyId: KEY },
  UpdateAlias: { AliasName: 'alias/a', TargetKeyId: KEY },
  DeleteAlias: { AliasName: 'alias/a' },
  ListAliases: { KeyId: KEY, Limit: 1, Marker: 'x' },
  UpdateKeyDescription: { KeyId: KEY, Description: '' },
  TagResource: { KeyId: KEY, Tags: [] },
  UntagResource: { KeyId: KEY, TagKeys: [] },
  ListResourceTags: { KeyId: KEY, Limit: 1, Marker: 'x' },
  PutKeyPolicy: { KeyId: KEY, PolicyName: 'default', Policy: '{}', BypassPolicyLockoutSafetyCheck: true },
  GetKeyPolicy: { KeyId: KEY, PolicyName: 'default' },
  ListKeyPolicies: { KeyId: KEY, Limit: 1, Marker: 'x' },
  GetKeyLastUsage: { KeyId: KEY },
  CreateGrant: {
    KeyId: KEY,
    GranteePrincipal: 'arn:aws:iam::111122223333:root',
    Operations: ['Decrypt'],
    Constraints: { EncryptionContextSubset: {} },
    GrantTokens: [],
    Name: 'n',
    RetiringServicePrincipal: 'a.amazonaws.com',
  },
  ListGrants: { KeyId: KEY, GrantId: 'g', GranteePrincipal: 'x', Limit: 1, Marker: 'x' },
  ListRetirableGrants: { RetiringPrincipal: 'x', Limit: 1, Marker: 'x' },
  RetireGrant: { GrantToken: 't', KeyId: KEY, GrantId: 'g', DryRun: true },
  RevokeGrant: { KeyId: KEY, GrantId: 'g', DryRun: true },
  Encapsulate: { KeyId: KEY, EncapsulationAlgorithm: 'ML_KEM', GrantTokens: [], DryRun: true },
  Decapsulate: {
    KeyId: KEY,
    EncapsulationAlgorithm: 'ML_KEM',
    SharedSecretCiphertextBlob: 'QUJD',
    GrantTokens: [],
    DryRun: true,
  },
  ConnectCustomKeyStore: { CustomKeyStoreId: 'c' },
  CreateCustomKeyStore: {
    CustomKeyStoreName: 'n',
    KeyStorePassword: 'password',
    XksProxyUriPath: '/kms/xks/v1',
    XksProxyVpcEndpointServiceName: 'com.amazonaws.vpce.us-east-1.vpce-svc-1',
    XksProxyAuthenticationCredential: { AccessKeyId: '', RawSecretAccessKey: '' },
  },
  DeleteCustomKeyStore: { CustomKeyStoreId: 'c' },
  DescribeCustomKeyStores: { CustomKeyStoreName: 'n', Limit: 1, Marker: 'x' },
  DisconnectCustomKeyStore: { CustomKeyStoreId: 'c' },
  UpdateCustomKeyStore: { CustomKeyStoreId: 'c', NewCustomKeyStoreName: 'n' },
}

const ROOM = BODY_BYTES - 1_024

function repeated(open: string, item: (index: number) => string, close: string): string {
  const items: string[] = []
  for (let length = 0; length < ROOM; length += items.at(-1)?.length ?? 0)
    items.push(`${item(items.length)},`)
  return `${open}${items.slice(0, -1).join('').slice(0, -1)}${close}`
}

/** JSON values as long as a body may be, each bad in a way of its own. */
const SHAPES: Readonly<Record<string, string>> = {
  'an array of empty objects': repeated('[', () => '{}', ']'),
  'an array of tags with bad members': repeated('[', () => '{"TagKey":"","TagValue":1}', ']'),
  'an array of numbers': repeated('[', () => '1', ']'),
  'an array of empty texts': repeated('[', () => '""', ']'),
  'nested arrays': `${'['.repeat(ROOM / 2)}${']'.repeat(ROOM / 2)}`,
  'nested objects': `${'{"a":'.repeat(ROOM / 8)}1${'}'.repeat(ROOM / 8)}`,
  'many short pairs': repeated('{', (index) => `"${index.toString(36)}":""`, '}'),
  'many numbered pairs': repeated('{', (index) => `"${index * 65_537}":""`, '}'),
  'many null pairs': repeated('{', (index) => `"${index.toString(36)}":null`, '}'),
  'one pair again and again': repeated('{', () => '"a":""', '}'),
  'a long text': `"${'x'.repeat(ROOM)}"`,
  'a long text of escapes': `"${'\\u0000'.repeat(ROOM / 6)}"`,
  'a long text of lone surrogates': `"${'\\ud800'.repeat(ROOM / 6)}"`,
  'a long base64 text': `"${'QUJD'.repeat(ROOM / 4)}"`,
  'a text of padding': `"${'='.repeat(ROOM)}"`,
  'a long number': '9'.repeat(ROOM),
}

/** A body with one member, or the whole of it, of a bad shape. */
function* bodies(operation: string): Generator<readonly [what: string, body: string]> {
  const members = MEMBERS[operation] ?? {}
  for (const [shape, json] of Object.entries(SHAPES)) {
    yield [`${shape} alone`, json]
    for (const name of [...Object.keys(members), 'Unknown']) {
      const others = Object.entries(members).filter(([other]) => other !== name)
      const rest = JSON.stringify(Object.fromEntries(others)).slice(1)
      yield [`${shape} as ${name}`, `{"${name}":${json}${rest === '}' ? '' : ','}${rest}`]
    }
  }
}

it('has members to spoil for every operation', () => {
  expect(Object.keys(MEMBERS).toSorted()).toEqual([...AWS_OPERATIONS.keys()].toSorted())
})

it.each([...AWS_OPERATIONS.keys()])('%s answers the worst of bodies soon and shortly', async (operation) => {
  const fixture = awsFixture({ limits: { bodyBytesMax: BODY_BYTES } })
  const tooMuch: unknown[] = []
  for (const [what, body] of bodies(operation)) {
    expect(body.length).toBeLessThanOrEqual(BODY_BYTES)
    const before = process.threadCpuUsage()
    const answer = await fixture.request(operation, body)
    const { user, system } = process.threadCpuUsage(before)
    const cpuMs = (user + system) / 1_000
    if (cpuMs > CPU_MS_MAX || answer.text.length > ANSWER_CHARACTERS_MAX) {
      tooMuch.push({ what, cpuMs, characters: answer.text.length })
    }
    expect(answer.status, `${what}: ${answer.text.slice(0, 200)}`).toBeLessThan(500)
  }
  expect(tooMuch).toEqual([])
})
