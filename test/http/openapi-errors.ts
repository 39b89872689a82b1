import { vi } from 'vitest'
import { KmsError } from '../../src/core/errors.ts'
import type { Members, SdkCall, SdkCredential } from '../support/alibaba-clients.ts'
import { call } from '../support/kms-fixture.ts'
import { ALICE_ACS, type alibabaFixture, STS_ACS } from './alibaba-fixture.ts'
import { failingStore } from './documented-errors.ts'

interface Asked {
  readonly fixture: ReturnType<typeof alibabaFixture>
  /** The client under test, as another caller. */
  readonly as: (credential: SdkCredential) => SdkCall
  readonly request: SdkCall
  /** From here on, every nonce was there before. */
  readonly refuseNonces: () => void
}

/** The call that fails, after whatever it takes. */
type Provocation = (asked: Asked) => Promise<Members>

const ABSENT = '00000000-0000-4000-8000-000000000000'
const DAY_MS = 86_400_000
const WRAPPING = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }

async function newKey(request: SdkCall, parameters: Readonly<Record<string, string>> = {}): Promise<string> {
  const { KeyMetadata } = await request('CreateKey', parameters)
  return (KeyMetadata as { readonly KeyId: string }).KeyId
}

/** An action about a new key, after others about it. */
const onKey =
  (action: string, parameters: Readonly<Record<string, string>>, ...before: readonly string[]): Provocation =>
  async ({ request }) => {
    const KeyId = await newKey(request)
    for (const name of before) await request(name, { KeyId, PendingWindowInDays: '7' })
    return request(action, { KeyId, ...parameters })
  }

/** Imports into a new key; `wrapped` of the wrapping key, and a token of the key or of another. */
async function importInto(
  { request }: Asked,
  wrap: (publicKey: string) => Buffer,
  tokenOf: 'itself' | 'another' = 'itself',
  before: () => void = () => undefined,
): Promise<Members> {
  const KeyId = await newKey(request, { Origin: 'EXTERNAL' })
  const { PublicKey } = await request('GetParametersForImport', { KeyId, ...WRAPPING })
  const other = tokenOf === 'itself' ? KeyId : await newKey(request, { Origin: 'EXTERNAL' })
  const { ImportToken } = await request('GetParametersForImport', { KeyId: other, ...WRAPPING })
  before()
  const EncryptedKeyMaterial = wrap(String(PublicKey)).toString('base64')
  return request('ImportKeyMaterial', {
    KeyId,
    ImportToken: String(ImportToken),
    EncryptedKeyMaterial,
    KeyMaterialExpireUnix: '0',
  })
}

const noMaterial = (): Buffer => Buffer.alloc(256, 1)

/** Both sides' clocks. */
function later(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms })
}

