/*
 * What all threads of a process share: the configuration in force, sessions, slots, the real module. One mutex guards it,
 * which nobody holds while the real module works.
 */
#ifndef P11CHAOS_STATE_H
#define P11CHAOS_STATE_H

#include "config.h"
#include "openssl.h"

#define APPENDED_IV_BYTES 16
#define SLOTS_MAX 64

typedef struct Session {
  struct Session *next;
  CK_SESSION_HANDLE handle;
  CK_SLOT_ID slot;
  unsigned calls; /* under way on it: a session in use is neither closed nor freed by us */
  bool dead;      /* answers CKR_SESSION_HANDLE_INVALID */
  bool to_close;  /* dead, and the real one is still to be closed */
  bool removed;   /* in no table any more: freed with the last call */
  bool active[OP_COUNT];
  CK_MECHANISM_TYPE mechanisms[OP_COUNT];
  bool append_iv; /* the encryption under way ends with the IV that we drew */
  CK_BYTE iv[APPENDED_IV_BYTES];
  PairKind sign_kind; /* PAIR_NONE: the real token signs by itself */
  SignScheme sign_scheme;
} Session;

typedef struct {
  CK_SLOT_ID id;
  bool label_known;
  char label[TOKEN_LABEL_BYTES + 1];
  unsigned wrong_pins;
} Slot;

/* Prints one line to stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

void state_lock(void);
/* Unlocks, and closes real sessions that a rule made dead. */
void state_unlock(void);

/* The rest wants the lock, apart from what says otherwise. */

/* Reads the environment and the configuration and loads the real module: for C_Initialize. False after a complaint. */
bool state_start(void);
/* Whether C_Initialize has succeeded and C_Finalize not since. */
extern bool state_initialized;
/* The real module, or NULL before the first C_Initialize. Needs no lock. */
const CK_FUNCTION_LIST *real_module(void);

/* The configuration in force, read again where the file has changed; NULL where it cannot be parsed. */
Config *state_config(void);

Session *session_find(CK_SESSION_HANDLE handle);
bool session_add(CK_SESSION_HANDLE handle, CK_SLOT_ID slot);
void session_remove(Session *session);
/* Forgets the sessions of a slot, or of all. */
void sessions_forget(bool all, CK_SLOT_ID slot);
/* Sessions that the application can use; of the tokens of that label, or of all where it is NULL. */
CK_ULONG sessions_count(const char *label);
/* Takes hold of a session for one call, and gives it back. */
void session_hold(Session *session);
void session_release(Session *session);

/* The record of a slot; NULL beyond SLOTS_MAX of them. */
Slot *slot_find(CK_SLOT_ID id);
/* Whether the token in a slot has this label; true for NULL. */
bool slot_has_label(CK_SLOT_ID id, const char *label);
void slots_forget_labels(void);
/* Asks the real module for the label of a slot's token. To be called WITHOUT the lock. */
void slot_learn_label(CK_SLOT_ID id);

/* A number between 0 and 1 of the configuration's sequence. */
double state_random(void);

#endif
