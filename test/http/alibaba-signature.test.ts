import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { queryOf, rfc3986, signV1, signV3 } from '../support/sign-alibaba.ts'
import { ALICE_ACS, alibabaFixture, faultOf, STS_ACS, STS_MS } from './alibaba-fixture.ts'

const fixture = alibabaFixture()
const { rpc, v3, send, clock } = fixture
const MINUTE_MS = 60_000
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** A V1 request with its parameters changed after they were signed. */
async function tampered(change: (signed: Record<string, string>) => void) {
  const signed = signV1(ALICE_ACS, 'POST', { Action: 'ListKeys' }, clock.now())
  change(signed)
  return send('POST', queryOf(signed), {})
}

describe('a request signed by V1', () => {
  it.each([
    ['GET', 'query'],
    ['POST', 'query'],
    ['POST', 'body'],
  ] as const)('%s in the %s is taken', async (method, place) => {
    const answer = await rpc('ListKeys', {}, { method, place })
    expect(answer).toMatchObject({ status: 200, json: { PageNumber: 1, Keys: { Key: [] } } })
    expect(answer.headers['x-acs-request-id']).toBe(answer.json['RequestId'])
  })

  it('in query and body together is taken, and the body counts where both name a parameter', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const whole = signV1(ALICE_ACS, 'POST', { Action: 'DescribeKey', KeyId }, clock.now())
    const { Signature = '', AccessKeyId = '', ...rest } = whole
    const answer = await send(
      'POST',
      queryOf({ ...rest, KeyId: 'other' }),
      FORM,
      queryOf({ Signature, AccessKeyId, KeyId }),
    )
    expect(answer).toMatchObject({ status: 200, json: { KeyMetadata: { KeyId } } })
  })

  it('is verified whatever the wire encoded', async () => {
    const signed = signV1(ALICE_ACS, 'POST', { Action: 'ListKeys', Odd: "!'()*~ +" }, clock.now())
    const wire = Object.entries(signed).map(
      ([name, value]) => `${name}=${name === 'Odd' ? "!'()*%7e+%2b" : rfc3986(value)}`,
    )
    expect((await send('POST', wire.toReversed().join('&'), {})).status).toBe(200)
  })

  it('is refused when anything signed is changed, with the string that the server signed', async () => {
    const answers = await Promise.all([
      tampered((signed) => (signed['Extra'] = '1')),
      tampered((signed) => (signed['Action'] = 'OpenKmsService')),
      tampered((signed) => delete signed['SignatureNonce']),
      tampered((signed) => (signed['Signature'] = 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=')),
    ])
    for (const answer of answers) {
      expect(answer).toMatchObject({
        status: 400,
        json: { Code: 'SignatureDoesNotMatch', HostId: 'localhost:7711' },
      })
    }
    const shown = String(answers[0]?.json['Message']).split('server string to sign is:')[1]
    expect(shown).toMatch(/^POST&%2F&AccessKeyId%3D.*%26Extra%3D1%26/)
  })

  it('shows no string that is longer than it may be', async () => {
    const answer = await tampered((signed) => (signed['Extra'] = '%'.repeat(5_000)))
    expect(answer.json['Code']).toBe('SignatureDoesNotMatch')
    expect(answer.text.length).toBeLessThan(400)
  })

  it.each([
    ['AccessKeyId', 'MissingParameter'],
    ['Action', 'MissingParameter'],
    ['Version', 'MissingParameter'],
    ['Signature', 'MissingParameter'],
    ['SignatureMethod', 'MissingParameter'],
    ['SignatureVersion', 'MissingParameter'],
    ['Timestamp', 'IllegalTimestamp'],
  ])('without %s is refused with %s', async (name, code) => {
    const answer = await tampered((signed) => delete signed[name])
    expect(answer).toMatchObject({ status: 400, json: { Code: code } })
  })

  it.each([
    ['SignatureMethod', 'HMAC-SHA256', 'IncompleteSignature'],
    ['SignatureVersion', '2.0', 'IncompleteSignature'],
    ['SignatureType', 'BEARERTOKEN', 'IncompleteSignature'],
    ['Signature', 'short', 'IncompleteSignature'],
    ['Timestamp', '2026-11-28 16:00:00', 'IllegalTimestamp'],
  ])('with %s %s is refused', async (name, value, code) => {
    const answer = await tampered((signed) => (signed[name] = value))
    expect(answer).toMatchObject({ status: 400, json: { Code: code } })
  })

  it('takes an empty SignatureType, milliseconds in the time, and no nonce', async () => {
    expect((await rpc('ListKeys', { SignatureType: '' })).status).toBe(200)
    expect((await rpc('ListKeys', { Timestamp: new Date(clock.now()).toISOString() })).status).toBe(200)
    const again = { SignatureNonce: '', Timestamp: new Date(clock.now()).toISOString() }
    expect((await rpc('ListKeys', again)).status).toBe(200)
    expect((await rpc('ListKeys', again)).status).toBe(200)
  })

  it.each([
    [-16, 400],
    [-14, 200],
    [14, 200],
    [16, 400],
  ])('%i minutes away is answered with %i', async (minutes, status) => {
    const answer = await rpc('ListKeys', {}, { at: clock.now() + minutes * MINUTE_MS })
    expect(answer.status).toBe(status)
    if (status !== 200) expect(answer.json['Code']).toBe('IllegalTimestamp')
  })

  it('is taken once with one nonce, and one that was refused uses up none', async () => {
    const SignatureNonce = randomUUID()
    const wrong = { ...ALICE_ACS, accessKeySecret: 'wrong' }
    expect((await rpc('ListKeys', { SignatureNonce }, { credential: wrong })).json['Code']).toBe(
      'SignatureDoesNotMatch',
    )
    expect((await rpc('ListKeys', { SignatureNonce })).status).toBe(200)
    expect(faultOf(await rpc('ListKeys', { SignatureNonce }))).toEqual([
      400,
      'SignatureNonceUsed',
      'Specified signature nonce was used already.',
    ])
    expect((await rpc('ListKeys', { SignatureNonce: 'n'.repeat(129) })).json['Code']).toBe('InvalidParameter')
  })

  it('whose nonce nobody can tell of is refused as retryable, and does nothing', async () => {
    const unsure = alibabaFixture({ nonces: { take: async () => undefined } })
    const answer = await unsure.rpc('CreateKey')
    expect([answer.status, answer.json['Code']]).toEqual([503, 'ServiceUnavailableTemporary'])
    const without = await unsure.rpc('ListKeys', { SignatureNonce: '' })
    expect(without.json).toMatchObject({ TotalCount: 0 })
  })

  it('of an access key that is not there is refused with 404', async () => {
    const nobody = { accessKeyId: 'LTAInobody', accessKeySecret: 'nothing' }
    expect(faultOf(await rpc('ListKeys', {}, { credential: nobody }))).toEqual([
      404,
      'InvalidAccessKeyId.NotFound',
      'The AccessKey ID provided does not exist in our records.',
    ])
  })

  it('with a security token is taken with that one alone, until it expires', async () => {
    const other = alibabaFixture()
    expect((await other.rpc('ListKeys', {}, { credential: STS_ACS })).status).toBe(200)
    const { securityToken: _, ...without } = STS_ACS
    for (const credential of [
      without,
      { ...STS_ACS, securityToken: 'other' },
      { ...ALICE_ACS, securityToken: 'x' },
    ]) {
      const answer = await other.rpc('ListKeys', {}, { credential })
      expect(answer.json['Code']).toBe('InvalidSecurityToken.MismatchWithAccessKey')
    }
    other.clock.advance(STS_MS)
    expect((await other.rpc('ListKeys', {}, { credential: STS_ACS })).json['Code']).toBe(
      'InvalidSecurityToken.Expired',
    )
  })
})

describe('a request signed by V3', () => {
  it.each([
    ['nothing but headers', {}],
    ['parameters in the query', { query: { PageSize: '7', "it's": '*~!' } }],
    ['parameters in the body', { body: 'PageSize=7&x=a+b', headers: FORM }],
    ['GET', { method: 'GET', query: { PageSize: '7' } }],
  ] as const)('with %s is taken', async (_what, request) => {
    const answer = await v3('ListKeys', request)
    expect(answer).toMatchObject({ status: 200, json: { PageNumber: 1 } })
    if ('query' in request || 'body' in request) expect(answer.json['PageSize']).toBe(7)
  })

  it('is refused when a header, the query or the body is another than was signed', async () => {
    const at = clock.now()
    const headers = signV3(ALICE_ACS, { action: 'ListKeys', at })
    const other = signV3(ALICE_ACS, { action: 'ListKeys', at })
    const codes = await Promise.all(
      [
        send('POST', '', { ...headers, 'x-acs-action': 'OpenKmsService' }),
        send('POST', 'PageSize=7', headers),
        send('GET', '', headers),
        send('POST', '', headers, 'PageSize=7'),
        send('POST', '', { ...headers, 'x-acs-extra': '1' }),
        send('POST', '', { ...headers, authorization: other['authorization'] ?? '' }),
        v3('ListKeys', { unsigned: ['host'] }),
        v3('ListKeys', { unsigned: ['x-acs-date'] }),
      ].map(async (answer) => (await answer).json['Code']),
    )
    expect(codes).toEqual([
      'SignatureDoesNotMatch',
      'SignatureDoesNotMatch',
      'SignatureDoesNotMatch',
      'IncompleteSignature',
      'IncompleteSignature',
      'SignatureDoesNotMatch',
      'IncompleteSignature',
      'IncompleteSignature',
    ])
  })

  it('is refused with a string to sign that the SDK can compare', async () => {
    const headers = signV3(
      { ...ALICE_ACS, accessKeySecret: 'wrong' },
      { action: 'ListKeys', at: clock.now() },
    )
    const { json } = await send('POST', '', headers)
    expect(json['Message']).toMatch(/server string to sign is:ACS3-HMAC-SHA256\n[\da-f]{64}$/)
  })

  it.each([
    'ACS4-HMAC-SHA256 Credential=a/20261128/us-east-1/Kms/aliyun_v4_request,SignedHeaders=host,Signature=00',
    'ACS3-HMAC-SM3 Credential=a,SignedHeaders=host,Signature=00',
    'ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host',
    'ACS3-HMAC-SHA256 nonsense',
    'Bearer x',
    `ACS3-HMAC-SHA256 ${'x'.repeat(5000)}`,
  ])('%.60s is answered with a clear error', async (authorization) => {
    const headers = { ...signV3(ALICE_ACS, { action: 'ListKeys', at: clock.now() }), authorization }
    const { status, json } = await send('POST', '', headers)
    expect([status, json['Code']]).toEqual([400, 'IncompleteSignature'])
    if (authorization.startsWith('ACS4')) expect(json['Message']).toContain('use ACS3-HMAC-SHA256')
  })

  it('keeps to the window and to nonces as V1 does', async () => {
    expect((await v3('ListKeys', { at: clock.now() - 16 * MINUTE_MS })).json['Code']).toBe('IllegalTimestamp')
    const request = { headers: { 'x-acs-signature-nonce': 'once' } }
    expect((await v3('ListKeys', request)).status).toBe(200)
    expect((await v3('ListKeys', request)).json['Code']).toBe('SignatureNonceUsed')
    expect((await v3('ListKeys', {}, STS_ACS)).status).toBe(200)
  })
})

describe('a request that cannot be read', () => {
  it.each([
    ['a parameter twice', 'Action=ListKeys&Action=OpenKmsService'],
    ['a broken escape', 'Action=%zz'],
    ['bytes that are no UTF-8', 'Action=%ff'],
  ])('with %s is refused before its signature is looked at', async (_what, query) => {
    const answer = await send('POST', query, {})
    expect([answer.status, answer.json['Code']]).toEqual([400, 'ParseRequestParameterException'])
  })

  it('with a body of another type is refused', async () => {
    const answer = await send('POST', 'Action=ListKeys', { 'content-type': 'application/json' }, '{}')
    expect(answer.json['Code']).toBe('ParseRequestParameterException')
  })

  it('with a body that is too large is refused in the words of this API', async () => {
    const answer = await send('POST', '', FORM, `a=${'x'.repeat(70_000)}`)
    expect([answer.status, answer.json['Code']]).toEqual([413, 'RequestEntityTooLarge'])
  })
})
