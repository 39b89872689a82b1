import { createHmac, hash } from 'node:crypto'
import { missing, OpenApiFault } from './fault.ts'
import { canonicalQuery } from './parameters.ts'
import type { RequestSignature, SignedRequest } from './signed-request.ts'

const ALGORITHM = 'ACS3-HMAC-SHA256'
const AUTHORIZATION_CHARACTERS_MAX = 4_096
const SIGNED_HEADERS_MAX = 64
const SIGNED_HEADERS = /^[a-z0-9-]+(?:;[a-z0-9-]+)*$/
const PARTS = /^Credential=([\w.-]{1,128}),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/

/** Headers besides every `x-acs-…` of which two could be told differently by a proxy and by us. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set(['authorization', 'host', 'content-type'])

/**
 * Reads a signature of version 3 from the `Authorization` header. Exactly the headers that the client signed are verified;
 * `host` and every `x-acs-…` header that is there must be among them. The hash of the body is computed, and must be the one
 * that the header says.
 *
 * @throws {@link OpenApiFault} `IncompleteSignature`, `MissingParameter`
 * @see Alibaba Cloud, "V3 request syntax and signature method"
 */
export function readV3Signature(request: SignedRequest, authorization: string): RequestSignature {
  const [, accessKeyId = '', signedHeaders = '', signature = ''] = parseAuthorization(authorization)
  const headers = singleHeaders(request.rawHeaders)
  const bodyHash = hash('sha256', request.body, 'hex')
  if (headers.get('x-acs-content-sha256') !== bodyHash) {
    throw incomplete('The header x-acs-content-sha256 is not the SHA-256 of the body.')
  }
  const canonicalHeaders = requireSigned(signedHeaders, headers)
  const canonical = [
    request.method,
    '/',
    canonicalQuery(request.query),
    canonicalHeaders,
    signedHeaders,
    bodyHash,
  ].join('\n')
  const stringToSign = `${ALGORITHM}\n${hash('sha256', canonical, 'hex')}`
  const given = (name: string): string | undefined => headers.get(name) || undefined
  const named = (header: string, parameter: string): string => {
    const value = given(header) ?? (request.parameters.get(parameter) || undefined)
    if (value === undefined) throw missing(parameter)
    return value
  }
  return {
    accessKeyId,
    action: named('x-acs-action', 'Action'),
    version: named('x-acs-version', 'Version'),
    securityToken: given('x-acs-security-token'),
    timestamp: given('x-acs-date'),
    nonce: given('x-acs-signature-nonce'),
    stringToSign,
    signature: Buffer.from(signature, 'hex'),
    expected: ({ v3Key }) => createHmac('sha256', v3Key).update(stringToSign, 'utf8').digest(),
  }
}

function parseAuthorization(text: string): RegExpExecArray {
  if (text.length > AUTHORIZATION_CHARACTERS_MAX) throw incomplete('The Authorization header is too long.')
  if (!text.startsWith(`${ALGORITHM} `)) {
    throw incomplete(`The algorithm of the Authorization header is not supported: use ${ALGORITHM}.`)
  }
  const parts = PARTS.exec(text.slice(ALGORITHM.length + 1).trim())
  if (!parts) throw incomplete('The Authorization header is malformed.')
  return parts
}

/** Headers that count for the signature, by lower-case name, trimmed; one that is there twice is refused. */
function singleHeaders(rawHeaders: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? ''
    const value = rawHeaders[index + 1]?.trim() ?? ''
    const before = headers.get(name)
    if (before !== undefined && (SINGLE_HEADERS.has(name) || name.startsWith('x-acs-'))) {
      throw incomplete(`The header ${name} is there more than once.`)
    }
    headers.set(name, before === undefined ? value : `${before},${value}`)
  }
  return headers
}

/** The signed headers in canonical form, each `name:value` and a line feed. */
function requireSigned(signedHeaders: string, headers: ReadonlyMap<string, string>): string {
  const names = SIGNED_HEADERS.test(signedHeaders) ? signedHeaders.split(';') : []
  const ascending = names.every((name, index) => index === 0 || name > (names[index - 1] ?? ''))
  if (names.length === 0 || names.length > SIGNED_HEADERS_MAX || !ascending) {
    throw incomplete('SignedHeaders must be lower-case header names in ascending order.')
  }
  const required = ['host', ...[...headers.keys()].filter((name) => name.startsWith('x-acs-'))]
  const unsigned = required.find((name) => !names.includes(name))
  if (unsigned !== undefined) throw incomplete(`The header ${unsigned} must be signed.`)
  return names
    .map((name) => {
      const value = headers.get(name)
      if (value === undefined) throw incomplete(`The signed header ${name} is not there.`)
      return `${name}:${value}\n`
    })
    .join('')
}

function incomplete(why: string): OpenApiFault {
  return new OpenApiFault(
    'IncompleteSignature',
    `The request signature does not conform to Alibaba Cloud standards. ${why}`,
  )
}
