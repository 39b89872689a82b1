import { faultOf, TokenRefusal } from './errors.ts'
import { findObjects } from './find-objects.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import { type MaterialName, type ObjectRole, objectLabel } from './object-names.ts'
import { idTemplate } from './procedures/find-master-key.ts'
import { firstMismatch } from './read-back.ts'
import { CKA } from './templates.ts'

/** A token that answers one of these may still take a template with fewer attributes. */
const TEMPLATE_REFUSALS = new Set([
  'CKR_ATTRIBUTE_TYPE_INVALID',
  'CKR_ATTRIBUTE_VALUE_INVALID',
  'CKR_TEMPLATE_INCONSISTENT',
  'CKR_ATTRIBUTE_READ_ONLY',
])
/** What NSS answers to an attribute that it does not know, and a broken device to everything. */
const AMBIGUOUS_REFUSAL = 'CKR_GENERAL_ERROR'

/** PKCS#11 does not keep CKA_ID or CKA_LABEL unique. @throws {@link TokenRefusal} where the token has either. */
export function refuseExisting(token: LaneToken, name: MaterialName, role: ObjectRole): void {
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

/**
 * Makes objects from the first template that the token takes.
 *
 * @param roles - Of the objects that are made together.
 * @throws What the token answered to the last; {@link TokenRefusal} when what it refused is in the token all the same.
 */
export function makeFrom<Template, Made>(
  token: LaneToken,
  name: MaterialName,
  roles: readonly ObjectRole[],
  templates: readonly Template[],
  make: (template: Template) => Made,
): Made {
  for (const [index, template] of templates.entries()) {
    try {
      return make(template)
    } catch (error) {
      if (index === templates.length - 1 || !isTemplateRefusal(token, name, roles, error)) throw error
    }
  }
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'No template for a master key.' })
}

function isTemplateRefusal(
  token: LaneToken,
  name: MaterialName,
  roles: readonly ObjectRole[],
  error: unknown,
): boolean {
  if (!(error instanceof Error)) return false
  const ckr = faultOf(error).name
  if (ckr !== AMBIGUOUS_REFUSAL) return TEMPLATE_REFUSALS.has(ckr)
  for (const role of roles) refuseExisting(token, name, role)
  return true
}

/** Refuses a key that is not what the template asked: most of all one that could be extracted. */
export function readBack(token: LaneToken, handle: Handle, name: MaterialName, role: ObjectRole): void {
  const wrong = firstMismatch(token, handle, name, role)
  if (!wrong) return
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token made a master key whose CKA_${wrong.name} is not ${String(wrong.expected)}; it was destroyed.`,
    hint: 'Check the policy of the token or the partition.',
  })
}

/** Never fails: the error that led here is the one to report, and reconciliation finds a leftover. */
export function destroyAll(token: LaneToken, handles: readonly Handle[]): void {
  for (const handle of handles) {
    try {
      token.p11.C_DestroyObject(token.session, handle)
    } catch {
      // Found as `partial`.
    }
  }
}
