import { randomBytes } from 'node:crypto'
import { KmsError } from '../../src/core/errors.ts'
import { SERVICE_MODEL } from '../support/aws-model.ts'
import { wrapMaterial } from '../support/wrap-material.ts'
import type { AwsFixture } from './aws-fixture.ts'
import { importMembers, type PreparedRequest } from './documented-requests.ts'
import { ABSENT, MAC, newKey, ok, SIGNING } from './recorded-case.ts'

interface Asked extends PreparedRequest {
  readonly fixture: AwsFixture
}

/** Brings things about so that the request fails; gives the request where it is another one. */
type Provocation = (asked: Asked) => object | void | Promise<object | void>

const DAY_MS = 86_400_000
const NO_PRINCIPAL = 'arn:aws:s3:::bucket'
const INPUT = { OTHER: 'QUJE', UNKNOWN_GRANT: '0'.repeat(64) }

const by = (names: readonly string[], provoke: Provocation): Record<string, Provocation> =>
  Object.fromEntries(names.map((name) => [name, provoke]))

/** The same request, and these members. */
const asking =
  (members: object): Provocation =>
  ({ input }) => ({ ...input, ...members })

/** The same request about another key. */
const ofKey =
  (create: object): Provocation =>
  async ({ fixture, input }) => ({ ...input, KeyId: await newKey(fixture, create) })

/** An operation of the same key before. */
const after =
  (operation: string, members: object = {}): Provocation =>
  async ({ fixture, keyId }) => {
    await ok(fixture, operation, { KeyId: keyId, ...members })
  }

/** From here on, whatever is asked of the store fails, and what of it is cached is too old. */
export function failingStore(
  { store, clock }: Pick<AwsFixture, 'store' | 'clock'>,
  error: () => Error,
): void {
  for (let made: object = store; made !== Object.prototype; made = Object.getPrototypeOf(made) as object) {
    for (const name of Object.getOwnPropertyNames(made)) {
      if (name === 'constructor') continue
      Object.defineProperty(store, name, { value: () => failing(error()), configurable: true })
    }
  }
  clock.advance(2000)
}

const withoutStore =
  (error: () => Error): Provocation =>
  ({ fixture }) =>
    failingStore(fixture, error)

async function failing(error: Error): Promise<never> {
  throw error
}

async function fillAliases(fixture: AwsFixture, TargetKeyId: string): Promise<void> {
  for (let n = 0; n < 50; n++) await ok(fixture, 'CreateAlias', { AliasName: `alias/of-${n}`, TargetKeyId })
}

const withoutToken: Provocation = ({ fixture }) => {
  fixture.provider.failWith = new KmsError('TOKEN_UNAVAILABLE', 'The token is away.', { token: 'main' })
}

const brokenToken: Provocation = ({ fixture }) => {
  const broken: unknown = new TypeError('a defect')
  fixture.provider.failWith = broken as KmsError
}

const SYMMETRIC_USERS = [
  'GenerateDataKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateDataKeyWithoutPlaintext',
]
const BLOB_OPENERS = ['Decrypt', 'ReEncrypt']
const ROTATING = ['DisableKeyRotation', 'EnableKeyRotation', 'ListKeyRotations', 'RotateKeyOnDemand']
const IMPORTING = ['DeleteImportedKeyMaterial', 'GetParametersForImport', 'ImportKeyMaterial']

/** A blob whose bytes are all of the wrong kind. */
const NO_BLOB = { CiphertextBlob: 'QUJD' }

