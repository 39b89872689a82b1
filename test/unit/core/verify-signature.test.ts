import { constants, generateKeyPairSync, hash, type KeyObject, randomBytes, sign, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ecdsaToDer, parseEcdsaDer } from '../../../src/core/ecdsa-signature.ts'
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../../src/core/key-spec.ts'
import { verifyDigest, verifyMessage } from '../../../src/core/verify-signature.ts'

interface Pair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = (namedCurve: string): Pair => generateKeyPairSync('ec', { namedCurve })
const version = ({ publicKey }: Pair) => ({
  versionId: 'v',
  number: 1,
  createdAt: 0,
  publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
})
const padding = (algorithm: SigningAlgorithm) =>
  SIGNING_ALGORITHMS[algorithm].scheme === 'rsa-pss'
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : { padding: constants.RSA_PKCS1_PADDING }

const RSA_ALGORITHMS = [
  'RSASSA_PSS_SHA_256',
  'RSASSA_PSS_SHA_384',
  'RSASSA_PSS_SHA_512',
  'RSASSA_PKCS1_V1_5_SHA_256',
  'RSASSA_PKCS1_V1_5_SHA_384',
  'RSASSA_PKCS1_V1_5_SHA_512',
] as const
const EC_ALGORITHMS = [
  ['prime256v1', 'ECDSA_SHA_256'],
  ['secp384r1', 'ECDSA_SHA_384'],
  ['secp521r1', 'ECDSA_SHA_512'],
  ['secp256k1', 'ECDSA_SHA_256'],
] as const
/** Algorithms whose digests are longer than the order of the curve, which cuts them. */
const CUT = [
  ['prime256v1', 'ECDSA_SHA_512'],
  ['secp384r1', 'ECDSA_SHA_512'],
] as const

const flipped = (bytes: Buffer, at: number) => Buffer.from(bytes).fill((bytes[at] ?? 0) ^ 1, at, at + 1)
const digestOf = (algorithm: SigningAlgorithm, message: Buffer) =>
  hash(SIGNING_ALGORITHMS[algorithm].hash ?? '', message, 'buffer')

/** Whether both ways to verify say the same. */
function bothSay(key: Pair, algorithm: SigningAlgorithm, message: Buffer, signature: Buffer): boolean {
  const ofMessage = verifyMessage(version(key), algorithm, message, signature)
  expect(verifyDigest(version(key), algorithm, digestOf(algorithm, message), signature)).toBe(ofMessage)
  return ofMessage
}

