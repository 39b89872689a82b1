import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { canonicalPath, canonicalRequest, stringToSign } from '../../../src/http/aws/canonical-request.ts'
import { CredentialDirectory } from '../../../src/http/aws/credentials.ts'
import { AwsFault } from '../../../src/http/aws/fault.ts'
import { SignatureVerifier, type SignedRequest } from '../../../src/http/aws/signature.ts'

const VECTORS = new URL('../../vectors/sigv4/', import.meta.url)

/** Cases for services that sign the path as it is; AWS KMS is none of them. */
const UNNORMALIZED = 'the path is signed unnormalized, as Amazon S3 does'
const NOT_APPLICABLE: Readonly<Record<string, string>> = {
  'get-relative-relative-unnormalized': UNNORMALIZED,
  'get-relative-unnormalized': UNNORMALIZED,
  'get-slash-dot-slash-unnormalized': UNNORMALIZED,
  'get-slash-pointless-dot-unnormalized': UNNORMALIZED,
  'get-slash-unnormalized': UNNORMALIZED,
  'get-slashes-unnormalized': UNNORMALIZED,
  'get-space-unnormalized': UNNORMALIZED,
}

const ACCOUNT_ID = '111122223333'

interface Vector {
  readonly request: SignedRequest
  readonly canonical: string
  readonly toSign: string
  readonly signature: string
  readonly context: {
    readonly credentials: {
      readonly access_key_id: string
      readonly secret_access_key: string
      readonly token?: string
    }
    readonly region: string
    readonly service: string
    readonly timestamp: string
  }
}

function readVector(name: string): Vector {
  const read = (file: string) => readFileSync(new URL(`${name}/${file}`, VECTORS), 'latin1')
  return {
    request: parseHttp(read('header-signed-request.txt')),
    canonical: read('header-canonical-request.txt'),
    toSign: read('header-string-to-sign.txt'),
    signature: read('header-signature.txt').trim(),
    context: JSON.parse(read('context.json')),
  }
}

/** The few forms of HTTP that the suite has: a folded line continues the value above it. */
function parseHttp(text: string): SignedRequest {
  const [head = '', ...bodyParts] = text.split('\n\n')
  const [requestLine = '', ...lines] = head.split(/\n(?! )/)
  const [method = '', ...target] = requestLine.replace(/ HTTP\/1\.1$/, '').split(' ')
  const rawHeaders = lines.flatMap((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1)]
  })
  const body = Buffer.from(bodyParts.join('\n\n').replace(/\n$/, ''), 'latin1')
  return withRawHeaders({ method, url: target.join(' '), headers: {}, rawHeaders, body }, rawHeaders)
}

/** A request with these headers in both of the forms that Node gives. */
function withRawHeaders(request: SignedRequest, rawHeaders: readonly string[]): SignedRequest {
  const headers: Record<string, string> = {}
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? ''
    const value = rawHeaders[index + 1]?.trim() ?? ''
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  return { ...request, headers, rawHeaders }
}

function verifierFor({ context }: Vector, now = Date.parse(context.timestamp)): SignatureVerifier {
  const { access_key_id, secret_access_key, token } = context.credentials
  const credential = { accessKeyId: access_key_id, secretAccessKey: secret_access_key, sessionToken: token }
  return new SignatureVerifier({
    credentials: new CredentialDirectory([{ accountId: ACCOUNT_ID, credentials: [credential] }]),
    clock: { now: () => now, monotonic: () => 0 },
    service: context.service,
    regions: new Set([context.region]),
  })
}

function signedHeadersOf({ rawHeaders }: SignedRequest, canonical: string) {
  const names = canonical.split('\n').at(-2)?.split(';') ?? []
  return names.map((name) => {
    const values = rawHeaders.filter(
      (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name,
    )
    return [name, values.join(',')] as const
  })
}

/** Every way in which one thing of a request can differ from what was signed. */
function* changesOf(vector: Vector): Generator<readonly [what: string, changed: SignedRequest]> {
  const { request, canonical } = vector
  yield ['method', { ...request, method: request.method === 'GET' ? 'PUT' : 'GET' }]
  yield ['path', { ...request, url: `/other${request.url}` }]
  yield ['query', { ...request, url: `${request.url}${request.url.includes('?') ? '&' : '?'}x=y` }]
  yield ['body', { ...request, body: Buffer.concat([request.body, Buffer.from('x')]) }]
  const signed = signedHeadersOf(request, canonical).map(([name]) => name)
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? ''
    if (!signed.includes(name.toLowerCase())) continue
    const changed = request.rawHeaders.with(index + 1, `${request.rawHeaders[index + 1]}x`)
    yield [`value of ${name}`, withRawHeaders(request, changed)]
    yield [`${name} taken away`, withRawHeaders(request, request.rawHeaders.toSpliced(index, 2))]
    yield [`${name} repeated`, withRawHeaders(request, [...request.rawHeaders, name, 'more'])]
  }
  yield* changesOfAuthorization(request)
}

