import type { DataPairAlgorithm } from '../../core/key-pair-spec.ts'
import { checkCanary } from './canary.ts'
import { describeFault, isAmbiguous, TokenRefusal, toFault } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import { type PairGeneration, pairGeneration } from './pair-templates.ts'
import { isUnsupported } from './private-key-wrap.ts'

/** Handles of a key pair that lives as long as a call. */
export interface PairHandles {
  readonly publicKey: Handle
  readonly privateKey: Handle
}

/** What a pair is made for. */
export interface PairOptions {
  /** Names the spec to operators. */
  readonly spec: string
  readonly algorithm: DataPairAlgorithm
  /** Whether the private key can leave the token wrapped alone. */
  readonly sensitive: boolean
  /** Object of role `enc`: tells a spec that the token cannot make from a device that is broken. */
  readonly enc: Handle
}

/**
 * Makes a key pair in the token, lends it to `work`, and destroys it.
 *
 * @throws {@link TokenRefusal} `UNSUPPORTED`, naming the mechanism, when the token cannot make such a pair.
 */
export function withPair<T>(token: LaneToken, options: PairOptions, work: (pair: PairHandles) => T): T {
  const pair = generate(token, options)
  token.countSessionObjects(2)
  try {
    return work(pair)
  } finally {
    for (const handle of [pair.privateKey, pair.publicKey]) destroy(token, handle)
  }
}

function generate(token: LaneToken, { spec, algorithm, sensitive, enc }: PairOptions): PairHandles {
  const generation = pairGeneration(algorithm, sensitive)
  try {
    return generateOnce(token, generation)
  } catch (error) {
    if (!isAmbiguous(toFault(error))) throw isUnsupported(error) ? cannotMake(spec, generation, error) : error
  }
  // SoftHSM says CKR_GENERAL_ERROR of a curve that it does not know: a device that stumbled gets a second chance.
  try {
    return generateOnce(token, generation)
  } catch (error) {
    token.discardSession()
    checkCanary(token, enc)
    throw cannotMake(spec, generation, error)
  }
}

function generateOnce(token: LaneToken, generation: PairGeneration): PairHandles {
  const { mechanism, publicTemplate, privateTemplate } = generation
  return token.p11.C_GenerateKeyPair(token.session, { mechanism }, publicTemplate, privateTemplate)
}

function cannotMake(spec: string, { mechanismName }: PairGeneration, error: unknown): TokenRefusal {
  return new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token makes no key pair of spec ${spec}: with ${mechanismName}, ${describeFault(toFault(error))}.`,
    hint: 'Ask for another KeyPairSpec, or compare the firmware of the token and the policy of the partition.',
  })
}

/** Session objects end with their session at the latest, so that a failure here hides no other. */
function destroy(token: LaneToken, handle: Handle): void {
  try {
    token.p11.C_DestroyObject(token.session, handle)
  } catch {
    token.discardSession()
  }
}
