import { ruleOf, TokenRefusal, toFault } from '../errors.ts'
import { findObjects } from '../find-objects.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import type { Handle } from '../module.ts'
import { type MaterialName, type ObjectRole, objectId, rolesOf } from '../object-names.ts'
import { firstBroughtMismatch, firstMismatch } from '../read-back.ts'
import { CKA, classOf } from '../templates.ts'
import { type Procedure, part } from './procedure.ts'

/** What the token holds of a version. */
export interface FoundMaterial {
  /** One row per object that the version is made of; two handles, in hex, are one too many. */
  readonly objects: readonly { readonly role: ObjectRole; readonly handles: readonly string[] }[]
  /** Present where it was asked for: one object of each role is there and reads back as asked. */
  readonly asCreated?: boolean
}

/** What attributes are compared with: nothing; what creation demands; the same, of a copy that was brought into the token. */
export const READ_BACK = { none: 0, created: 1, copied: 2 } as const

/** Enough to tell a duplicate. */
const FOUND_MAX = 2

/**
 * Looks the objects of a version up by CKA_ID.
 *
 * Number: what their attributes are compared with, one of {@link READ_BACK}. Part 0: {@link MaterialName}. Result: {@link FoundMaterial} as JSON.
 */
export const findMasterKey: Procedure = (token, readBack, parts) => {
  const name = parseJsonPart(part(parts, 0)) as MaterialName
  const entries = rolesOf(name).map((role) => {
    const handles = findObjects(token, idTemplate(name, role), FOUND_MAX)
    return [role, handles] as const
  })
  if (entries.some(([, handles]) => handles.length === 0)) proveKeysVisible(token)
  const objects = entries.map(([role, handles]) => ({
    role,
    handles: handles.map((handle) => handle.toString('hex')),
  }))
  if (readBack === READ_BACK.none) return [jsonPart({ objects } satisfies FoundMaterial)]
  const mismatch = readBack === READ_BACK.copied ? firstBroughtMismatch : firstMismatch
  const asCreated = areAsCreated(token, name, entries, mismatch)
  return [jsonPart({ objects, asCreated } satisfies FoundMaterial)]
}

/** The answer about objects that were just made and read back. */
export function madeMaterial(objects: readonly (readonly [role: ObjectRole, handle: Handle])[]): Buffer {
  const found = objects.map(([role, handle]) => ({ role, handles: [handle.toString('hex')] }))
  return jsonPart({ objects: found, asCreated: true } satisfies FoundMaterial)
}

function areAsCreated(
  token: LaneToken,
  name: MaterialName,
  entries: readonly (readonly [role: ObjectRole, handles: readonly Handle[]])[],
  mismatch: typeof firstBroughtMismatch,
): boolean {
  return entries.every(([role, [handle, second]]) => {
    if (!handle || second) return false
    try {
      return mismatch(token, handle, name, role) === undefined
    } catch (error) {
      // A token that does not know an attribute would have refused the creation as well.
      const fault = toFault(error)
      if (fault.kind === 'cryptoki' && ruleOf(fault.name).code === 'UNSUPPORTED') return false
      throw error
    }
  })
}

/** Selects one object of a version. */
export function idTemplate(name: MaterialName, role: ObjectRole) {
  return [
    { type: CKA.CLASS, value: classOf(role) },
    { type: CKA.TOKEN, value: true },
    { type: CKA.ID, value: objectId(name, role) },
  ]
}

/** CKS_RO_PUBLIC_SESSION and CKS_RW_PUBLIC_SESSION. */
const PUBLIC_STATES: readonly number[] = [0, 2]

/**
 * Proves that a search which found nothing could have found something. SoftHSM finds nothing, without an error, once its
 * token directory is gone; C_GetTokenInfo does fail then. And every token hides private objects from a session whose login
 * is lost. Without this check a token that was pulled or logged out looks like one whose keys were destroyed.
 */
export function proveKeysVisible(token: LaneToken): void {
  token.p11.C_GetTokenInfo(token.slot)
  if (!PUBLIC_STATES.includes(token.p11.C_GetSessionInfo(token.session).state)) return
  throw new TokenRefusal({
    code: 'TOKEN_UNAVAILABLE',
    reason: 'The login to the token is lost, so it does not show its keys.',
    hint: 'The service logs in by itself; if it lasts, look for what logs it out: a timeout, an administrator.',
    broken: true,
  })
}
