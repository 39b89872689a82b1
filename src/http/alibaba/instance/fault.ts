/** Codes of the instance API's errors, as far as this service gives them. */
export const INSTANCE_FAULT_CODES = [
  'Forbidden.AliasNotFound',
  'Forbidden.KeyNotFound',
  'Forbidden.KeyVersionNotFound',
  'Forbidden.NoPermission',
  'Forbidden.OnlySymmetricKeySupported',
  'InternalFailure',
  'InvalidApiName',
  'InvalidApiVersion',
  'InvalidParam',
  'InvalidParameter',
  'MissingParameter',
  'Rejected.Disabled',
  'Rejected.LimitExceeded',
  'Rejected.PendingDeletion',
  'Rejected.PendingImport',
  'Rejected.Throttling',
  'Rejected.Unavailable',
  'RequestEntityTooLarge',
  'RequestTimeTooSkewed',
  'ServiceUnavailableTemporary',
  'SignatureNotMatch',
  'Unauthorized',
  'UnsupportedOperation',
] as const

export type InstanceFaultCode = (typeof INSTANCE_FAULT_CODES)[number]

/** A refusal in the words of the instance API. */
export class InstanceFault extends Error {
  readonly code: InstanceFaultCode
  readonly status: number

  /** @param message - Shown to the caller: no secret, and nothing of another account. */
  constructor(code: InstanceFaultCode, status: number, message: string) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** A header that is not as the protocol has it. */
export function invalidHeader(name: string): InstanceFault {
  return new InstanceFault('InvalidParam', 400, `The Param ${name} is invalid.`)
}

/** A field of the message that is not as the operation has it. */
export function invalidParameter(): InstanceFault {
  return new InstanceFault('InvalidParameter', 400, 'The specified parameter is not valid.')
}

/** For a key of another kind than the operation takes. */
export function onlySymmetric(keyId: string): InstanceFault {
  return new InstanceFault(
    'Forbidden.OnlySymmetricKeySupported',
    404,
    `The key ${keyId} is not a symmetric key. The API only supports symmetric keys.`,
  )
}

/** For what the real service does and this one does not do. Never a silent no-op. */
export function unsupported(): InstanceFault {
  return new InstanceFault('UnsupportedOperation', 400, 'Rejected.UnsupportedOperation')
}
