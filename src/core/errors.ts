import type { KeyOrigin, KeySpec, KeyState, KeyUsage } from './key.ts'

/** For a code that says everything by itself. */
type NoDetails = { readonly [detail: string]: never }

/**
 * Every way an operation can fail for a reason outside this program, with the facts that a façade
 * needs to say so in its protocol's own words. `docs/errors.md` has a section per code.
 */
export interface KmsErrorDetails {
  /** No such key for this account and region. `keyId` is what the caller named, `region` where it is not in the caller's. */
  KEY_NOT_FOUND: { readonly keyId: string; readonly region?: string }
  /** A key id that can never exist. */
  KEY_ID_INVALID: { readonly keyId: string }
  KEY_VERSION_NOT_FOUND: { readonly keyId: string }
  /** `alias` is the full name, `alias/…`. */
  ALIAS_NOT_FOUND: { readonly alias: string }
  /** `region`: where the key of that id is. */
  ALREADY_EXISTS: { readonly alias?: string; readonly keyId?: string; readonly region?: string }
  /** `allowed`: the states that the operation takes. `region`: where the key is. */
  KEY_STATE_INVALID: {
    readonly keyId: string
    readonly region: string
    readonly state: KeyState
    readonly allowed: readonly KeyState[]
  }
  /** The operation takes the primary key of a multi-region key alone. */
  KEY_NOT_PRIMARY: { readonly keyId: string }
  /** The key is protected from deletion. */
  KEY_PROTECTED: { readonly keyId: string }
  KEY_USAGE_INVALID: { readonly keyId: string; readonly usage: KeyUsage; readonly operation: string }
  /** The operation is not for keys whose material comes from there. */
  KEY_ORIGIN_INVALID: { readonly keyId: string; readonly origin: KeyOrigin }
  /** No material waits to become the current one. */
  MATERIAL_NOT_PENDING: { readonly keyId: string }
  /** Other material waits to become the current one. Both are version ids. */
  MATERIAL_PENDING: { readonly keyId: string; readonly versionId: string; readonly pendingVersionId: string }
  /** The material is not the one that the request says it is. */
  MATERIAL_INCORRECT: NoDetails
  /** The material is not wrapped as it has to be, or is no material of such a key. */
  MATERIAL_UNREADABLE: NoDetails
  IMPORT_TOKEN_INVALID: NoDetails
  IMPORT_TOKEN_EXPIRED: NoDetails
  /** A key of this spec gets no version in the way that was asked for: rotation is of symmetric keys, making versions of key pairs. */
  KEY_NOT_ROTATABLE: { readonly keyId: string }
  /** The key had all the on-demand rotations that it may have. */
  ROTATIONS_EXHAUSTED: { readonly keyId: string }
  /** A version of the key is in the making. */
  ROTATION_IN_PROGRESS: { readonly keyId: string }
  /** The last version of the key is too young for another one. `from`: when there may be one, in milliseconds since the epoch. */
  KEY_VERSION_TOO_SOON: { readonly keyId: string; readonly from: number }
  /** The algorithm is none of the key's spec. */
  KEY_ALGORITHM_INVALID: { readonly algorithm: string; readonly spec: KeySpec }
  /** The primary version of the key had all the GCM invocations that it may have. */
  KEY_EXHAUSTED: { readonly keyId: string }
  /** The ciphertext belongs to another key than the one the caller named. */
  KEY_MISMATCH: { readonly keyId: string }
  /** `versionUnknown`: it has the form of a ciphertext of ours and names a key version that never was. */
  CIPHERTEXT_INVALID: { readonly versionUnknown?: true }
  /** The key of a ciphertext is gone or belongs to somebody else: one answer for both. */
  CIPHERTEXT_KEY_INACCESSIBLE: NoDetails
  SIGNATURE_INVALID: NoDetails
  MAC_INVALID: NoDetails
  REQUEST_INVALID: { readonly field?: string }
  LIMIT_EXCEEDED: { readonly limit: string }
  UNSUPPORTED: NoDetails
  UNAUTHENTICATED: NoDetails
  ACCESS_DENIED: { readonly action: string }
  /** Somebody else changed the same thing at the same time: the caller may try again. */
  CONFLICT: NoDetails
  /** The token is absent, logged out or broken: the caller may try again. */
  TOKEN_UNAVAILABLE: { readonly token: string }
  /** The queue before the token is full or the deadline passed: the caller may try again. */
  TOKEN_TIMEOUT: { readonly token: string }
  /** The token makes a key pair, and it makes one at a time: the caller may try again. */
  TOKEN_BUSY: { readonly token: string }
  /** Enough client keys are in the making, or making one took too long: the caller may try again. */
  ISSUER_BUSY: NoDetails
  STORE_UNAVAILABLE: NoDetails
  /** No such policy, access point or client key in the account and region. */
  ACCESS_ENTRY_NOT_FOUND: { readonly kind: 'policy' | 'access point' | 'client key'; readonly name: string }
  /** Everything was checked and would have been done, had the caller not asked for a dry run. */
  DRY_RUN: NoDetails
  /** No token of a grant that is there, of this account and region. */
  GRANT_TOKEN_INVALID: NoDetails
  /** A grant id that can never exist. */
  GRANT_ID_INVALID: NoDetails
  GRANT_NOT_FOUND: { readonly grantId: string }
  /** The name of a principal that no principal can have. */
  PRINCIPAL_INVALID: { readonly principal: string }
  TAGS_INVALID: NoDetails
  POLICY_INVALID: NoDetails
}

export type KmsErrorCode = keyof KmsErrorDetails

/**
 * A failure whose cause is the caller or the environment. `message` is one sentence that a client may
 * read; the `CKR_*` name, SQL state and stack travel in `cause` and never leave the process but in logs.
 */
export class KmsError<C extends KmsErrorCode = KmsErrorCode> extends Error {
  override readonly name = 'KmsError'
  readonly code: C
  readonly details: KmsErrorDetails[C]

  constructor(code: C, message: string, details: KmsErrorDetails[C], options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
    this.details = details
  }
}

/** Narrows `error` to a {@link KmsError} of one code. */
export function isKmsError<C extends KmsErrorCode>(error: unknown, code: C): error is KmsError<C> {
  return error instanceof KmsError && error.code === code
}

/** The one error, with the one message, of every ciphertext that does not authenticate. */
export function ciphertextInvalid(cause?: unknown): KmsError<'CIPHERTEXT_INVALID'> {
  return new KmsError('CIPHERTEXT_INVALID', 'The ciphertext is not valid.', {}, { cause })
}
