/* A growing set of pairs of numbers: a slot and a handle on it. Not safe for several threads at once. */
#ifndef P11CHAOS_HANDLE_SET_H
#define P11CHAOS_HANDLE_SET_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  unsigned long slot, handle;
  enum { PLACE_FREE, PLACE_TAKEN, PLACE_LEFT } state;
} HandlePlace;

typedef struct {
  HandlePlace *places;
  size_t capacity; /* 0 or a power of two */
  size_t used;     /* places taken or left: at most half of them */
} HandleSet;

/* False where memory ran out. */
bool handle_set_add(HandleSet *set, unsigned long slot, unsigned long handle);
bool handle_set_has(const HandleSet *set, unsigned long slot, unsigned long handle);
void handle_set_remove(HandleSet *set, unsigned long slot, unsigned long handle);
void handle_set_free(HandleSet *set);

#endif
