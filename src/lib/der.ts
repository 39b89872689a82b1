/** DER as far as encodings of keys need it: definite lengths and tag numbers below 31 (X.690, "Distinguished encoding rules"). */
export const DER_TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  sequence: 0x30,
  context1: 0xa1,
} as const

/** One value to encode: a tag and what stands in it, in order. */
export interface DerValue {
  readonly tag: number
  readonly content: readonly (DerValue | Uint8Array)[]
}

/** A value that was read: its content and where the next one begins. */
export interface DerRead {
  readonly content: Buffer
  readonly end: number
}

const ZERO = Buffer.of(0)

/** Encodes into one buffer, so that no other copy of a secret in it is left behind. */
export function encodeDer(value: DerValue): Buffer {
  const bytes = Buffer.alloc(sizeOf(value))
  write(value, bytes, 0)
  return bytes
}

/** INTEGER of an unsigned big-endian number of any length, without needless zeros. */
export function derUnsigned(magnitude: Buffer): DerValue {
  const start = magnitude.findIndex((byte) => byte !== 0)
  const digits = start < 0 ? ZERO : magnitude.subarray(start)
  const content = (digits[0] ?? 0) >= 0x80 ? [ZERO, digits] : [digits]
  return { tag: DER_TAG.integer, content }
}

/**
 * Reads the value at `at`.
 *
 * @returns `undefined` when there is none of that tag, it does not fit, or its length is not encoded the shortest way.
 */
export function readDer(bytes: Buffer, tag: number, at = 0): DerRead | undefined {
  const first = bytes[at + 1]
  if (bytes[at] !== tag || first === undefined) return undefined
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  const start = at + 2 + lengthBytes
  // Four bytes of length are more than any key has.
  if (first === 0x80 || lengthBytes > 4 || start > bytes.length) return undefined
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes)
  if (lengthSize(length) !== 1 + lengthBytes || start + length > bytes.length) return undefined
  return { content: bytes.subarray(start, start + length), end: start + length }
}

/**
 * Reads a SEQUENCE of two INTEGERs that are not negative, and nothing else. Reads untrusted bytes.
 *
 * @returns Their magnitudes, big-endian, without a zero before them but for 0 itself; `undefined` for anything but the one DER form.
 */
export function readUnsignedPair(bytes: Buffer): readonly [Buffer, Buffer] | undefined {
  const whole = readDer(bytes, DER_TAG.sequence)
  const first = whole && readDer(whole.content, DER_TAG.integer)
  const second = first && readDer(whole.content, DER_TAG.integer, first.end)
  if (whole?.end !== bytes.length || second?.end !== whole.content.length) return undefined
  const [one, other] = [magnitudeOf(first?.content), magnitudeOf(second.content)]
  return one && other && [one, other]
}

/** `undefined` for a negative number and for one with a needless zero before it. */
function magnitudeOf(content: Buffer | undefined): Buffer | undefined {
  const [first, second] = content ?? []
  if (!content || first === undefined || first >= 0x80) return undefined
  if (first !== 0 || second === undefined) return content
  return second < 0x80 ? undefined : content.subarray(1)
}

function write(value: DerValue, bytes: Buffer, start: number): number {
  const length = contentSize(value)
  const lengthBytes = lengthSize(length) - 1
  let at = bytes.writeUInt8(value.tag, start)
  if (lengthBytes === 0) at = bytes.writeUInt8(length, at)
  else at = bytes.writeUIntBE(length, bytes.writeUInt8(0x80 | lengthBytes, at), lengthBytes)
  for (const part of value.content) {
    if (!(part instanceof Uint8Array)) at = write(part, bytes, at)
    else {
      bytes.set(part, at)
      at += part.length
    }
  }
  return at
}

function sizeOf(value: DerValue): number {
  const length = contentSize(value)
  return 1 + lengthSize(length) + length
}

function contentSize({ content }: DerValue): number {
  return content.reduce((sum, part) => sum + (part instanceof Uint8Array ? part.length : sizeOf(part)), 0)
}

/** How many bytes a length takes. */
function lengthSize(length: number): number {
  if (length < 0x80) return 1
  return 1 + Math.ceil((32 - Math.clz32(length)) / 8)
}
