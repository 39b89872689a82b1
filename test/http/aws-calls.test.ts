import { expect, it } from 'vitest'
import { encodeMarker } from '../../src/http/aws/markers.ts'
import { CUSTOM_KEY_STORE_OPERATIONS } from '../../src/http/aws/operations/custom-key-stores.ts'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { MALLORY } from '../support/kms-fixture.ts'
import { awsFixture, FACADE_TIMEOUT_MS, MALLORY_KEY } from './aws-fixture.ts'

/** Another account and region than the ones that other tests use, so that neither can be a default. */
const PRINCIPAL = { ...MALLORY, region: 'eu-central-1' }
const SCOPE = { ...PRINCIPAL, partition: 'aws' }

const KEY = '11111111-1111-4111-8111-111111111111'
const OTHER_KEY = '22222222-2222-4222-8222-222222222222'
const byId = (keyId: string) => ({ kind: 'id', keyId })
const byAlias = (alias: string) => ({ kind: 'alias', alias })
const context = (text: string) => ({ EncryptionContext: { __proto__: null, [text]: `${text}-value` } })
const pairs = (text: string) => new Map([[text, `${text}-value`]])

type Row = readonly [input: object, method: string, ...args: unknown[]]

/** What reaches the core of a request, argument by argument after the context of the call. */
const CALLS: Readonly<Record<string, Row>> = {
  Encrypt: [
    { KeyId: 'alias/a', Plaintext: 'QUJD', ...context('e') },
    'encrypt',
    {
      key: byAlias('alias/a'),
      plaintext: Buffer.from('ABC'),
      encryptionContext: pairs('e'),
      algorithm: 'SYMMETRIC_DEFAULT',
    },
  ],
  Decrypt: [
    { KeyId: KEY, CiphertextBlob: 'QUJE', EncryptionAlgorithm: 'RSAES_OAEP_SHA_1', ...context('d') },
    'decrypt',
    {
      key: byId(KEY),
      blob: Buffer.from('ABD'),
      encryptionContext: pairs('d'),
      algorithm: 'RSAES_OAEP_SHA_1',
    },
  ],
  ReEncrypt: [
    {
      CiphertextBlob: 'QUJF',
      SourceKeyId: KEY,
      SourceEncryptionAlgorithm: 'RSAES_OAEP_SHA_1',
      DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      SourceEncryptionContext: context('s').EncryptionContext,
      DestinationKeyId: OTHER_KEY,
      DestinationEncryptionContext: context('t').EncryptionContext,
    },
    'reEncrypt',
    {
      blob: Buffer.from('ABE'),
      sourceKey: byId(KEY),
      sourceEncryptionContext: pairs('s'),
      sourceAlgorithm: 'RSAES_OAEP_SHA_1',
      destinationAlgorithm: 'RSAES_OAEP_SHA_256',
      destinationKey: byId(OTHER_KEY),
      destinationEncryptionContext: pairs('t'),
    },
  ],
  GenerateDataKey: [
    {
      KeyId: `arn:aws:kms:eu-central-1:${PRINCIPAL.accountId}:key/${KEY}`,
      NumberOfBytes: 48,
      ...context('g'),
    },
    'generateDataKey',
    { key: byId(KEY), lengthBytes: 48, encryptionContext: pairs('g') },
  ],
  GenerateDataKeyWithoutPlaintext: [
    { KeyId: KEY, KeySpec: 'AES_128', ...context('w') },
    'generateDataKeyWithoutPlaintext',
    { key: byId(KEY), lengthBytes: 16, encryptionContext: pairs('w') },
  ],
  GenerateDataKeyPair: [
    { KeyId: KEY, KeyPairSpec: 'ECC_NIST_P384', ...context('p') },
    'generateDataKeyPair',
    {
      key: byId(KEY),
      spec: 'EC_P384',
      presentation: 'pkcs8-der',
      encryptionContext: pairs('p'),
      waitMs: 300,
    },
  ],
  GenerateDataKeyPairWithoutPlaintext: [
    { KeyId: 'alias/q', KeyPairSpec: 'RSA_3072', ...context('q') },
    'generateDataKeyPairWithoutPlaintext',
    {
      key: byAlias('alias/q'),
      spec: 'RSA_3072',
      presentation: 'pkcs8-der',
      encryptionContext: pairs('q'),
      waitMs: 300,
    },
  ],
  GenerateRandom: [{ NumberOfBytes: 9 }, 'generateRandom', 9],
  CreateKey: [
    { Description: 'what for', MultiRegion: true, KeySpec: 'ECC_NIST_P384', KeyUsage: 'KEY_AGREEMENT' },
    'createKey',
    {
      description: 'what for',
      multiRegion: true,
      spec: 'ECC_NIST_P384',
      usage: 'KEY_AGREEMENT',
      waitMs: 300,
    },
  ],
  ReplicateKey: [
    { KeyId: KEY, ReplicaRegion: 'us-east-1', Description: 'there' },
    'replicateKey',
    { keyId: KEY, region: 'us-east-1', description: 'there' },
  ],
  UpdatePrimaryRegion: [{ KeyId: KEY, PrimaryRegion: 'us-east-1' }, 'updatePrimaryRegion', KEY, 'us-east-1'],
  Sign: [
    { KeyId: 'alias/s', Message: 'QUJD', MessageType: 'DIGEST', SigningAlgorithm: 'ECDSA_SHA_256' },
    'sign',
    { key: byAlias('alias/s'), message: Buffer.from('ABC'), kind: 'digest', algorithm: 'ECDSA_SHA_256' },
  ],
  Verify: [
    { KeyId: KEY, Message: 'QUJD', SigningAlgorithm: 'SM2DSA', Signature: 'QUJE' },
    'verify',
    {
      key: byId(KEY),
      message: Buffer.from('ABC'),
      kind: 'message',
      algorithm: 'SM2DSA',
      signature: Buffer.from('ABD'),
    },
  ],
  GenerateMac: [
    { KeyId: KEY, Message: 'QUJD', MacAlgorithm: 'HMAC_SHA_384' },
    'generateMac',
    { key: byId(KEY), message: Buffer.from('ABC'), algorithm: 'HMAC_SHA_384' },
  ],
  VerifyMac: [
    { KeyId: KEY, Message: 'QUJD', MacAlgorithm: 'HMAC_SHA_224', Mac: 'QUJF' },
    'verifyMac',
    { key: byId(KEY), message: Buffer.from('ABC'), algorithm: 'HMAC_SHA_224', mac: Buffer.from('ABE') },
  ],
  GetPublicKey: [{ KeyId: 'alias/g' }, 'getPublicKey', byAlias('alias/g')],
  DeriveSharedSecret: [
    { KeyId: KEY, KeyAgreementAlgorithm: 'ECDH', PublicKey: 'QUJD' },
    'deriveSharedSecret',
    { key: byId(KEY), algorithm: 'ECDH', publicKey: Buffer.from('ABC') },
  ],
  Encapsulate: [{ KeyId: 'alias/e', EncapsulationAlgorithm: 'ML_KEM' }, 'encapsulate', byAlias('alias/e')],
  Decapsulate: [
    { KeyId: KEY, EncapsulationAlgorithm: 'ML_KEM', SharedSecretCiphertextBlob: 'QUJD' },
    'decapsulate',
    byId(KEY),
  ],
  DescribeKey: [{ KeyId: 'alias/b' }, 'describeKey', byAlias('alias/b')],
  ListKeys: [
    { Limit: 7, Marker: encodeMarker(SCOPE, 'ListKeys', OTHER_KEY) },
    'listKeys',
    { limit: 7, after: OTHER_KEY },
  ],
  EnableKey: [{ KeyId: KEY }, 'enableKey', KEY],
  DisableKey: [{ KeyId: KEY }, 'disableKey', KEY],
  ScheduleKeyDeletion: [{ KeyId: KEY, PendingWindowInDays: 8 }, 'scheduleKeyDeletion', KEY, 8],
  CancelKeyDeletion: [{ KeyId: KEY }, 'cancelKeyDeletion', KEY],
  GetParametersForImport: [
    { KeyId: KEY, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_3072' },
    'getParametersForImport',
    { keyId: KEY, algorithm: 'RSAES_OAEP_SHA_256', spec: 'RSA_3072', waitMs: 300 },
  ],
  ImportKeyMaterial: [
    {
      KeyId: KEY,
      ImportToken: 'QUJH',
      EncryptedKeyMaterial: 'QUJI',
      ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      ImportType: 'EXISTING_KEY_MATERIAL',
      KeyMaterialId: 'ab'.repeat(32),
      KeyMaterialDescription: 'mine',
    },
    'importKeyMaterial',
    {
      keyId: KEY,
      importToken: Buffer.from('ABG'),
      wrapped: Buffer.from('ABH'),
      expiresAt: undefined,
      type: 'EXISTING',
      materialId: 'ab'.repeat(32),
      description: 'mine',
    },
  ],
  DeleteImportedKeyMaterial: [
    { KeyId: KEY, KeyMaterialId: 'cd'.repeat(32) },
    'deleteImportedKeyMaterial',
    KEY,
    'cd'.repeat(32),
  ],
  EnableKeyRotation: [{ KeyId: KEY, RotationPeriodInDays: 91 }, 'enableKeyRotation', KEY, 91],
  DisableKeyRotation: [{ KeyId: KEY }, 'disableKeyRotation', KEY],
  GetKeyRotationStatus: [{ KeyId: KEY }, 'getKeyRotationStatus', KEY],
  RotateKeyOnDemand: [{ KeyId: KEY }, 'rotateKeyOnDemand', KEY],
  ListKeyRotations: [
    { KeyId: KEY, Limit: 4, Marker: encodeMarker(SCOPE, `ListKeyRotations/${KEY}/ROTATIONS_ONLY`, '12') },
    'listKeyRotations',
    KEY,
    { all: false, limit: 4, after: '12' },
  ],
  CreateAlias: [{ AliasName: 'alias/c', TargetKeyId: KEY }, 'createAlias', 'alias/c', byId(KEY)],
  UpdateAlias: [
    { AliasName: 'alias/u', TargetKeyId: KEY },
    'updateAlias',
    'alias/u',
    byId(KEY),
    { sameKind: true },
  ],
  DeleteAlias: [{ AliasName: 'alias/d' }, 'deleteAlias', 'alias/d'],
  ListAliases: [
    { KeyId: KEY, Limit: 3, Marker: encodeMarker(SCOPE, `ListAliases/${KEY}`, 'alias/m') },
    'listAliases',
    { key: byId(KEY), limit: 3, after: 'alias/m' },
  ],
  UpdateKeyDescription: [{ KeyId: KEY, Description: 'new' }, 'updateKeyDescription', KEY, 'new'],
  GetKeyLastUsage: [{ KeyId: KEY }, 'getKeyLastUsage', KEY],
  TagResource: [
    { KeyId: KEY, Tags: [{ TagKey: 'k', TagValue: 'v' }] },
    'tagResource',
    KEY,
    [{ key: 'k', value: 'v' }],
  ],
  UntagResource: [{ KeyId: KEY, TagKeys: ['k'] }, 'untagResource', KEY, ['k']],
  ListResourceTags: [
    { KeyId: KEY, Limit: 4, Marker: encodeMarker(SCOPE, `ListResourceTags/${KEY}`, 'tag') },
    'listResourceTags',
    KEY,
    { limit: 4, after: 'tag' },
  ],
  PutKeyPolicy: [
    { KeyId: KEY, PolicyName: 'default', Policy: '{}', BypassPolicyLockoutSafetyCheck: true },
    'putKeyPolicy',
    KEY,
    { language: 'AWS', policy: '{}', bypassLockoutCheck: true },
  ],
  GetKeyPolicy: [{ KeyId: KEY }, 'getKeyPolicy', KEY, 'AWS'],
  ListKeyPolicies: [{ KeyId: KEY, Limit: 5 }, 'listKeyPolicies', KEY],
  CreateGrant: [
    {
      KeyId: KEY,
      GranteePrincipal: 'arn:aws:iam::111122223333:root',
      RetiringServicePrincipal: 'a.amazonaws.com',
      Operations: ['Encrypt', 'Decrypt', 'Encrypt'],
      Constraints: { EncryptionContextEquals: { a: 'b' }, SourceArn: 'arn:x' },
      Name: 'n',
    },
    'createGrant',
    KEY,
    {
      grantee: { kind: 'arn', name: 'arn:aws:iam::111122223333:root' },
      retiring: { kind: 'service', name: 'a.amazonaws.com' },
      operations: ['Decrypt', 'Encrypt'],
      constraints: { encryptionContextEquals: { a: 'b' }, sourceArn: 'arn:x' },
      name: 'n',
    },
  ],
  ListGrants: [
    {
      KeyId: KEY,
      GranteeServicePrincipal: 'a.amazonaws.com',
      Limit: 6,
      Marker: encodeMarker(SCOPE, `ListGrants/${KEY}//service/a.amazonaws.com`, 'g'),
    },
    'listGrants',
    KEY,
    { grantee: { kind: 'service', name: 'a.amazonaws.com' }, limit: 6, after: 'g' },
  ],
  ListRetirableGrants: [
    { RetiringPrincipal: 'me', Limit: 7, Marker: encodeMarker(SCOPE, 'ListRetirableGrants/arn/me', 'g') },
    'listRetirableGrants',
    { kind: 'arn', name: 'me' },
    { limit: 7, after: 'g' },
  ],
  RetireGrant: [{ KeyId: KEY, GrantId: 'g' }, 'retireGrant', { keyId: KEY, grantId: 'g' }],
  RevokeGrant: [{ KeyId: KEY, GrantId: 'g' }, 'revokeGrant', KEY, 'g'],
}

/** Refused by the façade itself. */
const CALL_NOTHING = Object.keys(CUSTOM_KEY_STORE_OPERATIONS)

it('has a call for every operation', () => {
  const all = [...Object.keys(CALLS), ...CALL_NOTHING]
  expect(all.toSorted()).toEqual([...AWS_OPERATIONS.keys()].toSorted())
})

it.each(Object.entries(CALLS))('%s passes on who asks, until when, and what', async (operation, row) => {
  const [input, method, ...args] = row
  const fixture = awsFixture()
  const before = Date.now()
  await fixture.request(operation, input, { credential: MALLORY_KEY, region: PRINCIPAL.region })
  expect(fixture.passed).toHaveLength(1)
  const { method: called, context: seen, args: given } = fixture.passed[0] ?? {}
  expect(called).toBe(method)
  expect(seen?.principal).toEqual(PRINCIPAL)
  expect(seen?.deadlineAt).toBeGreaterThan(before)
  expect(seen?.deadlineAt).toBeLessThanOrEqual(Date.now() + FACADE_TIMEOUT_MS)
  expect(given).toEqual(args)
})
