import { TokenRefusal } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import { destroyAll, makeFrom } from './make-object.ts'
import type { MaterialSource } from './material-kind.ts'
import type { Handle } from './module.ts'
import type { MaterialName, ObjectRole } from './object-names.ts'
import { firstBroughtMismatch } from './read-back.ts'
import type { Attribute } from './templates.ts'
import { unreadable } from './unwrap-material.ts'

/** Runs `work`, and destroys what it kept when it throws. */
export function undoing<T>(token: LaneToken, work: (keep: (handle: Handle) => Handle) => T): T {
  const kept: Handle[] = []
  try {
    return work((handle) => {
      kept.push(handle)
      return handle
    })
  } catch (error) {
    destroyAll(token, kept)
    throw error
  }
}

/** Makes an object of a version from the first template that the token takes. @throws As {@link makeFrom} does. */
export function makeImported(
  token: LaneToken,
  { name, make }: MaterialSource,
  role: ObjectRole,
  templates: readonly Attribute[][],
): Handle {
  return makeFrom(token, name, [role], templates, make)
}

/**
 * Reads an object back as one that was made in the token, but for where it came from. Its length was measured.
 *
 * @throws {@link TokenRefusal} when it is not what the template asked.
 */
export function readBackImported(
  token: LaneToken,
  name: MaterialName,
  handle: Handle,
  role: ObjectRole,
): void {
  const wrong = firstBroughtMismatch(token, handle, name, role)
  if (!wrong) return
  if (wrong.name === 'VALUE_LEN') throw unreadable('The material does not have the length of its spec.')
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token made a master key of imported material whose CKA_${wrong.name} is not ${String(wrong.expected)}; it was destroyed.`,
    hint: 'Check the policy of the token or the partition.',
  })
}
