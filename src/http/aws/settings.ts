/** What the operator configures of the AWS API. */
export interface AwsSettings {
  /** Second field of every ARN: `aws`. */
  readonly partition: string
  /** Regions that this service answers for; a request names its own in the credential scope. At least one. */
  readonly regions: readonly { readonly name: string }[]
  readonly accounts: readonly AwsAccountSettings[]
  /** How long a key pair may wait while its token makes others, before the caller is throttled. Milliseconds. */
  readonly keyPairWaitMs: number
}

export interface AwsAccountSettings {
  /** 12 digits; the account that the core knows. */
  readonly accountId: string
  readonly credentials: readonly AwsCredentialSettings[]
}

export interface AwsCredentialSettings {
  /** 1 to 128 of `A-Z a-z 0-9 _ . -`; unique over all accounts. */
  readonly accessKeyId: string
  /** UTF-8 where it is text. Copied into a key object at start; the caller may zero it afterwards. */
  readonly secretAccessKey: string | Buffer
  /** Requests must carry it in `X-Amz-Security-Token`, and no other. */
  readonly sessionToken?: string | undefined
  /** Milliseconds since the epoch; never when absent. */
  readonly expiresAt?: number | undefined
}
