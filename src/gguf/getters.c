/* SPDX-License-Identifier: Apache-2.0
 * getters.c - typed, range-checked reading of metadata. */
#include "gguf/internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} types[SB_GGUF_TYPE_COUNT] = {
    [SB_GGUF_U8] = {"u8", 1},     [SB_GGUF_I8] = {"i8", 1},     [SB_GGUF_U16] = {"u16", 2},
    [SB_GGUF_I16] = {"i16", 2},   [SB_GGUF_U32] = {"u32", 4},   [SB_GGUF_I32] = {"i32", 4},
    [SB_GGUF_F32] = {"f32", 4},   [SB_GGUF_BOOL] = {"bool", 1}, [SB_GGUF_STR] = {"string", 0},
    [SB_GGUF_ARR] = {"array", 0}, [SB_GGUF_U64] = {"u64", 8},   [SB_GGUF_I64] = {"i64", 8},
    [SB_GGUF_F64] = {"f64", 8},
};

const char *sb_gguf_type_name(sb_gguf_type t)
{
    return (unsigned)t < SB_GGUF_TYPE_COUNT ? types[t].name : "unknown";
}

size_t sb_gguf_type_bytes(sb_gguf_type t)
{
    return types[t].bytes;
}

bool sb_gguf_load_int(sb_gguf_type type, const unsigned char *p, int64_t *out, bool *too_big)
{
    uint64_t u;
    *too_big = false;
    switch (type) {
    case SB_GGUF_U8:
    case SB_GGUF_BOOL:
        *out = p[0];
        return true;
    case SB_GGUF_I8:
        *out = (int8_t)p[0];
        return true;
    case SB_GGUF_U16:
        *out = p[0] | p[1] << 8;
        return true;
    case SB_GGUF_I16:
        *out = (int16_t)(p[0] | p[1] << 8);
        return true;
    case SB_GGUF_U32:
        *out = sb_gguf_u32(p);
        return true;
    case SB_GGUF_I32:
        *out = (int32_t)sb_gguf_u32(p);
        return true;
    case SB_GGUF_I64:
        *out = (int64_t)sb_gguf_u64(p);
        return true;
    case SB_GGUF_U64:
        u = sb_gguf_u64(p);
        *too_big = u > INT64_MAX;
        *out = *too_big ? INT64_MAX : (int64_t)u;
        return true;
    case SB_GGUF_F32:
    case SB_GGUF_F64:
    case SB_GGUF_STR:
    case SB_GGUF_ARR:
    case SB_GGUF_TYPE_COUNT:
        break;
    }
    return false;
}

static double load_float(sb_gguf_type type, const unsigned char *p)
{
    if (type == SB_GGUF_F32) {
        const uint32_t u = sb_gguf_u32(p);
        float f;
        memcpy(&f, &u, sizeof(f));
        return (double)f;
    }
    const uint64_t u = sb_gguf_u64(p);
    double d;
    memcpy(&d, &u, sizeof(d));
    return d;
}

static sb_status fail_missing(const char *key, sb_error *err)
{
    return SB_FAIL(err, SB_NOT_FOUND, "%.80s: missing", key);
}

static sb_status fail_type(const sb_gguf_kv *kv, const char *wanted, sb_error *err)
{
    const bool is_array = kv->type == SB_GGUF_ARR;
    return SB_FAIL(err, SB_CORRUPT, "byte %" PRIu64 ": %.*s: type %s%s (%s)", kv->offset,
                   sb_gguf_shown(kv->key), kv->key.p, is_array ? "array of " : "",
                   sb_gguf_type_name(kv->elem), wanted);
}

