import pkcs11js from 'pkcs11js'
import { isCkr, TokenRefusal } from './errors.ts'
import type { TokenDescription } from './settings.ts'
import { matchesCriteria, type TokenCriteria } from './token-selector.ts'

/** An 8-byte CK_SESSION_HANDLE, CK_OBJECT_HANDLE or CK_SLOT_ID. */
export type Handle = Buffer

const CKF_OS_LOCKING_OK = 0x2
const CKF_SERIAL_SESSION = 0x4
const CKF_RW_SESSION = 0x2
const CKF_USER_PIN_FINAL_TRY = 0x20000
const CKF_USER_PIN_LOCKED = 0x40000
const CKU_USER = 1
/** Slots looked at when a token is searched; network HSMs list a slot per partition. */
export const SLOTS_MAX = 1024

/**
 * Libraries that this thread loaded. pkcs11js unloads a library when its object is collected, so these references are
 * never dropped.
 */
const LOADED = new Map<string, pkcs11js.PKCS11>()

/**
 * Loads a library, once per thread.
 *
 * @throws {@link TokenRefusal} with what the system's loader says.
 */
export function loadModule(path: string): pkcs11js.PKCS11 {
  const loaded = LOADED.get(path)
  if (loaded) return loaded
  const p11 = new pkcs11js.PKCS11()
  try {
    p11.load(path)
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    throw new TokenRefusal({
      code: 'TOKEN_UNAVAILABLE',
      reason: `The PKCS#11 library cannot be loaded: ${said}`,
      hint: 'Install what the library needs, for the architecture of this machine.',
    })
  }
  LOADED.set(path, p11)
  return p11
}

/**
 * C_Initialize with the operating system's locks: without that flag SoftHSM switches its mutexes off. Another lane of
 * this process may have been first.
 */
export function initialize(p11: pkcs11js.PKCS11, libraryParameters?: string): void {
  try {
    p11.C_Initialize({
      flags: CKF_OS_LOCKING_OK,
      // pkcs11js drops the last byte of the string.
      ...(libraryParameters === undefined ? {} : { libraryParameters: `${libraryParameters} ` }),
    })
  } catch (error) {
    if (!isCkr(error, 'CKR_CRYPTOKI_ALREADY_INITIALIZED')) throw error
  }
}

/** C_Finalize; success where nothing was initialized. Closes the sessions of every thread of this process. */
export function finalize(p11: pkcs11js.PKCS11): void {
  try {
    p11.C_Finalize()
  } catch (error) {
    if (!isCkr(error, 'CKR_CRYPTOKI_NOT_INITIALIZED')) throw error
  }
}

/**
 * Finds the one slot whose token has every attribute of `criteria`.
 *
 * @throws {@link TokenRefusal} when there is none, or more than one.
 */
export function findSlot(
  p11: pkcs11js.PKCS11,
  criteria: TokenCriteria,
): { slot: Handle; info: pkcs11js.TokenInfo } {
  const found: { slot: Handle; info: pkcs11js.TokenInfo }[] = []
  for (const slot of p11.C_GetSlotList(true).slice(0, SLOTS_MAX)) {
    const info = tokenInfo(p11, slot)
    if (info && matchesCriteria({ ...identityOf(info), slotId: slotNumber(slot) }, criteria))
      found.push({ slot, info })
  }
  const [only, second] = found
  if (!only) {
    throw new TokenRefusal({
      code: 'TOKEN_UNAVAILABLE',
      reason: `No token with ${describeCriteria(criteria)} is present.`,
      hint: 'Connect the token, or correct the selection: p11kms token list shows what the library sees.',
    })
  }
  if (second) {
    throw new TokenRefusal({
      code: 'TOKEN_UNAVAILABLE',
      reason: `${found.length} tokens have ${describeCriteria(criteria)}: the choice is ambiguous.`,
      hint: 'Select the token by its serial number.',
    })
  }
  return only
}

