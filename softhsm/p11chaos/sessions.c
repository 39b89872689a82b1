/* Tables of sessions and slots. */
#include <stdlib.h>
#include <string.h>

#include "module.h"

#define BUCKETS 1024

static Session *buckets[BUCKETS];
static size_t waiting_to_close;
static Slot slots[SLOTS_MAX];
static size_t slot_count;

static Session **bucket_of(CK_SESSION_HANDLE handle) { return &buckets[handle % BUCKETS]; }

Session *session_find(CK_SESSION_HANDLE handle) {
  Session *session = *bucket_of(handle);
  while (session != NULL && session->handle != handle) session = session->next;
  return session;
}

bool session_add(CK_SESSION_HANDLE handle, CK_SLOT_ID slot) {
  Session *old = session_find(handle);
  if (old != NULL) session_remove(old);
  Session *session = calloc(1, sizeof *session);
  if (session == NULL) return false;
  session->handle = handle;
  session->slot = slot;
  session->next = *bucket_of(handle);
  *bucket_of(handle) = session;
  return true;
}

static void forget_closing(Session *session) {
  if (session->to_close) waiting_to_close--;
  session->to_close = false;
}

void session_remove(Session *session) {
  if (session->removed) return;
  Session **link = bucket_of(session->handle);
  while (*link != session) link = &(*link)->next;
  *link = session->next;
  session->removed = true;
  forget_closing(session);
  if (session->calls == 0) free(session);
}

void sessions_forget(bool all, CK_SLOT_ID slot) {
  for (size_t i = 0; i < BUCKETS; i++) {
    for (Session *session = buckets[i], *next; session != NULL; session = next) {
      next = session->next;
      if (all || session->slot == slot) session_remove(session);
    }
  }
}

CK_ULONG sessions_count(const char *label) {
  CK_ULONG count = 0;
  for (size_t i = 0; i < BUCKETS; i++) {
    for (Session *session = buckets[i]; session != NULL; session = session->next) {
      count += !session->dead && slot_has_label(session->slot, label);
    }
  }
  return count;
}

void session_hold(Session *session) { session->calls++; }

void session_release(Session *session) {
  session->calls--;
  if (session->removed && session->calls == 0) free(session);
}

void sessions_kill(const char *label, bool really) {
  for (size_t i = 0; i < BUCKETS; i++) {
    for (Session *session = buckets[i]; session != NULL; session = session->next) {
      if (session->dead || !slot_has_label(session->slot, label)) continue;
      session->dead = true;
      session->to_close = really;
      waiting_to_close += really;
    }
  }
}

bool session_to_close(CK_SESSION_HANDLE *handle) {
  for (size_t i = 0; waiting_to_close > 0 && i < BUCKETS; i++) {
    for (Session *session = buckets[i]; session != NULL; session = session->next) {
      if (!session->to_close || session->calls > 0) continue;
      forget_closing(session);
      *handle = session->handle;
      return true;
    }
  }
  return false;
}

Slot *slot_find(CK_SLOT_ID id) {
  for (size_t i = 0; i < slot_count; i++) {
    if (slots[i].id == id) return &slots[i];
  }
  if (slot_count == SLOTS_MAX) return NULL;
  slots[slot_count] = (Slot){.id = id};
  return &slots[slot_count++];
}

bool slot_has_label(CK_SLOT_ID id, const char *label) {
  if (label == NULL) return true;
  const Slot *slot = slot_find(id);
  return slot != NULL && slot->label_known && strcmp(slot->label, label) == 0;
}

void slots_forget_labels(void) {
  for (size_t i = 0; i < slot_count; i++) slots[i].label_known = false;
}

void slot_learn_label(CK_SLOT_ID id) {
  const CK_FUNCTION_LIST *module = real_module();
  CK_TOKEN_INFO info;
  if (module == NULL || module->C_GetTokenInfo == NULL) return;
  state_lock();
  Slot *slot = slot_find(id);
  bool known = slot == NULL || slot->label_known;
  state_unlock();
  if (known || module->C_GetTokenInfo(id, &info) != CKR_OK) return;
  size_t length = sizeof info.label;
  while (length > 0 && (info.label[length - 1] == ' ' || info.label[length - 1] == '\0')) length--;
  state_lock();
  slot = slot_find(id);
  memcpy(slot->label, info.label, length);
  slot->label[length] = '\0';
  slot->label_known = true;
  state_unlock();
}
