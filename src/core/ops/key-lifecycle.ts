import { DAY_MS } from '../../lib/clock.ts'
import { invariant } from '../../lib/invariant.ts'
import { KmsError } from '../errors.ts'
import { requireLasting, requireState } from '../find-key.ts'
import { hasAllMaterial } from '../imported-material.ts'
import type { MasterKey } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { hasReplicas } from '../multi-region.ts'
import { changeKey } from './change-key.ts'

const PENDING_WINDOW_DAYS_MAX = 366

export async function enableKey(deps: KmsDeps, context: CallContext, keyId: string): Promise<MasterKey> {
  return changeKey(deps, context, 'EnableKey', keyId, (before) => {
    requireState(before, 'Enabled', 'Disabled')
    return before.state === 'Enabled' ? before : { ...before, state: 'Enabled' }
  })
}

export async function disableKey(deps: KmsDeps, context: CallContext, keyId: string): Promise<MasterKey> {
  return changeKey(deps, context, 'DisableKey', keyId, (before) => {
    requireState(before, 'Enabled', 'Disabled')
    return before.state === 'Disabled' ? before : { ...before, state: 'Disabled' }
  })
}

/** @param description - At most 8192 characters; the façades have refused longer ones. */
export async function updateKeyDescription(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  description: string,
): Promise<MasterKey> {
  return changeKey(deps, context, 'UpdateKeyDescription', keyId, (before) => {
    requireLasting(before)
    return before.description === description ? before : { ...before, description }
  })
}

/** @param windowDays - 1 to 366; the façades ask for what their API allows. */
export async function scheduleKeyDeletion(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  windowDays: number,
): Promise<MasterKey> {
  invariant(windowDays >= 1 && windowDays <= PENDING_WINDOW_DAYS_MAX, 'deletion window out of range')
  return changeKey(deps, context, 'ScheduleKeyDeletion', keyId, async (before) => {
    requireState(before, 'Enabled', 'Disabled', 'PendingImport')
    requireUnprotected(before)
    if (await hasReplicas(deps.store, before))
      return { ...before, state: 'PendingReplicaDeletion', deletionWindowDays: windowDays }
    return { ...before, state: 'PendingDeletion', deletionAt: deps.clock.now() + windowDays * DAY_MS }
  })
}

function requireUnprotected({ keyId, deletionProtection }: MasterKey): void {
  if (deletionProtection === undefined) return
  throw new KmsError('KEY_PROTECTED', `Key '${keyId}' is protected from deletion.`, { keyId })
}

/**
 * Protects a key from being scheduled for deletion, or no longer does.
 *
 * @param protection - Why, at most 8192 characters; `undefined` to protect it no longer.
 */
export async function setDeletionProtection(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  protection: string | undefined,
): Promise<MasterKey> {
  return changeKey(deps, context, 'SetDeletionProtection', keyId, (before) => {
    requireState(before, 'Enabled', 'Disabled', 'PendingImport')
    if (before.deletionProtection === protection) return before
    const { deletionProtection: _, ...kept } = before
    return { ...kept, ...(protection !== undefined && { deletionProtection: protection }) }
  })
}

/**
 * @param comesBack - In which state, where its material is there: disabled with AWS KMS ("CancelKeyDeletion"), enabled with Alibaba Cloud KMS.
 */
export async function cancelKeyDeletion(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  comesBack: 'Disabled' | 'Enabled',
): Promise<MasterKey> {
  return changeKey(deps, context, 'CancelKeyDeletion', keyId, (before) => {
    requireState(before, 'PendingDeletion', 'PendingReplicaDeletion')
    const { deletionAt: _, deletionWindowDays: __, ...kept } = before
    return { ...kept, state: hasAllMaterial(kept) ? comesBack : 'PendingImport' }
  })
}
