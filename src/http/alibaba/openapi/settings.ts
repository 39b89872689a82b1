/** What the operator configures of the Alibaba Cloud KMS API. */
export interface AlibabaSettings {
  /** Regions that this service answers for; a request without `RegionId` is for the first. At least one. */
  readonly regions: readonly { readonly name: string }[]
  readonly accounts: readonly AlibabaAccountSettings[]
}

export interface AlibabaAccountSettings {
  /** AWS account number: the account that the core knows. */
  readonly accountId: string
  /** Alibaba Cloud account id: 5 to 20 digits. */
  readonly uid: string
  readonly credentials: readonly AlibabaCredentialSettings[]
}

export interface AlibabaCredentialSettings {
  /** 1 to 128 of `A-Z a-z 0-9 .`; unique over all accounts. */
  readonly accessKeyId: string
  /** UTF-8 where it is text. Copied into key objects at start; the caller may zero it afterwards. */
  readonly accessKeySecret: string | Buffer
  /** Requests must carry it as `SecurityToken` or `x-acs-security-token`, and no other. */
  readonly securityToken?: string | undefined
  /** Milliseconds since the epoch; never when absent. */
  readonly expiresAt?: number | undefined
}
