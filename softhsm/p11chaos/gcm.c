#include "gcm.h"

#include <string.h>

#define WRITTEN_BACK_IV_BYTES 12

static IvSource iv_source(const Call *call) {
  Rule rule;
  return rule_copied(K_GCM_IV, call, &rule) ? rule.iv_source : IV_OF_CALLER;
}

static CK_GCM_PARAMS *parameters_of(const CK_MECHANISM *mechanism) {
  bool whole = mechanism->pParameter != NULL && mechanism->ulParameterLen == sizeof(CK_GCM_PARAMS);
  return whole ? mechanism->pParameter : NULL;
}

static void remember_iv(const Call *call, bool append, const CK_BYTE *iv) {
  state_lock();
  if (call->session != NULL) {
    call->session->append_iv = append;
    if (append) memcpy(call->session->iv, iv, APPENDED_IV_BYTES);
  }
  state_unlock();
}

/* Starts an encryption under an IV of the real token's generator. */
static CK_RV init_with(CK_SESSION_HANDLE session, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, CK_BYTE *iv,
                       CK_ULONG iv_bytes) {
  CK_RV rv = REAL(C_GenerateRandom, session, iv, iv_bytes);
  if (rv != CKR_OK) return rv;
  CK_GCM_PARAMS parameters = *parameters_of(mechanism);
  parameters.pIv = iv;
  parameters.ulIvLen = iv_bytes;
  parameters.ulIvBits = 8 * iv_bytes;
  CK_MECHANISM own = {mechanism->mechanism, &parameters, sizeof parameters};
  return REAL(C_EncryptInit, session, &own, key);
}

static bool is_zero(const CK_BYTE *bytes, CK_ULONG length) {
  CK_BYTE any = 0;
  for (CK_ULONG i = 0; i < length; i++) any |= bytes[i];
  return any == 0;
}

CK_RV gcm_encrypt_init(Call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
  IvSource source = mechanism != NULL && mechanism->mechanism == CKM_AES_GCM ? iv_source(call) : IV_OF_CALLER;
  CK_BYTE iv[APPENDED_IV_BYTES] = {0};
  CK_RV rv;
  if (source == IV_OF_CALLER) {
    rv = REAL(C_EncryptInit, session, mechanism, key);
  } else {
    const CK_GCM_PARAMS *given = parameters_of(mechanism);
    if (given == NULL) return CKR_MECHANISM_PARAM_INVALID;
    if (source == IV_WRITTEN_BACK) {
      bool wanted = given->pIv != NULL && given->ulIvLen == WRITTEN_BACK_IV_BYTES && is_zero(given->pIv, given->ulIvLen);
      if (!wanted) return CKR_MECHANISM_PARAM_INVALID;
      rv = init_with(session, mechanism, key, iv, WRITTEN_BACK_IV_BYTES);
      if (rv == CKR_OK) memcpy(given->pIv, iv, WRITTEN_BACK_IV_BYTES);
      if (rv == CKR_OK) trace_bytes(call, "out", "pIv", iv, WRITTEN_BACK_IV_BYTES);
    } else {
      if (given->pIv != NULL && given->ulIvLen != 0) return CKR_MECHANISM_PARAM_INVALID;
      rv = init_with(session, mechanism, key, iv, APPENDED_IV_BYTES);
    }
  }
  if (rv == CKR_OK) remember_iv(call, source == IV_APPENDED, iv);
  return rv;
}

/* Luna wants ulIvBits to say the length again; on a token of the other kind nothing is special here. */
CK_RV gcm_decrypt_init(Call *call, CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
  if (mechanism != NULL && mechanism->mechanism == CKM_AES_GCM && iv_source(call) == IV_APPENDED) {
    const CK_GCM_PARAMS *given = parameters_of(mechanism);
    if (given == NULL || given->pIv == NULL || given->ulIvLen == 0 || given->ulIvBits != 8 * given->ulIvLen) {
      return CKR_MECHANISM_PARAM_INVALID;
    }
  }
  return REAL(C_DecryptInit, session, mechanism, key);
}

static bool appends_iv(const Call *call, CK_BYTE *iv) {
  state_lock();
  bool appends = call->session != NULL && call->session->append_iv;
  if (appends) memcpy(iv, call->session->iv, APPENDED_IV_BYTES);
  state_unlock();
  return appends;
}

/* The end of an encryption: `input` for C_Encrypt, NULL for C_EncryptFinal. */
static CK_RV encrypt_end(CK_SESSION_HANDLE session, const CK_ULONG *in_length, CK_BYTE *in, CK_BYTE *out,
                         CK_ULONG *out_length) {
  if (in_length == NULL) return REAL(C_EncryptFinal, session, out, out_length);
  return REAL(C_Encrypt, session, in, *in_length, out, out_length);
}

/* By the convention on output buffers: the length alone, or CKR_BUFFER_TOO_SMALL with the operation still active. */
static CK_RV encrypt_appending(Call *call, CK_SESSION_HANDLE session, const CK_ULONG *in_length, CK_BYTE *in,
                               CK_BYTE *out, CK_ULONG *out_length) {
  CK_BYTE iv[APPENDED_IV_BYTES];
  if (out_length == NULL || !appends_iv(call, iv)) return encrypt_end(session, in_length, in, out, out_length);
  CK_ULONG real = 0;
  CK_RV rv = encrypt_end(session, in_length, in, NULL, &real);
  if (rv != CKR_OK) return rv;
  CK_ULONG room = *out_length;
  *out_length = real + APPENDED_IV_BYTES;
  if (out == NULL) return CKR_OK;
  if (room < *out_length) return CKR_BUFFER_TOO_SMALL;
  real = room - APPENDED_IV_BYTES;
  rv = encrypt_end(session, in_length, in, out, &real);
  if (rv == CKR_OK) {
    memcpy(out + real, iv, APPENDED_IV_BYTES);
    *out_length = real + APPENDED_IV_BYTES;
  }
  if (rv != CKR_BUFFER_TOO_SMALL) remember_iv(call, false, NULL);
  return rv;
}

CK_RV gcm_encrypt(Call *call, CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_length, CK_BYTE *out,
                  CK_ULONG *out_length) {
  return encrypt_appending(call, session, &in_length, in, out, out_length);
}

CK_RV gcm_encrypt_final(Call *call, CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_length) {
  return encrypt_appending(call, session, NULL, NULL, out, out_length);
}

/* Another vendor's answer to what does not authenticate. */
static CK_RV translate(const Call *call, CK_RV rv) {
  bool wrong_tag = (rv == CKR_GENERAL_ERROR || rv == CKR_ENCRYPTED_DATA_INVALID) && call->has_mechanism &&
                   call->mechanism == CKM_AES_GCM;
  Rule rule;
  return wrong_tag && rule_copied(K_WRONG_TAG, call, &rule) ? rule.return_values[0] : rv;
}

CK_RV gcm_decrypt(Call *call, CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_length, CK_BYTE *out,
                  CK_ULONG *out_length) {
  return translate(call, REAL(C_Decrypt, session, in, in_length, out, out_length));
}

CK_RV gcm_decrypt_final(Call *call, CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_length) {
  return translate(call, REAL(C_DecryptFinal, session, out, out_length));
}