function* changesOfAuthorization(request: SignedRequest): Generator<readonly [string, SignedRequest]> {
  const edits: readonly (readonly [what: string, from: RegExp, to: string])[] = [
    ['signature', /[0-9a-f]$/, 'g'],
    ['last digit of the signature', /([0-9a-f])$/, ''],
    ['access key', /Credential=\w+/, 'Credential=SOMEBODYELSE'],
    ['scope date', /\/\d{8}\//, '/20150829/'],
    ['scope region', /us-(east|west)-\d/, 'eu-central-1'],
    ['scope service', /\/[\w-]+\/aws4_request/, '/other/aws4_request'],
    ['terminator', /aws4_request/, 'aws5_request'],
    ['signed header dropped', /;x-amz-date/, ''],
  ]
  for (const [what, from, to] of edits) {
    const authorization = request.headers.authorization?.replace(from, to) ?? ''
    const at = request.rawHeaders.indexOf('Authorization')
    yield [what, withRawHeaders(request, request.rawHeaders.with(at + 1, authorization))]
  }
  const flipped =
    request.headers.authorization?.replace(/[0-9a-f]$/, (digit) => (digit === '0' ? '1' : '0')) ?? ''
  const at = request.rawHeaders.indexOf('Authorization')
  yield ['one bit of the signature', withRawHeaders(request, request.rawHeaders.with(at + 1, flipped))]
}

const names = readdirSync(VECTORS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

it('leaves out only vectors that exist', () => {
  expect(names).toEqual(expect.arrayContaining(Object.keys(NOT_APPLICABLE)))
})

it('encodes a path that is encoded already once more', () => {
  expect(canonicalPath('/test/@connections/JBDvjfGEIAMCERw%3D')).toBe(
    '/test/%40connections/JBDvjfGEIAMCERw%253D',
  )
})

it('trims spaces and tabs of header values and nothing else, as the bytes were signed', () => {
  const canonical = (value: string) =>
    canonicalRequest({
      method: 'GET',
      url: '/',
      headers: [['a', value]],
      signedHeadersText: 'a',
      payloadHash: '',
    })
  const signed = (value: string) => `GET\n/\n\na:${value}\n\na\n`
  expect(canonical(' \t b  c\t')).toBe(signed('b c'))
  for (const kept of ['\u00a0', '\u000b', '\u000c', '\u0085']) {
    expect(canonical(`${kept} b  c ${kept}`)).toBe(signed(`${kept} b c ${kept}`))
    expect(canonical(` ${kept}b${kept} `)).toBe(signed(`${kept}b${kept}`))
  }
})

it.each(['Authorization', 'authorization', 'HOST', 'X-Amz-Date', 'X-Amz-Target', 'X-Amz-Security-Token'])(
  'refuses a second %s, even of the same value',
  (name) => {
    const vector = readVector('get-vanilla')
    const { rawHeaders } = vector.request
    const at = rawHeaders.findIndex(
      (text, index) => index % 2 === 0 && text.toLowerCase() === name.toLowerCase(),
    )
    const value = rawHeaders[at + 1] ?? 'x'
    const more = at < 0 ? [name, value, name, value] : [name, value]
    const request = { ...vector.request, rawHeaders: [...rawHeaders, ...more] }
    expect(() => verifierFor(vector).verify(request)).toThrow(/ is there more than once\.$/)
  },
)

describe.each(names.filter((name) => !(name in NOT_APPLICABLE)))('SigV4 vector %s', (name) => {
  const vector = readVector(name)

  it('has the canonical request and the string to sign of the suite', () => {
    const { request, canonical } = vector
    const signedHeadersText = canonical.split('\n').at(-2) ?? ''
    const payloadHash = createHash('sha256').update(request.body).digest('hex')
    const headers = signedHeadersOf(request, canonical)
    const ours = canonicalRequest({ ...request, headers, signedHeadersText, payloadHash })
    expect(ours).toBe(canonical)
    const [, dateTime = '', scope = ''] = vector.toSign.split('\n')
    expect(stringToSign(dateTime, scope, ours)).toBe(vector.toSign)
    expect(request.headers.authorization).toContain(vector.signature)
  })

  it('is accepted at its time', () => {
    expect(verifierFor(vector).verify(vector.request)).toEqual({
      accountId: ACCOUNT_ID,
      accessKeyId: vector.context.credentials.access_key_id,
      region: vector.context.region,
    })
  })

  it('is refused when any one thing is changed', () => {
    const verifier = verifierFor(vector)
    for (const [what, changed] of changesOf(vector)) {
      expect(() => verifier.verify(changed), what).toThrow(AwsFault)
    }
  })

  it.each([-301_000, 301_000])('is refused %i ms away from its time', (offsetMs) => {
    const verifier = verifierFor(vector, Date.parse(vector.context.timestamp) + offsetMs)
    expect(() => verifier.verify(vector.request)).toThrow(/^Signature (expired|not yet current): /)
  })
})