sb_status sb_gguf_shard_int(const sb_gguf_shard *s, const sb_gguf_int *want, int64_t *out,
                            sb_error *err)
{
    const sb_gguf_kv *kv = sb_gguf_shard_find(s, want->key);
    if (!kv && want->required) return fail_missing(want->key, err);
    if (!kv) {
        *out = want->dflt;
        return SB_OK;
    }
    int64_t v;
    bool too_big;
    if (!sb_gguf_load_int(kv->type, kv->data, &v, &too_big)) return fail_type(kv, "integer", err);
    if (too_big || v < want->lo || v > want->hi) {
        return SB_FAIL(err, SB_CORRUPT,
                       "byte %" PRIu64 ": %.*s: %s%" PRId64 " (%" PRId64 " to %" PRId64 ")",
                       kv->offset, sb_gguf_shown(kv->key), kv->key.p, too_big ? "above " : "", v,
                       want->lo, want->hi);
    }
    *out = v;
    return SB_OK;
}

sb_status sb_gguf_get_int(const sb_gguf *g, const sb_gguf_int *want, int64_t *out, sb_error *err)
{
    const sb_status s = sb_gguf_shard_int(&g->shards[0], want, out, err);
    return s == SB_OK ? s : sb_gguf_name_file(g, 0, s, err);
}

static sb_status get_float(const sb_gguf *g, const sb_gguf_float *want, double *out, sb_error *err)
{
    const sb_gguf_kv *kv = sb_gguf_kv_find(g, want->key);
    if (!kv && want->required) return fail_missing(want->key, err);
    if (!kv) {
        *out = want->dflt;
        return SB_OK;
    }
    double v;
    int64_t i;
    bool too_big;
    if (kv->type == SB_GGUF_F32 || kv->type == SB_GGUF_F64) {
        v = load_float(kv->type, kv->data);
    } else if (kv->type != SB_GGUF_BOOL && sb_gguf_load_int(kv->type, kv->data, &i, &too_big)) {
        v = (double)i; // an u64 above INT64_MAX becomes 2^63: as good as any for a range check
    } else {
        return fail_type(kv, "number", err);
    }
    if (!isfinite(v) || v < want->lo || v > want->hi) {
        return SB_FAIL(err, SB_CORRUPT, "byte %" PRIu64 ": %.*s: %g (%g to %g)", kv->offset,
                       sb_gguf_shown(kv->key), kv->key.p, v, want->lo, want->hi);
    }
    *out = v;
    return SB_OK;
}

sb_status sb_gguf_get_float(const sb_gguf *g, const sb_gguf_float *want, double *out, sb_error *err)
{
    const sb_status s = get_float(g, want, out, err);
    return s == SB_OK ? s : sb_gguf_name_file(g, 0, s, err);
}

sb_status sb_gguf_get_bool(const sb_gguf *g, const char *key, bool dflt, bool *out, sb_error *err)
{
    const sb_gguf_int want = {.key = key, .lo = 0, .hi = 1, .dflt = dflt};
    int64_t v = 0;
    SB_TRY(sb_gguf_get_int(g, &want, &v, err));
    *out = v != 0;
    return SB_OK;
}

sb_status sb_gguf_get_str(const sb_gguf *g, const char *key, sb_str *out, sb_error *err)
{
    const sb_gguf_kv *kv = sb_gguf_kv_find(g, key);
    if (!kv) {
        *out = (sb_str){0};
        return SB_OK;
    }
    if (kv->type != SB_GGUF_STR) {
        return sb_gguf_name_file(g, 0, fail_type(kv, "string", err), err);
    }
    *out = (sb_str){.p = (const char *)kv->data + 8, .n = (size_t)(kv->bytes - 8)};
    return SB_OK;
}

