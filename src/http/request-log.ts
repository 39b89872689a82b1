import type { Logger } from 'pino'
import { KmsError } from '../core/errors.ts'
import type { RequestRecord } from './facade.ts'

/** How many causes of an error are followed. */
const CAUSES_MAX = 4

/**
 * Writes the one line that a request leaves in the log: who asked for what, with which key, how it ended and how long
 * it took. An answer of 500 and above is an error, with its stack; the rest is information.
 */
export function logRequest(
  logger: Logger,
  api: string,
  record: RequestRecord,
  answer: { readonly status: number; readonly totalMs: number; readonly remoteAddress: string | undefined },
): void {
  const line = {
    requestId: record.requestId,
    api,
    operation: record.operation,
    accessKeyId: record.principal?.accessKeyId,
    accountId: record.principal?.accountId,
    region: record.principal?.region,
    keyId: record.trail.keyId,
    outcome: record.outcome,
    status: answer.status,
    totalMs: round(answer.totalMs),
    queueMs: round(record.trail.timings.queueMs),
    tokenMs: round(record.trail.timings.tokenMs),
    remoteAddress: answer.remoteAddress,
  }
  if (answer.status >= 500) logger.error({ ...line, error: describeError(record.error) }, 'request failed')
  else logger.info(line, 'request')
}

/**
 * What the log says of an error: class, code, message, stack and the same of its causes. Other properties stay out,
 * since nobody knows what a library hangs on its errors.
 */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error === undefined ? undefined : { type: typeof error }
  const description = {
    type: error.name,
    code: error instanceof KmsError ? error.code : undefined,
    message: error.message,
    stack: error.stack,
  }
  if (error.cause === undefined || depth >= CAUSES_MAX) return description
  return { ...description, cause: describeError(error.cause, depth + 1) }
}

/** Microseconds are enough. */
function round(milliseconds: number): number {
  return Math.round(milliseconds * 1_000) / 1_000
}
