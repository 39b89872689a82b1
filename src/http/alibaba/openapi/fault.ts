/** A refusal in the words of the Alibaba Cloud KMS OpenAPI ("Error codes"), for what this façade decides by itself. */
export class OpenApiFault extends Error {
  readonly code: OpenApiFaultCode
  readonly status: number

  /** @param message - Shown to the caller: no secret, and nothing of another account. */
  constructor(code: OpenApiFaultCode, message: string, status = 400) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** Every code that this façade answers with. */
export const OPENAPI_FAULT_CODES = [
  'AccessDeniedError',
  'AliasAlreadyExists',
  'DryRunOperationError',
  'ExpiredImportToken',
  'Forbidden.AliasNotFound',
  'Forbidden.KeyNotFound',
  'Forbidden.KeyVersionNotFound',
  'Forbidden.NoPermission',
  'Forbidden.ResourceNotFound',
  'IllegalTimestamp',
  'IncompleteSignature',
  'InternalFailure',
  'InvalidAccessKeyId.NotFound',
  'InvalidImportToken',
  'InvalidKeyMaterial',
  'InvalidParameter',
  'InvalidSecurityToken.Expired',
  'InvalidSecurityToken.MismatchWithAccessKey',
  'InvalidVersion',
  'MissingParameter',
  'ParseRequestParameterException',
  'Rejected.AlreadyExists',
  'Rejected.DeletionProtection',
  'Rejected.Disabled',
  'Rejected.LimitExceeded',
  'Rejected.PendingDeletion',
  'Rejected.PendingImport',
  'Rejected.StateModifiedFailed',
  'Rejected.Throttling',
  'Rejected.Unavailable',
  'Rejected.UnsupportedOperation',
  'RequestEntityTooLarge',
  'ServiceUnavailableTemporary',
  'SignatureDoesNotMatch',
  'SignatureNonceUsed',
  'Unsupported.Alias',
  'Unsupported.Origin',
  'UnsupportedHTTPMethod',
  'UnsupportedOperation',
  'ValidationError',
] as const

export type OpenApiFaultCode = (typeof OPENAPI_FAULT_CODES)[number]

/** A parameter that is required and absent, or empty, which SDKs send for one that the program did not set. */
export function missing(parameter: string): OpenApiFault {
  return new OpenApiFault('MissingParameter', `The parameter "${parameter}" is needed but not provided.`)
}

/** @param why - What is wrong with it; never its value. */
export function invalidParameter(parameter: string, why?: string): OpenApiFault {
  const text = `The specified parameter "${parameter}" is not valid.`
  return new OpenApiFault('InvalidParameter', why === undefined ? text : `${text} ${why}`)
}

/** For what the real service does and this one does not do. Never a silent no-op. */
export function unsupported(what: string): OpenApiFault {
  return new OpenApiFault('UnsupportedOperation', `This action is not supported. ${what}`)
}
