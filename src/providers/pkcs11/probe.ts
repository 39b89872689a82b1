import { checkWrapCanary, proveSealing } from './canary.ts'
import { makeDataKey, useSecret } from './data-key.ts'
import { describeFault, type TokenFault, TokenRefusal } from './errors.ts'
import { KEY_WRAP_FORMATS } from './key-wrap.ts'
import type { LaneToken } from './lane-token.ts'
import { CKM_AES_CBC_PAD, CKM_AES_KEY_GEN, CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { MASTER_KEY_ROLES, type MasterKeyRole } from './object-names.ts'
import { probeGcm } from './probe-gcm.ts'
import { attempt, type Trial } from './probe-trial.ts'
import { probeGcmWrap, probeKeyWrap, probeLengths } from './probe-wrap.ts'
import { departures } from './read-back.ts'
import type { KeyWrap, TokenCapabilities } from './settings.ts'
import { sessionKeyTemplate } from './templates.ts'
import type { TokenQuirks } from './vendor-quirks.ts'

/**
 * What a token can really do, found by trying on session keys: lists of mechanisms lie in both directions. No key
 * pairs are made here, so it takes milliseconds. What is learned is put on the lane as it goes, since later trials
 * build on it.
 */

/** Key wraps by name in the report; CBC proves nothing about what it unwraps, which the outer GCM has to do alone. */
const KEY_WRAPS: Readonly<Record<string, number>> = {
  CKM_AES_KEY_WRAP_KWP,
  CKM_AES_KEY_WRAP_PAD,
  CKM_AES_CBC_PAD,
}

const UNABLE: Omit<TokenCapabilities, 'gcm'> = {
  gcmWrap: false,
  gcmReadOut: 'explicit',
  keyWraps: [],
  insideBytes: { min: 0, max: 0 },
  dataKeysSensitive: true,
  allowedMechanisms: false,
  waived: [],
  refused: {},
}

/** Session keys that the probe works with, made in a session that outlives it. */
export interface ProbeKeys {
  readonly enc: Handle
  readonly wrap: Handle
}

/** An AES key that lives as long as `session` and has one role. */
export function makeSessionKey(
  token: LaneToken,
  session: Handle,
  role: MasterKeyRole,
  bound = false,
): Handle {
  return token.p11.C_GenerateKey(session, { mechanism: CKM_AES_KEY_GEN }, sessionKeyTemplate(role, bound))
}

/**
 * Leaves the lane with the token's capabilities.
 *
 * @throws {@link TokenRefusal} when the token has no AES-GCM that authenticates; what the token answered when it broke.
 */
export function probeCapabilities(token: LaneToken, keys: ProbeKeys, quirks: TokenQuirks): void {
  token.learn({ ...UNABLE, gcm: probeGcm(token, keys.enc) })
  learn(token, { waived: departures(token, keys.enc, quirks.waives) })
  if (learnDataKeys(token)) learnWraps(token, keys.wrap)
  learn(token, { allowedMechanisms: honoursAllowedMechanisms(token) })
  // Some tokens answer the same to what they cannot do and when they are broken: one that still seals is not.
  proveSealing(token, keys.enc)
}

function learn(token: LaneToken, facts: Partial<TokenCapabilities>): void {
  token.learn({ ...token.capabilities, ...facts })
}

function refuse(token: LaneToken, what: string, fault: TokenFault): void {
  learn(token, { refused: { ...token.capabilities.refused, [what]: describeFault(fault) } })
}

/** The value of a trial that worked; a refusal goes into the report. */
function valueOf<T>(token: LaneToken, what: string, trial: Trial<T>): T | undefined {
  if (trial.ok) return trial.value
  refuse(token, what, trial.fault)
  return undefined
}

/** @returns Whether keys can be made that may be wrapped. */
function learnDataKeys(token: LaneToken): boolean {
  return [true, false].some((dataKeysSensitive) => {
    learn(token, { dataKeysSensitive })
    const trial = attempt(token, () => useSecret(token, makeDataKey(token, 32), () => true))
    return valueOf(token, `data keys with CKA_SENSITIVE ${dataKeysSensitive}`, trial) ?? false
  })
}

function learnWraps(token: LaneToken, wrap: Handle): void {
  const gcmWrap = valueOf(
    token,
    'C_WrapKey with CKM_AES_GCM',
    attempt(token, () => probeGcmWrap(token, wrap)),
  )
  const { gcm } = token.capabilities
  if (gcmWrap) {
    const refusalCkrs = [...new Set([...gcm.refusalCkrs, ...gcmWrap.refusalCkrs])]
    learn(token, { gcmWrap: true, gcmReadOut: gcmWrap.readOut, gcm: { ...gcm, refusalCkrs } })
  }
  const keyWraps = keyWrapsOf(token, wrap)
  const [keyWrap] = keyWraps
  learn(token, { keyWraps, ...(keyWrap && { keyWrap }) })
  const road = gcmWrap ? 'gcm' : keyWrap
  if (!road) return
  const insideBytes = probeLengths(token, wrap, road, token.capabilities.gcmReadOut)
  learn(token, { insideSealMode: gcmWrap ? 'W1' : 'W2', insideBytes })
}

/** One mechanism per format that works, preferred formats first. */
function keyWrapsOf(token: LaneToken, wrap: Handle): readonly KeyWrap[] {
  const found = Object.entries(KEY_WRAPS).flatMap(([name, mechanism]) => {
    const trial = attempt(token, () => probeKeyWrap(token, wrap, mechanism))
    return valueOf(token, `C_WrapKey with ${name}`, trial) ?? []
  })
  return (Object.keys(KEY_WRAP_FORMATS) as KeyWrap['format'][]).flatMap(
    (format) => found.find((keyWrap) => keyWrap.format === format) ?? [],
  )
}

/** Whether keys of both roles can be bound to their mechanisms, still work, and refuse another. */
function honoursAllowedMechanisms(token: LaneToken): boolean {
  const trial = attempt(token, () => {
    const [enc, wrap] = MASTER_KEY_ROLES.map((role) => makeSessionKey(token, token.session, role, true)) as [
      Handle,
      Handle,
    ]
    return useSecret(token, wrap, () => {
      const { gcmWrap, keyWrap } = token.capabilities
      const mechanism = gcmWrap ? 'gcm' : keyWrap
      if (mechanism) checkWrapCanary(token, mechanism, wrap)
      return useSecret(token, enc, () => refusesOthers(token, enc))
    })
  })
  return valueOf(token, 'CKA_ALLOWED_MECHANISMS', trial) ?? false
}

const CBC_IV = Buffer.alloc(16)

function refusesOthers(token: LaneToken, enc: Handle): boolean {
  proveSealing(token, enc)
  const { p11, session } = token
  try {
    p11.C_EncryptInit(session, { mechanism: CKM_AES_CBC_PAD, parameter: CBC_IV }, enc)
  } catch {
    return true
  }
  token.beginOperation()
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: 'A key works with other mechanisms than it was bound to.',
  })
}
