import { checkCanary } from '../canary.ts'
import { TokenRefusal } from '../errors.ts'
import { findObjects } from '../find-objects.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import {
  describeToken,
  finalize,
  findSlot,
  type Handle,
  initialize,
  loadModule,
  login,
  logout,
  openSession,
  refuseTaken,
} from '../module.ts'
import { type MaterialName, objectLabel, parseObjectLabel, rolesOf } from '../object-names.ts'
import { makeSessionKey, probeCapabilities } from '../probe.ts'
import type { TokenCapabilities, TokenDescription } from '../settings.ts'
import { CKA, CKO_SECRET_KEY } from '../templates.ts'
import type { TokenCriteria } from '../token-selector.ts'
import { quirksOf } from '../vendor-quirks.ts'
import { idTemplate } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

const ENC_KEYS = [
  { type: CKA.CLASS, value: CKO_SECRET_KEY },
  { type: CKA.TOKEN, value: true },
  { type: CKA.ENCRYPT, value: true },
] as const
/** Keys of others may come before one of ours. */
const KEYS_LOOKED_AT_MAX = 256

/** What the control lane needs to reach the token. */
export interface ConnectRequest {
  readonly module: string
  readonly libraryParameters?: string
  readonly criteria: TokenCriteria
  /** Slots in hex that are connected to as other tokens of the configuration, with the names of those. */
  readonly taken: Readonly<Record<string, string>>
  /** CKU number to log in as; CKU_USER when absent. */
  readonly userType?: number
  /** A key that the token held before. SoftHSM logs in to a token that is gone, and shows none of its objects. */
  readonly witness?: MaterialName
}

export interface Connected {
  /** CK_SLOT_ID in hex. */
  readonly slotHex: string
  readonly token: TokenDescription
  readonly capabilities: TokenCapabilities
  /** False where the process was logged in already. */
  readonly loggedIn: boolean
}

/**
 * C_Initialize, find the token, log in, probe. Runs on the control lane alone, with every other lane detached. The
 * session it opens first stays open: it anchors the login, which ends with the last session of the process.
 *
 * Parts: {@link ConnectRequest} as JSON, PIN. Result: {@link Connected} as JSON.
 */
export const connect: Procedure = (token, _, parts) => {
  const request = parseJsonPart(part(parts, 0)) as ConnectRequest
  const p11 = loadModule(request.module)
  initialize(p11, request.libraryParameters)
  const { slot, info } = findSlot(p11, request.criteria)
  const slotHex = slot.toString('hex')
  refuseTaken(slotHex, request.taken)
  try {
    const anchor = openSession(p11, slot, true)
    const loggedIn = login(p11, anchor, info, part(parts, 1), request.userType)
    token.attach({ ...attachmentOf(request), slotHex, write: false })
    const description = describeToken(info)
    const key = makeSessionKey(token, anchor, 'enc')
    token.anchor = { session: anchor, key }
    probeOn(token, anchor, key, description)
    if (request.witness) requireWitness(token, request.witness)
    // Sessions that the probe gave up on purpose are no trouble.
    token.takeNotes()
    const { capabilities } = token
    const connected = { slotHex, token: description, capabilities, loggedIn }
    return [jsonPart(connected satisfies Connected)]
  } catch (error) {
    token.detach()
    logout(p11, slot)
    throw error
  }
}

function attachmentOf({ module, libraryParameters }: ConnectRequest) {
  return { module, ...(libraryParameters === undefined ? {} : { libraryParameters }) }
}

function probeOn(token: LaneToken, anchor: Handle, enc: Handle, description: TokenDescription): void {
  const wrap = makeSessionKey(token, anchor, 'wrap')
  probeCapabilities(token, { enc, wrap }, quirksOf(description))
  token.p11.C_DestroyObject(anchor, wrap)
}

/**
 * A witness that is not there may have been destroyed by another process; then any other master key speaks for the token.
 *
 * @throws {@link TokenRefusal} when the token shows none, or what it answered when the one that it shows does not work.
 */
function requireWitness(token: LaneToken, witness: MaterialName): void {
  const [role = 'enc'] = rolesOf(witness)
  const [key] = findObjects(token, idTemplate(witness, role), 1)
  // One that does not encrypt is witness enough by being there.
  if (key && role !== 'enc') return
  const shown = key ?? anyMasterKey(token)
  if (shown) return checkCanary(token, shown, true)
  throw new TokenRefusal({
    code: 'TOKEN_UNAVAILABLE',
    reason: `The token does not show ${objectLabel(witness, role)}, which it held before, nor another key of p11kms.`,
  })
}

/** The `enc` object of some version, told by its label: a key of somebody else's is not sealed with. */
function anyMasterKey(token: LaneToken): Handle | undefined {
  const keys = findObjects(token, [...ENC_KEYS], KEYS_LOOKED_AT_MAX)
  return keys.find((key) => {
    const [label] = token.p11.C_GetAttributeValue(token.session, key, [{ type: CKA.LABEL }])
    return Buffer.isBuffer(label?.value) && parseObjectLabel(label.value.toString('utf8'))?.role === 'enc'
  })
}

/**
 * Ends the connection, on a lane that was detached: closes every session that this process has with the token, and with the last one the login.
 *
 * Parts: path of the library, CK_SLOT_ID in hex.
 */
export const disconnect: Procedure = (_token, _, parts) => {
  logout(loadModule(part(parts, 0).toString('utf8')), Buffer.from(part(parts, 1).toString('utf8'), 'hex'))
  return []
}

/**
 * C_Finalize, so that the next connect begins with C_Initialize: SoftHSM looks for new tokens in there only. No session of
 * any token may be in use. Part 0: path of the library.
 */
export const finalizeLibrary: Procedure = (_token, _, parts) => {
  finalize(loadModule(part(parts, 0).toString('utf8')))
  return []
}
