import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { isUuid } from '../../src/lib/bytes.ts'
import { call } from '../support/kms-fixture.ts'
import {
  type AcsAnswer,
  ALICE_UID,
  alibabaFixture,
  faultOf,
  MALLORY_ACS,
  MALLORY_UID,
} from './alibaba-fixture.ts'

const fixture = alibabaFixture()
const { rpc, v3, kms } = fixture

const NOT_FOUND = [404, 'Forbidden.KeyNotFound', 'The specified Key is not found.']
const STATE_FAILED = [409, 'Rejected.StateModifiedFailed', 'Keystate modified failed.']
const rejected = (state: string) =>
  [409, `Rejected.${state}`, `The request was rejected because the key state is ${state}.`] as const

type State = 'Enabled' | 'Disabled' | 'PendingDeletion'

/** A key in a state, with a ciphertext and an alias of its own. */
async function keyIn(state: State) {
  const { keyId: KeyId } = await fixture.newKey()
  const { json } = await rpc('Encrypt', { KeyId, Plaintext: 'eA==' })
  const alias = `alias/${KeyId}`
  await kms.createAlias(call(), alias, { kind: 'id', keyId: KeyId })
  if (state === 'Disabled') await kms.disableKey(call(), KeyId)
  if (state === 'PendingDeletion') await kms.scheduleKeyDeletion(call(), KeyId, 7)
  return { KeyId, alias, CiphertextBlob: String(json['CiphertextBlob']) }
}

type Key = Awaited<ReturnType<typeof keyIn>>

/** Alibaba Cloud KMS, "Impact of CMK status on API calling": what each operation says in each state. */
type MatrixRow = readonly [
  action: string,
  parameters: (key: Key) => Record<string, string>,
  disabled: 'ok' | 'named' | 'failed',
  pendingDeletion: 'ok' | 'named' | 'failed',
  enabled: 'ok' | 'failed',
]

const MATRIX: MatrixRow[] = [
  ['Encrypt', ({ KeyId }) => ({ KeyId, Plaintext: 'eA==' }), 'named', 'named', 'ok'],
  ['Decrypt', ({ CiphertextBlob }) => ({ CiphertextBlob }), 'named', 'named', 'ok'],
  ['GenerateDataKey', ({ KeyId }) => ({ KeyId }), 'named', 'named', 'ok'],
  ['GenerateDataKeyWithoutPlaintext', ({ KeyId }) => ({ KeyId }), 'named', 'named', 'ok'],
  [
    'UpdateRotationPolicy',
    ({ KeyId }) => ({ KeyId, EnableAutomaticRotation: 'true', RotationInterval: '7d' }),
    'named',
    'named',
    'ok',
  ],
  ['DescribeKey', ({ KeyId }) => ({ KeyId }), 'ok', 'ok', 'ok'],
  ['ListKeyVersions', ({ KeyId }) => ({ KeyId }), 'ok', 'ok', 'ok'],
  ['ListAliasesByKeyId', ({ KeyId }) => ({ KeyId }), 'ok', 'ok', 'ok'],
  ['DeleteAlias', ({ alias }) => ({ AliasName: alias }), 'ok', 'ok', 'ok'],
  ['UpdateKeyDescription', ({ KeyId }) => ({ KeyId, Description: '' }), 'ok', 'named', 'ok'],
  ['TagResource', ({ KeyId }) => ({ KeyId, Tags: '[{"TagKey":"a","TagValue":"b"}]' }), 'ok', 'named', 'ok'],
  ['UntagResource', ({ KeyId }) => ({ KeyId, TagKeys: '["a"]' }), 'ok', 'named', 'ok'],
  ['ListResourceTags', ({ KeyId }) => ({ KeyId }), 'ok', 'ok', 'ok'],
  ['EnableKey', ({ KeyId }) => ({ KeyId }), 'ok', 'failed', 'ok'],
  ['DisableKey', ({ KeyId }) => ({ KeyId }), 'ok', 'failed', 'ok'],
  ['ScheduleKeyDeletion', ({ KeyId }) => ({ KeyId, PendingWindowInDays: '366' }), 'ok', 'failed', 'ok'],
  ['CreateAlias', ({ KeyId }) => ({ KeyId, AliasName: `alias/new-${KeyId}` }), 'ok', 'failed', 'ok'],
  ['CancelKeyDeletion', ({ KeyId }) => ({ KeyId }), 'failed', 'ok', 'failed'],
  ['UpdateAlias', ({ KeyId, alias }) => ({ KeyId, AliasName: alias }), 'ok', 'named', 'ok'],
]

