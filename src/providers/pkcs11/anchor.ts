import { checkCanary } from './canary.ts'
import { ruleOf, toFault } from './errors.ts'
import type { Anchor, LaneToken } from './lane-token.ts'
import { type Handle, openSession } from './module.ts'
import { makeSessionKey } from './probe.ts'

const SESSION_LOST = ['CKR_SESSION_HANDLE_INVALID', 'CKR_SESSION_CLOSED']

/** Keeps the session that anchors the login from being idle: a token that drops it for that costs a new session. */
export function touchAnchor(token: LaneToken): void {
  const { anchor } = token
  if (!anchor) return
  try {
    token.p11.C_GetSessionInfo(anchor.session)
  } catch (error) {
    const fault = toFault(error)
    // Of anything else the check that follows finds out.
    if (fault.kind === 'cryptoki' && SESSION_LOST.includes(fault.name)) token.anchor = openAnchor(token)
  }
}

/**
 * A seal and an open under a session key, which is made where there is none, and anew where it is gone.
 *
 * @throws What the token answered.
 */
export function checkSessionKey(token: LaneToken): void {
  try {
    checkCanary(token, requireKey(token), true)
  } catch (error) {
    const fault = toFault(error)
    if (fault.kind !== 'cryptoki' || ruleOf(fault.name).retry !== 'handle') throw error
    token.discardSession()
    if (token.anchor) token.anchor.key = undefined
    checkCanary(token, requireKey(token), true)
  }
}

function requireKey(token: LaneToken): Handle {
  token.anchor ??= openAnchor(token)
  const { anchor } = token
  anchor.key ??= makeSessionKey(token, anchor.session, 'enc')
  return anchor.key
}

function openAnchor({ p11, slot }: LaneToken): Anchor {
  return { session: openSession(p11, slot, true), key: undefined }
}
