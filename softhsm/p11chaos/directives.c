#include "directives.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options, as bits of the table below. */
enum {
  O_COUNTS = 1 << 0, /* times= after= probability= once= */
  O_MECHANISM = 1 << 1,
  O_TOKEN = 1 << 2,
  O_AFTER_CALL = 1 << 3,
  O_FOR = 1 << 4,
  O_SIGNAL = 1 << 5,
  O_STATE = 1 << 6,
  O_KEEP_LOGIN = 1 << 7,
  O_IDENTITY = 1 << 8,
  O_EXTERNAL_MU = 1 << 9,
  O_PER_CALL = O_COUNTS | O_MECHANISM | O_TOKEN | O_AFTER_CALL
};

/*
 * Arguments by letter: F functions, R return values, D duration, M mechanisms, A attributes, N number, P path, V where IVs come
 * from, H what is hashed.
 */
static const struct {
  const char *name;
  Kind kind;
  const char *arguments;
  unsigned options;
} DIRECTIVES[] = {
    {"module", K_MODULE, "P", 0},
    {"generation", K_GENERATION, "N", 0},
    {"seed", K_SEED, "N", 0},
    {"trace", K_TRACE, "P", 0},
    {"stats", K_STATS, "P", 0},
    {"fail", K_FAIL, "FR", O_PER_CALL},
    {"latency", K_LATENCY, "FD", O_PER_CALL},
    {"hang", K_HANG, "F", O_PER_CALL | O_FOR},
    {"crash", K_CRASH, "F", O_PER_CALL | O_SIGNAL},
    {"token-absent", K_TOKEN_ABSENT, "", O_TOKEN},
    {"sessions-max", K_SESSIONS_MAX, "N", O_TOKEN},
    {"sessions-drop", K_SESSIONS_DROP, "", O_TOKEN | O_KEEP_LOGIN},
    {"logout-drop", K_LOGOUT_DROP, "", O_TOKEN},
    {"handles-stale", K_HANDLES_STALE, "", O_TOKEN},
    {"pin-locked", K_PIN_LOCKED, "", O_TOKEN},
    {"pin-tries", K_PIN_TRIES, "N", O_TOKEN | O_STATE},
    {"hide-mechanism", K_HIDE_MECHANISM, "M", O_TOKEN},
    {"list-mechanism", K_LIST_MECHANISM, "M", O_TOKEN},
    {"hide-attribute", K_HIDE_ATTRIBUTE, "A", O_TOKEN},
    {"gcm-iv", K_GCM_IV, "V", O_TOKEN},
    {"wrong-tag", K_WRONG_TAG, "R", O_TOKEN},
    {"unwrap-no-template-override", K_UNWRAP_NO_OVERRIDE, "", O_TOKEN},
    {"ml-dsa", K_ML_DSA, "", O_TOKEN | O_EXTERNAL_MU},
    {"ed25519ph", K_ED25519PH, "H", O_TOKEN},
    {"token-info", K_TOKEN_INFO, "", O_TOKEN | O_IDENTITY},
};

static bool parse_number(const char *text, uint64_t *value) {
  if (*text < '0' || *text > '9') return false;
  char *end;
  errno = 0;
  *value = strtoull(text, &end, 10);
  return *end == '\0' && errno == 0;
}

/* 250us, 5ms, 1.5s. */
static bool parse_duration(const char *text, uint64_t *microseconds) {
  static const struct {
    const char *unit;
    double factor;
  } UNITS[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}};
  if (*text < '0' || *text > '9') return false;
  char *end;
  double value = strtod(text, &end);
  for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
    if (strcmp(end, UNITS[i].unit) != 0) continue;
    if (!(value * UNITS[i].factor < 1e12)) return false;
    *microseconds = (uint64_t)(value * UNITS[i].factor);
    return true;
  }
  return false;
}

static bool parse_probability(const char *text, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && *end == '\0' && *value >= 0 && *value <= 1;
}

