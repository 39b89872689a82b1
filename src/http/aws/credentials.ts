import { createHmac, createSecretKey, hash, type KeyObject, randomBytes } from 'node:crypto'
import { invariant } from '../../lib/invariant.ts'
import type { AwsAccountSettings, AwsCredentialSettings } from './settings.ts'

/** One access key, its secret held as key objects alone. */
export interface AwsCredential {
  readonly accountId: string
  readonly accessKeyId: string
  /** HMAC key `"AWS4" + secret`, the first of the derivation. */
  readonly rootKey: KeyObject
  /** SHA-256 of the session token, so that comparing takes the same time whatever was sent. */
  readonly sessionTokenHash: Buffer | undefined
  readonly expiresAt: number | undefined
}

/** Signing keys held; one per access key, day, region and service, and no more than two days are ever valid at a time. */
const SIGNING_KEYS_MAX = 4_096

const ACCESS_KEY_ID = /^[\w.-]{1,128}$/
const ACCOUNT_ID = /^\d{12}$/

/** Access keys by id, and the signing keys derived from them. */
export class CredentialDirectory {
  readonly #credentials = new Map<string, AwsCredential>()
  readonly #signingKeys = new Map<string, KeyObject>()
  /** Stands in for an access key that does not exist, so that refusing one costs what refusing a signature does. */
  readonly #nobody: AwsCredential

  constructor(accounts: readonly AwsAccountSettings[]) {
    for (const account of accounts) {
      invariant(ACCOUNT_ID.test(account.accountId), 'an AWS account id has 12 digits')
      for (const settings of account.credentials) this.#add(account.accountId, settings)
    }
    this.#nobody = toCredential('', { accessKeyId: '', secretAccessKey: randomBytes(30) })
  }

  /** The credential of an access key id. `known` is false for a stand-in that no secret matches. */
  find(accessKeyId: string): { readonly credential: AwsCredential; readonly known: boolean } {
    const credential = this.#credentials.get(accessKeyId)
    return { credential: credential ?? this.#nobody, known: credential !== undefined }
  }

  /**
   * The key that requests of one day, region and service are signed with. Callers have checked `date` and `region`.
   *
   * @see AWS General Reference, "Create a signed AWS API request", step "Derive a signing key"
   */
  signingKey(credential: AwsCredential, date: string, region: string, service: string): KeyObject {
    const id = `${credential.accessKeyId}/${date}/${region}/${service}`
    const cached = this.#signingKeys.get(id)
    if (cached) return cached
    const steps = [date, region, service, 'aws4_request']
    const signingKey = steps.reduce(deriveKey, credential.rootKey)
    const oldest = this.#signingKeys.keys().next().value
    if (this.#signingKeys.size >= SIGNING_KEYS_MAX && oldest !== undefined) this.#signingKeys.delete(oldest)
    this.#signingKeys.set(id, signingKey)
    return signingKey
  }

  #add(accountId: string, settings: AwsCredentialSettings): void {
    const { accessKeyId } = settings
    invariant(
      ACCESS_KEY_ID.test(accessKeyId),
      'an access key id has 1 to 128 letters, digits, "_", "." or "-"',
    )
    invariant(!this.#credentials.has(accessKeyId), `access key id ${accessKeyId} is configured twice`)
    this.#credentials.set(accessKeyId, toCredential(accountId, settings))
  }
}

function toCredential(accountId: string, settings: AwsCredentialSettings): AwsCredential {
  const secret = Buffer.from(settings.secretAccessKey as string)
  const rootBytes = Buffer.concat([Buffer.from('AWS4'), secret])
  try {
    invariant(secret.length > 0, 'a secret access key is not empty')
    return {
      accountId,
      accessKeyId: settings.accessKeyId,
      rootKey: createSecretKey(rootBytes),
      sessionTokenHash: settings.sessionToken === undefined ? undefined : hashToken(settings.sessionToken),
      expiresAt: settings.expiresAt,
    }
  } finally {
    secret.fill(0)
    rootBytes.fill(0)
  }
}

export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}

function deriveKey(key: KeyObject, data: string): KeyObject {
  const derived = createHmac('sha256', key).update(data).digest()
  try {
    return createSecretKey(derived)
  } finally {
    derived.fill(0)
  }
}
