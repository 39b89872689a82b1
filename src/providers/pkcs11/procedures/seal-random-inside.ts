import { makeDataKey, useSecret } from '../data-key.ts'
import { TokenRefusal } from '../errors.ts'
import { freshIv, gcmSeal, gcmWrapKey } from '../gcm.ts'
import { SEAL_MODE_NUMBERS } from '../inside-mode.ts'
import { encodeWrappedPayload, KEY_WRAP_FORMATS, wrapKey } from '../key-wrap.ts'
import type { LaneToken } from '../lane-token.ts'
import type { Sealed } from '../mechanisms.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Makes a data key and seals it without giving it to anybody: in modes W1 and W2 it stays in the token, in mode W0 it is in the
 * memory of this lane until it is zeroed.
 *
 * Number: length of the data key. Parts: handle of the `enc` object, handle of the `wrap` object, AAD, one byte of
 * {@link SEAL_MODE_NUMBERS}. Results: IV, ciphertext and tag.
 */
export const sealRandomInside: Procedure = (token, lengthBytes, parts) => {
  const seal = SEALS[part(parts, 3)[0] ?? 0] ?? sealWrapped
  const { iv, bytes } = seal(token, lengthBytes, parts)
  return [iv, bytes]
}

type Seal = (token: LaneToken, lengthBytes: number, parts: readonly Buffer[]) => Sealed

/** Mode W1. */
const sealByWrapping: Seal = (token, lengthBytes, parts) =>
  useSecret(token, makeDataKey(token, lengthBytes), (dataKey) =>
    gcmWrapKey(token, part(parts, 1), dataKey, lengthBytes, part(parts, 2)),
  )

/** Mode W2: key wrap hides the data key from this process, AES-GCM over it binds the AAD. */
const sealWrapped: Seal = (token, lengthBytes, parts) => {
  const { keyWrap } = token.capabilities
  if (!keyWrap) throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'The token has no key wrap any more.' })
  const { mechanism, format } = keyWrap
  const wrapped = useSecret(token, makeDataKey(token, lengthBytes), (dataKey) =>
    wrapKey(token, mechanism, part(parts, 1), dataKey, lengthBytes),
  )
  if (wrapped.length !== KEY_WRAP_FORMATS[format].wrappedBytes(lengthBytes)) {
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: `C_WrapKey made ${wrapped.length} bytes of ${lengthBytes}: that is not ${format}.`,
    })
  }
  const payload = encodeWrappedPayload(format, lengthBytes, wrapped)
  return gcmSeal(token, part(parts, 0), freshIv(token), payload, part(parts, 2))
}

/** Mode W0. */
const sealInHostMemory: Seal = (token, lengthBytes, parts) => {
  const dataKey = token.p11.C_GenerateRandom(token.session, Buffer.alloc(lengthBytes))
  try {
    return gcmSeal(token, part(parts, 0), freshIv(token), dataKey, part(parts, 2))
  } finally {
    dataKey.fill(0)
  }
}

const SEALS: Readonly<Record<number, Seal>> = {
  [SEAL_MODE_NUMBERS.W0]: sealInHostMemory,
  [SEAL_MODE_NUMBERS.W1]: sealByWrapping,
  [SEAL_MODE_NUMBERS.W2]: sealWrapped,
}
