import { realpathSync } from 'node:fs'
import * as graphene from 'graphene-pk11'
import { trim } from './module.ts'

export interface InitTokenRequest {
  /** Absolute path of the PKCS#11 library. */
  readonly module: string
  /** 1 to 32 bytes of UTF-8. */
  readonly label: string
  /** Bytes of UTF-8; the caller zeroes them. */
  readonly soPin: Buffer
  readonly userPin: Buffer
  /** Initialization string that some libraries want (NSS). */
  readonly libraryParameters?: string
}

const CKF_OS_LOCKING_OK = 0x2
/** CK_TOKEN_INFO: the label has 32 bytes, padded with blanks. */
const LABEL_BYTES = 32

/**
 * Initializes a free slot of a library and sets the user PIN. For operators' commands: calls Cryptoki in the calling
 * thread and finalizes the library, so it has no place in a process that serves.
 *
 * @returns Serial number and label of the new token.
 * @throws Error with a sentence for operators when a token of that label exists or no slot is free.
 * @see PKCS#11 v3.1, "C_InitToken", "C_InitPIN"
 */
export function initToken(request: InitTokenRequest): { readonly serial: string; readonly label: string } {
  const label = Buffer.from(request.label, 'utf8')
  if (label.length < 1 || label.length > LABEL_BYTES)
    throw new Error(`A token label has 1 to ${LABEL_BYTES} bytes.`)
  return withModule(request, (module, reload) => {
    const slots = listSlots(module)
    if (slots.some((slot) => hasLabel(slot.getToken(), request.label))) {
      throw new Error(`A token with the label "${request.label}" exists already.`)
    }
    const free = slots.find((slot) => !isInitialized(slot.getToken()))
    if (!free) throw new Error('The library has no slot with a token that can be initialized.')
    // graphene's own initToken() fails after the fact: it trims a label that pkcs11js does not return.
    module.lib.C_InitToken(
      free.handle,
      request.soPin.toString('utf8'),
      request.label + ' '.repeat(LABEL_BYTES - label.length),
    )
    // SoftHSM moves a new token to another slot number.
    reload()
    const slot = listSlots(module).find((one) => hasLabel(one.getToken(), request.label))
    if (!slot) throw new Error('The token was initialized, but the library does not show it.')
    setUserPin(slot, request)
    return { serial: trim(slot.getToken().serialNumber), label: request.label }
  })
}

/**
 * The token of that label, made by {@link initToken} where there is none. One without a user PIN, which an `initToken`
 * leaves that died half-way, gets its PIN. Otherwise the PINs of a token that exists are not checked.
 *
 * @returns Its serial number.
 * @throws Error with a sentence for operators as `initToken` does, and when several tokens have the label.
 */
export async function ensureToken(request: InitTokenRequest): Promise<string> {
  const serial = withModule(request, (module) => {
    const slots = listSlots(module).filter((slot) => hasLabel(slot.getToken(), request.label))
    if (slots.length > 1) throw new Error(`${slots.length} tokens have the label "${request.label}".`)
    const [slot] = slots
    const token = slot?.getToken()
    if (!slot || !token) return undefined
    if ((token.flags & graphene.TokenFlag.USER_PIN_INITIALIZED) === 0) setUserPin(slot, request)
    return trim(token.serialNumber)
  })
  return serial ?? initToken(request).serial
}

function setUserPin(slot: graphene.Slot, { soPin, userPin }: InitTokenRequest): void {
  const session = slot.open(graphene.SessionFlag.SERIAL_SESSION | graphene.SessionFlag.RW_SESSION)
  try {
    session.login(soPin.toString('utf8'), graphene.UserType.SO)
    session.initPin(userPin.toString('utf8'))
    session.logout()
  } finally {
    session.close()
  }
}

function listSlots(module: graphene.Module): graphene.Slot[] {
  const slots = module.getSlots(true)
  return Array.from({ length: slots.length }, (_, index) => slots.items(index))
}

function isInitialized(token: graphene.Token): boolean {
  return (token.flags & graphene.TokenFlag.TOKEN_INITIALIZED) !== 0
}

function hasLabel(token: graphene.Token, label: string): boolean {
  return isInitialized(token) && trim(token.label) === label
}

function withModule<T>(
  request: InitTokenRequest,
  use: (module: graphene.Module, reload: () => void) => T,
): T {
  const { libraryParameters } = request
  const options = {
    flags: CKF_OS_LOCKING_OK,
    // pkcs11js drops the last byte of the string.
    ...(libraryParameters === undefined ? {} : { libraryParameters: `${libraryParameters} ` }),
  }
  const module = graphene.Module.load(realpathSync(request.module))
  module.initialize(options)
  try {
    return use(module, () => {
      module.finalize()
      module.initialize(options)
    })
  } finally {
    module.finalize()
  }
}
