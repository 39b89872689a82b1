import { createPublicKey, type KeyObject } from 'node:crypto'
import { parseRsaSpki, rsaSpki } from './spki.ts'

/** Longest public exponent (FIPS 186-5 has up to 32 bytes; no library makes longer ones than 5). */
const EXPONENT_BYTES_MAX = 8
const EXPONENT_MIN = 3n

/**
 * An RSA public key that somebody brings to have a key encrypted for it. OpenSSL takes a modulus that is even and an exponent of any
 * size, and fails at encrypting; with an exponent of 1 it would encrypt nothing.
 *
 * @param spki - SubjectPublicKeyInfo in DER. Untrusted.
 * @returns `undefined` for anything but a key whose modulus has `modulusBits`.
 */
export function exportKey(spki: Buffer, modulusBits: number): KeyObject | undefined {
  const { modulus, exponent } = parseRsaSpki(spki) ?? {}
  if (!modulus || !exponent) return undefined
  const hasLength = modulus.length * 8 === modulusBits && (modulus[0] ?? 0) >= 0x80
  if (!hasLength || !isOdd(modulus) || !isOdd(exponent)) return undefined
  if (exponent.length > EXPONENT_BYTES_MAX || BigInt(`0x${exponent.toString('hex')}`) < EXPONENT_MIN)
    return undefined
  return createPublicKey({ key: rsaSpki(modulus, exponent), format: 'der', type: 'spki' })
}

function isOdd(number: Buffer): boolean {
  return ((number.at(-1) ?? 0) & 1) === 1
}
