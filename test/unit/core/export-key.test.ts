import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exportKey } from '../../../src/core/export-key.ts'
import { parseRsaSpki, rsaSpki } from '../../../src/core/spki.ts'
import { DER_TAG, encodeDer, readDer } from '../../../src/lib/der.ts'

const BITS = 2048
const RSA = generateKeyPairSync('rsa', { modulusLength: BITS }).publicKey
const SPKI = RSA.export({ type: 'spki', format: 'der' })
const { n = '', e = '' } = RSA.export({ format: 'jwk' })
const [MODULUS, EXPONENT] = [Buffer.from(n, 'base64url'), Buffer.from(e, 'base64url')]
const even = Buffer.from(MODULUS).fill((MODULUS.at(-1) ?? 0) & 0xfe, MODULUS.length - 1)
const withinSequence = (more: Buffer) =>
  encodeDer({
    tag: DER_TAG.sequence,
    content: [readDer(SPKI, DER_TAG.sequence)?.content ?? Buffer.alloc(0), more],
  })
const spki = (type: 'rsa-pss' | 'dsa') =>
  (type === 'dsa'
    ? generateKeyPairSync('dsa', { modulusLength: BITS, divisorLength: 256 })
    : generateKeyPairSync('rsa-pss', { modulusLength: BITS })
  ).publicKey.export({ type: 'spki', format: 'der' })

describe('a key that a data key is exported for', () => {
  it('is an RSA key of the length', () => {
    expect(exportKey(SPKI, BITS)?.equals(RSA)).toBe(true)
    expect(exportKey(rsaSpki(MODULUS, Buffer.of(3)), BITS)?.asymmetricKeyDetails?.publicExponent).toBe(3n)
    expect(exportKey(SPKI, 3072)).toBeUndefined()
    const short = generateKeyPairSync('rsa', { modulusLength: 2040 }).publicKey
    expect(exportKey(short.export({ type: 'spki', format: 'der' }), BITS)).toBeUndefined()
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['an even modulus', rsaSpki(even, EXPONENT)],
    ['an exponent of 0', rsaSpki(MODULUS, Buffer.of(0))],
    ['an exponent of 1', rsaSpki(MODULUS, Buffer.of(1))],
    ['an even exponent', rsaSpki(MODULUS, Buffer.of(4))],
    ['an exponent as long as the modulus', rsaSpki(MODULUS, Buffer.alloc(256, 0x7f))],
    ['something behind', Buffer.concat([SPKI, Buffer.of(0)])],
    ['something behind within', withinSequence(Buffer.of(5, 0))],
    ['a cut end', SPKI.subarray(0, -1)],
    ['another algorithm', spki('rsa-pss')],
    ['another kind', spki('dsa')],
    ['PKCS #1', RSA.export({ type: 'pkcs1', format: 'der' })],
  ])('is not %s', (_, bytes) => {
    expect(exportKey(bytes, BITS)).toBeUndefined()
  })

  it('has one form: no other bytes are taken for it', () => {
    const at = fc.nat({ max: SPKI.length - 1 })
    fc.assert(
      fc.property(at, fc.integer({ min: 1, max: 255 }), (index, change) => {
        const bytes = Buffer.from(SPKI).fill((SPKI[index] ?? 0) ^ change, index, index + 1)
        const numbers = parseRsaSpki(bytes)
        if (numbers) expect(rsaSpki(numbers.modulus, numbers.exponent)).toEqual(bytes)
      }),
    )
  })
})
