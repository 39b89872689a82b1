import { z } from 'zod'
import { OpenApiFault } from './fault.ts'

/** How far a request's time may be from ours, either way. */
const WINDOW_MS = 15 * 60_000

/** `2026-11-28T16:00:00Z`; some SDKs write milliseconds. */
const ISO_8601 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/

const REFUSED =
  'The input parameter "Timestamp" that is mandatory for processing this request is not supplied.'

/**
 * Checks when a request says it was signed.
 *
 * @returns When it is too old, in milliseconds since the epoch.
 * @throws {@link OpenApiFault} `IllegalTimestamp` without a time, with one that is none, or more than 15 minutes away.
 */
export function requireTimely(text: string | undefined, now: number): number {
  const at = text !== undefined && ISO_8601.test(text) ? Date.parse(text) : Number.NaN
  // Also false for no number.
  if (Math.abs(at - now) <= WINDOW_MS) return at + WINDOW_MS
  throw new OpenApiFault(
    'IllegalTimestamp',
    text === undefined || text === ''
      ? REFUSED
      : 'The input parameter "Timestamp" is not a time in UTC within 15 minutes of the server\'s.',
  )
}

/** A time of a parameter, as milliseconds since the epoch. A day that no month has, which `Date` takes for a later one, is none. */
export const utc: z.ZodType<number> = z
  .string()
  .regex(ISO_8601)
  .transform((text) => ({ text, at: Date.parse(text) }))
  .refine(({ text, at }) => !Number.isNaN(at) && toUtc(at) === `${text.slice(0, 19)}Z`)
  .transform(({ at }) => at)

/** `yyyy-MM-ddTHH:mm:ssZ`, as answers have it; empty for no time. */
export function toUtc(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '' : `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}