/* One of `C_Encrypt`, `C_Encrypt*`, `*`, each also with `!` before it, which takes out. */
static bool select_functions(const char *pattern, bool functions[FUNCTION_COUNT]) {
  bool selected = *pattern != '!';
  if (!selected) pattern++;
  size_t length = strlen(pattern);
  bool prefix = length > 0 && pattern[length - 1] == '*';
  bool any = false;
  for (size_t i = 0; i < FUNCTION_COUNT; i++) {
    const char *name = FUNCTIONS[i].name;
    bool same = prefix ? strncmp(name, pattern, length - 1) == 0 : strcmp(name, pattern) == 0;
    if (!same || i == F_C_GetFunctionList) continue;
    functions[i] = selected;
    any = true;
  }
  return any;
}

/* Adds each of a list with commas between; on a failure `wrong` is the one that is none. */
static bool parse_list(char kind, const char *text, Rule *rule, char wrong[NAME_BYTES]) {
  size_t items = 0;
  for (const char *start = text;; items++) {
    size_t length = strcspn(start, ",");
    snprintf(wrong, NAME_BYTES, "%.*s", (int)(length < NAME_BYTES ? length : NAME_BYTES), start);
    bool known = length > 0 && length < NAME_BYTES && items < LIST_MAX;
    if (known && kind == 'F') known = select_functions(wrong, rule->functions);
    if (known && kind == 'R') known = parse_return_value(wrong, &rule->return_values[rule->return_value_count++]);
    if (known && kind == 'M') known = parse_mechanism(wrong, &rule->mechanisms[rule->mechanism_count++]);
    if (known && kind == 'A') known = parse_attribute(wrong, &rule->attributes[rule->attribute_count++]);
    if (!known) return false;
    if (start[length] == '\0') return true;
    start += length + 1;
  }
}

static bool parse_argument(char kind, const char *word, Rule *rule, char problem[CONFIG_ERROR_BYTES]) {
  static const char *const WANTED[] = {['D'] = "a duration, as 250us, 5ms or 2s", ['N'] = "a number",
                                       ['P'] = "an absolute path", ['V'] = "written-back or appended",
                                       ['H'] = "of-digests or of-messages"};
  char wrong[NAME_BYTES];
  bool good;
  switch (kind) {
    case 'D': good = parse_duration(word, &rule->number); break;
    case 'N': good = parse_number(word, &rule->number); break;
    case 'P':
      good = *word == '/';
      rule->path = word;
      break;
    case 'V':
      rule->iv_source = strcmp(word, "written-back") == 0 ? IV_WRITTEN_BACK
                        : strcmp(word, "appended") == 0   ? IV_APPENDED
                                                          : IV_OF_CALLER;
      good = rule->iv_source != IV_OF_CALLER;
      break;
    case 'H':
      rule->hashes_again = strcmp(word, "of-messages") == 0;
      good = rule->hashes_again || strcmp(word, "of-digests") == 0;
      break;
    default:
      if (parse_list(kind, word, rule, wrong)) return true;
      snprintf(problem, CONFIG_ERROR_BYTES, "\"%s\" is no %s", wrong,
               kind == 'F'   ? "function of Cryptoki v2.40"
               : kind == 'R' ? "return value"
               : kind == 'A' ? "attribute"
                             : "mechanism");
      return false;
  }
  if (!good) snprintf(problem, CONFIG_ERROR_BYTES, "\"%.100s\" is not %s", word, WANTED[(unsigned char)kind]);
  return good;
}

static bool parse_signal(const char *text, int *number) {
  *number = strcmp(text, "SEGV") == 0 ? SIGSEGV : strcmp(text, "ABRT") == 0 ? SIGABRT : strcmp(text, "KILL") == 0 ? SIGKILL : 0;
  return *number != 0;
}

static bool parse_text(const char *text, size_t bytes_max, const char **value) {
  *value = text;
  return *text != '\0' && strlen(text) <= bytes_max;
}

