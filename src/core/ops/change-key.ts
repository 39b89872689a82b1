import type { KmsAction } from '../authorize/authorize.ts'
import { KmsError } from '../errors.ts'
import { requireKey } from '../find-key.ts'
import type { MasterKey } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'

/** How often a change is tried again when another one was first. */
export const CHANGE_ATTEMPTS_MAX = 8

/**
 * Changes one key: reads it past the cache, lets `change` check and alter it, stores it if nobody else was first.
 *
 * @param change - Returns the altered key, or the same object when there is nothing to do; throws to refuse.
 * @throws {@link KmsError} `CONFLICT` when others were first every time.
 */
export async function changeKey(
  deps: KmsDeps,
  context: CallContext,
  action: KmsAction,
  keyId: string,
  change: (key: MasterKey) => MasterKey | Promise<MasterKey>,
): Promise<MasterKey> {
  for (let attempt = 1; attempt <= CHANGE_ATTEMPTS_MAX; attempt++) {
    deps.directory.forgetKey(context.principal.region, keyId)
    const before = await requireKey(deps, context, action, { kind: 'id', keyId })
    const after = await change(before)
    const next = after === before ? before : { ...after, revision: before.revision + 1 }
    if (next !== before && !(await deps.store.replaceKey(next))) continue
    // Also where nothing was to do: a process that died after this very change may not have told the others.
    await deps.directory.keyChanged(next.region, next.keyId)
    return next
  }
  throw beaten()
}

/** Others were first every time. */
export function beaten(): KmsError<'CONFLICT'> {
  return new KmsError('CONFLICT', 'The key is being changed by others at the same time.', {})
}
