#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name-tables.h"

#define FUNCTION_ROW(name, operation, login, arguments) {#name, operation, login},
const FunctionRow FUNCTIONS[FUNCTION_COUNT] = {CRYPTOKI_FUNCTIONS(FUNCTION_ROW)};
#undef FUNCTION_ROW

typedef struct {
  const char *name;
  CK_ULONG number;
} Name;

#define NAME_ROW(name, number) {#name, number},
static const Name RETURN_VALUE_NAMES[] = {RETURN_VALUES(NAME_ROW)};
static const Name MECHANISM_NAMES[] = {MECHANISMS(NAME_ROW)};
static const Name ATTRIBUTE_NAMES[] = {ATTRIBUTES(NAME_ROW)};
#undef NAME_ROW

#define LENGTH(rows) (sizeof(rows) / sizeof((rows)[0]))

static const char *name_of(const Name *rows, size_t count, CK_ULONG number, const char *prefix, char *room) {
  for (size_t i = 0; i < count; i++) {
    if (rows[i].number == number) return rows[i].name;
  }
  snprintf(room, NAME_BYTES, "%s_0x%lx", prefix, number);
  return room;
}

const char *return_value_name(CK_RV value, char room[NAME_BYTES]) {
  return name_of(RETURN_VALUE_NAMES, LENGTH(RETURN_VALUE_NAMES), value, "CKR", room);
}

const char *mechanism_name(CK_MECHANISM_TYPE value, char room[NAME_BYTES]) {
  return name_of(MECHANISM_NAMES, LENGTH(MECHANISM_NAMES), value, "CKM", room);
}

const char *attribute_name(CK_ATTRIBUTE_TYPE value, char room[NAME_BYTES]) {
  return name_of(ATTRIBUTE_NAMES, LENGTH(ATTRIBUTE_NAMES), value, "CKA", room);
}

static bool number_of(const Name *rows, size_t count, const char *text, CK_ULONG *number) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(rows[i].name, text) == 0) {
      *number = rows[i].number;
      return true;
    }
  }
  if (*text < '0' || *text > '9') return false;
  char *end;
  errno = 0;
  *number = strtoul(text, &end, 0);
  return *end == '\0' && errno == 0;
}

bool parse_return_value(const char *text, CK_RV *value) {
  return number_of(RETURN_VALUE_NAMES, LENGTH(RETURN_VALUE_NAMES), text, value);
}

bool parse_mechanism(const char *text, CK_MECHANISM_TYPE *value) {
  return number_of(MECHANISM_NAMES, LENGTH(MECHANISM_NAMES), text, value);
}

bool parse_attribute(const char *text, CK_ATTRIBUTE_TYPE *value) {
  return number_of(ATTRIBUTE_NAMES, LENGTH(ATTRIBUTE_NAMES), text, value);
}
