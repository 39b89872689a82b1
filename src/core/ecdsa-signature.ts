import { DER_TAG, derUnsigned, encodeDer, readUnsignedPair } from '../lib/der.ts'
import { invariant } from '../lib/invariant.ts'

/**
 * ECDSA signatures: tokens give the two numbers side by side (IEEE P1363), callers get a DER sequence of them.
 *
 * @see RFC 3279, "ECDSA Signature Algorithm" (Ecdsa-Sig-Value)
 */

/** @param raw - r and s, each as long as a scalar of the curve. */
export function ecdsaToDer(raw: Buffer): Buffer {
  const half = raw.length / 2
  invariant(Number.isInteger(half) && half > 0, 'an ECDSA signature has two halves')
  const content = [derUnsigned(raw.subarray(0, half)), derUnsigned(raw.subarray(half))]
  return encodeDer({ tag: DER_TAG.sequence, content })
}

/** The numbers of a signature; `undefined` for anything but the one DER form of two numbers that are not negative. */
export function parseEcdsaDer(der: Buffer): { readonly r: bigint; readonly s: bigint } | undefined {
  const [r, s] = readUnsignedPair(der) ?? []
  return r && s && { r: numberOf(r), s: numberOf(s) }
}

function numberOf(magnitude: Buffer): bigint {
  return BigInt(`0x${magnitude.toString('hex')}`)
}
