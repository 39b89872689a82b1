import { z } from 'zod'
import { ENCRYPTION_CONTEXT_BYTES_MAX, type EncryptionContext } from '../../core/encryption-context.ts'
import { GRANT_TOKENS_MAX } from '../../core/kms-context.ts'
import type { Tag } from '../../core/ports/tag-store.ts'
import { parseBase64 } from '../../lib/bytes.ts'
import { invariant } from '../../lib/invariant.ts'

/** Shapes that several operations share, with the limits of the AWS KMS service model. */

const BASE64_QUANTUM = { characters: 4, bytes: 3 } as const

export const keyId = z.string().min(1).max(2048)
export const marker = z
  .string()
  .min(1)
  .max(1024)
  .regex(wholly(/[\u0020-\u00FF]*/))
export const numberOfBytes = z.int().min(1).max(1024)
export const dataKeySpec = z.enum(['AES_256', 'AES_128'])
/** Specs of AWS KMS, in the order of its service model; those that are no row of ours are refused when they are used. */
export const dataKeyPairSpec = z.enum([
  'RSA_2048',
  'RSA_3072',
  'RSA_4096',
  'ECC_NIST_P256',
  'ECC_NIST_P384',
  'ECC_NIST_P521',
  'ECC_SECG_P256K1',
  'SM2',
  'ECC_NIST_EDWARDS25519',
  'ML_KEM_512',
  'ML_KEM_768',
  'ML_KEM_1024',
])
export const dryRun = z.boolean()
/** `IGNORE_CIPHERTEXT`: the dry run asks of the key alone. */
export const dryRunModifiers = boundedArray(z.enum(['IGNORE_CIPHERTEXT']), 10)
export const grantToken = z.string().min(1).max(8192)
export const grantTokens = boundedArray(grantToken, GRANT_TOKENS_MAX)
export const aliasName = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[a-zA-Z0-9:/_-]+$/)

/** ARN, user name or the like; {@link GrantPrincipal} says what it must be. */
export const principalName = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[\w+=,.@:/-]+$/)
export const policyName = z.string().min(1).max(128).regex(wholly(/[\w]+/))
export const policyDocument = ofPattern(1, 131_072, String.raw`[\u0009\u000A\u000D\u0020-\u00FF]+`)

/** More tags than a key may have, and no more than are looked at: how many there are is told by the operation. */
const TAGS_LOOKED_AT = 100
const tag = z.object({ TagKey: z.string().min(1).max(128), TagValue: z.string().max(256) })
export const tags = z
  .array(z.unknown())
  .transform((all) => all.slice(0, TAGS_LOOKED_AT))
  .pipe(z.array(tag))
export const tagKeys = boundedArray(z.string().min(1).max(128), 1000)

/** What a new key is given besides itself. */
export function attachmentsOf(body: {
  readonly Policy?: string | undefined
  readonly BypassPolicyLockoutSafetyCheck?: boolean | undefined
  readonly Tags?: z.output<typeof tags> | undefined
}) {
  const { Policy, BypassPolicyLockoutSafetyCheck = false, Tags } = body
  const policy = {
    language: 'AWS',
    policy: Policy ?? '',
    bypassLockoutCheck: BypassPolicyLockoutSafetyCheck,
  } as const
  return { ...(Tags && { tags: toTags(Tags) }), ...(Policy !== undefined && { policy }) }
}

export function toTags(given: z.output<typeof tags>): readonly Tag[] {
  return given.map(({ TagKey, TagValue }) => ({ key: TagKey, value: TagValue }))
}

export const encryptionAlgorithm = z.enum([
  'SYMMETRIC_DEFAULT',
  'RSAES_OAEP_SHA_1',
  'RSAES_OAEP_SHA_256',
  'SM2PKE',
])

/** A pattern of the service model that has no anchors: AWS matches the whole value, and tells of the pattern as it stands there. */
export function wholly({ source }: RegExp): RegExp {
  return new RegExp(`^(?:${source})$`)
}

/** Text of a pattern of the service model that a regular expression would not tell of as it stands there: one with slashes. */
export function ofPattern(minCharacters: number, maxCharacters: number, pattern: string): z.ZodType<string> {
  const whole = new RegExp(`^(?:${pattern})$`)
  const text = z.string().min(minCharacters).max(maxCharacters)
  return text.check(({ value: input, issues }) => {
    if (whole.test(input)) return
    issues.push({ code: 'invalid_format', format: 'regex', pattern: `/${pattern}/`, input })
  })
}

export const signingAlgorithm = z.enum([
  'RSASSA_PSS_SHA_256',
  'RSASSA_PSS_SHA_384',
  'RSASSA_PSS_SHA_512',
  'RSASSA_PKCS1_V1_5_SHA_256',
  'RSASSA_PKCS1_V1_5_SHA_384',
  'RSASSA_PKCS1_V1_5_SHA_512',
  'ECDSA_SHA_256',
  'ECDSA_SHA_384',
  'ECDSA_SHA_512',
  'SM2DSA',
  'ML_DSA_SHAKE_256',
  'ED25519_SHA_512',
  'ED25519_PH_SHA_512',
])
export const messageType = z.enum(['RAW', 'DIGEST', 'EXTERNAL_MU'])
export const macAlgorithm = z.enum(['HMAC_SHA_224', 'HMAC_SHA_256', 'HMAC_SHA_384', 'HMAC_SHA_512'])
export const keyAgreementAlgorithm = z.enum(['ECDH'])

/** At most `max` items. Counted before any is looked at: each of a hundred thousand could be wrong in two ways. */
export function boundedArray<Item>(item: z.ZodType<Item>, max: number): z.ZodType<Item[]> {
  return z.array(z.unknown()).max(max).pipe(z.array(item))
}

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
export const encryptionContext = z.custom<Readonly<Record<string, string>>>().check(({ value, issues }) => {
  const params = contextProblem(value)
  if (params) issues.push({ code: 'custom', input: value, params })
})

/** What the canonical form adds to the characters of the pairs, each of which is a byte at least. Bytes. */
const CANONICAL_OVERHEAD = { context: 3, pair: 4 } as const

const CONTEXT_MALFORMED = { malformed: 'An encryption context is a map of strings to strings.' }
const CONTEXT_TOO_LONG = {
  refused: `The encryption context is longer than ${ENCRYPTION_CONTEXT_BYTES_MAX} bytes.`,
}

/** Stops at the first pair that cannot be right, so that what a context costs is bounded by what one may hold. */
function contextProblem(value: unknown): ContextProblem {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return CONTEXT_MALFORMED
  let bytesAtLeast: number = CANONICAL_OVERHEAD.context
  for (const name of Object.keys(value)) {
    const text: unknown = Reflect.get(value, name)
    if (typeof text !== 'string') return CONTEXT_MALFORMED
    bytesAtLeast += CANONICAL_OVERHEAD.pair + name.length + text.length
    if (bytesAtLeast > ENCRYPTION_CONTEXT_BYTES_MAX) return CONTEXT_TOO_LONG
  }
  return undefined
}

type ContextProblem = typeof CONTEXT_MALFORMED | typeof CONTEXT_TOO_LONG | undefined

export function toEncryptionContext(
  pairs: Readonly<Record<string, string>> | undefined,
): EncryptionContext | undefined {
  return pairs && new Map(Object.entries(pairs))
}
