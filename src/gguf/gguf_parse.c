/* SPDX-License-Identifier: Apache-2.0
 * gguf_parse.c - reads one file's header, metadata and tensor directory, trusting no number of it.
 *
 * One cursor walks the mapping; every read is bounded by the bytes left, every count by the
 * bytes its records need at least, and only then is a table of that size allocated. String
 * arrays are walked here once so that nobody who reads them later can fail. Tensor extents are
 * checked after the walk, when the data section's place is known. Lines are "byte OFFSET:
 * FIELD: what (limit)". */
#include "gguf/internal.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    KV_MIN_BYTES = 8 + 1 + 4 + 1,          /* key length, key, type, value */
    INFO_MIN_BYTES = 8 + 1 + 4 + 8 + 4 + 8 /* name length, name, n_dims, dim, type, offset */
};

typedef struct cursor {
    const unsigned char *p; /* the file */
    uint64_t at, end;
    sb_error *err;
    sb_status status; /* of the take() that gave NULL */
} cursor;

static uint64_t left(const cursor *c)
{
    return c->end - c->at;
}

/* n bytes at the cursor, which moves behind them. Not there: NULL, and c->status is set. */
static const unsigned char *take(cursor *c, uint64_t n, const char *field)
{
    if (n > left(c)) {
        c->status = SB_FAIL(c->err, SB_CORRUPT,
                            "byte %" PRIu64 ": %s: needs %" PRIu64 " bytes (%" PRIu64 " left)",
                            c->at, field, n, left(c));
        return NULL;
    }
    const unsigned char *p = c->p + c->at;
    c->at += n;
    return p;
}

static sb_status take_u32(cursor *c, const char *field, uint32_t *out)
{
    const unsigned char *p = take(c, 4, field);
    if (!p) return c->status;
    *out = sb_gguf_u32(p);
    return SB_OK;
}

static sb_status take_u64(cursor *c, const char *field, uint64_t *out)
{
    const unsigned char *p = take(c, 8, field);
    if (!p) return c->status;
    *out = sb_gguf_u64(p);
    return SB_OK;
}

/* A count of records of at least min_bytes each. */
static sb_status take_count(cursor *c, const char *field, uint64_t max, uint64_t min_bytes,
                            uint64_t *out)
{
    const uint64_t at = c->at;
    SB_TRY(take_u64(c, field, out));
    if (*out > left(c) / min_bytes) {
        return SB_FAIL(c->err, SB_CORRUPT,
                       "byte %" PRIu64 ": %s: %" PRIu64 " exceeds the file (%" PRIu64
                       " bytes left)",
                       at, field, *out, left(c));
    }
    if (*out > max) {
        return SB_FAIL(c->err, SB_LIMIT, "byte %" PRIu64 ": %s: %" PRIu64 " (limit %" PRIu64 ")",
                       at, field, *out, max);
    }
    return SB_OK;
}

/* A length and that many bytes: a key or a name. */
static sb_status take_name(cursor *c, const char *field, uint64_t max, sb_str *out)
{
    const uint64_t at = c->at;
    uint64_t n = 0;
    SB_TRY(take_u64(c, field, &n));
    if (n == 0) return SB_FAIL(c->err, SB_CORRUPT, "byte %" PRIu64 ": %s: empty", at, field);
    if (n > max) {
        return SB_FAIL(c->err, SB_LIMIT,
                       "byte %" PRIu64 ": %s: length %" PRIu64 " (limit %" PRIu64 ")", at, field, n,
                       max);
    }
    const unsigned char *p = take(c, n, field);
    if (!p) return c->status;
    for (uint64_t i = 0; i < n; i++) {
        // Control characters drive terminals when a name is shown; C2 80..9F are C1 ones.
        const bool c1 = i > 0 && p[i - 1] == 0xc2 && p[i] < 0xa0;
        if (p[i] < 0x20 || p[i] == 0x7f || c1) {
            return SB_FAIL(c->err, SB_CORRUPT, "byte %" PRIu64 ": %s: control byte 0x%02x in it",
                           at + 8 + i, field, p[i]);
        }
    }
    const size_t valid = sb_utf8_valid((const char *)p, (size_t)n);
    if (valid != n) {
        return SB_FAIL(c->err, SB_CORRUPT, "byte %" PRIu64 ": %s: not UTF-8 (byte 0x%02x)",
                       at + 8 + valid, field, p[valid]);
    }
    *out = (sb_str){.p = (const char *)p, .n = (size_t)n};
    return SB_OK;
}

