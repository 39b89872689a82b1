import { createSecretKey, hash, type KeyObject, randomBytes } from 'node:crypto'
import { invariant } from '../../../lib/invariant.ts'
import type { AlibabaAccountSettings, AlibabaCredentialSettings } from './settings.ts'

/** One access key, its secret held as key objects alone. */
export interface AlibabaCredential {
  readonly accountId: string
  readonly uid: string
  readonly accessKeyId: string
  /** HMAC-SHA1 key `secret + "&"` of V1 signatures. */
  readonly v1Key: KeyObject
  /** HMAC-SHA256 key of V3 signatures: the secret. */
  readonly v3Key: KeyObject
  /** SHA-256 of the security token, so that comparing takes the same time whatever was sent. */
  readonly securityTokenHash: Buffer | undefined
  readonly expiresAt: number | undefined
}

/** Access keys by id. */
export class AlibabaCredentials {
  readonly #credentials = new Map<string, AlibabaCredential>()
  /** Stands in for an access key that does not exist, so that refusing one costs what refusing a signature does. */
  readonly #nobody: AlibabaCredential

  constructor(accounts: readonly AlibabaAccountSettings[]) {
    for (const { accountId, uid, credentials } of accounts) {
      for (const settings of credentials) {
        const { accessKeyId } = settings
        invariant(!this.#credentials.has(accessKeyId), `access key id ${accessKeyId} is configured twice`)
        this.#credentials.set(accessKeyId, toCredential(accountId, uid, settings))
      }
    }
    this.#nobody = toCredential('', '', { accessKeyId: '', accessKeySecret: randomBytes(30) })
  }

  /** `known` is false for a stand-in that no secret matches. */
  find(accessKeyId: string): { readonly credential: AlibabaCredential; readonly known: boolean } {
    const credential = this.#credentials.get(accessKeyId)
    return { credential: credential ?? this.#nobody, known: credential !== undefined }
  }
}

function toCredential(
  accountId: string,
  uid: string,
  settings: AlibabaCredentialSettings,
): AlibabaCredential {
  const secret = Buffer.from(settings.accessKeySecret as string)
  const v1 = Buffer.concat([secret, Buffer.from('&')])
  try {
    invariant(secret.length > 0, 'an access key secret is not empty')
    return {
      accountId,
      uid,
      accessKeyId: settings.accessKeyId,
      v1Key: createSecretKey(v1),
      v3Key: createSecretKey(secret),
      securityTokenHash: settings.securityToken === undefined ? undefined : hashToken(settings.securityToken),
      expiresAt: settings.expiresAt,
    }
  } finally {
    secret.fill(0)
    v1.fill(0)
  }
}

export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}
