import { z } from 'zod'
import type { EncryptionContext } from '../../core/encryption-context.ts'
import { parseBase64 } from '../../lib/bytes.ts'
import { invariant } from '../../lib/invariant.ts'

/** Shapes that several operations share, with the limits of the AWS KMS service model. */

const BASE64_QUANTUM = { characters: 4, bytes: 3 } as const

export const keyId = z.string().min(1).max(2048)
export const marker = z.string().min(1).max(1024)
export const numberOfBytes = z.int().min(1).max(1024)
export const dataKeySpec = z.enum(['AES_256', 'AES_128'])
export const dryRun = z.boolean()
export const grantTokens = z.array(z.string().min(1).max(8192)).max(10)
export const aliasName = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[a-zA-Z0-9:/_-]+$/)

/** Only symmetric keys exist so far; operations refuse the others' algorithms by {@link requireSymmetricAlgorithm}. */
export const encryptionAlgorithm = z.enum([
  'SYMMETRIC_DEFAULT',
  'RSAES_OAEP_SHA_1',
  'RSAES_OAEP_SHA_256',
  'SM2PKE',
])

/** Base64 text of `bytesMin` to `bytesMax` bytes; {@link decodeBlob} gives them. */
export function blob(bytesMin: number, bytesMax: number): z.ZodType<string> {
  return z.string().check((context) => {
    const { value: input, issues } = context
    const bytes = decodedLength(input)
    if (bytes === undefined) {
      issues.push({ code: 'custom', input, params: { malformed: 'A blob is not valid base64.' } })
    } else if (bytes < bytesMin) {
      issues.push({ code: 'too_small', origin: 'string', minimum: bytesMin, inclusive: true, input })
    } else if (bytes > bytesMax) {
      issues.push({ code: 'too_big', origin: 'string', maximum: bytesMax, inclusive: true, input })
    }
  })
}

/** The bytes of a member that {@link blob} has checked. The caller zeroes them where they are a secret. */
export function decodeBlob(text: string): Buffer {
  const bytes = parseBase64(text)
  invariant(bytes, 'a blob member is checked before it is decoded')
  return bytes
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

function decodedLength(text: string): number | undefined {
  if (text.length % BASE64_QUANTUM.characters !== 0 || !BASE64.test(text)) return undefined
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return (text.length / BASE64_QUANTUM.characters) * BASE64_QUANTUM.bytes - padding
}

/**
 * A JSON object of texts. `z.record` leaves out a pair named `__proto__`, which would then not be authenticated; this
 * takes every own property that the JSON parser made.
 */
export const encryptionContext = z.custom<Readonly<Record<string, string>>>(isTextMap, {
  params: { malformed: 'An encryption context is a map of strings to strings.' },
})

function isTextMap(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((text) => typeof text === 'string')
}

export function toEncryptionContext(
  pairs: Readonly<Record<string, string>> | undefined,
): EncryptionContext | undefined {
  return pairs && new Map(Object.entries(pairs))
}
