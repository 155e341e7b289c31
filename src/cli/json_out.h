/* SPDX-License-Identifier: Apache-2.0
 * json_out.h - JSON for standard output.
 *
 * Ownership   sb_json_* that return json_t give a new reference, NULL when memory is short; what
 *             puts or prints takes the reference over, NULL included, and reports it as
 *             SB_NO_MEMORY.
 * Threads     One. */
#ifndef SB_CLI_JSON_OUT_H
#define SB_CLI_JSON_OUT_H
#include "base/base.h"
#include "base/buf.h"
#include "cli/term.h"
#include "energy/meter.h"

#include <jansson.h>

/* Any bytes as a string: what is not UTF-8 is escaped as \xNN in the text. */
json_t *sb_json_text(sb_str s);
json_t *sb_json_ids(const int32_t *ids, size_t n);
/* The `energy` object of energy/fields.def. */
json_t *sb_json_energy(const sb_energy *e);

/* Sets a member; *ok becomes false when it could not. */
void sb_json_put(json_t *object, const char *key, json_t *value, bool *ok);
/* Appends a value as JSON text; false: out of memory. Borrows the value. */
bool sb_json_add(sb_buf *out, const json_t *value) SB_MUST_USE;
/* One line and a newline; decimals have a point in every locale. */
sb_status sb_json_print(sb_out *o, json_t *value, sb_error *err) SB_MUST_USE;
#endif
