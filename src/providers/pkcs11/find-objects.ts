import { isCkr } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import type { Attribute } from './templates.ts'

/**
 * Token objects that match a template. Runs on the write lane alone: SoftHSM 2.6.1 fails at random when one session
 * makes a token object while another searches.
 *
 * @param max - Handles returned at most; more may exist.
 */
export function findObjects(token: LaneToken, template: Attribute[], max: number): Handle[] {
  const { p11, session } = token
  token.beginOperation()
  p11.C_FindObjectsInit(session, template)
  const found = p11.C_FindObjects(session, max)
  p11.C_FindObjectsFinal(session)
  token.endOperation()
  return found
}

/** Destroys objects that {@link findObjects} gave. One that another session destroyed meanwhile is gone, which is what was asked. */
export function destroyFound({ p11, session }: LaneToken, handles: readonly Handle[]): void {
  for (const handle of handles) {
    try {
      p11.C_DestroyObject(session, handle)
    } catch (error) {
      if (!isCkr(error, 'CKR_OBJECT_HANDLE_INVALID')) throw error
    }
  }
}
