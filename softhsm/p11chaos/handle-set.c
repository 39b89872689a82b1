#include "handle-set.h"

#include <stdint.h>
#include <stdlib.h>

#define CAPACITY_MIN 64

/* The place of a pair, or the first free one after where it would be. The set is never full. */
static HandlePlace *place_of(const HandleSet *set, unsigned long slot, unsigned long handle) {
  uint64_t hash = ((uint64_t)handle * 0x9e3779b97f4a7c15u) ^ ((uint64_t)slot * 0xc2b2ae3d27d4eb4fu);
  size_t index = (size_t)(hash >> 20) & (set->capacity - 1);
  for (;; index = (index + 1) & (set->capacity - 1)) {
    HandlePlace *place = &set->places[index];
    if (place->state == PLACE_FREE) return place;
    if (place->state == PLACE_TAKEN && place->slot == slot && place->handle == handle) return place;
  }
}

static bool grow(HandleSet *set) {
  size_t taken = 0;
  for (size_t i = 0; i < set->capacity; i++) taken += set->places[i].state == PLACE_TAKEN;
  HandleSet next = {.capacity = CAPACITY_MIN};
  while (next.capacity < 4 * (taken + 1)) next.capacity *= 2;
  next.places = calloc(next.capacity, sizeof(HandlePlace));
  if (next.places == NULL) return false;
  for (size_t i = 0; i < set->capacity; i++) {
    if (set->places[i].state != PLACE_TAKEN) continue;
    *place_of(&next, set->places[i].slot, set->places[i].handle) = set->places[i];
    next.used++;
  }
  free(set->places);
  *set = next;
  return true;
}

bool handle_set_add(HandleSet *set, unsigned long slot, unsigned long handle) {
  if (2 * (set->used + 1) > set->capacity && !grow(set)) return false;
  HandlePlace *place = place_of(set, slot, handle);
  if (place->state == PLACE_FREE) set->used++;
  *place = (HandlePlace){slot, handle, PLACE_TAKEN};
  return true;
}

bool handle_set_has(const HandleSet *set, unsigned long slot, unsigned long handle) {
  return set->capacity > 0 && place_of(set, slot, handle)->state == PLACE_TAKEN;
}

void handle_set_remove(HandleSet *set, unsigned long slot, unsigned long handle) {
  if (set->capacity == 0) return;
  HandlePlace *place = place_of(set, slot, handle);
  if (place->state == PLACE_TAKEN) place->state = PLACE_LEFT;
}

void handle_set_free(HandleSet *set) {
  free(set->places);
  *set = (HandleSet){0};
}
