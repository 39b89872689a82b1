import { CURVES, type PairAlgorithm } from './key-pair-spec.ts'
import type { MlDsaSetName } from './ml-dsa.ts'

/** What a key may be used for; which operations that allows is in `usage.ts`. */
export type KeyUsage = 'ENCRYPT_DECRYPT' | 'SIGN_VERIFY' | 'GENERATE_VERIFY_MAC' | 'KEY_AGREEMENT'

export type EncryptionAlgorithm = 'SYMMETRIC_DEFAULT' | keyof typeof OAEP_ALGORITHMS
export type SigningAlgorithm = keyof typeof SIGNING_ALGORITHMS
export type MacAlgorithm = keyof typeof MAC_ALGORITHMS
export type KeyAgreementAlgorithm = 'ECDH'

/** Hash functions by their names in OpenSSL, and the length of what they give. Bytes. */
export const HASH_BYTES = { sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64 } as const
export type HashName = keyof typeof HASH_BYTES

/** RSAES-OAEP (RFC 8017); the mask is made with the same hash, and the label is empty. */
export const OAEP_ALGORITHMS = {
  RSAES_OAEP_SHA_1: { hash: 'sha1' },
  RSAES_OAEP_SHA_256: { hash: 'sha256' },
} as const satisfies Readonly<Record<string, { readonly hash: HashName }>>
export type OaepAlgorithm = keyof typeof OAEP_ALGORITHMS

/**
 * How each algorithm signs. `eddsa` and `ml-dsa` sign the message itself, `eddsa-ph` its SHA-512 digest in a way of its own
 * (RFC 8032, Ed25519ph); the others sign a digest. The salt of RSASSA-PSS is as long as the digest.
 */
export type SigningScheme = 'rsa-pss' | 'rsa-pkcs1' | 'ecdsa' | 'eddsa' | 'eddsa-ph' | 'ml-dsa'

export const SIGNING_ALGORITHMS = {
  RSASSA_PSS_SHA_256: { scheme: 'rsa-pss', hash: 'sha256' },
  RSASSA_PSS_SHA_384: { scheme: 'rsa-pss', hash: 'sha384' },
  RSASSA_PSS_SHA_512: { scheme: 'rsa-pss', hash: 'sha512' },
  RSASSA_PKCS1_V1_5_SHA_256: { scheme: 'rsa-pkcs1', hash: 'sha256' },
  RSASSA_PKCS1_V1_5_SHA_384: { scheme: 'rsa-pkcs1', hash: 'sha384' },
  RSASSA_PKCS1_V1_5_SHA_512: { scheme: 'rsa-pkcs1', hash: 'sha512' },
  ECDSA_SHA_256: { scheme: 'ecdsa', hash: 'sha256' },
  ECDSA_SHA_384: { scheme: 'ecdsa', hash: 'sha384' },
  ECDSA_SHA_512: { scheme: 'ecdsa', hash: 'sha512' },
  ED25519_SHA_512: { scheme: 'eddsa', hash: 'sha512' },
  ED25519_PH_SHA_512: { scheme: 'eddsa-ph', hash: 'sha512' },
  ML_DSA_SHAKE_256: { scheme: 'ml-dsa', hash: undefined },
} as const satisfies Readonly<
  Record<
    string,
    { readonly scheme: SigningScheme; readonly hash: 'sha256' | 'sha384' | 'sha512' | undefined }
  >
>

/**
 * What a token is asked to sign with: an algorithm, or ML-DSA of the representative µ that a caller brings instead of the message
 * (FIPS 204, "Internal Functions").
 */
export type TokenSigning = SigningAlgorithm | 'ML_DSA_EXTERNAL_MU'

export const MAC_ALGORITHMS = {
  HMAC_SHA_224: { hash: 'sha224' },
  HMAC_SHA_256: { hash: 'sha256' },
  HMAC_SHA_384: { hash: 'sha384' },
  HMAC_SHA_512: { hash: 'sha512' },
} as const satisfies Readonly<Record<string, { readonly hash: HashName }>>

/** What a token makes for a key: an AES key, a secret for a MAC, or a key pair. */
export type KeyKind =
  | { readonly kind: 'aes'; readonly lengthBytes: number }
  | { readonly kind: 'hmac'; readonly lengthBytes: number }
  | PairAlgorithm

interface KeySpecRow {
  readonly kind: KeyKind
  /** What a key of this spec may be made for. */
  readonly usages: readonly KeyUsage[]
  readonly encryption?: readonly EncryptionAlgorithm[]
  readonly signing?: readonly SigningAlgorithm[]
  readonly mac?: readonly MacAlgorithm[]
  readonly agreement?: readonly KeyAgreementAlgorithm[]
}

const rsa = (modulusBits: number) =>
  ({
    kind: { kind: 'rsa', modulusBits },
    usages: ['ENCRYPT_DECRYPT', 'SIGN_VERIFY'],
    encryption: ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'],
    signing: [
      'RSASSA_PKCS1_V1_5_SHA_256',
      'RSASSA_PKCS1_V1_5_SHA_384',
      'RSASSA_PKCS1_V1_5_SHA_512',
      'RSASSA_PSS_SHA_256',
      'RSASSA_PSS_SHA_384',
      'RSASSA_PSS_SHA_512',
    ],
  }) as const satisfies KeySpecRow

