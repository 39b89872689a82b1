import { CKR_NAMES, CKR_RULES, type CkrRule, UNKNOWN_CKR_RULE } from '../../src/providers/pkcs11/ckr.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import type { Chaos } from './p11chaos.ts'
import { eventually } from './softhsm.ts'

const OF_A_VENDOR = 0x8000_0042

/** A return value and what it means. */
export interface ReturnValue {
  readonly name: string
  readonly number: number
  readonly rule: CkrRule
}

/** Every return value that we know, and one that we do not. */
export const RETURN_VALUES: readonly ReturnValue[] = [
  ...Object.entries(CKR_NAMES).map(([number, name]) => {
    return { name, number: Number(number), rule: CKR_RULES[name] ?? UNKNOWN_CKR_RULE }
  }),
  { name: 'a return value of a vendor', number: OF_A_VENDOR, rule: UNKNOWN_CKR_RULE },
]

/** The first of those that mean the same, whatever operators are told. */
export const ONE_OF_EACH_RULE: readonly ReturnValue[] = [
  ...new Map(
    RETURN_VALUES.toReversed().map((value) => [JSON.stringify({ ...value.rule, hint: '' }), value]),
  ).values(),
]

/** Whether a return value has the connection made anew. */
export const reconnects = ({ session }: CkrRule): boolean =>
  session === 'reconnect' || session === 'reinitialize'

/** Does one thing under a rule of p11chaos; says how it ended and what it did to the session and to the connection. */
export async function under(
  { provider, chaos }: { readonly provider: Pkcs11Provider; readonly chaos: Chaos },
  rule: string,
  work: () => Promise<unknown>,
  faultLasts = false,
) {
  await eventually(() => provider.available)
  const before = provider.status()
  const counted = chaos.stats()
  chaos.set(rule)
  const ended = await work().then(
    () => 'ok',
    (error: unknown) => String((error as { readonly code?: unknown }).code ?? error),
  )
  if (faultLasts) await new Promise((resolve) => setTimeout(resolve, 30))
  else await eventually(() => provider.available)
  const after = provider.status()
  const counts = chaos.stats()
  const calls = (name: string) => (counts[name]?.calls ?? 0) - (counted[name]?.calls ?? 0)
  return {
    ended,
    discarded: after.sessionsDiscarded - before.sessionsDiscarded,
    misuses: after.sessionMisuses - before.sessionMisuses,
    connects: after.generation - before.generation,
    logins: calls('C_Login'),
    finalized: calls('C_Finalize'),
    calls,
  }
}
