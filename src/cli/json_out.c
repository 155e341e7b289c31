/* SPDX-License-Identifier: Apache-2.0
 * json_out.c - objects through jansson, written straight to our own output. */
#include "cli/json_out.h"

#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "energy/receipt_kind.h"

json_t *sb_json_text(sb_str s)
{
    if (sb_utf8_valid(s.p, s.n) == s.n) return json_stringn(s.n ? s.p : "", s.n);
    sb_buf b;
    sb_buf_init(&b, 8 * (size_t)SB_MAX_STRING_BYTES, "text");
    json_t *j =
        sb_term_escape(&b, s, true, NULL) == SB_OK ? json_stringn(b.p ? b.p : "", b.n) : NULL;
    sb_buf_deinit(&b);
    return j;
}

json_t *sb_json_ids(const int32_t *ids, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < n; i++) {
        if (json_array_append_new(a, json_integer(ids[i])) == 0) continue;
        json_decref(a);
        a = NULL;
    }
    return a;
}

void sb_json_put(json_t *object, const char *key, json_t *value, bool *ok)
{
    if (!object || json_object_set_new(object, key, value) != 0) *ok = false;
}

json_t *sb_json_energy(const sb_energy *e)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    const bool known = e->source != SB_ENERGY_UNAVAILABLE;
    const sb_wall wall = sb_energy_wall(e);
#define AS_text(v) json_string((v) ? (v) : "")
#define AS_real(v) json_real(v)
#define AS_whole(v) json_integer((json_int_t)(v))
#define AS_flag(v) json_boolean(v)
#define AS_walled(v) AS_whole(v)
#define AS_basis(v) json_string(v)
#define IS_walled wall.known
#define IS_basis wall.known
#define IS_text true
#define IS_real known
#define IS_whole known
#define IS_flag known
#define X(name, kind, value)                                                                       \
    if (IS_##kind) sb_json_put(o, #name, AS_##kind(value), &ok);
#include "energy/fields.def"
#undef X
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static int add_bytes(const char *p, size_t n, void *ctx)
{
    return sb_buf_add(ctx, p, n, NULL) == SB_OK ? 0 : -1;
}

bool sb_json_add(sb_buf *out, const json_t *value)
{
    return json_dump_callback(value, add_bytes, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
}

static int take_bytes(const char *p, size_t n, void *ctx)
{
    sb_out_add(ctx, p, n);
    return 0;
}

sb_status sb_json_print(sb_out *o, json_t *value, sb_error *err)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY;
    const int r = value ? json_dump_callback(value, take_bytes, o, flags) : -1;
    json_decref(value);
    if (r != 0) return SB_FAIL(err, SB_NO_MEMORY, "JSON: no memory");
    sb_out_add(o, "\n", 1);
    sb_out_flush(o);
    return SB_OK;
}
