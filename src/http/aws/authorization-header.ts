import { trimBlanks } from './canonical-request.ts'
import { AwsFault } from './fault.ts'

/** A parsed `Authorization` header. Every part has its form checked, none is believed yet. */
export interface Authorization {
  readonly accessKeyId: string
  /** `yyyymmdd` */
  readonly date: string
  readonly region: string
  readonly service: string
  /** Lower case, ascending, each once. */
  readonly signedHeaders: readonly string[]
  /** `signedHeaders` as sent, joined by `;`. */
  readonly signedHeadersText: string
  /** 32 bytes. */
  readonly signature: Buffer
}

const ALGORITHM = 'AWS4-HMAC-SHA256'
const TERMINATOR = 'aws4_request'

const AUTHORIZATION_CHARACTERS_MAX = 4_096
const SIGNED_HEADERS_MAX = 64

const PARAMETERS = ['Credential', 'Signature', 'SignedHeaders'] as const
const SCOPE_PARTS = /^[\w.-]{1,128}\/\d{8}\/[\w.-]{1,128}\/[\w.-]{1,128}\/\w+$/
const SCOPE_DATE = /^\d{8}$/
/** Names of tokens (RFC 9110, "Field Names"), none empty. One pass over the list is cheaper than one per name. */
const SIGNED_HEADERS = /^[a-z0-9!#$%&'*+.^_`|~-]+(?:;[a-z0-9!#$%&'*+.^_`|~-]+)*$/
const SIGNATURE = /^[0-9a-f]{64}$/

/**
 * Reads `AWS4-HMAC-SHA256 Credential=…/…/…/kms/aws4_request, SignedHeaders=…, Signature=…`.
 *
 * @throws {@link AwsFault} `MissingAuthenticationTokenException` when there is none, `IncompleteSignatureException`
 *   when it has another form. The texts are AWS's; what was sent is never repeated in them.
 */
export function parseAuthorization(header: string | undefined): Authorization {
  if (header === undefined || header === '') {
    throw new AwsFault('MissingAuthenticationTokenException', 'Request is missing Authentication Token')
  }
  if (header.length > AUTHORIZATION_CHARACTERS_MAX) throw incomplete('Authorization header is too long.')
  if (!header.startsWith(`${ALGORITHM} `)) throw incomplete(`Unsupported AWS 'algorithm': use ${ALGORITHM}.`)
  const parameters = splitParameters(header.slice(ALGORITHM.length + 1))
  const missing = PARAMETERS.filter((name) => !parameters.has(name))
  if (missing.length > 0) {
    throw incomplete(missing.map((name) => `Authorization header requires '${name}' parameter.`).join(' '))
  }
  const signature = parameters.get('Signature') ?? ''
  if (!SIGNATURE.test(signature)) throw incomplete("'Signature' must be 64 lower-case hexadecimal digits.")
  const signedHeadersText = parameters.get('SignedHeaders') ?? ''
  return {
    ...parseCredential(parameters.get('Credential') ?? ''),
    signedHeaders: parseSignedHeaders(signedHeadersText),
    signedHeadersText,
    signature: Buffer.from(signature, 'hex'),
  }
}

function splitParameters(text: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const part of text.split(',')) {
    const equals = part.indexOf('=')
    const name = trimBlanks(part.slice(0, Math.max(equals, 0)))
    if (name === '' || parameters.has(name))
      throw incomplete('Authorization header has a malformed parameter.')
    parameters.set(name, trimBlanks(part.slice(equals + 1)))
  }
  return parameters
}

function parseCredential(text: string): Pick<Authorization, 'accessKeyId' | 'date' | 'region' | 'service'> {
  const [accessKeyId = '', date = '', region = '', service = '', terminator, ...more] = text.split('/')
  if (terminator === undefined || more.length > 0) {
    throw incomplete(
      'Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.',
    )
  }
  if (terminator !== TERMINATOR) {
    throw scopeFault(`Credential should be scoped with a valid terminator: '${TERMINATOR}'.`)
  }
  if (!SCOPE_DATE.test(date)) throw scopeFault('Date in Credential scope should be in YYYYMMDD format.')
  if (!SCOPE_PARTS.test(text)) throw incomplete('Credential has a malformed element.')
  return { accessKeyId, date, region, service }
}

function parseSignedHeaders(text: string): readonly string[] {
  const names = SIGNED_HEADERS.test(text) ? text.split(';') : []
  const ascending = names.every((name, index) => index === 0 || name > (names[index - 1] ?? ''))
  if (names.length === 0 || names.length > SIGNED_HEADERS_MAX || !ascending) {
    throw incomplete("'SignedHeaders' must be lower-case header names in ascending order.")
  }
  return names
}

function incomplete(message: string): AwsFault {
  return new AwsFault('IncompleteSignatureException', message)
}

function scopeFault(message: string): AwsFault {
  return new AwsFault('InvalidSignatureException', message)
}
