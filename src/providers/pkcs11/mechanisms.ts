/** Numbers of PKCS#11 v3.1 that we use, our own: pkcs11js stops at v2.40. */
export const CKM_AES_KEY_GEN = 0x1080
export const CKM_AES_GCM = 0x1087
export const CKM_GENERIC_SECRET_KEY_GEN = 0x350
export const CKM_RSA_PKCS_KEY_PAIR_GEN = 0x0
export const CKM_EC_KEY_PAIR_GEN = 0x1040
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

/** What one C_Encrypt or C_WrapKey with CKM_AES_GCM gave. */
export interface Sealed {
  readonly iv: Buffer
  /** Ciphertext, then the 16-byte tag. */
  readonly bytes: Buffer
}
