/* SPDX-License-Identifier: Apache-2.0
 * ask_fields.c - ask_fields.def at work, and the getters. */
#include "server/wire/ask_fields.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "server/wire/json_writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_NAME_BYTES = 64 }; /* of an unknown field's name */

static const sb_field_row rows[] = {
#define CHAT SB_FIELDS_CHAT
#define TEXT SB_FIELDS_TEXT
#define LLAMA SB_FIELDS_LLAMA
#define RESPONSES SB_FIELDS_RESPONSES
#define ANTHROPIC SB_FIELDS_ANTHROPIC
#define OLLAMA_CHAT SB_FIELDS_OLLAMA_CHAT
#define OLLAMA_GENERATE SB_FIELDS_OLLAMA_GENERATE
#define OLLAMA_OPTIONS SB_FIELDS_OLLAMA_OPTIONS
#define X(sets, name, class, value) {(sets), name, SB_FIELD_##class, value},
#include "server/wire/ask_fields.def"
#undef X
};

const sb_field_row *sb_field_rows(size_t *out_n)
{
    *out_n = SB_ARRAY_LEN(rows);
    return rows;
}

sb_status sb_field_fail(const sb_fields *f, const char *name, sb_status code, const char *fmt, ...)
{
    char why[SB_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    (void)snprintf(f->w->param, sizeof f->w->param, "%s%s", f->path, name);
    return SB_FAIL(&f->w->err, code, "%s: %s", f->w->param, why);
}

/* ---- the list ---- */

static bool is_nothing(const json_t *v)
{
    if (json_is_string(v)) return json_string_length(v) == 0;
    if (json_is_array(v)) return json_array_size(v) == 0;
    if (json_is_object(v)) return json_object_size(v) == 0;
    if (json_is_number(v)) return json_number_value(v) == 0;
    return !json_is_true(v);
}

/* Whether v is one of the JSON texts in list. */
static sb_status is_listed(const char *list, const json_t *v, bool *out, sb_wire_error *w)
{
    *out = false;
    while (*list && !*out) {
        const size_t n = strcspn(list, "|");
        json_t *one = NULL;
        SB_TRY(sb_wire_json(&one, (sb_str){list, n}, w));
        *out = json_equal(one, v) == 1;
        json_decref(one);
        list += n + (list[n] == '|');
    }
    return SB_OK;
}

static sb_status check_not_yet(const sb_field_row *r, const json_t *v, const sb_fields *f)
{
    bool listed = false;
    if (is_nothing(v)) return SB_OK;
    SB_TRY(is_listed(r->value, v, &listed, f->w));
    if (listed) return SB_OK;
    return sb_field_fail(f, r->name, SB_UNSUPPORTED, "not supported yet with this value");
}

static bool is_known(const char *name, unsigned set)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        if ((rows[i].sets & set) && strcmp(rows[i].name, name) == 0) return true;
    return false;
}

/* What of an unknown name is shown. */
static int shown(const char *name)
{
    const size_t n = strlen(name);
    return (int)(n <= SHOWN_NAME_BYTES ? n : sb_utf8_whole(name, SHOWN_NAME_BYTES));
}

static sb_status warn_unknown(sb_ask *a, const sb_fields *f, unsigned set)
{
    json_t *o = (json_t *)f->o;
    for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
        const char *name = json_object_iter_key(i);
        if (is_known(name, set)) continue;
        if (a->opts.strict)
            return SB_FAIL(&f->w->err, SB_INVALID, "%s%.*s: unknown field", f->path, shown(name),
                           name);
        SB_TRY(sb_ask_warn(a, &f->w->err, "%s%.*s: unknown field, ignored", f->path, shown(name),
                           name));
        if (json_array_size(a->warnings) >= SB_MAX_WARNINGS) break;
    }
    return SB_OK;
}

sb_status sb_fields_check(sb_ask *a, const json_t *object, unsigned set, const char *path,
                          sb_wire_error *w)
{
    const sb_fields f = {object, path, w};
    size_t n_known = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        const json_t *v = rows[i].sets & set ? json_object_get(object, rows[i].name) : NULL;
        n_known += v != NULL;
        if (v && rows[i].class == SB_FIELD_NOT_YET) SB_TRY(check_not_yet(&rows[i], v, &f));
    }
    return n_known == json_object_size(object) ? SB_OK : warn_unknown(a, &f, set);
}

/* ---- getters ---- */

const json_t *sb_field_find(const sb_fields *f, const char *name)
{
    const json_t *v = json_object_get(f->o, name);
    return json_is_null(v) ? NULL : v;
}

sb_status sb_field_int(const sb_fields *f, const char *name, int64_t lo, int64_t hi, int64_t *v)
{
    const json_t *j = sb_field_find(f, name);
    if (!j) return SB_OK;
    if (!json_is_number(j)) return sb_field_fail(f, name, SB_INVALID, "a whole number is expected");
    const double d = json_number_value(j);
    if (json_is_real(j) && (d != floor(d) || fabs(d) > 9007199254740992.0))
        return sb_field_fail(f, name, SB_INVALID, "%g is no whole number", d);
    const int64_t n = json_is_real(j) ? (int64_t)d : json_integer_value(j);
    if (n < lo || n > hi)
        return sb_field_fail(f, name, SB_INVALID, "%lld is outside %lld to %lld", (long long)n,
                             (long long)lo, (long long)hi);
    *v = n;
    return SB_OK;
}

