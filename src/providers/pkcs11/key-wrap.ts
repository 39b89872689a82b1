import { u16 } from '../../lib/bytes.ts'
import { invariant } from '../../lib/invariant.ts'
import { TokenRefusal } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import { CKM_AES_CBC_PAD } from './mechanisms.ts'
import type { Handle } from './module.ts'
import type { KeyWrap, KeyWrapFormat } from './settings.ts'
import { type Attribute, readOutTemplate } from './templates.ts'

/** IV of AES-CBC, which opens what the format `cbc-pad` makes. */
const CBC_IV_BYTES = 16

/** What a format makes of a key: its number in a W2 payload (docs/spec/envelope.md, ENV-11) and its length. */
interface FormatRow {
  readonly number: number
  /** @param lengthBytes - Of the key. */
  readonly wrappedBytes: (lengthBytes: number) => number
}

/** Numbers are for ever: each names how issued payloads were wrapped. The first formats are preferred. */
export const KEY_WRAP_FORMATS: Readonly<Record<KeyWrapFormat, FormatRow>> = {
  rfc5649: { number: 0, wrappedBytes: (length) => padded(length + 7, 8) + 8 },
  'pkcs7-8': { number: 1, wrappedBytes: (length) => padded(length + 8, 8) + 8 },
  'pkcs7-16': { number: 2, wrappedBytes: (length) => padded(length + 16, 16) + 8 },
  'cbc-pad': { number: 3, wrappedBytes: (length) => CBC_IV_BYTES + padded(length + 16, 16) },
}

const FORMATS = Object.keys(KEY_WRAP_FORMATS) as readonly KeyWrapFormat[]

/** Longest of the formats, in bytes. */
export const KEY_WRAP_OVERHEAD_BYTES_MAX = 32

function padded(lengthBytes: number, block: number): number {
  return lengthBytes - (lengthBytes % block)
}

/** Which format makes so many bytes of a key of `lengthBytes`, where the mechanism does not say. */
export function formatOf(
  mechanism: number,
  lengthBytes: number,
  wrappedBytes: number,
): KeyWrapFormat | undefined {
  const known = mechanism === CKM_AES_CBC_PAD ? (['cbc-pad'] as const) : FORMATS.slice(0, 3)
  return known.find((format) => KEY_WRAP_FORMATS[format].wrappedBytes(lengthBytes) === wrappedBytes)
}

/**
 * C_WrapKey with a key wrap mechanism.
 *
 * @param wrapKey - Object of role `wrap`.
 * @param lengthBytes - Of the key; bounds what may come out.
 * @returns What the format makes: with `cbc-pad` the IV comes first.
 */
export function wrapKey(
  token: LaneToken,
  mechanism: number,
  wrappingKey: Handle,
  secret: Handle,
  lengthBytes: number,
): Buffer {
  const { p11, session } = token
  const output = Buffer.allocUnsafe(lengthBytes + KEY_WRAP_OVERHEAD_BYTES_MAX)
  if (mechanism !== CKM_AES_CBC_PAD) return p11.C_WrapKey(session, { mechanism }, wrappingKey, secret, output)
  const iv = p11.C_GenerateRandom(session, Buffer.allocUnsafe(CBC_IV_BYTES))
  const wrapped = p11.C_WrapKey(session, { mechanism, parameter: iv }, wrappingKey, secret, output)
  return Buffer.concat([iv, wrapped])
}

/**
 * C_UnwrapKey of what {@link wrapKey} made, into a session object that can be read. The caller destroys it.
 *
 * @param lengthBytes - Of the key.
 */
export function unwrapKey(
  token: LaneToken,
  { mechanism, readOut }: Omit<KeyWrap, 'format'>,
  wrappingKey: Handle,
  wrapped: Buffer,
  lengthBytes: number,
): Handle {
  return unwrapAs(token, mechanism, wrappingKey, wrapped, readOutTemplate(readOut, lengthBytes))
}

/** {@link unwrapKey} into an object of another kind. */
export function unwrapAs(
  token: LaneToken,
  mechanism: number,
  wrappingKey: Handle,
  wrapped: Buffer,
  template: Attribute[],
): Handle {
  const { p11, session } = token
  if (mechanism !== CKM_AES_CBC_PAD) {
    return p11.C_UnwrapKey(session, { mechanism }, wrappingKey, wrapped, template)
  }
  const [parameter, bytes] = [wrapped.subarray(0, CBC_IV_BYTES), wrapped.subarray(CBC_IV_BYTES)]
  return p11.C_UnwrapKey(session, { mechanism, parameter }, wrappingKey, bytes, template)
}

/** Layout of a W2 payload: format in the high three bits, length of the key in the low thirteen, then what was wrapped. */
const HEAD_BYTES = 2
const LENGTH_BITS = 13
const LENGTH_BYTES_MAX = 2 ** LENGTH_BITS - 1

/** A key as it is sealed in mode W2. */
export interface WrappedPayload {
  /** `undefined`: a number that no format has. */
  readonly format: KeyWrapFormat | undefined
  readonly lengthBytes: number
  readonly wrapped: Buffer
}

/** What C_Encrypt seals in mode W2. Clause ENV-11. */
export function encodeWrappedPayload(format: KeyWrapFormat, lengthBytes: number, wrapped: Buffer): Buffer {
  invariant(lengthBytes <= LENGTH_BYTES_MAX, 'a wrapped key is at most 8191 bytes long')
  return Buffer.concat([u16((KEY_WRAP_FORMATS[format].number << LENGTH_BITS) | lengthBytes), wrapped])
}

/**
 * Inverse of {@link encodeWrappedPayload}.
 *
 * @throws {@link TokenRefusal} `CIPHERTEXT_INVALID` for a payload without a wrapped key.
 */
export function parseWrappedPayload(payload: Buffer): WrappedPayload {
  if (payload.length <= HEAD_BYTES) {
    throw new TokenRefusal({ code: 'CIPHERTEXT_INVALID', reason: 'The payload is shorter than its head.' })
  }
  const head = payload.readUInt16BE()
  return {
    format: FORMATS.find((format) => KEY_WRAP_FORMATS[format].number === head >> LENGTH_BITS),
    lengthBytes: head & LENGTH_BYTES_MAX,
    wrapped: payload.subarray(HEAD_BYTES),
  }
}
