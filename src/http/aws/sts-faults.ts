import type { TransportFault } from '../facade.ts'
import type { AwsFault, AwsFaultName } from './fault.ts'

/** Codes of AWS STS: those that all its actions have. */
export type StsFaultCode =
  | 'ExpiredToken'
  | 'IncompleteSignature'
  | 'InternalFailure'
  | 'InvalidAction'
  | 'InvalidClientTokenId'
  | 'MalformedInput'
  | 'MissingAction'
  | 'MissingAuthenticationToken'
  | 'RequestEntityTooLarge'
  | 'SignatureDoesNotMatch'

/** A refusal in the words of AWS STS. */
export class StsFault extends Error {
  readonly code: StsFaultCode
  readonly status: number

  /** @param message - Shown to the caller: no secret. */
  constructor(code: StsFaultCode, status: number, message: string) {
    super(message)
    this.code = code
    this.status = status
  }
}

export const STS_FAULTS: Readonly<Record<TransportFault, StsFault>> = {
  BODY_TOO_LARGE: new StsFault('RequestEntityTooLarge', 413, 'The request body is too large.'),
  BODY_MALFORMED: new StsFault('MalformedInput', 400, 'The parameters of the request could not be read.'),
  INTERNAL: new StsFault('InternalFailure', 500, 'internal error'),
}

/** What signatures are refused with, in STS's codes (AWS STS API Reference, "Common Error Types"). */
const SIGNATURE_FAULTS: Readonly<
  Partial<Record<AwsFaultName, readonly [code: StsFaultCode, status: number]>>
> = {
  ExpiredTokenException: ['ExpiredToken', 403],
  IncompleteSignatureException: ['IncompleteSignature', 400],
  InvalidSignatureException: ['SignatureDoesNotMatch', 403],
  MissingAuthenticationTokenException: ['MissingAuthenticationToken', 403],
  UnrecognizedClientException: ['InvalidClientTokenId', 403],
}

/** The same refusal as the KMS API's, as STS gives it. */
export function toStsFault({ type, message }: AwsFault): StsFault {
  const row = SIGNATURE_FAULTS[type]
  return row ? new StsFault(...row, message) : STS_FAULTS.INTERNAL
}
