/* SPDX-License-Identifier: Apache-2.0
 * writer.c - collects metadata and tensor descriptions as bytes, and lays the file out at the end.
 *
 * Metadata and directory grow as the bytes they will be in the file, so writing is four runs:
 * header, metadata, directory, data. One emit function serves buffer and file. */
#include "gguf/writer.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "gguf/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { META_MAX_BYTES = 1 << 30 }; /* metadata, and directory, of a file we write */

typedef struct out_tensor {
    sb_gguf_out t; /* name and data as borrowed; the name is copied into the directory at once */
    uint64_t bytes, info_at; /* info_at: place of its offset field within the directory */
} out_tensor;

struct sb_gguf_writer {
    sb_buf kv, info;
    uint64_t n_kv;
    out_tensor *tensors;
    size_t n_tensors, cap;
};

/* Where the bytes go: a buffer or a stream. */
typedef struct sink {
    sb_buf *buf;
    FILE *file;
    uint64_t at;
} sink;

sb_status sb_gguf_writer_new(sb_gguf_writer **out, sb_error *err)
{
    sb_gguf_writer *w = sb_calloc(1, sizeof(*w));
    if (!w) return SB_FAIL(err, SB_NO_MEMORY, "GGUF writer: no memory");
    sb_buf_init(&w->kv, META_MAX_BYTES, "metadata to write");
    sb_buf_init(&w->info, META_MAX_BYTES, "tensor directory to write");
    *out = w;
    return SB_OK;
}

void sb_gguf_writer_free(sb_gguf_writer *w)
{
    if (!w) return;
    sb_buf_deinit(&w->kv);
    sb_buf_deinit(&w->info);
    sb_free(w->tensors);
    sb_free(w);
}

static void put_le(unsigned char *p, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (unsigned char)(v >> (8 * i));
    }
}

static sb_status add_le(sb_buf *b, uint64_t v, size_t n, sb_error *err)
{
    unsigned char p[8];
    put_le(p, v, n);
    return sb_buf_add(b, p, n, err);
}

static sb_status add_string(sb_buf *b, const char *p, size_t n, sb_error *err)
{
    SB_TRY(add_le(b, n, 8, err));
    return n ? sb_buf_add(b, p, n, err) : SB_OK;
}

/* Takes bytes added since `mark` back. */
static sb_status undo(sb_buf *b, size_t mark, sb_status s)
{
    b->n = mark;
    if (b->p) b->p[mark] = 0;
    return s;
}

static sb_status add_key(sb_gguf_writer *w, const char *key, sb_gguf_type type, sb_error *err)
{
    SB_TRY(add_string(&w->kv, key, strlen(key), err));
    return add_le(&w->kv, type, 4, err);
}

/* Ends an entry begun at mark: counts it, or takes it back. */
static sb_status end_kv(sb_gguf_writer *w, size_t mark, sb_status s)
{
    if (s != SB_OK) return undo(&w->kv, mark, s);
    w->n_kv++;
    return SB_OK;
}

sb_status sb_gguf_add_int(sb_gguf_writer *w, const char *key, sb_gguf_type type, int64_t v,
                          sb_error *err)
{
    const size_t mark = w->kv.n;
    sb_status s = add_key(w, key, type, err);
    if (s == SB_OK) s = add_le(&w->kv, (uint64_t)v, sb_gguf_type_bytes(type), err);
    return end_kv(w, mark, s);
}

sb_status sb_gguf_add_float(sb_gguf_writer *w, const char *key, sb_gguf_type type, double v,
                            sb_error *err)
{
    const size_t mark = w->kv.n;
    const float f = (float)v;
    uint64_t bits = 0;
    uint32_t narrow;
    memcpy(&bits, &v, sizeof(v));
    memcpy(&narrow, &f, sizeof(f));
    if (type == SB_GGUF_F32) bits = narrow;
    sb_status s = add_key(w, key, type, err);
    if (s == SB_OK) s = add_le(&w->kv, bits, sb_gguf_type_bytes(type), err);
    return end_kv(w, mark, s);
}

