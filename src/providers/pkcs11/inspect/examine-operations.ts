import type { Check, Tell } from '../../../core/inspection/doctor-report.ts'
import { TokenRefusal } from '../errors.ts'
import { freshIv, gcmOpen, gcmSeal } from '../gcm.ts'
import { insideSealModeFor, SEAL_MODE_NUMBERS } from '../inside-mode.ts'
import type { LaneToken } from '../lane-token.ts'
import type { ProbeKeys } from '../probe.ts'
import { sealRandom } from '../procedures/seal-random.ts'
import { sealRandomInside } from '../procedures/seal-random-inside.ts'
import type { GcmIvSource, TokenCapabilities } from '../settings.ts'
import type { ExamineRequest } from './jobs.ts'
import { timesOf } from './timing.ts'

/** How often an operation is tried for its median. */
const TRIES = 15
const DATA_KEY_BYTES = 32
const AAD = Buffer.from('p11kms/doctor/v1', 'utf8')

const IV_WORDS: Readonly<Record<GcmIvSource, string>> = {
  caller: 'p11kms chooses the IV',
  writtenBack: 'the token chooses the IV and writes it back',
  appended: 'the token chooses the IV and appends it',
}

/** What the probe found, which mode each operation would take, and how long it takes. */
export function checkOperations(
  token: LaneToken,
  keys: ProbeKeys,
  request: ExamineRequest,
  tell: Tell,
): void {
  const { capabilities } = token
  const { ivSource, wrongTagCkr } = capabilities.gcm
  const authenticates = `a wrong tag is refused with ${wrongTagCkr}`
  tell({ state: 'ok', code: 'AES_GCM', message: `AES-GCM works; ${IV_WORDS[ivSource]}; ${authenticates}` })
  tell(wrapCheck(capabilities))
  const { median: random } = timesOf(TRIES, () =>
    token.p11.C_GenerateRandom(token.session, Buffer.alloc(DATA_KEY_BYTES)),
  )
  tell({ state: 'ok', code: 'RANDOM', message: 'gives random bytes', ms: random })
  const seal = timesOf(TRIES, () => sealRandom(token, DATA_KEY_BYTES, [keys.enc, AAD]))
  tell({ state: 'ok', code: 'GENERATE_DATA_KEY', message: 'GenerateDataKey: mode W0', ms: seal.median })
  tell(withoutPlaintextCheck(token, keys, request.allowHostMemory))
  const sealed = gcmSeal(token, keys.enc, freshIv(token), Buffer.alloc(DATA_KEY_BYTES, 1), AAD)
  const { median: openMs } = timesOf(TRIES, () => gcmOpen(token, keys.enc, sealed, AAD))
  tell({ state: 'ok', code: 'DECRYPT', message: 'Decrypt', ms: openMs })
  tell(lanesCheck(seal.fastest, request.lanes))
}

function wrapCheck({ gcmWrap, keyWraps, refused }: TokenCapabilities): Check {
  const ways = [
    ...(gcmWrap ? ['AES-GCM (mode W1)'] : []),
    ...keyWraps.map(({ mechanism, format }) => `0x${mechanism.toString(16)} as ${format} (mode W2)`),
  ]
  if (ways.length > 0) return { state: 'ok', code: 'KEY_WRAP', message: `wraps keys with ${ways.join(', ')}` }
  const tried = Object.entries(refused).map(([what, answer]) => `${what}: ${answer}`)
  return {
    state: 'warn',
    code: 'KEY_WRAP',
    message: `no way to wrap a key works. ${tried.join('; ')}`,
    next: 'Allow one of CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD and CKM_AES_CBC_PAD in the policy of the token or partition.',
  }
}

function withoutPlaintextCheck(token: LaneToken, keys: ProbeKeys, allowHostMemory: boolean): Check {
  const code = 'GENERATE_DATA_KEY_WITHOUT_PLAINTEXT'
  const name = 'GenerateDataKeyWithoutPlaintext'
  try {
    const mode = insideSealModeFor(token.capabilities, DATA_KEY_BYTES, allowHostMemory)
    const parts = [keys.enc, keys.wrap, AAD, Buffer.of(SEAL_MODE_NUMBERS[mode])]
    const { median: ms } = timesOf(TRIES, () => sealRandomInside(token, DATA_KEY_BYTES, parts))
    if (mode !== 'W0') return { state: 'ok', code, message: `${name}: mode ${mode}, inside the token`, ms }
    const next = 'Take allowHostMemory out of the configuration where such keys must never leave a token.'
    return { state: 'warn', code, message: `${name}: mode W0, in host memory`, next, ms }
  } catch (error) {
    if (!(error instanceof TokenRefusal)) throw error
    const { reason, hint = '' } = error.fault
    return { state: 'warn', code, message: `${name}: refused. ${reason}`, next: hint }
  }
}

/** Lanes by how long one seal takes: a soft token is fastest with one, a network HSM waits most of its time. */
const LANES_BY_MS: readonly (readonly [belowMs: number, lanes: number])[] = [
  [1, 1],
  [3, 4],
  [Number.POSITIVE_INFINITY, 16],
]

function lanesCheck(sealMs: number, lanes: number): Check {
  const [, suggested = 1] = LANES_BY_MS.find(([belowMs]) => sealMs < belowMs) ?? []
  const message = `lanes: ${lanes} configured, ${suggested} suggested by ${sealMs} ms for one seal`
  // Several lanes cost a soft token a little; one lane costs a slow token most of its throughput.
  if (lanes * 2 >= suggested) return { state: 'ok', code: 'LANES', message }
  const next = `Set lanes: ${suggested} of the token in the configuration, as far as it gives that many sessions.`
  return { state: 'warn', code: 'LANES', message, next }
}
