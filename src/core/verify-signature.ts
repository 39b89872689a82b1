import { constants, createECDH, createPublicKey, type KeyObject, publicDecrypt, verify } from 'node:crypto'
import { invariant } from '../lib/invariant.ts'
import { parseEcdsaDer } from './ecdsa-signature.ts'
import { verifyEd25519ph } from './ed25519ph.ts'
import type { KeyVersion } from './key.ts'
import { CURVES, type Curve } from './key-pair-spec.ts'
import { HASH_BYTES, SIGNING_ALGORITHMS, type SigningAlgorithm } from './key-spec.ts'
import { verifyMlDsa } from './ml-dsa.ts'
import { digestInfo, isPssEncoding } from './rsa-encodings.ts'

/**
 * Signatures are verified here with the public key of the version, which costs the token nothing. Node's crypto verifies
 * messages; what it has no call for, a signature of a digest that the caller brings, is put together of its parts or left to a
 * library (Ed25519ph, ML-DSA).
 */

const keys = new WeakMap<KeyVersion, KeyObject>()

/** The public key of a version that is a key pair. */
export function publicKeyOf(version: KeyVersion): KeyObject {
  const known = keys.get(version)
  if (known) return known
  const key = createPublicKey({ key: spkiOf(version), format: 'der', type: 'spki' })
  keys.set(version, key)
  return key
}

/** SubjectPublicKeyInfo in DER of a version that is a key pair. */
export function spkiOf({ publicKey }: KeyVersion): Buffer {
  invariant(publicKey !== undefined, 'a key pair that is in use has its public key')
  return Buffer.from(publicKey, 'base64')
}

/** @param signature - As callers get it: of ECDSA in DER. Untrusted. */
export function verifyMessage(
  version: KeyVersion,
  algorithm: SigningAlgorithm,
  message: Buffer,
  signature: Buffer,
): boolean {
  const { scheme, hash } = SIGNING_ALGORITHMS[algorithm]
  if (scheme === 'ml-dsa') return verifyMlDsa(spkiOf(version), 'message', message, signature)
  invariant(scheme !== 'eddsa-ph', 'the algorithm signs messages')
  const key = publicKeyOf(version)
  if (scheme === 'eddsa') return verify(null, message, key, signature)
  // OpenSSL takes other encodings of the same numbers on some releases: one signature has one form.
  if (scheme === 'ecdsa')
    return parseEcdsaDer(signature) !== undefined && verify(hash, message, key, signature)
  // OpenSSL takes one of RSASSA-PSS without the zeros before it.
  if (signature.length * 8 !== modulusBitsOf(key)) return false
  const padding = scheme === 'rsa-pss' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  return verify(hash, message, { key, padding, saltLength: HASH_BYTES[hash] }, signature)
}

/**
 * As {@link verifyMessage}, of a digest.
 *
 * @param digest - As long as the hash of the algorithm gives.
 */
export function verifyDigest(
  version: KeyVersion,
  algorithm: SigningAlgorithm,
  digest: Buffer,
  signature: Buffer,
): boolean {
  const { scheme, hash } = SIGNING_ALGORITHMS[algorithm]
  if (scheme === 'eddsa-ph') return verifyEd25519ph(spkiOf(version), digest, signature)
  const key = publicKeyOf(version)
  if (scheme === 'ecdsa') return verifyEcdsa(curveOf(key), pointOf(key), digest, signature)
  invariant(scheme === 'rsa-pkcs1' || scheme === 'rsa-pss', 'the algorithm signs digests')
  const modulusBits = modulusBitsOf(key)
  if (signature.length * 8 !== modulusBits) return false
  const encoded = rsaPublic(key, signature, scheme)
  if (!encoded) return false
  return scheme === 'rsa-pss'
    ? isPssEncoding(hash, digest, encoded, modulusBits)
    : encoded.equals(digestInfo(hash, digest))
}

/**
 * As {@link verifyMessage}, of the representative µ of a message that is signed with ML-DSA.
 *
 * @param mu - 64 bytes.
 */
export function verifyMu(
  version: KeyVersion,
  algorithm: SigningAlgorithm,
  mu: Buffer,
  signature: Buffer,
): boolean {
  invariant(SIGNING_ALGORITHMS[algorithm].scheme === 'ml-dsa', 'the algorithm is ML-DSA')
  return verifyMlDsa(spkiOf(version), 'mu', mu, signature)
}

function modulusBitsOf(key: KeyObject): number {
  return key.asymmetricKeyDetails?.modulusLength ?? 0
}