sb_status sb_gguf_add_str(sb_gguf_writer *w, const char *key, sb_str v, sb_error *err)
{
    const size_t mark = w->kv.n;
    sb_status s = add_key(w, key, SB_GGUF_STR, err);
    if (s == SB_OK) s = add_string(&w->kv, v.p, v.n, err);
    return end_kv(w, mark, s);
}

static sb_status add_array_head(sb_gguf_writer *w, const char *key, sb_gguf_type elem,
                                uint64_t count, sb_error *err)
{
    SB_TRY(add_key(w, key, SB_GGUF_ARR, err));
    SB_TRY(add_le(&w->kv, elem, 4, err));
    return add_le(&w->kv, count, 8, err);
}

sb_status sb_gguf_add_array(sb_gguf_writer *w, const char *key, sb_gguf_type elem,
                            const void *values, uint64_t count, sb_error *err)
{
    const size_t mark = w->kv.n;
    size_t bytes;
    if (ckd_mul(&bytes, count, sb_gguf_type_bytes(elem))) {
        return SB_FAIL(err, SB_LIMIT, "array '%.80s': too large", key);
    }
    sb_status s = add_array_head(w, key, elem, count, err);
    if (s == SB_OK && bytes) s = sb_buf_add(&w->kv, values, bytes, err);
    return end_kv(w, mark, s);
}

sb_status sb_gguf_add_strs(sb_gguf_writer *w, const char *key, const sb_str *values, uint64_t count,
                           sb_error *err)
{
    const size_t mark = w->kv.n;
    sb_status s = add_array_head(w, key, SB_GGUF_STR, count, err);
    for (uint64_t i = 0; i < count && s == SB_OK; i++) {
        s = add_string(&w->kv, values[i].p, values[i].n, err);
    }
    return end_kv(w, mark, s);
}

/* Bytes of t's data. */
static sb_status size_of(const sb_gguf_out *t, uint64_t *out, sb_error *err)
{
    const sb_format_info *f = sb_format_get(t->format);
    int64_t bytes = f->block_bytes;
    bool bad = t->n_dims < 1 || t->n_dims > SB_MAX_DIMS || t->ne[0] % f->block_elems != 0;
    for (int32_t i = 0; i < t->n_dims && !bad; i++) {
        bad = t->ne[i] < 1 || ckd_mul(&bytes, bytes, i ? t->ne[i] : t->ne[0] / f->block_elems);
    }
    if (bad)
        return SB_FAIL(err, SB_INVALID, "tensor '%.80s': shape does not fit %s", t->name, f->name);
    *out = (uint64_t)bytes;
    return SB_OK;
}

static sb_status add_info(sb_gguf_writer *w, const sb_gguf_out *t, uint64_t *info_at, sb_error *err)
{
    SB_TRY(add_string(&w->info, t->name, strlen(t->name), err));
    SB_TRY(add_le(&w->info, (uint64_t)t->n_dims, 4, err));
    for (int32_t i = 0; i < t->n_dims; i++) {
        SB_TRY(add_le(&w->info, (uint64_t)t->ne[i], 8, err));
    }
    SB_TRY(add_le(&w->info, sb_format_get(t->format)->id, 4, err));
    *info_at = w->info.n;
    return add_le(&w->info, 0, 8, err); // known when the file is laid out
}

sb_status sb_gguf_add_tensor(sb_gguf_writer *w, const sb_gguf_out *t, sb_error *err)
{
    out_tensor row = {.t = *t};
    SB_TRY(size_of(t, &row.bytes, err));
    if (w->n_tensors == w->cap) {
        const size_t cap = w->cap ? 2 * w->cap : 64;
        out_tensor *more = sb_realloc(w->tensors, cap, sizeof(*more));
        if (!more) return SB_FAIL(err, SB_NO_MEMORY, "tensor list: %zu entries", cap);
        w->tensors = more;
        w->cap = cap;
    }
    const size_t mark = w->info.n;
    const sb_status s = add_info(w, t, &row.info_at, err);
    if (s != SB_OK) return undo(&w->info, mark, s);
    w->tensors[w->n_tensors++] = row;
    return SB_OK;
}

