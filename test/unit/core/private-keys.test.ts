import {
  createDecipheriv,
  createECDH,
  createPrivateKey,
  generateKeyPairSync,
  type JsonWebKey,
} from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeEncryptionContext } from '../../../src/core/encryption-context.ts'
import { nativeAad, parseNativeEnvelope } from '../../../src/core/envelope/native-envelope.ts'
import type { PayloadForm } from '../../../src/core/envelope/payload-form.ts'
import { present } from '../../../src/core/envelope/present.ts'
import { CURVES, type Curve } from '../../../src/core/key-pair-spec.ts'
import { canonicalPkcs8, cutPkcs8, EC_OID, ecPkcs8 } from '../../../src/core/pkcs8.ts'
import { DER_TAG, derUnsigned, encodeDer, readDer } from '../../../src/lib/der.ts'

/** A frozen private key; see test/vectors/envelope-v1/README.md. */
interface Vector {
  readonly name: string
  readonly form: PayloadForm
  readonly keyVersionId: string
  readonly encryptionContext: Readonly<Record<string, string>>
  readonly masterKey: string
  readonly wrapKey?: string
  readonly payload: string
  readonly presented: string
  readonly iv: string
  readonly aad: string
  readonly blob: string
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/envelope-v1/private-keys.json', import.meta.url), 'utf8'),
) as readonly Vector[]
const hex = (text: string) => Buffer.from(text, 'hex')
const scalars = (curve: Curve) =>
  fc
    .uint8Array({ minLength: curve.scalarBytes - 1, maxLength: curve.scalarBytes - 1 })
    .map((bytes) => Buffer.from(bytes))
    .filter((bytes) => bytes.some((byte) => byte !== 0))
/** As SoftHSM and openCryptoki write it: without the public key. */
const bareEc = (curve: Curve, scalar: Buffer) => {
  const number = (value: number) => ({ tag: DER_TAG.integer, content: [Buffer.of(value)] })
  const sequence = (...content: (Buffer | object)[]) => ({ tag: DER_TAG.sequence, content }) as never
  const octets = (content: Buffer | object) => ({ tag: DER_TAG.octetString, content: [content] })
  return encodeDer(
    sequence(number(0), sequence(EC_OID, curve.oid), octets(sequence(number(1), octets(scalar)))),
  )
}
/** OpenSSL's own encoding of a scalar, from a JWK: it adds no public key to a PKCS#8 that has none. */
const opensslEc = (curve: Curve, crv: string, scalar: Buffer): Buffer => {
  const ecdh = createECDH(curve.opensslName)
  ecdh.setPrivateKey(scalar)
  const [x, y] = [1, 1 + curve.scalarBytes].map((at) =>
    ecdh
      .getPublicKey()
      .subarray(at, at + curve.scalarBytes)
      .toString('base64url'),
  )
  const jwk = { kty: 'EC', crv, d: scalar.toString('base64url'), x, y } as JsonWebKey
  return createPrivateKey({ format: 'jwk', key: jwk }).export({ type: 'pkcs8', format: 'der' })
}
const JWK_CURVES = { P256: 'P-256', P384: 'P-384', P521: 'P-521', SECP256K1: 'secp256k1' } as const