describe('the table of key states', () => {
  it.each(MATRIX)('%s', async (action, parameters, disabled, pendingDeletion, enabled) => {
    const expected = { Enabled: enabled, Disabled: disabled, PendingDeletion: pendingDeletion }
    for (const state of ['Enabled', 'Disabled', 'PendingDeletion'] as const) {
      const answer = await rpc(action, parameters(await keyIn(state)))
      const outcome = expected[state]
      if (outcome === 'ok') expect([state, answer.status]).toEqual([state, 200])
      else expect(faultOf(answer)).toEqual(outcome === 'failed' ? STATE_FAILED : rejected(state))
    }
  })

  it('has keys come back enabled from a deletion that is cancelled', async () => {
    const { KeyId } = await keyIn('PendingDeletion')
    await rpc('CancelKeyDeletion', { KeyId })
    expect((await kms.describeKey(call(), { kind: 'id', keyId: KeyId })).state).toBe('Enabled')
  })
})

/** What each operation says of a key whose material has not come, by the same page. */
const PENDING_IMPORT: [string, (KeyId: string) => Record<string, string>, 'ok' | 'named' | 'failed'][] = [
  ['Encrypt', (KeyId) => ({ KeyId, Plaintext: 'eA==' }), 'named'],
  ['GenerateDataKey', (KeyId) => ({ KeyId }), 'named'],
  ['GenerateDataKeyWithoutPlaintext', (KeyId) => ({ KeyId }), 'named'],
  ['CreateKeyVersion', (KeyId) => ({ KeyId }), 'named'],
  ['DescribeKey', (KeyId) => ({ KeyId }), 'ok'],
  ['ListKeyVersions', (KeyId) => ({ KeyId }), 'ok'],
  ['UpdateKeyDescription', (KeyId) => ({ KeyId, Description: 'x' }), 'ok'],
  ['TagResource', (KeyId) => ({ KeyId, Tags: '[]' }), 'ok'],
  ['UntagResource', (KeyId) => ({ KeyId, TagKeys: '[]' }), 'ok'],
  ['EnableKey', (KeyId) => ({ KeyId }), 'failed'],
  ['DisableKey', (KeyId) => ({ KeyId }), 'failed'],
  ['CreateAlias', (KeyId) => ({ KeyId, AliasName: `alias/${KeyId}` }), 'ok'],
  ['CancelKeyDeletion', (KeyId) => ({ KeyId }), 'failed'],
  ['DeleteKeyMaterial', (KeyId) => ({ KeyId }), 'ok'],
  [
    'GetParametersForImport',
    (KeyId) => ({ KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }),
    'ok',
  ],
  ['ScheduleKeyDeletion', (KeyId) => ({ KeyId, PendingWindowInDays: '7' }), 'ok'],
]

describe('a key that waits for its material', () => {
  it.each(PENDING_IMPORT)('%s', async (action, parameters, outcome) => {
    const { json } = await rpc('CreateKey', { Origin: 'EXTERNAL' })
    const { KeyId, KeyState } = json['KeyMetadata'] as { KeyId: string; KeyState: string }
    expect(KeyState).toBe('PendingImport')
    const answer = await rpc(action, parameters(KeyId))
    if (outcome === 'ok') expect([answer.status, answer.json['Code']]).toEqual([200, undefined])
    else expect(faultOf(answer)).toEqual(outcome === 'failed' ? STATE_FAILED : rejected('PendingImport'))
  })
})

