import { beforeEach, describe, expect, it } from 'vitest'
import { ALICE } from '../support/kms-fixture.ts'
import { signRequest } from '../support/sign.ts'
import {
  ALICE_KEY,
  type AwsFixture,
  awsFixture,
  type CallOptions,
  MALLORY_KEY,
  SESSION_KEY,
  SESSION_MS,
} from './aws-fixture.ts'

const MISMATCH =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key ' +
  'and signing method. Consult the service documentation for details.'
const BAD_TOKEN = 'The security token included in the request is invalid.'
const RANDOM = { NumberOfBytes: 8 }
const MINUTE_MS = 60_000

let fixture: AwsFixture
beforeEach(() => {
  fixture = awsFixture()
})

describe('a request that is refused for its signature', () => {
  const cases: readonly (readonly [
    what: string,
    options: CallOptions,
    type: string,
    message: string | RegExp,
  ])[] = [
    [
      'a wrong secret',
      { credential: { ...ALICE_KEY, secretAccessKey: 'x' } },
      'InvalidSignatureException',
      MISMATCH,
    ],
    ['another body', { sentBody: '{"NumberOfBytes":9}' }, 'InvalidSignatureException', MISMATCH],
    ['an unsigned payload', { payloadHash: 'UNSIGNED-PAYLOAD' }, 'InvalidSignatureException', MISMATCH],
    [
      'another operation',
      { extra: { 'x-amz-target': 'TrentService.ListKeys' } },
      'InvalidSignatureException',
      MISMATCH,
    ],
    ['another host', { extra: { host: 'other:7711' } }, 'InvalidSignatureException', MISMATCH],
    [
      'a declared payload hash that is not the body’s',
      { headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } },
      'InvalidSignatureException',
      MISMATCH,
    ],
    [
      'an unknown access key',
      { credential: { ...ALICE_KEY, accessKeyId: 'AKIANOBODYNOBODYNOBO' } },
      'UnrecognizedClientException',
      BAD_TOKEN,
    ],
    [
      'a session token that the credential does not have',
      { credential: { ...ALICE_KEY, sessionToken: 'x' } },
      'UnrecognizedClientException',
      BAD_TOKEN,
    ],
    [
      'a wrong session token',
      { credential: { ...SESSION_KEY, sessionToken: 'x' } },
      'UnrecognizedClientException',
      BAD_TOKEN,
    ],
    [
      'a missing session token',
      { credential: { ...SESSION_KEY, sessionToken: '' } },
      'UnrecognizedClientException',
      BAD_TOKEN,
    ],
    [
      'a region that is not served',
      { region: 'ap-south-1' },
      'InvalidSignatureException',
      "Credential should be scoped to a valid region, not 'ap-south-1'.",
    ],
    [
      'another service',
      { service: 's3' },
      'InvalidSignatureException',
      "Credential should be scoped to correct service: 'kms'.",
    ],
    [
      'another day in the scope',
      { scopeDate: '20150830' },
      'InvalidSignatureException',
      /^Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: /,
    ],
    [
      'an unsigned host',
      { unsigned: ['host'] },
      'InvalidSignatureException',
      "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    ],
    [
      'an unsigned operation',
      { unsigned: ['x-amz-target'] },
      'InvalidSignatureException',
      "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.",
    ],
    [
      'an unsigned date',
      { unsigned: ['x-amz-date'] },
      'InvalidSignatureException',
      "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization.",
    ],
    [
      'a signed header taken away',
      { headers: { 'x-a': '1' }, extra: { 'x-a': '2' } },
      'InvalidSignatureException',
      MISMATCH,
    ],
  ]

  it('has signed a header without a value, which was taken away', async () => {
    const headers = {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': 'TrentService.GenerateRandom',
    }
    const { 'x-a': _, ...sent } = signRequest({
      credential: ALICE_KEY,
      at: fixture.clock.now(),
      body: '{"NumberOfBytes":8}',
      headers: { ...headers, host: 'localhost:7711', 'x-a': '' },
    })
    const answer = await fixture.send(sent, '{"NumberOfBytes":8}')
    expect(answer.json).toEqual({ __type: 'InvalidSignatureException', message: MISMATCH })
    expect(fixture.passed).toEqual([])
  })

  it.each(cases)('has %s', async (_what, options, type, message) => {
    const answer = await fixture.request('GenerateRandom', RANDOM, options)
    expect(answer.status).toBe(400)
    expect(answer.json).toEqual({
      __type: type,
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    })
    expect(fixture.passed).toEqual([])
  })

  it('was signed more than five minutes ago', async () => {
    const at = fixture.clock.now() - 5 * MINUTE_MS - 1_500
    const answer = await fixture.request('GenerateRandom', RANDOM, { at })
    const text =
      /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$/
    expect(answer.json).toEqual({ __type: 'InvalidSignatureException', message: expect.stringMatching(text) })
    expect(fixture.passed).toEqual([])
  })

  it('says it was signed more than five minutes from now', async () => {
    const answer = await fixture.request('GenerateRandom', RANDOM, {
      at: fixture.clock.now() + 6 * MINUTE_MS,
    })
    const text =
      /^Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 5 min\.\)$/
    expect(answer.json).toEqual({ __type: 'InvalidSignatureException', message: expect.stringMatching(text) })
  })

  it('uses a credential past its end', async () => {
    fixture.clock.advance(SESSION_MS + 1)
    const answer = await fixture.request('GenerateRandom', RANDOM, { credential: SESSION_KEY })
    expect(answer.json['__type']).toBe('ExpiredTokenException')
    expect(fixture.passed).toEqual([])
  })

  const malformed: readonly (readonly [authorization: string, type: string])[] = [
    ['', 'MissingAuthenticationTokenException'],
    ['Bearer abc', 'IncompleteSignatureException'],
    ['AWS4-HMAC-SHA256 nonsense', 'IncompleteSignatureException'],
    ['AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00', 'IncompleteSignatureException'],
    [`AWS4-HMAC-SHA256 ${'x'.repeat(5_000)}`, 'IncompleteSignatureException'],
  ]
  it.each(malformed)('sends the Authorization header %j', async (authorization, type) => {
    const headers = {
      'x-amz-target': 'TrentService.GenerateRandom',
      'content-type': 'application/x-amz-json-1.1',
    }
    const answer = await fixture.send(authorization ? { ...headers, authorization } : headers, '{}')
    expect(answer.status).toBe(400)
    expect(answer.json['__type']).toBe(type)
    expect(answer.text).not.toContain('abc')
    expect(fixture.passed).toEqual([])
  })

  it('names every missing part of its Authorization header', async () => {
    const authorization = 'AWS4-HMAC-SHA256 a=b'
    const { json } = await fixture.send({ authorization, 'x-amz-target': 'TrentService.ListKeys' }, '{}')
    expect(json['message']).toBe(
      "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
        "Authorization header requires 'SignedHeaders' parameter.",
    )
  })
})

