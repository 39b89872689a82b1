import type { MlDsaSetName } from './ml-dsa.ts'

/** A named curve of the short Weierstrass form (SEC 1, "Elliptic Curve Domain Parameters"). */
export interface Curve {
  /** DER of its object identifier, tag and length included: CKA_EC_PARAMS of PKCS#11, namedCurve of PKCS#8. */
  readonly oid: Buffer
  /** Name in OpenSSL. */
  readonly opensslName: string
  /** Length of a coordinate and of a private scalar. Bytes. */
  readonly scalarBytes: number
  /** y² = x³ + ax + b over the field of this prime. */
  readonly prime: bigint
  readonly a: bigint
  /** Number of points; a prime too. */
  readonly order: bigint
}

/** What kind of key pair a spec asks for. */
export type PairAlgorithm = DataPairAlgorithm | { readonly kind: 'ml-dsa'; readonly set: MlDsaSetName }

/** The kinds that serve as data keys too. */
export type DataPairAlgorithm =
  | { readonly kind: 'rsa'; readonly modulusBits: number }
  | { readonly kind: 'ec'; readonly curve: Curve }
  | { readonly kind: 'ed25519' }

/** DER of id-Ed25519 (RFC 8410, "Curve25519 and Curve448 Algorithm Identifiers"). */
export const ED25519_OID = Buffer.from('06032b6570', 'hex')

const P256_PRIME = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n
const P384_PRIME = 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n
const P521_PRIME = 2n ** 521n - 1n

/** Numbers: FIPS 186-4, appendix D.1.2; SEC 2, "Recommended Parameters secp256k1". */
export const CURVES = {
  P256: {
    oid: Buffer.from('06082a8648ce3d030107', 'hex'),
    opensslName: 'prime256v1',
    scalarBytes: 32,
    prime: P256_PRIME,
    a: P256_PRIME - 3n,
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  P384: {
    oid: Buffer.from('06052b81040022', 'hex'),
    opensslName: 'secp384r1',
    scalarBytes: 48,
    prime: P384_PRIME,
    a: P384_PRIME - 3n,
    order:
      0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  P521: {
    oid: Buffer.from('06052b81040023', 'hex'),
    opensslName: 'secp521r1',
    scalarBytes: 66,
    prime: P521_PRIME,
    a: P521_PRIME - 3n,
    order:
      0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  },
  SECP256K1: {
    oid: Buffer.from('06052b8104000a', 'hex'),
    opensslName: 'secp256k1',
    scalarBytes: 32,
    prime: 2n ** 256n - 2n ** 32n - 977n,
    a: 0n,
    order: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  },
} as const satisfies Readonly<Record<string, Curve>>

/** Specs of key pairs that serve as data keys, and what each is called in AWS KMS ("GenerateDataKeyPair", KeyPairSpec). */
export const KEY_PAIR_SPECS = {
  RSA_2048: { aws: 'RSA_2048', algorithm: { kind: 'rsa', modulusBits: 2048 } },
  RSA_3072: { aws: 'RSA_3072', algorithm: { kind: 'rsa', modulusBits: 3072 } },
  RSA_4096: { aws: 'RSA_4096', algorithm: { kind: 'rsa', modulusBits: 4096 } },
  EC_P256: { aws: 'ECC_NIST_P256', algorithm: { kind: 'ec', curve: CURVES.P256 } },
  EC_P384: { aws: 'ECC_NIST_P384', algorithm: { kind: 'ec', curve: CURVES.P384 } },
  EC_P521: { aws: 'ECC_NIST_P521', algorithm: { kind: 'ec', curve: CURVES.P521 } },
  EC_SECP256K1: { aws: 'ECC_SECG_P256K1', algorithm: { kind: 'ec', curve: CURVES.SECP256K1 } },
  ED25519: { aws: 'ECC_NIST_EDWARDS25519', algorithm: { kind: 'ed25519' } },
} as const satisfies Readonly<Record<string, { readonly aws: string; readonly algorithm: DataPairAlgorithm }>>

export type KeyPairSpec = keyof typeof KEY_PAIR_SPECS

export const KEY_PAIR_SPEC_NAMES = Object.keys(KEY_PAIR_SPECS) as readonly KeyPairSpec[]
