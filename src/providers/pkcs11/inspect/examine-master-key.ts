import { randomUUID } from 'node:crypto'
import type { Tell } from '../../../core/inspection/doctor-report.ts'
import { describeFault, toFault } from '../errors.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart } from '../lanes/messages.ts'
import { objectLabel } from '../object-names.ts'
import { createMasterKey } from '../procedures/create-master-key.ts'
import { destroyMasterKey } from '../procedures/destroy-master-key.ts'
import { since } from './timing.ts'

/**
 * Makes a master key as the service does, which reads its attributes back and uses it, and destroys it.
 *
 * @param token - Attached with a read-write session.
 * @throws What making it came to.
 */
export function checkMasterKey(token: LaneToken, tell: Tell): void {
  const name = { keyId: `doctor-${randomUUID()}`, versionId: randomUUID(), versionNumber: 1 }
  const startedAt = performance.now()
  createMasterKey(token, 0, [jsonPart(name)])
  const ms = since(startedAt)
  try {
    destroyMasterKey(token, 0, [jsonPart(name)])
  } catch (error) {
    const message = `a master key was made for a trial, but could not be destroyed: ${describeFault(toFault(error))}`
    const next = `Remove ${objectLabel(name, 'enc')} and ${objectLabel(name, 'wrap')} with the tools of the token.`
    return tell({ state: 'fail', code: 'MASTER_KEY', message, next, ms })
  }
  tell({ state: 'ok', code: 'MASTER_KEY', message: 'a master key was made, tried and destroyed', ms })
}
