import { TokenFlag } from 'graphene-pk11'
import type pkcs11js from 'pkcs11js'
import type { Tell } from '../../../core/inspection/doctor-report.ts'
import { clockOf } from './slot-report.ts'

/** How far the clocks of token and host may be apart. Milliseconds. */
const CLOCK_SKEW_MAX_MS = 60_000

/** A flag that tells of trouble. */
interface StateRule {
  readonly flag: number
  readonly state: 'warn' | 'fail'
  readonly message: string
  readonly next: string
  /** The trouble is that the flag is not set. */
  readonly absent?: boolean
}

const SET_NEW_PIN = 'The security officer of the token sets a new user PIN.'

const RULES: readonly StateRule[] = [
  {
    flag: TokenFlag.TOKEN_INITIALIZED,
    absent: true,
    state: 'fail',
    message: 'the token is not initialized',
    next: 'Initialize it with the tools of the HSM; for SoftHSM: softhsm2-util --init-token.',
  },
  {
    flag: TokenFlag.USER_PIN_INITIALIZED,
    absent: true,
    state: 'fail',
    message: 'the token has no user PIN yet',
    next: SET_NEW_PIN,
  },
  {
    flag: TokenFlag.USER_PIN_LOCKED,
    state: 'fail',
    message: 'the user PIN is locked; no login was tried',
    next: SET_NEW_PIN,
  },
  {
    flag: TokenFlag.USER_PIN_FINAL_TRY,
    state: 'fail',
    message: 'one try of the user PIN is left; it was not spent',
    next: 'Log in once by hand with the right PIN, which resets the counter.',
  },
  {
    flag: TokenFlag.ERROR_STATE,
    state: 'fail',
    message: 'the token says that it is in an error state',
    next: 'Look at the HSM itself: a failed self-test or tampering; its vendor tells how to leave that state.',
  },
  {
    flag: TokenFlag.USER_PIN_TO_BE_CHANGED,
    state: 'warn',
    message: 'the user PIN is a first one that has to be changed',
    next: 'Change it with the tools of the HSM, then correct the PIN source.',
  },
  {
    flag: TokenFlag.USER_PIN_COUNT_LOW,
    state: 'warn',
    message: 'a wrong user PIN was tried before',
    next: 'Find out who tried it; the right PIN resets the counter on most tokens.',
  },
  {
    flag: TokenFlag.WRITE_PROTECTED,
    state: 'warn',
    message: 'the token is write-protected: keys can be used, but not made or destroyed',
    next: 'Take the write protection off with the tools of the HSM.',
  },
]

/**
 * What the token says of itself (CK_TOKEN_INFO).
 *
 * @returns Whether a login is worth, and safe, to try.
 */
export function checkTokenState(info: pkcs11js.TokenInfo, tell: Tell): boolean {
  const told = RULES.filter(({ flag, absent = false }) => ((info.flags & flag) === 0) === absent)
  for (const { state, message, next } of told) tell({ state, code: 'TOKEN_STATE', message, next })
  if (told.length === 0)
    tell({ state: 'ok', code: 'TOKEN_STATE', message: 'initialized, user PIN set and not locked' })
  checkClock(info, tell)
  return told.every(({ state }) => state !== 'fail')
}

function checkClock(info: pkcs11js.TokenInfo, tell: Tell): void {
  const clock = clockOf(info)
  if (clock === undefined) return
  const skewMs = Math.abs(Date.parse(clock) - Date.now())
  if (skewMs <= CLOCK_SKEW_MAX_MS) return
  const message = `the clock of the token is ${Math.round(skewMs / 1000)} s away from that of this host`
  tell({
    state: 'warn',
    code: 'CLOCK',
    message,
    next: 'Set both by NTP: signatures of requests are refused past five minutes.',
  })
}
