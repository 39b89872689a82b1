import { faultOf, TokenRefusal } from '../errors.ts'
import { findObjects } from '../find-objects.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import { CKM_AES_KEY_GEN } from '../mechanisms.ts'
import type { Handle } from '../module.ts'
import { firstMismatch } from '../read-back.ts'
import {
  CKA,
  MASTER_KEY_ROLES,
  type MasterKeyRole,
  type MaterialName,
  masterKeyTemplates,
  objectLabel,
} from '../templates.ts'
import { idTemplate } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/** A token that answers one of these may still take a template with fewer attributes. */
const TEMPLATE_REFUSALS = new Set([
  'CKR_ATTRIBUTE_TYPE_INVALID',
  'CKR_ATTRIBUTE_VALUE_INVALID',
  'CKR_TEMPLATE_INCONSISTENT',
])

/**
 * Makes both objects of a version and reads their attributes back; destroys what it made when anything is wrong.
 *
 * Part 0: {@link MaterialName}. Result: `FoundMaterial` as JSON.
 */
export const createMasterKey: Procedure = (token, _, parts) => {
  const name = parseJsonPart(part(parts, 0)) as MaterialName
  for (const role of MASTER_KEY_ROLES) refuseExisting(token, name, role)
  const made: Handle[] = []
  try {
    for (const role of MASTER_KEY_ROLES) {
      const handle = generate(token, name, role)
      made.push(handle)
      readBack(token, handle, role)
    }
  } catch (error) {
    destroyAll(token, made)
    throw error
  }
  const [enc, wrap] = made.map((handle) => [handle.toString('hex')])
  return [jsonPart({ enc, wrap, asCreated: true })]
}

/** PKCS#11 does not keep CKA_ID or CKA_LABEL unique. */
function refuseExisting(token: LaneToken, name: MaterialName, role: MasterKeyRole): void {
  const label = objectLabel(name, role)
  const byLabel = [
    { type: CKA.TOKEN, value: true },
    { type: CKA.LABEL, value: label },
  ]
  for (const [template, what] of [
    [idTemplate(name, role), 'CKA_ID'],
    [byLabel, 'CKA_LABEL'],
  ] as const) {
    if (findObjects(token, [...template], 1).length === 0) continue
    throw new TokenRefusal({
      code: 'ALREADY_EXISTS',
      reason: `The token already holds an object with the ${what} of ${label}.`,
    })
  }
}

function generate(token: LaneToken, name: MaterialName, role: MasterKeyRole): Handle {
  const templates = masterKeyTemplates(name, role)
  for (const [index, template] of templates.entries()) {
    try {
      return token.p11.C_GenerateKey(token.session, { mechanism: CKM_AES_KEY_GEN }, template)
    } catch (error) {
      const last = index === templates.length - 1
      if (last || !(error instanceof Error) || !TEMPLATE_REFUSALS.has(faultOf(error).name)) throw error
    }
  }
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'No template for a master key.' })
}

/** Refuses a key that is not what the template asked: most of all one that could be extracted. */
function readBack(token: LaneToken, handle: Handle, role: MasterKeyRole): void {
  const wrong = firstMismatch(token, handle, role)
  if (!wrong) return
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token made a master key whose CKA_${wrong.name} is not ${String(wrong.expected)}; it was destroyed.`,
    hint: 'Check the policy of the token or the partition.',
  })
}

function destroyAll(token: LaneToken, handles: readonly Handle[]): void {
  for (const handle of handles) {
    try {
      token.p11.C_DestroyObject(token.session, handle)
    } catch {
      // The first error is the one to report; reconciliation finds a leftover as `partial`.
    }
  }
}
