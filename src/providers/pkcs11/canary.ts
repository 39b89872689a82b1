import { makeDataKey, useSecret } from './data-key.ts'
import { TokenRefusal } from './errors.ts'
import { freshIv, gcmOpen, gcmSeal, gcmUnwrapKey, gcmWrapKey } from './gcm.ts'
import { unwrapKey, wrapKey } from './key-wrap.ts'
import type { LaneToken } from './lane-token.ts'
import type { Sealed } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { openKnownGood } from './prove-open.ts'
import type { KeyWrap } from './settings.ts'

const CANARY_TEXT = Buffer.from('p11kms canary', 'utf8')
const CANARY_AAD = Buffer.from('p11kms/canary/v1', 'utf8')

/**
 * Proves that the token still works with one key: opens a canary that was sealed under it, which is sealed first where
 * this lane has none yet (one GCM invocation per key, lane and connection).
 *
 * @param fresh - Seals a new one, so that sealing is proved too.
 * @throws What the token answered, or {@link TokenRefusal} when it opens to something else.
 */
export function checkCanary(token: LaneToken, key: Handle, fresh = false): void {
  const known = fresh ? undefined : token.canaries.get(key.toString('hex'))
  if (known && stillOpens(token, key, known)) return
  token.rememberCanary(key, proveSealing(token, key))
}

/** A canary that does not open may be of a destroyed key whose handle another got: a new one decides. */
function stillOpens(token: LaneToken, key: Handle, canary: Sealed): boolean {
  try {
    return gcmOpen(token, key, canary, CANARY_AAD).equals(CANARY_TEXT)
  } catch {
    token.discardSession()
    return false
  }
}

/** Seals and opens a known text. @returns What was sealed. @throws As {@link checkCanary} does. */
export function proveSealing(token: LaneToken, key: Handle): Sealed {
  const canary = gcmSeal(token, key, freshIv(token), CANARY_TEXT, CANARY_AAD)
  if (openCanary(token, key, canary).equals(CANARY_TEXT)) return canary
  const reason = 'The token opened a canary to other bytes.'
  throw new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason, broken: true })
}

/** Nobody changed it since this process sealed it. */
function openCanary(token: LaneToken, key: Handle, canary: Sealed): Buffer {
  return openKnownGood(() => gcmOpen(token, key, canary, CANARY_AAD))
}

const CANARY_KEY_BYTES = 32

/**
 * Proves that the token still wraps and unwraps under one key, with a secret that it makes and destroys for it.
 *
 * @param mechanism - CKM_AES_GCM (one GCM invocation per key, lane and connection, as {@link checkCanary}) or a key wrap.
 * @throws What the token answered.
 */
export function checkWrapCanary(token: LaneToken, mechanism: 'gcm' | KeyWrap, key: Handle): void {
  if (mechanism === 'gcm') return checkGcmWrapCanary(token, key)
  const unwrapped = useSecret(token, makeDataKey(token, CANARY_KEY_BYTES), (secret) =>
    thereAndBack(token, mechanism, key, secret),
  )
  token.p11.C_DestroyObject(token.session, unwrapped)
}

/** Remembered, so that a caller who sends forged ciphertexts in a loop uses up no invocations of the key. */
function checkGcmWrapCanary(token: LaneToken, key: Handle): void {
  const known = token.canaries.get(key.toString('hex'))
  if (known && stillUnwraps(token, key, known)) return
  const sealed = useSecret(token, makeDataKey(token, CANARY_KEY_BYTES), (secret) =>
    gcmWrapKey(token, key, secret, CANARY_KEY_BYTES, CANARY_AAD),
  )
  unwrapCanary(token, key, sealed)
  token.rememberCanary(key, sealed)
}

function stillUnwraps(token: LaneToken, key: Handle, canary: Sealed): boolean {
  try {
    unwrapCanary(token, key, canary)
    return true
  } catch {
    token.discardSession()
    return false
  }
}

function unwrapCanary(token: LaneToken, key: Handle, canary: Sealed): void {
  token.p11.C_DestroyObject(token.session, gcmUnwrapKey(token, key, canary, CANARY_AAD))
}

function thereAndBack(token: LaneToken, keyWrap: KeyWrap, key: Handle, secret: Handle): Handle {
  const wrapped = wrapKey(token, keyWrap.mechanism, key, secret, CANARY_KEY_BYTES)
  return unwrapKey(token, keyWrap, key, wrapped, CANARY_KEY_BYTES)
}
