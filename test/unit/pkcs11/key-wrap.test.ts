import { createDecipheriv } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeEncryptionContext } from '../../../src/core/encryption-context.ts'
import { nativeAad, parseNativeEnvelope } from '../../../src/core/envelope/native-envelope.ts'
import type { Envelope } from '../../../src/core/envelope/payload-form.ts'
import {
  encodeWrappedPayload,
  formatOf,
  KEY_WRAP_FORMATS,
  KEY_WRAP_OVERHEAD_BYTES_MAX,
  parseWrappedPayload,
} from '../../../src/providers/pkcs11/key-wrap.ts'
import {
  CKM_AES_CBC_PAD,
  CKM_AES_KEY_WRAP_KWP,
  CKM_AES_KEY_WRAP_PAD,
} from '../../../src/providers/pkcs11/mechanisms.ts'
import type { KeyWrapFormat } from '../../../src/providers/pkcs11/settings.ts'
import { WRAPS } from './scripted-wraps.ts'

const FORMATS = Object.keys(KEY_WRAP_FORMATS) as KeyWrapFormat[]

describe('a wrapped payload', () => {
  it('ENV-11 holds its format and its length in two bytes', () => {
    const wrapped = Buffer.alloc(40, 7)
    const heads = FORMATS.map((format) =>
      encodeWrappedPayload(format, 32, wrapped).subarray(0, 2).toString('hex'),
    )
    expect(heads).toEqual(['0020', '2020', '4020', '6020'])
    expect(encodeWrappedPayload('rfc5649', 8191, wrapped).subarray(0, 2).toString('hex')).toBe('1fff')
    expect(() => encodeWrappedPayload('rfc5649', 8192, wrapped)).toThrow()
  })

  it('ENV-11 is parsed by the inverse of what encodes it', () => {
    const payloads = fc.tuple(
      fc.constantFrom(...FORMATS),
      fc.integer({ min: 0, max: 8191 }),
      fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    )
    fc.assert(
      fc.property(payloads, ([format, lengthBytes, wrapped]) => {
        const parsed = parseWrappedPayload(encodeWrappedPayload(format, lengthBytes, wrapped))
        expect(parsed).toEqual({ format, lengthBytes, wrapped })
      }),
    )
  })

  it('ENV-11 has no format 4 to 7', () => {
    for (const number of [4, 5, 6, 7]) {
      expect(parseWrappedPayload(Buffer.of(number << 5, 32, 1)).format).toBeUndefined()
    }
  })
})

interface Vector {
  readonly name: string
  readonly form: Envelope['form']
  readonly keyWrap: KeyWrapFormat
  readonly encryptionContext: Readonly<Record<string, string>>
  readonly masterKey: string
  readonly wrapKey: string
  readonly plaintext: string
  readonly aad: string
  readonly blob: string
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/envelope-v1/key-wraps.json', import.meta.url), 'utf8'),
) as readonly Vector[]

describe('a frozen blob of mode W2', () => {
  it.each(vectors)('ENV-6, ENV-9, ENV-11 opens: $name', (vector) => {
    const hex = (text: string) => Buffer.from(text, 'hex')
    const envelope = parseNativeEnvelope(hex(vector.blob))
    if (!envelope) throw new Error('The blob is not one.')
    const context = encodeEncryptionContext(new Map(Object.entries(vector.encryptionContext)))
    const aad = nativeAad(envelope.form, envelope.keyVersionId, context)
    expect([envelope.form, aad.toString('hex')]).toEqual([vector.form, vector.aad])
    const { iv, ciphertext, tag } = envelope.sealed
    const gcm = createDecipheriv('aes-256-gcm', hex(vector.masterKey), iv).setAAD(aad).setAuthTag(tag)
    const payload = parseWrappedPayload(Buffer.concat([gcm.update(ciphertext), gcm.final()]))
    expect([payload.format, payload.lengthBytes]).toEqual([vector.keyWrap, vector.plaintext.length / 2])
    expect(payload.wrapped).toHaveLength(KEY_WRAP_FORMATS[vector.keyWrap].wrappedBytes(payload.lengthBytes))
    const cbc = vector.keyWrap === 'cbc-pad' ? 16 : 0
    const [cbcIv, wrapped] = [payload.wrapped.subarray(0, cbc), payload.wrapped.subarray(cbc)]
    const opened = WRAPS[vector.keyWrap].unwrap(hex(vector.wrapKey), wrapped, cbcIv)
    expect(opened.toString('hex')).toBe(vector.plaintext)
  })
})

describe('the format of a key wrap', () => {
  it.each([
    [CKM_AES_KEY_WRAP_KWP, 40, 'rfc5649'],
    [CKM_AES_KEY_WRAP_PAD, 40, 'rfc5649'],
    [CKM_AES_KEY_WRAP_PAD, 48, 'pkcs7-8'],
    [CKM_AES_KEY_WRAP_PAD, 56, 'pkcs7-16'],
    [CKM_AES_KEY_WRAP_PAD, 64, undefined],
    [CKM_AES_KEY_WRAP_PAD, 32, undefined],
    [CKM_AES_CBC_PAD, 64, 'cbc-pad'],
    [CKM_AES_CBC_PAD, 48, undefined],
  ])('of mechanism 0x%i that makes %i bytes of 32 is %s', (mechanism, wrappedBytes, format) => {
    expect(formatOf(mechanism, 32, wrappedBytes)).toBe(format)
  })

  it('says how long anything becomes, within the room that is given to the token', () => {
    const lengths = [1, 7, 8, 9, 15, 16, 17, 24, 1024]
    expect(
      FORMATS.map((format) => lengths.map((length) => KEY_WRAP_FORMATS[format].wrappedBytes(length))),
    ).toEqual([
      [16, 16, 16, 24, 24, 24, 32, 32, 1032],
      [16, 16, 24, 24, 24, 32, 32, 40, 1040],
      [24, 24, 24, 24, 24, 40, 40, 40, 1048],
      [32, 32, 32, 32, 32, 48, 48, 48, 1056],
    ])
    for (const format of FORMATS)
      for (const length of lengths)
        expect(KEY_WRAP_FORMATS[format].wrappedBytes(length) - length).toBeLessThanOrEqual(
          KEY_WRAP_OVERHEAD_BYTES_MAX,
        )
  })
})
