import { createPrivateKey, hash, sign } from 'node:crypto'
import { expect, it } from 'vitest'
import { describeOtherThanEd25519ph, verifyEd25519ph } from '../../../src/core/ed25519ph.ts'
import { ed25519Pkcs8 } from '../../../src/core/pkcs8.ts'
import { ed25519Spki } from '../../../src/core/spki.ts'
import { type PhFlagWay, signEd25519ph } from '../../support/noble-signatures.ts'

const fromHex = (text: string) => Buffer.from(text, 'hex')
/** RFC 8032, "Test Vectors for Ed25519ph": the message is `abc`. */
const SEED = fromHex('833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42')
const SPKI = ed25519Spki(fromHex('ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf'))
const SIGNATURE = fromHex(
  '98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406',
)
const DIGEST = hash('sha512', 'abc', 'buffer')
const KEY = createPrivateKey({ key: ed25519Pkcs8(SEED), format: 'der', type: 'pkcs8' })

const flipped = (bytes: Buffer, at: number) => Buffer.from(bytes).fill((bytes[at] ?? 0) ^ 1, at, at + 1)

it('the signature of the standard verifies, and none that was changed', () => {
  expect(verifyEd25519ph(SPKI, DIGEST, SIGNATURE)).toBe(true)
  for (let at = 0; at < SIGNATURE.length; at++)
    expect(verifyEd25519ph(SPKI, DIGEST, flipped(SIGNATURE, at))).toBe(false)
  for (let at = 0; at < DIGEST.length; at++)
    expect(verifyEd25519ph(SPKI, flipped(DIGEST, at), SIGNATURE)).toBe(false)
  for (const odd of [SIGNATURE.subarray(1), Buffer.concat([SIGNATURE, Buffer.of(0)]), Buffer.alloc(64, 0xff)])
    expect(verifyEd25519ph(SPKI, DIGEST, odd)).toBe(false)
})

it('a signature whose second half is not below the order is none', () => {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const s = BigInt(`0x${Buffer.from(SIGNATURE.subarray(32)).reverse().toString('hex')}`) + order
  const again = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
  expect(verifyEd25519ph(SPKI, DIGEST, Buffer.concat([SIGNATURE.subarray(0, 32), again]))).toBe(false)
})

it('a key of small order verifies nothing', () => {
  const neutral = Buffer.concat([Buffer.of(1), Buffer.alloc(31)])
  const forged = Buffer.concat([neutral, Buffer.alloc(32)])
  expect(verifyEd25519ph(ed25519Spki(neutral), DIGEST, forged)).toBe(false)
})

it.each([
  ['ignored', 'it leaves the flag out of account and signs plain Ed25519'],
  ['hashed again', 'it hashes the digest once more'],
] satisfies [PhFlagWay, string][])(
  'what a token gives by which the flag is %s is told by its signature',
  (way, text) => {
    const signature = signEd25519ph(KEY, DIGEST, way)
    expect(verifyEd25519ph(SPKI, DIGEST, signature)).toBe(false)
    expect(describeOtherThanEd25519ph(SPKI, DIGEST, signature)).toBe(text)
  },
)

it('a signature of something else is none of these', () => {
  const signature = sign(null, Buffer.from('abc'), KEY)
  expect(describeOtherThanEd25519ph(SPKI, DIGEST, signature)).toBe('its signature does not verify')
})
