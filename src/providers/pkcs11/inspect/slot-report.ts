import { SlotFlag, TokenFlag } from 'graphene-pk11'
import type pkcs11js from 'pkcs11js'
import type {
  ProblemReport,
  SessionCount,
  SlotReport,
  TokenReport,
} from '../../../core/inspection/token-report.ts'
import { describeFault, hintFields, toFault } from '../errors.ts'
import { describeToken, type Handle, SLOTS_MAX, slotNumber, trim } from '../module.ts'
import { encodeTokenUri } from '../token-selector.ts'
import { type Library, versionText } from './library.ts'

/** CK_TOKEN_INFO flags in words, those first that decide whether the token can be used. */
const FLAG_WORDS: readonly (readonly [flag: number, word: string])[] = [
  [TokenFlag.TOKEN_INITIALIZED, 'initialized'],
  [TokenFlag.LOGIN_REQUIRED, 'login-required'],
  [TokenFlag.USER_PIN_INITIALIZED, 'user-pin-initialized'],
  [TokenFlag.USER_PIN_COUNT_LOW, 'user-pin-count-low'],
  [TokenFlag.USER_PIN_FINAL_TRY, 'user-pin-final-try'],
  [TokenFlag.USER_PIN_LOCKED, 'user-pin-locked'],
  [TokenFlag.USER_PIN_TO_BE_CHANGED, 'user-pin-to-be-changed'],
  [TokenFlag.SO_PIN_COUNT_LOW, 'so-pin-count-low'],
  [TokenFlag.SO_PIN_FINAL_TRY, 'so-pin-final-try'],
  [TokenFlag.SO_PIN_LOCKED, 'so-pin-locked'],
  [TokenFlag.SO_PIN_TO_BE_CHANGED, 'so-pin-to-be-changed'],
  [TokenFlag.WRITE_PROTECTED, 'write-protected'],
  [TokenFlag.RNG, 'rng'],
  [TokenFlag.PROTECTED_AUTHENTICATION_PATH, 'protected-authentication-path'],
  [TokenFlag.CLOCK_ON_TOKEN, 'clock'],
  [TokenFlag.DUAL_CRYPTO_OPERATIONS, 'dual-operations'],
  [TokenFlag.ERROR_STATE, 'error-state'],
]

/** CK_EFFECTIVELY_INFINITE, and CK_UNAVAILABLE_INFORMATION as pkcs11js cuts it to 32 bits. */
const UNLIMITED = 0
const UNAVAILABLE = 0xffff_ffff

/** Every slot of a library, those without a token included. */
export function reportSlots(library: Library): SlotReport[] {
  const slots = library.p11
    .C_GetSlotList(false)
    .slice(0, SLOTS_MAX)
    .map((slot) => reportSlot(library, slot))
  return slots.map((slot) => withOwnUri(slot, slots))
}

export function reportSlot({ p11 }: Library, slot: Handle): SlotReport {
  const info = p11.C_GetSlotInfo(slot)
  const report = {
    slotId: slotNumber(slot),
    description: trim(info.slotDescription),
    hardware: (info.flags & SlotFlag.HW_SLOT) !== 0,
  }
  if ((info.flags & SlotFlag.TOKEN_PRESENT) === 0) return report
  try {
    return { ...report, token: reportToken(p11.C_GetTokenInfo(slot)) }
  } catch (error) {
    return { ...report, problem: problemOf(error) }
  }
}

function problemOf(error: unknown): ProblemReport {
  const fault = toFault(error)
  const { hint } = hintFields(fault)
  return { reason: describeFault(fault), ...(hint && { next: hint }) }
}

function reportToken(info: pkcs11js.TokenInfo): TokenReport {
  const description = describeToken(info)
  const clock = clockOf(info)
  return {
    ...description,
    hardware: versionText(info.hardwareVersion),
    flags: FLAG_WORDS.filter(([flag]) => (info.flags & flag) !== 0).map(([, word]) => word),
    sessions: {
      open: openCount(info.sessionCount),
      max: maxCount(info.maxSessionCount),
      readWriteOpen: openCount(info.rwSessionCount),
      readWriteMax: maxCount(info.maxRwSessionCount),
    },
    pinBytes: { min: info.minPinLen, max: info.maxPinLen },
    ...(clock && { clock }),
    ...((info.flags & TokenFlag.TOKEN_INITIALIZED) !== 0 && { uri: encodeTokenUri(description) }),
  }
}

function openCount(count: number): SessionCount {
  return count >>> 0 === UNAVAILABLE ? 'unknown' : count
}

function maxCount(count: number): SessionCount {
  return count === UNLIMITED ? 'unlimited' : openCount(count)
}

/** utcTime is YYYYMMDDhhmmssxx. @see PKCS#11 v3.1, "CK_TOKEN_INFO" */
export function clockOf({ flags, utcTime }: pkcs11js.TokenInfo): string | undefined {
  if ((flags & TokenFlag.CLOCK_ON_TOKEN) === 0) return undefined
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/.exec(utcTime) ?? []
  const text = `${year}-${month}-${day}T${hour}:${minute}:${second}Z`
  return Number.isNaN(Date.parse(text)) ? undefined : text
}

/** Tokens that nothing but their slots tells apart (several without a label) are named by slot too. */
function withOwnUri(slot: SlotReport, slots: readonly SlotReport[]): SlotReport {
  const { token, slotId } = slot
  if (!token?.uri || slots.filter((other) => other.token?.uri === token.uri).length === 1) return slot
  return { ...slot, token: { ...token, uri: `${token.uri};slot-id=${slotId}` } }
}
