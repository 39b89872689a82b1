import { faultOf, TokenRefusal } from './errors.ts'
import { gcmOpen, gcmSeal, randomIv } from './gcm.ts'
import type { LaneToken } from './lane-token.ts'
import {
  CKM_AES_KEY_GEN,
  CKM_AES_KEY_WRAP_KWP,
  CKM_AES_KEY_WRAP_PAD,
  KEY_WRAP_OVERHEAD_BYTES_MAX,
} from './mechanisms.ts'
import type { Handle } from './module.ts'
import type { TokenCapabilities } from './settings.ts'
import { CKA, knownSecretTemplate, READABLE_SECRET, sessionKeyTemplate } from './templates.ts'

/**
 * What a token can really do, found by trying on session keys: lists of mechanisms lie in both directions. No key
 * pairs are made here, so it takes milliseconds.
 */

const PROBE_AAD = Buffer.from('p11kms/probe/v1', 'utf8')
const PROBE_TEXT = Buffer.from('0123456789abcdef0123456789abcdef', 'utf8')
/** RFC 5649 makes 40 bytes of 32; other algorithms behind the same number make 48 or 56. */
const RFC_5649_BYTES = PROBE_TEXT.length + 8
const WRAP_CANDIDATES = [CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD] as const

/** An AES key that lives as long as `session` and has one role. */
export function makeSessionKey(token: LaneToken, session: Handle, role: 'enc' | 'wrap'): Handle {
  return token.p11.C_GenerateKey(session, { mechanism: CKM_AES_KEY_GEN }, sessionKeyTemplate(role))
}

/**
 * @param enc - Session key of role `enc`.
 * @param wrap - Session key of role `wrap`.
 * @throws {@link TokenRefusal} when the token has no AES-GCM that authenticates.
 */
export function probeCapabilities(token: LaneToken, enc: Handle, wrap: Handle): TokenCapabilities {
  probeGcm(token, enc)
  for (const mechanism of WRAP_CANDIDATES) {
    if (wrapsAsRfc5649(token, wrap, mechanism)) return { insideSealMode: 'W2', wrapMechanism: mechanism }
  }
  return {}
}

function probeGcm(token: LaneToken, key: Handle): void {
  try {
    const sealed = gcmSeal(token, key, randomIv(token), PROBE_TEXT, PROBE_AAD)
    if (!gcmOpen(token, key, sealed, PROBE_AAD).equals(PROBE_TEXT)) throw noGcm('it opens to other bytes')
    const forged = Buffer.from(sealed.bytes)
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
    if (authenticates(token, key, { ...sealed, bytes: forged }, PROBE_AAD))
      throw noGcm('it takes a wrong tag')
    if (authenticates(token, key, sealed, PROBE_TEXT)) throw noGcm('it takes wrong additional data')
  } catch (error) {
    if (error instanceof TokenRefusal || !(error instanceof Error)) throw error
    const { name } = faultOf(error)
    if (!NO_MECHANISM.has(name)) throw error
    throw noGcm(`it answers ${name}`)
  }
}

const NO_MECHANISM = new Set([
  'CKR_MECHANISM_INVALID',
  'CKR_MECHANISM_PARAM_INVALID',
  'CKR_FUNCTION_NOT_SUPPORTED',
  'CKR_KEY_FUNCTION_NOT_PERMITTED',
])

function noGcm(how: string): TokenRefusal {
  return new TokenRefusal({
    code: 'TOKEN_UNAVAILABLE',
    reason: `The token cannot seal with CKM_AES_GCM: ${how}.`,
    hint: 'p11kms needs a token with AES-GCM.',
    operator: true,
  })
}

function authenticates(
  token: LaneToken,
  key: Handle,
  sealed: Parameters<typeof gcmOpen>[2],
  aad: Buffer,
): boolean {
  try {
    gcmOpen(token, key, sealed, aad)
    return true
  } catch {
    token.discardSession()
    return false
  }
}

function wrapsAsRfc5649(token: LaneToken, wrap: Handle, mechanism: number): boolean {
  const { p11, session } = token
  const made: Handle[] = []
  try {
    const secret = p11.C_CreateObject(session, knownSecretTemplate(PROBE_TEXT))
    made.push(secret)
    const output = Buffer.alloc(PROBE_TEXT.length + 2 * KEY_WRAP_OVERHEAD_BYTES_MAX)
    const wrapped = p11.C_WrapKey(session, { mechanism }, wrap, secret, output)
    if (wrapped.length !== RFC_5649_BYTES) return false
    const unwrapped = p11.C_UnwrapKey(session, { mechanism }, wrap, wrapped, [...READABLE_SECRET])
    made.push(unwrapped)
    const [value] = p11.C_GetAttributeValue(session, unwrapped, [{ type: CKA.VALUE }])
    return PROBE_TEXT.equals(value?.value as Buffer)
  } catch {
    return false
  } finally {
    for (const handle of made) p11.C_DestroyObject(session, handle)
  }
}
