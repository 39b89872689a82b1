/* Operations on data: all of one of four shapes. Encryption and decryption pass through gcm.c, signatures through new-pairs.c. */
#include "call.h"
#include "gcm.h"
#include "new-pairs.h"

static void note_operation(const Call *call, bool active) {
  state_lock();
  if (call->session != NULL) {
    Operation operation = FUNCTIONS[call->function].operation;
    call->session->active[operation] = active;
    call->session->mechanisms[operation] = call->mechanism;
  }
  state_unlock();
}

/* C_*Init with a key. */
#define INIT(name) \
  CK_RV name(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey) { \
    Call call = call_on_session(F_##name, hSession); \
    call_mechanism(&call, pMechanism); \
    call_object(&call, "hKey", hKey, CKR_KEY_HANDLE_INVALID); \
    if (call_enter(&call)) call.rv = init_##name(&call, hSession, pMechanism, hKey); \
    if (call_succeeded(&call) && pMechanism != NULL) note_operation(&call, true); \
    return call_end(&call); \
  }

/* Bytes in, bytes out. */
#define TRANSFORM(name, in, out) \
  CK_RV name(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pIn, CK_ULONG ulInLen, CK_BYTE_PTR pOut, CK_ULONG_PTR pulOutLen) { \
    Call call = call_on_session(F_##name, hSession); \
    trace_bytes(&call, "in", in, pIn, ulInLen); \
    if (call_enter(&call)) call.rv = transform_##name(&call, hSession, pIn, ulInLen, pOut, pulOutLen); \
    if (call_succeeded(&call)) trace_bytes(&call, "out", out, pOut, pulOutLen == NULL ? 0 : *pulOutLen); \
    return call_end(&call); \
  }

/* Bytes out. */
#define FINAL(name, out) \
  CK_RV name(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOut, CK_ULONG_PTR pulOutLen) { \
    Call call = call_on_session(F_##name, hSession); \
    if (call_enter(&call)) call.rv = final_##name(&call, hSession, pOut, pulOutLen); \
    if (call_succeeded(&call)) trace_bytes(&call, "out", out, pOut, pulOutLen == NULL ? 0 : *pulOutLen); \
    return call_end(&call); \
  }

/* Bytes in. */
#define ABSORB(name, in) \
  CK_RV name(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pIn, CK_ULONG ulInLen) { \
    Call call = call_on_session(F_##name, hSession); \
    trace_bytes(&call, "in", in, pIn, ulInLen); \
    FORWARD(&call, name, hSession, pIn, ulInLen); \
    return call_end(&call); \
  }

#define init_C_EncryptInit gcm_encrypt_init
#define init_C_DecryptInit gcm_decrypt_init
#define init_C_SignInit new_pair_sign_init
#define init_C_SignRecoverInit(call, ...) REAL(C_SignRecoverInit, __VA_ARGS__)
#define init_C_VerifyInit(call, ...) REAL(C_VerifyInit, __VA_ARGS__)
#define init_C_VerifyRecoverInit(call, ...) REAL(C_VerifyRecoverInit, __VA_ARGS__)
INIT(C_EncryptInit)
INIT(C_DecryptInit)
INIT(C_SignInit)
INIT(C_SignRecoverInit)
INIT(C_VerifyInit)
INIT(C_VerifyRecoverInit)

#define transform_C_Encrypt gcm_encrypt
#define transform_C_Decrypt gcm_decrypt
#define transform_C_EncryptUpdate(call, ...) REAL(C_EncryptUpdate, __VA_ARGS__)
#define transform_C_DecryptUpdate(call, ...) REAL(C_DecryptUpdate, __VA_ARGS__)
#define transform_C_Digest(call, ...) REAL(C_Digest, __VA_ARGS__)
#define transform_C_Sign new_pair_sign
#define transform_C_SignRecover(call, ...) REAL(C_SignRecover, __VA_ARGS__)
#define transform_C_VerifyRecover(call, ...) REAL(C_VerifyRecover, __VA_ARGS__)
#define transform_C_DigestEncryptUpdate(call, ...) REAL(C_DigestEncryptUpdate, __VA_ARGS__)
#define transform_C_DecryptDigestUpdate(call, ...) REAL(C_DecryptDigestUpdate, __VA_ARGS__)
#define transform_C_SignEncryptUpdate(call, ...) REAL(C_SignEncryptUpdate, __VA_ARGS__)
#define transform_C_DecryptVerifyUpdate(call, ...) REAL(C_DecryptVerifyUpdate, __VA_ARGS__)
TRANSFORM(C_Encrypt, "pData", "pEncryptedData")
TRANSFORM(C_EncryptUpdate, "pPart", "pEncryptedPart")
TRANSFORM(C_Decrypt, "pEncryptedData", "pData")
TRANSFORM(C_DecryptUpdate, "pEncryptedPart", "pPart")
TRANSFORM(C_Digest, "pData", "pDigest")
TRANSFORM(C_Sign, "pData", "pSignature")
TRANSFORM(C_SignRecover, "pData", "pSignature")
TRANSFORM(C_VerifyRecover, "pSignature", "pData")
TRANSFORM(C_DigestEncryptUpdate, "pPart", "pEncryptedPart")
TRANSFORM(C_DecryptDigestUpdate, "pEncryptedPart", "pPart")
TRANSFORM(C_SignEncryptUpdate, "pPart", "pEncryptedPart")
TRANSFORM(C_DecryptVerifyUpdate, "pEncryptedPart", "pPart")

#define final_C_EncryptFinal gcm_encrypt_final
#define final_C_DecryptFinal gcm_decrypt_final
#define final_C_DigestFinal(call, ...) REAL(C_DigestFinal, __VA_ARGS__)
#define final_C_SignFinal(call, ...) REAL(C_SignFinal, __VA_ARGS__)
FINAL(C_EncryptFinal, "pLastEncryptedPart")
FINAL(C_DecryptFinal, "pLastPart")
FINAL(C_DigestFinal, "pDigest")
FINAL(C_SignFinal, "pSignature")

ABSORB(C_DigestUpdate, "pPart")
ABSORB(C_SignUpdate, "pPart")
ABSORB(C_VerifyUpdate, "pPart")
ABSORB(C_VerifyFinal, "pSignature")

CK_RV C_DigestInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism) {
  Call call = call_on_session(F_C_DigestInit, hSession);
  call_mechanism(&call, pMechanism);
  FORWARD(&call, C_DigestInit, hSession, pMechanism);
  if (call_succeeded(&call) && pMechanism != NULL) note_operation(&call, true);
  return call_end(&call);
}

CK_RV C_DigestKey(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey) {
  Call call = call_on_session(F_C_DigestKey, hSession);
  call_object(&call, "hKey", hKey, CKR_KEY_HANDLE_INVALID);
  FORWARD(&call, C_DigestKey, hSession, hKey);
  return call_end(&call);
}

CK_RV C_Verify(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature,
               CK_ULONG ulSignatureLen) {
  Call call = call_on_session(F_C_Verify, hSession);
  trace_bytes(&call, "in", "pData", pData, ulDataLen);
  trace_bytes(&call, "in", "pSignature", pSignature, ulSignatureLen);
  FORWARD(&call, C_Verify, hSession, pData, ulDataLen, pSignature, ulSignatureLen);
  return call_end(&call);
}