const nist = (curve: keyof typeof CURVES, signing: SigningAlgorithm) =>
  ({
    kind: { kind: 'ec', curve: CURVES[curve] },
    usages: ['SIGN_VERIFY', 'KEY_AGREEMENT'],
    signing: [signing],
    agreement: ['ECDH'],
  }) as const satisfies KeySpecRow

const hmac = (mac: MacAlgorithm) =>
  ({
    kind: { kind: 'hmac', lengthBytes: HASH_BYTES[MAC_ALGORITHMS[mac].hash] },
    usages: ['GENERATE_VERIFY_MAC'],
    mac: [mac],
  }) as const satisfies KeySpecRow

const mlDsa = (set: MlDsaSetName) =>
  ({
    kind: { kind: 'ml-dsa', set },
    usages: ['SIGN_VERIFY'],
    signing: ['ML_DSA_SHAKE_256'],
  }) as const satisfies KeySpecRow

/** Every spec of a master key that can be made here (AWS KMS, "Key spec reference"). */
export const KEY_SPECS = {
  SYMMETRIC_DEFAULT: {
    kind: { kind: 'aes', lengthBytes: 32 },
    usages: ['ENCRYPT_DECRYPT'],
    encryption: ['SYMMETRIC_DEFAULT'],
  },
  RSA_2048: rsa(2048),
  RSA_3072: rsa(3072),
  RSA_4096: rsa(4096),
  ECC_NIST_P256: nist('P256', 'ECDSA_SHA_256'),
  ECC_NIST_P384: nist('P384', 'ECDSA_SHA_384'),
  ECC_NIST_P521: nist('P521', 'ECDSA_SHA_512'),
  ECC_SECG_P256K1: {
    kind: { kind: 'ec', curve: CURVES.SECP256K1 },
    usages: ['SIGN_VERIFY'],
    signing: ['ECDSA_SHA_256'],
  },
  ECC_NIST_EDWARDS25519: {
    kind: { kind: 'ed25519' },
    usages: ['SIGN_VERIFY'],
    signing: ['ED25519_SHA_512', 'ED25519_PH_SHA_512'],
  },
  HMAC_224: hmac('HMAC_SHA_224'),
  HMAC_256: hmac('HMAC_SHA_256'),
  HMAC_384: hmac('HMAC_SHA_384'),
  HMAC_512: hmac('HMAC_SHA_512'),
  ML_DSA_44: mlDsa('ML_DSA_44'),
  ML_DSA_65: mlDsa('ML_DSA_65'),
  ML_DSA_87: mlDsa('ML_DSA_87'),
} as const satisfies Readonly<Record<string, KeySpecRow>>

export type KeySpec = keyof typeof KEY_SPECS

/** The row of a spec. */
export function keySpecRow(spec: KeySpec): KeySpecRow {
  return KEY_SPECS[spec]
}

/** The key pair that a spec is made of; `undefined` for a secret key. */
export function pairOfSpec(spec: KeySpec): PairAlgorithm | undefined {
  const { kind } = keySpecRow(spec)
  return kind.kind === 'aes' || kind.kind === 'hmac' ? undefined : kind
}

/** Whether keys of a spec are AES keys, which are rotated and have contexts and data keys. */
export function isSymmetric(spec: KeySpec): boolean {
  return spec === 'SYMMETRIC_DEFAULT'
}

/** The three types of keys that AWS KMS tells apart: "Reference: Key spec" of its developer guide. */
export function kindOfSpec(spec: KeySpec): 'symmetric' | 'asymmetric' | 'HMAC' {
  const { kind } = keySpecRow(spec).kind
  return kind === 'aes' ? 'symmetric' : kind === 'hmac' ? 'HMAC' : 'asymmetric'
}

/** Algorithms by what they are for. */
export interface KeyAlgorithms {
  readonly encryption: readonly EncryptionAlgorithm[]
  readonly signing: readonly SigningAlgorithm[]
  readonly mac: readonly MacAlgorithm[]
  readonly agreement: readonly KeyAgreementAlgorithm[]
}

/** What a key may be used with: the algorithms of its spec that its usage allows. */
export function algorithmsOf({
  spec,
  usage,
}: {
  readonly spec: KeySpec
  readonly usage: KeyUsage
}): KeyAlgorithms {
  const { encryption = [], signing = [], mac = [], agreement = [] } = keySpecRow(spec)
  return {
    encryption: usage === 'ENCRYPT_DECRYPT' ? encryption : [],
    signing: usage === 'SIGN_VERIFY' ? signing : [],
    mac: usage === 'GENERATE_VERIFY_MAC' ? mac : [],
    agreement: usage === 'KEY_AGREEMENT' ? agreement : [],
  }
}
