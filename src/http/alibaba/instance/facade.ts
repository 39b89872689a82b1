import { KmsError } from '../../../core/errors.ts'
import type { Kms } from '../../../core/kms.ts'
import { type Clock, SYSTEM_CLOCK } from '../../../lib/clock.ts'
import type { Facade, FacadeRequest, FacadeResponse, RequestRecord, TransportFault } from '../../facade.ts'
import { toInstanceFault } from './errors.ts'
import { InstanceFault, invalidHeader } from './fault.ts'
import { INSTANCE_OPERATIONS, requireOperation } from './operations.ts'
import { encodeMessage } from './protobuf.ts'
import type { ClientCredentials } from './settings.ts'
import { verifySignature } from './signature.ts'

export interface InstanceFacadeDeps {
  readonly kms: Kms
  readonly clock: Clock
  readonly credentials: ClientCredentials
  /** How long a request may take, from the end of its headers to the end of its operation. Milliseconds. */
  readonly requestTimeoutMs: number
}

const API_NAME = 'x-kms-apiname'
const API_VERSION = 'x-kms-apiversion'
const KEY_VERSION = 'x-kms-migrationkeyversionid'
const VERSION = 'dkms-gcs-0.2'
const CONTENT_TYPE = 'application/x-protobuf'
const BODY_TYPE = /^application\/x-protobuf\s*(?:;|$)/i

/** Longest body of the real service; `server.bodyBytesMax` is shorter by default. Bytes. */
const BODY_BYTES_MAX = 3 * 1024 * 1024

/** Longest part of a header's value that an answer repeats. Characters. */
const SHOWN_VALUE_MAX = 128

const TRANSPORT_FAULTS: Readonly<Record<TransportFault, InstanceFault>> = {
  BODY_TOO_LARGE: new InstanceFault('RequestEntityTooLarge', 413, 'The request body is too large.'),
  BODY_MALFORMED: new InstanceFault('InvalidParameter', 400, 'The specified parameter is not valid.'),
  INTERNAL: new InstanceFault('InternalFailure', 500, 'Internal Failure.'),
}

/**
 * The KMS Instance API of Alibaba Cloud (dkms-gcs-0.2: protobuf, signed by a client key). A request is authenticated before
 * anything else of it is read.
 */
export function createInstanceFacade(deps: InstanceFacadeDeps): Facade {
  return new InstanceFacade(deps)
}

class InstanceFacade implements Facade {
  readonly name = 'alibaba-instance'
  readonly methods = ['POST'] as const
  readonly #deps: InstanceFacadeDeps

  constructor(deps: InstanceFacadeDeps) {
    this.#deps = deps
  }

  claims({ headers }: Pick<FacadeRequest, 'headers'>): boolean {
    return headers[API_NAME] !== undefined
  }

  async handle(request: FacadeRequest): Promise<FacadeResponse> {
    const { record, headers } = request
    try {
      const name = headerText(headers[API_NAME])
      if (INSTANCE_OPERATIONS.has(name)) record.operation = name
      requireBody(request)
      const principal = await verifySignature(this.#deps, request)
      record.principal = principal
      requireForm(headers)
      const operation = requireOperation(name)
      const { requestId, trail } = record
      const context = { principal, deadlineAt: this.#deadlineOf(request), trail, requestId }
      const keyVersionId = requestedVersion(headers[KEY_VERSION])
      const call = { kms: this.#deps.kms, context, keyVersionId, requestId }
      const answer = await operation.run(call, request.body)
      record.outcome = 'ok'
      return respond(200, answer.body, answer.keyVersionId)
    } catch (error) {
      record.error = error
      return answerError(record, error)
    }
  }

  /** What is left of the request's time, as a moment of the clock that deadlines are told by. */
  #deadlineOf({ startedAt }: FacadeRequest): number {
    const elapsedMs = SYSTEM_CLOCK.monotonic() - startedAt
    return SYSTEM_CLOCK.now() + this.#deps.requestTimeoutMs - elapsedMs
  }

  answerFault(fault: TransportFault, record: RequestRecord): FacadeResponse {
    if (fault === 'INTERNAL') record.internal = true
    return answerFault(record, TRANSPORT_FAULTS[fault])
  }
}

/** What a client can get wrong before it signs; the answers are the same whoever asks. */
function requireBody({ url, body }: FacadeRequest): void {
  // What is signed is the path, and it is always this one.
  if (url !== '/') throw new InstanceFault('InvalidParameter', 400, 'The request target must be /.')
  if (body.length > BODY_BYTES_MAX) throw TRANSPORT_FAULTS.BODY_TOO_LARGE
}

function requireForm(headers: FacadeRequest['headers']): void {
  const version = headerText(headers[API_VERSION])
  if (version !== VERSION) {
    const shown = version.slice(0, SHOWN_VALUE_MAX)
    throw new InstanceFault('InvalidApiVersion', 400, `The ApiVersion "${shown}" is invalid.`)
  }
  if (!BODY_TYPE.test(headers['content-type'] ?? '')) throw invalidHeader('Content-Type')
}

function requestedVersion(value: string | readonly string[] | undefined): string | undefined {
  const text = headerText(value)
  return text === '' ? undefined : text
}

/** `x-kms-` headers that are there twice are refused with the signature. */
function headerText(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value.trim() : ''
}

function answerError(record: RequestRecord, error: unknown): FacadeResponse {
  if (error instanceof InstanceFault) return answerFault(record, error)
  if (error instanceof KmsError) return answerFault(record, toInstanceFault(error))
  record.internal = true
  return answerFault(record, TRANSPORT_FAULTS.INTERNAL)
}

function answerFault(record: RequestRecord, { code, status, message }: InstanceFault): FacadeResponse {
  record.outcome = code
  const fields = { StatusCode: status, ErrorCode: code, ErrorMessage: message, RequestId: record.requestId }
  return respond(status, encodeMessage('Error', fields), undefined)
}

function respond(status: number, body: Buffer, keyVersionId: string | undefined): FacadeResponse {
  const version = keyVersionId === undefined ? {} : { [KEY_VERSION]: keyVersionId }
  return { status, headers: { 'content-type': CONTENT_TYPE, ...version }, body }
}
