import type { Sealed } from '../../core/ports/crypto-provider.ts'
import { invariant } from '../../lib/invariant.ts'
import { GCM_TAG_BYTES } from './mechanisms.ts'

/** Byte arguments or results of a procedure. */
export type Parts = readonly Uint8Array[]

/** Of what one call seals, signs or makes a MAC of. */
export const PLAINTEXT_BYTES_MAX = 8192
const AAD_BYTES_MAX = 16_384

export function bufferOf(part: Uint8Array | undefined): Buffer {
  invariant(part, 'a reply has every part')
  return Buffer.from(part.buffer, part.byteOffset, part.length)
}

export function sealedOf([iv, bytes]: Parts): Sealed {
  const whole = bufferOf(bytes)
  const tagAt = whole.length - GCM_TAG_BYTES
  return { iv: bufferOf(iv), ciphertext: whole.subarray(0, tagAt), tag: whole.subarray(tagAt) }
}

export function requireLength(length: number, max: number, what: string): void {
  invariant(Number.isInteger(length) && length >= 1 && length <= max, `${what} has 1 to ${max} bytes`)
}

export function requireAad(aad: Buffer): void {
  invariant(aad.length <= AAD_BYTES_MAX, `aad has at most ${AAD_BYTES_MAX} bytes`)
}
