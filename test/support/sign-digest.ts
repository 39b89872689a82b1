import { createECDH, hash, type KeyObject, randomBytes } from 'node:crypto'
import { CURVES } from '../../src/core/key-pair-spec.ts'
import { u32 } from '../../src/lib/bytes.ts'

/** Signatures of digests, which Node's crypto has no call for: what a token does. Not for production: nothing is constant in time. */

const bigOf = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex') || '0'}`)

/** ECDSA: r and s side by side. */
export function signDigest(key: KeyObject, digest: Buffer): Buffer {
  const { namedCurve } = key.asymmetricKeyDetails ?? {}
  const curve = Object.values(CURVES).find(({ opensslName }) => opensslName === namedCurve)
  if (!curve) throw new TypeError('not a key of a known curve')
  const { order, opensslName, scalarBytes } = curve
  const secret = bigOf(Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url'))
  const ecdh = createECDH(opensslName)
  const nonce = ecdh.generateKeys() && bigOf(ecdh.getPrivateKey())
  const r = bigOf(ecdh.getPublicKey().subarray(1, 1 + scalarBytes)) % order
  const excess = BigInt(Math.max(0, digest.length * 8 - order.toString(2).length))
  const s = (power(nonce, order - 2n, order) * ((bigOf(digest) >> excess) + r * secret)) % order
  return Buffer.concat(
    [r, s].map((number) => Buffer.from(number.toString(16).padStart(scalarBytes * 2, '0'), 'hex')),
  )
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [1n, base % modulus]
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

/** EMSA-PSS with a salt as long as the digest (RFC 8017, "EMSA-PSS", "Encoding Operation"). */
export function encodePss(key: KeyObject, name: 'sha256' | 'sha384' | 'sha512', digest: Buffer): Buffer {
  const emBytes = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8
  const salt = randomBytes(digest.length)
  const all = hash(name, Buffer.concat([Buffer.alloc(8), digest, salt]), 'buffer')
  const blockBytes = emBytes - digest.length - 1
  const block = Buffer.concat([Buffer.alloc(blockBytes - salt.length - 1), Buffer.of(1), salt])
  const mask = Buffer.concat(
    Array.from({ length: Math.ceil(blockBytes / digest.length) }, (_, counter) =>
      hash(name, Buffer.concat([all, u32(counter)]), 'buffer'),
    ),
  )
  const masked = Buffer.from(block.map((byte, at) => byte ^ (mask[at] ?? 0)))
  masked[0] = (masked[0] ?? 0) & 0x7f
  return Buffer.concat([masked, all, Buffer.of(0xbc)])
}
