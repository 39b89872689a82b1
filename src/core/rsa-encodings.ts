import { hash } from 'node:crypto'
import { u32 } from '../lib/bytes.ts'
import { HASH_BYTES } from './key-spec.ts'

/** How digests are encoded before RSA signs them (RFC 8017, "Encoding Methods for Signatures with Appendix"). */

type SigningHash = 'sha256' | 'sha384' | 'sha512'

/** DER of DigestInfo up to the digest (RFC 8017, section 9.2, note 1). */
const DIGEST_INFO_PREFIXES: Readonly<Record<SigningHash, string>> = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
}

/** What RSASSA-PKCS1-v1_5 pads and signs. */
export function digestInfo(name: SigningHash, digest: Buffer): Buffer {
  return Buffer.concat([Buffer.from(DIGEST_INFO_PREFIXES[name], 'hex'), digest])
}

const TRAILER = 0xbc
const ZEROS = Buffer.alloc(8)

/**
 * Whether a signature opened to the encoding of `digest` by RSASSA-PSS with a salt as long as the digest. Everything is public.
 *
 * @param encoded - As long as the modulus.
 * @see RFC 8017, "EMSA-PSS", "Verification Operation"
 */
export function isPssEncoding(
  name: SigningHash,
  digest: Buffer,
  encoded: Buffer,
  modulusBits: number,
): boolean {
  const hashBytes = HASH_BYTES[name]
  const blockBytes = encoded.length - hashBytes - 1
  // Every modulus of ours has a multiple of 8 bits, so one bit on top is none of the encoding's.
  if (modulusBits !== encoded.length * 8 || blockBytes < hashBytes + 1) return false
  const top = encoded[0] ?? 0xff
  if (encoded.at(-1) !== TRAILER || top >= 0x80) return false
  const digestOfAll = encoded.subarray(blockBytes, blockBytes + hashBytes)
  const block = unmasked(name, encoded.subarray(0, blockBytes), digestOfAll)
  block[0] = (block[0] ?? 0) & 0x7f
  const saltAt = blockBytes - hashBytes
  if (block[saltAt - 1] !== 1 || block.subarray(0, saltAt - 1).some((byte) => byte !== 0)) return false
  return hash(name, Buffer.concat([ZEROS, digest, block.subarray(saltAt)]), 'buffer').equals(digestOfAll)
}

/** `masked` XOR MGF1 of `seed`. */
function unmasked(name: SigningHash, masked: Buffer, seed: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let counter = 0; counter * HASH_BYTES[name] < masked.length; counter++) {
    parts.push(hash(name, Buffer.concat([seed, u32(counter)]), 'buffer'))
  }
  const mask = Buffer.concat(parts)
  return Buffer.from(masked.map((byte, at) => byte ^ (mask[at] ?? 0)))
}
