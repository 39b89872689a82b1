/* Objects and keys. */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "new-pairs.h"

/* Attributes of a template that p11chaos is ready to add to. */
#define TEMPLATE_MAX 128

/* An object handle that the application gets. */
static void give_object(Call *call, const char *name, CK_OBJECT_HANDLE handle) {
  rules_note_object(call, handle);
  trace_number(call, "out", name, handle);
}

CK_RV C_CreateObject(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount, CK_OBJECT_HANDLE *phObject) {
  Call call = call_on_session(F_C_CreateObject, hSession);
  call_template(&call, pTemplate, ulCount);
  trace_template(&call, "in", "pTemplate", pTemplate, ulCount);
  FORWARD(&call, C_CreateObject, hSession, pTemplate, ulCount, phObject);
  if (call_succeeded(&call)) give_object(&call, "phObject", *phObject);
  return call_end(&call);
}

CK_RV C_CopyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount,
                   CK_OBJECT_HANDLE *phNewObject) {
  Call call = call_on_session(F_C_CopyObject, hSession);
  call_object(&call, "hObject", hObject, CKR_OBJECT_HANDLE_INVALID);
  call_template(&call, pTemplate, ulCount);
  trace_template(&call, "in", "pTemplate", pTemplate, ulCount);
  FORWARD(&call, C_CopyObject, hSession, hObject, pTemplate, ulCount, phNewObject);
  if (call_succeeded(&call)) give_object(&call, "phNewObject", *phNewObject);
  return call_end(&call);
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject) {
  Call call = call_on_session(F_C_DestroyObject, hSession);
  call_object(&call, "hObject", hObject, CKR_OBJECT_HANDLE_INVALID);
  FORWARD(&call, C_DestroyObject, hSession, hObject);
  if (call_succeeded(&call)) rules_forget_object(&call, hObject);
  return call_end(&call);
}

CK_RV C_GetObjectSize(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ULONG_PTR pulSize) {
  Call call = call_on_session(F_C_GetObjectSize, hSession);
  call_object(&call, "hObject", hObject, CKR_OBJECT_HANDLE_INVALID);
  FORWARD(&call, C_GetObjectSize, hSession, hObject, pulSize);
  return call_end(&call);
}

/* Even where it fails as a whole, it may have given some attributes. */
CK_RV C_GetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate,
                          CK_ULONG ulCount) {
  Call call = call_on_session(F_C_GetAttributeValue, hSession);
  call_object(&call, "hObject", hObject, CKR_OBJECT_HANDLE_INVALID);
  call_template(&call, pTemplate, ulCount);
  if (call_enter(&call)) call.rv = new_pair_attributes(&call, hSession, hObject, pTemplate, ulCount);
  if (call_succeeded(&call)) trace_template(&call, "out", "pTemplate", pTemplate, ulCount);
  return call_end(&call);
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate,
                          CK_ULONG ulCount) {
  Call call = call_on_session(F_C_SetAttributeValue, hSession);
  call_object(&call, "hObject", hObject, CKR_OBJECT_HANDLE_INVALID);
  call_template(&call, pTemplate, ulCount);
  trace_template(&call, "in", "pTemplate", pTemplate, ulCount);
  FORWARD(&call, C_SetAttributeValue, hSession, hObject, pTemplate, ulCount);
  return call_end(&call);
}

CK_RV C_FindObjectsInit(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount) {
  Call call = call_on_session(F_C_FindObjectsInit, hSession);
  call_template(&call, pTemplate, ulCount);
  trace_template(&call, "in", "pTemplate", pTemplate, ulCount);
  FORWARD(&call, C_FindObjectsInit, hSession, pTemplate, ulCount);
  return call_end(&call);
}

/* A dropped login finds nothing, as a session without one finds no private objects. */
CK_RV C_FindObjects(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE *phObject, CK_ULONG ulMaxObjectCount,
                    CK_ULONG_PTR pulObjectCount) {
  Call call = call_on_session(F_C_FindObjects, hSession);
  FORWARD(&call, C_FindObjects, hSession, phObject, ulMaxObjectCount, pulObjectCount);
  if (call_succeeded(&call)) {
    if (login_dropped(&call)) *pulObjectCount = 0;
    for (CK_ULONG i = 0; i < *pulObjectCount; i++) give_object(&call, "phObject", phObject[i]);
  }
  return call_end(&call);
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE hSession) {
  Call call = call_on_session(F_C_FindObjectsFinal, hSession);
  FORWARD(&call, C_FindObjectsFinal, hSession);
  return call_end(&call);
}

CK_RV C_GenerateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount,
                    CK_OBJECT_HANDLE *phKey) {
  Call call = call_on_session(F_C_GenerateKey, hSession);
  call_mechanism(&call, pMechanism);
  call_template(&call, pTemplate, ulCount);
  trace_template(&call, "in", "pTemplate", pTemplate, ulCount);
  FORWARD(&call, C_GenerateKey, hSession, pMechanism, pTemplate, ulCount, phKey);
  if (call_succeeded(&call)) give_object(&call, "phKey", *phKey);
  return call_end(&call);
}