describe('what the real service honours and this one does not', () => {
  it.each([
    ['GenerateDataKey', 'Recipient'],
    ['Decrypt', 'Recipient'],
    ['CreateKey', 'DKMSInstanceId'],
    ['CreateKey', 'KeyStorageMechanism'],
    ['TagResource', 'SecretName'],
    ['UntagResource', 'CertificateId'],
  ])('is refused of %s by its name: %s', async (action, name) => {
    const { KeyId, CiphertextBlob } = await keyIn('Enabled')
    fixture.provider.calls.length = 0
    const answer = await rpc(action, { KeyId, CiphertextBlob, Tags: '[]', TagKeys: '[]', [name]: 'x' })
    expect(faultOf(answer)).toEqual([400, 'UnsupportedOperation', expect.stringContaining(`"${name}"`)])
    expect(answer.json).not.toHaveProperty('Plaintext')
    expect(fixture.provider.calls).toEqual([])
  })
})

describe('secrets', () => {
  it('are zeroed once the answer has them', async () => {
    const { KeyId, CiphertextBlob } = await keyIn('Enabled')
    const { provider } = fixture
    const given: Buffer[] = []
    const [open, sealRandom] = [provider.open.bind(provider), provider.sealRandom.bind(provider)]
    provider.open = async (...asked) => {
      const plaintext = await open(...asked)
      given.push(plaintext)
      return plaintext
    }
    provider.sealRandom = async (...asked) => {
      const sealed = await sealRandom(...asked)
      given.push(sealed.plaintext)
      return sealed
    }
    expect((await rpc('Decrypt', { CiphertextBlob })).json['Plaintext']).toBe('eA==')
    expect((await rpc('GenerateDataKey', { KeyId })).json['Plaintext']).toHaveLength(44)
    Object.assign(provider, { open, sealRandom })
    expect(given.map((bytes) => bytes.every((byte) => byte === 0))).toEqual([true, true])
  })
})

describe('where an error was sent', () => {
  it.each([
    ['kms.example.com:7711', 'kms.example.com:7711'],
    ['[::1]:7711', '[::1]:7711'],
    ['<b>', ''],
    ['x'.repeat(256), ''],
  ])('is told by a Host header that looks like one: %s', async (host, HostId) => {
    const { json } = await fixture.send('POST', 'Action=ListKeys', { host })
    expect(json['HostId']).toBe(HostId)
  })
})

