import { z } from 'zod'
import { ENCRYPTION_CONTEXT_BYTES_MAX, type EncryptionContext } from '../../../core/encryption-context.ts'
import { parseBase64 } from '../../../lib/bytes.ts'

/** Shapes that several operations share. Parameters are texts; what a shape gives is what the text stands for. */

export const keyId = z.string().min(1).max(2048)

export const keyVersionId = z.string().min(1).max(128)

/** `alias/` and 1 to 250 more; which characters, the core's grammar says. */
export const aliasName = z.string().min(1).max(256)

/** Decimal digits. */
export function integer(min: number, max: number): z.ZodType<number> {
  return z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max))
}

/** `true` or `false`, in any case: programs pass on what their language prints. */
export const flag: z.ZodType<boolean> = z
  .string()
  .transform((value) => value.toLowerCase())
  .pipe(z.enum(['true', 'false']))
  .transform((value) => value === 'true')

/** Base64 of `bytesMin` to `bytesMax` bytes. The handler zeroes what is a secret. */
export function blob(bytesMin: number, bytesMax: number): z.ZodType<Buffer> {
  return z.string().transform((base64, context) => {
    const bytes = parseBase64(base64)
    if (bytes && bytes.length >= bytesMin && bytes.length <= bytesMax) return bytes
    context.issues.push({ code: 'custom', input: undefined })
    return z.NEVER
  })
}

/** One of `values`. One of `others`, which the real service takes and this one does not, is refused by name and not as unknown. */
export function choice<Value extends string>(
  values: readonly Value[],
  others: readonly string[],
): z.ZodType<Value> {
  return z.string().transform((given, context) => {
    const value = values.find((one) => one === given)
    if (value !== undefined) return value
    const params = others.includes(given) ? { unsupported: `The value "${given}".` } : {}
    context.issues.push({ code: 'custom', input: undefined, params })
    return z.NEVER
  })
}

/** A text that the caller gets back as it is, of 1 to `bytesMax` bytes of UTF-8. */
export function opaqueText(bytesMax: number): z.ZodType<string> {
  return z.string().refine((value) => Buffer.byteLength(value) <= bytesMax)
}

/** A JSON text; anything else gives `undefined`. */
export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** The JSON text of an object of strings; every own pair counts, one named `__proto__` too. */
export const encryptionContext: z.ZodType<EncryptionContext> = z
  .string()
  .max(ENCRYPTION_CONTEXT_BYTES_MAX)
  .transform((json, context) => {
    const value = parseJson(json)
    const pairs = isPlainObject(value) ? Object.entries(value) : undefined
    if (pairs?.every((pair): pair is [string, string] => typeof pair[1] === 'string')) {
      return new Map(pairs)
    }
    context.issues.push({ code: 'custom', input: undefined })
    return z.NEVER
  })

export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const SECONDS: Readonly<Record<string, number>> = { d: 86_400, h: 3_600, m: 60, s: 1 }
const DAY_SECONDS = 86_400
/** The widest of the bounds that the real service has had. */
const ROTATION_DAYS = { min: 7, max: 730 } as const

/** How often a key is rotated, `7d` or `604800s`: as whole days, because schedules here are kept by the day. */
export const rotationInterval: z.ZodType<number> = z
  .string()
  .regex(/^\d{1,9}[dhms]$/)
  .transform((value) => (Number.parseInt(value, 10) * (SECONDS[value.slice(-1)] ?? 0)) / DAY_SECONDS)
  .pipe(z.int().min(ROTATION_DAYS.min).max(ROTATION_DAYS.max))

/** A list that is asked for by pages. */
export const page = { PageNumber: integer(1, 1_000_000).optional(), PageSize: integer(1, 100).optional() }

const PAGE_SIZE_DEFAULT = 10

/** The rows of one page, and what an answer says of the pages. */
export function pageOf<Row>(
  rows: readonly Row[],
  {
    PageNumber = 1,
    PageSize = PAGE_SIZE_DEFAULT,
  }: { PageNumber?: number | undefined; PageSize?: number | undefined },
) {
  const start = (PageNumber - 1) * PageSize
  return {
    rows: rows.slice(start, start + PageSize),
    counts: { TotalCount: rows.length, PageNumber, PageSize },
  }
}
