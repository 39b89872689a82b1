import {
  ckrOf,
  describeFault,
  lacksSession,
  ruleOf,
  type TokenFault,
  TokenRefusal,
  toFault,
} from './errors.ts'
import type { LaneToken } from './lane-token.ts'

/** What trying something gave: its result, or how the token refused. */
export type Trial<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: TokenFault }

/** The same answer so many times is what the token means; stumbles differ in what they say and where. */
const SAME_ANSWERS = 3
const TRIES_MAX = 12

/**
 * Tries something that may be tried again; the session is clean or new afterwards. What may be a stumble is tried again
 * until it works or one answer came {@link SAME_ANSWERS} times.
 *
 * @throws What says that the token or a session is lost rather than unable: remembering that as a missing capability
 *   would be wrong for as long as the connection lasts. {@link TokenRefusal} where the answers settle nothing.
 */
export function attempt<T>(token: LaneToken, work: () => T): Trial<T> {
  const answers: string[] = []
  for (;;) {
    const trial = attemptOnce(token, work)
    if (trial.ok || !mayBeStumble(trial.fault)) return trial
    const answer = describeFault(trial.fault)
    answers.push(answer)
    const settled = answers.filter((one) => one === answer).length === SAME_ANSWERS
    if (settled && !lacksSession(trial.fault)) return trial
    if (settled || answers.length === TRIES_MAX) throw unsettled(answers)
  }
}

/** The next attempt to connect tries everything anew. */
function unsettled(answers: readonly string[]): TokenRefusal {
  return new TokenRefusal({
    code: 'TOKEN_UNAVAILABLE',
    reason: `What the token can do cannot be told while it answers like this: ${[...new Set(answers)].join('; ')}.`,
    broken: true,
  })
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
 * @throws What says that it was not even tried, because there was no session to be had. Anything else may be how the token
 *   refuses, a loss included; whoever asks finds out afterwards whether the token is still there.
 */
export function refusalOf(token: LaneToken, work: () => unknown): string | undefined {
  try {
    token.run(work, false)
    return undefined
  } catch (error) {
    token.discardSession()
    const fault = toFault(error)
    if (lacksSession(fault)) throw error
    return ckrOf(fault)
  }
}
