import { createDecipheriv } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CallerAad, encodeAlibabaCallerAad, encodeCallerAad } from '../../../src/core/caller-aad.ts'
import {
  encodeAdvanceEnvelope,
  isAdvanceBlob,
  ivOfAdvanceBlob,
  parseAdvanceEnvelope,
} from '../../../src/core/envelope/advance-envelope.ts'
import { attach, detach } from '../../../src/core/envelope/detached-envelope.ts'
import { ENVELOPE_LAYOUTS, parseEnvelope } from '../../../src/core/envelope/envelope.ts'
import { encodeOpenApiEnvelope, parseOpenApiEnvelope } from '../../../src/core/envelope/openapi-envelope.ts'
import type { Envelope } from '../../../src/core/envelope/payload-form.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))

const parts = fc.record({
  form: fc.record({
    mode: fc.constantFrom('W0' as const, 'W1' as const, 'W2' as const),
    presentation: fc.constantFrom('raw' as const, 'base64' as const, 'text' as const, 'pkcs8-pem' as const),
  }),
  keyVersionId: fc.uuid(),
  sealed: fc.record({
    iv: fc.oneof(bytes(12, 12), bytes(16, 16)),
    ciphertext: bytes(1, 200),
    tag: bytes(16, 16),
  }),
})
const envelopes: fc.Arbitrary<Envelope> = fc.oneof(
  parts,
  fc.tuple(parts, bytes(12, 12)).map(([envelope, chosenIv]) => ({ ...envelope, chosenIv })),
)

/** A frozen envelope; see test/vectors/instance-envelopes/README.md. */
interface Vector {
  readonly name: string
  readonly form: Envelope['form']
  readonly keyVersionId: string
  readonly masterKey: string
  readonly callerAad: string
  readonly plaintext: string
  readonly iv: string
  readonly chosenIv?: string
  readonly ciphertext: string
  readonly tag: string
  readonly aad: string
  readonly openapi: string
  readonly advance: string
  readonly detached: { readonly iv: string; readonly blob: string }
}
const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/instance-envelopes/vectors.json', import.meta.url), 'utf8'),
) as readonly Vector[]
const hex = (text: string) => Buffer.from(text, 'hex')
const chosen = (iv: Buffer, aad: CallerAad): CallerAad => ({ kind: 'chosenIv', iv, aad })
const ofBytes = (given: Buffer): CallerAad => ({ kind: 'bytes', bytes: given })

