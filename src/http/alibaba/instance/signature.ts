import { constants, hash, timingSafeEqual, verify } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { ClientCredential } from '../../../core/client-key-directory.ts'
import type { Principal } from '../../../core/key.ts'
import { parseBase64 } from '../../../lib/bytes.ts'
import type { Clock } from '../../../lib/clock.ts'
import { InstanceFault, invalidHeader } from './fault.ts'
import type { ClientCredentials } from './settings.ts'
import { requireCurrent } from './signature-time.ts'

/** The parts of a request that a signature speaks of. */
export interface SignedRequest {
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

export interface SignatureDeps {
  readonly credentials: ClientCredentials
  readonly clock: Clock
}

/** Three times c: so the SDKs send it. */
const ACCESS_KEY_HEADER = 'x-kms-acccesskeyid'
const SIGNATURE_METHOD = 'RSA_PKCS1_SHA_256'
const SIGNED_PREFIX = 'x-kms-'

/** Scheme by the SDKs, and by the documentation. */
const AUTHORIZATION = /^(?:Bearer|TOKEN) (\S{1,1024})$/
const ACCESS_KEY_ID = /^[\w.-]{1,128}$/
const SHA256_HEX = /^[0-9A-F]{64}$/

/** Longest part of a header's name that an answer repeats. Characters. */
const SHOWN_NAME_MAX = 64

/** Headers that say who asks for what and when. Of two, Node keeps the first or joins them; a proxy may not. */
const SINGLE_HEADERS: ReadonlyMap<string, string> = new Map([
  ['authorization', 'Authorization'],
  ['content-sha256', 'Content-SHA256'],
  ['content-type', 'Content-Type'],
  ['date', 'Date'],
])

/**
 * Who signed a request of the instance API: RSASSA-PKCS1-v1_5 with SHA-256, by a client key. The hash of the body is computed
 * from the body; the header, which is what is signed, has to equal it.
 *
 * The protocol has no nonce, and its signatures no randomness: two requests of one second that ask for the same have the same
 * signature, so that a repetition cannot be told from a second request. What bounds it is the time in the signature.
 *
 * @throws {@link InstanceFault} `MissingParameter`, `InvalidParam`, `RequestTimeTooSkewed`, `Unauthorized` (no such client
 *   key, or not at this time), `SignatureNotMatch`; {@link KmsError} `STORE_UNAVAILABLE`.
 */
export async function verifySignature(deps: SignatureDeps, request: SignedRequest): Promise<Principal> {
  const { headers, body } = request
  const signedHeaders = collectSignedHeaders(request.rawHeaders)
  const clientKeyId = requireAccessKeyId(headers[ACCESS_KEY_HEADER])
  if (headers['x-kms-signaturemethod'] !== SIGNATURE_METHOD) throw invalidHeader('x-kms-signaturemethod')
  const signature = parseAuthorization(headers.authorization)
  const bodyHash = requireBodyHash(headers['content-sha256'], body)
  const now = deps.clock.now()
  requireCurrent(headers.date, now)
  const credential = await deps.credentials.find(clientKeyId)
  if (!credential || !isValidAt(credential, now)) throw unauthorized(clientKeyId)
  const text = [
    request.method,
    bodyHash,
    headers['content-type'] ?? '',
    headers.date ?? '',
    ...signedHeaders.map(([name, value]) => `${name}:${value}`),
    '/',
  ].join('\n')
  const key = { key: credential.publicKey, padding: constants.RSA_PKCS1_PADDING }
  // Header values are text of one character per byte.
  if (!verify('sha256', Buffer.from(text, 'latin1'), key, signature)) {
    throw new InstanceFault('SignatureNotMatch', 401, 'Signature is not matched.')
  }
  const { accountId, region, keyIds } = credential
  return { accountId, accessKeyId: clientKeyId, region, ...(keyIds && { keyIds }) }
}

function isValidAt({ notBefore, notAfter }: ClientCredential, now: number): boolean {
  return now >= notBefore && now < notAfter
}

/** Names and trimmed values of the `x-kms-` headers, by name. None of what is signed may be there twice. */
function collectSignedHeaders(
  rawHeaders: readonly string[],
): readonly (readonly [name: string, value: string])[] {
  const signed = new Map<string, string>()
  const seen = new Set<string>()
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase()
    if (!name.startsWith(SIGNED_PREFIX) && !SINGLE_HEADERS.has(name)) continue
    if (seen.has(name)) throw invalidHeader(SINGLE_HEADERS.get(name) ?? name.slice(0, SHOWN_NAME_MAX))
    seen.add(name)
    if (name.startsWith(SIGNED_PREFIX)) signed.set(name, (rawHeaders[index + 1] ?? '').trim())
  }
  return [...signed].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function requireAccessKeyId(value: string | readonly string[] | undefined): string {
  if (typeof value !== 'string' || value === '') {
    throw new InstanceFault(
      'MissingParameter',
      400,
      `Parameter ${ACCESS_KEY_HEADER} does not exist in http header or body.`,
    )
  }
  if (!ACCESS_KEY_ID.test(value)) throw invalidHeader(ACCESS_KEY_HEADER)
  return value
}

function parseAuthorization(value: string | undefined): Buffer {
  const [, text] = AUTHORIZATION.exec(value ?? '') ?? []
  const signature = text === undefined ? undefined : parseBase64(text)
  if (!signature) throw invalidHeader('Authorization')
  return signature
}

/** The header's value, which is of upper case. */
function requireBodyHash(value: string | readonly string[] | undefined, body: Buffer): string {
  if (typeof value !== 'string' || !SHA256_HEX.test(value)) throw invalidHeader('Content-SHA256')
  if (!timingSafeEqual(Buffer.from(value, 'hex'), hash('sha256', body, 'buffer'))) {
    throw invalidHeader('Content-SHA256')
  }
  return value
}

function unauthorized(clientKeyId: string): InstanceFault {
  const message = `The AccessKey ID "${clientKeyId}" does not exist in our records.`
  return new InstanceFault('Unauthorized', 404, message)
}
