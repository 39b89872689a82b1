import { checkCanary, checkWrapCanary } from '../canary.ts'
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
  'CKR_ATTRIBUTE_READ_ONLY',
])
/** What NSS answers to an attribute that it does not know, and a broken device to everything. */
const AMBIGUOUS_REFUSAL = 'CKR_GENERAL_ERROR'

/**
 * Makes both objects of a version, reads their attributes back and uses each once; destroys what it made when anything is wrong.
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
      proveWorking(token, handle, role)
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
  const templates = masterKeyTemplates(name, role, token.capabilities.allowedMechanisms)
  for (const [index, template] of templates.entries()) {
    try {
      return token.p11.C_GenerateKey(token.session, { mechanism: CKM_AES_KEY_GEN }, template)
    } catch (error) {
      if (index === templates.length - 1 || !isTemplateRefusal(token, name, role, error)) throw error
    }
  }
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'No template for a master key.' })
}

/** @throws {@link TokenRefusal} when what was refused is in the token all the same. */
function isTemplateRefusal(
  token: LaneToken,
  name: MaterialName,
  role: MasterKeyRole,
  error: unknown,
): boolean {
  if (!(error instanceof Error)) return false
  const ckr = faultOf(error).name
  if (ckr !== AMBIGUOUS_REFUSAL) return TEMPLATE_REFUSALS.has(ckr)
  refuseExisting(token, name, role)
  return true
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

/** A key that a policy keeps from doing its work is found now, not when something has to be opened. */
function proveWorking(token: LaneToken, handle: Handle, role: MasterKeyRole): void {
  const { gcmWrap, keyWrap } = token.capabilities
  if (role === 'enc') checkCanary(token, handle, true)
  else if (gcmWrap) checkWrapCanary(token, 'gcm', handle)
  else if (keyWrap) checkWrapCanary(token, keyWrap, handle)
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
