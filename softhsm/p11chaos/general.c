/* The library, slots and tokens. */
#include <stdlib.h>
#include <string.h>

#include "call.h"

#define EXPORT __attribute__((visibility("default")))

#define LIST_MEMBER(name, operation, login, arguments) name,
static CK_FUNCTION_LIST own_list = {{2, 40}, CRYPTOKI_FUNCTIONS(LIST_MEMBER)};
#undef LIST_MEMBER

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ppFunctionList) {
  if (ppFunctionList == NULL) return CKR_ARGUMENTS_BAD;
  *ppFunctionList = &own_list;
  return CKR_OK;
}

CK_RV C_Initialize(CK_VOID_PTR pInitArgs) {
  state_lock();
  bool started = state_initialized || state_start();
  state_unlock();
  if (!started) return CKR_GENERAL_ERROR;
  Call call = call_on_module(F_C_Initialize);
  FORWARD(&call, C_Initialize, pInitArgs);
  if (call_succeeded(&call)) {
    state_lock();
    state_initialized = true;
    state_unlock();
  }
  return call_end(&call);
}

CK_RV C_Finalize(CK_VOID_PTR pReserved) {
  Call call = call_on_module(F_C_Finalize);
  FORWARD(&call, C_Finalize, pReserved);
  if (call_succeeded(&call)) {
    state_lock();
    state_initialized = false;
    sessions_forget(true, 0);
    slots_forget_labels();
    state_unlock();
  }
  return call_end(&call);
}

CK_RV C_GetInfo(CK_INFO *pInfo) {
  Call call = call_on_module(F_C_GetInfo);
  FORWARD(&call, C_GetInfo, pInfo);
  if (call_succeeded(&call)) trace_bytes(&call, "out", "pInfo", pInfo, sizeof *pInfo);
  return call_end(&call);
}

static bool slot_is_absent(CK_SLOT_ID slot) {
  Call asked = {.function = F_C_GetSlotInfo, .on_slot = true, .slot = slot};
  Rule rule;
  return rule_copied(K_TOKEN_ABSENT, &asked, &rule);
}

/* Gives out a list by the convention of Cryptoki: the count alone, or as much as there is room for, or nothing. */
static CK_RV give_list(const CK_ULONG *list, CK_ULONG count, CK_ULONG *to, CK_ULONG *room) {
  CK_ULONG had = *room;
  *room = count;
  if (to == NULL) return CKR_OK;
  if (had < count) return CKR_BUFFER_TOO_SMALL;
  memcpy(to, list, count * sizeof *list);
  return CKR_OK;
}

static CK_RV list_slots(CK_BBOOL present, CK_SLOT_ID *to, CK_ULONG *room) {
  state_lock();
  const Config *config = state_config();
  bool rules = false;
  for (size_t i = 0; config != NULL && i < config->rule_count; i++) rules |= config->rules[i].kind == K_TOKEN_ABSENT;
  state_unlock();
  if (!present || !rules || room == NULL) return REAL(C_GetSlotList, present, to, room);
  CK_ULONG count = 0, kept = 0;
  CK_RV rv = REAL(C_GetSlotList, present, NULL, &count);
  if (rv != CKR_OK) return rv;
  CK_SLOT_ID *list = calloc(count + 1, sizeof *list);
  if (list == NULL) return CKR_HOST_MEMORY;
  rv = REAL(C_GetSlotList, present, list, &count);
  for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) {
    slot_learn_label(list[i]);
    if (!slot_is_absent(list[i])) list[kept++] = list[i];
  }
  if (rv == CKR_OK) rv = give_list(list, kept, to, room);
  free(list);
  return rv;
}

CK_RV C_GetSlotList(CK_BBOOL tokenPresent, CK_SLOT_ID *pSlotList, CK_ULONG_PTR pulCount) {
  Call call = call_on_module(F_C_GetSlotList);
  if (call_enter(&call)) call.rv = list_slots(tokenPresent, pSlotList, pulCount);
  if (call_succeeded(&call)) {
    trace_number(&call, "out", "pulCount", *pulCount);
    if (pSlotList != NULL) trace_bytes(&call, "out", "pSlotList", pSlotList, *pulCount * sizeof *pSlotList);
  }
  return call_end(&call);
}

CK_RV C_GetSlotInfo(CK_SLOT_ID slotID, CK_SLOT_INFO *pInfo) {
  Call call = call_on_slot(F_C_GetSlotInfo, slotID);
  FORWARD(&call, C_GetSlotInfo, slotID, pInfo);
  if (call_succeeded(&call)) {
    if (slot_is_absent(slotID)) pInfo->flags &= ~CKF_TOKEN_PRESENT;
    trace_bytes(&call, "out", "pInfo", pInfo, sizeof *pInfo);
  }
  return call_end(&call);
}

/* Fills a field that is padded with blanks and ends without NUL. */
static void pad(CK_UTF8CHAR *field, size_t bytes, const char *text) {
  if (text == NULL) return;
  memset(field, ' ', bytes);
  memcpy(field, text, strlen(text) < bytes ? strlen(text) : bytes);
}

