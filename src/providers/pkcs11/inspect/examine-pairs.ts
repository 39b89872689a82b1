import type { Check, Tell } from '../../../core/inspection/doctor-report.ts'
import { KEY_PAIR_SPECS, type KeyPairSpec } from '../../../core/key-pair-spec.ts'
import { describeFault, hintFields, toFault } from '../errors.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import type { ProbeKeys } from '../probe.ts'
import { part } from '../procedures/procedure.ts'
import { type PairJob, type PairSealing, sealKeyPair } from '../procedures/seal-key-pair.ts'
import { since } from './timing.ts'

const AAD = Buffer.from('p11kms/doctor/v1', 'utf8')

/** Makes and seals one key pair of each spec, as session objects; RSA takes seconds. */
export function checkPairs(token: LaneToken, keys: ProbeKeys, allowHostMemory: boolean, tell: Tell): void {
  for (const spec of Object.keys(KEY_PAIR_SPECS) as KeyPairSpec[]) {
    tell(pairCheck(token, keys, { spec, readable: false, allowHostMemory }))
  }
}

function pairCheck(token: LaneToken, { enc, wrap }: ProbeKeys, job: PairJob): Check {
  const code = 'GENERATE_DATA_KEY_PAIR'
  const name = `GenerateDataKeyPairWithoutPlaintext ${job.spec}`
  const startedAt = performance.now()
  try {
    const results = sealKeyPair(token, 0, [jsonPart(job), enc, wrap, AAD, AAD, AAD])
    const ms = since(startedAt)
    const { mode, hostMemory } = parseJsonPart(part(results, 0)) as PairSealing
    if (!hostMemory) return { state: 'ok', code, message: `${name}: mode ${mode}, inside the token`, ms }
    const next = 'Take allowHostMemory out of the configuration where such keys must never leave a token.'
    return { state: 'warn', code, message: `${name}: mode ${mode}, in host memory`, next, ms }
  } catch (error) {
    token.discardSession()
    const fault = toFault(error)
    const { hint = 'Use the specs that work, or another token.' } = hintFields(fault)
    return { state: 'warn', code, message: `${name}: refused. ${describeFault(fault)}`, next: hint }
  }
}
