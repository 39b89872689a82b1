import { expect, it } from 'vitest'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { SDK_OPERATIONS } from '../support/aws-model.ts'
import { type AwsFixture, awsFixture } from './aws-fixture.ts'
import { prepareKeyRequest } from './key-requests.ts'

/** What operations need that a request of {@link prepareKeyRequest} alone does not give them. */
const BEFORE: Readonly<Record<string, (fixture: AwsFixture, keyId: string) => Promise<unknown>>> = {
  CancelKeyDeletion: (fixture, KeyId) => fixture.request('ScheduleKeyDeletion', { KeyId }),
  ListAliases: (fixture, TargetKeyId) =>
    fixture.request('CreateAlias', { AliasName: 'alias/listed', TargetKeyId }),
  ListGrants: grant,
  ListKeyRotations: (fixture, KeyId) => fixture.request('RotateKeyOnDemand', { KeyId }),
  ListResourceTags: (fixture, KeyId) =>
    fixture.request('TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] }),
  ListRetirableGrants: grant,
}
const PRINCIPAL = 'arn:aws:iam::111122223333:user/a'

function grant(fixture: AwsFixture, KeyId: string) {
  return fixture.request('CreateGrant', {
    KeyId,
    GranteePrincipal: PRINCIPAL,
    RetiringPrincipal: PRINCIPAL,
    Operations: ['Encrypt'],
    Constraints: { EncryptionContextSubset: { a: 'b' } },
    Name: 'named',
  })
}

const INPUTS: Readonly<Record<string, object>> = {
  CreateKey: { Description: 'a', MultiRegion: true },
  DescribeKey: {},
  GenerateRandom: { NumberOfBytes: 8 },
  ListKeyRotations: { IncludeKeyMaterial: 'ALL_KEY_MATERIAL' },
  ListRetirableGrants: { RetiringPrincipal: PRINCIPAL },
}

/** Operations whose answer needs more than one request before it: their own tests look at it. */
const OWN_TESTS = [
  'DeleteImportedKeyMaterial',
  'DeriveSharedSecret',
  'GetParametersForImport',
  'ImportKeyMaterial',
  'RetireGrant',
  'RevokeGrant',
  'Verify',
  'VerifyMac',
]
/** Those that answer `UnsupportedOperationException` whatever they are asked. */
const NEVER = /CustomKeyStore|^Encapsulate$|^Decapsulate$/

const LOOKED_AT = SDK_OPERATIONS.filter(
  ({ name }) => AWS_OPERATIONS.has(name) && !OWN_TESTS.includes(name) && !NEVER.test(name),
)

it.each(LOOKED_AT)('$name answers in members of the model, each of its JSON type', async (operation) => {
  const { name, outputTypes } = operation
  const fixture = awsFixture()
  const { keyId, input } = await prepareKeyRequest(fixture, name)
  await BEFORE[name]?.(fixture, keyId)
  const { status, json, text } = await fixture.request(name, { ...input, ...INPUTS[name] })
  expect(status, text).toBe(200)
  const wrong = membersIn(json).filter(([member, value]) => outputTypes.get(member) !== typeof value)
  expect(wrong).toEqual([])
  expect(Object.keys(json).length > 0).toBe(outputTypes.size > 0)
})

/** Every member with its value, those of structures and of lists of them included. */
function membersIn(value: unknown, above = ''): (readonly [member: string, value: unknown])[] {
  if (Array.isArray(value)) return value.flatMap((item) => membersIn(item, above))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => {
    const member = above === '' ? name : `${above}.${name}`
    // The pairs of a map are no members.
    if (/EncryptionContext(?:Subset|Equals)$/.test(member)) return [[member, inner] as const]
    return [[member, inner] as const, ...membersIn(inner, member)]
  })
}
