/* The configuration file: a rule per line. README.md has the grammar. */
#ifndef P11CHAOS_CONFIG_H
#define P11CHAOS_CONFIG_H

#include <sys/stat.h>

#include "handle-set.h"
#include "names.h"

#define CONFIG_BYTES_MAX 65536
#define CONFIG_LINE_BYTES_MAX 1024
#define RULES_MAX 256
#define WORDS_MAX 24
/* Return values, mechanisms, attributes or patterns of functions in one list. */
#define LIST_MAX 64
#define TOKEN_LABEL_BYTES 32

typedef enum {
  K_MODULE,
  K_GENERATION,
  K_SEED,
  K_TRACE,
  K_STATS,
  /* What one call meets, in the order of the file. */
  K_FAIL,
  K_LATENCY,
  K_HANG,
  K_CRASH,
  /* What is true while the line stands. */
  K_TOKEN_ABSENT,
  K_SESSIONS_MAX,
  K_SESSIONS_DROP,
  K_LOGOUT_DROP,
  K_HANDLES_STALE,
  K_PIN_LOCKED,
  K_PIN_TRIES,
  K_HIDE_MECHANISM,
  K_LIST_MECHANISM,
  K_HIDE_ATTRIBUTE,
  K_GCM_IV,
  K_WRONG_TAG,
  K_UNWRAP_NO_OVERRIDE,
  K_ML_DSA,
  K_ED25519PH,
  K_TOKEN_INFO
} Kind;

typedef enum { IV_OF_CALLER, IV_WRITTEN_BACK, IV_APPENDED } IvSource;

typedef struct {
  Kind kind;
  unsigned line;
  const char *text; /* the line as written; with the same text and generation, a rule goes on where it was */

  bool functions[FUNCTION_COUNT];
  CK_RV return_values[LIST_MAX];
  size_t return_value_count;
  CK_MECHANISM_TYPE mechanisms[LIST_MAX];
  size_t mechanism_count;
  CK_ATTRIBUTE_TYPE attributes[LIST_MAX];
  size_t attribute_count;
  uint64_t number; /* microseconds, a maximum, a seed */
  const char *path;
  IvSource iv_source;

  uint64_t times, after, for_us;
  double probability;
  bool has_mechanism, after_call, keep_login, external_mu, hashes_again;
  CK_MECHANISM_TYPE mechanism;
  const char *token, *once, *state, *manufacturer, *model;
  int signal;

  uint64_t seen, fired;
  HandleSet known; /* handles-stale: objects found since; logout-drop: slots logged in to since */
} Rule;

typedef struct {
  Rule *rules;
  size_t rule_count;
  const char *module, *trace, *stats;
  uint64_t generation, seed;
  bool seeded;
  char *words, *lines; /* what the strings above point into */
} Config;

/* Tells one state of the file from the next. */
typedef struct {
  dev_t device;
  ino_t inode;
  off_t bytes;
  struct timespec changed, modified;
} FileMark;

void mark_file(const struct stat *found, FileMark *mark);
bool same_mark(const FileMark *a, const FileMark *b);

#define CONFIG_ERROR_BYTES 512

/* Reads a file. Where it cannot, `error` names file and line, and the result is NULL. */
Config *config_read(const char *path, FileMark *mark, char error[CONFIG_ERROR_BYTES]);
/* A configuration without rules; NULL where memory ran out. */
Config *config_empty(void);
void config_free(Config *config);

#endif
