import { createECDH } from 'node:crypto'
import { DER_TAG, type DerValue, derUnsigned, encodeDer, readDer } from '../lib/der.ts'
import { invariant } from '../lib/invariant.ts'
import { CURVES, type Curve, ED25519_OID } from './key-pair-spec.ts'

/**
 * Private keys as PKCS#8 in the one form that callers get (docs/spec/envelope.md, clauses PK-1 to PK-5), whatever the
 * token that made them writes. Encoded here rather than by OpenSSL, so that a key that is opened again after years and
 * releases has the same bytes.
 *
 * @see RFC 5208, "Private-Key Information Syntax"; RFC 8017, "RSA Private Key Syntax"; RFC 5915, "Elliptic Curve Private
 *   Key Format"; RFC 8410, "Private Key Format"
 */

/** The eight numbers of an RSA private key in the order of RFC 8017: n, e, d, p, q, dP, dQ, qInv. Unsigned, big-endian. */
export type RsaNumbers = readonly [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer]

const RSA_NUMBERS = 8
const ED25519_SEED_BYTES = 32
export const RSA_OID = Buffer.from('06092a864886f70d010101', 'hex')
export const EC_OID = Buffer.from('06072a8648ce3d0201', 'hex')
const NULL: DerValue = { tag: DER_TAG.null, content: [] }
const sequence = (...content: DerValue['content']): DerValue => ({ tag: DER_TAG.sequence, content })
const octets = (...content: DerValue['content']): DerValue => ({ tag: DER_TAG.octetString, content })
const small = (number: number): DerValue => ({ tag: DER_TAG.integer, content: [Buffer.of(number)] })

/** Clause PK-2. */
export function rsaPkcs8(numbers: RsaNumbers): Buffer {
  const key = sequence(small(0), ...numbers.map(derUnsigned))
  return encodeDer(sequence(small(0), sequence(RSA_OID, NULL), octets(key)))
}

/**
 * Clause PK-3.
 *
 * @param scalar - Unsigned, big-endian, of any length: tokens strip zeros, and add them.
 */
export function ecPkcs8(curve: Curve, scalar: Buffer): Buffer {
  const start = scalar.findIndex((byte) => byte !== 0)
  invariant(start >= 0 && scalar.length - start <= curve.scalarBytes, 'a private scalar fits its curve')
  const padded = Buffer.alloc(curve.scalarBytes)
  try {
    scalar.copy(padded, padded.length - (scalar.length - start), start)
    const publicKey = { tag: DER_TAG.bitString, content: [Buffer.of(0), publicPoint(curve, padded)] }
    const key = sequence(small(1), octets(padded), { tag: DER_TAG.context1, content: [publicKey] })
    return encodeDer(sequence(small(0), sequence(EC_OID, curve.oid), octets(key)))
  } finally {
    padded.fill(0)
  }
}

/** Clause PK-4. */
export function ed25519Pkcs8(seed: Buffer): Buffer {
  invariant(seed.length === ED25519_SEED_BYTES, 'an Ed25519 seed has 32 bytes')
  return encodeDer(sequence(small(0), sequence(ED25519_OID), octets(octets(seed))))
}

/** What a private key is made of: views into what was read, with whatever zeros stood there. */
export type PrivateKeyParts =
  | { readonly kind: 'rsa'; readonly numbers: RsaNumbers }
  | { readonly kind: 'ec'; readonly curve: Curve; readonly scalar: Buffer }
  | { readonly kind: 'ed25519'; readonly seed: Buffer }

/**
 * The one form of a private key that some token wrote as PKCS#8: with or without the public key and attributes, with numbers of
 * needless or missing zeros. Clause PK-1.
 *
 * @param bytes - Exactly the structure; see {@link cutPkcs8}.
 * @returns `undefined` for anything that is no private key of ours. The caller zeroes it.
 */
export function canonicalPkcs8(bytes: Buffer): Buffer | undefined {
  const parts = readPkcs8(bytes)
  if (parts?.kind === 'rsa') return rsaPkcs8(parts.numbers)
  if (parts?.kind === 'ec') return ecPkcs8(parts.curve, parts.scalar)
  return parts && ed25519Pkcs8(parts.seed)
}

/**
 * Reads the structure of a private key, not whether its numbers belong together.
 *
 * @param bytes - Exactly the structure. Untrusted.
 * @returns `undefined` for anything that is no private key of ours.
 */
export function readPkcs8(bytes: Buffer): PrivateKeyParts | undefined {
  const info = readDer(bytes, DER_TAG.sequence)
  if (info?.end !== bytes.length) return undefined
  const version = readDer(info.content, DER_TAG.integer)
  const algorithm = version && readDer(info.content, DER_TAG.sequence, version.end)
  const key = algorithm && readDer(info.content, DER_TAG.octetString, algorithm.end)
  if (!key) return undefined
  if (startsWith(algorithm.content, RSA_OID)) return readRsa(key.content)
  if (algorithm.content.equals(ED25519_OID)) return readEd25519(key.content)
  if (!startsWith(algorithm.content, EC_OID)) return undefined
  const oid = algorithm.content.subarray(EC_OID.length)
  const curve = Object.values(CURVES).find((candidate) => candidate.oid.equals(oid))
  return curve && readEc(curve, key.content)
}

/**
 * The PKCS#8 structure at the beginning of `bytes`, without the zeros that some tokens leave behind it when they unwrap.
 *
 * @returns A view; `undefined` where there is none, or something else follows.
 */
export function cutPkcs8(bytes: Buffer): Buffer | undefined {
  const end = readDer(bytes, DER_TAG.sequence)?.end
  if (end === undefined || bytes.subarray(end).some((byte) => byte !== 0)) return undefined
  return bytes.subarray(0, end)
}

function readRsa(bytes: Buffer): PrivateKeyParts | undefined {
  const key = readDer(bytes, DER_TAG.sequence)
  const version = key && readDer(key.content, DER_TAG.integer)
  if (!version) return undefined
  const numbers: Buffer[] = []
  let at = version.end
  while (numbers.length < RSA_NUMBERS) {
    const number = readDer(key.content, DER_TAG.integer, at)
    if (!number) return undefined
    numbers.push(number.content)
    at = number.end
  }
  return { kind: 'rsa', numbers: numbers as unknown as RsaNumbers }
}

function readEc(curve: Curve, bytes: Buffer): PrivateKeyParts | undefined {
  const key = readDer(bytes, DER_TAG.sequence)
  const version = key && readDer(key.content, DER_TAG.integer)
  const scalar = version && readDer(key.content, DER_TAG.octetString, version.end)
  return scalar && { kind: 'ec', curve, scalar: scalar.content }
}

function readEd25519(bytes: Buffer): PrivateKeyParts | undefined {
  const seed = readDer(bytes, DER_TAG.octetString)
  return seed?.content.length === ED25519_SEED_BYTES ? { kind: 'ed25519', seed: seed.content } : undefined
}

/** The uncompressed point of a private scalar. */
function publicPoint(curve: Curve, scalar: Buffer): Buffer {
  const ecdh = createECDH(curve.opensslName)
  ecdh.setPrivateKey(scalar)
  return ecdh.getPublicKey()
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.subarray(0, prefix.length).equals(prefix)
}