/** By error, then by operation; `*` for all that are not named. */
export const DOCUMENTED_ERRORS: Readonly<Record<string, Readonly<Record<string, Provocation>>>> = {
  AlreadyExistsException: {
    CreateAlias: async ({ fixture, input }) => void (await ok(fixture, 'CreateAlias', input)),
    ReplicateKey: asking({ ReplicaRegion: 'eu-central-1' }),
  },
  ConflictException: {
    RotateKeyOnDemand: async ({ fixture, keyId }) => {
      const key = await fixture.store.getKey('us-east-1', keyId)
      if (!key) throw new Error('the key is not there')
      const createdAt = fixture.clock.now()
      const pendingVersion = { versionId: ABSENT, state: 'Making', rotation: 'ON_DEMAND', createdAt } as const
      await fixture.store.replaceKey({ ...key, pendingVersion, revision: key.revision + 1 })
      await fixture.directory.keyChanged('us-east-1', keyId)
    },
  },
  DependencyTimeoutException: {
    '*': withoutStore(() => new KmsError('STORE_UNAVAILABLE', 'The store is away.', {})),
  },
  DisabledException: { '*': after('DisableKey') },
  DryRunOperationException: { '*': asking({ DryRun: true }) },
  ExpiredImportTokenException: {
    ImportKeyMaterial: async ({ fixture, keyId, input }) => {
      const members = await importMembers(fixture, keyId)
      fixture.clock.advance(DAY_MS + 1)
      return { ...input, ...members }
    },
  },
  IncorrectKeyException: by(['Decrypt', 'ReEncrypt'], async ({ fixture, operation, input }) => {
    const member = operation === 'Decrypt' ? 'KeyId' : 'SourceKeyId'
    return { ...input, [member]: await newKey(fixture) }
  }),
  IncorrectKeyMaterialException: {
    ImportKeyMaterial: async ({ fixture, keyId, input }) => {
      const wrapping = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }
      const { ImportToken, PublicKey } = await ok(fixture, 'GetParametersForImport', {
        KeyId: keyId,
        ...wrapping,
      })
      const spki = Buffer.from(String(PublicKey), 'base64')
      const EncryptedKeyMaterial = wrapMaterial('RSAES_OAEP_SHA_256', spki, randomBytes(32)).toString(
        'base64',
      )
      return { ...input, ImportToken, EncryptedKeyMaterial }
    },
  },
  InvalidAliasNameException: { CreateAlias: asking({ AliasName: 'alias/a:b' }) },
  InvalidArnException: {
    CreateGrant: asking({ GranteePrincipal: NO_PRINCIPAL }),
    ListRetirableGrants: asking({ RetiringPrincipal: NO_PRINCIPAL }),
  },
  InvalidCiphertextException: {
    ...by(BLOB_OPENERS, asking(NO_BLOB)),
    ImportKeyMaterial: () => undefined,
  },
  InvalidGrantIdException: {
    ListGrants: asking({ GrantId: 'x' }),
    RetireGrant: asking({ GrantId: 'x' }),
    RevokeGrant: asking({ GrantId: 'x' }),
  },
  InvalidGrantTokenException: {
    RetireGrant: () => ({ GrantToken: 'x' }),
    '*': asking({ GrantTokens: ['x'] }),
  },
  InvalidImportTokenException: {
    ImportKeyMaterial: async ({ fixture, input }) => ({
      ...input,
      KeyId: await newKey(fixture, { Origin: 'EXTERNAL' }),
    }),
  },
  InvalidKeyUsageException: {
    ...by([...SYMMETRIC_USERS, 'Encrypt', 'Sign', 'Verify'], ofKey(MAC('HMAC_256'))),
    ...by(['GenerateMac', 'VerifyMac', 'DeriveSharedSecret'], ofKey(SIGNING('ECC_NIST_P256'))),
    Decrypt: async ({ fixture, input }) => ({
      ...input,
      KeyId: await newKey(fixture, SIGNING('RSA_2048')),
      EncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
    }),
    ReEncrypt: async ({ fixture, input }) => ({
      ...input,
      DestinationKeyId: await newKey(fixture, MAC('HMAC_256')),
    }),
  },
  InvalidMarkerException: { '*': asking({ Marker: 'x' }) },
  KMSInternalException: {
    GenerateRandom: brokenToken,
    '*': withoutStore(() => new TypeError('a defect')),
  },
  KMSInvalidMacException: { VerifyMac: asking({ Mac: INPUT.OTHER }) },
  KMSInvalidSignatureException: { Verify: asking({ Message: INPUT.OTHER }) },
  KMSInvalidStateException: {
    CancelKeyDeletion: () => undefined,
    '*': after('ScheduleKeyDeletion', { PendingWindowInDays: 7 }),
  },
  KeyUnavailableException: { '*': withoutToken },
  LimitExceededException: {
    CreateAlias: async ({ fixture, keyId }) => {
      await fillAliases(fixture, keyId)
    },
    UpdateAlias: async ({ fixture, keyId }) => {
      await fillAliases(fixture, keyId)
    },
    CreateGrant: ({ fixture }) => {
      fixture.store.createGrant = () => Promise.resolve(undefined)
    },
    ...by(['CreateKey', 'PutKeyPolicy', 'ReplicateKey'], asking({ Policy: ' '.repeat(32_769) })),
    RotateKeyOnDemand: async ({ fixture, keyId }) => {
      for (let times = 0; times < 25; times++) await ok(fixture, 'RotateKeyOnDemand', { KeyId: keyId })
    },
  },
  MalformedPolicyDocumentException: { '*': asking({ Policy: '{}' }) },
  NotFoundException: {
    ...by(['CreateAlias', 'UpdateAlias'], asking({ TargetKeyId: ABSENT })),
    DeleteAlias: asking({ AliasName: 'alias/none' }),
    ReEncrypt: asking({ DestinationKeyId: ABSENT }),
    ListGrants: asking({ KeyId: ABSENT }),
    RevokeGrant: asking({ GrantId: INPUT.UNKNOWN_GRANT }),
    '*': asking({ KeyId: ABSENT }),
  },
  TagException: {
    ...by(
      ['CreateKey', 'ReplicateKey', 'TagResource'],
      asking({ Tags: [{ TagKey: 'aws:a', TagValue: '' }] }),
    ),
    UntagResource: asking({ TagKeys: ['aws:a'] }),
  },
  UnsupportedOperationException: {
    CreateKey: asking({ CustomKeyStoreId: 'cks-1234567890abcdef0' }),
    GetPublicKey: ofKey({}),
    GenerateRandom: asking({ CustomKeyStoreId: 'cks-1234567890abcdef0' }),
    ...by(['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'], asking({ KeyPairSpec: 'SM2' })),
    ...by(ROTATING, ofKey(SIGNING('ECC_NIST_P256'))),
    ...by(IMPORTING, ofKey({})),
    ...by(['ReplicateKey', 'UpdatePrimaryRegion'], ofKey({})),
  },
}

