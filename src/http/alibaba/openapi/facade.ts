import type { ClientAccess } from '../../../core/client-access.ts'
import { KmsError } from '../../../core/errors.ts'
import type { Kms } from '../../../core/kms.ts'
import { type Clock, SYSTEM_CLOCK } from '../../../lib/clock.ts'
import type { Facade, FacadeRequest, FacadeResponse, RequestRecord, TransportFault } from '../../facade.ts'
import { type AnswerFormat, answer, parseFormat } from './answer.ts'
import { AlibabaCredentials } from './credentials.ts'
import { dryRunFault, toOpenApiFault } from './errors.ts'
import { invalidParameter, OpenApiFault } from './fault.ts'
import type { NonceRegister } from './nonces.ts'
import { isActionName, requireOperation } from './operations.ts'
import { mergeParameters, type Parameters, parseParameters } from './parameters.ts'
import type { AlibabaSettings } from './settings.ts'
import { OpenApiSignatureVerifier, type VerifiedRequest } from './signature.ts'

export interface OpenApiFacadeDeps extends AlibabaSettings {
  readonly kms: Kms
  readonly clients: ClientAccess
  readonly clock: Clock
  readonly nonces: NonceRegister
  /** How long a request may take, from the end of its headers to the end of its operation. Milliseconds. */
  readonly requestTimeoutMs: number
}

/** `Version` of every request. */
const API_VERSION = '2016-01-20'

/** A body of another type would be signed as one thing and read as another. */
const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i

/** What a host may look like to be shown as `HostId`. */
const HOST = /^[\w.:[\]-]{1,255}$/

const TRANSPORT_FAULTS: Readonly<Record<TransportFault, OpenApiFault>> = {
  BODY_TOO_LARGE: new OpenApiFault('RequestEntityTooLarge', 'The request body is too large.', 413),
  BODY_MALFORMED: new OpenApiFault('ParseRequestParameterException', 'The request body could not be read.'),
  INTERNAL: new OpenApiFault('InternalFailure', 'Internal Failure.', 500),
}

/** How a request wants to be answered, and what an error says of where it was sent. */
interface Reply {
  readonly format: AnswerFormat
  readonly hostId: string
}

/** What is known of a request so far, for when it fails. */
interface Progress {
  reply: Reply
  /** Empty until it is authenticated. */
  action: string
  readonly dryRun: { asked?: true }
}

/**
 * The Alibaba Cloud KMS OpenAPI, version 2016-01-20, in the RPC style. A request is authenticated before anything of it is read
 * but how it is signed and in which format to answer.
 */
export function createOpenApiFacade(deps: OpenApiFacadeDeps): Facade {
  return new OpenApiFacade(deps)
}

class OpenApiFacade implements Facade {
  readonly name = 'alibaba-openapi'
  readonly methods = ['GET', 'POST'] as const
  readonly #kms: Kms
  readonly #clients: ClientAccess
  readonly #regions: readonly string[]
  readonly #requestTimeoutMs: number
  readonly #verifier: OpenApiSignatureVerifier

  constructor({ kms, clients, clock, nonces, regions, accounts, requestTimeoutMs }: OpenApiFacadeDeps) {
    this.#kms = kms
    this.#clients = clients
    this.#regions = regions.map(({ name }) => name)
    this.#requestTimeoutMs = requestTimeoutMs
    this.#verifier = new OpenApiSignatureVerifier(new AlibabaCredentials(accounts), clock, nonces)
  }

  /** The RPC style has no header that every request carries: what no other API claims is this one's. */
  claims(): boolean {
    return true
  }

  async handle(request: FacadeRequest): Promise<FacadeResponse> {
    const { record } = request
    const progress: Progress = { reply: replyOf(request), action: '', dryRun: {} }
    try {
      const { query, parameters } = readParameters(request)
      progress.reply = replyOf(request, parameters)
      const verified = await this.#verifier.verify({ ...parts(request), query, parameters })
      progress.action = verified.action
      const members = await this.#run(request, verified, parameters, progress.dryRun)
      record.outcome = 'ok'
      const { requestId } = record
      const whole = { ...members, RequestId: requestId }
      return answer(progress.reply.format, 200, requestId, `${verified.action}Response`, whole)
    } catch (error) {
      record.error = error
      return answerError(record, error, progress)
    }
  }

