import { DER_TAG, type DerValue, derUnsigned, encodeDer, readDer, readUnsignedPair } from '../lib/der.ts'
import { type Curve, ED25519_OID } from './key-pair-spec.ts'
import { ML_DSA_SETS, type MlDsaSetName } from './ml-dsa.ts'
import { EC_OID, RSA_OID } from './pkcs8.ts'

/**
 * Public keys as SubjectPublicKeyInfo in DER.
 *
 * @see RFC 5280, "Subject Public Key Info"; RFC 3279, "RSA Keys"; RFC 5480, "Elliptic Curve Cryptography"; RFC 8410, "Subject
 *   Public Key Fields"; RFC 9881, "Subject Public Key Fields"
 */

const sequence = (...content: DerValue['content']): DerValue => ({ tag: DER_TAG.sequence, content })
const bits = (...content: DerValue['content']): DerValue => ({
  tag: DER_TAG.bitString,
  content: [Buffer.of(0), ...content],
})
const NULL: DerValue = { tag: DER_TAG.null, content: [] }

/** Numbers are unsigned and big-endian. */
export function rsaSpki(modulus: Buffer, exponent: Buffer): Buffer {
  const key = sequence(derUnsigned(modulus), derUnsigned(exponent))
  return encodeDer(sequence(sequence(RSA_OID, NULL), bits(key)))
}

/** @param point - Uncompressed. */
export function ecSpki(curve: Curve, point: Buffer): Buffer {
  return encodeDer(sequence(sequence(EC_OID, curve.oid), bits(point)))
}

/** @param point - 32 bytes. */
export function ed25519Spki(point: Buffer): Buffer {
  return encodeDer(sequence(sequence(ED25519_OID), bits(point)))
}

/** @param publicKey - As long as the set has it. */
export function mlDsaSpki(set: MlDsaSetName, publicKey: Buffer): Buffer {
  return encodeDer(sequence(sequence(ML_DSA_SETS[set].oid), bits(publicKey)))
}

/**
 * The key in a SubjectPublicKeyInfo, as its algorithm encodes it. Reads untrusted bytes.
 *
 * @param algorithm - What the AlgorithmIdentifier has to hold, object identifier and parameters.
 * @returns `undefined` for any other structure, and for one that something follows.
 */
export function parseSpki(spki: Buffer, algorithm: Buffer): Buffer | undefined {
  const info = readDer(spki, DER_TAG.sequence)
  const found = info && readDer(info.content, DER_TAG.sequence)
  const key = found && readDer(info.content, DER_TAG.bitString, found.end)
  if (info?.end !== spki.length || key?.end !== info.content.length || key.content[0] !== 0) return undefined
  return found?.content.equals(algorithm) ? key.content.subarray(1) : undefined
}

const RSA_ALGORITHM = Buffer.concat([RSA_OID, encodeDer(NULL)])

/** The numbers of an RSA public key, big-endian; `undefined` for any other structure. Reads untrusted bytes. */
export function parseRsaSpki(
  spki: Buffer,
): { readonly modulus: Buffer; readonly exponent: Buffer } | undefined {
  const key = parseSpki(spki, RSA_ALGORITHM)
  const [modulus, exponent] = (key && readUnsignedPair(key)) ?? []
  return modulus && exponent && { modulus, exponent }
}
