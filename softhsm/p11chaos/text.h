/* A growing line of text, for the trace. */
#ifndef P11CHAOS_TEXT_H
#define P11CHAOS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of one buffer that the trace shows; its length is always told. */
#define TRACE_BUFFER_BYTES_MAX 4096
/* Bytes of one line, past which buffers are left out and the line says so. */
#define TRACE_LINE_BYTES_MAX (1 << 20)

typedef struct {
  char *bytes;
  size_t length, capacity;
  bool full;
} Text;

__attribute__((format(printf, 2, 3))) void text_print(Text *text, const char *format, ...);
void text_hex(Text *text, const unsigned char *bytes, size_t length);
void text_free(Text *text);

#endif
