import { hash } from 'node:crypto'
import { u32 } from '../lib/bytes.ts'
import { HASH_BYTES, OAEP_ALGORITHMS, type OaepAlgorithm } from './key-spec.ts'

/**
 * The padding of RSAES-OAEP, for tokens that decrypt with RSA and cannot take this padding off themselves.
 *
 * @see RFC 8017, "RSAES-OAEP", "Decryption Operation", steps 3 and 4; the note there on errors that must look alike
 */

/** The longest plaintext of a modulus of so many bytes. */
export function oaepBytesMax(algorithm: OaepAlgorithm, modulusBytes: number): number {
  return modulusBytes - 2 * HASH_BYTES[OAEP_ALGORITHMS[algorithm].hash] - 2
}

/**
 * Takes the padding off. Every way in which it can be wrong is found by the same steps over all bytes, without a branch that
 * depends on them, and told by the one answer: an attacker who could tell one from another, or by how long it took, would
 * decrypt with it (J. Manger, "A Chosen Ciphertext Attack on RSA Optimal Asymmetric Encryption Padding").
 *
 * @param encoded - What RSA decryption gave, as long as the modulus. Zeroed.
 * @returns The plaintext, which the caller zeroes; `undefined` where the padding is wrong.
 */
export function removeOaepPadding(algorithm: OaepAlgorithm, encoded: Buffer): Buffer | undefined {
  const { hash: name } = OAEP_ALGORITHMS[algorithm]
  const hashBytes = HASH_BYTES[name]
  const seed = Buffer.from(encoded.subarray(1, 1 + hashBytes))
  const block = Buffer.from(encoded.subarray(1 + hashBytes))
  const first = encoded[0] ?? 1
  encoded.fill(0)
  try {
    xorMask(name, block, seed)
    xorMask(name, seed, block)
    return messageOf(block, first, hash(name, '', 'buffer'))
  } finally {
    block.fill(0)
    seed.fill(0)
  }
}

/** XORs MGF1 of `from` into `into`. */
function xorMask(name: 'sha1' | 'sha256', from: Buffer, into: Buffer): void {
  const hashBytes = HASH_BYTES[name]
  for (let counter = 0; counter * hashBytes < into.length; counter++) {
    const input = Buffer.concat([from, u32(counter)])
    const mask = hash(name, input, 'buffer')
    const start = counter * hashBytes
    const end = Math.min(start + hashBytes, into.length)
    for (let at = start; at < end; at++) into[at] = (into[at] ?? 0) ^ (mask[at - start] ?? 0)
    input.fill(0)
    mask.fill(0)
  }
}

/** @param block - Hash of the label, zeros, a one, the message. */
function messageOf(block: Buffer, first: number, labelHash: Buffer): Buffer | undefined {
  let wrong = first
  for (let at = 0; at < labelHash.length; at++) wrong |= (block[at] ?? 0) ^ (labelHash[at] ?? 0)
  // 1 until the first byte that is not zero was met; `start` is the place behind it.
  let searching = 1
  let start = 0
  for (let at = labelHash.length; at < block.length; at++) {
    const byte = block[at] ?? 0
    const isZero = isZeroBit(byte)
    const isOne = isZeroBit(byte ^ 1)
    wrong |= searching & (isZero ^ 1) & (isOne ^ 1)
    start |= -(searching & isOne) & (at + 1)
    searching &= isZero
  }
  wrong |= searching
  return wrong === 0 ? Buffer.from(block.subarray(start)) : undefined
}

/** 1 for 0 and 0 for 1 to 255, without a branch. */
function isZeroBit(byte: number): number {
  return ((byte - 1) >>> 31) & 1
}