describe('a request that is accepted', () => {
  it('carries unsigned headers besides, as the Kubernetes plugin sends', async () => {
    const extra = { 'x-amz-source-arn': 'arn:aws:eks:us-east-1:1:cluster/c', 'x-amz-source-account': '1' }
    const answer = await fixture.request('GenerateRandom', RANDOM, { extra })
    expect(answer.status).toBe(200)
  })

  it.each([
    ['a session token', { credential: SESSION_KEY }],
    ['another account', { credential: MALLORY_KEY }],
    ['another region of the configuration', { region: 'eu-central-1' }],
    ['its hash declared', { headers: { 'x-amz-content-sha256': '' } }],
  ] satisfies readonly (readonly [string, CallOptions])[])('has %s', async (what, options) => {
    const declared =
      what === 'its hash declared' ? { 'x-amz-content-sha256': await sha256('{"NumberOfBytes":8}') } : {}
    const headers = 'headers' in options ? declared : {}
    const answer = await fixture.request('GenerateRandom', RANDOM, { ...options, headers })
    expect(answer.status).toBe(200)
  })

  it('was signed just under five minutes ago', async () => {
    const at = fixture.clock.now() - 5 * MINUTE_MS + 5_000
    expect((await fixture.request('GenerateRandom', RANDOM, { at })).status).toBe(200)
  })

  it('acts as the account and the region that it was signed for', async () => {
    await fixture.request('GenerateRandom', RANDOM, { region: 'eu-central-1' })
    const line = JSON.parse(fixture.lines.at(-1) ?? '{}')
    expect(line).toMatchObject({
      ...ALICE,
      region: 'eu-central-1',
      operation: 'GenerateRandom',
      outcome: 'ok',
    })
  })
})

async function sha256(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(text))).toString('hex')
}
