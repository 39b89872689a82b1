import { ckrOf, ruleOf, type TokenFault, toFault } from './errors.ts'
import type { LaneToken } from './lane-token.ts'

/** What trying something gave: its result, or how the token refused. */
export type Trial<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: TokenFault }

/** A token that stumbles once in a hundred calls does so three times at the same trial once in many thousand. */
const TRIES_MAX = 3

/**
 * Tries something that may be tried again; the session is clean or new afterwards. What may be a stumble is tried once
 * more, and again.
 *
 * @throws What says that the token or a session is lost rather than unable: remembering that as a missing capability
 *   would be wrong for as long as the connection lasts.
 */
export function attempt<T>(token: LaneToken, work: () => T): Trial<T> {
  for (let tries = 1; ; tries += 1) {
    const trial = attemptOnce(token, work)
    if (trial.ok || tries === TRIES_MAX || !mayBeStumble(trial.fault)) return trial
  }
}

function attemptOnce<T>(token: LaneToken, work: () => T): Trial<T> {
  try {
    return { ok: true, value: token.run(work, true) }
  } catch (error) {
    const fault = toFault(error)
    if (isLoss(fault)) throw error
    return { ok: false, fault }
  }
}

/** Neither a plain refusal nor a plain loss. Some tokens answer so to what they cannot do, and others when they are busy. */
function mayBeStumble(fault: TokenFault): boolean {
  if (fault.kind === 'refusal') return false
  const { code, ambiguous } = ruleOf(fault.name)
  return code === 'TOKEN_UNAVAILABLE' || ambiguous === true
}

function isLoss(fault: TokenFault): boolean {
  if (fault.kind === 'refusal') return fault.broken === true
  const { code, session, retry, ambiguous } = ruleOf(fault.name)
  if (code !== 'TOKEN_UNAVAILABLE' || ambiguous) return false
  return retry !== undefined || !['keep', 'discard'].includes(session)
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
