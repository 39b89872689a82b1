import { checkCanary, checkWrapCanary } from '../canary.ts'
import { TokenRefusal } from '../errors.ts'
import { gcmOpen } from '../gcm.ts'
import type { LaneToken } from '../lane-token.ts'
import type { Handle } from '../module.ts'
import { openProven } from '../prove-open.ts'
import { CKA, READABLE_SECRET } from '../templates.ts'
import { type Procedure, part } from './procedure.ts'

const LENGTH_BYTES = 2

/**
 * Opens a sealed payload.
 *
 * Number: 0 for mode W0 and W1, where the plaintext is what was sealed; 2 for W2. Parts: handle of the `enc` object,
 * handle of the `wrap` object, AAD, IV, ciphertext and tag, CKM number of the wrap mechanism (u32be,
 * empty where the token has none). Result: the plaintext.
 *
 * Only a payload that authenticates is told apart by what the token can do: the mode is a byte of the caller's.
 */
export const open: Procedure = (token, mode, parts) => {
  const outer = openOuter(token, parts)
  if (mode !== 2) return [outer]
  try {
    return [unwrapInside(token, outer, parts)]
  } finally {
    outer.fill(0)
  }
}

function openOuter(token: LaneToken, parts: readonly Buffer[]): Buffer {
  const sealed = { iv: part(parts, 3), bytes: part(parts, 4) }
  const key = part(parts, 0)
  return openProven(
    token,
    () => gcmOpen(token, key, sealed, part(parts, 2)),
    () => checkCanary(token, key),
  )
}

/** The data key inside u16be(length) and the wrapped bytes; SoftHSM pads it with zeros to a multiple of 8 bytes. */
function unwrapInside(token: LaneToken, outer: Buffer, parts: readonly Buffer[]): Buffer {
  if (outer.length <= LENGTH_BYTES) throw invalid('The payload is shorter than its length field.')
  const lengthBytes = outer.readUInt16BE()
  if (part(parts, 5).length === 0) {
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: 'The token has no key wrap to open a data key with.',
    })
  }
  const mechanism = { mechanism: part(parts, 5).readUInt32BE() }
  const secret = unwrap(token, mechanism, part(parts, 1), outer.subarray(LENGTH_BYTES))
  const { p11, session } = token
  let value: Buffer | undefined
  try {
    const [attribute] = p11.C_GetAttributeValue(session, secret, [{ type: CKA.VALUE }])
    value = attribute?.value as Buffer
    const padded = value.length >= lengthBytes && value.length < lengthBytes + 8
    if (!padded || value.subarray(lengthBytes).some((byte) => byte !== 0)) {
      throw invalid('The unwrapped key does not have the length that was sealed with it.')
    }
    return Buffer.from(value.subarray(0, lengthBytes))
  } finally {
    value?.fill(0)
    p11.C_DestroyObject(session, secret)
  }
}

function unwrap(token: LaneToken, mechanism: { mechanism: number }, key: Handle, wrapped: Buffer): Handle {
  return openProven(
    token,
    () => token.p11.C_UnwrapKey(token.session, mechanism, key, wrapped, [...READABLE_SECRET]),
    () => checkWrapCanary(token, mechanism, key),
  )
}

function invalid(reason: string): TokenRefusal {
  return new TokenRefusal({ code: 'CIPHERTEXT_INVALID', reason })
}
