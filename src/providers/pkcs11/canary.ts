import { faultOf, ruleOf, TokenRefusal } from './errors.ts'
import { gcmOpen, gcmSeal, randomIv } from './gcm.ts'
import type { LaneToken } from './lane-token.ts'
import { CKM_GENERIC_SECRET_KEY_GEN, KEY_WRAP_OVERHEAD_BYTES_MAX, type Sealed } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { dataKeyTemplate, READABLE_SECRET } from './templates.ts'

const CANARY_TEXT = Buffer.from('p11kms canary', 'utf8')
const CANARY_AAD = Buffer.from('p11kms/canary/v1', 'utf8')

/**
 * Proves that the token still works with one key: opens a canary that was sealed under it, which is sealed first where
 * this lane has none yet (one GCM invocation per key, lane and connection).
 *
 * @param fresh - Seals a new one, so that sealing is proved too.
 * @throws What the token answered, or {@link TokenRefusal} when it does not open to what was sealed.
 */
export function checkCanary(token: LaneToken, key: Handle, fresh = false): void {
  const known = fresh ? undefined : token.canaries.get(key.toString('hex'))
  const canary = known ?? gcmSeal(token, key, randomIv(token), CANARY_TEXT, CANARY_AAD)
  if (!openCanary(token, key, canary).equals(CANARY_TEXT)) throw unlike('opened a canary to other bytes')
  if (!known) token.rememberCanary(key, canary)
}

/** Nobody changed it since this process sealed it, so it is never the ciphertext that is to blame. */
function openCanary(token: LaneToken, key: Handle, canary: Sealed): Buffer {
  try {
    return gcmOpen(token, key, canary, CANARY_AAD)
  } catch (error) {
    const name = error instanceof Error && !(error instanceof TokenRefusal) ? faultOf(error).name : ''
    if (ruleOf(name).code !== 'CIPHERTEXT_INVALID') throw error
    throw unlike(`does not open what it sealed itself: ${name}`)
  }
}

function unlike(what: string): TokenRefusal {
  return new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason: `The token ${what}.`, broken: true })
}

const CANARY_KEY_BYTES = 32

/**
 * Proves that the token still wraps and unwraps under one key, with a secret that it makes and destroys for it.
 *
 * @throws What the token answered.
 */
export function checkWrapCanary(token: LaneToken, mechanism: { mechanism: number }, key: Handle): void {
  const { p11, session } = token
  const generator = { mechanism: CKM_GENERIC_SECRET_KEY_GEN }
  const secret = p11.C_GenerateKey(session, generator, dataKeyTemplate(CANARY_KEY_BYTES))
  try {
    const output = Buffer.allocUnsafe(CANARY_KEY_BYTES + KEY_WRAP_OVERHEAD_BYTES_MAX)
    const wrapped = p11.C_WrapKey(session, mechanism, key, secret, output)
    p11.C_DestroyObject(session, p11.C_UnwrapKey(session, mechanism, key, wrapped, [...READABLE_SECRET]))
  } finally {
    p11.C_DestroyObject(session, secret)
  }
}