describe('signatures by Node of messages and of digests', () => {
  it.each(RSA_ALGORITHMS)('%s', (algorithm) => {
    const message = randomBytes(99)
    const signature = sign(SIGNING_ALGORITHMS[algorithm].hash, message, {
      key: RSA.privateKey,
      ...padding(algorithm),
    })
    expect(bothSay(RSA, algorithm, message, signature)).toBe(true)
    for (let at = 0; at < signature.length; at += 17)
      expect(bothSay(RSA, algorithm, message, flipped(signature, at))).toBe(false)
    expect(bothSay(RSA, algorithm, flipped(message, 0), signature)).toBe(false)
    for (const odd of [signature.subarray(1), Buffer.concat([Buffer.of(0), signature]), Buffer.alloc(1)])
      expect(bothSay(RSA, algorithm, message, odd)).toBe(false)
    expect(bothSay(RSA, algorithm, message, Buffer.alloc(256, 0xff))).toBe(false)
    const other = RSA_ALGORITHMS.filter((one) => one !== algorithm)
    for (const one of other) expect(bothSay(RSA, one, message, signature)).toBe(false)
  })

  it.each(RSA_ALGORITHMS)('%s has one form: zeros before a number are of it', (algorithm) => {
    const { hash: name } = SIGNING_ALGORITHMS[algorithm]
    let [message, signature] = [Buffer.alloc(0), Buffer.of(1)]
    // One of 256 begins so.
    while (signature[0] !== 0) {
      message = randomBytes(8)
      signature = sign(name, message, { key: RSA.privateKey, ...padding(algorithm) })
    }
    expect(bothSay(RSA, algorithm, message, signature)).toBe(true)
    expect(bothSay(RSA, algorithm, message, signature.subarray(1))).toBe(false)
  })

  it('RSASSA_PSS takes a salt as long as the digest alone', () => {
    const message = randomBytes(10)
    for (const saltLength of [0, 20, 31, 33, 64]) {
      const options = { key: RSA.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
      const signature = sign('sha256', message, options)
      expect(bothSay(RSA, 'RSASSA_PSS_SHA_256', message, signature)).toBe(false)
    }
  })

  it.each([...EC_ALGORITHMS, ...CUT])('ECDSA on %s with %s', (curve, algorithm) => {
    const key = ec(curve)
    for (let round = 0; round < 40; round++) {
      const message = randomBytes(round)
      const signature = sign(SIGNING_ALGORITHMS[algorithm].hash, message, key.privateKey)
      expect(bothSay(key, algorithm, message, signature)).toBe(true)
      expect(bothSay(key, algorithm, Buffer.concat([message, Buffer.of(0)]), signature)).toBe(false)
      expect(bothSay(ec(curve), algorithm, message, signature)).toBe(false)
      expect(bothSay(key, algorithm, message, flipped(signature, signature.length - 1))).toBe(false)
    }
  })

  it('ED25519_SHA_512', () => {
    const key = generateKeyPairSync('ed25519')
    const message = randomBytes(4096)
    const signature = sign(null, message, key.privateKey)
    expect(verifyMessage(version(key), 'ED25519_SHA_512', message, signature)).toBe(true)
    expect(verifyMessage(version(key), 'ED25519_SHA_512', message.subarray(1), signature)).toBe(false)
    expect(verifyMessage(version(key), 'ED25519_SHA_512', message, signature.subarray(1))).toBe(false)
  })
})

describe('ECDSA signatures', () => {
  const P256 = ec('prime256v1')
  const message = Buffer.from('signed')
  const raw = sign('sha256', message, { key: P256.privateKey, dsaEncoding: 'ieee-p1363' })
  const der = ecdsaToDer(raw)

  it('become the DER that OpenSSL reads', () => {
    expect(verify('sha256', message, P256.publicKey, der)).toBe(true)
    expect(bothSay(P256, 'ECDSA_SHA_256', message, der)).toBe(true)
    const small = Buffer.alloc(64)
    small[31] = 1
    small[63] = 0x80
    expect(ecdsaToDer(small).toString('hex')).toBe('300702010102020080')
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['the raw form', raw],
    ['something behind', Buffer.concat([der, Buffer.of(0)])],
    ['one number', Buffer.from('3003020101', 'hex')],
    ['three numbers', Buffer.from('3009020101020101020101', 'hex')],
    ['a negative number', Buffer.from('30060201ff020101', 'hex')],
    ['a needless zero', Buffer.from('3007020200010201' + '01', 'hex')],
    ['a length that is not the shortest', Buffer.from('308106020101020101', 'hex')],
    ['an empty number', Buffer.from('30050200020101', 'hex')],
  ])('in another form are none: %s', (_, bytes) => {
    expect(parseEcdsaDer(bytes)).toBeUndefined()
    expect(bothSay(P256, 'ECDSA_SHA_256', message, bytes)).toBe(false)
  })

  it.each([
    ['zero and one', 0n, 1n],
    ['one and zero', 1n, 0n],
    ['the order', 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n, 1n],
    ['past the order', 1n, 2n ** 256n - 1n],
    ['ones', 1n, 1n],
  ])('of numbers that no signature has are refused: %s', (_, r, s) => {
    const bytes = (number: bigint) => Buffer.from(number.toString(16).padStart(64, '0'), 'hex')
    const signature = ecdsaToDer(Buffer.concat([bytes(r), bytes(s)]))
    expect(bothSay(P256, 'ECDSA_SHA_256', message, signature)).toBe(false)
  })

  it('of a digest of zeros verify as OpenSSL has them', () => {
    // z = 0: with r = x(Q), s = r, u₂ is 1 and the sum is Q itself.
    const { x = '' } = P256.publicKey.export({ format: 'jwk' })
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const r = BigInt(`0x${Buffer.from(x, 'base64url').toString('hex')}`) % order
    const half = Buffer.from(r.toString(16).padStart(64, '0'), 'hex')
    const signature = ecdsaToDer(Buffer.concat([half, half]))
    expect(verifyDigest(version(P256), 'ECDSA_SHA_256', Buffer.alloc(32), signature)).toBe(true)
    expect(verifyDigest(version(P256), 'ECDSA_SHA_256', Buffer.alloc(32, 1), signature)).toBe(false)
  })
})
