import type { IncomingHttpHeaders } from 'node:http'
import { type CallTrail, newTrail } from '../core/kms-context.ts'

/** One HTTP request as a façade sees it. Nothing of it is trusted. */
export interface FacadeRequest {
  readonly method: string
  /** The request target as it was sent: path and query, undecoded. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, as they were sent (node:http, `message.rawHeaders`). */
  readonly rawHeaders: readonly string[]
  /** At most `bodyBytesMax` bytes; zeroed by the server once `handle` has settled. */
  readonly body: Buffer
  /** When its headers had come, by `performance.now()`: what it may take counts from then. */
  readonly startedAt: number
  /** What becomes the request's log line and its metrics; the façade fills it in as it learns. */
  readonly record: RequestRecord
}

/** What is known of a request when it has been answered: no body, header, plaintext or signature ever comes here. */
export interface RequestRecord {
  /** UUID, fresh for each request. */
  readonly requestId: string
  /** Filled in by the core: key id, queue and token time. */
  readonly trail: CallTrail
  /** Name of an operation of the protocol; anything else stays `unknown`, so that metric labels are bounded. */
  operation: string
  principal?: { readonly accountId: string; readonly accessKeyId: string; readonly region: string }
  /** `ok`, or the wire name of the fault: one of a fixed set. */
  outcome: string
  /** Why nobody was recognized in it, in words of ours: several causes share one outcome. */
  reason?: string
  /** Why the request failed, for the log alone. */
  error?: unknown
  /** The failure is a fault of this program: counted, so that operators are alerted. */
  internal?: boolean
}

export interface FacadeResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer
}

/** What can go wrong before a façade sees a request, or in spite of it. */
export type TransportFault = 'BODY_TOO_LARGE' | 'BODY_MALFORMED' | 'INTERNAL'

/**
 * One wire protocol. Several share the host, the port and the path `/`; the server asks each in turn whether a
 * request is its own and gives it to the last one when none says so.
 */
export interface Facade {
  /** Metric label and log field: `aws`, `alibaba`. */
  readonly name: string

  /** Methods that it takes on `/`. */
  readonly methods: readonly string[]

  /** Whether a request speaks this protocol. Reads headers and the request target, nothing else. */
  claims(request: Pick<FacadeRequest, 'method' | 'url' | 'headers'>): boolean

  /** Answers a request. Never rejects: a failure is an answer in the protocol's words, with `record.error` set. */
  handle(request: FacadeRequest): Promise<FacadeResponse>

  /** The protocol's words for a failure of the transport; sets `record.outcome`. */
  answerFault(fault: TransportFault, record: RequestRecord): FacadeResponse
}

export function newRequestRecord(requestId: string): RequestRecord {
  return { requestId, trail: newTrail(), operation: 'unknown', outcome: 'unknown' }
}
