/** Names of the faults that this façade answers with: AWS KMS's modelled errors and the common ones of AWS APIs. */
export const AWS_FAULT_NAMES = [
  'AccessDeniedException',
  'AlreadyExistsException',
  'ConflictException',
  'DependencyTimeoutException',
  'DisabledException',
  'DryRunOperationException',
  'ExpiredImportTokenException',
  'ExpiredTokenException',
  'IncompleteSignatureException',
  'IncorrectKeyException',
  'IncorrectKeyMaterialException',
  'InvalidAliasNameException',
  'InvalidArnException',
  'InvalidCiphertextException',
  'InvalidGrantIdException',
  'InvalidGrantTokenException',
  'InvalidImportTokenException',
  'InvalidKeyUsageException',
  'InvalidMarkerException',
  'InvalidSignatureException',
  'KMSInternalException',
  'KMSInvalidMacException',
  'KMSInvalidSignatureException',
  'KMSInvalidStateException',
  'KeyUnavailableException',
  'LimitExceededException',
  'MalformedPolicyDocumentException',
  'MissingAuthenticationTokenException',
  'NotAuthorizedException',
  'NotFoundException',
  'RequestEntityTooLargeException',
  'SerializationException',
  'TagException',
  'ThrottlingException',
  'UnknownOperationException',
  'UnrecognizedClientException',
  'UnsupportedOperationException',
  'ValidationException',
] as const

export type AwsFaultName = (typeof AWS_FAULT_NAMES)[number]

/**
 * A refusal in the words of the AWS API, for what this façade decides by itself. AWS KMS answers every fault of the
 * caller with 400, whatever the service model says of 404 or 409 (recorded).
 */
export class AwsFault extends Error {
  readonly type: AwsFaultName
  readonly status: number

  /** @param message - Shown to the caller: no secret, and nothing of another account. */
  constructor(type: AwsFaultName, message: string, status = 400) {
    super(message)
    this.type = type
    this.status = status
  }
}

/** For what the real service does and this one does not do yet. Never a silent no-op. */
export function unsupported(what: string): AwsFault {
  return new AwsFault('UnsupportedOperationException', `${what} is not supported by this service yet.`)
}

export function validation(message: string): AwsFault {
  return new AwsFault('ValidationException', message)
}
