import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { CURVES, type Curve } from '../../src/core/key-pair-spec.ts'
import { type KeySpec, type KeyUsage, keySpecRow } from '../../src/core/key-spec.ts'
import { canonicalPkcs8, type RsaNumbers, readPkcs8, rsaPkcs8 } from '../../src/core/pkcs8.ts'
import type { WrappingAlgorithm } from '../../src/core/ports/import-store.ts'
import { DER_TAG, encodeDer } from '../../src/lib/der.ts'

/** A key that its owner brings: of what spec and usage, and how it has to be wrapped. */
export interface ImportedSpec {
  readonly spec: KeySpec
  readonly usage: KeyUsage
}

export const IMPORTED_SPECS: readonly ImportedSpec[] = [
  { spec: 'HMAC_224', usage: 'GENERATE_VERIFY_MAC' },
  { spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' },
  { spec: 'HMAC_384', usage: 'GENERATE_VERIFY_MAC' },
  { spec: 'HMAC_512', usage: 'GENERATE_VERIFY_MAC' },
  { spec: 'RSA_2048', usage: 'SIGN_VERIFY' },
  { spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' },
  { spec: 'RSA_3072', usage: 'SIGN_VERIFY' },
  { spec: 'RSA_4096', usage: 'ENCRYPT_DECRYPT' },
  { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' },
  { spec: 'ECC_NIST_P256', usage: 'KEY_AGREEMENT' },
  { spec: 'ECC_NIST_P384', usage: 'SIGN_VERIFY' },
  { spec: 'ECC_NIST_P384', usage: 'KEY_AGREEMENT' },
  { spec: 'ECC_NIST_P521', usage: 'SIGN_VERIFY' },
  { spec: 'ECC_NIST_P521', usage: 'KEY_AGREEMENT' },
  { spec: 'ECC_SECG_P256K1', usage: 'SIGN_VERIFY' },
  { spec: 'ECC_NIST_EDWARDS25519', usage: 'SIGN_VERIFY' },
]

/** Material of a spec as its owner has it: the secret, or PKCS#8. */
export interface OwnedMaterial {
  readonly bytes: Buffer
  readonly publicKey?: KeyObject
  readonly privateKey?: KeyObject
}

export function makeMaterial(spec: KeySpec): OwnedMaterial {
  const { kind } = keySpecRow(spec)
  if (kind.kind === 'aes' || kind.kind === 'hmac') return { bytes: randomBytes(kind.lengthBytes) }
  if (kind.kind === 'rsa') return owned(generateKeyPairSync('rsa', { modulusLength: kind.modulusBits }))
  if (kind.kind === 'ec') return owned(generateKeyPairSync('ec', { namedCurve: kind.curve.opensslName }))
  return owned(generateKeyPairSync('ed25519'))
}

function owned(pair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }): OwnedMaterial {
  return { ...pair, bytes: pair.privateKey.export({ type: 'pkcs8', format: 'der' }) }
}

/** The algorithm that such material fits, under a wrapping key of any spec. */
export function wrappingFor(spec: KeySpec): WrappingAlgorithm {
  return spec.startsWith('RSA') || spec === 'ECC_NIST_P521' ? 'RSA_AES_KEY_WRAP_SHA_1' : 'RSAES_OAEP_SHA_1'
}

/** What is no material of a spec, each with what it is. */
export function wrongMaterials(spec: KeySpec): readonly (readonly [what: string, bytes: Buffer])[] {
  const { kind } = keySpecRow(spec)
  if (kind.kind === 'hmac') {
    const lengths = [1, 16, kind.lengthBytes - 1, kind.lengthBytes + 1, kind.lengthBytes + 8]
    return lengths.map((length) => [`${length} bytes`, randomBytes(length)])
  }
  const { bytes, privateKey } = makeMaterial(spec)
  const anyPair = [
    ['no structure', randomBytes(80)],
    ['a structure that is cut', bytes.subarray(0, -1)],
    [
      'a pair of another kind',
      makeMaterial(kind.kind === 'ed25519' ? 'ECC_NIST_P256' : 'ECC_NIST_EDWARDS25519').bytes,
    ],
  ] as const
  if (kind.kind === 'ec') {
    const other = kind.curve === CURVES.P256 ? 'ECC_SECG_P256K1' : 'ECC_NIST_P256'
    return [
      ...anyPair,
      ['a key of another curve', makeMaterial(other).bytes],
      ['the private key 0', withScalar(kind.curve, 0n)],
      ['SEC 1 instead of PKCS#8', privateKey?.export({ type: 'sec1', format: 'der' }) ?? Buffer.alloc(0)],
    ]
  }
  if (kind.kind !== 'rsa') return anyPair
  const parts = readPkcs8(bytes)
  const numbers = parts?.kind === 'rsa' ? [...parts.numbers] : []
  // Libraries sign with the exponent where the primes give no signature that is right.
  const wrong = (at: number) => Buffer.from(numbers[at] ?? '').fill(0xa5, 5, 20)
  const unlike = numbers.with(2, wrong(2)).with(3, wrong(3)) as unknown as RsaNumbers
  const exponent3 = generateKeyPairSync('rsa', { modulusLength: kind.modulusBits, publicExponent: 3 })
  return [
    ...anyPair,
    ['a key of another length', makeMaterial(spec === 'RSA_2048' ? 'RSA_3072' : 'RSA_2048').bytes],
    ['a key with the exponent 3', owned(exponent3).bytes],
    ['a key of numbers that do not belong together', rsaPkcs8(unlike)],
    ['PKCS#1 instead of PKCS#8', privateKey?.export({ type: 'pkcs1', format: 'der' }) ?? Buffer.alloc(0)],
  ]
}

function withScalar({ oid, scalarBytes }: Curve, scalar: bigint): Buffer {
  const small = (number: number) => ({ tag: DER_TAG.integer, content: [Buffer.of(number)] })
  const digits = Buffer.from(scalar.toString(16).padStart(2 * scalarBytes, '0'), 'hex')
  const key = encodeDer({
    tag: DER_TAG.sequence,
    content: [small(1), { tag: DER_TAG.octetString, content: [digits] }],
  })
  const algorithm = { tag: DER_TAG.sequence, content: [Buffer.from('06072a8648ce3d0201', 'hex'), oid] }
  return encodeDer({
    tag: DER_TAG.sequence,
    content: [small(0), algorithm, { tag: DER_TAG.octetString, content: [key] }],
  })
}

/** PKCS#8 of a key of a curve that bears the public key of another: what is written beside a private key is not believed. */
export function withAnotherPublicKey(bytes: Buffer): Buffer {
  const canonical = canonicalPkcs8(bytes) ?? Buffer.alloc(0)
  const other = makeMaterial('ECC_NIST_P256').publicKey?.export({ type: 'spki', format: 'der' })
  const point = other?.subarray(-65) ?? Buffer.alloc(0)
  return Buffer.concat([canonical.subarray(0, -65), point])
}
