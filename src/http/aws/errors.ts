import { KmsError, type KmsErrorCode, type KmsErrorDetails } from '../../core/errors.ts'
import { materialIdOf } from '../../core/material-id.ts'
import { AwsFault, type AwsFaultName } from './fault.ts'
import { type ArnScope, aliasArn, keyArn } from './wire.ts'

/** Writes the text of a fault from the facts of the error; `message` is the core's own sentence. */
type FaultText<C extends KmsErrorCode> = (
  details: KmsErrorDetails[C],
  scope: ArnScope,
  message: string,
) => string

type FaultRow<C extends KmsErrorCode> = readonly [name: AwsFaultName, status: number, text: FaultText<C>]

const THROTTLED = 'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.'
const TIMED_OUT = 'The system timed out while trying to fulfill the request. You can retry the request.'

const nothing = (): string => ''
const sentence = (_details: unknown, _scope: ArnScope, message: string): string => message

/**
 * Wire name, status and text per domain code; a new `KmsErrorCode` fails the build until it has a row. Texts are AWS's,
 * recorded where there is a recording. Faults of the caller have status 400 throughout, as recorded.
 */
export const AWS_FAULTS = {
  KEY_NOT_FOUND: [
    'NotFoundException',
    400,
    ({ keyId, region = '' }, scope) =>
      `Key '${keyArn(region === '' ? scope : { ...scope, region }, keyId)}' does not exist`,
  ],
  KEY_ID_INVALID: ['NotFoundException', 400, ({ keyId }) => `Invalid keyId '${keyId}'`],
  KEY_VERSION_NOT_FOUND: ['InvalidCiphertextException', 400, nothing],
  ALIAS_NOT_FOUND: [
    'NotFoundException',
    400,
    ({ alias }, scope) => `Alias ${aliasArn(scope, alias)} is not found.`,
  ],
  ALREADY_EXISTS: ['AlreadyExistsException', 400, alreadyExists],
  KEY_STATE_INVALID: ['KMSInvalidStateException', 400, keyState],
  KEY_NOT_PRIMARY: [
    'UnsupportedOperationException',
    400,
    ({ keyId }, scope) => `${keyArn(scope, keyId)} is not a multi-region primary key.`,
  ],
  KEY_PROTECTED: [
    'KMSInvalidStateException',
    400,
    ({ keyId }, scope) => `${keyArn(scope, keyId)} is protected from deletion.`,
  ],
  KEY_USAGE_INVALID: ['InvalidKeyUsageException', 400, keyUsage],
  KEY_ORIGIN_INVALID: [
    'UnsupportedOperationException',
    400,
    ({ keyId, origin }, scope) =>
      `${keyArn(scope, keyId)} origin is ${origin} which is not valid for this operation.`,
  ],
  MATERIAL_NOT_PENDING: [
    'KMSInvalidStateException',
    400,
    ({ keyId }, scope) => `No available key material pending rotation for the key: ${keyArn(scope, keyId)}.`,
  ],
  MATERIAL_PENDING: [
    'KMSInvalidStateException',
    400,
    ({ keyId, versionId, pendingVersionId }) =>
      `New key material (id: ${materialIdOf(versionId)}) cannot be imported into KMS key ${keyId}, because another key ` +
      `material (id: ${materialIdOf(pendingVersionId)}) is pending rotation.`,
  ],
  MATERIAL_INCORRECT: ['IncorrectKeyMaterialException', 400, sentence],
  MATERIAL_UNREADABLE: ['InvalidCiphertextException', 400, nothing],
  IMPORT_TOKEN_INVALID: ['InvalidImportTokenException', 400, nothing],
  IMPORT_TOKEN_EXPIRED: ['ExpiredImportTokenException', 400, nothing],
  // Recorded without a text.
  KEY_NOT_ROTATABLE: ['UnsupportedOperationException', 400, nothing],
  // Of the Alibaba Cloud API alone.
  KEY_VERSION_TOO_SOON: ['LimitExceededException', 400, sentence],
  ROTATIONS_EXHAUSTED: [
    'LimitExceededException',
    400,
    ({ keyId }, scope) =>
      'The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be ' +
      `performed for this key: ${keyArn(scope, keyId)}`,
  ],
  ROTATION_IN_PROGRESS: [
    'ConflictException',
    400,
    ({ keyId }, scope) => `A rotation of ${keyArn(scope, keyId)} is in progress.`,
  ],
  KEY_ALGORITHM_INVALID: ['InvalidKeyUsageException', 400, sentence],
  // SDKs try it again for some seconds, in which the key may be rotated.
  KEY_EXHAUSTED: ['LimitExceededException', 400, sentence],
  KEY_MISMATCH: [
    'IncorrectKeyException',
    400,
    () => 'The key ID in the request does not identify a CMK that can perform this operation.',
  ],
  CIPHERTEXT_INVALID: ['InvalidCiphertextException', 400, nothing],
  CIPHERTEXT_KEY_INACCESSIBLE: [
    'AccessDeniedException',
    400,
    () =>
      'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are ' +
      'not allowed to access.',
  ],
  SIGNATURE_INVALID: ['KMSInvalidSignatureException', 400, nothing],
  MAC_INVALID: ['KMSInvalidMacException', 400, nothing],
  REQUEST_INVALID: ['ValidationException', 400, sentence],
  LIMIT_EXCEEDED: ['LimitExceededException', 400, sentence],
  UNSUPPORTED: ['UnsupportedOperationException', 400, sentence],
  UNAUTHENTICATED: [
    'UnrecognizedClientException',
    400,
    () => 'The security token included in the request is invalid.',
  ],
  ACCESS_DENIED: [
    'AccessDeniedException',
    400,
    ({ action }) => `User is not authorized to perform: kms:${action} on this resource`,
  ],
  // SDKs try 5xx again; AWS's own ConflictException they do not.
  CONFLICT: ['DependencyTimeoutException', 503, () => TIMED_OUT],
  TOKEN_UNAVAILABLE: [
    'KeyUnavailableException',
    500,
    () =>
      'The request was rejected because the specified KMS key was not available. You can retry the request.',
  ],
  TOKEN_TIMEOUT: ['ThrottlingException', 400, () => THROTTLED],
  TOKEN_BUSY: ['ThrottlingException', 400, () => THROTTLED],
  ISSUER_BUSY: ['ThrottlingException', 400, () => THROTTLED],
  STORE_UNAVAILABLE: ['DependencyTimeoutException', 503, () => TIMED_OUT],
  // Of the Alibaba Cloud APIs alone.
  ACCESS_ENTRY_NOT_FOUND: ['NotFoundException', 400, sentence],
  DRY_RUN: ['DryRunOperationException', 400, sentence],
  GRANT_TOKEN_INVALID: ['InvalidGrantTokenException', 400, sentence],
  GRANT_ID_INVALID: ['InvalidGrantIdException', 400, sentence],
  GRANT_NOT_FOUND: ['NotFoundException', 400, ({ grantId }) => `Grant ID ${grantId} not found`],
  PRINCIPAL_INVALID: [
    'InvalidArnException',
    400,
    ({ principal }) => `ARN does not refer to a valid principal: ${principal}`,
  ],
  TAGS_INVALID: ['TagException', 400, sentence],
  POLICY_INVALID: ['MalformedPolicyDocumentException', 400, sentence],
} as const satisfies { readonly [C in KmsErrorCode]: FaultRow<C> }

