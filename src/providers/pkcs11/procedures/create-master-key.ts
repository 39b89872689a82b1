import { checkCanary, checkWrapCanary } from '../canary.ts'
import type { LaneToken } from '../lane-token.ts'
import { parseJsonPart } from '../lanes/messages.ts'
import { destroyAll, makeFrom, readBack, refuseExisting } from '../make-object.ts'
import { CKM_AES_KEY_GEN } from '../mechanisms.ts'
import type { Handle } from '../module.ts'
import { MASTER_KEY_ROLES, type MasterKeyRole, type MaterialName } from '../object-names.ts'
import { masterKeyTemplates } from '../templates.ts'
import { madeMaterial } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Makes both objects of a version of a symmetric key, reads their attributes back and uses each once; destroys what it made when anything is wrong.
 *
 * Part 0: {@link MaterialName}. Result: `FoundMaterial` as JSON.
 */
export const createMasterKey: Procedure = (token, _, parts) => {
  const name = parseJsonPart(part(parts, 0)) as MaterialName
  for (const role of MASTER_KEY_ROLES) refuseExisting(token, name, role)
  const made: [role: MasterKeyRole, handle: Handle][] = []
  try {
    for (const role of MASTER_KEY_ROLES) {
      const handle = generate(token, name, role)
      made.push([role, handle])
      readBack(token, handle, name, role)
      proveWorking(token, handle, role)
    }
  } catch (error) {
    destroyAll(
      token,
      made.map(([, handle]) => handle),
    )
    throw error
  }
  return [madeMaterial(made)]
}

function generate(token: LaneToken, name: MaterialName, role: MasterKeyRole): Handle {
  const templates = masterKeyTemplates(name, role, token.capabilities.allowedMechanisms)
  return makeFrom(token, name, [role], templates, (template) =>
    token.p11.C_GenerateKey(token.session, { mechanism: CKM_AES_KEY_GEN }, template),
  )
}

/** A key that a policy keeps from doing its work is found now, not when something has to be opened. */
export function proveWorking(token: LaneToken, handle: Handle, role: MasterKeyRole): void {
  const { gcmWrap, keyWrap } = token.capabilities
  if (role === 'enc') checkCanary(token, handle, true)
  else if (gcmWrap) checkWrapCanary(token, 'gcm', handle)
  else if (keyWrap) checkWrapCanary(token, keyWrap, handle)
}
