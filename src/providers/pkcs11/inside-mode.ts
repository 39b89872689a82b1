import type { SealMode } from '../../core/ports/crypto-provider.ts'
import { TokenRefusal } from './errors.ts'
import type { TokenCapabilities } from './settings.ts'

/** Seal modes as a number of a procedure's request. */
export const SEAL_MODE_NUMBERS = { W0: 0, W1: 1, W2: 2 } as const satisfies Record<SealMode, number>

/**
 * How a data key without plaintext is sealed: in the token where it can (W1 before W2, which costs one call more), otherwise in
 * the memory of the lane (W0) if the operator allows it.
 *
 * @throws {@link TokenRefusal} `UNSUPPORTED` naming the switch.
 */
export function insideSealModeFor(
  { insideSealMode, insideBytes, refused }: TokenCapabilities,
  lengthBytes: number,
  allowHostMemory: boolean,
): SealMode {
  const { min, max } = insideBytes
  if (insideSealMode && lengthBytes >= min && lengthBytes <= max) return insideSealMode
  if (allowHostMemory) return 'W0'
  const tried = Object.entries(refused).map(([what, answer]) => `${what}: ${answer}`)
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: insideSealMode
      ? `Inside the token data keys have ${min} to ${max} bytes.`
      : `The token cannot wrap a data key that stays inside it (${tried.join('; ')}).`,
    hint: 'Use a token that can, or let such keys pass through host memory with allowHostMemory: true of the token in the configuration.',
  })
}

/** Longest data key that anybody asks for. */
const DATA_KEY_BYTES_MAX = 1024

/** Which data keys without plaintext pass through host memory where that is allowed, for the log; none on most tokens. */
export function keysInHostMemory({ insideSealMode, insideBytes }: TokenCapabilities): string | undefined {
  const { min, max } = insideBytes
  if (!insideSealMode) return 'data keys without plaintext'
  return min > 1 || max < DATA_KEY_BYTES_MAX ? `data keys of other than ${min} to ${max} bytes` : undefined
}
