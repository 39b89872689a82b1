import { parseKeyPolicy } from '../authorize/policy.ts'
import { requireNoLockout } from '../authorize/policy-lockout.ts'
import { parseRamKeyPolicy } from '../authorize/ram-policy.ts'
import { requireKey } from '../find-key.ts'
import type { MasterKey, Principal } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import type { PolicyLanguage } from '../ports/policy-store.ts'

/** The policy that a key is to have in one language. */
export type KeyPolicyInput = {
  /** The document as it is to be given back; 1 to 32768 bytes. */
  readonly policy: string
} & (
  | {
      readonly language: 'AWS'
      /** Whether the caller takes it that nobody may change the policy afterwards. */
      readonly bypassLockoutCheck: boolean
    }
  | { readonly language: 'RAM' }
)

/**
 * Refuses what is no policy of a key, or one that locks the caller out where the language knows of that.
 *
 * @throws {@link KmsError} `POLICY_INVALID`, `LIMIT_EXCEEDED`
 */
export function requirePolicy(
  principal: Principal,
  key: Pick<MasterKey, 'keyId'>,
  input: KeyPolicyInput,
): void {
  if (input.language === 'RAM') {
    parseRamKeyPolicy(input.policy)
    return
  }
  const statements = parseKeyPolicy(input.policy)
  if (!input.bypassLockoutCheck) requireNoLockout(statements, principal, key)
}

/** Puts a policy in place of the one in the same language. The same one again changes nothing. */
export async function putKeyPolicy(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  input: KeyPolicyInput,
): Promise<void> {
  const key = await requireKey(deps, context, 'PutKeyPolicy', { kind: 'id', keyId })
  requirePolicy(context.principal, key, input)
  await deps.store.putKeyPolicy(key.region, key.keyId, input.language, input.policy)
  await deps.directory.policyChanged(key.region, key.keyId)
}

/** The policy as it was put; `undefined` for a key that has the default one of the language. */
export async function getKeyPolicy(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  language: PolicyLanguage,
): Promise<string | undefined> {
  const key = await requireKey(deps, context, 'GetKeyPolicy', { kind: 'id', keyId })
  return (await deps.directory.getKeyPolicies(key.region, key.keyId))[language]
}

/** Refuses where the policies of a key could not be told: every key has exactly one in each language. */
export async function listKeyPolicies(deps: KmsDeps, context: CallContext, keyId: string): Promise<void> {
  await requireKey(deps, context, 'ListKeyPolicies', { kind: 'id', keyId })
}
