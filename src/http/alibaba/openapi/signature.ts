import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../../lib/clock.ts'
import { type AlibabaCredential, type AlibabaCredentials, hashToken } from './credentials.ts'
import { invalidParameter, OpenApiFault } from './fault.ts'
import { NONCE_CHARACTERS_MAX, type NonceRegister } from './nonces.ts'
import { readV1Signature } from './signature-v1.ts'
import { readV3Signature } from './signature-v3.ts'
import type { SignedRequest } from './signed-request.ts'
import { requireTimely } from './timestamp.ts'

/** What is known of a request that is authenticated. */
export interface VerifiedRequest {
  readonly credential: AlibabaCredential
  readonly action: string
  readonly version: string
}

/** Longest string to sign that a refusal shows; it holds what the caller has sent, three times as long. Characters. */
const SHOWN_CHARACTERS_MAX = 16_384

/**
 * Verifies the signatures of the RPC style of Alibaba Cloud's OpenAPI: V1 (HMAC-SHA1) over the parameters, and V3
 * (ACS3-HMAC-SHA256) in the `Authorization` header.
 */
export class OpenApiSignatureVerifier {
  readonly #credentials: AlibabaCredentials
  readonly #clock: Clock
  readonly #nonces: NonceRegister

  constructor(credentials: AlibabaCredentials, clock: Clock, nonces: NonceRegister) {
    this.#credentials = credentials
    this.#clock = clock
    this.#nonces = nonces
  }

  /**
   * @throws {@link OpenApiFault} `MissingParameter`, `IncompleteSignature`, `IllegalTimestamp`, `InvalidAccessKeyId.NotFound`,
   *   `SignatureDoesNotMatch`, `InvalidSecurityToken.*`, `SignatureNonceUsed`, `ServiceUnavailableTemporary`.
   */
  async verify(request: SignedRequest): Promise<VerifiedRequest> {
    const authorization = request.headers.authorization
    const signed =
      authorization === undefined ? readV1Signature(request) : readV3Signature(request, authorization)
    const now = this.#clock.now()
    const validUntil = requireTimely(signed.timestamp, now)
    const { accessKeyId, nonce, action, version } = signed
    if (nonce !== undefined && nonce.length > NONCE_CHARACTERS_MAX) throw invalidParameter('SignatureNonce')
    const { credential, known } = this.#credentials.find(accessKeyId)
    const expected = signed.expected(credential)
    const matches = expected.length === signed.signature.length && timingSafeEqual(expected, signed.signature)
    if (!known) throw unknownAccessKey()
    if (!matches) throw mismatch(signed.stringToSign)
    requireToken(credential, signed.securityToken, now)
    if (nonce !== undefined) requireFresh(await this.#nonces.take(credential.accessKeyId, nonce, validUntil))
    return { credential, action, version }
  }
}

/** The token counts only after the signature does: nobody learns of a credential by guessing at it. */
function requireToken(credential: AlibabaCredential, token: string | undefined, now: number): void {
  const { securityTokenHash, expiresAt } = credential
  const right =
    securityTokenHash === undefined
      ? token === undefined
      : token !== undefined && timingSafeEqual(hashToken(token), securityTokenHash)
  if (!right) {
    throw new OpenApiFault(
      'InvalidSecurityToken.MismatchWithAccessKey',
      'Specified SecurityToken mismatch with the AccessKey.',
    )
  }
  if (expiresAt !== undefined && now >= expiresAt) {
    throw new OpenApiFault('InvalidSecurityToken.Expired', 'Specified SecurityToken is expired.')
  }
}

function unknownAccessKey(): OpenApiFault {
  return new OpenApiFault(
    'InvalidAccessKeyId.NotFound',
    'The AccessKey ID provided does not exist in our records.',
    404,
  )
}

/** SDKs look for the server's string behind the last words, and compare it with theirs. */
function mismatch(stringToSign: string): OpenApiFault {
  const text = 'Specified signature is not matched with our calculation.'
  const shown = stringToSign.length <= SHOWN_CHARACTERS_MAX
  return new OpenApiFault(
    'SignatureDoesNotMatch',
    shown ? `${text} server string to sign is:${stringToSign}` : text,
  )
}

/** @param fresh - As {@link NonceRegister.take} has it. */
function requireFresh(fresh: boolean | undefined): void {
  if (fresh === undefined)
    throw new OpenApiFault(
      'ServiceUnavailableTemporary',
      'Service Unavailable Temporary. Whether the signature nonce was used before could not be told in time.',
      503,
    )
  if (!fresh) throw new OpenApiFault('SignatureNonceUsed', 'Specified signature nonce was used already.')
}
