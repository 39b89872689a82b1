import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Principal } from '../../core/key.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Authorization, parseAuthorization } from './authorization-header.ts'
import { canonicalRequest, stringToSign, trimBlanks } from './canonical-request.ts'
import { type AwsCredential, type CredentialDirectory, hashToken } from './credentials.ts'
import { AwsFault } from './fault.ts'
import { requireRequestTime } from './signature-time.ts'

/** The parts of a request that a signature speaks of. */
export interface SignedRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

export interface SignatureSettings {
  readonly credentials: CredentialDirectory
  readonly clock: Clock
  readonly service: string
  readonly regions: ReadonlySet<string>
}

/**
 * Verifies AWS Signature Version 4 in the `Authorization` header.
 *
 * Exactly the headers that the client signed are verified, so unsigned extra ones break nothing; `host`, the date and
 * `x-amz-target`, which selects the operation, must be among them. The payload hash is computed from the body, never
 * taken from a header.
 */
export class SignatureVerifier {
  readonly #settings: SignatureSettings

  constructor(settings: SignatureSettings) {
    this.#settings = settings
  }

  /**
   * Who signed `request`.
   *
   * @throws {@link AwsFault} `MissingAuthenticationTokenException`, `IncompleteSignatureException`,
   *   `InvalidSignatureException`, `UnrecognizedClientException` (no such access key, or the wrong session token),
   *   `ExpiredTokenException`.
   * @see AWS General Reference, "Create a signed AWS API request"
   */
  verify(request: SignedRequest): Principal {
    const { credentials, clock, service, regions } = this.#settings
    refuseRepeated(request.rawHeaders)
    const authorization = parseAuthorization(request.headers.authorization)
    const { accessKeyId, region } = authorization
    if (!regions.has(region)) throw foreignRegion(region)
    if (authorization.service !== service) {
      throw invalid(`Credential should be scoped to correct service: '${service}'.`)
    }
    const now = clock.now()
    const time = requireRequestTime(request.headers, authorization.date, now)
    requireSigned(authorization, request.headers, time.header)
    const { credential, known } = credentials.find(accessKeyId)
    const scope = `${authorization.date}/${region}/${service}/aws4_request`
    const toSign = stringToSign(time.dateTime, scope, canonicalize(request, authorization))
    const signingKey = credentials.signingKey(credential, authorization.date, region, service)
    const expected = createHmac('sha256', signingKey).update(toSign).digest()
    const matches = timingSafeEqual(expected, authorization.signature)
    if (!known) throw unrecognized()
    if (!matches) throw mismatch()
    requireToken(credential, request.headers['x-amz-security-token'], now)
    return { accountId: credential.accountId, accessKeyId: credential.accessKeyId, region }
  }
}

/** As the configuration has names of regions: what looks otherwise is not repeated, since it goes into the log as well. */
const REGION_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/

function foreignRegion(region: string): AwsFault {
  const told = REGION_NAME.test(region) ? `, not '${region}'` : ''
  return invalid(`Credential should be scoped to a valid region${told}.`)
}

/** Headers that say who asks for what, where and when. Of two, Node keeps the first or joins them; a proxy may not. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'host',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-target',
])

function refuseRepeated(rawHeaders: readonly string[]): void {
  const seen: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? ''
    if (!SINGLE_HEADERS.has(name)) continue
    if (seen.includes(name)) {
      throw new AwsFault('IncompleteSignatureException', `The header '${name}' is there more than once.`)
    }
    seen.push(name)
  }
}

/** Headers whose meaning a proxy or an attacker must not be able to change. */
function requireSigned(
  authorization: Authorization,
  headers: IncomingHttpHeaders,
  dateHeader: 'X-Amz-Date' | 'Date',
): void {
  const { signedHeaders } = authorization
  if (!signedHeaders.includes('host')) {
    throw invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
  }
  const required = headers['x-amz-target'] === undefined ? [dateHeader] : [dateHeader, 'X-Amz-Target']
  const unsigned = required.find((name) => !signedHeaders.includes(name.toLowerCase()))
  if (unsigned) throw invalid(`'${unsigned}' must be a 'SignedHeader' in the AWS Authorization.`)
}

function canonicalize(request: SignedRequest, authorization: Authorization): string {
  const { signedHeaders, signedHeadersText } = authorization
  const headers = collectHeaders(request.rawHeaders, signedHeaders)
  const payloadHash = hash('sha256', request.body, 'hex')
  const declared = headers.find(([name]) => name === 'x-amz-content-sha256')
  if (declared && trimBlanks(declared[1]) !== payloadHash) throw mismatch()
  return canonicalRequest({ ...pick(request), headers, signedHeadersText, payloadHash })
}

function pick({ method, url }: SignedRequest): Pick<SignedRequest, 'method' | 'url'> {
  return { method, url }
}

/** The signed headers with their values as sent, those of a repeated header joined in order. */
function collectHeaders(
  rawHeaders: readonly string[],
  signedHeaders: readonly string[],
): readonly (readonly [name: string, value: string])[] {
  const values: (string | undefined)[] = Array.from({ length: signedHeaders.length })
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const position = signedHeaders.indexOf(rawHeaders[index]?.toLowerCase() ?? '')
    if (position < 0) continue
    const value = rawHeaders[index + 1] ?? ''
    const before = values[position]
    values[position] = before === undefined ? value : `${trimBlanks(before)},${trimBlanks(value)}`
  }
  return signedHeaders.map((name, position) => {
    const value = values[position]
    // A signed header that is not there was taken away, or was never sent.
    if (value === undefined) throw mismatch()
    return [name, value] as const
  })
}

/** The session token counts only after the signature does: nobody learns of a credential by guessing at it. */
function requireToken(
  credential: AwsCredential,
  token: string | readonly string[] | undefined,
  now: number,
): void {
  if (credential.sessionTokenHash === undefined) {
    if (token !== undefined) throw unrecognized()
  } else if (typeof token !== 'string' || !timingSafeEqual(hashToken(token), credential.sessionTokenHash)) {
    throw unrecognized()
  }
  if (credential.expiresAt !== undefined && now >= credential.expiresAt) {
    throw new AwsFault('ExpiredTokenException', 'The security token included in the request is expired')
  }
}

function invalid(message: string): AwsFault {
  return new AwsFault('InvalidSignatureException', message)
}

function unrecognized(): AwsFault {
  return new AwsFault('UnrecognizedClientException', 'The security token included in the request is invalid.')
}

function mismatch(): AwsFault {
  return invalid(
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key ' +
      'and signing method. Consult the service documentation for details.',
  )
}
