#include "call.h"

#include <signal.h>
#include <string.h>
#include <time.h>

/* How often a hanging call looks whether its rule still stands. */
#define HANG_POLL_US 10000

static void sleep_us(uint64_t microseconds) {
  struct timespec left = {(time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000};
  while (nanosleep(&left, &left) != 0) continue;
}

/* Looks at the configuration first, so that a trace or a rule that was just set meets this call whole. */
static Call begin(Call call) {
  call.started_us = now_us();
  if (call.on_slot) slot_learn_label(call.slot);
  state_lock();
  const Config *config = state_config();
  call.tracing = config != NULL && config->trace != NULL;
  if (call.on_session) {
    call.session = session_find(call.session_handle);
    if (call.session != NULL) {
      session_hold(call.session);
      call.slot = call.session->slot;
      Operation operation = FUNCTIONS[call.function].operation;
      call.has_mechanism = operation != OP_NONE && call.session->active[operation];
      call.mechanism = call.session->mechanisms[operation];
    }
  }
  state_unlock();
  if (call.tracing) trace_start(&call);
  return call;
}

Call call_on_module(Function function) { return begin((Call){.function = function}); }

Call call_on_slot(Function function, CK_SLOT_ID slot) {
  return begin((Call){.function = function, .on_slot = true, .slot = slot});
}

Call call_on_session(Function function, CK_SESSION_HANDLE session) {
  return begin((Call){.function = function, .on_session = true, .session_handle = session});
}

void call_mechanism(Call *call, const CK_MECHANISM *mechanism) {
  if (mechanism == NULL) return;
  call->names_mechanism = call->has_mechanism = true;
  call->mechanism = mechanism->mechanism;
  trace_parameter(call, mechanism);
}

void call_object(Call *call, const char *name, CK_OBJECT_HANDLE handle, CK_RV refusal) {
  call->objects[call->object_count].handle = handle;
  call->objects[call->object_count++].refusal = refusal;
  trace_number(call, "in", name, handle);
}

void call_template(Call *call, const CK_ATTRIBUTE *attributes, CK_ULONG count) {
  if (attributes == NULL) return;
  call->templates[call->template_count].attributes = attributes;
  call->templates[call->template_count++].count = count;
}

/* Until the rule is gone from the file, or its time is over. */
static void hang(const char *text, uint64_t generation, uint64_t for_us) {
  uint64_t until = for_us == UINT64_MAX ? UINT64_MAX : now_us() + for_us;
  for (;;) {
    sleep_us(HANG_POLL_US);
    state_lock();
    Config *config = state_config();
    bool stands = config != NULL && rule_stands(config, text, generation);
    state_unlock();
    if (!stands || now_us() >= until) return;
  }
}

/* The line is written before, because nothing is after. */
static void crash(Call *call, int number) {
  char path[CONFIG_LINE_BYTES_MAX + 1] = "";
  state_lock();
  const Config *config = state_config();
  if (config != NULL && config->trace != NULL) memcpy(path, config->trace, strlen(config->trace) + 1);
  state_unlock();
  if (call->tracing && *path != '\0') trace_write(call, path, CKR_GENERAL_ERROR);
  signal(number, SIG_DFL);
  raise(number);
}

/* Does what the rules want of this phase. True where they answer the call. */
static bool meet_rules(Call *call, Phase phase) {
  char text[CONFIG_LINE_BYTES_MAX + 1] = "";
  uint64_t generation = 0, for_us = 0;
  state_lock();
  Config *config = state_config();
  Decision decision = {.rv = CKR_OK};
  if (config != NULL) decision = rules_decide(config, call, phase);
  if (decision.hang != NULL) {
    memcpy(text, decision.hang->text, strlen(decision.hang->text) + 1);
    generation = config->generation;
    for_us = decision.hang->for_us;
  }
  state_unlock();
  if (decision.line != 0) call->rule_line = decision.line;
  if (decision.sleep_us > 0) sleep_us(decision.sleep_us);
  if (decision.hang != NULL) hang(text, generation, for_us);
  if (decision.signal != 0) crash(call, decision.signal);
  if (decision.fails) call->rv = decision.rv;
  return decision.fails;
}

/* What the call answers because of the state of things, whatever rules of single calls say. */
static CK_RV refuse(Call *call) {
  if (real_module() == NULL) return CKR_CRYPTOKI_NOT_INITIALIZED;
  state_lock();
  Config *config = state_config();
  CK_RV rv = config != NULL ? rules_refuse(config, call) : call->function == F_C_Finalize ? CKR_OK : CKR_GENERAL_ERROR;
  state_unlock();
  return rv;
}

bool call_enter(Call *call) {
  bool answered = meet_rules(call, BEFORE_CALL);
  CK_RV refusal = refuse(call);
  if (refusal != CKR_OK) call->rv = refusal;
  call->forwarded = !answered && refusal == CKR_OK;
  return call->forwarded;
}

CK_RV call_end(Call *call) {
  if (call_succeeded(call)) meet_rules(call, AFTER_CALL);
  char trace[CONFIG_LINE_BYTES_MAX + 1] = "", stats[CONFIG_LINE_BYTES_MAX + 1] = "";
  state_lock();
  if (call->session != NULL) session_release(call->session);
  const Config *config = state_config();
  if (config != NULL && config->trace != NULL) memcpy(trace, config->trace, strlen(config->trace) + 1);
  if (config != NULL && config->stats != NULL) memcpy(stats, config->stats, strlen(config->stats) + 1);
  state_unlock();
  stats_write(call, stats, call->rv);
  if (call->tracing && *trace != '\0') trace_write(call, trace, call->rv);
  text_free(&call->trace);
  return call->rv;
}
