import { requireKey, requireState } from '../find-key.ts'
import type { KeyIdentifier } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { type EncapsulationOperation, undrivenEncapsulation } from '../undriven-specs.ts'

/**
 * Encapsulation with a key, which no token here does: the answer names the one that has the key.
 *
 * @throws {@link KmsError} `UNSUPPORTED`, of a key that could be used otherwise.
 */
export async function encapsulation(
  deps: KmsDeps,
  context: CallContext,
  operation: EncapsulationOperation,
  identifier: KeyIdentifier,
): Promise<never> {
  const key = await requireKey(deps, context, operation, identifier)
  requireState(key, 'Enabled')
  throw undrivenEncapsulation(key.token, operation)
}
