import { isKmsError, type KmsError, type KmsErrorCode, type KmsErrorDetails } from '../../../core/errors.ts'
import type { KeyState } from '../../../core/key.ts'
import { invalidParameter, OpenApiFault, type OpenApiFaultCode } from './fault.ts'
import { toUtc } from './timestamp.ts'

type FaultRow<C extends KmsErrorCode> = readonly [
  code: OpenApiFaultCode,
  status: number,
  text: string | ((details: KmsErrorDetails[C], message: string) => string),
]

const sentence = (_details: unknown, message: string): string => message

const KEY_NOT_FOUND = ['Forbidden.KeyNotFound', 404, 'The specified Key is not found.'] as const
const UNAVAILABLE = ['ServiceUnavailableTemporary', 503, 'Service Unavailable Temporary.'] as const
const INVALID_MATERIAL = ['InvalidKeyMaterial', 400, 'The key material is invalid.'] as const
const NO_PERMISSION = [
  'Forbidden.NoPermission',
  403,
  'This operation is forbidden by permission system.',
] as const
const LIMIT_EXCEEDED = 'The request was rejected because the create resource limit was exceeded.'
const THROTTLED = ['Rejected.Throttling', 429, 'QPS Limit Exceeded'] as const

/**
 * Code, status and text per domain code; a new `KmsErrorCode` fails the build until it has a row. Texts are Alibaba Cloud's
 * ("Error codes", and the pages of the operations) where they are known.
 */
export const OPENAPI_FAULTS = {
  KEY_NOT_FOUND,
  KEY_ID_INVALID: KEY_NOT_FOUND,
  KEY_VERSION_NOT_FOUND: ['Forbidden.KeyVersionNotFound', 404, 'The specified Key version is not found.'],
  ALIAS_NOT_FOUND: ['Forbidden.AliasNotFound', 404, 'The specified Alias is not found.'],
  ALREADY_EXISTS: ['AliasAlreadyExists', 400, 'AliasName Already Exists.'],
  KEY_NOT_ROTATABLE: ['Rejected.UnsupportedOperation', 400, 'Unsupported operation.'],
  // The code is that of the page on CreateKeyVersion; a time is told in whole seconds.
  KEY_VERSION_TOO_SOON: [
    'Rejected.UnsupportedOperation',
    400,
    ({ from }) =>
      `Unsupported operation. The next version of the key can be made from ${toUtc(from + 999)} on.`,
  ],
  ROTATIONS_EXHAUSTED: ['Rejected.LimitExceeded', 400, LIMIT_EXCEEDED],
  ROTATION_IN_PROGRESS: UNAVAILABLE,
  // Which code depends on the operation as well: stateFault().
  KEY_STATE_INVALID: ['Rejected.StateModifiedFailed', 409, 'Keystate modified failed.'],
  KEY_NOT_PRIMARY: ['Rejected.UnsupportedOperation', 400, 'Unsupported operation.'],
  KEY_PROTECTED: ['Rejected.DeletionProtection', 409, 'The key is protected from deletion.'],
  KEY_USAGE_INVALID: ['Rejected.UnsupportedOperation', 400, 'Unsupported operation.'],
  KEY_ALGORITHM_INVALID: ['Rejected.UnsupportedOperation', 400, 'Unsupported operation.'],
  KEY_EXHAUSTED: [
    'Rejected.LimitExceeded',
    400,
    'The request was rejected because the encryptions of the key version were used up; rotate the key.',
  ],
  KEY_MISMATCH: KEY_NOT_FOUND,
  CIPHERTEXT_INVALID: ['InvalidParameter', 400, invalidParameter('CiphertextBlob').message],
  CIPHERTEXT_KEY_INACCESSIBLE: KEY_NOT_FOUND,
  SIGNATURE_INVALID: ['InvalidParameter', 400, invalidParameter('Value').message],
  MAC_INVALID: ['InvalidParameter', 400, invalidParameter('Value').message],
  REQUEST_INVALID: [
    'InvalidParameter',
    400,
    ({ field }, message) => (field === undefined ? message : invalidParameter(field).message),
  ],
  LIMIT_EXCEEDED: ['Rejected.LimitExceeded', 400, LIMIT_EXCEEDED],
  UNSUPPORTED: ['UnsupportedOperation', 400, sentence],
  UNAUTHENTICATED: [
    'InvalidAccessKeyId.NotFound',
    404,
    'The AccessKey ID provided does not exist in our records.',
  ],
  ACCESS_DENIED: NO_PERMISSION,
  // SDKs of Alibaba Cloud try these two codes again.
  CONFLICT: UNAVAILABLE,
  TOKEN_UNAVAILABLE: UNAVAILABLE,
  TOKEN_TIMEOUT: THROTTLED,
  TOKEN_BUSY: ['Rejected.Throttling', 429, 'Concurrency Limit Exceeded.'],
  ISSUER_BUSY: ['Rejected.Throttling', 429, 'Concurrency Limit Exceeded.'],
  STORE_UNAVAILABLE: UNAVAILABLE,
  DRY_RUN: ['DryRunOperationError', 400, 'The request would have succeeded, but DryRun is set.'],
  KEY_ORIGIN_INVALID: ['Unsupported.Origin', 400, 'This key origin is not valid for this api.'],
  MATERIAL_NOT_PENDING: INVALID_MATERIAL,
  MATERIAL_PENDING: INVALID_MATERIAL,
  MATERIAL_INCORRECT: INVALID_MATERIAL,
  MATERIAL_UNREADABLE: INVALID_MATERIAL,
  IMPORT_TOKEN_INVALID: ['InvalidImportToken', 400, 'The import token is invalid.'],
  IMPORT_TOKEN_EXPIRED: ['ExpiredImportToken', 400, 'The import token is expired.'],
  // This API has no grants.
  GRANT_TOKEN_INVALID: NO_PERMISSION,
  GRANT_ID_INVALID: NO_PERMISSION,
  GRANT_NOT_FOUND: NO_PERMISSION,
  PRINCIPAL_INVALID: ['InvalidParameter', 400, invalidParameter('Policy').message],
  TAGS_INVALID: [
    'InvalidParameter',
    400,
    (_details, message) => invalidParameter('Tags', `${message}.`).message,
  ],
  POLICY_INVALID: [
    'InvalidParameter',
    400,
    (_details, message) => invalidParameter('Policy', message).message,
  ],
  ACCESS_ENTRY_NOT_FOUND: [
    'Forbidden.ResourceNotFound',
    404,
    ({ kind }) => `The specified ${kind} is not found.`,
  ],
} as const satisfies { readonly [C in KmsErrorCode]: FaultRow<C> }

