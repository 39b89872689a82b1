import { parseKeyPolicy } from '../authorize/policy.ts'
import { requireNoLockout } from '../authorize/policy-lockout.ts'
import { requireKey } from '../find-key.ts'
import type { MasterKey, Principal } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'

/** The policy that a key is to have. */
export interface KeyPolicyInput {
  /** The document as it is to be given back; 1 to 32768 bytes. */
  readonly policy: string
  /** Whether the caller takes it that nobody may change the policy afterwards. */
  readonly bypassLockoutCheck: boolean
}

/**
 * Refuses what is no policy of a key, or one that locks the caller out.
 *
 * @throws {@link KmsError} `POLICY_INVALID`, `LIMIT_EXCEEDED`
 */
export function requirePolicy(
  principal: Principal,
  key: Pick<MasterKey, 'keyId'>,
  { policy, bypassLockoutCheck }: KeyPolicyInput,
): void {
  const statements = parseKeyPolicy(policy)
  if (!bypassLockoutCheck) requireNoLockout(statements, principal, key)
}

/** Puts a policy in place of the one before. The same one again changes nothing. */
export async function putKeyPolicy(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  input: KeyPolicyInput,
): Promise<void> {
  const key = await requireKey(deps, context, 'PutKeyPolicy', { kind: 'id', keyId })
  requirePolicy(context.principal, key, input)
  await deps.store.putKeyPolicy(key.region, key.keyId, input.policy)
  await deps.directory.policyChanged(key.region, key.keyId)
}

/** The policy as it was put; `undefined` for a key that has the default one of the caller's protocol. */
export async function getKeyPolicy(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
): Promise<string | undefined> {
  const key = await requireKey(deps, context, 'GetKeyPolicy', { kind: 'id', keyId })
  return (await deps.directory.getKeyPolicy(key.region, key.keyId)).text
}

/** Refuses where the policies of a key could not be told: every key has exactly one. */
export async function listKeyPolicies(deps: KmsDeps, context: CallContext, keyId: string): Promise<void> {
  await requireKey(deps, context, 'ListKeyPolicies', { kind: 'id', keyId })
}
