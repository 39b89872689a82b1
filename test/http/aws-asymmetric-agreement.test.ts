import { diffieHellman, ECDH, generateKeyPairSync, randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { asymmetricFixture, Message } from './aws-asymmetric-fixture.ts'

const { fixture, ok, fault, newKey, publicKeyOf } = asymmetricFixture()

describe('DeriveSharedSecret', () => {
  const CURVES = { ECC_NIST_P256: 'P-256', ECC_NIST_P384: 'P-384', ECC_NIST_P521: 'P-521' } as const
  const spki = (namedCurve: string) => {
    const pair = generateKeyPairSync('ec', { namedCurve })
    return { ...pair, der: pair.publicKey.export({ type: 'spki', format: 'der' }) }
  }

  it.each(Object.entries(CURVES))('%s', async (spec, curve) => {
    const key = await newKey(spec, 'KEY_AGREEMENT')
    const other = spki(curve)
    const input = {
      KeyId: key.KeyId,
      KeyAgreementAlgorithm: 'ECDH',
      PublicKey: other.der.toString('base64'),
    }
    const expected = diffieHellman({ privateKey: other.privateKey, publicKey: await publicKeyOf(key) })
    expect(await ok('DeriveSharedSecret', input)).toEqual({
      KeyId: key.arn,
      SharedSecret: expected.toString('base64'),
      KeyAgreementAlgorithm: 'ECDH',
      KeyOrigin: 'AWS_KMS',
    })
  })

  it('takes a point in either form', async () => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT')
    const { der } = spki('P-256')
    const compressed = ECDH.convertKey(der.subarray(-65), 'prime256v1', undefined, undefined, 'compressed')
    const short = Buffer.concat([
      Buffer.from('3039', 'hex'),
      der.subarray(2, 23),
      Buffer.from('032200', 'hex'),
      Buffer.from(compressed),
    ])
    const secretOf = async (bytes: Buffer) =>
      (
        await ok('DeriveSharedSecret', {
          KeyId,
          KeyAgreementAlgorithm: 'ECDH',
          PublicKey: bytes.toString('base64'),
        })
      )['SharedSecret']
    expect(await secretOf(short)).toBe(await secretOf(der))
  })

  it('refuses public keys that are none of the curve', async () => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT')
    const good = spki('P-256').der
    const infinity = Buffer.concat([
      Buffer.from('3019', 'hex'),
      good.subarray(2, 23),
      Buffer.from('03020000', 'hex'),
    ])
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
    const bad = {
      'another curve': spki('P-384').der,
      'a curve of the same length': spki('secp256k1').der,
      'off the curve': Buffer.from(good).fill((good[60] ?? 0) ^ 1, 60, 61),
      'cut off': good.subarray(0, -1),
      'no key at all': Buffer.from('x'),
      'of RSA': rsa.export({ type: 'spki', format: 'der' }),
      'at infinity': infinity,
      'of X25519': generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'der' }),
      'too large a number': Buffer.concat([good.subarray(0, -64), Buffer.alloc(64, 0xff)]),
      'with something behind': Buffer.concat([good, Buffer.alloc(8)]),
      'of a curve that is spelt out': generateKeyPairSync('ec', {
        namedCurve: 'P-256',
        paramEncoding: 'explicit',
      }).publicKey.export({ type: 'spki', format: 'der' }),
    }
    const before = fixture().provider.calls.length
    for (const [what, bytes] of Object.entries(bad)) {
      const input = { KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey: bytes.toString('base64') }
      expect(await fault('DeriveSharedSecret', input), what).toEqual(['ValidationException', ''])
    }
    expect(fixture().provider.calls).toHaveLength(before)
  })

  it('names its one algorithm', async () => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT')
    const input = { KeyId, KeyAgreementAlgorithm: 'INVALID', PublicKey: Message }
    expect(await fault('DeriveSharedSecret', input)).toEqual([
      'ValidationException',
      "1 validation error detected: Value 'INVALID' at 'keyAgreementAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [ECDH]",
    ])
  })
})

describe('Encapsulate and Decapsulate', () => {
  const SharedSecretCiphertextBlob = Buffer.alloc(1088).toString('base64')
  const cases = [
    ['Encapsulate', 'C_EncapsulateKey', {}],
    ['Decapsulate', 'C_DecapsulateKey', { SharedSecretCiphertextBlob }],
  ] as const

  it.each(cases)('%s is refused with the names of the token and of %s', async (operation, name, members) => {
    const { KeyId } = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT')
    const input = { KeyId, EncapsulationAlgorithm: 'ML_KEM', ...members }
    const refusal = [
      'UnsupportedOperationException',
      `${operation} is not carried out by the token "main": it takes ${name} with CKM_ML_KEM of PKCS#11 v3.2, which the binding to tokens does not call.`,
    ]
    expect(await fault(operation, input)).toEqual(refusal)
    expect(await fault(operation, { ...input, DryRun: true })).toEqual(refusal)
    const absent = await fault(operation, { ...input, KeyId: randomUUID() })
    expect(absent[0]).toBe('NotFoundException')
    expect((await fault(operation, { KeyId, ...members }))[0]).toBe('ValidationException')
    await ok('DisableKey', { KeyId })
    expect((await fault(operation, input))[0]).toBe('DisabledException')
  })
})