describe('names of keys', () => {
  const missing = '00000000-0000-4000-8000-000000000000'

  it.each([
    ['an id that nobody has', missing, NOT_FOUND],
    ['something else', 'key-hzz630494463ejqjx0000', NOT_FOUND],
    ['an ARN of a key of another account', `acs:kms:us-east-1:${MALLORY_UID}:key/${missing}`, NOT_FOUND],
    ['an ARN of another region', `acs:kms:eu-central-1:${ALICE_UID}:key/${missing}`, NOT_FOUND],
    ['an ARN of nothing', `acs:kms:us-east-1:${ALICE_UID}:`, NOT_FOUND],
    [
      'an alias that is not there',
      'alias/none',
      [404, 'Forbidden.AliasNotFound', 'The specified Alias is not found.'],
    ],
    [
      'an alias that cannot be',
      "alias/'*~",
      [404, 'Forbidden.AliasNotFound', 'The specified Alias is not found.'],
    ],
  ])('%s', async (_what, KeyId, expected) => {
    expect(faultOf(await rpc('GenerateDataKey', { KeyId }))).toEqual(expected)
  })

  it('are ids, aliases and ARNs of either, and the answer has the id', async () => {
    const { KeyId, alias } = await keyIn('Enabled')
    const arn = `acs:kms:us-east-1:${ALICE_UID}`
    for (const name of [KeyId, alias, `${arn}:key/${KeyId}`, `${arn}:${alias}`]) {
      expect((await rpc('GenerateDataKey', { KeyId: name })).json['KeyId']).toBe(KeyId)
    }
    expect((await rpc('EnableKey', { KeyId: `${arn}:key/${KeyId}` })).status).toBe(200)
    expect(faultOf(await rpc('EnableKey', { KeyId: alias }))).toEqual([
      400,
      'Unsupported.Alias',
      'Alias is not valid for this api.',
    ])
  })

  it.each([
    ['of another account', `acs:kms:us-east-1:${MALLORY_UID}`],
    ['of another region', `acs:kms:eu-central-1:${ALICE_UID}`],
  ])('are none of an own key in an ARN %s', async (_, arn) => {
    const { KeyId, alias } = await keyIn('Enabled')
    const none = [404, 'Forbidden.AliasNotFound', 'The specified Alias is not found.']
    expect(faultOf(await rpc('GenerateDataKey', { KeyId: `${arn}:key/${KeyId}` }))).toEqual(NOT_FOUND)
    expect(faultOf(await rpc('GenerateDataKey', { KeyId: `${arn}:${alias}` }))).toEqual(none)
    expect(faultOf(await rpc('EnableKey', { KeyId: `${arn}:key/${KeyId}` }))).toEqual(NOT_FOUND)
  })

  it("keep another account's keys to themselves, their ciphertexts too", async () => {
    const { KeyId, CiphertextBlob } = await keyIn('Enabled')
    const options = { credential: MALLORY_ACS }
    expect(faultOf(await rpc('GenerateDataKey', { KeyId }, options))).toEqual(NOT_FOUND)
    expect(faultOf(await rpc('Decrypt', { CiphertextBlob }, options))).toEqual(NOT_FOUND)
    expect((await rpc('ListKeys', {}, options)).json['TotalCount']).toBe(0)
  })

  it('are of a region, which RegionId names', async () => {
    const { KeyId } = await keyIn('Enabled')
    expect((await rpc('DescribeKey', { KeyId, RegionId: 'us-east-1' })).status).toBe(200)
    expect((await rpc('DescribeKey', { KeyId, RegionId: '' })).status).toBe(200)
    expect(faultOf(await rpc('DescribeKey', { KeyId, RegionId: 'eu-central-1' }))).toEqual(NOT_FOUND)
    expect((await rpc('DescribeKey', { KeyId, RegionId: 'cn-nowhere' })).json).toMatchObject({
      Code: 'InvalidParameter',
      Message: expect.stringContaining('"RegionId"'),
    })
  })
})

