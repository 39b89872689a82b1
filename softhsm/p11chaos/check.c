/* p11chaos-check FILE: whether p11chaos could read a configuration; says what is wrong with it. */
#include <stdio.h>

#include "config.h"

int main(int count, char **arguments) {
  char error[CONFIG_ERROR_BYTES];
  FileMark mark;
  if (count != 2 || arguments[1][0] == '-') {
    fputs("Usage: p11chaos-check FILE\n\nExit codes: 0 the configuration is good; 1 it is not; 64 wrong arguments.\n", stderr);
    return 64;
  }
  Config *config = config_read(arguments[1], &mark, error);
  if (config == NULL) {
    fprintf(stderr, "p11chaos: %s\n", error);
    return 1;
  }
  config_free(config);
  return 0;
}
