import { describeFault, ruleOf, type TokenFault, TokenRefusal } from './errors.ts'
import { freshIv, gcmOpen, gcmSeal } from './gcm.ts'
import type { LaneToken } from './lane-token.ts'
import type { Sealed } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { attempt, refusalOf } from './probe-trial.ts'
import type { GcmIvSource, TokenCapabilities } from './settings.ts'

const PROBE_TEXT = Buffer.from('0123456789abcdef0123456789abcdef', 'utf8')
export const PROBE_AAD = Buffer.from('p11kms/probe/v1', 'utf8')
export const OTHER_AAD = Buffer.from('p11kms/probe/v2', 'utf8')

/** Tried in this order; what each gives in, for the report. */
const IV_SOURCES: Readonly<Record<GcmIvSource, string>> = {
  caller: 'with 12 random bytes as IV',
  writtenBack: 'with 12 zero bytes to write its own IV over',
  appended: 'without an IV, for its own to follow the tag',
}

/**
 * Who chooses the IV, and that the token authenticates.
 *
 * @param key - Session key of role `enc`.
 * @throws {@link TokenRefusal} with everything that was tried, when the token has no AES-GCM that authenticates.
 */
export function probeGcm(token: LaneToken, key: Handle): TokenCapabilities['gcm'] {
  const faults: (readonly [how: string, fault: TokenFault])[] = []
  for (const [source, how] of Object.entries(IV_SOURCES) as [GcmIvSource, string][]) {
    const trial = attempt(token, () => tryIvSource(token, key, source))
    if (trial.ok) return trial.value
    faults.push([how, trial.fault])
  }
  throw noGcm(faults)
}

function tryIvSource(token: LaneToken, key: Handle, ivSource: GcmIvSource): TokenCapabilities['gcm'] {
  const [given, other] = [freshIv(token, ivSource), freshIv(token, ivSource)]
  const asGiven = Buffer.from(given)
  const sealed = gcmSeal(token, key, given, PROBE_TEXT, PROBE_AAD, ivSource)
  const second = gcmSeal(token, key, other, PROBE_TEXT, PROBE_AAD, ivSource)
  if (ivSource === 'caller' && !given.equals(asGiven)) throw unfit('it replaces the IV')
  if (second.iv.equals(sealed.iv)) throw unfit('it uses an IV twice')
  const opens = () => gcmOpen(token, key, sealed, PROBE_AAD).equals(PROBE_TEXT)
  if (!opens()) throw unfit('it opens to other bytes')
  const refuses = (what: string, forged: Sealed, aad: Buffer) => {
    const ckr = refusalOf(token, () => gcmOpen(token, key, forged, aad))
    if (ckr === undefined) throw unfit(`it takes ${what}`)
    return ckr
  }
  const wrongTagCkr = refuses('a wrong tag', { ...sealed, bytes: lastByteFlipped(sealed.bytes) }, PROBE_AAD)
  const wrongAadCkr = refuses('wrong additional data', sealed, OTHER_AAD)
  const wrongIvCkr = refuses('another IV', { ...sealed, iv: second.iv }, PROBE_AAD)
  // A token that fell silent would have refused all of these too.
  if (!opens()) throw unfit('it opens to other bytes')
  return { ivSource, wrongTagCkr, refusalCkrs: [...new Set([wrongTagCkr, wrongAadCkr, wrongIvCkr])] }
}

function unfit(reason: string): TokenRefusal {
  return new TokenRefusal({ code: 'UNSUPPORTED', reason })
}

/** A copy that does not authenticate. */
export function lastByteFlipped(bytes: Buffer): Buffer {
  const forged = Buffer.from(bytes)
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
  return forged
}

/** The capability report of a token that cannot serve. Trying again helps only where an answer may mean a fault. */
function noGcm(faults: readonly (readonly [how: string, fault: TokenFault])[]): TokenRefusal {
  const tried = faults.map(([how, fault]) => `${how}: ${describeFault(fault).replace(/\.$/, '')}`)
  return new TokenRefusal({
    code: 'TOKEN_UNAVAILABLE',
    reason: `The token cannot seal with CKM_AES_GCM. Tried ${tried.join('; ')}.`,
    hint: 'p11kms needs AES-GCM with 256-bit keys: allow CKM_AES_GCM in the policy of the token or partition, or use another (docs/operating/tokens.md).',
    operator: faults.every(([, fault]) => isInability(fault)),
  })
}

function isInability(fault: TokenFault): boolean {
  if (fault.kind === 'refusal') return true
  return ruleOf(fault.name).code === 'UNSUPPORTED'
}