static sb_status fail_string(const cursor *c, uint64_t at, uint64_t n, uint64_t room)
{
    if (n > SB_MAX_STRING_BYTES) {
        return SB_FAIL(c->err, SB_LIMIT, "byte %" PRIu64 ": string: length %" PRIu64 " (limit %d)",
                       at, n, SB_MAX_STRING_BYTES);
    }
    return SB_FAIL(c->err, SB_CORRUPT,
                   "byte %" PRIu64 ": string: length %" PRIu64 " (%" PRIu64 " bytes left)", at, n,
                   room);
}

/* Moves over n strings. */
static sb_status skip_strings(cursor *c, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (left(c) < 8) return fail_string(c, c->at, 0, left(c));
        const uint64_t len = sb_gguf_u64(c->p + c->at);
        const uint64_t room = left(c) - 8;
        if (len > room || len > SB_MAX_STRING_BYTES) return fail_string(c, c->at, len, room);
        c->at += 8 + len;
    }
    return SB_OK;
}

/* Moves over n values of a fixed size; bools must be 0 or 1. */
static sb_status skip_values(cursor *c, sb_gguf_type type, uint64_t n)
{
    const uint64_t at = c->at;
    const unsigned char *p = take(c, n * sb_gguf_type_bytes(type), "value"); // bounded: no overflow
    if (!p) return c->status;
    if (type != SB_GGUF_BOOL) return SB_OK;
    for (uint64_t i = 0; i < n; i++) {
        if (p[i] > 1) {
            return SB_FAIL(c->err, SB_CORRUPT, "byte %" PRIu64 ": bool: %u (0 or 1)", at + i, p[i]);
        }
    }
    return SB_OK;
}

static sb_status take_type(cursor *c, const char *field, sb_gguf_type *out)
{
    const uint64_t at = c->at;
    uint32_t t = 0;
    SB_TRY(take_u32(c, field, &t));
    if (t >= SB_GGUF_TYPE_COUNT) {
        return SB_FAIL(c->err, SB_CORRUPT, "byte %" PRIu64 ": %s: %" PRIu32 " (limit %d)", at,
                       field, t, SB_GGUF_TYPE_COUNT - 1);
    }
    *out = (sb_gguf_type)t;
    return SB_OK;
}

static sb_status take_array_head(cursor *c, sb_gguf_kv *kv)
{
    const uint64_t at = c->at;
    SB_TRY(take_type(c, "array element type", &kv->elem));
    if (kv->elem == SB_GGUF_ARR) {
        return SB_FAIL(c->err, SB_UNSUPPORTED, "byte %" PRIu64 ": array of '%.*s': nested arrays",
                       at, sb_gguf_shown(kv->key), kv->key.p);
    }
    const size_t size = sb_gguf_type_bytes(kv->elem);
    return take_count(c, "array length", SB_MAX_ARRAY, size ? size : 8, &kv->count);
}

static sb_status take_kv(cursor *c, sb_gguf_kv *kv)
{
    SB_TRY(take_name(c, "key", SB_MAX_KEY_BYTES, &kv->key));
    SB_TRY(take_type(c, "value type", &kv->type));
    kv->elem = kv->type;
    kv->count = 1;
    if (kv->type == SB_GGUF_ARR) SB_TRY(take_array_head(c, kv));
    kv->offset = c->at;
    kv->data = c->p + c->at;
    SB_TRY(kv->elem == SB_GGUF_STR ? skip_strings(c, kv->count)
                                   : skip_values(c, kv->elem, kv->count));
    kv->bytes = c->at - kv->offset;
    return SB_OK;
}