interface Unanswered {
  readonly error: string
  readonly operations: readonly string[]
  readonly why: string
}

const having = (error: string) =>
  Object.entries(SERVICE_MODEL.operations)
    .filter(([, { errors }]) => errors.includes(error))
    .map(([operation]) => operation)

/** Documented errors that an operation never has here. */
export const UNANSWERED: readonly Unanswered[] = [
  {
    error: 'InvalidArnException',
    operations: having('InvalidArnException').filter(
      (name) => name !== 'CreateGrant' && name !== 'ListRetirableGrants',
    ),
    why: 'recorded: an ARN that is none, or of something else, is a NotFoundException, `Invalid arn …`',
  },
  {
    error: 'DependencyTimeoutException',
    operations: ['GenerateRandom'],
    why: 'nothing is asked of the store, and a token that is away is a KeyUnavailableException',
  },
  {
    error: 'KMSInvalidStateException',
    operations: [
      'DeleteAlias',
      'DeleteImportedKeyMaterial',
      'GetKeyPolicy',
      'GetKeyRotationStatus',
      'ListGrants',
      'ListKeyPolicies',
      'ListKeyRotations',
      'PutKeyPolicy',
      'RetireGrant',
      'RevokeGrant',
    ],
    why: 'the table of key states refuses them in no state that a caller may learn of',
  },
  {
    error: 'LimitExceededException',
    operations: ['EnableKey', 'TagResource'],
    why: 'no quota is on enabled keys; too many tags were recorded as a TagException',
  },
  {
    error: 'NotFoundException',
    operations: ['ListRetirableGrants'],
    why: 'whether there is such a principal is not known here: it has no grants',
  },
  {
    error: 'DisabledException',
    operations: ['GetPublicKey'],
    why: 'recorded: it answers',
  },
  {
    error: 'KeyUnavailableException',
    operations: ['GetPublicKey', 'Verify'],
    why: 'the public key is in the store',
  },
  {
    error: 'InvalidKeyUsageException',
    operations: ['GetPublicKey'],
    why: 'every usage of a key pair has a public key; other keys are an UnsupportedOperationException',
  },
  {
    error: 'UnsupportedOperationException',
    operations: ['GetKeyRotationStatus', 'PutKeyPolicy'],
    why: 'every key has a rotation status and a policy',
  },
]
