import type { SealedKeyPair, SealMode } from '../../core/ports/crypto-provider.ts'
import { jsonPart, parseJsonPart } from './lanes/messages.ts'
import type { MaterialHandles } from './material-handles.ts'
import type { PairJob, PairSealing } from './procedures/seal-key-pair.ts'
import { bufferOf, type Parts, requireAad, sealedOf } from './provider-parts.ts'

const SEAL_MODES = ['W0', 'W1', 'W2'] as const satisfies readonly SealMode[]

/** The arguments of the procedure `sealKeyPair`. */
export function pairParts(
  job: PairJob,
  aadFor: (mode: SealMode) => Buffer,
): (handles: MaterialHandles) => Parts {
  const aads = SEAL_MODES.map(aadFor)
  for (const aad of aads) requireAad(aad)
  return (handleOf) => [jsonPart(job), handleOf('enc'), handleOf('wrap'), ...aads]
}

/** What the procedure `sealKeyPair` answered. */
export function pairOf([sealing, iv, bytes, publicKey, privateKey]: Parts): SealedKeyPair {
  return {
    ...(parseJsonPart(sealing) as PairSealing),
    ...sealedOf([bufferOf(iv), bufferOf(bytes)]),
    publicKey: bufferOf(publicKey),
    ...(privateKey && { privateKey: bufferOf(privateKey) }),
  }
}