describe('parameters', () => {
  const textOf = (answer: AcsAnswer) => [answer.status, answer.json['Code'], answer.json['Message']]

  it.each([
    ['GenerateDataKey', {}, 'KeyId'],
    ['GenerateDataKey', { KeyId: '' }, 'KeyId'],
    ['Encrypt', { KeyId: 'x' }, 'Plaintext'],
    ['Decrypt', {}, 'CiphertextBlob'],
    ['ScheduleKeyDeletion', { KeyId: 'x' }, 'PendingWindowInDays'],
    ['SetDeletionProtection', { EnableDeletionProtection: 'true' }, 'ProtectedResourceArn'],
    ['CreateKey', { EnableAutomaticRotation: 'true' }, 'RotationInterval'],
    ['TagResources', { RegionId: 'us-east-1', ResourceType: 'key' }, 'ResourceId'],
    ['ListTagResources', { ResourceType: 'key' }, 'RegionId'],
  ])('%s %j lacks %s', async (action, parameters, name) => {
    const text = `The parameter "${name}" is needed but not provided.`
    expect(textOf(await rpc(action, parameters as Record<string, string>))).toEqual([
      400,
      'MissingParameter',
      text,
    ])
  })

  it.each([
    ['GenerateDataKey', { KeyId: 'x', NumberOfBytes: '0' }, 'NumberOfBytes'],
    ['GenerateDataKey', { KeyId: 'x', NumberOfBytes: '1025' }, 'NumberOfBytes'],
    ['GenerateDataKey', { KeyId: 'x', NumberOfBytes: '1e3' }, 'NumberOfBytes'],
    ['GenerateDataKey', { KeyId: 'x', NumberOfBytes: '-1' }, 'NumberOfBytes'],
    ['GenerateDataKey', { KeyId: 'x', KeySpec: 'AES_512' }, 'KeySpec'],
    ['GenerateDataKey', { KeyId: 'x', DryRun: 'yes' }, 'DryRun'],
    ['Encrypt', { KeyId: 'x', Plaintext: 'x'.repeat(8193) }, 'Plaintext'],
    ['Encrypt', { KeyId: 'x', Plaintext: 'x', EncryptionContext: '[]' }, 'EncryptionContext'],
    ['Encrypt', { KeyId: 'x', Plaintext: 'x', EncryptionContext: '{"a":1}' }, 'EncryptionContext'],
    ['Encrypt', { KeyId: 'x', Plaintext: 'x', EncryptionContext: '{"a":{}}' }, 'EncryptionContext'],
    ['Encrypt', { KeyId: 'x', Plaintext: 'x', EncryptionContext: 'a=b' }, 'EncryptionContext'],
    ['Decrypt', { CiphertextBlob: 'not base64' }, 'CiphertextBlob'],
    ['Decrypt', { CiphertextBlob: 'AAAA' }, 'CiphertextBlob'],
    ['ScheduleKeyDeletion', { KeyId: 'x', PendingWindowInDays: '6' }, 'PendingWindowInDays'],
    ['ScheduleKeyDeletion', { KeyId: 'x', PendingWindowInDays: '367' }, 'PendingWindowInDays'],
    ['CreateAlias', { KeyId: 'x', AliasName: 'no-prefix' }, 'AliasName'],
    ['CreateAlias', { KeyId: 'x', AliasName: 'alias/acs/oss' }, 'AliasName'],
    ['CreateAlias', { KeyId: 'x', AliasName: "alias/it's" }, 'AliasName'],
    ['TagResource', { KeyId: 'x', Tags: '{}' }, 'Tags'],
    ['TagResource', { KeyId: 'x', Tags: '[{"TagKey":"acs:x","TagValue":""}]' }, 'Tags'],
    [
      'TagResource',
      { KeyId: 'x', Tags: JSON.stringify(Array.from({ length: 21 }, (_, n) => ({ TagKey: `${n}` }))) },
      'Tags',
    ],
    ['UntagResource', { KeyId: 'x', TagKeys: '[1]' }, 'TagKeys'],
    ['TagResources', { RegionId: 'us-east-1', ResourceType: 'vm' }, 'ResourceType'],
    ['ListKeys', { PageSize: '101' }, 'PageSize'],
    ['ListKeys', { PageNumber: '0' }, 'PageNumber'],
    ['ListKeys', { Filters: '[{"Key":"Nothing","Values":[]}]' }, 'Filters'],
    ['ListKeys', { Filters: 'x' }, 'Filters'],
    [
      'ListKeys',
      { Filters: JSON.stringify(Array.from({ length: 11 }, () => ({ Key: 'KeyState', Values: [] }))) },
      'Filters',
    ],
    [
      'ListKeys',
      { Filters: JSON.stringify([{ Key: 'KeyState', Values: Array.from({ length: 21 }, () => '') }]) },
      'Filters',
    ],
    ['CreateKey', { KeySpec: 'AES_256' }, 'KeySpec'],
    ['CreateKey', { Description: 'x'.repeat(8193) }, 'Description'],
    [
      'UpdateRotationPolicy',
      { KeyId: 'x', EnableAutomaticRotation: 'true', RotationInterval: '6d' },
      'RotationInterval',
    ],
    [
      'UpdateRotationPolicy',
      { KeyId: 'x', EnableAutomaticRotation: 'true', RotationInterval: '7' },
      'RotationInterval',
    ],
    ['UpdateRotationPolicy', { KeyId: 'x', EnableAutomaticRotation: 'maybe' }, 'EnableAutomaticRotation'],
  ])('%s %.80j has a wrong %s', async (action, parameters, name) => {
    const answer = textOf(await rpc(action, parameters))
    expect(answer).toEqual([400, 'InvalidParameter', `The specified parameter "${name}" is not valid.`])
  })

  it('of a ciphertext that does not authenticate are told of as such, and of a foreign key as not found', async () => {
    const { CiphertextBlob } = await keyIn('Enabled')
    const bytes = Buffer.from(CiphertextBlob, 'base64')
    bytes[bytes.length - 2] = (bytes.at(-2) ?? 0) ^ 1
    const changed = { CiphertextBlob: bytes.toString('base64') }
    const invalid = [400, 'InvalidParameter', 'The specified parameter "CiphertextBlob" is not valid.']
    expect(faultOf(await rpc('Decrypt', changed))).toEqual(invalid)
    expect(faultOf(await rpc('Decrypt', { CiphertextBlob, EncryptionContext: '{"a":"b"}' }))).toEqual(invalid)
    const foreign = Buffer.concat([Buffer.from('86a9efd9-3d16-4894-bd4f-1fc43f3f2abf'), bytes.subarray(36)])
    expect(faultOf(await rpc('Decrypt', { CiphertextBlob: foreign.toString('base64') }))).toEqual(NOT_FOUND)
  })
})

