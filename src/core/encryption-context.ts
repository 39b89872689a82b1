import { KmsError } from './errors.ts'

/** The caller's pairs, bound to a ciphertext as additional authenticated data. An empty one is the same as none. */
export type EncryptionContext = ReadonlyMap<string, string>

export const EMPTY_CONTEXT: EncryptionContext = new Map()

/** Longest canonical form, kind byte included. AWS KMS takes 8192 characters of JSON. */
export const ENCRYPTION_CONTEXT_BYTES_MAX = 8192

/** What kind of caller AAD follows: kept apart so that no two kinds ever give the same bytes. */
const AAD_KIND = { none: 0x00, encryptionContext: 0x01 } as const

/**
 * The canonical bytes of an encryption context (docs/spec/envelope.md, clauses CTX-1 to CTX-5).
 *
 * Injective: a kind byte, the count of pairs, then each pair's name and value as length-prefixed UTF-8, sorted by
 * the bytes of the name, so `{"a":"bc"}` and `{"ab":"c"}` never meet.
 *
 * @returns At most {@link ENCRYPTION_CONTEXT_BYTES_MAX} bytes.
 * @throws {@link KmsError} `REQUEST_INVALID` when it is longer or holds text that is not well-formed Unicode
 *   (a lone surrogate has no UTF-8 form, and replacing it would let two contexts meet).
 */
export function encodeEncryptionContext(context: EncryptionContext): Buffer {
  if (context.size === 0) return Buffer.of(AAD_KIND.none)
  const pairs = [...context].map(([name, value]) => [utf8(name), utf8(value)] as const)
  const sizeBytes = pairs.reduce((sum, [name, value]) => sum + 4 + name.length + value.length, 3)
  if (sizeBytes > ENCRYPTION_CONTEXT_BYTES_MAX) {
    throw invalid(`The encryption context is longer than ${ENCRYPTION_CONTEXT_BYTES_MAX} bytes.`)
  }
  pairs.sort(([a], [b]) => Buffer.compare(a, b))
  return writePairs(pairs, sizeBytes)
}

/** One buffer for all of it: this is on the way of every request. */
function writePairs(pairs: readonly (readonly [name: Buffer, value: Buffer])[], sizeBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(sizeBytes)
  let at = bytes.writeUInt8(AAD_KIND.encryptionContext, 0)
  at = bytes.writeUInt16BE(pairs.length, at)
  for (const text of pairs.flat()) {
    at = bytes.writeUInt16BE(text.length, at)
    at += text.copy(bytes, at)
  }
  return bytes
}

function utf8(text: string): Buffer {
  if (!text.isWellFormed())
    throw invalid('The encryption context holds text that is not well-formed Unicode.')
  return Buffer.from(text, 'utf8')
}

function invalid(message: string): KmsError<'REQUEST_INVALID'> {
  return new KmsError('REQUEST_INVALID', message, { field: 'EncryptionContext' })
}
