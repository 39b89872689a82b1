import { describe, expect, it } from 'vitest'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { SERVICE_MODEL } from '../support/aws-model.ts'
import { ALICE, MALLORY } from '../support/kms-fixture.ts'
import { awsFixture, type WireAnswer } from './aws-fixture.ts'
import { prepareKeyRequest } from './key-requests.ts'

/** Operations whose key may be named by an alias (AWS KMS API Reference, KeyId of each); all others take an id or ARN. */
const BY_ALIAS = [
  'Decrypt',
  'DeriveSharedSecret',
  'DescribeKey',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateMac',
  'GetPublicKey',
  'ReEncrypt',
  'Sign',
  'Verify',
  'VerifyMac',
]

/** Operations that look at something else before the key. */
const NOT_BY_KEY_FIRST = ['ImportKeyMaterial', 'RetireGrant', 'RevokeGrant']

const ACCOUNT = ALICE.accountId
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g
const ABSENT = '00000000-0000-4000-8000-000000000000'
const arn = (resource: string, account = ACCOUNT, region = 'us-east-1', partition = 'aws') =>
  `arn:${partition}:kms:${region}:${account}:${resource}`

/** Every member that names a key, of every operation. */
const MEMBERS = [...AWS_OPERATIONS.keys()].flatMap((operation) => {
  const input = SERVICE_MODEL.operations[operation]?.input
  const members = typeof input === 'string' ? SERVICE_MODEL.shapes[input]?.members : undefined
  return Object.entries(members ?? {})
    .filter(([, shape]) => shape === 'KeyIdType' && !NOT_BY_KEY_FIRST.includes(operation))
    .map(([member]) => ({ operation, member, byAlias: BY_ALIAS.includes(operation) }))
})

it('finds the operations on keys', () => {
  expect(MEMBERS.length).toBeGreaterThan(20)
})

const doesNotExist = (resource: string, ...rest: readonly string[]) =>
  `Key '${arn(resource, ...rest)}' does not exist`

/** What names that lead nowhere are answered with; aliases where they are taken. */
const NOWHERE: readonly (readonly [what: string, name: string, message: string])[] = [
  ['an id', ABSENT, doesNotExist(`key/${ABSENT}`)],
  ['an id of several regions', `mrk-${'0'.repeat(32)}`, doesNotExist(`key/mrk-${'0'.repeat(32)}`)],
  ['an ARN', arn(`key/${ABSENT}`), doesNotExist(`key/${ABSENT}`)],
  [
    'an ARN of another account',
    arn(`key/${ABSENT}`, MALLORY.accountId),
    doesNotExist(`key/${ABSENT}`, MALLORY.accountId),
  ],
  ['an ARN of another region', arn(`key/${ABSENT}`, ACCOUNT, 'eu-central-1'), 'Invalid arn eu-central-1'],
  [
    'an ARN of another partition',
    arn(`key/${ABSENT}`, ACCOUNT, 'us-east-1', 'aws-cn'),
    `Invalid arn ${arn(`key/${ABSENT}`, ACCOUNT, 'us-east-1', 'aws-cn')}`,
  ],
  [
    'an ARN of another service',
    `arn:aws:s3:us-east-1:${ACCOUNT}:key/${ABSENT}`,
    `Invalid arn arn:aws:s3:us-east-1:${ACCOUNT}:key/${ABSENT}`,
  ],
  ['an ARN of no key', arn('grant/1'), `Invalid arn ${arn('grant/1')}`],
  ['an ARN of a key that can never be', arn('key/one'), "Invalid keyId 'one'"],
  [
    'an id in capitals',
    'ABCDEF00-0000-4000-8000-000000000000',
    "Invalid keyId 'ABCDEF00-0000-4000-8000-000000000000'",
  ],
  ['an id without dashes', ABSENT.replaceAll('-', ''), `Invalid keyId '${ABSENT.replaceAll('-', '')}'`],
  ['half an ARN', 'arn:aws:kms', 'Invalid arn arn:aws:kms'],
]
const NO_ALIAS: typeof NOWHERE = [
  ['an alias', 'alias/none', `Alias ${arn('alias/none')} is not found.`],
  ['an ARN of an alias', arn('alias/none'), `Alias ${arn('alias/none')} is not found.`],
  [
    'an ARN of an alias of another account',
    arn('alias/none', MALLORY.accountId),
    `Alias ${arn('alias/none', MALLORY.accountId)} is not found.`,
  ],
  [
    'an ARN of an alias of another region',
    arn('alias/none', ACCOUNT, 'eu-central-1'),
    'Invalid arn eu-central-1',
  ],
]
const NOT_BY_ALIAS: typeof NOWHERE = [
  ['an alias', 'alias/none', "Invalid keyId 'alias/none'"],
  ['an ARN of an alias', arn('alias/none'), "Invalid keyId 'alias/none'"],
]

