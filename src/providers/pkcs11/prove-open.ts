import {
  ckrOf,
  describeFault,
  hasReturnValue,
  isAmbiguous,
  ruleOf,
  type TokenFault,
  TokenRefusal,
  toFault,
} from './errors.ts'
import type { LaneToken } from './lane-token.ts'

/**
 * Opens something of a caller's and says whose fault a failure is. SoftHSM answers a wrong tag with CKR_GENERAL_ERROR and
 * nShield with CKR_FUNCTION_FAILED, which elsewhere mean a broken device. Such an answer costs one more try, for a device
 * that stumbled; after the second, `prove` opens something known to be good under the same key on the same session: that
 * works only where the ciphertext is to blame and the session is clean. A device that stumbled twice has recovered by then,
 * so an answer that says nothing of the ciphertext by itself counts only if it comes again after that proof. So a caller
 * who sends forged ciphertexts in a loop causes neither reconnects nor new sessions.
 *
 * @param open - Throws what the token answered.
 * @param prove - Throws when the token does not work with that key.
 * @throws {@link TokenRefusal} `CIPHERTEXT_INVALID`, or what `open` or `prove` threw where it is not the ciphertext.
 */
export function openProven<T>(token: LaneToken, open: () => T, prove: () => void): T {
  const first = attempt(open)
  if ('value' in first) return first.value
  const last = saysNothing(token, first.fault) ? attempt(() => onCleanSession(token, open)) : first
  if ('value' in last) return last.value
  if (!mayBlameCiphertext(token, last.fault)) throw last.error
  const clean = proveOn(token, prove)
  const settled = saysNothing(token, last.fault) ? attempt(() => onCleanSession(token, open)) : last
  if ('value' in settled) return settled.value
  if (!mayBlameCiphertext(token, settled.fault)) throw settled.error
  // What a failed opening leaves behind was proved to be clean once.
  if (clean) token.endOperation()
  throw new TokenRefusal({
    code: 'CIPHERTEXT_INVALID',
    reason: `${describeFault(settled.fault)}, and a canary under the same key opens: it is the ciphertext.`,
  })
}

/** @returns Whether it worked on the session that the failed opening left. */
function proveOn(token: LaneToken, prove: () => void): boolean {
  try {
    prove()
    return true
  } catch {
    // What failed may be the session, which the failed opening poisoned.
    token.discardSession()
    openKnownGood(prove)
    return false
  }
}

/**
 * Opens something that is known to be good, so it is never that which is to blame.
 *
 * @throws What the token answered; {@link TokenRefusal} where it says that it was a bad ciphertext: the token is broken.
 */
export function openKnownGood<T>(open: () => T): T {
  try {
    return open()
  } catch (error) {
    const fault = toFault(error)
    const { code } = fault.kind === 'refusal' ? fault : ruleOf(fault.name)
    if (code !== 'CIPHERTEXT_INVALID') throw error
    const reason = `The token does not open what is known to be good: ${describeFault(fault)}.`
    throw new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason, broken: true })
  }
}

type Attempt<T> = { readonly value: T } | { readonly error: unknown; readonly fault: TokenFault }

function attempt<T>(open: () => T): Attempt<T> {
  try {
    return { value: open() }
  } catch (error) {
    return { error, fault: toFault(error) }
  }
}

/** Once more on a new session where the one at hand still has the failed operation open. */
function onCleanSession<T>(token: LaneToken, open: () => T): T {
  try {
    return open()
  } catch (error) {
    const fault = toFault(error)
    if (fault.kind !== 'cryptoki' || ruleOf(fault.name).retry !== 'session') throw error
  }
  token.discardSession()
  return open()
}

/** By the rule of the return value, or because this token answered it to a wrong tag when it was connected. */
function saysNothing(token: LaneToken, fault: TokenFault): boolean {
  if (isAmbiguous(fault)) return true
  if (fault.kind === 'refusal' || !hasReturnValue(fault)) return false
  if (ruleOf(fault.name).code === 'CIPHERTEXT_INVALID') return false
  return token.capabilities.gcm.refusalCkrs.includes(ckrOf(fault))
}

function mayBlameCiphertext(token: LaneToken, fault: TokenFault): boolean {
  return (
    saysNothing(token, fault) ||
    (fault.kind === 'cryptoki' && ruleOf(fault.name).code === 'CIPHERTEXT_INVALID')
  )
}