describe('envelopes of the instance API', () => {
  it.each(vectors)('OAE-7, AVE-1, DTE-1, CTX-8 keeps the frozen bytes of "$name"', (vector) => {
    const { form, keyVersionId } = vector
    const envelope: Envelope = {
      form,
      keyVersionId,
      sealed: { iv: hex(vector.iv), ciphertext: hex(vector.ciphertext), tag: hex(vector.tag) },
      ...(vector.chosenIv !== undefined && { chosenIv: hex(vector.chosenIv) }),
    }
    expect(encodeOpenApiEnvelope(envelope).toString('hex')).toBe(vector.openapi)
    expect(encodeAdvanceEnvelope(envelope).toString('hex')).toBe(vector.advance)
    const detached = detach(hex(vector.openapi))
    expect(detached.iv.toString('hex')).toBe(vector.detached.iv)
    expect(detached.blob.toString('hex')).toBe(vector.detached.blob)
    const whole = attach(keyVersionId, { iv: hex(vector.detached.iv), blob: hex(vector.detached.blob) })
    expect(whole.toString('hex')).toBe(vector.openapi)
    const bare = ofBytes(hex(vector.callerAad))
    const bound = envelope.chosenIv ? chosen(envelope.chosenIv, bare) : bare
    const aad = ENVELOPE_LAYOUTS.advance.aad(form, keyVersionId, bound)
    expect(aad.toString('hex')).toBe(vector.aad)
    expect(ENVELOPE_LAYOUTS.openapi.aad(form, keyVersionId, bound)).toEqual(aad)
    const gcm = createDecipheriv('aes-256-gcm', hex(vector.masterKey), envelope.sealed.iv)
    gcm.setAAD(aad).setAuthTag(envelope.sealed.tag)
    const opened = Buffer.concat([gcm.update(envelope.sealed.ciphertext), gcm.final()])
    expect(opened.toString('hex')).toBe(vector.plaintext)
  })

  it('OAE-7, AVE-1 encode and parse as inverse functions, with and without an IV of the caller', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        const openApi = encodeOpenApiEnvelope(envelope)
        const advance = encodeAdvanceEnvelope(envelope)
        expect(parseOpenApiEnvelope(openApi)).toEqual(envelope)
        expect(parseAdvanceEnvelope(advance)).toEqual(envelope)
        expect(advance).toEqual(Buffer.concat([hex('240002'), openApi]))
        expect(parseEnvelope(advance)).toEqual({ layout: 'advance', envelope })
        expect(ivOfAdvanceBlob(advance)).toEqual(envelope.chosenIv ?? envelope.sealed.iv)
      }),
    )
  })

  it('AVE-2 is told from a ciphertext without a version by all of its head', () => {
    const blob = encodeAdvanceEnvelope(parseOpenApiEnvelope(hex(vectors[0]?.openapi ?? '')) as Envelope)
    expect(isAdvanceBlob(blob)).toBe(true)
    for (let offset = 0; offset < 3; offset++) {
      const changed = Buffer.from(blob)
      changed[offset] = (changed[offset] ?? 0) ^ 1
      expect(isAdvanceBlob(changed)).toBe(false)
    }
    expect(isAdvanceBlob(Buffer.concat([hex('240002'), Buffer.alloc(100)]))).toBe(false)
    expect(isAdvanceBlob(hex('240002'))).toBe(false)
  })

  it('DTE-1 takes apart and puts together as inverse functions, however the IV is cut', () => {
    fc.assert(
      fc.property(envelopes, fc.nat(16), (envelope, cut) => {
        const openApi = encodeOpenApiEnvelope(envelope)
        const { iv, blob } = detach(openApi)
        expect(attach(envelope.keyVersionId, { iv, blob })).toEqual(openApi)
        const rest = openApi.subarray(36)
        const other = { iv: rest.subarray(0, cut), blob: rest.subarray(cut) }
        expect(attach(envelope.keyVersionId, other)).toEqual(openApi)
      }),
    )
  })

  it('CTX-8 binds the IV that a caller wants apart from everything else that is bound', () => {
    const iv = Buffer.alloc(12, 5)
    const none = ofBytes(Buffer.alloc(0))
    for (const encode of [encodeCallerAad, encodeAlibabaCallerAad]) {
      expect(encode(chosen(iv, none)).toString('hex')).toBe(`03${'05'.repeat(12)}00`)
      const seen = [
        none,
        ofBytes(iv),
        ofBytes(encode(chosen(iv, none))),
        chosen(iv, none),
        chosen(iv, ofBytes(iv)),
        chosen(Buffer.alloc(12, 6), none),
      ].map((aad) => encode(aad).toString('hex'))
      expect(new Set(seen).size).toBe(seen.length)
    }
  })
})

describe('the core with envelopes of the instance API', () => {
  const { kms } = kmsFixture()
  const plaintext = Buffer.from('plain')

  it('OAE-7 seals with a fresh IV whatever the caller wants', async () => {
    const { keyId } = await kms.createKey(call(), {})
    const key = { kind: 'id', keyId } as const
    const style = { layout: 'advance', presentation: 'raw', chosenIv: Buffer.alloc(12, 1) } as const
    const seal = async () => (await kms.encrypt(call(), { key, plaintext, style })).blob
    const ivs = new Set<string>()
    for (let round = 0; round < 20; round++) {
      const envelope = parseAdvanceEnvelope(await seal())
      expect(envelope?.chosenIv).toEqual(style.chosenIv)
      ivs.add(envelope?.sealed.iv.toString('hex') ?? '')
    }
    expect(ivs.size).toBe(20)
    expect(ivs.has(style.chosenIv.toString('hex'))).toBe(false)
  })

  it('AVE-3, ENV-7 fails in one way whatever byte is changed', async () => {
    const { keyId } = await kms.createKey(call(), {})
    const key = { kind: 'id', keyId } as const
    const style = { layout: 'advance', presentation: 'raw', chosenIv: Buffer.alloc(12, 1) } as const
    const { blob } = await kms.encrypt(call(), { key, plaintext, style })
    for (let bit = 0; bit < blob.length * 8; bit++) {
      const changed = Buffer.from(blob)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await expect(kms.decrypt(call(), { blob: changed })).rejects.toMatchObject({
        code: 'CIPHERTEXT_INVALID',
        message: 'The ciphertext is not valid.',
      })
    }
  })
})
