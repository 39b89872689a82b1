/** What a grant may allow, in AWS KMS's names ("Grant operations"). */
export const GRANT_OPERATIONS = [
  'CreateGrant',
  'Decapsulate',
  'Decrypt',
  'DeriveSharedSecret',
  'DescribeKey',
  'Encapsulate',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateMac',
  'GetPublicKey',
  'ReEncryptFrom',
  'ReEncryptTo',
  'RetireGrant',
  'Sign',
  'Verify',
  'VerifyMac',
] as const

export type GrantOperation = (typeof GRANT_OPERATIONS)[number]

/** Whom a grant names: somebody by an ARN of IAM or STS, or a service by its host name. */
export interface GrantPrincipal {
  readonly kind: 'arn' | 'service'
  /** 1 to 256 characters. */
  readonly name: string
}

/** When a grant holds. A constraint that is there and empty is kept: it says something else than none. */
export interface GrantConstraints {
  /** Pairs that the encryption context must have, among others. */
  readonly encryptionContextSubset?: Readonly<Record<string, string>>
  /** What the encryption context must be. */
  readonly encryptionContextEquals?: Readonly<Record<string, string>>
  /** The resource on whose behalf the request must be made. */
  readonly sourceArn?: string
}

/** What a grant says: who may do what with which key, and who may end it. */
export interface GrantTerms {
  readonly grantee: GrantPrincipal
  readonly retiring?: GrantPrincipal
  /** At least one, each once, sorted. */
  readonly operations: readonly GrantOperation[]
  readonly constraints?: GrantConstraints
  /** By which a repeated request is known; 1 to 256 characters. */
  readonly name?: string
}

/** A grant. It is never changed, only ended. */
export interface Grant extends GrantTerms {
  /** 64 lower-case hexadecimal digits. */
  readonly grantId: string
  /** Of its key. */
  readonly accountId: string
  readonly region: string
  readonly keyId: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** What the tokens of this grant are authenticated with: 64 lower-case hexadecimal digits. Never leaves the service. */
  readonly tokenKey: string
  /** The same for grants with one name and the same terms; absent without a name. */
  readonly fingerprint?: string
}