/** Refuses a token that another name of the configuration is connected to: two names would not know of each other's keys. */
export function refuseTaken(slotHex: string, taken: Readonly<Record<string, string>>): void {
  const name = taken[slotHex]
  if (name === undefined) return
  throw new TokenRefusal({
    code: 'TOKEN_UNAVAILABLE',
    reason: `The token is the one that is configured as "${name}" already.`,
    hint: 'Configure each token once: remove one of the two, or correct its selection.',
    operator: true,
  })
}

/** A slot whose token cannot be read is not the one. */
function tokenInfo(p11: pkcs11js.PKCS11, slot: Handle): pkcs11js.TokenInfo | undefined {
  try {
    return p11.C_GetTokenInfo(slot)
  } catch (error) {
    if (error instanceof pkcs11js.NativeError) return undefined
    throw error
  }
}

/** Number of a slot, for the `slot-id` attribute of a URI. */
export function slotNumber(slot: Handle): number {
  return slot.length === 8 ? Number(slot.readBigUInt64LE()) : slot.readUInt32LE()
}

function identityOf(info: pkcs11js.TokenInfo) {
  return {
    label: trim(info.label),
    serial: trim(info.serialNumber),
    manufacturer: trim(info.manufacturerID),
    model: trim(info.model),
  }
}

/** What the token says of itself. */
export function describeToken(info: pkcs11js.TokenInfo): TokenDescription {
  return { ...identityOf(info), firmware: `${info.firmwareVersion.major}.${info.firmwareVersion.minor}` }
}

function describeCriteria(criteria: TokenCriteria): string {
  return Object.entries(criteria)
    .map(([name, value]) => `${name} "${value}"`)
    .join(', ')
}

/** Fields of CK_TOKEN_INFO are padded with blanks, by some libraries with zeros. */
export function trim(padded: string): string {
  return padded.replace(/[\0 ]+$/, '')
}

/** A read-write session makes and destroys token objects; every session of the process shares one login. */
export function openSession(p11: pkcs11js.PKCS11, slot: Handle, write: boolean): Handle {
  return p11.C_OpenSession(slot, CKF_SERIAL_SESSION | (write ? CKF_RW_SESSION : 0))
}

/**
 * C_Login; success where the application is logged in already.
 *
 * @param pin - Bytes of UTF-8. pkcs11js takes text only, so one string of it lives until it is collected.
 * @param userType - CKU number; vendors have roles of their own, such as Luna's Crypto User.
 * @returns Whether it logged in itself.
 * @throws {@link TokenRefusal} without trying, when the PIN is locked or has one try left.
 */
export function login(
  p11: pkcs11js.PKCS11,
  session: Handle,
  info: pkcs11js.TokenInfo,
  pin: Buffer,
  userType = CKU_USER,
): boolean {
  refuseRiskyLogin(info.flags)
  try {
    p11.C_Login(session, userType, pin.toString('utf8'))
    return true
  } catch (error) {
    if (isCkr(error, 'CKR_USER_ALREADY_LOGGED_IN')) return false
    throw error
  }
}

function refuseRiskyLogin(flags: number): void {
  if (flags & CKF_USER_PIN_LOCKED) {
    throw new TokenRefusal({
      code: 'TOKEN_UNAVAILABLE',
      reason: 'The user PIN of the token is locked.',
      hint: 'The security officer of the token sets a new user PIN.',
      operator: true,
    })
  }
  if (flags & CKF_USER_PIN_FINAL_TRY) {
    throw new TokenRefusal({
      code: 'TOKEN_UNAVAILABLE',
      reason: 'The token has one try of the user PIN left; it is not spent automatically.',
      hint: 'Log in once by hand with the right PIN, which resets the counter, then restart.',
      operator: true,
    })
  }
}

/** Closes every session of this process, which logs it out. Never fails: the token may be gone. */
export function logout(p11: pkcs11js.PKCS11, slot: Handle): void {
  try {
    p11.C_CloseAllSessions(slot)
  } catch {
    // Without the token there is nothing to log out of.
  }
}
