/* SPDX-License-Identifier: Apache-2.0
 * json_in.h - JSON that somebody else wrote: bounded, without duplicate names, read with care.
 *
 * Ownership   A json_t that comes out is the caller's to json_decref(); strings are borrowed.
 * Errors      SB_CORRUPT (not JSON, too deep), SB_LIMIT, SB_IO, SB_NO_MEMORY; the line names
 *             `what`.
 * Threads     Any. */
#ifndef SB_STORE_JSON_IN_H
#define SB_STORE_JSON_IN_H
#include "base/base.h"

#include <jansson.h>

sb_status sb_json_in(json_t **out, const char *p, size_t n, const char *what,
                     sb_error *err) SB_MUST_USE;
/* The same; strings may hold NUL, so their length is json_string_length(). */
sb_status sb_json_in_nul(json_t **out, const char *p, size_t n, const char *what,
                         sb_error *err) SB_MUST_USE;
/* A file of at most SB_MAX_PIN_BYTES. SB_NOT_FOUND when it is absent. */
sb_status sb_json_read(json_t **out, const char *path, sb_error *err) SB_MUST_USE;
/* Writes PATH.new, then moves it into place; takes `value` over (NULL = no memory). */
sb_status sb_json_write(const char *path, json_t *value, sb_error *err) SB_MUST_USE;
/* Copies member `key` if it is a string that fits and has no control characters; else "". */
void sb_json_copy(const json_t *object, const char *key, char *out, size_t out_bytes);
/* Member `key` as a count; dflt when it is absent, negative or none. */
uint64_t sb_json_count(const json_t *object, const char *key, uint64_t dflt);
#endif
