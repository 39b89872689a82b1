import { createECDH, ECDH } from 'node:crypto'
import type { Curve } from '../../core/key-pair-spec.ts'
import { TokenRefusal } from './errors.ts'
import { deriveWith } from './key-operations.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'

/** The two points of one abscissa, compressed (SEC 1, "Elliptic-Curve-Point-to-Octet-String Conversion"). */
const SIGNS = [0x02, 0x03] as const

/**
 * The two points one of which is the public key of a private key that a token holds and does not tell: what it agrees on with the
 * base point of the curve is the abscissa of its own public key.
 *
 * @param key - May derive.
 * @returns Both, uncompressed. Which one it is, a signature tells.
 * @throws What the token answered; {@link TokenRefusal} `UNSUPPORTED` when that is no point of the curve.
 */
export function publicPointsOf(token: LaneToken, key: Handle, curve: Curve): readonly Buffer[] {
  const { opensslName, scalarBytes } = curve
  const abscissa = deriveWith(token, key, basePoint(curve), scalarBytes)
  try {
    return SIGNS.map((sign) => {
      const compressed = Buffer.concat([Buffer.of(sign), abscissa])
      return ECDH.convertKey(compressed, opensslName, undefined, undefined, 'uncompressed') as Buffer
    })
  } catch {
    const cannot = 'does not tell the public key of an EC private key that it unwrapped (CKM_ECDH1_DERIVE)'
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: 'The token agreed on what is no point of the curve.',
      cannot,
    })
  }
}

/** The public key of the private key 1. */
function basePoint({ opensslName, scalarBytes }: Curve): Buffer {
  const ecdh = createECDH(opensslName)
  ecdh.setPrivateKey(Buffer.concat([Buffer.alloc(scalarBytes - 1), Buffer.of(1)]))
  return ecdh.getPublicKey()
}
