import { ckrOf, ruleOf, type TokenFault, toFault } from './errors.ts'
import type { LaneToken } from './lane-token.ts'

/** What trying something gave: its result, or how the token refused. */
export type Trial<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: TokenFault }

/**
 * Tries something; the session is clean or new afterwards.
 *
 * @throws What says that the token is gone rather than unable: remembering that as a missing capability would be wrong
 *   for as long as the connection lasts.
 */
export function attempt<T>(token: LaneToken, work: () => T): Trial<T> {
  try {
    return { ok: true, value: token.run(work, false) }
  } catch (error) {
    const fault = toFault(error)
    if (isGone(fault)) throw error
    return { ok: false, fault }
  }
}

/** Return values that some tokens give for what they cannot do, and others when they are broken, say neither. */
function isGone(fault: TokenFault): boolean {
  if (fault.kind === 'refusal') return fault.broken === true
  const { session, ambiguous } = ruleOf(fault.name)
  return !ambiguous && ['reconnect', 'reinitialize', 'operator'].includes(session)
}

/**
 * What the token answers to something that must fail.
 *
 * @returns The return value's name; `undefined` when it did not fail.
 */
export function refusalOf(token: LaneToken, work: () => unknown): string | undefined {
  try {
    token.run(work, false)
    return undefined
  } catch (error) {
    token.discardSession()
    return ckrOf(toFault(error))
  }
}