static void show_pin_flags(const Call *call, Config *config, CK_TOKEN_INFO *info) {
  const Rule *rule = rule_in_force(config, K_PIN_TRIES, call);
  bool locked = rule_in_force(config, K_PIN_LOCKED, call) != NULL;
  if (rule == NULL && !locked) return;
  uint64_t wrong = rule == NULL ? 0 : pin_wrong_count(rule, call);
  info->flags &= ~(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
  if (wrong > 0) info->flags |= CKF_USER_PIN_COUNT_LOW;
  if (rule != NULL && wrong + 1 == rule->number) info->flags |= CKF_USER_PIN_FINAL_TRY;
  if (locked || (rule != NULL && wrong >= rule->number)) info->flags |= CKF_USER_PIN_LOCKED;
}

static void show_rules(const Call *call, CK_TOKEN_INFO *info) {
  state_lock();
  Config *config = state_config();
  if (config != NULL) {
    show_pin_flags(call, config, info);
    const Rule *sessions = rule_in_force(config, K_SESSIONS_MAX, call);
    if (sessions != NULL) {
      info->ulMaxSessionCount = info->ulMaxRwSessionCount = sessions->number;
      info->ulSessionCount = sessions_count(sessions->token);
    }
    const Rule *identity = rule_in_force(config, K_TOKEN_INFO, call);
    if (identity != NULL) {
      pad(info->manufacturerID, sizeof info->manufacturerID, identity->manufacturer);
      pad(info->model, sizeof info->model, identity->model);
    }
  }
  state_unlock();
}

CK_RV C_GetTokenInfo(CK_SLOT_ID slotID, CK_TOKEN_INFO *pInfo) {
  Call call = call_on_slot(F_C_GetTokenInfo, slotID);
  FORWARD(&call, C_GetTokenInfo, slotID, pInfo);
  if (call_succeeded(&call)) {
    show_rules(&call, pInfo);
    trace_bytes(&call, "out", "pInfo", pInfo, sizeof *pInfo);
  }
  return call_end(&call);
}

/* Takes hidden mechanisms out of a list with room for all, and puts false ones in. */
static CK_ULONG edit_mechanisms(const Call *call, CK_MECHANISM_TYPE *list, CK_ULONG count) {
  CK_ULONG kept = 0;
  state_lock();
  Config *config = state_config();
  for (CK_ULONG i = 0; i < count; i++) {
    if (config != NULL && rules_name_mechanism(config, K_HIDE_MECHANISM, call, list[i])) continue;
    list[kept++] = list[i];
  }
  if (config != NULL) kept = rules_list_mechanisms(config, call, list, kept);
  state_unlock();
  return kept;
}

static CK_RV list_mechanisms(const Call *call, CK_SLOT_ID slot, CK_MECHANISM_TYPE *to, CK_ULONG *room) {
  Rule rule;
  bool rules = rule_copied(K_HIDE_MECHANISM, call, &rule) || rule_copied(K_LIST_MECHANISM, call, &rule) ||
               rule_copied(K_ML_DSA, call, &rule);
  if (!rules || room == NULL) return REAL(C_GetMechanismList, slot, to, room);
  CK_ULONG count = 0;
  CK_RV rv = REAL(C_GetMechanismList, slot, NULL, &count);
  if (rv != CKR_OK) return rv;
  CK_MECHANISM_TYPE *list = calloc(count + RULES_MAX * LIST_MAX, sizeof *list);
  if (list == NULL) return CKR_HOST_MEMORY;
  rv = REAL(C_GetMechanismList, slot, list, &count);
  if (rv == CKR_OK) rv = give_list(list, edit_mechanisms(call, list, count), to, room);
  free(list);
  return rv;
}

CK_RV C_GetMechanismList(CK_SLOT_ID slotID, CK_MECHANISM_TYPE *pMechanismList, CK_ULONG_PTR pulCount) {
  Call call = call_on_slot(F_C_GetMechanismList, slotID);
  if (call_enter(&call)) call.rv = list_mechanisms(&call, slotID, pMechanismList, pulCount);
  if (call_succeeded(&call)) trace_number(&call, "out", "pulCount", *pulCount);
  return call_end(&call);
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID slotID, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *pInfo) {
  Call call = call_on_slot(F_C_GetMechanismInfo, slotID);
  call.has_mechanism = true;
  call.mechanism = type;
  if (call_enter(&call)) {
    state_lock();
    Config *config = state_config();
    bool hidden = config != NULL && rules_name_mechanism(config, K_HIDE_MECHANISM, &call, type);
    bool listed = config != NULL && (rules_name_mechanism(config, K_LIST_MECHANISM, &call, type) ||
                                     rules_name_mechanism(config, K_ML_DSA, &call, type));
    state_unlock();
    if (pInfo == NULL) hidden = listed = false;
    call.rv = hidden ? CKR_MECHANISM_INVALID : REAL(C_GetMechanismInfo, slotID, type, pInfo);
    if (!hidden && listed && call.rv != CKR_OK) {
      *pInfo = (CK_MECHANISM_INFO){16, 32, 0};
      call.rv = CKR_OK;
    }
  }
  if (call_succeeded(&call)) trace_bytes(&call, "out", "pInfo", pInfo, sizeof *pInfo);
  return call_end(&call);
}

CK_RV C_InitToken(CK_SLOT_ID slotID, CK_BYTE_PTR pPin, CK_ULONG ulPinLen, CK_BYTE_PTR pLabel) {
  Call call = call_on_slot(F_C_InitToken, slotID);
  trace_redacted(&call, "pPin");
  trace_bytes(&call, "in", "pLabel", pLabel, TOKEN_LABEL_BYTES);
  FORWARD(&call, C_InitToken, slotID, pPin, ulPinLen, pLabel);
  state_lock();
  slots_forget_labels();
  state_unlock();
  return call_end(&call);
}

CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID *pSlot, CK_VOID_PTR pReserved) {
  Call call = call_on_module(F_C_WaitForSlotEvent);
  FORWARD(&call, C_WaitForSlotEvent, flags, pSlot, pReserved);
  return call_end(&call);
}
