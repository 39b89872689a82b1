import { lacksSession, Pkcs11Error, ruleOf, type TokenFault } from '../errors.ts'
import type { CallOutcome } from './lane.ts'
import { parseJsonPart, REPLY } from './messages.ts'
import type { LanePool } from './pool.ts'

/** The fault that a lane answered with, if that is how the call ended. */
export function faultIn(outcome: CallOutcome): TokenFault | undefined {
  if (outcome.kind !== 'reply' || outcome.frame.code !== REPLY.fault) return undefined
  return parseJsonPart(outcome.frame.parts[0]) as TokenFault
}

export function isOk(outcome: CallOutcome): boolean {
  return outcome.kind === 'reply' && outcome.frame.code === REPLY.ok
}

/**
 * The result of a call that the connection makes for itself.
 *
 * @throws {@link Pkcs11Error} for a fault, Error with a sentence for operators where there was no answer.
 */
export function requireReply(token: string, outcome: CallOutcome): readonly Uint8Array[] {
  const fault = faultIn(outcome)
  if (fault) throw new Pkcs11Error(token, fault)
  if (outcome.kind === 'unavailable') {
    throw new Error('A lane ended while the token was connected.', { cause: outcome.cause })
  }
  if (outcome.kind === 'timeout') throw new Error('The token did not answer in time.')
  return outcome.frame.parts
}

/** Whether another lane, which has a session, or the key's new handle may do what failed. */
export function mayHelpToRepeat(fault: TokenFault, pool: LanePool): boolean {
  if (lacksSession(fault)) return pool.open
  return fault.kind === 'cryptoki' && ruleOf(fault.name).retry === 'handle'
}
