import { TokenRefusal } from '../errors.ts'
import { findObjects } from '../find-objects.ts'
import { otherName } from '../key-templates.ts'
import { parseJsonPart } from '../lanes/messages.ts'
import type { MaterialName, ObjectRole } from '../object-names.ts'
import { publicKeyOf } from './create-key-pair.ts'
import { idTemplate } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Reads the public key of a key pair anew and proves that it is the one of the private key. Part 0: `MaterialName`. Result:
 * SubjectPublicKeyInfo.
 */
export const readMasterPublicKey: Procedure = (token, _, parts) => {
  const name = otherName(parseJsonPart(part(parts, 0)) as MaterialName)
  const only = (role: ObjectRole) => {
    const [handle, second] = findObjects(token, idTemplate(name, role), 2)
    if (handle && !second) return handle
    const reason = `The token does not hold one object of role ${role} of the key.`
    throw new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason })
  }
  return [publicKeyOf(token, name, { privateKey: only('priv'), publicKey: only('pub') })]
}