  async #run(
    request: FacadeRequest,
    { credential, action, version }: VerifiedRequest,
    parameters: Parameters,
    dryRun: Progress['dryRun'],
  ): Promise<object> {
    const { record } = request
    if (isActionName(action)) record.operation = action
    const { accountId, accessKeyId, uid } = credential
    const region = this.#regionOf(parameters)
    record.principal = { accountId, accessKeyId, region }
    if (version !== API_VERSION) {
      throw new OpenApiFault(
        'InvalidVersion',
        `Specified parameter Version is not valid: use ${API_VERSION}.`,
      )
    }
    const operation = requireOperation(action)
    const elapsedMs = SYSTEM_CLOCK.monotonic() - request.startedAt
    const deadlineAt = SYSTEM_CLOCK.now() + this.#requestTimeoutMs - elapsedMs
    return operation.run({
      kms: this.#kms,
      clients: this.#clients,
      context: { principal: record.principal, deadlineAt, trail: record.trail, requestId: record.requestId },
      scope: { region, uid },
      regions: this.#regions,
      dryRun,
      parameters,
    })
  }

  #regionOf(parameters: Parameters): string {
    const named = parameters.get('RegionId') || this.#regions[0] || ''
    if (this.#regions.includes(named)) return named
    throw invalidParameter('RegionId', 'This service has no such region.')
  }

  answerFault(fault: TransportFault, record: RequestRecord): FacadeResponse {
    if (fault === 'INTERNAL') record.internal = true
    return answerFault(record, TRANSPORT_FAULTS[fault], { format: 'JSON', hostId: '' })
  }
}

function parts({ method, headers, rawHeaders, body }: FacadeRequest) {
  return { method, headers, rawHeaders, body }
}

function readParameters({ url, headers, body }: FacadeRequest) {
  const question = url.indexOf('?')
  const query = parseParameters(question < 0 ? '' : url.slice(question + 1))
  if (body.length === 0) return { query, parameters: query }
  const type = headers['content-type']
  if (type !== undefined && !FORM.test(type)) {
    throw new OpenApiFault(
      'ParseRequestParameterException',
      'Server parse parameters exception. Please check your input params. The body must be application/x-www-form-urlencoded.',
    )
  }
  return { query, parameters: mergeParameters(query, parseParameters(body.toString('latin1'))) }
}

/** `Format` counts before the `accept` header, which V3 requests have; JSON is what there is otherwise. */
function replyOf({ headers }: FacadeRequest, parameters?: Parameters): Reply {
  const asked = parameters?.get('Format')
  const byHeader = headers.accept !== undefined && /^(?:application|text)\/xml\b/i.test(headers.accept)
  const format = (asked && parseFormat(asked)) || (byHeader ? 'XML' : 'JSON')
  const { host = '' } = headers
  return { format, hostId: HOST.test(host) ? host : '' }
}

function answerError(
  record: RequestRecord,
  error: unknown,
  { reply, action, dryRun }: Progress,
): FacadeResponse {
  const fault = error instanceof KmsError ? toOpenApiFault(error, action) : error
  if (fault instanceof OpenApiFault)
    return answerFault(record, dryRun.asked ? dryRunFault(fault) : fault, reply)
  record.internal = true
  return answerFault(record, TRANSPORT_FAULTS.INTERNAL, reply)
}

function answerFault(record: RequestRecord, fault: OpenApiFault, { format, hostId }: Reply): FacadeResponse {
  const { code, status, message } = fault
  const { requestId } = record
  record.outcome = code
  const members = { RequestId: requestId, HostId: hostId, Code: code, Message: message }
  return answer(format, status, requestId, 'Error', members)
}
