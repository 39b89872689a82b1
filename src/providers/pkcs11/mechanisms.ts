import { HASH_BYTES, type HashName } from '../../core/key-spec.ts'

/** Numbers of PKCS#11 v3.2 that we use, our own: pkcs11js stops at v2.40. */
export const CKM_AES_KEY_GEN = 0x1080
export const CKM_AES_GCM = 0x1087
export const CKM_GENERIC_SECRET_KEY_GEN = 0x350
export const CKM_RSA_PKCS_KEY_PAIR_GEN = 0x0
export const CKM_RSA_PKCS = 0x1
export const CKM_RSA_X_509 = 0x3
export const CKM_RSA_PKCS_OAEP = 0x9
export const CKM_RSA_PKCS_PSS = 0xd
export const CKM_ECDSA = 0x1041
export const CKM_ECDH1_DERIVE = 0x1050
export const CKM_EDDSA = 0x1057
export const CKM_EC_KEY_PAIR_GEN = 0x1040
export const CKM_ML_DSA_KEY_PAIR_GEN = 0x1c
export const CKM_ML_DSA = 0x1d
/** Of the working draft of v3.3: nothing that it gives is relied on unseen. */
export const CKM_ML_DSA_EXTERNAL_MU = 0x403c
export const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055
export const CKM_AES_CBC_PAD = 0x1085
/** Three different algorithms in the field; what it is here is told by its output. */
export const CKM_AES_KEY_WRAP_PAD = 0x210a
/** RFC 5649 wherever it exists. */
export const CKM_AES_KEY_WRAP_KWP = 0x210b

export const GCM_IV_BYTES = 12
export const GCM_IV_BYTES_MAX = 16
export const GCM_TAG_BYTES = 16

/** `CK_PARAMS_AES_GCM_v240` of pkcs11js: the one that sets ulIvBits. */
const CK_PARAMS_AES_GCM_v240 = 7

/** CK_GCM_PARAMS with a 128-bit tag. @see PKCS#11 v3.1, "AES-GCM" */
export function gcm(iv: Buffer, aad: Buffer) {
  const parameter = {
    type: CK_PARAMS_AES_GCM_v240,
    iv,
    aad,
    ivBits: iv.length * 8,
    tagBits: GCM_TAG_BYTES * 8,
  }
  return { mechanism: CKM_AES_GCM, parameter }
}

/** On every platform that we run on; pointers are as long. */
const CK_ULONG_BYTES = 8

/** Types of parameters of pkcs11js. */
const CK_PARAMS_RSA_OAEP = 4
const CK_PARAMS_RSA_PSS = 5
const CK_PARAMS_EC_DH = 6
/** CKZ_DATA_SPECIFIED. */
const LABEL_GIVEN = 1
/** CKD_NULL. */
const NO_KDF = 1

/** CKM of a hash function, CKG of MGF1 with it, and CKM of HMAC with it. */
const HASHES: Readonly<
  Record<HashName, { readonly hash: number; readonly mgf: number; readonly hmac: number }>
> = {
  sha1: { hash: 0x220, mgf: 1, hmac: 0x221 },
  sha224: { hash: 0x255, mgf: 5, hmac: 0x256 },
  sha256: { hash: 0x250, mgf: 2, hmac: 0x251 },
  sha384: { hash: 0x260, mgf: 3, hmac: 0x261 },
  sha512: { hash: 0x270, mgf: 4, hmac: 0x271 },
}

/** CKM number of HMAC with a hash function. */
export function hmacMechanism(hash: HashName): number {
  return HASHES[hash].hmac
}

/** CK_RSA_PKCS_PSS_PARAMS with a salt as long as the digest. @see PKCS#11 v3.1, "PKCS #1 RSA PSS" */
export function pss(hash: HashName) {
  const { hash: hashAlg, mgf } = HASHES[hash]
  const parameter = { type: CK_PARAMS_RSA_PSS, hashAlg, mgf, saltLen: HASH_BYTES[hash] }
  return { mechanism: CKM_RSA_PKCS_PSS, parameter }
}

/** CK_RSA_PKCS_OAEP_PARAMS with an empty label. @see PKCS#11 v3.1, "PKCS #1 RSA OAEP" */
export function oaep(hash: HashName) {
  const { hash: hashAlg, mgf } = HASHES[hash]
  const parameter = { type: CK_PARAMS_RSA_OAEP, hashAlg, mgf, source: LABEL_GIVEN, sourceData: null }
  return { mechanism: CKM_RSA_PKCS_OAEP, parameter }
}

/**
 * CK_EDDSA_PARAMS with phFlag and an empty context, as the bytes of the structure: a CK_BBOOL, a CK_ULONG at its natural
 * alignment and a pointer, which is NULL.
 *
 * @see PKCS#11 v3.1, "EC mechanism parameters"
 */
export function eddsaPh() {
  const parameter = Buffer.alloc(3 * CK_ULONG_BYTES)
  parameter[0] = 1
  return { mechanism: CKM_EDDSA, parameter }
}

/** CK_ECDH1_DERIVE_PARAMS without a key derivation function. @see PKCS#11 v3.1, "Elliptic curve Diffie-Hellman" */
export function ecdh(point: Buffer) {
  const parameter = { type: CK_PARAMS_EC_DH, kdf: NO_KDF, publicData: point, sharedData: null }
  return { mechanism: CKM_ECDH1_DERIVE, parameter }
}

/** What one C_Encrypt or C_WrapKey with CKM_AES_GCM gave. */
export interface Sealed {
  readonly iv: Buffer
  /** Ciphertext, then the 16-byte tag. */
  readonly bytes: Buffer
}