/** How an SDK is told each code. */
export const OPENAPI_ERRORS: Readonly<Record<string, Provocation>> = {
  AliasAlreadyExists: async ({ request }) => {
    const alias = { KeyId: await newKey(request), AliasName: 'alias/a' }
    await request('CreateAlias', alias)
    return request('CreateAlias', alias)
  },
  DryRunOperationError: onKey('GenerateDataKey', { DryRun: 'true' }),
  ExpiredImportToken: (asked) => importInto(asked, noMaterial, 'itself', () => later(DAY_MS + 1000)),
  'Forbidden.AliasNotFound': ({ request }) => request('DescribeKey', { KeyId: 'alias/none' }),
  'Forbidden.KeyNotFound': ({ request }) => request('DescribeKey', { KeyId: ABSENT }),
  'Forbidden.KeyVersionNotFound': onKey('DescribeKeyVersion', { KeyVersionId: ABSENT }),
  'Forbidden.ResourceNotFound': ({ request }) => request('DescribePolicy', { Name: 'absent' }),
  IllegalTimestamp: ({ fixture, request }) => {
    fixture.clock.advance(16 * 60_000)
    return request('ListKeys', {})
  },
  InternalFailure: ({ fixture, request }) => {
    failingStore(fixture, () => new TypeError('a defect'))
    return request('ListKeys', {})
  },
  'InvalidAccessKeyId.NotFound': ({ as }) => as({ ...ALICE_ACS, accessKeyId: 'LTAInobody' })('ListKeys', {}),
  InvalidImportToken: (asked) => importInto(asked, noMaterial, 'another'),
  InvalidKeyMaterial: (asked) => importInto(asked, noMaterial),
  InvalidParameter: onKey('GenerateDataKey', { NumberOfBytes: '1025' }),
  'InvalidSecurityToken.Expired': ({ as }) => {
    later(DAY_MS)
    return as(STS_ACS)('ListKeys', {})
  },
  'InvalidSecurityToken.MismatchWithAccessKey': ({ as }) =>
    as({ ...STS_ACS, securityToken: 'another' })('ListKeys', {}),
  MissingParameter: ({ request }) => request('GenerateDataKey', {}),
  ParseRequestParameterException: ({ request }) =>
    request('ListKeys', Object.fromEntries(Array.from({ length: 520 }, (_, n) => [`P${n}`, 'x']))),
  'Rejected.AlreadyExists': async ({ request }) => {
    const policy = {
      Name: 'twice',
      Permissions: '["RbacPermission/Template/CryptoServiceKeyUser"]',
      Resources: '["key/*"]',
      KmsInstance: 'shared',
    }
    await request('CreatePolicy', policy)
    return request('CreatePolicy', policy)
  },
  'Rejected.DeletionProtection': async ({ request }) => {
    const KeyId = await newKey(request)
    await request('SetDeletionProtection', { KeyId, EnableDeletionProtection: 'true' })
    return request('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: '7' })
  },
  'Rejected.Disabled': onKey('GenerateDataKey', {}, 'DisableKey'),
  'Rejected.LimitExceeded': async ({ fixture, request }) => {
    const KeyId = await newKey(request)
    for (let n = 0; n < 50; n++)
      await fixture.kms.createAlias(call(), `alias/${n}`, { kind: 'id', keyId: KeyId })
    return request('CreateAlias', { KeyId, AliasName: 'alias/more' })
  },
  'Rejected.PendingDeletion': onKey('GenerateDataKey', {}, 'ScheduleKeyDeletion'),
  'Rejected.PendingImport': async ({ request }) =>
    request('GenerateDataKey', { KeyId: await newKey(request, { Origin: 'EXTERNAL' }) }),
  'Rejected.StateModifiedFailed': onKey('CancelKeyDeletion', {}),
  'Rejected.Throttling': async ({ fixture, request }) => {
    const KeyId = await newKey(request)
    fixture.provider.failWith = new KmsError('TOKEN_BUSY', 'The queue is full.', { token: 'main' })
    return request('GenerateDataKey', { KeyId })
  },
  'Rejected.UnsupportedOperation': async ({ request }) =>
    request('GenerateDataKey', { KeyId: await newKey(request, { KeySpec: 'EC_P256' }) }),
  ServiceUnavailableTemporary: ({ fixture, request }) => {
    failingStore(fixture, () => new KmsError('STORE_UNAVAILABLE', 'The store is away.', {}))
    return request('ListKeys', {})
  },
  SignatureDoesNotMatch: ({ as }) => as({ ...ALICE_ACS, accessKeySecret: 'another' })('ListKeys', {}),
  SignatureNonceUsed: ({ request, refuseNonces }) => {
    refuseNonces()
    return request('ListKeys', {})
  },
  'Unsupported.Alias': async ({ request }) => {
    const KeyId = await newKey(request)
    await request('CreateAlias', { KeyId, AliasName: 'alias/a' })
    return request('DisableKey', { KeyId: 'alias/a' })
  },
  'Unsupported.Origin': onKey('GetParametersForImport', WRAPPING),
  UnsupportedOperation: ({ request }) => request('CreateSecret', { SecretName: 'x' }),
  ValidationError: onKey('GenerateDataKey', { DryRun: 'true', NumberOfBytes: '0' }),
}

/** Codes that no SDK is told, and why; requests that are made by hand get them elsewhere. */
export const UNSEEN_BY_SDKS: Readonly<Record<string, string>> = {
  AccessDeniedError: 'a dry run is refused by policies, which are not enforced yet',
  'Forbidden.NoPermission': 'policies are not enforced yet',
  IncompleteSignature: 'SDKs sign whole',
  InvalidVersion: 'SDKs of this API have its version',
  'Rejected.Unavailable':
    'keys in the making are hidden, and the instance API alone keeps to exhausted versions',
  RequestEntityTooLarge: 'no parameter is that long; the server refuses it before it is read',
  UnsupportedHTTPMethod: 'SDKs send GET and POST',
}
