import type { KeySpec, KeyUsage } from '../key-spec.ts'

/** Names the material of one master key version in one token. */
export interface MasterKeyRef {
  /** Name of the token in the configuration. */
  readonly token: string
  readonly keyId: string
  readonly versionId: string
  /** Version number, for the readable label in the token. */
  readonly versionNumber: number
  /** Both are absent of a symmetric key (AES-256). */
  readonly spec?: KeySpec
  readonly usage?: KeyUsage
  /** UUID of the import that brings the material, where one does: objects of another import of the version are not meant. */
  readonly importId?: string
}

/** Time that one provider call spent, for the request's log line. Milliseconds. */
export interface ProviderTimings {
  queueMs: number
  tokenMs: number
}

export interface CallOptions {
  /** The call fails with `TOKEN_TIMEOUT` when it has not ended by then. Milliseconds since the epoch, `Date.now()`. */
  readonly deadlineAt: number
  /** Added to by the provider, when given. */
  readonly timings?: ProviderTimings | undefined
}
