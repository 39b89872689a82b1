import { isKmsError, type KmsError, type KmsErrorCode, type KmsErrorDetails } from '../../../core/errors.ts'
import type { KeyState } from '../../../core/key.ts'
import { InstanceFault, type InstanceFaultCode } from './fault.ts'

type FaultRow = readonly [code: InstanceFaultCode, status: number, text: string]

const INVALID_PARAMETER: FaultRow = ['InvalidParameter', 400, 'The specified parameter is not valid.']
const KEY_NOT_FOUND: FaultRow = ['Forbidden.KeyNotFound', 404, 'The specified Key is not found.']
const UNSUPPORTED: FaultRow = ['UnsupportedOperation', 400, 'Rejected.UnsupportedOperation']
const UNAVAILABLE: FaultRow = ['ServiceUnavailableTemporary', 503, 'Service Unavailable Temporary.']

/**
 * Code, status and text per domain code; a new `KmsErrorCode` fails the build until it has a row. Texts are the real service's
 * where they are known. Of the codes, SDKs retry `Rejected.Throttling`, some also the 503.
 */
const INSTANCE_FAULTS: Readonly<Record<KmsErrorCode, FaultRow>> = {
  KEY_NOT_FOUND,
  KEY_ID_INVALID: KEY_NOT_FOUND,
  KEY_VERSION_NOT_FOUND: ['Forbidden.KeyVersionNotFound', 404, 'The specified Key version is not found.'],
  ALIAS_NOT_FOUND: ['Forbidden.AliasNotFound', 404, 'The specified Alias is not found.'],
  ALREADY_EXISTS: INVALID_PARAMETER,
  // Its text names the state: see stateFault.
  KEY_STATE_INVALID: ['Rejected.Unavailable', 409, stateText('Unavailable')],
  KEY_NOT_PRIMARY: UNSUPPORTED,
  // No operation of this API schedules a deletion.
  KEY_PROTECTED: UNSUPPORTED,
  KEY_USAGE_INVALID: UNSUPPORTED,
  KEY_ALGORITHM_INVALID: UNSUPPORTED,
  KEY_NOT_ROTATABLE: UNSUPPORTED,
  KEY_VERSION_TOO_SOON: UNSUPPORTED,
  ROTATIONS_EXHAUSTED: UNSUPPORTED,
  ROTATION_IN_PROGRESS: UNAVAILABLE,
  KEY_EXHAUSTED: ['Rejected.Unavailable', 409, stateText('Unavailable')],
  KEY_MISMATCH: INVALID_PARAMETER,
  CIPHERTEXT_INVALID: INVALID_PARAMETER,
  CIPHERTEXT_KEY_INACCESSIBLE: KEY_NOT_FOUND,
  SIGNATURE_INVALID: INVALID_PARAMETER,
  MAC_INVALID: INVALID_PARAMETER,
  REQUEST_INVALID: INVALID_PARAMETER,
  LIMIT_EXCEEDED: ['Rejected.LimitExceeded', 400, 'The request was rejected because a limit was exceeded.'],
  UNSUPPORTED,
  UNAUTHENTICATED: ['SignatureNotMatch', 401, 'Signature is not matched.'],
  ACCESS_DENIED: ['Forbidden.NoPermission', 403, 'This operation is forbidden by permission system.'],
  CONFLICT: UNAVAILABLE,
  TOKEN_UNAVAILABLE: UNAVAILABLE,
  TOKEN_TIMEOUT: ['Rejected.Throttling', 429, 'QPS Limit Exceeded'],
  TOKEN_BUSY: ['Rejected.Throttling', 429, 'Concurrency Limit Exceeded.'],
  ISSUER_BUSY: ['Rejected.Throttling', 429, 'Concurrency Limit Exceeded.'],
  STORE_UNAVAILABLE: UNAVAILABLE,
  ACCESS_ENTRY_NOT_FOUND: INVALID_PARAMETER,
  // Of the AWS KMS API alone.
  KEY_ORIGIN_INVALID: UNSUPPORTED,
  MATERIAL_NOT_PENDING: UNSUPPORTED,
  MATERIAL_PENDING: UNSUPPORTED,
  MATERIAL_INCORRECT: INVALID_PARAMETER,
  MATERIAL_UNREADABLE: INVALID_PARAMETER,
  IMPORT_TOKEN_INVALID: INVALID_PARAMETER,
  IMPORT_TOKEN_EXPIRED: INVALID_PARAMETER,
  DRY_RUN: UNSUPPORTED,
  GRANT_TOKEN_INVALID: INVALID_PARAMETER,
  GRANT_ID_INVALID: INVALID_PARAMETER,
  GRANT_NOT_FOUND: INVALID_PARAMETER,
  PRINCIPAL_INVALID: INVALID_PARAMETER,
  TAGS_INVALID: INVALID_PARAMETER,
  POLICY_INVALID: INVALID_PARAMETER,
}

/** Code of the 409 that a state is told by; a key that is being made or destroyed is no caller's to see. */
const STATE_CODES: Readonly<Partial<Record<KeyState, InstanceFaultCode>>> = {
  Disabled: 'Rejected.Disabled',
  PendingDeletion: 'Rejected.PendingDeletion',
  PendingReplicaDeletion: 'Rejected.PendingDeletion',
}

/** The fault that a caller is told of a domain error. */
export function toInstanceFault(error: KmsError): InstanceFault {
  if (error.code === 'KEY_STATE_INVALID') {
    const { state } = error.details as KmsErrorDetails['KEY_STATE_INVALID']
    const code = STATE_CODES[state]
    if (code) return new InstanceFault(code, 409, stateText(code.slice('Rejected.'.length)))
  }
  const versionUnknown = isKmsError(error, 'CIPHERTEXT_INVALID') && error.details.versionUnknown === true
  return new InstanceFault(...INSTANCE_FAULTS[versionUnknown ? 'KEY_NOT_FOUND' : error.code])
}

function stateText(state: string): string {
  return `The request was rejected because the key state is ${state}.`
}