static sb_status read_kvs(cursor *c, sb_gguf_shard *s, uint64_t n_kv)
{
    s->kv = sb_calloc((size_t)n_kv, sizeof(*s->kv));
    if (!s->kv) return SB_FAIL(c->err, SB_NO_MEMORY, "metadata: %" PRIu64 " entries", n_kv);
    SB_TRY(sb_name_index_init(&s->kv_index, (size_t)n_kv, c->err));
    for (size_t i = 0; i < n_kv; i++) {
        const uint64_t at = c->at;
        SB_TRY(take_kv(c, &s->kv[i]));
        s->n_kv = i + 1;
        if (sb_name_index_add(&s->kv_index, s->kv, sizeof(*s->kv), i) != i) {
            return SB_FAIL(c->err, SB_CORRUPT, "byte %" PRIu64 ": key '%.*s': given twice", at,
                           sb_gguf_shown(s->kv[i].key), s->kv[i].key.p);
        }
    }
    return SB_OK;
}

static sb_status read_alignment(cursor *c, sb_gguf_shard *s)
{
    s->alignment = SB_GGUF_ALIGNMENT;
    const sb_gguf_kv *kv = sb_gguf_shard_find(s, "general.alignment");
    if (!kv) return SB_OK;
    if (kv->type != SB_GGUF_U32) {
        return SB_FAIL(c->err, SB_CORRUPT, "byte %" PRIu64 ": general.alignment: type %s (u32)",
                       kv->offset, sb_gguf_type_name(kv->type));
    }
    const uint32_t a = sb_gguf_u32(kv->data);
    if (a < 8 || a > SB_MAX_ALIGNMENT || (a & (a - 1)) != 0) {
        return SB_FAIL(c->err, SB_CORRUPT,
                       "byte %" PRIu64 ": general.alignment: %" PRIu32 " (a power of two, 8 to %d)",
                       kv->offset, a, SB_MAX_ALIGNMENT);
    }
    s->alignment = a;
    return SB_OK;
}

static sb_status take_format(cursor *c, const sb_gguf_tensor *t, sb_format *out)
{
    const uint64_t at = c->at;
    uint32_t id = 0;
    SB_TRY(take_u32(c, "tensor type", &id));
    if (sb_format_find(id, out)) return SB_OK;
    const char *name = sb_format_id_name(id);
    return SB_FAIL(c->err, SB_UNSUPPORTED,
                   "byte %" PRIu64 ": tensor '%.*s': type %" PRIu32 "%s%s is not supported", at,
                   sb_gguf_shown(t->name), t->name.p, id, name ? " " : "", name ? name : "");
}

static sb_status take_dims(cursor *c, sb_gguf_tensor *t)
{
    uint64_t at = c->at;
    uint32_t n_dims = 0;
    SB_TRY(take_u32(c, "n_dims", &n_dims));
    if (n_dims < 1 || n_dims > SB_MAX_DIMS) {
        return SB_FAIL(c->err, SB_CORRUPT,
                       "byte %" PRIu64 ": tensor '%.*s': %" PRIu32 " dimensions (1 to %d)", at,
                       sb_gguf_shown(t->name), t->name.p, n_dims, SB_MAX_DIMS);
    }
    t->n_dims = (int32_t)n_dims;
    for (uint32_t i = 0; i < SB_MAX_DIMS; i++) {
        uint64_t n = 1;
        at = c->at;
        if (i < n_dims) SB_TRY(take_u64(c, "dimension", &n));
        if (n < 1 || n > INT64_MAX) {
            return SB_FAIL(c->err, SB_CORRUPT,
                           "byte %" PRIu64 ": tensor '%.*s': dimension %" PRIu32 " is %" PRIu64
                           " (1 to 2^63-1)",
                           at, sb_gguf_shown(t->name), t->name.p, i, n);
        }
        t->ne[i] = (int64_t)n;
    }
    return SB_OK;
}