static bool parse_path(const char *text, const char **value) {
  *value = text;
  return *text == '/';
}

/* False where it is no option, or none of this directive, or has a bad value. */
static bool parse_option(const char *word, unsigned allowed, Rule *rule) {
  const char *equals = strchr(word, '=');
  const char *value = equals == NULL ? "" : equals + 1;
  size_t length = equals == NULL ? strlen(word) : (size_t)(value - word);
#define OPTION(bit, text) ((allowed & (bit)) != 0 && strlen(text) == length && strncmp(word, text, length) == 0)
  if (OPTION(O_COUNTS, "times=")) return parse_number(value, &rule->times);
  if (OPTION(O_COUNTS, "after=")) return parse_number(value, &rule->after);
  if (OPTION(O_COUNTS, "probability=")) return parse_probability(value, &rule->probability);
  if (OPTION(O_COUNTS, "once=")) return parse_path(value, &rule->once);
  if (OPTION(O_MECHANISM, "mechanism=")) return rule->has_mechanism = parse_mechanism(value, &rule->mechanism);
  if (OPTION(O_TOKEN, "token=")) return parse_text(value, TOKEN_LABEL_BYTES, &rule->token);
  if (OPTION(O_FOR, "for=")) return parse_duration(value, &rule->for_us);
  if (OPTION(O_SIGNAL, "signal=")) return parse_signal(value, &rule->signal);
  if (OPTION(O_STATE, "state=")) return parse_path(value, &rule->state);
  if (OPTION(O_IDENTITY, "manufacturer=")) return parse_text(value, 32, &rule->manufacturer);
  if (OPTION(O_IDENTITY, "model=")) return parse_text(value, 16, &rule->model);
  if (OPTION(O_AFTER_CALL, "after-call")) return rule->after_call = true;
  if (OPTION(O_KEEP_LOGIN, "keep-login")) return rule->keep_login = true;
  if (OPTION(O_EXTERNAL_MU, "external-mu")) return rule->external_mu = true;
#undef OPTION
  return false;
}

/* What the list of mechanisms has more while the rule stands. */
static void add_mechanisms(Rule *rule) {
  if (rule->kind != K_ML_DSA) return;
  rule->mechanisms[rule->mechanism_count++] = CKM_ML_DSA_KEY_PAIR_GEN;
  rule->mechanisms[rule->mechanism_count++] = CKM_ML_DSA;
  if (rule->external_mu) rule->mechanisms[rule->mechanism_count++] = CKM_ML_DSA_EXTERNAL_MU;
}

bool parse_rule(char *const *words, size_t count, Rule *rule, char problem[CONFIG_ERROR_BYTES]) {
  *rule = (Rule){.times = UINT64_MAX, .for_us = UINT64_MAX, .probability = 1, .signal = SIGSEGV};
  for (size_t row = 0; row < sizeof(DIRECTIVES) / sizeof(DIRECTIVES[0]); row++) {
    if (strcmp(DIRECTIVES[row].name, words[0]) != 0) continue;
    rule->kind = DIRECTIVES[row].kind;
    const char *arguments = DIRECTIVES[row].arguments;
    size_t argument_count = strlen(arguments);
    if (count < 1 + argument_count) {
      snprintf(problem, CONFIG_ERROR_BYTES, "%s wants %zu argument(s)", words[0], argument_count);
      return false;
    }
    for (size_t i = 0; i < argument_count; i++) {
      if (!parse_argument(arguments[i], words[1 + i], rule, problem)) return false;
    }
    for (size_t i = 1 + argument_count; i < count; i++) {
      if (parse_option(words[i], DIRECTIVES[row].options, rule)) continue;
      snprintf(problem, CONFIG_ERROR_BYTES, "%s does not take \"%.100s\"", words[0], words[i]);
      return false;
    }
    add_mechanisms(rule);
    return true;
  }
  snprintf(problem, CONFIG_ERROR_BYTES, "unknown directive \"%.100s\"", words[0]);
  return false;
}