describe('a dry run', () => {
  const DRY = { DryRun: 'true' }

  it('always ends in an error, which says that all would have been well, and does nothing', async () => {
    const { KeyId, CiphertextBlob } = await keyIn('Enabled')
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const wrapping = {
      PublicKeyBlob: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
      WrappingKeySpec: 'RSA_2048',
      WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    }
    const calls = fixture.provider.calls.length
    for (const [action, parameters] of [
      ['GenerateDataKey', { KeyId }],
      ['GenerateDataKeyWithoutPlaintext', { KeyId }],
      ['Encrypt', { KeyId, Plaintext: 'x' }],
      ['Decrypt', { CiphertextBlob }],
      ['ReEncrypt', { CiphertextBlob, DestinationKeyId: KeyId }],
      ['GenerateAndExportDataKey', { KeyId, ...wrapping }],
      ['ExportDataKey', { CiphertextBlob, ...wrapping }],
    ] as const) {
      const answer = await rpc(action, { ...parameters, ...DRY })
      expect([action, answer.status, answer.json['Code']]).toEqual([action, 400, 'DryRunOperationError'])
    }
    expect(fixture.provider.calls).toHaveLength(calls)
    expect((await rpc('GenerateDataKey', { KeyId, DryRun: 'false' })).status).toBe(200)
  })

  it('says whether the parameters or the key are wrong', async () => {
    const { KeyId } = await keyIn('Disabled')
    const codeOf = async (parameters: Record<string, string>) =>
      (await rpc('GenerateDataKey', { ...parameters, ...DRY })).json['Code']
    expect(await codeOf({ KeyId, NumberOfBytes: '0' })).toBe('ValidationError')
    expect(await codeOf({})).toBe('ValidationError')
    expect(await codeOf({ KeyId })).toBe('Rejected.Disabled')
    expect(await codeOf({ KeyId: 'x' })).toBe('Forbidden.KeyNotFound')
  })
})

