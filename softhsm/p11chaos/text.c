#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(Text *text, size_t more) {
  size_t wanted = text->length + more + 1;
  if (text->full || wanted > TRACE_LINE_BYTES_MAX) {
    text->full = true;
    return false;
  }
  if (wanted <= text->capacity) return true;
  size_t capacity = text->capacity == 0 ? 512 : text->capacity;
  while (capacity < wanted) capacity *= 2;
  char *bytes = realloc(text->bytes, capacity);
  if (bytes == NULL) {
    text->full = true;
    return false;
  }
  text->bytes = bytes;
  text->capacity = capacity;
  return true;
}

void text_print(Text *text, const char *format, ...) {
  char piece[256];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(piece, sizeof piece, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= sizeof piece || !reserve(text, (size_t)length)) return;
  memcpy(text->bytes + text->length, piece, (size_t)length + 1);
  text->length += (size_t)length;
}

void text_hex(Text *text, const unsigned char *bytes, size_t length) {
  static const char DIGITS[] = "0123456789abcdef";
  if (!reserve(text, 2 * length)) return;
  for (size_t i = 0; i < length; i++) {
    text->bytes[text->length++] = DIGITS[bytes[i] >> 4];
    text->bytes[text->length++] = DIGITS[bytes[i] & 15];
  }
  text->bytes[text->length] = '\0';
}

void text_free(Text *text) {
  free(text->bytes);
  *text = (Text){0};
}
