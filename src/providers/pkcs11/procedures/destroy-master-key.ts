import { destroyFound, findObjects } from '../find-objects.ts'
import { parseJsonPart } from '../lanes/messages.ts'
import { type MaterialName, rolesOf } from '../object-names.ts'
import { idTemplate, proveKeysVisible } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/** Objects of one role destroyed in one go; there should be one. */
const DESTROYED_MAX = 16

/** Destroys every object of a version. Part 0: {@link MaterialName}. */
export const destroyMasterKey: Procedure = (token, _, parts) => {
  const name = parseJsonPart(part(parts, 0)) as MaterialName
  const handles = rolesOf(name).flatMap((role) => findObjects(token, idTemplate(name, role), DESTROYED_MAX))
  if (handles.length === 0) proveKeysVisible(token)
  destroyFound(token, handles)
  return []
}
