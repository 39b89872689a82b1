import type { Logger } from 'pino'
import { KmsError } from '../core/errors.ts'
import { describeError } from './error-description.ts'
import type { RequestRecord } from './facade.ts'

/**
 * Writes the one line that a request leaves in the log: who asked for what, with which key, how it ended and how long
 * it took. An answer of 500 and above is an error, with its stack; the rest is information, with the code and the cause of
 * a refusal: what the token said of a ciphertext is for the operator alone.
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
    token: record.trail.token,
    hostMemory: record.trail.hostMemory,
    outcome: record.outcome,
    reason: record.reason,
    status: answer.status,
    totalMs: round(answer.totalMs),
    queueMs: round(record.trail.timings.queueMs),
    tokenMs: round(record.trail.timings.tokenMs),
    remoteAddress: answer.remoteAddress,
  }
  if (answer.status >= 500) {
    logger.error({ ...line, error: describeError(record.error, { stack: true }) }, 'request failed')
  } else {
    logger.info({ ...line, ...refusalFields(record) }, 'request')
  }
}

/** Facts of a refusal that lies behind the façade. The message is in the answer, and may name what the caller named. */
function refusalFields({ error }: RequestRecord): object {
  if (!(error instanceof KmsError)) return {}
  if (error.cause === undefined) return { code: error.code }
  return { code: error.code, cause: describeError(error.cause, { stack: false }) }
}

/** Microseconds are enough. */
function round(milliseconds: number): number {
  return Math.round(milliseconds * 1_000) / 1_000
}