sb_status sb_field_i32(const sb_fields *f, const char *name, int32_t lo, int32_t hi, int32_t *v)
{
    int64_t n = *v;
    SB_TRY(sb_field_int(f, name, lo, hi, &n));
    *v = (int32_t)n;
    return SB_OK;
}

sb_status sb_field_real(const sb_fields *f, const char *name, double lo, double hi, double *v)
{
    const json_t *j = sb_field_find(f, name);
    if (!j) return SB_OK;
    if (!json_is_number(j)) return sb_field_fail(f, name, SB_INVALID, "a number is expected");
    const double d = json_number_value(j);
    if (!(d >= lo && d <= hi))
        return sb_field_fail(f, name, SB_INVALID, "%g is outside %g to %g", d, lo, hi);
    *v = d;
    return SB_OK;
}

sb_status sb_field_f32(const sb_fields *f, const char *name, double lo, double hi, float *v)
{
    double d = (double)*v;
    SB_TRY(sb_field_real(f, name, lo, hi, &d));
    *v = (float)d;
    return SB_OK;
}

sb_status sb_field_bool(const sb_fields *f, const char *name, bool *v)
{
    const json_t *j = sb_field_find(f, name);
    if (!j) return SB_OK;
    if (!json_is_boolean(j)) return sb_field_fail(f, name, SB_INVALID, "true or false is expected");
    *v = json_is_true(j);
    return SB_OK;
}

sb_status sb_field_text(const sb_fields *f, const char *name, size_t max, sb_str *v)
{
    const json_t *j = sb_field_find(f, name);
    if (!j) return SB_OK;
    if (!json_is_string(j)) return sb_field_fail(f, name, SB_INVALID, "a string is expected");
    if (json_string_length(j) > max)
        return sb_field_fail(f, name, SB_LIMIT, "%zu bytes (at most %zu)", json_string_length(j),
                             max);
    *v = sb_json_str(j);
    return SB_OK;
}

sb_status sb_field_list(const sb_fields *f, const char *name, const json_t **v)
{
    const json_t *j = sb_field_find(f, name);
    if (j && !json_is_array(j)) return sb_field_fail(f, name, SB_INVALID, "a list is expected");
    if (j) *v = j;
    return SB_OK;
}

sb_status sb_field_object(const sb_fields *f, const char *name, const json_t **v)
{
    const json_t *j = sb_field_find(f, name);
    if (j && !json_is_object(j)) return sb_field_fail(f, name, SB_INVALID, "an object is expected");
    if (j) *v = j;
    return SB_OK;
}

sb_status sb_common_read(const sb_fields *f, sb_ask *a, bool stream)
{
    sb_str model = {0};
    SB_TRY(sb_field_text(f, "model", SB_MAX_MODEL_NAME_BYTES, &model));
    if (model.n && memchr(model.p, 0, model.n))
        return sb_field_fail(f, "model", SB_INVALID, "a name has no NUL");
    a->model = model.n ? model.p : NULL;
    a->stream = stream;
    return sb_field_bool(f, "stream", &a->stream);
}

/* ---- what an ask keeps ---- */

sb_status sb_ask_warn(sb_ask *a, sb_error *err, const char *fmt, ...)
{
    char s[SB_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(s, sizeof s, fmt, ap);
    va_end(ap);
    if (!a->warnings) a->warnings = json_array();
    if (a->warnings && json_array_size(a->warnings) >= SB_MAX_WARNINGS) return SB_OK;
    json_t *j = a->warnings ? json_stringn(s, sb_utf8_whole(s, strlen(s))) : NULL;
    if (j && json_array_append_new(a->warnings, j) == 0) return SB_OK;
    return SB_FAIL(err, SB_NO_MEMORY, "request: out of memory");
}

sb_status sb_ask_copy(sb_ask *a, sb_str s, sb_str *out, sb_error *err)
{
    size_t n;
    char *p = ckd_add(&n, s.n, 1) ? NULL : sb_ask_take(a, n, 1);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "request: out of memory");
    if (s.n) memcpy(p, s.p, s.n);
    *out = (sb_str){p, s.n};
    return SB_OK;
}

sb_status sb_ask_dump(sb_ask *a, const json_t *v, sb_str *out, sb_error *err)
{
    sb_buf b;
    sb_jw w;
    sb_buf_init(&b, SB_MAX_PROMPT_BYTES, "JSON of a request");
    sb_jw_begin(&w, &b, err);
    sb_jw_json(&w, v);
    sb_status s = sb_jw_end(&w);
    if (s == SB_OK) s = sb_ask_copy(a, (sb_str){b.p, b.n}, out, err);
    sb_buf_deinit(&b);
    return s;
}
