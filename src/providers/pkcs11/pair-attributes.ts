import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { DataPairAlgorithm, PairAlgorithm } from '../../core/key-pair-spec.ts'
import { ML_DSA_SETS, type MlDsaSetName } from '../../core/ml-dsa.ts'
import { ecPkcs8, ed25519Pkcs8, type RsaNumbers, rsaPkcs8 } from '../../core/pkcs8.ts'
import { ecSpki, ed25519Spki, mlDsaSpki, rsaSpki } from '../../core/spki.ts'
import { DER_TAG, readDer } from '../../lib/der.ts'
import { TokenRefusal } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import { CKA } from './templates.ts'

export const ED25519_BYTES = 32
const PUBLIC_EXPONENT = 65_537
export const RSA_NUMBERS = [
  'MODULUS',
  'PUBLIC_EXPONENT',
  'PRIVATE_EXPONENT',
  'PRIME_1',
  'PRIME_2',
  'EXPONENT_1',
  'EXPONENT_2',
  'COEFFICIENT',
] as const

/**
 * The public key of a pair that the token made, as SubjectPublicKeyInfo.
 *
 * @throws {@link TokenRefusal} when it is not the key that was asked for.
 */
export function readPublicKey(token: LaneToken, handle: Handle, algorithm: PairAlgorithm): Buffer {
  if (algorithm.kind === 'rsa') return readRsaPublicKey(token, handle, algorithm.modulusBits)
  if (algorithm.kind === 'ml-dsa') return readMlDsaPublicKey(token, handle, algorithm.set)
  const pointBytes = algorithm.kind === 'ec' ? 1 + 2 * algorithm.curve.scalarBytes : ED25519_BYTES
  const [bytes] = read(token, handle, ['EC_POINT'])
  const point = bytes && pointOf(bytes, pointBytes)
  // 04: the uncompressed form.
  if (!point || (algorithm.kind === 'ec' && point[0] !== 0x04)) {
    throw odd('CKA_EC_POINT is neither a point nor an OCTET STRING of one')
  }
  return algorithm.kind === 'ec' ? ecSpki(algorithm.curve, point) : ed25519Spki(point)
}

function readRsaPublicKey(token: LaneToken, handle: Handle, modulusBits: number): Buffer {
  const [modulus, exponent] = read(token, handle, ['MODULUS', 'PUBLIC_EXPONENT'])
  const number = modulus && BigInt(`0x${modulus.toString('hex') || '0'}`)
  if (!exponent || !modulus || number?.toString(2).length !== modulusBits) {
    throw odd(`CKA_MODULUS does not have ${modulusBits} bits`)
  }
  if (BigInt(`0x${exponent.toString('hex') || '0'}`) !== BigInt(PUBLIC_EXPONENT)) {
    throw odd(`CKA_PUBLIC_EXPONENT is not ${PUBLIC_EXPONENT}`)
  }
  return rsaSpki(modulus, exponent)
}

/** CKA_EC_PARAMS of a key of a curve. */
export function readEcParams(token: LaneToken, handle: Handle): Buffer {
  const [params] = read(token, handle, ['EC_PARAMS'])
  return params ?? Buffer.alloc(0)
}

/** CKA_VALUE is the key as FIPS 204 encodes it. */
function readMlDsaPublicKey(token: LaneToken, handle: Handle, set: MlDsaSetName): Buffer {
  const [value] = read(token, handle, ['VALUE'])
  if (value?.length !== ML_DSA_SETS[set].publicKeyBytes)
    throw odd(`CKA_VALUE is no public key of the parameter set ${set}`)
  return mlDsaSpki(set, value)
}

/** CKA_EC_POINT is a DER OCTET STRING by the standard and the bare point on some tokens; the length tells. */
function pointOf(bytes: Buffer, pointBytes: number): Buffer | undefined {
  if (bytes.length === pointBytes) return bytes
  const wrapped = readDer(bytes, DER_TAG.octetString)
  const whole = wrapped?.end === bytes.length && wrapped.content.length === pointBytes
  return whole ? wrapped.content : undefined
}

/**
 * The private key of a readable pair, as PKCS#8. The caller zeroes it.
 *
 * @throws What the token answered where it does not let itself be read.
 */
export function readPrivateKey(token: LaneToken, handle: Handle, algorithm: DataPairAlgorithm): Buffer {
  const names = algorithm.kind === 'rsa' ? RSA_NUMBERS : (['VALUE'] as const)
  const values = read(token, handle, names)
  try {
    const [value] = values
    if (!value || values.some((number) => number.length === 0)) throw odd('a private key lacks a number')
    if (algorithm.kind === 'rsa') return rsaPkcs8(values as unknown as RsaNumbers)
    return algorithm.kind === 'ec' ? ecPkcs8(algorithm.curve, value) : ed25519Pkcs8(value)
  } finally {
    for (const value of values) value.fill(0)
  }
}

/** PKCS#8 of a readable RSA key whose length nobody told. The caller zeroes it. */
export function readRsaPrivateKey(token: LaneToken, handle: Handle): Buffer {
  return readPrivateKey(token, handle, { kind: 'rsa', modulusBits: 0 })
}

const PROOF_TEXT = Buffer.from('p11kms/pair/v1', 'utf8')

/**
 * Proves that a private key belongs to a public key and works: a signature of the one verifies with the other.
 *
 * @throws {@link TokenRefusal} when it does not.
 */
export function proveMatch(spki: Buffer, pkcs8: Buffer, algorithm: DataPairAlgorithm): void {
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const digest = algorithm.kind === 'ed25519' ? null : 'sha256'
  const matches =
    createPublicKey(privateKey).equals(publicKey) &&
    verify(digest, PROOF_TEXT, publicKey, sign(digest, PROOF_TEXT, privateKey))
  if (!matches) throw odd('the private key is not the one of the public key')
}

function read(token: LaneToken, handle: Handle, names: readonly (keyof typeof CKA)[]): Buffer[] {
  const types = names.map((name) => ({ type: CKA[name] }))
  const values = token.p11.C_GetAttributeValue(token.session, handle, types)
  return values.map(({ value }) => value)
}

function odd(what: string): TokenRefusal {
  return new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token made a key pair that is not usable: ${what}.`,
  })
}
