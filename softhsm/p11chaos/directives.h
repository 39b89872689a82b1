/* From the words of a line to a rule. */
#ifndef P11CHAOS_DIRECTIVES_H
#define P11CHAOS_DIRECTIVES_H

#include "config.h"

/* Fills `rule` from the words of a line; they must outlive it. False, with a sentence in `problem`, where they are wrong. */
bool parse_rule(char *const *words, size_t count, Rule *rule, char problem[CONFIG_ERROR_BYTES]);

#endif
