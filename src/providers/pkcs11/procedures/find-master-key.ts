import { findObjects } from '../find-objects.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import {
  CKA,
  CKO_SECRET_KEY,
  MASTER_KEY_ROLES,
  type MasterKeyRole,
  type MaterialName,
  objectId,
} from '../templates.ts'
import { type Procedure, part } from './procedure.ts'

/** Handles in hex per role; two of one role are one too many. */
export type FoundMaterial = Readonly<Record<MasterKeyRole, readonly string[]>>

/** Enough to tell a duplicate. */
const FOUND_MAX = 2

/** Looks both objects of a version up by CKA_ID. Part 0: {@link MaterialName}. Result: {@link FoundMaterial} as JSON. */
export const findMasterKey: Procedure = (token, _, parts) => {
  const name = parseJsonPart(part(parts, 0)) as MaterialName
  const entries = MASTER_KEY_ROLES.map((role) => {
    const handles = findObjects(token, idTemplate(name, role), FOUND_MAX)
    return [role, handles.map((handle) => handle.toString('hex'))] as const
  })
  if (entries.some(([, handles]) => handles.length === 0)) proveTokenPresent(token)
  return [jsonPart(Object.fromEntries(entries))]
}

/** Selects one object of a version. */
export function idTemplate(name: MaterialName, role: MasterKeyRole) {
  return [
    { type: CKA.CLASS, value: CKO_SECRET_KEY },
    { type: CKA.TOKEN, value: true },
    { type: CKA.ID, value: objectId(name, role) },
  ]
}

/**
 * SoftHSM finds nothing, without an error, once its token directory is gone; C_GetTokenInfo does fail then. Without
 * this check a token that was pulled looks like one whose keys were destroyed.
 */
export function proveTokenPresent(token: LaneToken): void {
  token.p11.C_GetTokenInfo(token.slot)
}
