import { createPublicKey } from 'node:crypto'
import { KmsError } from './errors.ts'
import type { KeySpec } from './key.ts'
import type { Curve } from './key-pair-spec.ts'
import { pairOfSpec } from './key-spec.ts'
import { EC_OID } from './pkcs8.ts'
import { ecSpki, parseSpki } from './spki.ts'

/**
 * The point of a public key that somebody else brings to a key agreement. OpenSSL refuses one that is not on the curve that it
 * names, and the point at infinity; the curves of ours have a cofactor of 1, so that every other point is good (SP 800-56A,
 * "FFC and ECC Full Public-Key Validation").
 *
 * @param spki - SubjectPublicKeyInfo in DER. Untrusted.
 * @returns Uncompressed.
 * @throws {@link KmsError} `REQUEST_INVALID`, without a word of why, as AWS KMS answers.
 */
export function peerPoint(spec: KeySpec, spki: Buffer): Buffer {
  const pair = pairOfSpec(spec)
  const point = pair?.kind === 'ec' ? pointOn(pair.curve, spki) : undefined
  if (point) return point
  throw new KmsError('REQUEST_INVALID', '', { field: 'PublicKey' })
}

/**
 * A structure that names the curve (RFC 5480, "Subject Public Key Algorithms", namedCurve) and nothing behind it: OpenSSL would
 * take one that spells its curve out, and others that some bytes follow, and would try every kind of key there is.
 */
function pointOn(curve: Curve, spki: Buffer): Buffer | undefined {
  const point = parseSpki(spki, Buffer.concat([EC_OID, curve.oid]))
  if (!point) return undefined
  try {
    // OpenSSL reads the point at infinity and throws when it is to write it.
    const key = createPublicKey({ key: ecSpki(curve, point), format: 'der', type: 'spki' })
    const { x = '', y = '' } = key.export({ format: 'jwk' })
    const uncompressed = Buffer.concat([
      Buffer.of(4),
      Buffer.from(x, 'base64url'),
      Buffer.from(y, 'base64url'),
    ])
    return uncompressed.length === 1 + 2 * curve.scalarBytes ? uncompressed : undefined
  } catch {
    return undefined
  }
}