CK_RV C_GenerateKeyPair(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_ATTRIBUTE_PTR pPublicKeyTemplate,
                        CK_ULONG ulPublicKeyAttributeCount, CK_ATTRIBUTE_PTR pPrivateKeyTemplate,
                        CK_ULONG ulPrivateKeyAttributeCount, CK_OBJECT_HANDLE *phPublicKey,
                        CK_OBJECT_HANDLE *phPrivateKey) {
  Call call = call_on_session(F_C_GenerateKeyPair, hSession);
  call_mechanism(&call, pMechanism);
  call_template(&call, pPublicKeyTemplate, ulPublicKeyAttributeCount);
  trace_template(&call, "in", "pPublicKeyTemplate", pPublicKeyTemplate, ulPublicKeyAttributeCount);
  call_template(&call, pPrivateKeyTemplate, ulPrivateKeyAttributeCount);
  trace_template(&call, "in", "pPrivateKeyTemplate", pPrivateKeyTemplate, ulPrivateKeyAttributeCount);
  if (call_enter(&call)) {
    call.rv = new_pair_generate(&call, hSession, pMechanism, pPublicKeyTemplate, ulPublicKeyAttributeCount,
                                pPrivateKeyTemplate, ulPrivateKeyAttributeCount, phPublicKey, phPrivateKey);
  }
  if (call_succeeded(&call)) {
    give_object(&call, "phPublicKey", *phPublicKey);
    give_object(&call, "phPrivateKey", *phPrivateKey);
  }
  return call_end(&call);
}

CK_RV C_WrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hWrappingKey,
                CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pWrappedKey, CK_ULONG_PTR pulWrappedKeyLen) {
  Call call = call_on_session(F_C_WrapKey, hSession);
  call_mechanism(&call, pMechanism);
  call_object(&call, "hWrappingKey", hWrappingKey, CKR_WRAPPING_KEY_HANDLE_INVALID);
  call_object(&call, "hKey", hKey, CKR_KEY_HANDLE_INVALID);
  FORWARD(&call, C_WrapKey, hSession, pMechanism, hWrappingKey, hKey, pWrappedKey, pulWrappedKeyLen);
  if (call_succeeded(&call)) trace_bytes(&call, "out", "pWrappedKey", pWrappedKey, *pulWrappedKeyLen);
  return call_end(&call);
}

static const CK_ATTRIBUTE *find_attribute(const CK_ATTRIBUTE *list, CK_ULONG count, CK_ATTRIBUTE_TYPE type) {
  for (CK_ULONG i = 0; list != NULL && i < count; i++) {
    if (list[i].type == type) return &list[i];
  }
  return NULL;
}

static bool is_bool(const CK_ATTRIBUTE *attribute, bool value) {
  return attribute != NULL && attribute->pValue != NULL && attribute->ulValueLen == sizeof(CK_BBOOL) &&
         (*(const CK_BBOOL *)attribute->pValue != 0) == value;
}

/* As openCryptoki: what makes a key readable may not be asked for, and what is unwrapped is readable without. */
static CK_RV unwrap_without_override(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key,
                                     CK_BYTE_PTR wrapped, CK_ULONG wrapped_length, const CK_ATTRIBUTE *list,
                                     CK_ULONG count, CK_OBJECT_HANDLE *made) {
  CK_BBOOL no = 0, yes = 1;
  CK_ATTRIBUTE full[TEMPLATE_MAX + 2];
  const CK_ATTRIBUTE *sensitive = find_attribute(list, count, CKA_SENSITIVE);
  const CK_ATTRIBUTE *extractable = find_attribute(list, count, CKA_EXTRACTABLE);
  if (is_bool(sensitive, false) || is_bool(extractable, true)) return CKR_ATTRIBUTE_READ_ONLY;
  if (count > TEMPLATE_MAX) return CKR_HOST_MEMORY;
  if (count > 0) memcpy(full, list, count * sizeof *full);
  if (sensitive == NULL) full[count++] = (CK_ATTRIBUTE){CKA_SENSITIVE, &no, sizeof no};
  if (extractable == NULL) full[count++] = (CK_ATTRIBUTE){CKA_EXTRACTABLE, &yes, sizeof yes};
  return REAL(C_UnwrapKey, session, mechanism, key, wrapped, wrapped_length, full, count, made);
}

CK_RV C_UnwrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hUnwrappingKey,
                  CK_BYTE_PTR pWrappedKey, CK_ULONG ulWrappedKeyLen, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount,
                  CK_OBJECT_HANDLE *phKey) {
  Call call = call_on_session(F_C_UnwrapKey, hSession);
  call_mechanism(&call, pMechanism);
  call_object(&call, "hUnwrappingKey", hUnwrappingKey, CKR_UNWRAPPING_KEY_HANDLE_INVALID);
  trace_bytes(&call, "in", "pWrappedKey", pWrappedKey, ulWrappedKeyLen);
  call_template(&call, pTemplate, ulAttributeCount);
  trace_template(&call, "in", "pTemplate", pTemplate, ulAttributeCount);
  if (call_enter(&call)) {
    Rule rule;
    call.rv = rule_copied(K_UNWRAP_NO_OVERRIDE, &call, &rule)
                  ? unwrap_without_override(hSession, pMechanism, hUnwrappingKey, pWrappedKey, ulWrappedKeyLen, pTemplate,
                                            ulAttributeCount, phKey)
                  : REAL(C_UnwrapKey, hSession, pMechanism, hUnwrappingKey, pWrappedKey, ulWrappedKeyLen, pTemplate,
                         ulAttributeCount, phKey);
  }
  if (call_succeeded(&call)) give_object(&call, "phKey", *phKey);
  return call_end(&call);
}

CK_RV C_DeriveKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hBaseKey,
                  CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE *phKey) {
  Call call = call_on_session(F_C_DeriveKey, hSession);
  call_mechanism(&call, pMechanism);
  call_object(&call, "hBaseKey", hBaseKey, CKR_KEY_HANDLE_INVALID);
  call_template(&call, pTemplate, ulAttributeCount);
  trace_template(&call, "in", "pTemplate", pTemplate, ulAttributeCount);
  FORWARD(&call, C_DeriveKey, hSession, pMechanism, hBaseKey, pTemplate, ulAttributeCount, phKey);
  if (call_succeeded(&call)) give_object(&call, "phKey", phKey == NULL ? 0 : *phKey);
  return call_end(&call);
}
