import type { CheckCode, Tell } from '../../../core/inspection/doctor-report.ts'
import { describeFault, hintFields, TokenRefusal, toFault } from '../errors.ts'
import { LaneToken } from '../lane-token.ts'
import { describeToken, findSlot, type Handle, login, openSession } from '../module.ts'
import { makeSessionKey, type ProbeKeys, probeCapabilities } from '../probe.ts'
import { departures } from '../read-back.ts'
import { quirksOf } from '../vendor-quirks.ts'
import { checkMasterKey } from './examine-master-key.ts'
import { checkOperations } from './examine-operations.ts'
import { checkPairs } from './examine-pairs.ts'
import { checkTokenState } from './examine-state.ts'
import type { Examination, ExamineRequest } from './jobs.ts'
import type { Library } from './library.ts'
import { reportSlots } from './slot-report.ts'
import { since } from './timing.ts'

/** Attributes of a session key that must read back as those of a master key. */
const READ_BACK = [
  'SENSITIVE',
  'EXTRACTABLE',
  'PRIVATE',
  'ALWAYS_SENSITIVE',
  'NEVER_EXTRACTABLE',
  'LOCAL',
  'KEY_TYPE',
  'VALUE_LEN',
] as const

/**
 * Tries what a token can do, with one login and session objects alone, and tells each outcome at once. With `full` key
 * pairs are made too, and a master key is made in the token, tried and destroyed.
 *
 * @param pin - Empty to look without a login.
 */
export function examineToken(
  library: Library,
  request: ExamineRequest,
  tell: Tell,
  pin: Buffer,
): Examination {
  const { p11 } = library
  const found = attempted(tell, 'TOKEN_FOUND', () => findOrList(library, request))
  if (!found) return {}
  const { slot, info } = found
  const { label, serial, manufacturer, model, firmware } = describeToken(info)
  const name = `"${label}", serial ${serial}: ${manufacturer}, ${model}, firmware ${firmware}`
  tell({ state: 'ok', code: 'TOKEN_FOUND', message: `the token is there: ${name}` })
  if (!checkTokenState(info, tell) || pin.length === 0) return {}
  const anchor = attempted(tell, 'LOGIN', () => {
    const session = openSession(p11, slot, false)
    const startedAt = performance.now()
    login(p11, session, info, pin, request.userType)
    tell({ state: 'ok', code: 'LOGIN', message: 'the PIN is right', ms: since(startedAt) })
    return session
  })
  if (!anchor) return {}
  const token = new LaneToken(() => p11)
  const attachment = { module: request.path, slotHex: slot.toString('hex'), write: false }
  token.attach({ ...attachment, ...parametersOf(request) })
  const keys = attempted(tell, 'KEY_GENERATION', () => makeKeys(token, anchor, tell))
  if (!keys) return {}
  const able = attempted(tell, 'AES_GCM', () => {
    probeCapabilities(token, keys, quirksOf(describeToken(info)))
    return token.capabilities
  })
  if (!able) return {}
  checkAttributes(token, keys.enc, tell)
  checkOperations(token, keys, request, tell)
  if (request.full) {
    checkPairs(token, keys, request.allowHostMemory, tell)
    token.attach({ ...attachment, ...parametersOf(request), write: true, capabilities: able })
    attempted(tell, 'MASTER_KEY', () => checkMasterKey(token, tell))
  }
  return { capabilities: able }
}

function parametersOf({ libraryParameters }: ExamineRequest) {
  return libraryParameters === undefined ? {} : { libraryParameters }
}

/** @returns What `work` gives; `undefined` when it failed, which has been told then. */
function attempted<T>(tell: Tell, code: CheckCode, work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    const fault = toFault(error)
    const { hint = 'Look the return value up in the manual of the token.' } = hintFields(fault)
    tell({ state: 'fail', code, message: describeFault(fault), next: hint })
    return undefined
  }
}

/** A token that is not found is asked for by a wrong name more often than it is absent: those present are told. */
function findOrList(library: Library, { criteria }: ExamineRequest): ReturnType<typeof findSlot> {
  try {
    return findSlot(library.p11, criteria)
  } catch (error) {
    if (!(error instanceof TokenRefusal)) throw error
    const present = reportSlots(library).flatMap(({ token }) =>
      token?.uri ? [`"${token.label}" (serial ${token.serial})`] : [],
    )
    const list = present.length === 0 ? 'no initialized token' : present.join(', ')
    const { reason, hint = '' } = error.fault
    throw new TokenRefusal({ ...error.fault, reason, hint: `${hint} The library shows ${list}.` })
  }
}

function makeKeys(token: LaneToken, anchor: Handle, tell: Tell): ProbeKeys {
  const startedAt = performance.now()
  const enc = makeSessionKey(token, anchor, 'enc')
  tell({ state: 'ok', code: 'KEY_GENERATION', message: 'makes AES-256 keys', ms: since(startedAt) })
  return { enc, wrap: makeSessionKey(token, anchor, 'wrap') }
}

function checkAttributes(token: LaneToken, key: Handle, tell: Tell): void {
  const { waived } = token.capabilities
  const wrong = attempted(tell, 'ATTRIBUTES', () => departures(token, key, READ_BACK))
  if (!wrong) return
  const bad = wrong.filter((name) => !waived.includes(name))
  if (bad.length === 0) {
    const but = waived.length === 0 ? '' : `, but for what this model is known for: ${waived.join(', ')}`
    return tell({ state: 'ok', code: 'ATTRIBUTES', message: `keys read back as they were asked for${but}` })
  }
  const message = `keys do not read back as they were asked for: ${bad.map((name) => `CKA_${name}`).join(', ')}`
  const next = 'Master keys are refused on such a token: check the policy of the token or the partition.'
  tell({ state: 'fail', code: 'ATTRIBUTES', message, next })
}
