import { InstanceFault, invalidHeader } from './fault.ts'

/** How far the client's clock may be off, either way. */
const SKEW_MAX_MS = 15 * 60_000

/** RFC 9110, "Date/Time Formats", IMF-fixdate; the API's documentation writes `UTC` for `GMT`. */
const FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} (?:GMT|UTC)$/

/**
 * Refuses a request that was signed too long ago, or that will be.
 *
 * @param date - The `Date` header.
 * @param now - Milliseconds since the epoch.
 * @throws {@link InstanceFault} `InvalidParam`, `RequestTimeTooSkewed`
 */
export function requireCurrent(date: string | undefined, now: number): void {
  const at = date === undefined ? undefined : parseDate(date)
  if (at === undefined) throw invalidHeader('Date')
  if (Math.abs(now - at) <= SKEW_MAX_MS) return
  throw new InstanceFault(
    'RequestTimeTooSkewed',
    400,
    'Request time exceeds server time more than 15 minutes.',
  )
}

function parseDate(text: string): number | undefined {
  if (!FIXDATE.test(text)) return undefined
  const fixdate = text.replace(/UTC$/, 'GMT')
  const at = Date.parse(fixdate)
  // A weekday that is another one's, and a day that no month has, are no date.
  return !Number.isNaN(at) && new Date(at).toUTCString() === fixdate ? at : undefined
}
