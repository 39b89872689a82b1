import { requireKey } from '../find-key.ts'
import type { MasterKey } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import type { KeyUse } from '../ports/key-use-store.ts'

/** What is known of the last use of a key. */
export interface KeyLastUsage {
  readonly key: MasterKey
  /** Absent when it was not used since `trackedSince`. */
  readonly use: KeyUse | undefined
  /** Milliseconds since the epoch; not before the key was made. */
  readonly trackedSince: number
}

/** The last success, of whichever process; that of another one is seen once it has stored it. */
export async function getKeyLastUsage(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
): Promise<KeyLastUsage> {
  const key = await requireKey(deps, context, 'GetKeyLastUsage', { kind: 'id', keyId })
  const use = await deps.lastUses.get(key)
  const since = await deps.store.keyUsesSince()
  return { key, use, trackedSince: Math.max(since, key.createdAt) }
}