/** The fault that a caller is told of a domain error. */
export function toAwsFault<C extends KmsErrorCode>(error: KmsError<C>, scope: ArnScope): AwsFault {
  const rows: { readonly [Code in KmsErrorCode]: FaultRow<Code> } = AWS_FAULTS
  const [name, status, text] = rows[error.code] as FaultRow<C>
  return new AwsFault(stateFault(error) ?? name, text(error.details, scope, error.message), status)
}

/** A disabled key has an exception of its own, except where being disabled is not what is wrong. */
function stateFault(error: KmsError): AwsFaultName | undefined {
  if (error.code !== 'KEY_STATE_INVALID') return undefined
  const details = error.details as KmsErrorDetails['KEY_STATE_INVALID']
  return details.state === 'Disabled' && !wantsPendingDeletion(details) ? 'DisabledException' : undefined
}

const STATE_TEXTS: Readonly<Record<KmsErrorDetails['KEY_STATE_INVALID']['state'], string>> = {
  Creating: 'is creating.',
  PendingImport: 'is pending import.',
  Enabled: 'is enabled.',
  Disabled: 'is disabled.',
  PendingDeletion: 'is pending deletion.',
  PendingReplicaDeletion: 'is pending replica deletion.',
  Deleting: 'is pending deletion.',
  Deleted: 'is pending deletion.',
}

function keyState(details: KmsErrorDetails['KEY_STATE_INVALID'], scope: ArnScope): string {
  const text = wantsPendingDeletion(details) ? 'is not pending deletion.' : STATE_TEXTS[details.state]
  return `${keyArn({ ...scope, region: details.region }, details.keyId)} ${text}`
}

function wantsPendingDeletion({ allowed }: KmsErrorDetails['KEY_STATE_INVALID']): boolean {
  return allowed.every((state) => state === 'PendingDeletion' || state === 'PendingReplicaDeletion')
}

function keyUsage(details: KmsErrorDetails['KEY_USAGE_INVALID'], scope: ArnScope): string {
  return `${keyArn(scope, details.keyId)} key usage is ${details.usage} which is not valid for ${details.operation}.`
}

function alreadyExists(
  { alias, keyId, region }: KmsErrorDetails['ALREADY_EXISTS'],
  scope: ArnScope,
  message: string,
): string {
  if (keyId !== undefined && region !== undefined)
    return `${keyArn({ ...scope, region }, keyId)} already exists.`
  return alias === undefined ? message : `An alias with the name ${aliasArn(scope, alias)} already exists`
}
