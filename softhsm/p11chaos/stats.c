/* Calls per function of this process, in a file of lines of one length, of which a call rewrites its own. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"

/* Of "C_GetFunctionStatus       calls=0000000000 errors=0000000000 injected=0000000000". */
#define STATS_LINE_BYTES 80

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
  unsigned long long calls, errors, injected;
} counts[FUNCTION_COUNT];

static void format_line(Function function, char *line) {
  char room[STATS_LINE_BYTES + 64];
  int length = snprintf(room, sizeof room, "%-24s calls=%010llu errors=%010llu injected=%010llu",
                        FUNCTIONS[function].name, counts[function].calls, counts[function].errors,
                        counts[function].injected);
  memset(line, ' ', STATS_LINE_BYTES);
  memcpy(line, room, length < STATS_LINE_BYTES - 1 ? (size_t)length : STATS_LINE_BYTES - 1);
  line[STATS_LINE_BYTES - 1] = '\n';
}

static bool write_counts(int fd, Function function) {
  char lines[FUNCTION_COUNT * STATS_LINE_BYTES];
  struct stat found;
  if (fstat(fd, &found) != 0) return false;
  if (found.st_size == (off_t)sizeof lines) {
    format_line(function, lines);
    return pwrite(fd, lines, STATS_LINE_BYTES, (off_t)function * STATS_LINE_BYTES) == STATS_LINE_BYTES;
  }
  for (int i = 0; i < FUNCTION_COUNT; i++) format_line((Function)i, lines + i * STATS_LINE_BYTES);
  return pwrite(fd, lines, sizeof lines, 0) == (ssize_t)sizeof lines && ftruncate(fd, sizeof lines) == 0;
}

void stats_write(const Call *call, const char *path, CK_RV rv) {
  char own[CONFIG_LINE_BYTES_MAX + 32];
  pthread_mutex_lock(&mutex);
  counts[call->function].calls++;
  counts[call->function].errors += rv != CKR_OK;
  counts[call->function].injected += !call->forwarded || call->rule_line != 0;
  if (*path != '\0') {
    snprintf(own, sizeof own, "%s.%ld", path, (long)getpid());
    int fd = open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || !write_counts(fd, call->function)) complain("cannot write %s", own);
    if (fd >= 0) close(fd);
  }
  pthread_mutex_unlock(&mutex);
}
