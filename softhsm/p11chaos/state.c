#include "state.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "module.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(const CK_FUNCTION_LIST *) module;
static char module_path[CONFIG_LINE_BYTES_MAX + 1];
static char config_path[CONFIG_LINE_BYTES_MAX + 1];
static Config *config;
static bool config_broken;
static FileMark config_mark;
static uint64_t random_state;
bool state_initialized;

void complain(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  fprintf(stderr, "p11chaos: %s\n", line);
}

void state_lock(void) { pthread_mutex_lock(&mutex); }

void state_unlock(void) {
  CK_SESSION_HANDLE handle;
  while (session_to_close(&handle)) {
    pthread_mutex_unlock(&mutex);
    real_module()->C_CloseSession(handle);
    pthread_mutex_lock(&mutex);
  }
  pthread_mutex_unlock(&mutex);
}

const CK_FUNCTION_LIST *real_module(void) { return atomic_load(&module); }

static bool load_module(const char *path) {
  if (path == NULL || strlen(path) >= sizeof module_path) {
    complain("name the real module with `module PATH` in the configuration or with P11CHAOS_MODULE");
    return false;
  }
  if (strcmp(path, module_path) == 0) return true;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    complain("cannot load the real module: %s", dlerror());
    return false;
  }
  CK_RV (*get_list)(CK_FUNCTION_LIST **);
  void *symbol = dlsym(library, "C_GetFunctionList");
  memcpy(&get_list, &symbol, sizeof get_list); /* ISO C has no cast from an object to a function */
  CK_FUNCTION_LIST *list = NULL;
  if (symbol == NULL || get_list == C_GetFunctionList || get_list(&list) != CKR_OK || list == NULL) {
    complain("%s is no Cryptoki module, or is this one", path);
    dlclose(library);
    return false;
  }
  memcpy(module_path, path, strlen(path) + 1);
  atomic_store(&module, list);
  return true;
}

static void seed_random(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  random_state = config->seeded ? config->seed : (uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 32);
}

/* SplitMix64 (Steele, Lea and Flood 2014): one sequence per seed, the same on every machine. */
double state_random(void) {
  uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* A rule that was there before goes on where it was. Lines that are alike meet their like in order. */
static bool carry_over(Rule *rule, Config *before) {
  for (size_t i = 0; before != NULL && i < before->rule_count; i++) {
    Rule *old = &before->rules[i];
    if (old->line == 0 || old->kind != rule->kind || strcmp(old->text, rule->text) != 0) continue;
    rule->seen = old->seen;
    rule->fired = old->fired;
    rule->known = old->known;
    old->known = (HandleSet){0};
    old->line = 0;
    return true;
  }
  return false;
}

static void adopt(Config *next) {
  bool same_generation = config != NULL && config->generation == next->generation;
  bool same_seed = same_generation && config->seeded == next->seeded && config->seed == next->seed;
  for (size_t i = 0; i < next->rule_count; i++) {
    Rule *rule = &next->rules[i];
    if (carry_over(rule, same_generation ? config : NULL)) continue;
    if (rule->kind == K_SESSIONS_DROP || rule->kind == K_TOKEN_ABSENT) sessions_kill(rule->token, !rule->keep_login);
  }
  config_free(config);
  config = next;
  if (!same_seed) seed_random();
}

static void read_config(void) {
  char error[CONFIG_ERROR_BYTES];
  memset(&config_mark, 0, sizeof config_mark);
  Config *next = *config_path == '\0' ? config_empty() : config_read(config_path, &config_mark, error);
  config_broken = next == NULL;
  if (next != NULL) adopt(next);
  else complain("%s", *config_path == '\0' ? "out of memory" : error);
}

Config *state_config(void) {
  if (config == NULL && !config_broken) return NULL;
  if (*config_path != '\0') {
    struct stat found;
    FileMark mark;
    memset(&mark, 0, sizeof mark);
    if (stat(config_path, &found) == 0) mark_file(&found, &mark);
    /* A file that vanished has an empty mark: it is complained of once, and again only after it was back. */
    if (!same_mark(&mark, &config_mark)) {
      read_config();
      config_mark = mark;
    }
  }
  return config_broken ? NULL : config;
}

bool state_start(void) {
  const char *path = getenv("P11CHAOS_CONF");
  if (path != NULL && strlen(path) >= sizeof config_path) {
    complain("P11CHAOS_CONF is longer than %d bytes", CONFIG_LINE_BYTES_MAX);
    return false;
  }
  const char *wanted = path == NULL ? "" : path;
  if (strcmp(wanted, config_path) != 0 || config == NULL || config_broken) {
    memcpy(config_path, wanted, strlen(wanted) + 1);
    read_config();
  } else {
    state_config();
  }
  if (config_broken) return false;
  return load_module(config->module != NULL ? config->module : getenv("P11CHAOS_MODULE"));
}
