import {
  constants,
  createHash,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { oaepBytesMax, removeOaepPadding } from '../../../src/core/oaep.ts'

const HASHES = [
  ['RSAES_OAEP_SHA_1', 'sha1'],
  ['RSAES_OAEP_SHA_256', 'sha256'],
] as const
const PAIRS = [2048, 3072].map((modulusLength) => generateKeyPairSync('rsa', { modulusLength }))

describe.each(HASHES)('%s', (algorithm, hash) => {
  it('takes off what OpenSSL puts on, at every length', () => {
    for (const { publicKey, privateKey } of PAIRS) {
      const modulusBytes = (publicKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8
      const most = oaepBytesMax(algorithm, modulusBytes)
      for (const length of [0, 1, 2, 32, most - 1, most]) {
        const plaintext = randomBytes(length)
        const options = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }
        const ciphertext = publicEncrypt({ key: publicKey, ...options }, plaintext)
        const encoded = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, ciphertext)
        const kept = Buffer.from(encoded)
        expect(removeOaepPadding(algorithm, encoded)).toEqual(plaintext)
        expect(encoded.every((byte) => byte === 0)).toBe(true)
        for (let at = 0; at < kept.length; at += 5) {
          const forged = Buffer.from(kept).fill((kept[at] ?? 0) ^ 1, at, at + 1)
          expect(removeOaepPadding(algorithm, forged)).toBeUndefined()
        }
      }
      expect(() => publicEncrypt({ key: publicKey, oaepHash: hash }, randomBytes(most + 1))).toThrow()
    }
  })

  const encode = (first: number, block: Buffer): Buffer => {
    const seed = randomBytes(createHash(hash).digest().length)
    const mask = (from: Buffer, length: number) => {
      const parts: Buffer[] = []
      for (let counter = 0; Buffer.concat(parts).length < length; counter++)
        parts.push(
          createHash(hash)
            .update(from)
            .update(Buffer.of(0, 0, 0, counter))
            .digest(),
        )
      return Buffer.concat(parts).subarray(0, length)
    }
    const xor = (a: Buffer, b: Buffer) => Buffer.from(a.map((byte, at) => byte ^ (b[at] ?? 0)))
    const masked = xor(block, mask(seed, block.length))
    return Buffer.concat([Buffer.of(first), xor(seed, mask(masked, seed.length)), masked])
  }
  const label = createHash(hash).update('').digest()
  const rest = 255 - 2 * label.length

  it.each([
    ['a first byte that is not zero', 1, [label, Buffer.alloc(rest - 2), Buffer.of(1, 7)]],
    ['a first byte of 0x80', 0x80, [label, Buffer.alloc(rest - 2), Buffer.of(1, 7)]],
    ['another label', 0, [createHash(hash).update('x').digest(), Buffer.alloc(rest - 1), Buffer.of(1)]],
    ['no one', 0, [label, Buffer.alloc(rest)]],
    ['a two before the one', 0, [label, Buffer.alloc(rest - 2), Buffer.of(2, 1)]],
    ['a two in place of the one', 0, [label, Buffer.of(2), Buffer.alloc(rest - 1, 9)]],
  ] as const)('refuses %s', (_, first, parts) => {
    expect(removeOaepPadding(algorithm, encode(first, Buffer.concat(parts)))).toBeUndefined()
  })

  it('takes a message of ones and zeros for what it is', () => {
    const message = Buffer.of(1, 1, 0, 1)
    const block = Buffer.concat([label, Buffer.alloc(rest - 5), Buffer.of(1), message])
    expect(removeOaepPadding(algorithm, encode(0, block))).toEqual(message)
  })
})
