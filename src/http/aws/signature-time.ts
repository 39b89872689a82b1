import type { IncomingHttpHeaders } from 'node:http'
import { AwsFault } from './fault.ts'

/** How far the client's clock may be off, either way. */
const SKEW_MAX_MS = 5 * 60_000

const DATE_TIME = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/

export interface RequestTime {
  /** ISO 8601 basic format, `yyyymmddThhmmssZ`: as it is signed. */
  readonly dateTime: string
  /** The header that it came from. */
  readonly header: 'X-Amz-Date' | 'Date'
}

/**
 * When a request says it was signed: `X-Amz-Date`, or `Date` where that is absent.
 *
 * @param scopeDate - Date of the credential scope, which must be of the same day.
 * @throws {@link AwsFault} `IncompleteSignatureException` without a time, `InvalidSignatureException` when it is of
 *   another day than the scope or more than {@link SKEW_MAX_MS} away. The texts are AWS's, which SDKs search for skew.
 */
export function requireRequestTime(
  headers: IncomingHttpHeaders,
  scopeDate: string,
  now: number,
): RequestTime {
  const time = readTime(headers)
  const at = parseDateTime(time.dateTime)
  if (at === undefined) throw incomplete("Date must be in ISO-8601 'basic format'.")
  if (!time.dateTime.startsWith(scopeDate)) {
    throw invalid(
      'Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: ' +
        `'${scopeDate}' != '${time.dateTime.slice(0, 8)}', from '${time.dateTime}'.`,
    )
  }
  if (at < now - SKEW_MAX_MS) {
    throw invalid(
      `Signature expired: ${time.dateTime} is now earlier than ${formatDateTime(now - SKEW_MAX_MS)} ` +
        `(${formatDateTime(now)} - 5 min.)`,
    )
  }
  if (at > now + SKEW_MAX_MS) {
    throw invalid(
      `Signature not yet current: ${time.dateTime} is still later than ${formatDateTime(now + SKEW_MAX_MS)} ` +
        `(${formatDateTime(now)} + 5 min.)`,
    )
  }
  return time
}

function readTime(headers: IncomingHttpHeaders): RequestTime {
  const amzDate = headers['x-amz-date']
  if (typeof amzDate === 'string') return { dateTime: amzDate, header: 'X-Amz-Date' }
  if (headers.date === undefined) {
    throw incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
  }
  if (DATE_TIME.test(headers.date)) return { dateTime: headers.date, header: 'Date' }
  const at = Date.parse(headers.date)
  if (Number.isNaN(at)) throw incomplete("Date must be in ISO-8601 'basic format'.")
  return { dateTime: formatDateTime(at), header: 'Date' }
}

/** Requests of one second say the same time: the last one parsed is kept. */
let lastParsed: { readonly text: string; readonly at: number } = { text: '', at: Number.NaN }

function parseDateTime(text: string): number | undefined {
  if (text === lastParsed.text) return lastParsed.at
  const [, year, month, day, hour, minute, second] = DATE_TIME.exec(text) ?? []
  if (year === undefined) return undefined
  const at = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  )
  // Date.UTC rolls over what is out of range, and a date that no calendar has is no date.
  if (formatDateTime(at) !== text) return undefined
  lastParsed = { text, at }
  return at
}

/** ISO 8601 basic format, to the second. */
function formatDateTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`
}

function incomplete(message: string): AwsFault {
  return new AwsFault('IncompleteSignatureException', message)
}

function invalid(message: string): AwsFault {
  return new AwsFault('InvalidSignatureException', message)
}
