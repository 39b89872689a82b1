import { hash, verify } from 'node:crypto'
import { eddsa } from '@noble/curves/abstract/edwards.js'
import { ed25519 } from '@noble/curves/ed25519.js'
import { ed25519Spki } from './spki.ts'

/**
 * Ed25519ph with an empty context, which Node's crypto does not know: what is signed is the SHA-512 digest of the message.
 *
 * @see RFC 8032, "Ed25519ph, Ed25519ctx, and Ed25519"
 */

const SIGNATURE_BYTES = 64
const POINT_BYTES = 32
/** dom2(1, ""): the text, the flag of the pre-hash, the length of the context. */
const DOMAIN = Buffer.concat([Buffer.from('SigEd25519 no Ed25519 collisions', 'latin1'), Buffer.of(1, 0)])

const sha512 = (bytes: Uint8Array) => new Uint8Array(hash('sha512', bytes, 'buffer'))
/** The digest is hashed by who brings it. */
const ed25519phOfDigest = eddsa(ed25519.Point, sha512, {
  domain: (data: Uint8Array) => new Uint8Array(Buffer.concat([DOMAIN, data])),
})

/**
 * @param spki - SubjectPublicKeyInfo of ours: its point stands at its end.
 * @param digest - 64 bytes.
 * @param signature - Untrusted.
 */
export function verifyEd25519ph(spki: Buffer, digest: Buffer, signature: Buffer): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  return ed25519phOfDigest.verify(signature, digest, pointOf(spki), { zip215: false })
}

/** What a token did that was asked for Ed25519ph of a digest and gave another signature; for people. */
export function describeOtherThanEd25519ph(spki: Buffer, digest: Buffer, signature: Buffer): string {
  const key = { key: ed25519Spki(pointOf(spki)), format: 'der', type: 'spki' } as const
  if (verify(null, digest, key, signature)) return 'it leaves the flag out of account and signs plain Ed25519'
  return verifyEd25519ph(spki, Buffer.from(sha512(digest)), signature)
    ? 'it hashes the digest once more'
    : 'its signature does not verify'
}

function pointOf(spki: Buffer): Buffer {
  return spki.subarray(spki.length - POINT_BYTES)
}