static sb_status emit(sink *k, const void *p, size_t n, sb_error *err)
{
    if (n == 0) return SB_OK;
    k->at += n;
    if (k->buf) return sb_buf_add(k->buf, p, n, err);
    if (fwrite(p, 1, n, k->file) == n) return SB_OK;
    const int e = errno;
    return SB_FAIL(err, SB_IO, "cannot write: %s", strerror(e));
}

static sb_status emit_padding(sink *k, uint64_t alignment, sb_error *err)
{
    static const unsigned char zeros[256];
    uint64_t n = (alignment - k->at % alignment) % alignment;
    while (n > 0) {
        const size_t now = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);
        SB_TRY(emit(k, zeros, now, err));
        n -= now;
    }
    return SB_OK;
}

static sb_status emit_header(const sb_gguf_writer *w, sink *k, sb_error *err)
{
    unsigned char head[24] = {'G', 'G', 'U', 'F', 3};
    put_le(head + 8, w->n_tensors, 8);
    put_le(head + 16, w->n_kv, 8);
    return emit(k, head, sizeof(head), err);
}

/* The directory, with each tensor's place filled in. */
static sb_status emit_directory(const sb_gguf_writer *w, uint64_t alignment, sink *k, sb_error *err)
{
    uint64_t done = 0, offset = 0;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const out_tensor *t = &w->tensors[i];
        unsigned char place[8];
        put_le(place, offset, 8);
        SB_TRY(emit(k, w->info.p + done, (size_t)(t->info_at - done), err));
        SB_TRY(emit(k, place, sizeof(place), err));
        done = t->info_at + sizeof(place);
        offset += SB_ALIGN_UP(t->bytes, alignment);
    }
    return SB_OK;
}

static sb_status emit_all(const sb_gguf_writer *w, uint32_t alignment, sink *k, sb_error *err)
{
    const uint64_t a = alignment ? alignment : SB_GGUF_ALIGNMENT;
    SB_TRY(emit_header(w, k, err));
    SB_TRY(emit(k, w->kv.p, w->kv.n, err));
    SB_TRY(emit_directory(w, a, k, err));
    SB_TRY(emit_padding(k, a, err));
    for (size_t i = 0; i < w->n_tensors; i++) {
        SB_TRY(emit(k, w->tensors[i].t.data, (size_t)w->tensors[i].bytes, err));
        SB_TRY(emit_padding(k, a, err));
    }
    return SB_OK;
}

sb_status sb_gguf_write_buf(const sb_gguf_writer *w, uint32_t alignment, sb_buf *out, sb_error *err)
{
    sink k = {.buf = out};
    const size_t mark = out->n;
    const sb_status s = emit_all(w, alignment, &k, err);
    return s == SB_OK ? s : undo(out, mark, s);
}

sb_status sb_gguf_write_file(const sb_gguf_writer *w, uint32_t alignment, const char *path,
                             sb_error *err)
{
    char part[SB_MAX_PATH_BYTES], shown[SB_GGUF_SHOWN_PATH_BYTES];
    sb_path_escape(shown, sizeof(shown), path);
    const int n = snprintf(part, sizeof(part), "%s.part", path);
    if (n < 0 || (size_t)n >= sizeof(part))
        return SB_FAIL(err, SB_LIMIT, "%s: path too long", shown);
    sink k = {.file = fopen(part, "wbe")};
    if (!k.file) {
        const int e = errno;
        return SB_FAIL(err, SB_IO, "%s.part: cannot create: %s", shown, strerror(e));
    }
    sb_status s = emit_all(w, alignment, &k, err);
    if (fclose(k.file) != 0 && s == SB_OK) {
        const int e = errno;
        s = SB_FAIL(err, SB_IO, "cannot write: %s", strerror(e));
    }
    if (s == SB_OK && rename(part, path) != 0) {
        const int e = errno;
        s = SB_FAIL(err, SB_IO, "cannot move into place: %s", strerror(e));
    }
    if (s == SB_OK) return SB_OK;
    (void)remove(part);
    return sb_error_prefix(err, s, "%s", shown);
}
