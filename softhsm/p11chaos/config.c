#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directives.h"

#ifdef __APPLE__
#define st_ctim st_ctimespec
#define st_mtim st_mtimespec
#endif

void mark_file(const struct stat *found, FileMark *mark) {
  memset(mark, 0, sizeof *mark);
  mark->device = found->st_dev;
  mark->inode = found->st_ino;
  mark->bytes = found->st_size;
  mark->changed = found->st_ctim;
  mark->modified = found->st_mtim;
}

bool same_mark(const FileMark *a, const FileMark *b) {
  return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
         a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
         a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

Config *config_empty(void) { return calloc(1, sizeof(Config)); }

void config_free(Config *config) {
  if (config == NULL) return;
  for (size_t i = 0; i < config->rule_count; i++) handle_set_free(&config->rules[i].known);
  free(config->rules);
  free(config->words);
  free(config->lines);
  free(config);
}

/* The whole file, ended by NUL; NULL, with a sentence in `problem`, where it cannot be read. */
static char *read_text(const char *path, FileMark *mark, char problem[CONFIG_ERROR_BYTES]) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat found;
  if (fd < 0 || fstat(fd, &found) != 0) {
    snprintf(problem, CONFIG_ERROR_BYTES, "%s", strerror(errno));
    if (fd >= 0) close(fd);
    return NULL;
  }
  mark_file(&found, mark);
  char *text = S_ISREG(found.st_mode) ? malloc(CONFIG_BYTES_MAX + 2) : NULL;
  size_t length = 0;
  while (text != NULL && length <= CONFIG_BYTES_MAX) {
    ssize_t got = read(fd, text + length, CONFIG_BYTES_MAX + 1 - length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    length += (size_t)got;
  }
  close(fd);
  if (text != NULL && length <= CONFIG_BYTES_MAX && memchr(text, '\0', length) == NULL) {
    text[length] = '\0';
    return text;
  }
  free(text);
  snprintf(problem, CONFIG_ERROR_BYTES, "not a text file of at most %d bytes", CONFIG_BYTES_MAX);
  return NULL;
}

/* Splits a line in place at blanks outside "quotes", up to a word that begins with #. False where it cannot. */
static bool split(char *line, char *words[WORDS_MAX], size_t *count) {
  *count = 0;
  char *from = line;
  for (;;) {
    from += strspn(from, " \t\r");
    if (*from == '\0' || *from == '#') return true;
    if (*count == WORDS_MAX) return false;
    char *to = from;
    words[(*count)++] = from;
    bool quoted = false;
    for (; *from != '\0' && (quoted || strchr(" \t\r", *from) == NULL); from++) {
      if (*from == '"') quoted = !quoted;
      else *to++ = *from;
    }
    if (quoted) return false;
    bool last = *from == '\0';
    *to = '\0';
    if (last) return true;
    from++;
  }
}

/* Keeps what is one per file where it is quickly found. */
static void note_single(Config *config, const Rule *rule) {
  switch (rule->kind) {
    case K_MODULE: config->module = rule->path; break;
    case K_TRACE: config->trace = rule->path; break;
    case K_STATS: config->stats = rule->path; break;
    case K_GENERATION: config->generation = rule->number; break;
    case K_SEED:
      config->seed = rule->number;
      config->seeded = true;
      break;
    default: break;
  }
}

static bool add_line(Config *config, char *line, const char *text, unsigned number, char problem[CONFIG_ERROR_BYTES]) {
  char *words[WORDS_MAX];
  size_t count;
  if (strlen(line) > CONFIG_LINE_BYTES_MAX || !split(line, words, &count)) {
    snprintf(problem, CONFIG_ERROR_BYTES, "more than %d bytes or %d words, or a quote that does not end",
             CONFIG_LINE_BYTES_MAX, WORDS_MAX);
    return false;
  }
  if (count == 0) return true;
  if (config->rule_count == RULES_MAX) {
    snprintf(problem, CONFIG_ERROR_BYTES, "more than %d rules", RULES_MAX);
    return false;
  }
  Rule *rule = &config->rules[config->rule_count];
  if (!parse_rule(words, count, rule, problem)) return false;
  rule->line = number;
  rule->text = text;
  config->rule_count++;
  note_single(config, rule);
  return true;
}

static bool add_lines(Config *config, unsigned *number, char problem[CONFIG_ERROR_BYTES]) {
  char *word_line = config->words, *text_line = config->lines;
  for (*number = 1; word_line != NULL; ++*number) {
    char *end = strchr(word_line, '\n');
    char *text_end = strchr(text_line, '\n');
    if (end != NULL) *end = *text_end = '\0';
    if (!add_line(config, word_line, text_line, *number, problem)) return false;
    word_line = end == NULL ? NULL : end + 1;
    text_line = end == NULL ? NULL : text_end + 1;
  }
  return true;
}

Config *config_read(const char *path, FileMark *mark, char error[CONFIG_ERROR_BYTES]) {
  char problem[CONFIG_ERROR_BYTES / 2];
  char long_problem[CONFIG_ERROR_BYTES];
  unsigned number = 0;
  Config *config = config_empty();
  if (config != NULL) {
    config->words = read_text(path, mark, long_problem);
    if (config->words != NULL) {
      config->lines = strdup(config->words);
      config->rules = calloc(RULES_MAX, sizeof(Rule));
      if (config->lines == NULL || config->rules == NULL) snprintf(long_problem, sizeof long_problem, "out of memory");
      else if (add_lines(config, &number, long_problem)) return config;
    }
  } else {
    snprintf(long_problem, sizeof long_problem, "out of memory");
  }
  config_free(config);
  snprintf(problem, sizeof problem, "%.250s", long_problem);
  snprintf(error, CONFIG_ERROR_BYTES, "%.200s:%u: %s", path, number, problem);
  return NULL;
}
