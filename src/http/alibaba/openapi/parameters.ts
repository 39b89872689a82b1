import { isUtf8 } from 'node:buffer'
import { OpenApiFault } from './fault.ts'

/** Parameters of a request by name, each once. */
export type Parameters = ReadonlyMap<string, string>

/** Pairs in a query or a body, and characters of a name: far above what any operation has. */
const PAIRS_MAX = 512
const NAME_CHARACTERS_MAX = 256

/** What RFC 3986 calls unreserved; everything else is percent-encoded, each byte of its UTF-8. */
const RESERVED = /[!'()*]/g

/**
 * The parameters of a query or a form body, decoded exactly once: `+` is a space, `%XX` a byte of UTF-8.
 *
 * @param text - As it was sent, one character per byte.
 * @throws {@link OpenApiFault} `ParseRequestParameterException` for a broken escape, bytes that are no UTF-8, a name that is
 *   empty, too long or there twice, or too many pairs.
 */
export function parseParameters(text: string): Parameters {
  const parameters = new Map<string, string>()
  let start = 0
  while (start <= text.length) {
    const next = text.indexOf('&', start)
    const end = next < 0 ? text.length : next
    if (end > start) addPair(parameters, text.slice(start, end))
    start = end + 1
  }
  return parameters
}

function addPair(parameters: Map<string, string>, pair: string): void {
  const equals = pair.indexOf('=')
  const name = decode(equals < 0 ? pair : pair.slice(0, equals))
  const value = equals < 0 ? '' : decode(pair.slice(equals + 1))
  if (name === '' || name.length > NAME_CHARACTERS_MAX) throw malformed('A name is empty or too long.')
  if (parameters.has(name)) throw malformed('A parameter is there more than once.')
  if (parameters.size >= PAIRS_MAX) throw malformed('There are too many parameters.')
  parameters.set(name, value)
}

function decode(text: string): string {
  if (!/[%+]|[^\x20-\x7e]/.test(text)) return text
  const spaced = text.replaceAll('+', ' ')
  // A percent sign that opens no escape could be read in two ways, and the signature is over one of them.
  if (/%(?![0-9A-Fa-f]{2})/.test(spaced)) throw malformed('A percent sign opens no escape.')
  const bytes = Buffer.from(
    spaced.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
  if (!isUtf8(bytes)) throw malformed('A parameter is not valid UTF-8.')
  return bytes.toString('utf8')
}

/** Query and body together: where both name a parameter, the body's is the one that counts. */
export function mergeParameters(query: Parameters, body: Parameters): Parameters {
  return body.size === 0 ? query : new Map([...query, ...body])
}

/**
 * The parameters as they are signed: sorted by name, each `name=value` strictly percent-encoded whatever it was on the wire
 * (RFC 3986, "Unreserved Characters").
 */
export function canonicalQuery(parameters: Iterable<readonly [name: string, value: string]>): string {
  const pairs = [...parameters].map(([name, value]) => [name, percentEncode(value)] as const)
  // As SDKs sort: by UTF-16 code units of the names, which are ASCII wherever an SDK made them.
  pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return pairs.map(([name, value]) => `${percentEncode(name)}=${value}`).join('&')
}

/** Strict RFC 3986: `A-Z a-z 0-9 - _ . ~` stay. The text is well-formed: it came from UTF-8. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(
    RESERVED,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/**
 * The list that `Name.1`, `Name.2` … spell, without gaps from 1 on; empty where there is none.
 *
 * @param max - Items beyond it make one more in the result, so that the schema can refuse the list.
 */
export function listOf(parameters: Parameters, name: string, max: number): string[] {
  const items: string[] = []
  for (let number = 1; number <= max + 1; number++) {
    const item = parameters.get(`${name}.${number}`)
    if (item === undefined || item === '') break
    items.push(item)
  }
  return items
}

function malformed(why: string): OpenApiFault {
  return new OpenApiFault(
    'ParseRequestParameterException',
    `Server parse parameters exception. Please check your input params. ${why}`,
  )
}
