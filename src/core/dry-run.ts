import { KmsError } from './errors.ts'
import type { MasterKey } from './key.ts'
import type { CallContext, UsingContext } from './kms-context.ts'
import type { TrackedOperation } from './ports/key-use-store.ts'

/**
 * Ends a call that was only to be tried. Every operation that takes a dry run calls it, or {@link checksPassed}, once: after
 * everything has been checked, and before a token is asked, an invocation is counted or anything is written.
 *
 * @throws {@link KmsError} `DRY_RUN` in a dry run.
 * @see AWS KMS Developer Guide, "Testing your permissions"
 */
export function endDryRun({ dryRun }: CallContext): void {
  if (!dryRun) return
  throw new KmsError('DRY_RUN', 'The request would have succeeded, but the DryRun option is set.', {})
}

/**
 * To be called by every operation that uses a key for cryptography, where {@link endDryRun} says: what it is about to do is
 * each key's last use once it has succeeded.
 *
 * @throws {@link KmsError} `DRY_RUN` in a dry run.
 */
export function checksPassed(
  context: UsingContext,
  operation: TrackedOperation,
  ...keys: readonly MasterKey[]
): void {
  endDryRun(context)
  context.uses.push(...keys.map((key) => ({ key, operation })))
}
