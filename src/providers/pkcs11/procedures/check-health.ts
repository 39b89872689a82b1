import { checkSessionKey, touchAnchor } from '../anchor.ts'
import { checkCanary } from '../canary.ts'
import type { Procedure } from './procedure.ts'

/**
 * A real seal and open, which keeps the session that anchors the login alive besides. Part 0: handle of an `enc` object;
 * a session key of this lane's own where it is absent. Only a stored key notices that a SoftHSM token directory is gone.
 */
export const checkHealth: Procedure = (token, _, parts) => {
  touchAnchor(token)
  const [key] = parts
  if (key) checkCanary(token, key, true)
  else checkSessionKey(token)
  return []
}
