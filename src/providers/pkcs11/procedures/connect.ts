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
} from '../module.ts'
import { makeSessionKey, probeCapabilities } from '../probe.ts'
import type { TokenCapabilities, TokenDescription } from '../settings.ts'
import type { TokenCriteria } from '../token-selector.ts'
import { type Procedure, part } from './procedure.ts'

/** What the control lane needs to reach the token. */
export interface ConnectRequest {
  readonly module: string
  readonly libraryParameters?: string
  readonly criteria: TokenCriteria
  /** False while a lost lane may still be inside the library: C_Finalize under it would crash the process. */
  readonly mayFinalize: boolean
}

export interface Connected {
  /** CK_SLOT_ID in hex. */
  readonly slotHex: string
  readonly token: TokenDescription
  readonly capabilities: TokenCapabilities
  /** Session key for health checks, in hex: an AES object of role `enc` that lives as long as the connection. */
  readonly healthKeyHex: string
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
  try {
    const { slot, info } = findSlot(p11, request.criteria)
    const anchor = openSession(p11, slot, true)
    login(p11, anchor, info, part(parts, 1))
    const slotHex = slot.toString('hex')
    token.attach({ ...attachmentOf(request), slotHex, write: false })
    const healthKey = makeSessionKey(token, anchor, 'enc')
    const capabilities = probeOn(token, anchor, healthKey)
    return [
      jsonPart({
        slotHex,
        token: describeToken(info),
        capabilities,
        healthKeyHex: healthKey.toString('hex'),
      }),
    ]
  } catch (error) {
    token.detach()
    // SoftHSM looks for new tokens in C_Initialize only.
    if (request.mayFinalize) finalize(p11)
    throw error
  }
}

function attachmentOf({ module, libraryParameters }: ConnectRequest) {
  return { module, ...(libraryParameters === undefined ? {} : { libraryParameters }) }
}

function probeOn(token: LaneToken, anchor: Handle, healthKey: Handle): TokenCapabilities {
  const wrap = makeSessionKey(token, anchor, 'wrap')
  try {
    return probeCapabilities(token, healthKey, wrap)
  } finally {
    token.p11.C_DestroyObject(anchor, wrap)
  }
}

/** Ends the connection: every session of this process, the login, the library's state. Part 0: {@link ConnectRequest}. */
export const disconnect: Procedure = (token, _, parts) => {
  const request = parseJsonPart(part(parts, 0)) as ConnectRequest
  const slot = token.attachedSlot
  token.detach()
  if (!request.mayFinalize) return []
  const p11 = loadModule(request.module)
  if (slot) logout(p11, slot)
  finalize(p11)
  return []
}
