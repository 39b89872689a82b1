import { createDecipheriv, hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeAlibabaCallerAad, encodeCallerAad } from '../../../src/core/caller-aad.ts'
import { ENVELOPE_LAYOUTS, parseEnvelope } from '../../../src/core/envelope/envelope.ts'
import { encodeOpenApiEnvelope, parseOpenApiEnvelope } from '../../../src/core/envelope/openapi-envelope.ts'
import type { Envelope } from '../../../src/core/envelope/payload-form.ts'
import { present } from '../../../src/core/envelope/present.ts'
import { isKmsError } from '../../../src/core/errors.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))

const envelopes: fc.Arbitrary<Envelope> = fc.record({
  form: fc.record({
    mode: fc.constantFrom('W0' as const, 'W1' as const, 'W2' as const),
    presentation: fc.constantFrom('raw' as const, 'base64' as const, 'text' as const, 'pkcs8-pem' as const),
  }),
  keyVersionId: fc.uuid(),
  sealed: fc.record({
    iv: fc.oneof(bytes(12, 12), bytes(16, 16)),
    ciphertext: bytes(1, 4096),
    tag: bytes(16, 16),
  }),
})

/** A frozen envelope; see test/vectors/openapi-envelope/README.md. */
interface Vector {
  readonly name: string
  readonly form: Envelope['form']
  readonly keyVersionId: string
  readonly encryptionContext: Readonly<Record<string, string>>
  readonly masterKey: string
  readonly plaintext: string
  readonly presented?: string
  readonly iv: string
  readonly ciphertext: string
  readonly tag: string
  readonly blob: string
  readonly aad: string
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/openapi-envelope/vectors.json', import.meta.url), 'utf8'),
) as readonly Vector[]
const hex = (text: string) => Buffer.from(text, 'hex')
const contextOf = (pairs: Readonly<Record<string, string>>) =>
  ({ kind: 'context', context: new Map(Object.entries(pairs)) }) as const

const STYLE = { layout: 'openapi', presentation: 'base64' } as const

describe('envelope of the OpenAPI', () => {
  it('OAE-1 encodes and parses as inverse functions', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        const blob = encodeOpenApiEnvelope(envelope)
        expect(parseOpenApiEnvelope(blob)).toEqual(envelope)
        expect(blob.toString('latin1', 0, 36)).toBe(envelope.keyVersionId)
      }),
    )
  })

  it.each(vectors)('OAE-1, OAE-4, CTX-7 keeps the frozen bytes of "$name"', (vector) => {
    const sealed = { iv: hex(vector.iv), ciphertext: hex(vector.ciphertext), tag: hex(vector.tag) }
    const { form, keyVersionId, blob } = vector
    expect(encodeOpenApiEnvelope({ form, keyVersionId, sealed }).toString('hex')).toBe(blob)
    expect(parseOpenApiEnvelope(hex(blob))).toEqual({ form, keyVersionId, sealed })
    const aad = ENVELOPE_LAYOUTS.openapi.aad(form, keyVersionId, contextOf(vector.encryptionContext))
    expect(aad.toString('hex')).toBe(vector.aad)
    const gcm = createDecipheriv('aes-256-gcm', hex(vector.masterKey), sealed.iv)
    gcm.setAAD(aad).setAuthTag(sealed.tag)
    const opened = Buffer.concat([gcm.update(sealed.ciphertext), gcm.final()])
    expect(opened.toString('hex')).toBe(vector.plaintext)
    const presented = vector.presented ?? hex(vector.plaintext).toString()
    expect(present(form.presentation, opened).toString()).toBe(presented)
  })

  it('OAE-2 refuses other ids, forms and trailers, and lengths out of bounds', () => {
    const blob = hex(vectors[0]?.blob ?? '')
    const changed = (offset: number, value: number) => {
      const copy = Buffer.from(blob)
      copy[offset < 0 ? copy.length + offset : offset] = value
      return parseOpenApiEnvelope(copy)
    }
    expect(parseOpenApiEnvelope(blob)).toBeDefined()
    expect(changed(0, 0x41)).toBeUndefined()
    expect(changed(8, 0x30)).toBeUndefined()
    for (const trailer of [0x05, 0x30, 0x45, 0xf3]) expect(changed(-1, trailer)).toBeUndefined()
    expect(parseOpenApiEnvelope(Buffer.alloc(0))).toBeUndefined()
    expect(parseOpenApiEnvelope(blob.subarray(0, 36 + 12 + 16 + 1))).toBeUndefined()
    const long = (ciphertextBytes: number) =>
      Buffer.concat([blob.subarray(0, 48), Buffer.alloc(ciphertextBytes), blob.subarray(blob.length - 17)])
    expect(parseOpenApiEnvelope(long(8_320 - 65))).toBeDefined()
    expect(parseOpenApiEnvelope(long(8_320 - 64))).toBeUndefined()
    fc.assert(fc.property(bytes(0, 300), (any) => void parseEnvelope(any)))
  })

  it('OAE-3 is told from a native envelope by its first byte', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        for (const layout of ['native', 'openapi'] as const) {
          const blob = ENVELOPE_LAYOUTS[layout].encode(envelope)
          expect(/^[\da-f]/.test(blob.toString('latin1', 0, 1))).toBe(layout === 'openapi')
          expect(parseEnvelope(blob)).toEqual({ layout, envelope })
        }
      }),
    )
  })

  it('CTX-6 keeps bytes of the caller apart from contexts, and none of them from nothing', () => {
    const ofBytes = (text: string) => ({ kind: 'bytes', bytes: Buffer.from(text) }) as const
    expect(encodeCallerAad(ofBytes('ab')).toString('hex')).toBe('026162')
    expect(encodeCallerAad(ofBytes(''))).toEqual(encodeCallerAad(contextOf({})))
    const context = encodeCallerAad(contextOf({ a: 'b' }))
    expect(encodeCallerAad({ kind: 'bytes', bytes: context })).not.toEqual(context)
  })

  it('CTX-7 gives a context the bytes that SDKs of the instance API send for it, and no two contexts the same', () => {
    const digest = hash('sha256', 'a=1&b=2', 'buffer')
    expect(encodeAlibabaCallerAad(contextOf({ b: '2', a: '1' }))).toEqual(
      encodeAlibabaCallerAad({ kind: 'bytes', bytes: digest }),
    )
    const word = fc.stringMatching(/^[ab=&]{0,3}$/)
    const pairs = fc.dictionary(word, word, { maxKeys: 3, noNullPrototype: true })
    fc.assert(
      fc.property(pairs, pairs, (one, other) => {
        const same = (encode: typeof encodeCallerAad) =>
          encode(contextOf(one)).equals(encode(contextOf(other)))
        expect(same(encodeAlibabaCallerAad)).toBe(same(encodeCallerAad))
      }),
    )
  })
})

