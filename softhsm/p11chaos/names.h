/* Names of Cryptoki, in both directions. */
#ifndef P11CHAOS_NAMES_H
#define P11CHAOS_NAMES_H

#include "cryptoki.h"

#define FUNCTION_ENUM(name, operation, login, arguments) F_##name,
typedef enum { CRYPTOKI_FUNCTIONS(FUNCTION_ENUM) FUNCTION_COUNT } Function;
#undef FUNCTION_ENUM

/* Operations that a session goes through in several calls. */
typedef enum {
  OP_NONE,
  OP_ENCRYPT,
  OP_DECRYPT,
  OP_DIGEST,
  OP_SIGN,
  OP_SIGN_RECOVER,
  OP_VERIFY,
  OP_VERIFY_RECOVER,
  OP_COUNT
} Operation;

typedef struct {
  const char *name;
  Operation operation;
  bool login; /* answers CKR_USER_NOT_LOGGED_IN where nobody is logged in */
} FunctionRow;

extern const FunctionRow FUNCTIONS[FUNCTION_COUNT];

/* Room for a name, or for a number in hex with a prefix. */
#define NAME_BYTES 48

/* The name of a number, written into `room` (as in CKR_0x80000001) where it has none of its own. */
const char *return_value_name(CK_RV value, char room[NAME_BYTES]);
const char *mechanism_name(CK_MECHANISM_TYPE value, char room[NAME_BYTES]);
const char *attribute_name(CK_ATTRIBUTE_TYPE value, char room[NAME_BYTES]);

/* The number of a name or of a number in C's notation; false where it is neither. */
bool parse_return_value(const char *text, CK_RV *value);
bool parse_mechanism(const char *text, CK_MECHANISM_TYPE *value);
bool parse_attribute(const char *text, CK_ATTRIBUTE_TYPE *value);

#endif
