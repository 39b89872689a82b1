import { proveSealing } from './canary.ts'
import { useSecret } from './data-key.ts'
import { describeFault, isAmbiguous, TokenRefusal, toFault } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import { isUnsupported } from './private-key-wrap.ts'
import { makeSessionKey } from './probe.ts'

/**
 * Runs `work` and tells a token that cannot do it from one that is broken: SoftHSM says CKR_GENERAL_ERROR of a curve that it
 * does not know. A device that stumbled gets a second chance; one that fails twice and still seals is unable.
 *
 * @param cannot - What a token that is unable cannot do, as `RefusalFault.cannot` has it.
 * @throws {@link TokenRefusal} `UNSUPPORTED` with `cannot`; what the token answered where it is broken.
 */
export function unlessUnable<T>(token: LaneToken, cannot: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (isUnsupported(error)) throw unable(cannot, error)
    if (!isAmbiguous(toFault(error))) throw error
    token.discardSession()
  }
  try {
    return work()
  } catch (error) {
    token.discardSession()
    useSecret(token, makeSessionKey(token, token.session, 'enc'), (key) => proveSealing(token, key))
    throw isUnsupported(error) || isAmbiguous(toFault(error)) ? unable(cannot, error) : error
  }
}

function unable(cannot: string, error: unknown): TokenRefusal {
  const fault = toFault(error)
  if (fault.kind === 'refusal' && fault.cannot !== undefined) return new TokenRefusal(fault)
  return new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token ${cannot}: ${describeFault(fault)}.`,
    hint: 'Ask for another KeySpec, or compare the firmware of the token and the policy of the partition.',
    cannot,
  })
}
