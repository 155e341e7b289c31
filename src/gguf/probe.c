/* SPDX-License-Identifier: Apache-2.0
 * probe.c - walks the metadata of a file's head up to its architecture.
 *
 * A cursor of its own rather than gguf_parse.c's: there, bytes that are missing are damage; here
 * they have only not arrived yet. Every step either moves on inside n or asks for more. */
#include "gguf/probe.h"

#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "gguf/internal.h"

static const char arch_key[] = "general.architecture";

typedef struct head {
    const unsigned char *p;
    size_t at, n;
    bool more; /* a read went beyond n */
    sb_error *err;
} head;

/* The next `bytes` bytes, or NULL (h->more) when they are not here yet. */
static const unsigned char *next(head *h, uint64_t bytes)
{
    if (bytes > h->n - h->at) {
        h->more = true;
        return NULL;
    }
    const unsigned char *p = h->p + h->at;
    h->at += (size_t)bytes;
    return p;
}

static sb_status read_u32(head *h, uint32_t *out)
{
    const unsigned char *p = next(h, 4);
    *out = p ? sb_gguf_u32(p) : 0;
    return SB_OK;
}

static sb_status read_u64(head *h, uint64_t max, const char *what, uint64_t *out)
{
    const size_t at = h->at;
    const unsigned char *p = next(h, 8);
    *out = p ? sb_gguf_u64(p) : 0;
    if (*out <= max) return SB_OK;
    return SB_FAIL(h->err, SB_LIMIT, "byte %zu: %s: %" PRIu64 " (limit %" PRIu64 ")", at, what,
                   *out, max);
}

static sb_status read_type(head *h, sb_gguf_type *out)
{
    const size_t at = h->at;
    uint32_t t = 0;
    SB_TRY(read_u32(h, &t));
    if (t >= SB_GGUF_TYPE_COUNT)
        return SB_FAIL(h->err, SB_CORRUPT, "byte %zu: value type: %" PRIu32 " (limit %d)", at, t,
                       SB_GGUF_TYPE_COUNT - 1);
    *out = (sb_gguf_type)t;
    return SB_OK;
}

/* Moves over `count` values of a type; arrays within arrays are refused. */
static sb_status skip_values(head *h, sb_gguf_type type, uint64_t count)
{
    const size_t size = sb_gguf_type_bytes(type);
    if (size > 0) {
        (void)next(h, count * size); /* count <= SB_MAX_ARRAY: no overflow */
        return SB_OK;
    }
    if (type != SB_GGUF_STR)
        return SB_FAIL(h->err, SB_UNSUPPORTED, "byte %zu: an array of arrays", h->at);
    for (uint64_t i = 0; i < count && !h->more; i++) {
        uint64_t n = 0;
        SB_TRY(read_u64(h, SB_MAX_STRING_BYTES, "string", &n));
        if (!h->more) (void)next(h, n);
    }
    return SB_OK;
}

static sb_status skip_value(head *h, sb_gguf_type type)
{
    if (type != SB_GGUF_ARR) return skip_values(h, type, 1);
    uint64_t count = 0;
    sb_gguf_type elem = SB_GGUF_U8;
    SB_TRY(read_type(h, &elem));
    if (!h->more) SB_TRY(read_u64(h, SB_MAX_ARRAY, "array length", &count));
    return h->more ? SB_OK : skip_values(h, elem, count);
}

static sb_status take_arch(head *h, sb_gguf_type type, sb_gguf_probe *out)
{
    const size_t at = h->at;
    uint64_t n = 0;
    if (type != SB_GGUF_STR)
        return SB_FAIL(h->err, SB_CORRUPT, "byte %zu: %s: type %s (string)", at, arch_key,
                       sb_gguf_type_name(type));
    SB_TRY(read_u64(h, SB_GGUF_ARCH_BYTES - 1, arch_key, &n));
    const unsigned char *p = h->more ? NULL : next(h, n);
    if (!p) return SB_OK;
    for (uint64_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] >= 0x7f)
            return SB_FAIL(h->err, SB_CORRUPT, "byte %zu: %s: byte 0x%02x in it",
                           at + 8 + (size_t)i, arch_key, p[i]);
    memcpy(out->arch, p, (size_t)n);
    out->arch[n] = 0;
    return SB_OK;
}

/* One entry; *found when it was the architecture. */
static sb_status read_entry(head *h, sb_gguf_probe *out, bool *found)
{
    uint64_t n = 0;
    sb_gguf_type type = SB_GGUF_U8;
    SB_TRY(read_u64(h, SB_MAX_KEY_BYTES, "key", &n));
    const unsigned char *key = h->more ? NULL : next(h, n);
    if (!key) return SB_OK;
    SB_TRY(read_type(h, &type));
    if (h->more) return SB_OK;
    *found = n == sizeof arch_key - 1 && memcmp(key, arch_key, sizeof arch_key - 1) == 0;
    return *found ? take_arch(h, type, out) : skip_value(h, type);
}

static sb_status read_start(head *h, sb_gguf_probe *out)
{
    SB_TRY(read_u32(h, &out->version));
    if (!h->more && out->version != 2 && out->version != 3)
        return SB_FAIL(h->err, SB_UNSUPPORTED, "byte 4: version: %" PRIu32 " (2 or 3)",
                       out->version);
    SB_TRY(read_u64(h, SB_MAX_TENSORS, "tensor_count", &out->n_tensors));
    return read_u64(h, SB_MAX_KV, "kv_count", &out->n_kv);
}

sb_status sb_gguf_probe_head(const unsigned char *p, size_t n, sb_gguf_probe *out, bool *out_more,
                             sb_error *err)
{
    static const char mark[] = {'G', 'G', 'U', 'F'};
    if (n > 0 && memcmp(p, mark, n < sizeof mark ? n : sizeof mark) != 0)
        return sb_gguf_refuse_foreign(p, n, err);
    sb_gguf_probe got = {0};
    head h = {.p = p, .n = n, .err = err};
    bool found = false;
    (void)next(&h, sizeof mark);
    if (!h.more) SB_TRY(read_start(&h, &got));
    for (uint64_t i = 0; i < got.n_kv && !h.more && !found; i++)
        SB_TRY(read_entry(&h, &got, &found));
    if (!h.more && !found)
        return SB_FAIL(err, SB_CORRUPT, "byte 16: %" PRIu64 " keys, none is %s", got.n_kv,
                       arch_key);
    *out_more = h.more;
    if (!h.more) *out = got;
    return SB_OK;
}