/* Bytes of a tensor from its shape and format; every product checked. */
static sb_status measure(sb_gguf_tensor *t, uint64_t at, sb_error *err)
{
    const sb_format_info *f = sb_format_get(t->format);
    if (t->ne[0] % f->block_elems != 0) {
        return SB_FAIL(err, SB_CORRUPT,
                       "byte %" PRIu64 ": tensor '%.*s': row of %" PRId64 " (multiple of %d in %s)",
                       at, sb_gguf_shown(t->name), t->name.p, t->ne[0], (int)f->block_elems,
                       f->name);
    }
    int64_t rows, elems, row_bytes, bytes;
    bool over = ckd_mul(&rows, t->ne[1], t->ne[2]);
    over |= ckd_mul(&rows, rows, t->ne[3]);
    over |= ckd_mul(&elems, rows, t->ne[0]);
    over |= ckd_mul(&row_bytes, t->ne[0] / f->block_elems, (int64_t)f->block_bytes);
    over |= ckd_mul(&bytes, rows, row_bytes);
    if (over) {
        return SB_FAIL(err, SB_CORRUPT,
                       "byte %" PRIu64 ": tensor '%.*s': size overflow (2^63-1 bytes)", at,
                       sb_gguf_shown(t->name), t->name.p);
    }
    t->bytes = (uint64_t)bytes;
    return SB_OK;
}

/* One directory entry; t->offset is still relative to the data section. */
static sb_status take_info(cursor *c, sb_gguf_tensor *t)
{
    const uint64_t at = c->at;
    SB_TRY(take_name(c, "tensor name", SB_MAX_TENSOR_NAME_BYTES, &t->name));
    SB_TRY(take_dims(c, t));
    SB_TRY(take_format(c, t, &t->format));
    SB_TRY(measure(t, at, c->err));
    return take_u64(c, "tensor offset", &t->offset);
}

static sb_status read_infos(cursor *c, sb_gguf *g, int32_t i_shard, size_t n)
{
    const size_t first = g->n_tensors;
    if (n > SB_MAX_TENSORS - first) {
        return SB_FAIL(c->err, SB_LIMIT,
                       "byte 8: tensor_count: %zu with the shards before (limit %d)", first + n,
                       SB_MAX_TENSORS);
    }
    sb_gguf_tensor *all = sb_realloc(g->tensors, first + n + 1, sizeof(*all)); // + 1: never empty
    if (!all) return SB_FAIL(c->err, SB_NO_MEMORY, "tensor directory: %zu entries", first + n);
    g->tensors = all;
    for (size_t i = first; i < first + n; i++) {
        all[i] = (sb_gguf_tensor){.i_shard = i_shard};
        SB_TRY(take_info(c, &all[i]));
        g->n_tensors = i + 1;
    }
    return SB_OK;
}

/* Where a tensor's offset field stands in its file; for messages. */
static uint64_t offset_field_at(const cursor *c, const sb_gguf_tensor *t)
{
    const unsigned char *name = (const unsigned char *)t->name.p;
    return (uint64_t)(name - c->p) + t->name.n + 4 + 8 * (uint64_t)t->n_dims + 4;
}

/* Checks a tensor's place against the data section at data_at and makes it absolute. */
static sb_status place(const cursor *c, const sb_gguf_shard *s, uint64_t data_at, sb_gguf_tensor *t)
{
    const uint64_t data_bytes = c->end > data_at ? c->end - data_at : 0;
    uint64_t end;
    if (t->offset % s->alignment != 0) {
        return SB_FAIL(
            c->err, SB_CORRUPT,
            "byte %" PRIu64 ": tensor '%.*s': offset %" PRIu64 " (alignment %" PRIu64 ")",
            offset_field_at(c, t), sb_gguf_shown(t->name), t->name.p, t->offset, s->alignment);
    }
    if (ckd_add(&end, t->offset, t->bytes) || end > data_bytes) {
        return SB_FAIL(c->err, SB_CORRUPT,
                       "byte %" PRIu64 ": tensor '%.*s': offset %" PRIu64 " + %" PRIu64
                       " bytes (data has %" PRIu64 ")",
                       offset_field_at(c, t), sb_gguf_shown(t->name), t->name.p, t->offset,
                       t->bytes, data_bytes);
    }
    t->offset += data_at;
    t->data = c->p + t->offset;
    return SB_OK;
}

