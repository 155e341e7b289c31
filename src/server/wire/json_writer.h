/* SPDX-License-Identifier: Apache-2.0
 * json_writer.h - JSON and event-stream framing written straight into a buffer.
 *
 * Purpose     What voices say their answers with: no tree, no allocation but the buffer's growth.
 * Invariants  Commas come by themselves; nesting is the caller's. Decimals have a point in every
 *             locale and read back as the same number; what is not finite is null. Bytes that are
 *             not UTF-8 become U+FFFD.
 * Errors      They stick: after the first nothing is written, and sb_jw_end() returns it with the
 *             buffer as it was at sb_jw_begin().
 * Cost        O(bytes). A text without special bytes is copied in one piece. */
#ifndef SB_SERVER_JSON_WRITER_H
#define SB_SERVER_JSON_WRITER_H
#include "base/buf.h"
#include "energy/meter.h"

#include <jansson.h>

typedef struct sb_jw {
    sb_buf *out;
    sb_error *err;
    size_t first; /* out->n at the beginning */
    sb_status status;
    bool comma; /* a comma goes before the next member or item */
} sb_jw;

void sb_jw_begin(sb_jw *w, sb_buf *out, sb_error *err);
sb_status sb_jw_end(sb_jw *w) SB_MUST_USE;

/* c: '{' or '['; '}' or ']'. */
void sb_jw_open(sb_jw *w, char c);
void sb_jw_close(sb_jw *w, char c);
/* name needs no escape. */
void sb_jw_key(sb_jw *w, const char *name);
/* A key of any text. */
void sb_jw_key_text(sb_jw *w, sb_str name);

/* Values: items of a list, or what follows a key. */
void sb_jw_text(sb_jw *w, sb_str s); /* s.p NULL: "" */
void sb_jw_int(sb_jw *w, int64_t v);
void sb_jw_uint(sb_jw *w, uint64_t v);
void sb_jw_real(sb_jw *w, double v); /* always with a point or an exponent */
void sb_jw_bool(sb_jw *w, bool v);
void sb_jw_null(sb_jw *w);
void sb_jw_json(sb_jw *w, const json_t *v);      /* NULL: null; at most SB_MAX_JSON_DEPTH deep */
void sb_jw_raw(sb_jw *w, sb_str json);           /* JSON text, taken on trust */
void sb_jw_energy(sb_jw *w, const sb_energy *e); /* the object of energy/fields.def */

/* A key and its value. word: NUL-terminated text, NULL is null. */
void sb_jw_put_text(sb_jw *w, const char *key, sb_str s);
void sb_jw_put_word(sb_jw *w, const char *key, const char *word);
void sb_jw_put_int(sb_jw *w, const char *key, int64_t v);
void sb_jw_put_uint(sb_jw *w, const char *key, uint64_t v);
void sb_jw_put_real(sb_jw *w, const char *key, double v);
void sb_jw_put_bool(sb_jw *w, const char *key, bool v);
void sb_jw_put_null(sb_jw *w, const char *key);
void sb_jw_put_open(sb_jw *w, const char *key, char c);

/* Bytes that are no value (a line break, a comment of a stream); the next value starts afresh. */
void sb_jw_bytes(sb_jw *w, const char *text);
/* "event: NAME\ndata: " (without the first line when NULL) and the blank line behind it. */
void sb_jw_sse_open(sb_jw *w, const char *event);
void sb_jw_sse_close(sb_jw *w);
#endif
