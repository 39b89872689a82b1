#include "openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

/* Declared after the manual pages of OpenSSL 3.5: OSSL_PARAM(3), EVP_PKEY_fromdata(3), EVP_PKEY_sign(3). */
typedef struct {
  const char *key;
  unsigned data_type;
  void *data;
  size_t data_size, return_size;
} Parameter;
#define TYPE_INTEGER 1
#define TYPE_OCTET_STRING 5
#define SELECT_KEY_PAIR 0x87
#define END {NULL, 0, NULL, 0, 0}

typedef struct Key Key;
typedef struct Context Context;
typedef struct Algorithm Algorithm;

#define OPENSSL_FUNCTIONS(X) \
  X(Context *, EVP_PKEY_CTX_new_from_name, (void *library, const char *name, const char *properties)) \
  X(Context *, EVP_PKEY_CTX_new_from_pkey, (void *library, Key *key, const char *properties)) \
  X(void, EVP_PKEY_CTX_free, (Context * context)) \
  X(int, EVP_PKEY_fromdata_init, (Context * context)) \
  X(int, EVP_PKEY_fromdata, (Context * context, Key **key, int selection, Parameter *parameters)) \
  X(int, EVP_PKEY_get_octet_string_param, (const Key *key, const char *name, CK_BYTE *to, size_t room, size_t *length)) \
  X(void, EVP_PKEY_free, (Key * key)) \
  X(Algorithm *, EVP_SIGNATURE_fetch, (void *library, const char *name, const char *properties)) \
  X(void, EVP_SIGNATURE_free, (Algorithm * algorithm)) \
  X(int, EVP_PKEY_sign_message_init, (Context * context, Algorithm *algorithm, const Parameter *parameters)) \
  X(int, EVP_PKEY_sign_init_ex2, (Context * context, Algorithm *algorithm, const Parameter *parameters)) \
  X(int, EVP_PKEY_sign, (Context * context, CK_BYTE *signature, size_t *room, const CK_BYTE *data, size_t length)) \
  X(int, EVP_Q_digest, \
    (void *library, const char *name, const char *properties, const void *data, size_t length, CK_BYTE *digest, \
     size_t *digest_length))

#define DECLARE(result, name, arguments) result(*name) arguments;
static struct {
  OPENSSL_FUNCTIONS(DECLARE)
} openssl;
#undef DECLARE

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool found;

static void find_functions(void) {
  found = true;
#define FIND(result, name, arguments) \
  do { \
    void *symbol = dlsym(RTLD_DEFAULT, #name); \
    found = found && symbol != NULL; \
    memcpy(&openssl.name, &symbol, sizeof symbol); /* ISO C has no cast from an object to a function */ \
  } while (0);
  OPENSSL_FUNCTIONS(FIND)
#undef FIND
}

bool openssl_is_there(void) {
  pthread_once(&once, find_functions);
  return found;
}

static const struct {
  const char *name, *seed;
  size_t public_bytes, signature_bytes;
} KINDS[PAIR_KIND_COUNT] = {
    [PAIR_ML_DSA_44] = {"ML-DSA-44", "seed", 1312, 2420},
    [PAIR_ML_DSA_65] = {"ML-DSA-65", "seed", 1952, 3309},
    [PAIR_ML_DSA_87] = {"ML-DSA-87", "seed", 2592, 4627},
    [PAIR_ED25519] = {"ED25519", "priv", 32, 64},
};

size_t pair_public_bytes(PairKind kind) { return KINDS[kind].public_bytes; }

size_t pair_signature_bytes(PairKind kind) { return KINDS[kind].signature_bytes; }

bool sha256(const CK_BYTE *bytes, size_t length, CK_BYTE digest[PAIR_SEED_BYTES]) {
  size_t written = 0;
  return openssl.EVP_Q_digest(NULL, "SHA256", NULL, bytes, length, digest, &written) == 1 && written == PAIR_SEED_BYTES;
}

/* NULL where this OpenSSL does not know the kind. The caller frees it. */
static Key *pair_of(PairKind kind, const CK_BYTE seed[PAIR_SEED_BYTES]) {
  CK_BYTE copy[PAIR_SEED_BYTES];
  memcpy(copy, seed, sizeof copy);
  Parameter parameters[] = {{KINDS[kind].seed, TYPE_OCTET_STRING, copy, sizeof copy, 0}, END};
  Key *key = NULL;
  Context *context = openssl.EVP_PKEY_CTX_new_from_name(NULL, KINDS[kind].name, NULL);
  if (context != NULL && openssl.EVP_PKEY_fromdata_init(context) == 1) {
    if (openssl.EVP_PKEY_fromdata(context, &key, SELECT_KEY_PAIR, parameters) != 1) key = NULL;
  }
  openssl.EVP_PKEY_CTX_free(context);
  return key;
}

bool pair_public_key(PairKind kind, const CK_BYTE seed[PAIR_SEED_BYTES], CK_BYTE *bytes) {
  size_t length = 0;
  Key *key = pair_of(kind, seed);
  bool read = key != NULL &&
              openssl.EVP_PKEY_get_octet_string_param(key, "pub", bytes, pair_public_bytes(kind), &length) == 1 &&
              length == pair_public_bytes(kind);
  openssl.EVP_PKEY_free(key);
  return read;
}

static int start(Context *context, Algorithm *algorithm, SignScheme scheme) {
  int yes = 1;
  Parameter mu[] = {{"mu", TYPE_INTEGER, &yes, sizeof yes, 0}, END};
  if (scheme == SIGN_PH_DIGEST) return openssl.EVP_PKEY_sign_init_ex2(context, algorithm, NULL);
  return openssl.EVP_PKEY_sign_message_init(context, algorithm, scheme == SIGN_MU ? mu : NULL);
}

bool pair_sign(PairKind kind, const CK_BYTE seed[PAIR_SEED_BYTES], SignScheme scheme, const CK_BYTE *data, size_t length,
               CK_BYTE *signature) {
  bool prehashed = scheme == SIGN_PH_DIGEST || scheme == SIGN_PH_MESSAGE;
  size_t room = pair_signature_bytes(kind);
  Key *key = pair_of(kind, seed);
  Algorithm *algorithm = openssl.EVP_SIGNATURE_fetch(NULL, prehashed ? "ED25519ph" : KINDS[kind].name, NULL);
  Context *context = key == NULL ? NULL : openssl.EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
  bool signed_it = context != NULL && algorithm != NULL && start(context, algorithm, scheme) == 1 &&
                   openssl.EVP_PKEY_sign(context, signature, &room, data, length) == 1 &&
                   room == pair_signature_bytes(kind);
  openssl.EVP_PKEY_CTX_free(context);
  openssl.EVP_SIGNATURE_free(algorithm);
  openssl.EVP_PKEY_free(key);
  return signed_it;
}
