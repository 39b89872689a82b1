/*
 * Every function of Cryptoki v2.40, in the order of CK_FUNCTION_LIST: name, kind of the operation that it starts or goes
 * on with, whether it needs a login (for the keys it names), arguments.
 * PKCS#11 v2.40, "Cryptoki functions" and "General data types" (CK_FUNCTION_LIST).
 */
#ifndef P11CHAOS_FUNCTIONS_H
#define P11CHAOS_FUNCTIONS_H

#define SESSION CK_SESSION_HANDLE hSession
#define INPUT(name) CK_BYTE_PTR p##name, CK_ULONG ul##name##Len
#define OUTPUT(name) CK_BYTE_PTR p##name, CK_ULONG_PTR pul##name##Len
#define TEMPLATE CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount
#define MECHANISM CK_MECHANISM_PTR pMechanism
#define KEY CK_OBJECT_HANDLE hKey

#define CRYPTOKI_FUNCTIONS(X) \
  X(C_Initialize, OP_NONE, false, (CK_VOID_PTR pInitArgs)) \
  X(C_Finalize, OP_NONE, false, (CK_VOID_PTR pReserved)) \
  X(C_GetInfo, OP_NONE, false, (CK_INFO * pInfo)) \
  X(C_GetFunctionList, OP_NONE, false, (CK_FUNCTION_LIST * *ppFunctionList)) \
  X(C_GetSlotList, OP_NONE, false, (CK_BBOOL tokenPresent, CK_SLOT_ID * pSlotList, CK_ULONG_PTR pulCount)) \
  X(C_GetSlotInfo, OP_NONE, false, (CK_SLOT_ID slotID, CK_SLOT_INFO * pInfo)) \
  X(C_GetTokenInfo, OP_NONE, false, (CK_SLOT_ID slotID, CK_TOKEN_INFO * pInfo)) \
  X(C_GetMechanismList, OP_NONE, false, \
    (CK_SLOT_ID slotID, CK_MECHANISM_TYPE * pMechanismList, CK_ULONG_PTR pulCount)) \
  X(C_GetMechanismInfo, OP_NONE, false, (CK_SLOT_ID slotID, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO * pInfo)) \
  X(C_InitToken, OP_NONE, false, (CK_SLOT_ID slotID, INPUT(Pin), CK_BYTE_PTR pLabel)) \
  X(C_InitPIN, OP_NONE, false, (SESSION, INPUT(Pin))) \
  X(C_SetPIN, OP_NONE, false, (SESSION, CK_BYTE_PTR pOldPin, CK_ULONG ulOldLen, CK_BYTE_PTR pNewPin, CK_ULONG ulNewLen)) \
  X(C_OpenSession, OP_NONE, false, \
    (CK_SLOT_ID slotID, CK_FLAGS flags, CK_VOID_PTR pApplication, CK_NOTIFY Notify, CK_SESSION_HANDLE * phSession)) \
  X(C_CloseSession, OP_NONE, false, (SESSION)) \
  X(C_CloseAllSessions, OP_NONE, false, (CK_SLOT_ID slotID)) \
  X(C_GetSessionInfo, OP_NONE, false, (SESSION, CK_SESSION_INFO * pInfo)) \
  X(C_GetOperationState, OP_NONE, false, (SESSION, OUTPUT(OperationState))) \
  X(C_SetOperationState, OP_NONE, false, \
    (SESSION, INPUT(OperationState), CK_OBJECT_HANDLE hEncryptionKey, CK_OBJECT_HANDLE hAuthenticationKey)) \
  X(C_Login, OP_NONE, false, (SESSION, CK_USER_TYPE userType, INPUT(Pin))) \
  X(C_Logout, OP_NONE, false, (SESSION)) \
  X(C_CreateObject, OP_NONE, true, (SESSION, TEMPLATE, CK_OBJECT_HANDLE * phObject)) \
  X(C_CopyObject, OP_NONE, true, (SESSION, CK_OBJECT_HANDLE hObject, TEMPLATE, CK_OBJECT_HANDLE * phNewObject)) \
  X(C_DestroyObject, OP_NONE, true, (SESSION, CK_OBJECT_HANDLE hObject)) \
  X(C_GetObjectSize, OP_NONE, true, (SESSION, CK_OBJECT_HANDLE hObject, CK_ULONG_PTR pulSize)) \
  X(C_GetAttributeValue, OP_NONE, true, (SESSION, CK_OBJECT_HANDLE hObject, TEMPLATE)) \
  X(C_SetAttributeValue, OP_NONE, true, (SESSION, CK_OBJECT_HANDLE hObject, TEMPLATE)) \
  X(C_FindObjectsInit, OP_NONE, false, (SESSION, TEMPLATE)) \
  X(C_FindObjects, OP_NONE, false, \
    (SESSION, CK_OBJECT_HANDLE * phObject, CK_ULONG ulMaxObjectCount, CK_ULONG_PTR pulObjectCount)) \
  X(C_FindObjectsFinal, OP_NONE, false, (SESSION)) \
  X(C_EncryptInit, OP_ENCRYPT, true, (SESSION, MECHANISM, KEY)) \
  X(C_Encrypt, OP_ENCRYPT, true, (SESSION, INPUT(Data), OUTPUT(EncryptedData))) \
  X(C_EncryptUpdate, OP_ENCRYPT, true, (SESSION, INPUT(Part), OUTPUT(EncryptedPart))) \
  X(C_EncryptFinal, OP_ENCRYPT, true, (SESSION, OUTPUT(LastEncryptedPart))) \
  X(C_DecryptInit, OP_DECRYPT, true, (SESSION, MECHANISM, KEY)) \
  X(C_Decrypt, OP_DECRYPT, true, (SESSION, INPUT(EncryptedData), OUTPUT(Data))) \
  X(C_DecryptUpdate, OP_DECRYPT, true, (SESSION, INPUT(EncryptedPart), OUTPUT(Part))) \
  X(C_DecryptFinal, OP_DECRYPT, true, (SESSION, OUTPUT(LastPart))) \
  X(C_DigestInit, OP_DIGEST, false, (SESSION, MECHANISM)) \
  X(C_Digest, OP_DIGEST, false, (SESSION, INPUT(Data), OUTPUT(Digest))) \
  X(C_DigestUpdate, OP_DIGEST, false, (SESSION, INPUT(Part))) \
  X(C_DigestKey, OP_DIGEST, true, (SESSION, KEY)) \
  X(C_DigestFinal, OP_DIGEST, false, (SESSION, OUTPUT(Digest))) \
  X(C_SignInit, OP_SIGN, true, (SESSION, MECHANISM, KEY)) \
  X(C_Sign, OP_SIGN, true, (SESSION, INPUT(Data), OUTPUT(Signature))) \
  X(C_SignUpdate, OP_SIGN, true, (SESSION, INPUT(Part))) \
  X(C_SignFinal, OP_SIGN, true, (SESSION, OUTPUT(Signature))) \
  X(C_SignRecoverInit, OP_SIGN_RECOVER, true, (SESSION, MECHANISM, KEY)) \
  X(C_SignRecover, OP_SIGN_RECOVER, true, (SESSION, INPUT(Data), OUTPUT(Signature))) \
  X(C_VerifyInit, OP_VERIFY, true, (SESSION, MECHANISM, KEY)) \
  X(C_Verify, OP_VERIFY, true, (SESSION, INPUT(Data), INPUT(Signature))) \
  X(C_VerifyUpdate, OP_VERIFY, true, (SESSION, INPUT(Part))) \
  X(C_VerifyFinal, OP_VERIFY, true, (SESSION, INPUT(Signature))) \
  X(C_VerifyRecoverInit, OP_VERIFY_RECOVER, true, (SESSION, MECHANISM, KEY)) \
  X(C_VerifyRecover, OP_VERIFY_RECOVER, true, (SESSION, INPUT(Signature), OUTPUT(Data))) \
  X(C_DigestEncryptUpdate, OP_ENCRYPT, true, (SESSION, INPUT(Part), OUTPUT(EncryptedPart))) \
  X(C_DecryptDigestUpdate, OP_DECRYPT, true, (SESSION, INPUT(EncryptedPart), OUTPUT(Part))) \
  X(C_SignEncryptUpdate, OP_ENCRYPT, true, (SESSION, INPUT(Part), OUTPUT(EncryptedPart))) \
  X(C_DecryptVerifyUpdate, OP_DECRYPT, true, (SESSION, INPUT(EncryptedPart), OUTPUT(Part))) \
  X(C_GenerateKey, OP_NONE, true, (SESSION, MECHANISM, TEMPLATE, CK_OBJECT_HANDLE * phKey)) \
  X(C_GenerateKeyPair, OP_NONE, true, \
    (SESSION, MECHANISM, CK_ATTRIBUTE_PTR pPublicKeyTemplate, CK_ULONG ulPublicKeyAttributeCount, \
     CK_ATTRIBUTE_PTR pPrivateKeyTemplate, CK_ULONG ulPrivateKeyAttributeCount, CK_OBJECT_HANDLE * phPublicKey, \
     CK_OBJECT_HANDLE * phPrivateKey)) \
  X(C_WrapKey, OP_NONE, true, (SESSION, MECHANISM, CK_OBJECT_HANDLE hWrappingKey, KEY, OUTPUT(WrappedKey))) \
  X(C_UnwrapKey, OP_NONE, true, \
    (SESSION, MECHANISM, CK_OBJECT_HANDLE hUnwrappingKey, INPUT(WrappedKey), CK_ATTRIBUTE_PTR pTemplate, \
     CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE * phKey)) \
  X(C_DeriveKey, OP_NONE, true, \
    (SESSION, MECHANISM, CK_OBJECT_HANDLE hBaseKey, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, \
     CK_OBJECT_HANDLE * phKey)) \
  X(C_SeedRandom, OP_NONE, false, (SESSION, INPUT(Seed))) \
  X(C_GenerateRandom, OP_NONE, false, (SESSION, CK_BYTE_PTR pRandomData, CK_ULONG ulRandomLen)) \
  X(C_GetFunctionStatus, OP_NONE, false, (SESSION)) \
  X(C_CancelFunction, OP_NONE, false, (SESSION)) \
  X(C_WaitForSlotEvent, OP_NONE, false, (CK_FLAGS flags, CK_SLOT_ID * pSlot, CK_VOID_PTR pReserved))

#endif
