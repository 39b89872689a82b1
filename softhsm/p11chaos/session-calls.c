/* Sessions, logins, and what else has to do with a session as a whole. */
#include "call.h"

CK_RV C_OpenSession(CK_SLOT_ID slotID, CK_FLAGS flags, CK_VOID_PTR pApplication, CK_NOTIFY Notify,
                    CK_SESSION_HANDLE *phSession) {
  Call call = call_on_slot(F_C_OpenSession, slotID);
  FORWARD(&call, C_OpenSession, slotID, flags, pApplication, Notify, phSession);
  if (call_succeeded(&call)) {
    state_lock();
    if (!session_add(*phSession, slotID)) call.rv = CKR_HOST_MEMORY;
    state_unlock();
    trace_number(&call, "out", "phSession", *phSession);
  }
  return call_end(&call);
}

CK_RV C_CloseSession(CK_SESSION_HANDLE hSession) {
  Call call = call_on_session(F_C_CloseSession, hSession);
  FORWARD(&call, C_CloseSession, hSession);
  if (call.session != NULL && (call_succeeded(&call) || call.rv == CKR_SESSION_HANDLE_INVALID)) {
    state_lock();
    /* A dead one stays until the real one is closed: its last call gives that to do. */
    if (!call.session->to_close) session_remove(call.session);
    state_unlock();
  }
  return call_end(&call);
}

CK_RV C_CloseAllSessions(CK_SLOT_ID slotID) {
  Call call = call_on_slot(F_C_CloseAllSessions, slotID);
  FORWARD(&call, C_CloseAllSessions, slotID);
  if (call_succeeded(&call)) {
    state_lock();
    sessions_forget(false, slotID);
    state_unlock();
  }
  return call_end(&call);
}

CK_RV C_GetSessionInfo(CK_SESSION_HANDLE hSession, CK_SESSION_INFO *pInfo) {
  Call call = call_on_session(F_C_GetSessionInfo, hSession);
  FORWARD(&call, C_GetSessionInfo, hSession, pInfo);
  if (call_succeeded(&call)) {
    bool read_write = (pInfo->flags & CKF_RW_SESSION) != 0;
    if (login_dropped(&call)) pInfo->state = read_write ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
    trace_bytes(&call, "out", "pInfo", pInfo, sizeof *pInfo);
  }
  return call_end(&call);
}

CK_RV C_Login(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_BYTE_PTR pPin, CK_ULONG ulPinLen) {
  Call call = call_on_session(F_C_Login, hSession);
  call.user_login = userType == CKU_USER;
  trace_number(&call, "in", "userType", userType);
  trace_redacted(&call, "pPin");
  if (call_enter(&call)) {
    if (login_dropped(&call)) REAL(C_Logout, hSession); /* what the rule pretends becomes true */
    call.rv = REAL(C_Login, hSession, userType, pPin, ulPinLen);
  }
  if (call.forwarded && call.user_login) note_pin(&call);
  if (call.forwarded) note_login(&call);
  return call_end(&call);
}

CK_RV C_Logout(CK_SESSION_HANDLE hSession) {
  Call call = call_on_session(F_C_Logout, hSession);
  FORWARD(&call, C_Logout, hSession);
  return call_end(&call);
}

CK_RV C_InitPIN(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPin, CK_ULONG ulPinLen) {
  Call call = call_on_session(F_C_InitPIN, hSession);
  trace_redacted(&call, "pPin");
  FORWARD(&call, C_InitPIN, hSession, pPin, ulPinLen);
  if (call_succeeded(&call)) note_pin(&call); /* the security officer unlocks the PIN */
  return call_end(&call);
}

CK_RV C_SetPIN(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOldPin, CK_ULONG ulOldLen, CK_BYTE_PTR pNewPin,
               CK_ULONG ulNewLen) {
  Call call = call_on_session(F_C_SetPIN, hSession);
  trace_redacted(&call, "pOldPin");
  trace_redacted(&call, "pNewPin");
  FORWARD(&call, C_SetPIN, hSession, pOldPin, ulOldLen, pNewPin, ulNewLen);
  return call_end(&call);
}

CK_RV C_GetOperationState(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState, CK_ULONG_PTR pulOperationStateLen) {
  Call call = call_on_session(F_C_GetOperationState, hSession);
  FORWARD(&call, C_GetOperationState, hSession, pOperationState, pulOperationStateLen);
  if (call_succeeded(&call)) trace_bytes(&call, "out", "pOperationState", pOperationState, *pulOperationStateLen);
  return call_end(&call);
}

CK_RV C_SetOperationState(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState, CK_ULONG ulOperationStateLen,
                          CK_OBJECT_HANDLE hEncryptionKey, CK_OBJECT_HANDLE hAuthenticationKey) {
  Call call = call_on_session(F_C_SetOperationState, hSession);
  trace_bytes(&call, "in", "pOperationState", pOperationState, ulOperationStateLen);
  FORWARD(&call, C_SetOperationState, hSession, pOperationState, ulOperationStateLen, hEncryptionKey, hAuthenticationKey);
  return call_end(&call);
}

CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE hSession) {
  Call call = call_on_session(F_C_GetFunctionStatus, hSession);
  FORWARD(&call, C_GetFunctionStatus, hSession);
  return call_end(&call);
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE hSession) {
  Call call = call_on_session(F_C_CancelFunction, hSession);
  FORWARD(&call, C_CancelFunction, hSession);
  return call_end(&call);
}

CK_RV C_SeedRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSeed, CK_ULONG ulSeedLen) {
  Call call = call_on_session(F_C_SeedRandom, hSession);
  trace_bytes(&call, "in", "pSeed", pSeed, ulSeedLen);
  FORWARD(&call, C_SeedRandom, hSession, pSeed, ulSeedLen);
  return call_end(&call);
}

CK_RV C_GenerateRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pRandomData, CK_ULONG ulRandomLen) {
  Call call = call_on_session(F_C_GenerateRandom, hSession);
  FORWARD(&call, C_GenerateRandom, hSession, pRandomData, ulRandomLen);
  if (call_succeeded(&call)) trace_bytes(&call, "out", "pRandomData", pRandomData, ulRandomLen);
  return call_end(&call);
}
