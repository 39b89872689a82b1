import { beforeEach, describe, expect, it } from 'vitest'
import { ALICE, MALLORY } from '../support/kms-fixture.ts'
import { type RequestToSign, signRequest } from '../support/sign.ts'
import {
  ALICE_KEY,
  type AwsFixture,
  awsFixture,
  MALLORY_KEY,
  SESSION_KEY,
  SESSION_MS,
} from './aws-fixture.ts'

const FORM = 'application/x-www-form-urlencoded; charset=utf-8'
const ASK = 'Action=GetCallerIdentity&Version=2011-06-15'

let fixture: AwsFixture
beforeEach(() => {
  fixture = awsFixture()
})

type Asked = Partial<RequestToSign> & { readonly sent?: Readonly<Record<string, string>> }

/** Signs and sends a request for STS by POST, or for what `asked` says. */
async function ask(body: string, asked: Asked = {}) {
  const { sent = {}, ...signing } = asked
  const headers = signRequest({
    credential: ALICE_KEY,
    service: 'sts',
    at: fixture.clock.now(),
    body,
    ...signing,
    headers: { host: 'localhost:7711', 'content-type': FORM, ...signing.headers },
  })
  const method = asked.method === 'GET' ? 'GET' : 'POST'
  const url = asked.path ?? '/'
  return fixture.server.inject({ method, url, headers: { ...headers, ...sent }, payload: body })
}

const errorOf = (text: string) => /<Code>(.*)<\/Code>\s*<Message>(.*)<\/Message>/s.exec(text)?.slice(1)

describe('GetCallerIdentity', () => {
  it('says who asks, in the form of AWS STS', async () => {
    const { statusCode, headers, payload } = await ask(ASK)
    expect(statusCode).toBe(200)
    expect(headers['content-type']).toBe('text/xml')
    const requestId = String(headers['x-amzn-requestid'])
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/)
    expect(payload).toBe(
      `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetCallerIdentityResult>
    <Arn>arn:aws:iam::${ALICE.accountId}:user/${ALICE.accessKeyId}</Arn>
    <UserId>${ALICE.accessKeyId}</UserId>
    <Account>${ALICE.accountId}</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>
</GetCallerIdentityResponse>
`,
    )
  })

  it('answers each credential with its own, one with a session token too', async () => {
    const mallory = await ask(ASK, { credential: MALLORY_KEY, region: 'eu-central-1' })
    expect(mallory.payload).toContain(`<Account>${MALLORY.accountId}</Account>`)
    const session = await ask(ASK, { credential: SESSION_KEY })
    expect(session.payload).toContain(`user/${SESSION_KEY.accessKeyId}</Arn>`)
  })

  it('is logged and counted like every request', async () => {
    await ask(ASK)
    await ask('Action=AssumeRole&Version=2011-06-15')
    const lines = fixture.lines.map((line) => JSON.parse(line) as object)
    const accountId = ALICE.accountId
    expect(lines).toMatchObject([
      { api: 'sts', operation: 'GetCallerIdentity', outcome: 'ok', status: 200, accountId },
      { api: 'sts', operation: 'unknown', outcome: 'InvalidAction', status: 400, accountId },
    ])
  })
})

