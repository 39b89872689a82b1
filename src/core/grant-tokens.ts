import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { invariant } from '../lib/invariant.ts'
import { KmsError } from './errors.ts'
import type { Grant } from './grant.ts'
import { type CallContext, GRANT_TOKENS_MAX, type KmsDeps } from './kms-context.ts'

/** A grant token before base64url: what names the grant, what makes the token one of many, what proves it. */
const TOKEN = {
  format: { offset: 0, bytes: 1 },
  grantId: { offset: 1, bytes: 32 },
  nonce: { offset: 33, bytes: 16 },
  tag: { offset: 49, bytes: 32 },
} as const
const TOKEN_BYTES = TOKEN.tag.offset + TOKEN.tag.bytes
const FORMAT_1 = 1
const TOKEN_DOMAIN = 'p11kms/grant-token\0'
const TOKEN_KEY_BYTES = 32

/** A fresh key for the tokens of one grant. */
export function newTokenKey(): string {
  return randomBytes(TOKEN_KEY_BYTES).toString('hex')
}

/**
 * A fresh token of a grant. Nothing of it is stored: a grant has as many tokens as were asked for, each proves itself by the
 * grant's own key, and all of them end with the grant.
 */
export function newGrantToken(grant: Grant): string {
  const body = Buffer.concat([
    Buffer.of(FORMAT_1),
    Buffer.from(grant.grantId, 'hex'),
    randomBytes(TOKEN.nonce.bytes),
  ])
  invariant(body.length === TOKEN.tag.offset, 'a grant id has 64 hexadecimal digits')
  return Buffer.concat([body, tagOf(grant, body)]).toString('base64url')
}

function tagOf({ tokenKey }: Grant, body: Buffer): Buffer {
  return createHmac('sha256', Buffer.from(tokenKey, 'hex')).update(TOKEN_DOMAIN).update(body).digest()
}

/**
 * The grant that a token is of. Reads untrusted text.
 *
 * @throws {@link KmsError} `GRANT_TOKEN_INVALID`, always with one text, for a token that never was, whose grant has ended, or
 *   that is of another account or region.
 */
export async function requireGrantOfToken(
  { directory }: Pick<KmsDeps, 'directory'>,
  { principal }: CallContext,
  token: string,
): Promise<Grant> {
  const bytes = Buffer.from(token, 'base64url')
  const wellFormed =
    bytes.length === TOKEN_BYTES && bytes[0] === FORMAT_1 && bytes.toString('base64url') === token
  if (!wellFormed) throw tokenInvalid()
  const { offset, bytes: length } = TOKEN.grantId
  const grant = await directory.getGrant(bytes.toString('hex', offset, offset + length))
  if (!grant || grant.accountId !== principal.accountId || grant.region !== principal.region)
    throw tokenInvalid()
  const body = bytes.subarray(0, TOKEN.tag.offset)
  if (!timingSafeEqual(bytes.subarray(TOKEN.tag.offset), tagOf(grant, body))) throw tokenInvalid()
  return grant
}

/**
 * Checks every grant token that the caller shows, whether it is needed or not.
 *
 * @throws {@link KmsError} `GRANT_TOKEN_INVALID`
 */
export async function requireGrantTokens(
  deps: Pick<KmsDeps, 'directory'>,
  context: CallContext,
): Promise<void> {
  const { grantTokens = [] } = context
  invariant(grantTokens.length <= GRANT_TOKENS_MAX, 'the façade lets too many grant tokens through')
  for (const token of grantTokens) await requireGrantOfToken(deps, context, token)
}

function tokenInvalid(): KmsError<'GRANT_TOKEN_INVALID'> {
  return new KmsError('GRANT_TOKEN_INVALID', 'The grant token is not valid.', {})
}
