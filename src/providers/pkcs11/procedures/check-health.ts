import { checkCanary } from '../canary.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * A real seal and open. Part 0: handle of an `enc` object, or of the session key that `connect` made for this. Only a
 * stored key notices that a SoftHSM token directory is gone.
 */
export const checkHealth: Procedure = (token, _, parts) => {
  checkCanary(token, part(parts, 0), true)
  return []
}
