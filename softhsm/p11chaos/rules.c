/* Which rules meet a call, and what state of the token they pretend. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"

static bool meets_token(const Rule *rule, const Call *call) {
  if (rule->token == NULL) return true;
  return (call->on_slot || call->session != NULL) && slot_has_label(call->slot, rule->token);
}

static bool meets(const Rule *rule, const Call *call, Phase phase) {
  if (!rule->functions[call->function] || rule->after_call != (phase == AFTER_CALL)) return false;
  if (rule->has_mechanism && (!call->has_mechanism || call->mechanism != rule->mechanism)) return false;
  return meets_token(rule, call);
}

/* Counts the call against a rule that it meets. The file of `once=` tells all processes that it has fired. */
static bool fires(Rule *rule) {
  rule->seen++;
  if (rule->seen <= rule->after || rule->fired >= rule->times) return false;
  if (rule->probability < 1 && state_random() >= rule->probability) return false;
  if (rule->once != NULL) {
    int fd = open(rule->once, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    close(fd);
  }
  rule->fired++;
  return true;
}

Decision rules_decide(Config *config, const Call *call, Phase phase) {
  Decision decision = {.rv = CKR_OK};
  for (size_t i = 0; i < config->rule_count && !decision.fails; i++) {
    Rule *rule = &config->rules[i];
    if (rule->kind < K_FAIL || rule->kind > K_CRASH || !meets(rule, call, phase) || !fires(rule)) continue;
    decision.line = rule->line;
    if (rule->kind == K_LATENCY) decision.sleep_us += rule->number;
    if (rule->kind == K_HANG && decision.hang == NULL) decision.hang = rule;
    if (rule->kind == K_CRASH) decision.signal = rule->signal;
    if (rule->kind != K_FAIL) continue;
    size_t choice = rule->return_value_count == 1 ? 0 : (size_t)(state_random() * (double)rule->return_value_count);
    decision.fails = true;
    decision.rv = rule->return_values[choice];
  }
  return decision;
}

Rule *rule_in_force(Config *config, Kind kind, const Call *call) {
  for (size_t i = 0; i < config->rule_count; i++) {
    if (config->rules[i].kind == kind && meets_token(&config->rules[i], call)) return &config->rules[i];
  }
  return NULL;
}

bool rule_stands(Config *config, const char *text, uint64_t generation) {
  if (config->generation != generation) return false;
  for (size_t i = 0; i < config->rule_count; i++) {
    if (config->rules[i].kind == K_HANG && strcmp(config->rules[i].text, text) == 0) return true;
  }
  return false;
}

static bool holds(const CK_MECHANISM_TYPE *list, CK_ULONG count, CK_MECHANISM_TYPE mechanism) {
  for (CK_ULONG i = 0; i < count; i++) {
    if (list[i] == mechanism) return true;
  }
  return false;
}

bool rules_name_mechanism(Config *config, Kind kind, const Call *call, CK_MECHANISM_TYPE mechanism) {
  for (size_t i = 0; i < config->rule_count; i++) {
    const Rule *rule = &config->rules[i];
    if (rule->kind != kind || !meets_token(rule, call)) continue;
    if (holds(rule->mechanisms, rule->mechanism_count, mechanism)) return true;
  }
  return false;
}

CK_ULONG rules_list_mechanisms(Config *config, const Call *call, CK_MECHANISM_TYPE *list, CK_ULONG count) {
  for (size_t i = 0; i < config->rule_count; i++) {
    const Rule *rule = &config->rules[i];
    bool lists = rule->kind == K_LIST_MECHANISM || rule->kind == K_ML_DSA;
    if (!lists || !meets_token(rule, call)) continue;
    for (size_t j = 0; j < rule->mechanism_count; j++) {
      if (!holds(list, count, rule->mechanisms[j])) list[count++] = rule->mechanisms[j];
    }
  }
  return count;
}

/* Whether a template of the call names an attribute that the token is not to know. */
static bool names_hidden_attribute(Config *config, const Call *call) {
  for (size_t i = 0; i < config->rule_count; i++) {
    const Rule *rule = &config->rules[i];
    if (rule->kind != K_HIDE_ATTRIBUTE || !meets_token(rule, call)) continue;
    for (size_t j = 0; j < call->template_count; j++) {
      for (CK_ULONG k = 0; k < call->templates[j].count; k++) {
        if (holds(rule->attributes, rule->attribute_count, call->templates[j].attributes[k].type)) return true;
      }
    }
  }
  return false;
}

static CK_RV refuse_stale(Config *config, const Call *call) {
  for (size_t i = 0; i < config->rule_count; i++) {
    const Rule *rule = &config->rules[i];
    if (rule->kind != K_HANDLES_STALE || !meets_token(rule, call)) continue;
    for (size_t j = 0; j < call->object_count; j++) {
      if (!handle_set_has(&rule->known, call->slot, call->objects[j].handle)) return call->objects[j].refusal;
    }
  }
  return CKR_OK;
}

static CK_RV refuse_absent(const Call *call) {
  switch (call->function) {
    case F_C_GetSlotList:
    case F_C_GetSlotInfo: return CKR_OK;
    default: return call->on_session ? CKR_DEVICE_REMOVED : CKR_TOKEN_NOT_PRESENT;
  }
}

CK_RV rules_refuse(Config *config, const Call *call) {
  if (!call->on_session && !call->on_slot) return CKR_OK;
  Rule *rule = rule_in_force(config, K_TOKEN_ABSENT, call);
  if (rule != NULL) {
    if (call->session != NULL) sessions_kill(rule->token, true); /* those that were being opened when it went */
    return refuse_absent(call);
  }
  if (call->session != NULL && call->session->dead) return CKR_SESSION_HANDLE_INVALID;
  if (call->function == F_C_OpenSession) {
    rule = rule_in_force(config, K_SESSIONS_MAX, call);
    return rule != NULL && sessions_count(rule->token) >= rule->number ? CKR_SESSION_COUNT : CKR_OK;
  }
  if (call->user_login) {
    rule = rule_in_force(config, K_PIN_TRIES, call);
    bool locked = rule != NULL && pin_wrong_count(rule, call) >= rule->number;
    return locked || rule_in_force(config, K_PIN_LOCKED, call) != NULL ? CKR_PIN_LOCKED : CKR_OK;
  }
  if (FUNCTIONS[call->function].login || call->function == F_C_Logout) {
    rule = rule_in_force(config, K_LOGOUT_DROP, call);
    if (rule != NULL && !handle_set_has(&rule->known, call->slot, 0)) return CKR_USER_NOT_LOGGED_IN;
  }
  if (call->names_mechanism && (rules_name_mechanism(config, K_HIDE_MECHANISM, call, call->mechanism) ||
                                rules_name_mechanism(config, K_LIST_MECHANISM, call, call->mechanism))) {
    return CKR_MECHANISM_INVALID;
  }
  if (names_hidden_attribute(config, call)) return CKR_ATTRIBUTE_TYPE_INVALID;
  return refuse_stale(config, call);
}

uint64_t pin_wrong_count(const Rule *rule, const Call *call) {
  struct stat found;
  if (rule->state != NULL) return stat(rule->state, &found) == 0 ? (uint64_t)found.st_size : 0;
  const Slot *slot = slot_find(call->slot);
  return slot == NULL ? 0 : slot->wrong_pins;
}

/* In a file, which other processes see as well, every wrong PIN is one byte. */
static void count_wrong_pin(const Rule *rule, Slot *slot, bool wrong) {
  slot->wrong_pins = wrong ? slot->wrong_pins + 1 : 0;
  if (rule->state == NULL) return;
  int fd = open(rule->state, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (wrong ? 0 : O_TRUNC), 0600);
  if (fd < 0 || (wrong && write(fd, "x", 1) != 1)) complain("cannot count a PIN in %s", rule->state);
  if (fd >= 0) close(fd);
}

bool rule_copied(Kind kind, const Call *call, Rule *copy) {
  state_lock();
  Config *config = state_config();
  const Rule *rule = config == NULL ? NULL : rule_in_force(config, kind, call);
  if (rule != NULL) *copy = *rule;
  state_unlock();
  return rule != NULL;
}

bool login_dropped(const Call *call) {
  state_lock();
  Config *config = state_config();
  const Rule *rule = config == NULL ? NULL : rule_in_force(config, K_LOGOUT_DROP, call);
  bool dropped = rule != NULL && !handle_set_has(&rule->known, call->slot, 0);
  state_unlock();
  return dropped;
}

void note_pin(const Call *call) {
  state_lock();
  Config *config = state_config();
  const Rule *rule = config == NULL ? NULL : rule_in_force(config, K_PIN_TRIES, call);
  Slot *slot = slot_find(call->slot);
  if (rule != NULL && slot != NULL && (call->rv == CKR_OK || call->rv == CKR_PIN_INCORRECT)) {
    count_wrong_pin(rule, slot, call->rv != CKR_OK);
  }
  state_unlock();
}

/* Adds a handle to what the rules of a kind know again, or takes it out. */
static void note_known(Kind kind, const Call *call, CK_OBJECT_HANDLE handle, bool known) {
  state_lock();
  Config *config = state_config();
  for (size_t i = 0; config != NULL && i < config->rule_count; i++) {
    Rule *rule = &config->rules[i];
    if (rule->kind != kind || !meets_token(rule, call)) continue;
    if (!known) handle_set_remove(&rule->known, call->slot, handle);
    else if (!handle_set_add(&rule->known, call->slot, handle)) complain("out of memory for handles");
  }
  state_unlock();
}

void note_login(const Call *call) {
  if (call->rv == CKR_OK) note_known(K_LOGOUT_DROP, call, 0, true);
}

void rules_note_object(const Call *call, CK_OBJECT_HANDLE handle) { note_known(K_HANDLES_STALE, call, handle, true); }

void rules_forget_object(const Call *call, CK_OBJECT_HANDLE handle) {
  note_known(K_HANDLES_STALE, call, handle, false);
}
