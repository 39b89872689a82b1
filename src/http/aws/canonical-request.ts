import { hash } from 'node:crypto'

/**
 * Canonical form of an HTTP request for AWS Signature Version 4. Header values and targets are taken as latin1 text,
 * one character per byte on the wire, which is how Node gives them.
 *
 * @see AWS General Reference, "Create a signed AWS API request", step "Create a canonical request"
 */
export function canonicalRequest(request: {
  readonly method: string
  /** Path and query as sent. */
  readonly url: string
  /** Signed headers in order, values as sent; several values of one name joined by `,`. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly signedHeadersText: string
  /** Lower-case hexadecimal SHA-256 of the body. */
  readonly payloadHash: string
}): string {
  const { method, url, headers, signedHeadersText, payloadHash } = request
  const question = url.indexOf('?')
  const path = question < 0 ? url : url.slice(0, question)
  const query = question < 0 ? '' : url.slice(question + 1)
  let text = `${method}\n${canonicalPath(path)}\n${canonicalQuery(query)}\n`
  for (const [name, value] of headers) text += `${name}:${canonicalValue(value)}\n`
  return `${text}\n${signedHeadersText}\n${payloadHash}`
}

/** What is signed: algorithm, time, scope and the hash of the canonical request's bytes. */
export function stringToSign(dateTime: string, scope: string, canonical: string): string {
  return `AWS4-HMAC-SHA256\n${dateTime}\n${scope}\n${hash('sha256', Buffer.from(canonical, 'latin1'), 'hex')}`
}

/** Dot segments and doubled slashes go (RFC 3986, "Remove Dot Segments"), then each segment is encoded once more. */
export function canonicalPath(path: string): string {
  if (path === '/' || path === '') return '/'
  const segments: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '.' && segment !== '') segments.push(percentEncode(segment))
  }
  const trailing = segments.length > 0 && /\/\.{0,2}$/.test(path) ? '/' : ''
  return `/${segments.join('/')}${trailing}`
}

/** Parameters in the order of their encoded names, then values. */
function canonicalQuery(query: string): string {
  if (query === '') return ''
  const pairs = query.split('&').filter((part) => part !== '')
  const encoded = pairs.map((part) => {
    const equals = part.indexOf('=')
    const name = equals < 0 ? part : part.slice(0, equals)
    const value = equals < 0 ? '' : part.slice(equals + 1)
    return [percentEncode(percentDecode(name)), percentEncode(percentDecode(value))] as const
  })
  // Encoded text is ASCII, so comparing characters compares bytes.
  encoded.sort(([a, b], [c, d]) => compare(a, c) || compare(b, d))
  return encoded.map(([name, value]) => `${name}=${value}`).join('&')
}

/** Ends trimmed, inner white space folded to one space. */
function canonicalValue(value: string): string {
  return FOLDABLE.test(value) ? trimBlanks(value.replace(/[ \t\r\n]+/g, ' ')) : value
}

/** Without the spaces and tabs at its ends. `trim()` takes more, such as the no-break space, which is the byte 0xa0. */
export function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (start < end && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

const BLANKS = { space: 0x20, tab: 0x09 } as const

function isBlank(character: number): boolean {
  return character === BLANKS.space || character === BLANKS.tab
}

const FOLDABLE = /^[ \t\r\n]|[ \t\r\n]$|[ \t\r\n]{2}|[\t\r\n]/
const UNRESERVED = /[^A-Za-z0-9\-._~]/g

function percentEncode(text: string): string {
  return text.replace(UNRESERVED, (character) => {
    const hex = character.charCodeAt(0).toString(16).toUpperCase()
    return `%${hex.padStart(2, '0')}`
  })
}

/** A `%` that opens no escape stands for itself. */
function percentDecode(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