describe.each(MEMBERS)('$operation by $member', ({ operation, member, byAlias }) => {
  it('names no key by what leads nowhere, and is told why', async () => {
    const fixture = awsFixture()
    const { input } = await prepareKeyRequest(fixture, operation)
    for (const [what, name, message] of [...NOWHERE, ...(byAlias ? NO_ALIAS : NOT_BY_ALIAS)]) {
      const answer = await fixture.request(operation, { ...input, [member]: name })
      expect([what, answer.json]).toEqual([what, { __type: 'NotFoundException', message }])
    }
  })

  it('names no key of another account, by id, ARN or alias', async () => {
    const fixture = awsFixture()
    const { input } = await prepareKeyRequest(fixture, operation)
    const theirs = await fixture.kms.createKey(
      { principal: MALLORY, deadlineAt: Date.now() + 5000, trail: { timings: { queueMs: 0, tokenMs: 0 } } },
      {},
    )
    for (const name of [
      theirs.keyId,
      arn(`key/${theirs.keyId}`),
      arn(`key/${theirs.keyId}`, MALLORY.accountId),
    ]) {
      const { json } = await fixture.request(operation, { ...input, [member]: name })
      const account = name.includes(MALLORY.accountId) ? MALLORY.accountId : ACCOUNT
      expect(json).toEqual({
        __type: 'NotFoundException',
        message: doesNotExist(`key/${theirs.keyId}`, account),
      })
    }
  })

  it('leads to the same key by every form that there is for it', async () => {
    const forms = [(keyId: string) => keyId, (keyId: string) => arn(`key/${keyId}`)]
    if (byAlias)
      forms.push(
        () => 'alias/form',
        () => arn('alias/form'),
      )
    const answers: unknown[] = []
    for (const form of forms) {
      const fixture = awsFixture()
      const { keyId, input } = await prepareKeyRequest(fixture, operation)
      const target = await namedKey(input, member, keyId)
      await fixture.request('CreateAlias', { AliasName: 'alias/form', TargetKeyId: target })
      const answer = await fixture.request(operation, { ...input, [member]: form(target) })
      answers.push(shapeOf(answer, target))
    }
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toHaveLength(1)
    expect(JSON.stringify(answers)).not.toContain('NotFoundException')
  })
})

/** The key that the request names at the member. */
async function namedKey(input: object, member: string, keyId: string): Promise<string> {
  const given: unknown = Reflect.get(input, member)
  return typeof given === 'string' ? given : keyId
}

/** What an answer says of a key, whichever key it is. */
function shapeOf({ status, json }: WireAnswer, keyId: string): object {
  const { __type, message, KeyId, SourceKeyId } = json
  const named = [message, KeyId, SourceKeyId].map((text) =>
    String(text).replaceAll(keyId, '<key>').replaceAll(UUID, '<other>'),
  )
  return { status, __type, members: Object.keys(json).toSorted(), named: KeyId === undefined ? [] : named }
}
