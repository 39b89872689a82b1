import { createECDH, createPrivateKey, createPublicKey } from 'node:crypto'
import { type Curve, ED25519_OID, type PairAlgorithm } from '../../core/key-pair-spec.ts'
import { ed25519Pkcs8, type RsaNumbers, readPkcs8 } from '../../core/pkcs8.ts'
import { ecSpki, ed25519Spki, rsaSpki } from '../../core/spki.ts'
import { DER_TAG, encodeDer } from '../../lib/der.ts'
import type { HostMaterial } from './material-kind.ts'
import { ED25519_BYTES, RSA_NUMBERS } from './pair-attributes.ts'
import { type Attribute, CKA } from './templates.ts'
import { unreadable } from './unwrap-material.ts'

const PUBLIC_EXPONENT = Buffer.from('010001', 'hex')

/**
 * A private key in host memory. Its public key is told from it, never from what is written beside it.
 *
 * @param pkcs8 - Untrusted.
 * @throws {@link TokenRefusal} `CIPHERTEXT_INVALID` when it is no private key of the algorithm.
 */
export function privateKeyValues(algorithm: PairAlgorithm, pkcs8: Buffer): HostMaterial {
  const parts = readPkcs8(pkcs8)
  if (parts?.kind === 'rsa' && algorithm.kind === 'rsa')
    return rsaValues(parts.numbers, algorithm.modulusBits)
  if (parts?.kind === 'ec' && algorithm.kind === 'ec' && parts.curve === algorithm.curve)
    return ecValues(parts.curve, parts.scalar)
  if (parts?.kind === 'ed25519' && algorithm.kind === 'ed25519') return ed25519Values(parts.seed)
  throw unreadable('The material is no private key of that kind in PKCS#8.')
}

function rsaValues(numbers: RsaNumbers, modulusBits: number): HostMaterial {
  const values = numbers.map(withoutZeros)
  const [modulus, exponent] = values
  if (!modulus || bitsOf(modulus) !== modulusBits)
    throw unreadable(`The modulus does not have ${modulusBits} bits.`)
  if (!exponent?.equals(PUBLIC_EXPONENT)) throw unreadable('The public exponent is not 65537.')
  return {
    spki: rsaSpki(modulus, exponent),
    values: RSA_NUMBERS.map((name, index) => ({ type: CKA[name], value: values[index] ?? Buffer.alloc(0) })),
  }
}

function ecValues(curve: Curve, scalar: Buffer): HostMaterial {
  const value = withoutZeros(scalar)
  const ecdh = createECDH(curve.opensslName)
  try {
    ecdh.setPrivateKey(value)
  } catch {
    throw unreadable('The private key is no scalar of the curve.')
  }
  return {
    spki: ecSpki(curve, ecdh.getPublicKey()),
    values: [
      { type: CKA.EC_PARAMS, value: curve.oid },
      { type: CKA.VALUE, value },
    ],
  }
}

function ed25519Values(seed: Buffer): HostMaterial {
  const plain = ed25519Pkcs8(seed)
  try {
    const key = createPublicKey(createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' }))
    const point = key.export({ format: 'der', type: 'spki' }).subarray(-ED25519_BYTES)
    return {
      spki: ed25519Spki(point),
      values: [
        { type: CKA.EC_PARAMS, value: ED25519_OID },
        { type: CKA.VALUE, value: seed },
      ],
    }
  } finally {
    plain.fill(0)
  }
}

/** The attributes that tell a public key, beside those that say of which kind it is. */
export function publicKeyValues(algorithm: PairAlgorithm, spki: Buffer): Attribute[] {
  if (algorithm.kind === 'rsa') {
    const { n = '' } = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' })
    return [{ type: CKA.MODULUS, value: Buffer.from(n, 'base64url') }]
  }
  // The point of a SubjectPublicKeyInfo of ours stands at its end.
  const pointBytes = algorithm.kind === 'ec' ? 1 + 2 * algorithm.curve.scalarBytes : ED25519_BYTES
  const point = encodeDer({ tag: DER_TAG.octetString, content: [spki.subarray(-pointBytes)] })
  return [{ type: CKA.EC_POINT, value: point }]
}

function withoutZeros(number: Buffer): Buffer {
  const start = number.findIndex((byte) => byte !== 0)
  return start < 0 ? number.subarray(number.length) : number.subarray(start)
}

function bitsOf(magnitude: Buffer): number {
  return magnitude.length === 0 ? 0 : magnitude.length * 8 - (Math.clz32(magnitude[0] ?? 0) - 24)
}
