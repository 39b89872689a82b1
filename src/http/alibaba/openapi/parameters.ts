import { isUtf8 } from 'node:buffer'
import { OpenApiFault } from './fault.ts'

/** Parameters of a request by name, each once. */
export type Parameters = ReadonlyMap<string, string>

/** Pairs in a query or a body, and characters of a name: far above what any operation has. */
const PAIRS_MAX = 512
const NAME_CHARACTERS_MAX = 256

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

const [PERCENT, PLUS, SPACE] = [0x25, 0x2b, 0x20]

/** Byte by byte: anybody may send a body that is nothing but escapes, before any signature is looked at. */
function decode(text: string): string {
  if (!/[%+]|[^\x20-\x7e]/.test(text)) return text
  const bytes = Buffer.allocUnsafe(text.length)
  let length = 0
  for (let at = 0; at < text.length; at++) {
    let byte = text.charCodeAt(at)
    if (byte === PLUS) byte = SPACE
    else if (byte === PERCENT) {
      byte = hexDigit(text.charCodeAt(at + 1)) * 16 + hexDigit(text.charCodeAt(at + 2))
      at += 2
      // A percent sign that opens no escape could be read in two ways, and the signature is over one of them.
      if (Number.isNaN(byte)) throw malformed('A percent sign opens no escape.')
    }
    bytes[length++] = byte
  }
  const decoded = bytes.subarray(0, length)
  if (!isUtf8(decoded)) throw malformed('A parameter is not valid UTF-8.')
  return decoded.toString('utf8')
}

/** The value of a hexadecimal digit by its code; not a number for any other character, and for none. */
function hexDigit(code: number): number {
  return HEX_DIGITS[code] ?? Number.NaN
}

const HEX_DIGITS: readonly (number | undefined)[] = Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code)
  return /[0-9A-Fa-f]/.test(character) ? Number.parseInt(character, 16) : undefined
})

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

const IS_UNRESERVED = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(/[A-Za-z0-9\-_.~]/.test(String.fromCharCode(byte))),
)
const HEX = Buffer.from('0123456789ABCDEF', 'latin1')
const ESCAPE_BYTES = 3

/**
 * Strict RFC 3986: `A-Z a-z 0-9 - _ . ~` stay, and every other byte of the UTF-8 is escaped. Byte by byte into one buffer: what
 * anybody sends is encoded twice before its signature is found wrong. The text is well-formed: it came from UTF-8.
 */
export function percentEncode(text: string): string {
  if (!/[^A-Za-z0-9\-_.~]/.test(text)) return text
  const bytes = Buffer.from(text, 'utf8')
  const encoded = Buffer.allocUnsafe(bytes.length * ESCAPE_BYTES)
  let length = 0
  // By index: walking a Buffer by its iterator costs several times more.
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (IS_UNRESERVED[byte] === 1) encoded[length++] = byte
    else {
      encoded[length++] = PERCENT
      encoded[length++] = HEX[byte >> 4] ?? 0
      encoded[length++] = HEX[byte & 0x0f] ?? 0
    }
  }
  return encoded.toString('latin1', 0, length)
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
