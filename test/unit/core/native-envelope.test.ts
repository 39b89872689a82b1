import { createDecipheriv } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeEncryptionContext } from '../../../src/core/encryption-context.ts'
import {
  CIPHERTEXT_BLOB_BYTES_MAX,
  encodeNativeEnvelope,
  nativeAad,
  parseNativeEnvelope,
} from '../../../src/core/envelope/native-envelope.ts'
import type { Envelope, Presentation } from '../../../src/core/envelope/payload-form.ts'

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))

const envelopes: fc.Arbitrary<Envelope> = fc.record({
  form: fc.record({
    mode: fc.constantFrom('W0' as const, 'W1' as const, 'W2' as const),
    presentation: fc.constantFrom('raw' as const, 'pkcs8-der' as const, 'pkcs8-pem' as const),
  }),
  keyVersionId: fc.uuid(),
  sealed: fc.record({ iv: bytes(12, 16), ciphertext: bytes(1, 4096), tag: bytes(16, 16) }),
})

const sample: Envelope = {
  form: { mode: 'W0', presentation: 'raw' },
  keyVersionId: '00112233-4455-6677-8899-aabbccddeeff',
  sealed: { iv: Buffer.alloc(12, 0xa0), ciphertext: Buffer.of(0xcc), tag: Buffer.alloc(16, 0xdd) },
}

/** A frozen envelope; see test/vectors/envelope-v1/README.md. */
interface Vector {
  readonly name: string
  readonly form: Envelope['form']
  readonly keyVersionId: string
  readonly encryptionContext: Readonly<Record<string, string>>
  readonly masterKey: string
  /** Only in mode W2. */
  readonly wrapKey?: string
  readonly plaintext: string
  readonly iv: string
  readonly ciphertext: string
  readonly tag: string
  readonly blob: string
  readonly aad: string
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/envelope-v1/vectors.json', import.meta.url), 'utf8'),
) as readonly Vector[]

describe('native envelope', () => {
  it('ENV-1 encodes and parses as inverse functions', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        expect(parseNativeEnvelope(encodeNativeEnvelope(envelope))).toEqual(envelope)
      }),
    )
  })

  it('ENV-1 gives back any bytes that it parses', () => {
    fc.assert(
      fc.property(bytes(48, 200), (blob) => {
        blob[0] = 1
        blob[1] = (blob[1] ?? 0) & 0x30
        blob[18] = 12 + ((blob[18] ?? 0) % 5)
        const parsed = parseNativeEnvelope(blob)
        if (parsed) expect(encodeNativeEnvelope(parsed)).toEqual(blob)
      }),
    )
  })

  it.each(vectors)('ENV-1 keeps the frozen bytes of "$name"', (vector) => {
    const sealed = {
      iv: Buffer.from(vector.iv, 'hex'),
      ciphertext: Buffer.from(vector.ciphertext, 'hex'),
      tag: Buffer.from(vector.tag, 'hex'),
    }
    const { form, keyVersionId } = vector
    expect(encodeNativeEnvelope({ form, keyVersionId, sealed }).toString('hex')).toBe(vector.blob)
    expect(parseNativeEnvelope(Buffer.from(vector.blob, 'hex'))).toEqual({ form, keyVersionId, sealed })
  })

  it.each(vectors)('ENV-6 authenticates the frozen bytes of "$name"', (vector) => {
    const context = encodeEncryptionContext(new Map(Object.entries(vector.encryptionContext)))
    expect(nativeAad(vector.form, vector.keyVersionId, context).toString('hex')).toBe(vector.aad)
  })

  it.each(vectors)('ENV-9 opens "$name" with AES-256-GCM, and what W2 wrapped with RFC 5649', (vector) => {
    const hex = (text: string) => Buffer.from(text, 'hex')
    const gcm = createDecipheriv('aes-256-gcm', hex(vector.masterKey), hex(vector.iv))
    gcm.setAAD(hex(vector.aad)).setAuthTag(hex(vector.tag))
    const opened = Buffer.concat([gcm.update(hex(vector.ciphertext)), gcm.final()])
    if (vector.wrapKey === undefined) {
      expect(opened.toString('hex')).toBe(vector.plaintext)
      return
    }
    const unwrap = createDecipheriv('id-aes256-wrap-pad', hex(vector.wrapKey), hex('a65959a6'))
    const payload = Buffer.concat([unwrap.update(opened.subarray(2)), unwrap.final()])
    expect(opened.readUInt16BE(0)).toBe(payload.length)
    expect(payload.toString('hex')).toBe(vector.plaintext)
  })

  it('ENV-2 refuses another format, unknown forms, odd IV lengths and lengths out of bounds', () => {
    const blob = encodeNativeEnvelope(sample)
    const changed = (offset: number, value: number) => {
      const copy = Buffer.from(blob)
      copy[offset] = value
      return parseNativeEnvelope(copy)
    }
    expect(parseNativeEnvelope(blob)).toEqual(sample)
    expect(changed(0, 0x00)).toBeUndefined()
    expect(changed(0, 0x24)).toBeUndefined()
    expect(changed(18, 11)).toBeUndefined()
    expect(changed(18, 13)).toBeUndefined() // Leaves no ciphertext.
    expect(changed(18, 17)).toBeUndefined()
    expect(parseNativeEnvelope(Buffer.alloc(0))).toBeUndefined()
    expect(parseNativeEnvelope(blob.subarray(0, -1))).toBeUndefined()
    const longest = { ...sample.sealed, ciphertext: Buffer.alloc(CIPHERTEXT_BLOB_BYTES_MAX - 47) }
    const longestBlob = encodeNativeEnvelope({ ...sample, sealed: longest })
    expect(parseNativeEnvelope(longestBlob)).toBeDefined()
    expect(parseNativeEnvelope(Buffer.concat([longestBlob, Buffer.of(0)]))).toBeUndefined()
  })

  it('ENV-2 never throws, whatever the bytes', () => {
    fc.assert(fc.property(bytes(0, 300), (blob) => void parseNativeEnvelope(blob)))
  })

  it('ENV-3 puts the mode into the high and the presentation into the low four bits, and refuses the rest', () => {
    const formBytes = (presentation: Presentation) =>
      (['W0', 'W1', 'W2'] as const).map(
        (mode) => encodeNativeEnvelope({ ...sample, form: { mode, presentation } })[1],
      )
    expect(formBytes('raw')).toEqual([0x00, 0x10, 0x20])
    expect(formBytes('pkcs8-der')).toEqual([0x01, 0x11, 0x21])
    expect(formBytes('pkcs8-pem')).toEqual([0x02, 0x12, 0x22])
    expect(formBytes('base64')).toEqual([0x03, 0x13, 0x23])
    expect(formBytes('text')).toEqual([0x04, 0x14, 0x24])
    const accepted = Array.from({ length: 256 }, (_, form) => {
      const blob = encodeNativeEnvelope(sample)
      blob[1] = form
      return parseNativeEnvelope(blob) ? form : undefined
    })
    expect(accepted.filter((form) => form !== undefined)).toEqual([
      0x00, 0x01, 0x02, 0x03, 0x04, 0x10, 0x11, 0x12, 0x13, 0x14, 0x20, 0x21, 0x22, 0x23, 0x24,
    ])
  })

  it('ENV-4 ENV-5 opens with 01 and names nothing but the version', () => {
    const blob = encodeNativeEnvelope(sample).toString('hex')
    expect(blob).toBe(`010000112233445566778899aabbccddeeff0c${'a0'.repeat(12)}cc${'dd'.repeat(16)}`)
  })
})