describe('the core with envelopes of the OpenAPI', () => {
  const { kms } = kmsFixture()

  async function dataKey() {
    const { keyId } = await kms.createKey(call(), {})
    const key = { kind: 'id', keyId } as const
    return { key, made: await kms.generateDataKey(call(), { key, lengthBytes: 32, style: STYLE }) }
  }

  it('OAE-6 gives a data key as base64 text, and back', async () => {
    const { key, made } = await dataKey()
    expect(made.plaintext.toString('latin1')).toMatch(/^[A-Za-z0-9+/]{43}=$/)
    const opened = await kms.decrypt(call(), { blob: made.blob })
    expect(opened).toMatchObject({ presentation: 'base64', plaintext: made.plaintext })
    const inside = await kms.generateDataKeyWithoutPlaintext(call(), { key, lengthBytes: 16, style: STYLE })
    expect(parseOpenApiEnvelope(inside.blob)?.form).toEqual({ mode: 'W2', presentation: 'base64' })
    const text = (await kms.decrypt(call(), { blob: inside.blob })).plaintext.toString('latin1')
    expect(Buffer.from(text, 'base64')).toHaveLength(16)
    expect(text).toHaveLength(24)
  })

  it('OAE-6, ENV-5 re-encrypts a text into a text of either layout, and bytes into bytes', async () => {
    const { key, made } = await dataKey()
    for (const destinationLayout of ['native', 'openapi'] as const) {
      const input = { blob: made.blob, destinationKey: key, destinationLayout }
      const { destination } = await kms.reEncrypt(call(), input)
      expect(parseEnvelope(destination.blob)?.layout).toBe(destinationLayout)
      const opened = await kms.decrypt(call(), { blob: destination.blob })
      expect(opened).toMatchObject({ presentation: 'text', plaintext: made.plaintext })
    }
    const raw = await kms.encrypt(call(), { key, plaintext: Buffer.of(0, 255) })
    const moved = await kms.reEncrypt(call(), { ...raw, destinationKey: key, destinationLayout: 'openapi' })
    const opened = await kms.decrypt(call(), { blob: moved.destination.blob })
    expect(opened).toMatchObject({ presentation: 'raw', plaintext: Buffer.of(0, 255) })
  })

  it('OAE-5 fails in one way whatever byte is changed, and tells the façade when the version never was', async () => {
    const { made } = await dataKey()
    for (let offset = 0; offset < made.blob.length; offset++) {
      const blob = Buffer.from(made.blob)
      blob[offset] = (blob[offset] ?? 0) ^ 1
      const error = await kms.decrypt(call(), { blob }).catch((reason: unknown) => reason)
      expect(isKmsError(error, 'CIPHERTEXT_INVALID')).toBe(true)
      expect(error).toMatchObject({ message: 'The ciphertext is not valid.' })
    }
    const other = Buffer.concat([Buffer.from('00000000-0000-4000-8000-000000000000'), made.blob.subarray(36)])
    for (const blob of [other, made.blob.subarray(0, -1), Buffer.concat([made.blob, Buffer.of(3)])]) {
      const error = await kms.decrypt(call(), { blob }).catch((reason: unknown) => reason)
      expect(isKmsError(error, 'CIPHERTEXT_INVALID') && error.details.versionUnknown).toBe(
        blob === other ? true : undefined,
      )
    }
  })
})
