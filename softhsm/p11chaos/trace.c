/* One line of JSON per call, written at once, so that lines of threads and processes do not mix. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "call.h"

/* Attributes of one template that the trace shows. */
#define TRACE_ATTRIBUTES_MAX 64

uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static unsigned long thread_id(void) {
#ifdef __linux__
  return (unsigned long)syscall(SYS_gettid);
#else
  static atomic_ulong last;
  static _Thread_local unsigned long own;
  if (own == 0) own = atomic_fetch_add(&last, 1) + 1;
  return own;
#endif
}

void trace_start(Call *call) { text_print(&call->trace, "\"buffers\":["); }

static void start_buffer(Call *call, const char *direction, const char *name) {
  const char *comma = call->trace.length > 0 && call->trace.bytes[call->trace.length - 1] == '[' ? "" : ",";
  text_print(&call->trace, "%s{\"direction\":\"%s\",\"name\":\"%s\"", comma, direction, name);
}

void trace_bytes(Call *call, const char *direction, const char *name, const void *bytes, size_t length) {
  if (!call->tracing || bytes == NULL || length == CK_UNAVAILABLE_INFORMATION) return;
  size_t mark = call->trace.length;
  start_buffer(call, direction, name);
  text_print(&call->trace, ",\"length\":%zu,\"hex\":\"", length);
  text_hex(&call->trace, bytes, length < TRACE_BUFFER_BYTES_MAX ? length : TRACE_BUFFER_BYTES_MAX);
  text_print(&call->trace, "\"%s}", length > TRACE_BUFFER_BYTES_MAX ? ",\"truncated\":true" : "");
  if (call->trace.full) call->trace.length = mark;
}

void trace_number(Call *call, const char *direction, const char *name, CK_ULONG number) {
  if (!call->tracing) return;
  size_t mark = call->trace.length;
  start_buffer(call, direction, name);
  text_print(&call->trace, ",\"number\":%lu}", number);
  if (call->trace.full) call->trace.length = mark;
}

void trace_redacted(Call *call, const char *name) {
  if (!call->tracing) return;
  size_t mark = call->trace.length;
  start_buffer(call, "in", name);
  text_print(&call->trace, ",\"redacted\":true}");
  if (call->trace.full) call->trace.length = mark;
}

void trace_template(Call *call, const char *direction, const char *name, const CK_ATTRIBUTE *attributes, CK_ULONG count) {
  if (!call->tracing || attributes == NULL) return;
  for (CK_ULONG i = 0; i < count && i < TRACE_ATTRIBUTES_MAX; i++) {
    char room[NAME_BYTES], full[2 * NAME_BYTES];
    snprintf(full, sizeof full, "%.40s.%.50s", name, attribute_name(attributes[i].type, room));
    trace_bytes(call, direction, full, attributes[i].pValue, attributes[i].ulValueLen);
  }
  if (count > TRACE_ATTRIBUTES_MAX) trace_number(call, direction, "attributesLeftOut", count - TRACE_ATTRIBUTES_MAX);
}

static bool is_one_of(CK_ULONG value, const CK_ULONG *list) {
  while (*list != ~0UL && *list != value) list++;
  return *list == value;
}

