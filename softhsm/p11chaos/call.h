/*
 * One call of the application. Every function of this module goes the same way:
 *
 *   Call call = call_on_session(F_C_X, hSession);    count it, look at the configuration, hold the session
 *   trace_bytes(&call, "in", "pData", ...);          what the application passes
 *   if (call_enter(&call)) call.rv = REAL(C_X, ...); rules; then the real module, without any lock
 *   trace_bytes(&call, "out", ...);                  what it gets
 *   return call_end(&call);                          rules for after the call, trace line, count
 */
#ifndef P11CHAOS_CALL_H
#define P11CHAOS_CALL_H

#include "module.h"
#include "text.h"

typedef struct {
  Function function;
  bool on_session, on_slot;
  CK_SESSION_HANDLE session_handle;
  Session *session; /* held until the end, where we know it */
  CK_SLOT_ID slot;
  bool names_mechanism, has_mechanism; /* as an argument; as an argument or by the operation under way */
  CK_MECHANISM_TYPE mechanism;
  struct {
    CK_OBJECT_HANDLE handle;
    CK_RV refusal;
  } objects[2];
  size_t object_count;
  struct {
    const CK_ATTRIBUTE *attributes; /* of the application */
    CK_ULONG count;
  } templates[2];
  size_t template_count;
  bool user_login;
  CK_RV rv;
  bool forwarded;     /* the real module was called */
  unsigned rule_line; /* of the rule that answered instead, or 0 */
  uint64_t started_us;
  bool tracing;
  Text trace;
} Call;

Call call_on_module(Function function);
Call call_on_slot(Function function, CK_SLOT_ID slot);
Call call_on_session(Function function, CK_SESSION_HANDLE session);
/* What the call names besides; traced as well. `refusal` is the answer where a rule made the handle stale. */
void call_mechanism(Call *call, const CK_MECHANISM *mechanism);
void call_object(Call *call, const char *name, CK_OBJECT_HANDLE handle, CK_RV refusal);
/* Its template. Not traced, because C_GetAttributeValue has still to fill its own. */
void call_template(Call *call, const CK_ATTRIBUTE *attributes, CK_ULONG count);
/* Whether to call the real module; where not, call->rv is the answer. */
bool call_enter(Call *call);
CK_RV call_end(Call *call);

/* Calls the real module's function, which a module may lack. */
#define REAL(name, ...) \
  (real_module()->name == NULL ? CKR_FUNCTION_NOT_SUPPORTED : real_module()->name(__VA_ARGS__))
#define FORWARD(call, name, ...) \
  do { \
    if (call_enter(call)) (call)->rv = REAL(name, __VA_ARGS__); \
  } while (0)

/* Whether the application gets what the real module wrote. */
static inline bool call_succeeded(const Call *call) { return call->forwarded && call->rv == CKR_OK; }

/* rules.c; all want the lock. */

typedef enum { BEFORE_CALL, AFTER_CALL } Phase;
typedef struct {
  uint64_t sleep_us;
  const Rule *hang; /* valid until the lock is given back */
  int signal;
  bool fails;
  CK_RV rv;
  unsigned line;
} Decision;

/* What the rules that fire want of a call; counts them. */
Decision rules_decide(Config *config, const Call *call, Phase phase);
/* The first rule of a kind that is in force for the call's token, or NULL. */
Rule *rule_in_force(Config *config, Kind kind, const Call *call);
/* The rule of a hang after the file may have been read again. */
bool rule_stands(Config *config, const char *text, uint64_t generation);
/* CKR_OK, or what the call answers because of the state that rules put the token in. */
CK_RV rules_refuse(Config *config, const Call *call);
/* Whether a rule of this kind names the mechanism. */
bool rules_name_mechanism(Config *config, Kind kind, const Call *call, CK_MECHANISM_TYPE mechanism);
/* Adds false mechanisms to a list of `count` with room for those of all rules; the new count. */
CK_ULONG rules_list_mechanisms(Config *config, const Call *call, CK_MECHANISM_TYPE *list, CK_ULONG count);
/* Wrong PINs that a rule `pin-tries` has counted for the token of the call. */
uint64_t pin_wrong_count(const Rule *rule, const Call *call);

/* rules.c too; these take the lock themselves. */

/* As rule_in_force, into a copy, because the configuration may change once the lock is given back. */
bool rule_copied(Kind kind, const Call *call, Rule *copy);
/* Whether a rule pretends that nobody is logged in to the call's token. */
bool login_dropped(const Call *call);
/* The real module's answer to a PIN, and to a login. */
void note_pin(const Call *call);
void note_login(const Call *call);
/* An object handle that the application got just now, and one that is gone. */
void rules_note_object(const Call *call, CK_OBJECT_HANDLE handle);
void rules_forget_object(const Call *call, CK_OBJECT_HANDLE handle);

/* trace.c */
uint64_t now_us(void);
void trace_start(Call *call);
void trace_bytes(Call *call, const char *direction, const char *name, const void *bytes, size_t length);
void trace_number(Call *call, const char *direction, const char *name, CK_ULONG number);
void trace_redacted(Call *call, const char *name);
void trace_template(Call *call, const char *direction, const char *name, const CK_ATTRIBUTE *attributes, CK_ULONG count);
void trace_parameter(Call *call, const CK_MECHANISM *mechanism);
void trace_write(Call *call, const char *path, CK_RV rv);
void stats_write(const Call *call, const char *path, CK_RV rv);

#endif