sb_status sb_gguf_kv_int_at(const sb_gguf *g, const sb_gguf_kv *kv, uint64_t i, int64_t *out,
                            sb_error *err)
{
    const bool is_array = kv->type == SB_GGUF_ARR;
    if (is_array && i >= kv->count) {
        return sb_gguf_name_file(
            g, 0,
            SB_FAIL(err, SB_CORRUPT,
                    "byte %" PRIu64 ": %.*s: %" PRIu64 " elements (at least %" PRIu64 ")",
                    kv->offset, sb_gguf_shown(kv->key), kv->key.p, kv->count, i + 1),
            err);
    }
    const unsigned char *p = kv->data + (is_array ? i * sb_gguf_type_bytes(kv->elem) : 0);
    int64_t v;
    bool too_big;
    if (!sb_gguf_load_int(kv->elem, p, &v, &too_big)) {
        return sb_gguf_name_file(g, 0, fail_type(kv, "integers", err), err);
    }
    if (too_big) {
        return sb_gguf_name_file(
            g, 0,
            SB_FAIL(err, SB_CORRUPT, "byte %" PRIu64 ": %.*s: element %" PRIu64 " exceeds 2^63-1",
                    kv->offset, sb_gguf_shown(kv->key), kv->key.p, i),
            err);
    }
    *out = v;
    return SB_OK;
}

/* An array that holds `count` elements, of any type; the file's name still to be put in front. */
static sb_status check_array(const sb_gguf_kv *kv, uint64_t count, sb_error *err)
{
    if (kv->type != SB_GGUF_ARR) return fail_type(kv, "array", err);
    if (kv->count != count) {
        return SB_FAIL(err, SB_CORRUPT,
                       "byte %" PRIu64 ": %.*s: %" PRIu64 " elements (%" PRIu64 ")", kv->offset,
                       sb_gguf_shown(kv->key), kv->key.p, kv->count, count);
    }
    return SB_OK;
}

sb_status sb_gguf_kv_strs(const sb_gguf *g, const sb_gguf_kv *kv, sb_str *out, uint64_t count,
                          sb_error *err)
{
    sb_status s = check_array(kv, count, err);
    if (s == SB_OK && kv->elem != SB_GGUF_STR) s = fail_type(kv, "array of strings", err);
    if (s != SB_OK) return sb_gguf_name_file(g, 0, s, err);
    const unsigned char *p = kv->data; // every length was checked when the file was opened
    for (uint64_t i = 0; i < count; i++) {
        const size_t n = (size_t)sb_gguf_u64(p);
        out[i] = (sb_str){.p = (const char *)p + 8, .n = n};
        p += 8 + n;
    }
    return SB_OK;
}

sb_status sb_gguf_kv_floats(const sb_gguf *g, const sb_gguf_kv *kv, float *out, uint64_t count,
                            sb_error *err)
{
    sb_status s = check_array(kv, count, err);
    if (s == SB_OK && kv->elem != SB_GGUF_F32 && kv->elem != SB_GGUF_F64) {
        s = fail_type(kv, "array of floats", err);
    }
    if (s != SB_OK) return sb_gguf_name_file(g, 0, s, err);
    const size_t size = sb_gguf_type_bytes(kv->elem);
    for (uint64_t i = 0; i < count; i++) {
        out[i] = (float)load_float(kv->elem, kv->data + i * size);
    }
    return SB_OK;
}

sb_status sb_gguf_kv_ints(const sb_gguf *g, const sb_gguf_kv *kv, int32_t *out, uint64_t count,
                          sb_error *err)
{
    const sb_status s = check_array(kv, count, err);
    if (s != SB_OK) return sb_gguf_name_file(g, 0, s, err);
    for (uint64_t i = 0; i < count; i++) {
        int64_t v = 0;
        SB_TRY(sb_gguf_kv_int_at(g, kv, i, &v, err));
        if (v < INT32_MIN || v > INT32_MAX) {
            return sb_gguf_name_file(g, 0,
                                     SB_FAIL(err, SB_CORRUPT,
                                             "byte %" PRIu64 ": %.*s: element %" PRIu64
                                             " is %" PRId64 " (32 bits)",
                                             kv->offset, sb_gguf_shown(kv->key), kv->key.p, i, v),
                                     err);
        }
        out[i] = (int32_t)v;
    }
    return SB_OK;
}