/* Follows the pointers of the structures that it knows. */
void trace_parameter(Call *call, const CK_MECHANISM *mechanism) {
  const void *parameter = mechanism->pParameter;
  CK_ULONG length = mechanism->ulParameterLen;
  if (!call->tracing || parameter == NULL) return;
#define IS(type, ...) (length == sizeof(type) && is_one_of(mechanism->mechanism, (const CK_ULONG[]){__VA_ARGS__, ~0UL}))
#define FIELD(type, bytes, size) trace_bytes(call, "in", #bytes, ((const type *)parameter)->bytes, ((const type *)parameter)->size)
  if (IS(CK_GCM_PARAMS, CKM_AES_GCM)) {
    FIELD(CK_GCM_PARAMS, pIv, ulIvLen);
    FIELD(CK_GCM_PARAMS, pAAD, ulAADLen);
  } else if (IS(CK_CCM_PARAMS, CKM_AES_CCM)) {
    FIELD(CK_CCM_PARAMS, pNonce, ulNonceLen);
    FIELD(CK_CCM_PARAMS, pAAD, ulAADLen);
  } else if (IS(CK_RSA_PKCS_OAEP_PARAMS, CKM_RSA_PKCS_OAEP)) {
    FIELD(CK_RSA_PKCS_OAEP_PARAMS, pSourceData, ulSourceDataLen);
  } else if (IS(CK_ECDH1_DERIVE_PARAMS, CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE)) {
    FIELD(CK_ECDH1_DERIVE_PARAMS, pSharedData, ulSharedDataLen);
    FIELD(CK_ECDH1_DERIVE_PARAMS, pPublicData, ulPublicDataLen);
  } else if (IS(CK_AES_CBC_ENCRYPT_DATA_PARAMS, CKM_AES_CBC_ENCRYPT_DATA)) {
    trace_bytes(call, "in", "iv", parameter, 16);
    FIELD(CK_AES_CBC_ENCRYPT_DATA_PARAMS, pData, length);
  } else if (IS(CK_KEY_DERIVATION_STRING_DATA, CKM_AES_ECB_ENCRYPT_DATA, CKM_CONCATENATE_BASE_AND_DATA,
                CKM_CONCATENATE_DATA_AND_BASE, CKM_XOR_BASE_AND_DATA)) {
    FIELD(CK_KEY_DERIVATION_STRING_DATA, pData, ulLen);
  } else {
    trace_bytes(call, "in", "pParameter", parameter, length);
  }
#undef FIELD
#undef IS
}

static void write_all(int fd, const char *bytes, size_t length, const char *path) {
  if (fd < 0 || write(fd, bytes, length) != (ssize_t)length) complain("cannot write %s", path);
  if (fd >= 0) close(fd);
}

void trace_write(Call *call, const char *path, CK_RV rv) {
  static atomic_ulong sequence;
  char rv_room[NAME_BYTES], mechanism_room[NAME_BYTES];
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  Text line = {0};
  text_print(&line, "{\"at\":%lld%03ld,\"pid\":%ld,\"thread\":%lu,\"sequence\":%lu,\"function\":\"%s\"",
             (long long)at.tv_sec, at.tv_nsec / 1000000, (long)getpid(), thread_id(),
             atomic_fetch_add(&sequence, 1), FUNCTIONS[call->function].name);
  if (call->on_session) text_print(&line, ",\"session\":%lu", call->session_handle);
  if (call->on_slot || call->session != NULL) text_print(&line, ",\"slot\":%lu", call->slot);
  if (call->has_mechanism) text_print(&line, ",\"mechanism\":\"%s\"", mechanism_name(call->mechanism, mechanism_room));
  text_print(&line, ",\"rv\":\"%s\",\"microseconds\":%llu,\"forwarded\":%s", return_value_name(rv, rv_room),
             (unsigned long long)(now_us() - call->started_us), call->forwarded ? "true" : "false");
  if (call->rule_line != 0) text_print(&line, ",\"rule\":%u", call->rule_line);
  if (call->trace.full) text_print(&line, ",\"truncated\":true");
  text_print(&line, ",");
  char *bytes = line.bytes;
  size_t head = line.length, room = head + call->trace.length + 3;
  if (!line.full && (bytes = realloc(bytes, room)) != NULL) {
    memcpy(bytes + head, call->trace.bytes, call->trace.length);
    memcpy(bytes + head + call->trace.length, "]}\n", 3);
    write_all(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), bytes, room, path);
    line.bytes = bytes;
  } else {
    complain("out of memory for a line of %s", path);
  }
  text_free(&line);
}