/**
 * Operations that change the state of a key, or ask for one as if they did: whatever is wrong with the state, they say the same.
 * The rest names the state (Alibaba Cloud KMS, "Impact of CMK status on API calling").
 */
const STATE_CHANGING: ReadonlySet<string> = new Set([
  'EnableKey',
  'DisableKey',
  'ScheduleKeyDeletion',
  'CancelKeyDeletion',
  'CreateAlias',
  'ImportKeyMaterial',
])

const STATE_CODES: Readonly<Record<KeyState, readonly [code: OpenApiFaultCode, shown: string]>> = {
  Creating: ['Rejected.Unavailable', 'Unavailable'],
  PendingImport: ['Rejected.PendingImport', 'PendingImport'],
  Enabled: ['Rejected.Unavailable', 'Unavailable'],
  Disabled: ['Rejected.Disabled', 'Disabled'],
  PendingDeletion: ['Rejected.PendingDeletion', 'PendingDeletion'],
  PendingReplicaDeletion: ['Rejected.PendingDeletion', 'PendingDeletion'],
  Deleting: ['Rejected.PendingDeletion', 'PendingDeletion'],
  Deleted: ['Rejected.PendingDeletion', 'PendingDeletion'],
}

/** The fault that a caller of `action` is told of a domain error. */
export function toOpenApiFault<C extends KmsErrorCode>(error: KmsError<C>, action: string): OpenApiFault {
  const details: KmsErrorDetails[C] & { readonly state?: KeyState; readonly versionUnknown?: true } =
    error.details
  if (details.state !== undefined && !STATE_CHANGING.has(action)) return stateFault(details.state)
  if (isKmsError(error, 'ALREADY_EXISTS') && error.details.alias === undefined) {
    return new OpenApiFault('Rejected.AlreadyExists', 'The specified resource exists already.')
  }
  const rows: { readonly [Code in KmsErrorCode]: FaultRow<Code> } = OPENAPI_FAULTS
  const [code, status, text] = (details.versionUnknown ? KEY_NOT_FOUND : rows[error.code]) as FaultRow<C>
  return new OpenApiFault(code, typeof text === 'string' ? text : text(details, error.message), status)
}

function stateFault(state: KeyState): OpenApiFault {
  const [code, shown] = STATE_CODES[state]
  return new OpenApiFault(code, `The request was rejected because the key state is ${shown}.`, 409)
}

/** What a dry run makes of a fault: it says by the code whether the parameters or the permissions are wrong (GenerateDataKey, "DryRun"). */
export function dryRunFault(fault: OpenApiFault): OpenApiFault {
  const { code, message, status } = fault
  if (code === 'InvalidParameter' || code === 'MissingParameter')
    return new OpenApiFault('ValidationError', message, status)
  return code === 'Forbidden.NoPermission' ? new OpenApiFault('AccessDeniedError', message, status) : fault
}
