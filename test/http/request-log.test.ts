import { expect, it } from 'vitest'
import { ciphertextInvalid, KmsError } from '../../src/core/errors.ts'
import { faultToKmsError } from '../../src/providers/pkcs11/errors.ts'
import { TEST_TOKEN } from '../support/kms-fixture.ts'
import { ALICE_KEY, awsFixture } from './aws-fixture.ts'

const REFUSED = {
  kind: 'cryptoki',
  function: 'C_Decrypt',
  name: 'CKR_ENCRYPTED_DATA_INVALID',
  number: 64,
} as const

/** The log line of a request that the token or the store fails with `error`. */
async function lineOf(error: KmsError): Promise<Record<string, unknown>> {
  const fixture = awsFixture()
  fixture.provider.failWith = error
  const answer = await fixture.request('GenerateRandom', { NumberOfBytes: 8 })
  expect(answer.text).not.toMatch(/CKR_|SQLITE|main/)
  return JSON.parse(fixture.lines.at(-1) ?? '{}')
}

it('CIPHERTEXT_INVALID shows the operator what the token said', async () => {
  const line = await lineOf(faultToKmsError('main', REFUSED))
  expect(line).toMatchObject({ level: 30, outcome: 'InvalidCiphertextException', code: 'CIPHERTEXT_INVALID' })
  expect(line['cause']).toEqual({
    type: 'Pkcs11Error',
    message: 'C_Decrypt returned CKR_ENCRYPTED_DATA_INVALID (0x40)',
    token: 'main',
    function: 'C_Decrypt',
    ckr: 'CKR_ENCRYPTED_DATA_INVALID',
    number: 64,
    hint: 'Nothing: the caller sent bytes that do not authenticate.',
  })
})

it('UNSUPPORTED shows what the token lacks, and what to do', async () => {
  const fault = {
    kind: 'refusal',
    code: 'UNSUPPORTED',
    reason: 'No CKM_AES_GCM.',
    hint: 'Use another.',
  } as const
  expect((await lineOf(faultToKmsError('main', fault)))['cause']).toEqual({
    type: 'Pkcs11Error',
    message: 'No CKM_AES_GCM.',
    token: 'main',
    refusal: 'UNSUPPORTED',
    hint: 'Use another.',
  })
})

it('TOKEN_UNAVAILABLE shows the same with stacks, as an error', async () => {
  const fault = { kind: 'cryptoki', function: 'C_Login', name: 'CKR_PIN_LOCKED', number: 0xa4 } as const
  expect(await lineOf(faultToKmsError('main', fault))).toMatchObject({
    level: 50,
    error: {
      type: 'KmsError',
      code: 'TOKEN_UNAVAILABLE',
      stack: expect.any(String),
      cause: { ckr: 'CKR_PIN_LOCKED', number: 0xa4, hint: expect.any(String), stack: expect.any(String) },
    },
  })
})

it('STORE_UNAVAILABLE shows the SQL state', async () => {
  const driver = Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })
  expect(await lineOf(new KmsError('STORE_UNAVAILABLE', 'x', {}, { cause: driver }))).toMatchObject({
    error: { code: 'STORE_UNAVAILABLE', cause: { code: 'SQLITE_FULL', message: 'database or disk is full' } },
  })
})

it('nothing else that hangs on an error is shown', async () => {
  const secret = { detail: 'a-secret', code: 'a-secret, or so', token: 'a-secret', hint: 'a-secret' }
  const error = Object.assign(new Error('x'), secret, { fault: { kind: 'other', function: 'a-secret' } })
  const fault = { kind: 'cryptoki', name: 7, function: ['a-secret'], number: 'a-secret', more: 'a-secret' }
  const similar = Object.assign(new Error('y', { cause: error }), { fault, token: 8 })
  const line = await lineOf(ciphertextInvalid(similar))
  expect(line['cause']).toEqual({ type: 'Error', message: 'y', cause: { type: 'Error', message: 'x' } })
})

it('a cause that is no error is shown by its type alone, and causes are followed four deep', async () => {
  expect((await lineOf(ciphertextInvalid('a-secret')))['cause']).toEqual({ type: 'string' })
  let error = new Error('0')
  for (let depth = 1; depth < 20; depth += 1) error = new Error(`${depth}`, { cause: error })
  expect(JSON.stringify((await lineOf(ciphertextInvalid(error)))['cause']).match(/"cause"/g)).toHaveLength(4)
})

it('a refusal without a cause has its code alone', async () => {
  const line = await lineOf(new KmsError('LIMIT_EXCEEDED', 'Too many.', { limit: 'x' }))
  expect(line).toMatchObject({ code: 'LIMIT_EXCEEDED' })
  expect(line).not.toHaveProperty('cause')
  expect(line).not.toHaveProperty('error')
})

it('a request shows the token that it went to', async () => {
  const fixture = awsFixture()
  const { keyId } = await fixture.newKey()
  for (const [operation, body] of [
    ['GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256' }],
    ['GenerateRandom', { NumberOfBytes: 8 }],
  ] as const) {
    await fixture.request(operation, body)
    expect(JSON.parse(fixture.lines.at(-1) ?? '{}')).toMatchObject({ operation, token: TEST_TOKEN })
  }
})

it('tells when a data key that was to stay in the token was in host memory, and only then', async () => {
  const fixture = awsFixture()
  const { keyId: KeyId } = await fixture.newKey()
  const ask = async () => {
    const answer = await fixture.request('GenerateDataKeyWithoutPlaintext', { KeyId, KeySpec: 'AES_256' })
    expect(answer.status).toBe(200)
    return JSON.parse(fixture.lines.at(-1) ?? '{}')
  }
  expect(await ask()).not.toHaveProperty('hostMemory')
  const { provider } = fixture
  const inside = provider.sealRandomInside.bind(provider)
  provider.sealRandomInside = async (...args) => ({ ...(await inside(...args)), hostMemory: true })
  expect(await ask()).toMatchObject({ hostMemory: true, outcome: 'ok' })
})

it.each([
  [
    'an unknown region',
    { region: 'mars-north-1' },
    "Credential should be scoped to a valid region, not 'mars-north-1'.",
  ],
  ['what may be no region', { region: 'NotARegion' }, 'Credential should be scoped to a valid region.'],
  [
    'another secret',
    { credential: { ...ALICE_KEY, secretAccessKey: 'x' } },
    expect.stringMatching(/does not match/),
  ],
] as const)(
  'a refused signature has its reason, which is not in its name: %s',
  async (_what, options, reason) => {
    const fixture = awsFixture()
    const { json } = await fixture.request('ListKeys', {}, options)
    expect(json).toEqual({ __type: 'InvalidSignatureException', message: reason })
    const line = JSON.parse(fixture.lines.at(-1) ?? '{}')
    expect(line).toMatchObject({ outcome: 'InvalidSignatureException', reason })
  },
)

it('a refusal of somebody who was recognized repeats nothing of the request', async () => {
  const fixture = awsFixture()
  await fixture.request('DescribeKey', { KeyId: 'what-was-asked-for' })
  expect(fixture.lines.at(-1)).not.toContain('what-was-asked-for')
})
