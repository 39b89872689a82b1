import { DER_TAG, derUnsigned, encodeDer, readDer } from '../lib/der.ts'
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
  const whole = readDer(der, DER_TAG.sequence)
  if (whole?.end !== der.length) return undefined
  const first = readDer(whole.content, DER_TAG.integer)
  const second = first && readDer(whole.content, DER_TAG.integer, first.end)
  if (second?.end !== whole.content.length) return undefined
  const [r, s] = [numberOf(first?.content), numberOf(second.content)]
  return r === undefined || s === undefined ? undefined : { r, s }
}

/** `undefined` for a negative number and for one with a needless zero before it. */
function numberOf(content: Buffer | undefined): bigint | undefined {
  const [first, second] = content ?? []
  if (!content || first === undefined || first >= 0x80) return undefined
  if (first === 0 && second !== undefined && second < 0x80) return undefined
  return BigInt(`0x${content.toString('hex')}`)
}