describe('private keys', () => {
  it.each(vectors)('PK-1, ENV-6, ENV-10 "$name" opens to its frozen presentation', (vector) => {
    const { form, keyVersionId, sealed } = parseNativeEnvelope(hex(vector.blob)) ?? expect.fail()
    expect({ form, keyVersionId }).toEqual({ form: vector.form, keyVersionId: vector.keyVersionId })
    const context = encodeEncryptionContext(new Map(Object.entries(vector.encryptionContext)))
    expect(nativeAad(form, keyVersionId, context).toString('hex')).toBe(vector.aad)
    const gcm = createDecipheriv('aes-256-gcm', hex(vector.masterKey), sealed.iv)
    gcm.setAAD(hex(vector.aad)).setAuthTag(sealed.tag)
    let payload = Buffer.concat([gcm.update(sealed.ciphertext), gcm.final()])
    if (vector.wrapKey !== undefined) {
      expect(payload.readUInt16BE(0)).toBe(0)
      const unwrap = createDecipheriv('id-aes256-wrap-pad', hex(vector.wrapKey), hex('a65959a6'))
      const unwrapped = Buffer.concat([unwrap.update(payload.subarray(2)), unwrap.final()])
      payload = Buffer.from(cutPkcs8(unwrapped) ?? expect.fail())
    }
    expect(payload.toString('hex')).toBe(vector.payload)
    const presented = present(form.presentation, payload)
    const encoding = form.presentation === 'pkcs8-pem' ? 'latin1' : 'hex'
    expect(presented.toString(encoding)).toBe(vector.presented)
    expect(payload.every((byte) => byte === 0)).toBe(true)
  })

  it.each(['rsa', 'ed25519'] as const)(
    'PK-1, PK-2, PK-4, PK-5 %s has the form that OpenSSL gives it',
    (kind) => {
      const options = { privateKeyEncoding: { type: 'pkcs8', format: 'der' } } as const
      const der =
        kind === 'rsa'
          ? generateKeyPairSync('rsa', {
              ...options,
              modulusLength: 2048,
              publicKeyEncoding: { type: 'spki', format: 'der' },
            }).privateKey
          : generateKeyPairSync('ed25519', {
              ...options,
              publicKeyEncoding: { type: 'spki', format: 'der' },
            }).privateKey
      expect(present('pkcs8-der', Buffer.from(der))).toEqual(der)
      expect(present('pkcs8-pem', Buffer.from(der))).toEqual(
        Buffer.from(
          createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
            type: 'pkcs8',
            format: 'pem',
          }),
        ),
      )
    },
  )

  it.each(Object.entries(CURVES))(
    'PK-3, PK-1 %s has one form whatever zeros and public key are with it',
    (name, curve) => {
      fc.assert(
        fc.property(scalars(curve), fc.nat({ max: 7 }), (scalar, zeros) => {
          const whole = Buffer.concat([Buffer.of(0), scalar])
          const expected = opensslEc(curve, JWK_CURVES[name as keyof typeof JWK_CURVES], whole)
          const padded = Buffer.concat([Buffer.alloc(1 + zeros), scalar])
          const stripped = scalar.subarray(scalar.findIndex((byte) => byte !== 0))
          for (const written of [scalar, padded, stripped]) {
            expect(canonicalPkcs8(bareEc(curve, written))).toEqual(expected)
            expect(ecPkcs8(curve, written)).toEqual(expected)
          }
          expect(canonicalPkcs8(expected)).toEqual(expected)
        }),
        { numRuns: 25 },
      )
    },
  )

  it('PK-1 are never made of other bytes, whatever they are', () => {
    const der = bareEc(CURVES.P256, Buffer.alloc(32, 7))
    for (let at = 0; at < der.length; at += 1) {
      expect(canonicalPkcs8(der.subarray(0, at))).toBeUndefined()
    }
    expect(canonicalPkcs8(Buffer.concat([der, Buffer.of(0)]))).toBeUndefined()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(canonicalPkcs8(Buffer.from(bytes))).toBeUndefined()
      }),
    )
    expect(() => present('pkcs8-der', Buffer.from('not a key'))).toThrow('presented as a private key')
  })

  it('ENV-10 are cut out of the zeros behind them, and of nothing else', () => {
    const der = bareEc(CURVES.P256, Buffer.alloc(32, 7))
    for (const zeros of [0, 1, 7]) {
      expect(cutPkcs8(Buffer.concat([der, Buffer.alloc(zeros)]))).toEqual(der)
    }
    expect(cutPkcs8(Buffer.concat([der, Buffer.of(0, 1)]))).toBeUndefined()
    expect(cutPkcs8(der.subarray(1))).toBeUndefined()
    expect(cutPkcs8(Buffer.alloc(0))).toBeUndefined()
  })
})

describe('DER', () => {
  it('is read as it was written, at every length', () => {
    for (const length of [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000]) {
      const content = Buffer.alloc(length, 0xab)
      const bytes = encodeDer({ tag: DER_TAG.octetString, content: [content] })
      expect(readDer(bytes, DER_TAG.octetString)).toEqual({ content, end: bytes.length })
      expect(readDer(bytes, DER_TAG.integer)).toBeUndefined()
      expect(readDer(bytes.subarray(0, -1), DER_TAG.octetString)).toBeUndefined()
    }
  })

  it('refuses lengths that are indefinite, or longer than they need be', () => {
    for (const bytes of ['0480', '048100', '04817f', '0482007f', '0485000000000100', '04']) {
      expect(readDer(Buffer.concat([hex(bytes), Buffer.alloc(300)]).subarray(0, -300), 4)).toBeUndefined()
      if (bytes !== '04') expect(readDer(Buffer.concat([hex(bytes), Buffer.alloc(300)]), 4)).toBeUndefined()
    }
  })

  it('writes an unsigned number with the one zero that it needs', () => {
    const written = (text: string) => encodeDer(derUnsigned(hex(text))).toString('hex')
    expect(['', '00', '0000', '7f', '80', '0080', '00007f01'].map(written)).toEqual([
      '020100',
      '020100',
      '020100',
      '02017f',
      '02020080',
      '02020080',
      '02027f01',
    ])
  })
})
