import { KmsError } from '../../core/errors.ts'
import type { Kms } from '../../core/kms.ts'
import { type Clock, SYSTEM_CLOCK } from '../../lib/clock.ts'
import type { Facade, FacadeRequest, FacadeResponse, RequestRecord, TransportFault } from '../facade.ts'
import { CredentialDirectory } from './credentials.ts'
import { toAwsFault } from './errors.ts'
import { AwsFault } from './fault.ts'
import { operationName, requireOperation } from './operations.ts'
import type { AwsSettings } from './settings.ts'
import { SignatureVerifier } from './signature.ts'
import { parseJsonObject } from './validation.ts'
import type { ArnScope } from './wire.ts'

export interface AwsFacadeDeps extends AwsSettings {
  readonly kms: Kms
  readonly clock: Clock
  /** How long a request may take, from the end of its headers to the end of its operation. Milliseconds. */
  readonly requestTimeoutMs: number
}

const SERVICE = 'kms'
const CONTENT_TYPE = 'application/x-amz-json-1.1'

/** What a body may be declared as. Absent is fine too: the bytes are what is signed and parsed. */
const BODY_TYPES = /^application\/(?:x-amz-json-1\.[01]|json)\s*(?:;|$)/i

const TRANSPORT_FAULTS: Readonly<Record<TransportFault, AwsFault>> = {
  BODY_TOO_LARGE: new AwsFault('RequestEntityTooLargeException', 'The request body is too large.', 413),
  BODY_MALFORMED: new AwsFault('SerializationException', 'The request body could not be read.'),
  INTERNAL: new AwsFault('KMSInternalException', 'internal error', 500),
}

/**
 * The AWS KMS API (AWS JSON 1.1, Signature Version 4). A request is authenticated before anything else of it is
 * read: who cannot sign learns nothing but that.
 */
export function createAwsFacade(deps: AwsFacadeDeps): Facade {
  return new AwsFacade(deps)
}

class AwsFacade implements Facade {
  readonly name = 'aws'
  readonly methods = ['POST'] as const
  readonly #kms: Kms
  readonly #partition: string
  readonly #requestTimeoutMs: number
  readonly #keyPairWaitMs: number
  readonly #verifier: SignatureVerifier

  constructor(deps: AwsFacadeDeps) {
    const { kms, clock, partition, regions, accounts, requestTimeoutMs, keyPairWaitMs } = deps
    this.#kms = kms
    this.#partition = partition
    this.#requestTimeoutMs = requestTimeoutMs
    this.#keyPairWaitMs = keyPairWaitMs
    this.#verifier = new SignatureVerifier({
      credentials: new CredentialDirectory(accounts),
      clock,
      service: SERVICE,
      regions: new Set(regions.map((region) => region.name)),
    })
  }

  claims({ headers }: Pick<FacadeRequest, 'headers'>): boolean {
    return headers['x-amz-target'] !== undefined
  }

  async handle(request: FacadeRequest): Promise<FacadeResponse> {
    const { record } = request
    let scope: ArnScope = { partition: this.#partition, region: '', accountId: '' }
    try {
      const name = operationName(request.headers['x-amz-target'])
      if (name !== undefined) record.operation = name
      const principal = this.#verifier.verify(request)
      record.principal = principal
      scope = { partition: this.#partition, region: principal.region, accountId: principal.accountId }
      requireBodyType(request.headers['content-type'])
      const operation = requireOperation(name)
      const { requestId, trail } = record
      const context = { principal, deadlineAt: this.#deadlineOf(request), trail, requestId }
      const call = { kms: this.#kms, context, scope, keyPairWaitMs: this.#keyPairWaitMs }
      const output = await operation.run(call, parseJsonObject(request.body))
      record.outcome = 'ok'
      return answer(record, 200, output === undefined ? '' : JSON.stringify(output))
    } catch (error) {
      record.error = error
      if (!record.principal && error instanceof AwsFault) record.reason = error.message
      return answerError(record, error, scope)
    }
  }

  /** What is left of the request's time, as a moment of the clock that deadlines are told by. */
  #deadlineOf({ startedAt }: FacadeRequest): number {
    const elapsedMs = SYSTEM_CLOCK.monotonic() - startedAt
    return SYSTEM_CLOCK.now() + this.#requestTimeoutMs - elapsedMs
  }

  answerFault(fault: TransportFault, record: RequestRecord): FacadeResponse {
    if (fault === 'INTERNAL') record.internal = true
    return answerAwsFault(record, TRANSPORT_FAULTS[fault])
  }
}

function requireBodyType(contentType: string | undefined): void {
  if (contentType === undefined || BODY_TYPES.test(contentType)) return
  throw new AwsFault('SerializationException', `The request body must be ${CONTENT_TYPE}.`)
}

function answerError(record: RequestRecord, error: unknown, scope: ArnScope): FacadeResponse {
  if (error instanceof AwsFault) return answerAwsFault(record, error)
  if (error instanceof KmsError) return answerAwsFault(record, toAwsFault(error, scope))
  record.internal = true
  return answerAwsFault(record, TRANSPORT_FAULTS.INTERNAL)
}

function answerAwsFault(record: RequestRecord, { type, status, message }: AwsFault): FacadeResponse {
  record.outcome = type
  return answer(record, status, JSON.stringify({ __type: type, message }))
}

function answer(record: RequestRecord, status: number, body: string): FacadeResponse {
  return { status, headers: { 'content-type': CONTENT_TYPE, 'x-amzn-requestid': record.requestId }, body }
}
