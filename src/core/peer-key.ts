import { createPublicKey } from 'node:crypto'
import { KmsError } from './errors.ts'
import type { KeySpec } from './key.ts'
import type { Curve } from './key-pair-spec.ts'
import { pairOfSpec } from './key-spec.ts'

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

/** OpenSSL reads the point at infinity and throws when it is to write it. */
function pointOn({ opensslName, scalarBytes }: Curve, spki: Buffer): Buffer | undefined {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== opensslName)
      return undefined
    const { x = '', y = '' } = key.export({ format: 'jwk' })
    const point = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])
    return point.length === 1 + 2 * scalarBytes ? point : undefined
  } catch {
    return undefined
  }
}