describe('a request for STS is refused', () => {
  it.each([
    [
      'another action',
      'Action=AssumeRole&Version=2011-06-15',
      'InvalidAction',
      /operation AssumeRole for version 2011-06-15:/,
    ],
    [
      'another version',
      'Action=GetCallerIdentity&Version=2012-01-01',
      'InvalidAction',
      /version 2012-01-01:/,
    ],
    ['no version', 'Action=GetCallerIdentity', 'InvalidAction', /version NO_VERSION:/],
    [
      'an action that is none',
      'Action=%3Cb%3E&Version=2011-06-15',
      'InvalidAction',
      /find operation for version/,
    ],
    ['no action', 'Version=2011-06-15', 'MissingAction', /Action/],
    ['no parameters', '', 'MissingAction', /Action/],
    ['two actions', `${ASK}&Action=AssumeRole`, 'MalformedInput', /could not be read/],
  ])('with %s', async (_, body, code, says) => {
    const { statusCode, headers, payload } = await ask(body)
    expect(statusCode).toBe(400)
    expect(headers['content-type']).toBe('text/xml')
    expect(payload).toMatch(/^<ErrorResponse xmlns="https:\/\/sts.amazonaws.com\/doc\/2011-06-15\/">/)
    expect(payload).toContain('<Type>Sender</Type>')
    expect(payload).toContain(`<RequestId>${String(headers['x-amzn-requestid'])}</RequestId>`)
    expect(errorOf(payload)).toEqual([code, expect.stringMatching(says)])
    expect(payload).not.toContain('<b>')
  })

  it('with bytes that are no text', async () => {
    const body = Buffer.from([0x41, 0xff])
    const signed = { host: 'localhost:7711', 'content-type': FORM }
    const at = fixture.clock.now()
    const headers = signRequest({ credential: ALICE_KEY, service: 'sts', at, body, headers: signed })
    const { payload } = await fixture.server.inject({ method: 'POST', url: '/', headers, payload: body })
    expect(errorOf(payload)?.[0]).toBe('MalformedInput')
  })

  it('with one action in the query and one in the form', async () => {
    const query = 'Action=GetCallerIdentity'
    const headers = signRequest({
      credential: ALICE_KEY,
      service: 'sts',
      at: fixture.clock.now(),
      body: ASK,
      headers: { host: 'localhost:7711', 'content-type': FORM },
      query,
    })
    const { payload } = await fixture.server.inject({
      method: 'POST',
      url: `/?${query}`,
      headers,
      payload: ASK,
    })
    expect(errorOf(payload)?.[0]).toBe('MalformedInput')
  })

  it('by who cannot sign, with the codes and the status of STS', async () => {
    const asked: readonly (readonly [code: string, status: number, asked: Asked])[] = [
      ['InvalidClientTokenId', 403, { credential: { ...ALICE_KEY, accessKeyId: 'AKIANOBODYNOBODYNOBO' } }],
      ['SignatureDoesNotMatch', 403, { credential: { ...ALICE_KEY, secretAccessKey: 'wrong' } }],
      ['SignatureDoesNotMatch', 403, { payloadHash: '0'.repeat(64) }],
      ['SignatureDoesNotMatch', 403, { at: fixture.clock.now() - 301_000 }],
      ['SignatureDoesNotMatch', 403, { region: 'mars-north-1' }],
      ['SignatureDoesNotMatch', 403, { unsigned: ['host'] }],
      ['IncompleteSignature', 400, { sent: { authorization: 'AWS4-HMAC-SHA256 nonsense' } }],
    ]
    for (const [code, status, how] of asked) {
      const { statusCode, payload } = await ask(ASK, how)
      expect([errorOf(payload)?.[0], statusCode]).toEqual([code, status])
      expect(payload).not.toContain('GetCallerIdentityResult')
    }
    fixture.clock.advance(SESSION_MS + 1)
    const expired = await ask(ASK, { credential: SESSION_KEY })
    expect([errorOf(expired.payload)?.[0], expired.statusCode]).toEqual(['ExpiredToken', 403])
  })

  it('with a scope of KMS, and one for KMS with a scope of STS, also after each was used', async () => {
    await ask(ASK)
    await fixture.request('ListKeys')
    const kms = await ask(ASK, { service: 'kms' })
    expect(errorOf(kms.payload)).toEqual([
      'SignatureDoesNotMatch',
      'Credential should be scoped to correct service: &apos;sts&apos;.',
    ])
    const sts = await fixture.request('ListKeys', {}, { service: 'sts' })
    expect(sts.json).toEqual({
      __type: 'InvalidSignatureException',
      message: "Credential should be scoped to correct service: 'kms'.",
    })
    expect(fixture.passed).toHaveLength(1)
  })

  it('that is too large', async () => {
    const { statusCode, payload } = await ask(`${ASK}&x=${'x'.repeat(70_000)}`)
    expect([statusCode, errorOf(payload)?.[0]]).toEqual([413, 'RequestEntityTooLarge'])
  })
})

describe('a request for STS by GET', () => {
  const byGet = async (query: string, signed = query) => {
    const headers = signRequest({
      credential: ALICE_KEY,
      service: 'sts',
      method: 'GET',
      at: fixture.clock.now(),
      headers: { host: 'localhost:7711' },
      query: signed,
    })
    return fixture.server.inject({ method: 'GET', url: `/?${query}`, headers })
  }

  it('has its action in the query', async () => {
    const { statusCode, payload } = await byGet(ASK)
    expect(statusCode).toBe(200)
    expect(payload).toContain(`<Account>${ALICE.accountId}</Account>`)
    const other = await byGet('Action=GetSessionToken&Version=2011-06-15')
    expect(errorOf(other.payload)?.[0]).toBe('InvalidAction')
  })

  it('has its query signed', async () => {
    const { statusCode, payload } = await byGet(ASK, 'Action=GetSessionToken&Version=2011-06-15')
    expect([statusCode, errorOf(payload)?.[0]]).toEqual([403, 'SignatureDoesNotMatch'])
  })

  it('without a signature is asked for one', async () => {
    const { statusCode, payload } = await fixture.server.inject({ method: 'GET', url: `/?${ASK}` })
    expect([statusCode, errorOf(payload)?.[0]]).toEqual([403, 'MissingAuthenticationToken'])
  })

  it('is no way to the KMS API', async () => {
    for (const headers of [{}, { 'x-amz-target': 'TrentService.ListKeys' }]) {
      const answer = await fixture.server.inject({ method: 'GET', url: '/', headers })
      expect([answer.statusCode, answer.headers.allow]).toEqual([405, 'POST'])
    }
  })
})