describe('actions', () => {
  it.each(['CreateSecret', 'GetRandomPassword', 'CreateNetworkRule'])(
    '%s is named as unsupported',
    async (action) => {
      expect(faultOf(await rpc(action))).toEqual([
        400,
        'UnsupportedOperation',
        `This action is not supported. ${action}`,
      ])
      expect((await v3(action)).json['Code']).toBe('UnsupportedOperation')
    },
  )

  it('that the API does not have are not repeated, and another version is refused', async () => {
    expect(faultOf(await rpc('<script>'))).toEqual([
      400,
      'UnsupportedOperation',
      'This action is not supported.',
    ])
    expect((await rpc('ListKeys', { Version: '2014-05-26' })).json['Code']).toBe('InvalidVersion')
  })

  it('leave their outcome and nothing secret in the log', async () => {
    const other = alibabaFixture()
    const { keyId: KeyId } = await other.newKey()
    const { json } = await other.rpc('GenerateDataKey', { KeyId, EncryptionContext: '{"secret":"context"}' })
    await other.rpc('Encrypt', { KeyId, Plaintext: 'plaintext-of-a-secret' })
    await other.rpc('Encrypt', { KeyId: 'x', Plaintext: 'plaintext-of-a-secret' })
    const log = other.lines.join('')
    expect(log).toContain('"operation":"GenerateDataKey"')
    expect(log).toContain('"outcome":"Forbidden.KeyNotFound"')
    for (const secret of [
      json['Plaintext'],
      json['CiphertextBlob'],
      'plaintext-of',
      '"context"',
      'Signature=',
    ])
      expect(log).not.toContain(secret)
  })
})

describe('answers', () => {
  it('are XML where Format or the accept header asks for it, in any case', async () => {
    const { KeyId, CiphertextBlob } = await keyIn('Enabled')
    const answers = [
      await rpc('Decrypt', { CiphertextBlob, Format: 'xml' }),
      await rpc('Decrypt', { CiphertextBlob, Format: 'XML' }, { method: 'GET' }),
      await v3('Decrypt', { query: { CiphertextBlob }, headers: { accept: 'application/xml' } }),
    ]
    for (const { status, headers, text } of answers) {
      expect([status, headers['content-type']]).toEqual([200, 'application/xml;charset=utf-8'])
      expect(text).toMatch(/^<\?xml version="1.0" encoding="UTF-8"\?><DecryptResponse><KeyId>/)
      expect(text).toContain(`<KeyId>${KeyId}</KeyId>`)
      expect(text).toContain('<Plaintext>eA==</Plaintext>')
      expect(isUuid(/<RequestId>(.*)<\/RequestId>/.exec(text)?.[1] ?? '')).toBe(true)
    }
  })

  it('have lists as elements of one name, and what XML reserves escaped', async () => {
    const Description = `<&>"' \u0001]]>ü`
    const created = await rpc('CreateKey', { Description, Format: 'xml' })
    expect(created.text).toContain('<Description>&lt;&amp;&gt;&quot;&apos; \ufffd]]&gt;ü</Description>')
    const regions = await rpc('DescribeRegions', { Format: 'xml' })
    expect(regions.text).toContain(
      '<Regions><Region><RegionId>us-east-1</RegionId></Region><Region><RegionId>eu-central-1</RegionId></Region></Regions>',
    )
  })

  it('of errors are XML too, with the host and the request id', async () => {
    const { status, text } = await rpc('DescribeKey', { KeyId: 'x', Format: 'Xml' })
    expect(status).toBe(404)
    expect(text).toMatch(
      /<Error><RequestId>[\da-f-]{36}<\/RequestId><HostId>localhost:7711<\/HostId><Code>Forbidden.KeyNotFound<\/Code><Message>The specified Key is not found.<\/Message><\/Error>$/,
    )
  })

  it('are JSON otherwise', async () => {
    const { headers, json } = await rpc('ListKeys', { Format: 'yaml' })
    expect(headers['content-type']).toBe('application/json;charset=utf-8')
    expect(json).toMatchObject({ RequestId: expect.any(String) })
  })
})
