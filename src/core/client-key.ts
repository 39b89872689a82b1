/** Begins the id of every client key: `KAAP.` and a UUID. */
export const CLIENT_KEY_PREFIX = 'KAAP.'

/** What an access point's credentials may do: a named set of keys. Kept under its account, region and name. */
export interface AccessPolicy {
  readonly accountId: string
  readonly region: string
  readonly name: string
  readonly description: string
  /** Names of roles; what they allow is in {@link USER_PERMISSION}. */
  readonly permissions: readonly string[]
  /** `key/*`, or `key/` and the id of a key. */
  readonly resources: readonly string[]
  /** The instance that it was made for, in its maker's words; at most 64 characters. Given back, and nothing else: there is one. */
  readonly instance?: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
}

/** The permission without which a policy allows nothing (Alibaba Cloud KMS, "CreatePolicy", Permissions). */
export const USER_PERMISSION = 'RbacPermission/Template/CryptoServiceKeyUser'

/** Where an application comes in: its credentials are client keys, and they may do what its policies allow together. */
export interface AccessPoint {
  readonly accountId: string
  readonly region: string
  readonly name: string
  readonly description: string
  /** Names of policies of the same account and region; one that is not there allows nothing. */
  readonly policies: readonly string[]
  /** Milliseconds since the epoch. */
  readonly createdAt: number
}

/** A credential of an access point: an RSA key whose private half is nowhere but with its owner. */
export interface ClientKey {
  /** {@link CLIENT_KEY_PREFIX} and a UUID. */
  readonly clientKeyId: string
  readonly accountId: string
  readonly region: string
  /** Name of the access point. */
  readonly accessPoint: string
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer
  /** All three in milliseconds since the epoch; valid from `notBefore` on and before `notAfter`. */
  readonly createdAt: number
  readonly notBefore: number
  readonly notAfter: number
}