/** What a signature opens to; `undefined` where it is no number below the modulus, or not padded as PKCS #1 has it. */
function rsaPublic(key: KeyObject, signature: Buffer, scheme: 'rsa-pkcs1' | 'rsa-pss'): Buffer | undefined {
  const padding = scheme === 'rsa-pss' ? constants.RSA_NO_PADDING : constants.RSA_PKCS1_PADDING
  try {
    return publicDecrypt({ key, padding }, signature)
  } catch {
    return undefined
  }
}

function curveOf(key: KeyObject): Curve {
  const { namedCurve } = key.asymmetricKeyDetails ?? {}
  const curve = Object.values(CURVES).find(({ opensslName }) => opensslName === namedCurve)
  invariant(curve, 'a public key is of a curve that we know')
  return curve
}

/** Uncompressed. */
function pointOf(key: KeyObject): Buffer {
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  return Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])
}

/**
 * u₁G + u₂Q = u₂(u₁/u₂ G + Q): OpenSSL multiplies, once with the base point and once in a key agreement whose secret is the
 * abscissa that is looked for, and the addition between is done here. Everything is public.
 *
 * @see SEC 1, "Verifying Operation"; FIPS 186-5, "ECDSA Signature Verification Algorithm"
 */
function verifyEcdsa(curve: Curve, point: Buffer, digest: Buffer, signature: Buffer): boolean {
  const numbers = parseEcdsaDer(signature)
  const { order } = curve
  if (!numbers || !inRange(numbers.r, order) || !inRange(numbers.s, order)) return false
  const inverse = inverseOf(numbers.s, order)
  const u2 = (numbers.r * inverse) % order
  const ratio = (leftmostBits(digest, order) * inverseOf(numbers.r, order)) % order
  const sum = ratio === 0n ? point : addPoints(curve, basePoint(curve, ratio), point)
  if (!sum) return false
  const ecdh = ecdhOf(curve, u2)
  const abscissa = ecdh.computeSecret(sum)
  return numberOf(abscissa) % order === numbers.r
}

const inRange = (number: bigint, order: bigint): boolean => number > 0n && number < order
const numberOf = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`)

function bytesOf(number: bigint, lengthBytes: number): Buffer {
  return Buffer.from(number.toString(16).padStart(lengthBytes * 2, '0'), 'hex')
}

/** A digest as a number of no more bits than the order has. */
function leftmostBits(digest: Buffer, order: bigint): bigint {
  const excess = digest.length * 8 - order.toString(2).length
  return excess > 0 ? numberOf(digest) >> BigInt(excess) : numberOf(digest)
}

function ecdhOf({ opensslName, scalarBytes }: Curve, scalar: bigint) {
  const ecdh = createECDH(opensslName)
  ecdh.setPrivateKey(bytesOf(scalar, scalarBytes))
  return ecdh
}

function basePoint(curve: Curve, scalar: bigint): Buffer {
  return ecdhOf(curve, scalar).getPublicKey()
}

/** Uncompressed points; `undefined` for the point at infinity. */
function addPoints({ prime, a, scalarBytes }: Curve, first: Buffer, second: Buffer): Buffer | undefined {
  const [x1, y1] = coordinatesOf(first, scalarBytes)
  const [x2, y2] = coordinatesOf(second, scalarBytes)
  if (x1 === x2 && y1 !== y2) return undefined
  const [rise, run] = x1 === x2 ? [3n * x1 * x1 + a, 2n * y1] : [y2 - y1, x2 - x1]
  const slope = mod(rise * inverseOf(mod(run, prime), prime), prime)
  const x = mod(slope * slope - x1 - x2, prime)
  const y = mod(slope * (x1 - x) - y1, prime)
  return Buffer.concat([Buffer.of(4), bytesOf(x, scalarBytes), bytesOf(y, scalarBytes)])
}

function coordinatesOf(point: Buffer, scalarBytes: number): readonly [x: bigint, y: bigint] {
  return [numberOf(point.subarray(1, 1 + scalarBytes)), numberOf(point.subarray(1 + scalarBytes))]
}

function mod(number: bigint, modulus: bigint): bigint {
  const rest = number % modulus
  return rest < 0n ? rest + modulus : rest
}

/** By the extended Euclidean algorithm; the modulus is a prime. */
function inverseOf(number: bigint, modulus: bigint): bigint {
  let [rest, nextRest] = [modulus, number]
  let [factor, nextFactor] = [0n, 1n]
  while (nextRest !== 0n) {
    const quotient = rest / nextRest
    ;[rest, nextRest] = [nextRest, rest - quotient * nextRest]
    ;[factor, nextFactor] = [nextFactor, factor - quotient * nextFactor]
  }
  return mod(factor, modulus)
}
