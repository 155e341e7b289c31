/* SPDX-License-Identifier: Apache-2.0
 * ask_fields.h - the fields of a request's objects, read with type and range; the list of them.
 *
 * Purpose     ask_fields.def as a check of a whole object, and getters that name the field.
 * Ownership   Texts are borrowed from the JSON tree.
 * Errors      SB_INVALID (type or range), SB_LIMIT, SB_UNSUPPORTED (not there yet), SB_NO_MEMORY;
 *             w->param is the field's path and the message begins with it. On failure the value is
 *             unchanged. */
#ifndef SB_SERVER_ASK_FIELDS_H
#define SB_SERVER_ASK_FIELDS_H
#include "server/wire/wire.h"

/* Objects whose fields ask_fields.def lists. */
enum {
    SB_FIELDS_CHAT = 1 << 0,
    SB_FIELDS_TEXT = 1 << 1,
    SB_FIELDS_LLAMA = 1 << 2, /* llama-server's /completion */
    SB_FIELDS_RESPONSES = 1 << 3,
    SB_FIELDS_ANTHROPIC = 1 << 4,
    SB_FIELDS_OLLAMA_CHAT = 1 << 5,
    SB_FIELDS_OLLAMA_GENERATE = 1 << 6,
    SB_FIELDS_OLLAMA_OPTIONS = 1 << 7,
    SB_FIELDS_ALL = (1 << 8) - 1
};

typedef enum sb_field_class {
    SB_FIELD_ACTED,    /* read by the dialect */
    SB_FIELD_HARMLESS, /* known; leaving it out does not change the answer */
    SB_FIELD_NOT_YET   /* a value that would change the answer is a 400 */
} sb_field_class;

typedef struct sb_field_row {
    unsigned sets;
    const char *name;
    sb_field_class class;
    const char *value; /* ACTED: a value that changes an ask; NOT_YET: further harmless values,
                          JSON texts joined by '|'; else "" */
} sb_field_row;
const sb_field_row *sb_field_rows(size_t *out_n);

/* Checks all members of an object against the rows of a set: a NOT_YET field whose value is not
 * null, false, 0, "", [], {} or one of the row's is SB_UNSUPPORTED; an unknown one becomes a
 * warning (SB_INVALID when the ask is strict). path: "" or "options." and the like. */
sb_status sb_fields_check(sb_ask *a, const json_t *object, unsigned set, const char *path,
                          sb_wire_error *w) SB_MUST_USE;

/* An object being read. */
typedef struct sb_fields {
    const json_t *o;  /* NULL: nothing is set */
    const char *path; /* "", "options.", "messages[3]." ... */
    sb_wire_error *w;
} sb_fields;

/* Room for a path into a request. */
enum { SB_PATH_ROOM = 96 };

/* Raises: param = path and name, message "PARAM: TEXT". */
sb_status sb_field_fail(const sb_fields *f, const char *name, sb_status code, const char *fmt, ...)
    SB_PRINTF(4, 5);

/* The member, or NULL when it is absent or null. */
const json_t *sb_field_find(const sb_fields *f, const char *name);

/* Each leaves *v as it is when the field is absent or null. Whole numbers may be written 1.0. */
sb_status sb_field_int(const sb_fields *f, const char *name, int64_t lo, int64_t hi,
                       int64_t *v) SB_MUST_USE;
sb_status sb_field_i32(const sb_fields *f, const char *name, int32_t lo, int32_t hi,
                       int32_t *v) SB_MUST_USE;
sb_status sb_field_real(const sb_fields *f, const char *name, double lo, double hi,
                        double *v) SB_MUST_USE;
sb_status sb_field_f32(const sb_fields *f, const char *name, double lo, double hi,
                       float *v) SB_MUST_USE;
sb_status sb_field_bool(const sb_fields *f, const char *name, bool *v) SB_MUST_USE;
/* SB_LIMIT beyond max bytes. */
sb_status sb_field_text(const sb_fields *f, const char *name, size_t max, sb_str *v) SB_MUST_USE;
sb_status sb_field_list(const sb_fields *f, const char *name, const json_t **v) SB_MUST_USE;
sb_status sb_field_object(const sb_fields *f, const char *name, const json_t **v) SB_MUST_USE;

/* model and stream, which every dialect has. stream: what it is when the request does not say. */
sb_status sb_common_read(const sb_fields *f, sb_ask *a, bool stream) SB_MUST_USE;

/* A warning for the answer; at most SB_MAX_WARNINGS are kept. */
sb_status sb_ask_warn(sb_ask *a, sb_error *err, const char *fmt, ...) SB_PRINTF(3, 4) SB_MUST_USE;
/* A value as JSON text that lives as long as the ask. */
sb_status sb_ask_dump(sb_ask *a, const json_t *v, sb_str *out, sb_error *err) SB_MUST_USE;
/* A copy (with a NUL) that lives as long as the ask. */
sb_status sb_ask_copy(sb_ask *a, sb_str s, sb_str *out, sb_error *err) SB_MUST_USE;
static inline sb_str sb_json_str(const json_t *v)
{
    return (sb_str){json_string_value(v), json_string_length(v)};
}
#endif
