import { invariant } from './invariant.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Big-endian unsigned 16-bit integer. */
export function u16(value: number): Buffer {
  invariant(Number.isInteger(value) && value >= 0 && value <= 0xffff, 'u16 out of range')
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

/** Big-endian unsigned 32-bit integer. */
export function u32(value: number): Buffer {
  invariant(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff, 'u32 out of range')
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Lower-case UUID text, 36 characters (RFC 9562, "UUID Format"). */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}

/** The 16 bytes that a UUID's text stands for. */
export function uuidToBytes(uuid: string): Buffer {
  const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex')
  // Hex decoding stops at the first other character, so sixteen bytes prove the text.
  invariant(uuid.length === 36 && bytes.length === 16, 'not a UUID')
  return bytes
}

/** The lower-case text of 16 UUID bytes. */
export function bytesToUuid(bytes: Buffer): string {
  invariant(bytes.length === 16, 'a UUID has 16 bytes')
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Bytes of canonical base64 (RFC 4648, section 4, padded); `undefined` for any other text. */
export function parseBase64(text: string): Buffer | undefined {
  return BASE64.test(text) ? Buffer.from(text, 'base64') : undefined
}
