import { isUtf8 } from 'node:buffer'
import type { Principal } from '../../core/key.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Facade, FacadeRequest, FacadeResponse, RequestRecord, TransportFault } from '../facade.ts'
import { CredentialDirectory } from './credentials.ts'
import { AwsFault } from './fault.ts'
import type { AwsSettings } from './settings.ts'
import { SignatureVerifier } from './signature.ts'
import { STS_FAULTS, StsFault, toStsFault } from './sts-faults.ts'
import { principalArn } from './wire.ts'

export interface StsFacadeDeps extends Pick<AwsSettings, 'partition' | 'regions' | 'accounts'> {
  readonly clock: Clock
}

const SERVICE = 'sts'
const VERSION = '2011-06-15'
const NAMESPACE = `https://sts.amazonaws.com/doc/${VERSION}/`
const OPERATION = 'GetCallerIdentity'

const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i
const ACTION_IN_QUERY = /[?&]Action=/
const VERSION_IN_QUERY = /[?&]Version=2011-06-15(?:&|$)/
const AWS_SIGNATURE = /^AWS4-/
/** Actions and versions that a message repeats: no other text could be one. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/

/**
 * The one operation of AWS STS that tools ask before they use keys: GetCallerIdentity (AWS Query protocol, Signature Version 4
 * for the service `sts`). Every other action is answered with `InvalidAction`.
 *
 * @see AWS STS API Reference, "GetCallerIdentity"
 */
export function createStsFacade(deps: StsFacadeDeps): Facade {
  return new StsFacade(deps)
}

class StsFacade implements Facade {
  readonly name = 'sts'
  readonly methods = ['POST', 'GET'] as const
  readonly #partition: string
  readonly #verifier: SignatureVerifier

  constructor({ partition, regions, accounts, clock }: StsFacadeDeps) {
    this.#partition = partition
    this.#verifier = new SignatureVerifier({
      credentials: new CredentialDirectory(accounts),
      clock,
      service: SERVICE,
      regions: new Set(regions.map((region) => region.name)),
    })
  }

  /**
   * AWS Query has its action in a form, or in the query of the request target. Other clouds do so as well: a signature of AWS or
   * the version of this very API tells them apart.
   */
  claims({ method, url, headers }: Pick<FacadeRequest, 'method' | 'url' | 'headers'>): boolean {
    if (headers['x-amz-target'] !== undefined) return false
    if (VERSION_IN_QUERY.test(url)) return true
    if (!AWS_SIGNATURE.test(headers.authorization ?? '')) return false
    return ACTION_IN_QUERY.test(url) || (method === 'POST' && FORM.test(headers['content-type'] ?? ''))
  }

  async handle(request: FacadeRequest): Promise<FacadeResponse> {
    const { record } = request
    try {
      const principal = this.#verifier.verify(request)
      record.principal = principal
      requireAction(parametersOf(request))
      record.operation = OPERATION
      record.outcome = 'ok'
      return answer(record, 200, identityXml(this.#partition, principal, record.requestId))
    } catch (error) {
      record.error = error
      if (error instanceof AwsFault) {
        record.reason = error.message
        return answerFault(record, toStsFault(error))
      }
      if (error instanceof StsFault) return answerFault(record, error)
      return this.answerFault('INTERNAL', record)
    }
  }

  answerFault(fault: TransportFault, record: RequestRecord): FacadeResponse {
    if (fault === 'INTERNAL') record.internal = true
    return answerFault(record, STS_FAULTS[fault])
  }
}

/** The parameters of the query and of the form together, each of which may be there once. */
function parametersOf({ url, headers, body }: FacadeRequest): ReadonlyMap<string, string> {
  const question = url.indexOf('?')
  const texts = question < 0 ? [] : [url.slice(question + 1)]
  if (FORM.test(headers['content-type'] ?? '')) {
    if (!isUtf8(body)) throw STS_FAULTS.BODY_MALFORMED
    texts.push(body.toString('utf8'))
  }
  const parameters = new Map<string, string>()
  for (const [name, value] of texts.flatMap((text) => [...new URLSearchParams(text)])) {
    if (parameters.has(name)) throw STS_FAULTS.BODY_MALFORMED
    parameters.set(name, value)
  }
  return parameters
}

function requireAction(parameters: ReadonlyMap<string, string>): void {
  const action = parameters.get('Action')
  if (action === undefined) {
    throw new StsFault('MissingAction', 400, 'The request must contain the parameter Action.')
  }
  const version = parameters.get('Version') ?? 'NO_VERSION'
  if (action === OPERATION && version === VERSION) return
  const [name, of] = [NAME.test(action) ? ` ${action}` : '', NAME.test(version) ? ` ${version}` : '']
  const message = `Could not find operation${name} for version${of}: this service has ${OPERATION} of ${VERSION} alone.`
  throw new StsFault('InvalidAction', 400, message)
}

/** Nothing in it needs to be escaped: an ARN's partition, the digits of an account, an access key id, a UUID. */
function identityXml(partition: string, principal: Principal, requestId: string): string {
  const { accountId, accessKeyId } = principal
  return [
    `<GetCallerIdentityResponse xmlns="${NAMESPACE}">`,
    '  <GetCallerIdentityResult>',
    `    <Arn>${principalArn(partition, principal)}</Arn>`,
    `    <UserId>${accessKeyId}</UserId>`,
    `    <Account>${accountId}</Account>`,
    '  </GetCallerIdentityResult>',
    `  <ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`,
    '</GetCallerIdentityResponse>',
    '',
  ].join('\n')
}

function answerFault(record: RequestRecord, { code, status, message }: StsFault): FacadeResponse {
  record.outcome = code
  const body = [
    `<ErrorResponse xmlns="${NAMESPACE}">`,
    '  <Error>',
    `    <Type>${status < 500 ? 'Sender' : 'Receiver'}</Type>`,
    `    <Code>${code}</Code>`,
    `    <Message>${escapeXml(message)}</Message>`,
    '  </Error>',
    `  <RequestId>${record.requestId}</RequestId>`,
    '</ErrorResponse>',
    '',
  ]
  return answer(record, status, body.join('\n'))
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
}

function answer(record: RequestRecord, status: number, body: string): FacadeResponse {
  return { status, headers: { 'content-type': 'text/xml', 'x-amzn-requestid': record.requestId }, body }
}