static int by_offset(const void *a, const void *b)
{
    const sb_gguf_tensor *const *x = a, *const *y = b;
    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

/* Tensors of one file may lie in any order and leave gaps, but not share bytes. */
static sb_status check_overlap(const cursor *c, const sb_gguf_tensor *t, size_t n)
{
    const sb_gguf_tensor **order = sb_alloc(n, sizeof(const sb_gguf_tensor *));
    if (!order) return SB_FAIL(c->err, SB_NO_MEMORY, "tensor order: %zu entries", n);
    for (size_t i = 0; i < n; i++) {
        order[i] = &t[i];
    }
    qsort(order, n, sizeof(const sb_gguf_tensor *), by_offset);
    sb_status status = SB_OK;
    for (size_t i = 1; i < n && status == SB_OK; i++) {
        const sb_gguf_tensor *a = order[i - 1], *b = order[i];
        if (b->offset - a->offset >= a->bytes) continue;
        status = SB_FAIL(c->err, SB_CORRUPT,
                         "byte %" PRIu64 ": tensor '%.*s' overlaps '%.*s' (ends at %" PRIu64 ")",
                         b->offset, sb_gguf_shown_in(b->name, 24), b->name.p,
                         sb_gguf_shown_in(a->name, 24), a->name.p, a->offset + a->bytes);
    }
    sb_free(order);
    return status;
}

/* Places the tensors of this file and counts what lies behind them. */
static sb_status read_extents(const cursor *c, sb_gguf_shard *s, sb_gguf_tensor *t, size_t n)
{
    const uint64_t pad = s->alignment - 1; // the cursor is inside the file: no overflow
    const uint64_t data_at = (c->at + pad) & ~pad;
    uint64_t end = data_at;
    for (size_t i = 0; i < n; i++) {
        SB_TRY(place(c, s, data_at, &t[i]));
        const uint64_t t_end = (t[i].offset + t[i].bytes + pad) & ~pad;
        if (t_end > end) end = t_end;
    }
    s->trailing = c->end > end ? c->end - end : 0;
    return n > 1 ? check_overlap(c, t, n) : SB_OK;
}

static sb_status read_version(cursor *c, sb_gguf_shard *s)
{
    SB_TRY(take_u32(c, "version", &s->version));
    if (s->version == 2 || s->version == 3) return SB_OK;
    if ((s->version & 0xffffu) == 0 && s->version != 0) {
        return SB_FAIL(c->err, SB_UNSUPPORTED,
                       "byte 4: version: 0x%08" PRIx32
                       ": the file has the other byte order (endian)",
                       s->version);
    }
    return SB_FAIL(c->err, SB_UNSUPPORTED, "byte 4: version: %" PRIu32 " (2 or 3)", s->version);
}

sb_status sb_gguf_parse_shard(sb_gguf *g, int32_t i_shard, sb_error *err)
{
    sb_gguf_shard *s = &g->shards[i_shard];
    if (s->map.bytes < 4 || memcmp(s->map.p, "GGUF", 4) != 0) {
        return sb_gguf_refuse_foreign(s->map.p, s->map.bytes, err);
    }
    cursor c = {.p = s->map.p, .at = 4, .end = s->map.bytes, .err = err};
    uint64_t n_tensors = 0, n_kv = 0;
    SB_TRY(read_version(&c, s));
    SB_TRY(take_count(&c, "tensor_count", SB_MAX_TENSORS, INFO_MIN_BYTES, &n_tensors));
    SB_TRY(take_count(&c, "kv_count", SB_MAX_KV, KV_MIN_BYTES, &n_kv));
    if (n_kv == 0) return SB_FAIL(err, SB_CORRUPT, "byte 16: kv_count: 0: no general.architecture");
    SB_TRY(read_kvs(&c, s, n_kv));
    SB_TRY(read_alignment(&c, s));
    const size_t first = g->n_tensors;
    SB_TRY(read_infos(&c, g, i_shard, (size_t)n_tensors));
    s->n_tensors = (size_t)n_tensors;
    return read_extents(&c, s, g->tensors + first, s->n_tensors);
}
