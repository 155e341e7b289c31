/* SPDX-License-Identifier: Apache-2.0
 * gguf.h - the GGUF container: header, metadata, tensor directory of one model (one file or a
 * split set), mapped read-only.
 *
 * Purpose     Checks every number of the file before using it; after sb_gguf_open() succeeded,
 *             every pointer and count handed out is inside the mapping. Hostile by definition.
 * Invariants  Nothing is allocated from a file's own word: counts are first bounded by the
 *             bytes left. Keys and tensor names are unique (over all shards). Tensor extents
 *             lie in their shard.
 * Ownership   sb_gguf owns mappings and tables; what _find and _get return is borrowed until
 *             close.
 * Errors      One line: file, byte offset, field, value, limit. SB_CORRUPT, SB_UNSUPPORTED,
 *             SB_LIMIT, SB_NOT_FOUND, SB_IO, SB_NO_MEMORY.
 * Cost        Linear in the file's metadata.
 * Threads     Read-only after open. */
#ifndef SB_GGUF_H
#define SB_GGUF_H
#include "base/base.h"
#include "base/file.h"
#include "quant/quant.h"

typedef enum sb_gguf_type {
    SB_GGUF_U8,
    SB_GGUF_I8,
    SB_GGUF_U16,
    SB_GGUF_I16,
    SB_GGUF_U32,
    SB_GGUF_I32,
    SB_GGUF_F32,
    SB_GGUF_BOOL,
    SB_GGUF_STR,
    SB_GGUF_ARR,
    SB_GGUF_U64,
    SB_GGUF_I64,
    SB_GGUF_F64,
    SB_GGUF_TYPE_COUNT
} sb_gguf_type;

/* One metadata entry. For an array: elem, count and the elements' bytes; for a scalar: count 1. */
typedef struct sb_gguf_kv {
    sb_str key;
    sb_gguf_type type, elem; /* elem == type for scalars */
    uint64_t count;
    /* Values as stored: little-endian, unaligned; strings: u64 length + bytes. */
    const unsigned char *data;
    uint64_t bytes, offset; /* of data, and its place in the file */
} sb_gguf_kv;

typedef struct sb_gguf_tensor {
    sb_str name;
    sb_format format;
    int32_t n_dims;
    int64_t ne[4];             /* ne[0] is the row length; missing dimensions are 1 */
    const unsigned char *data; /* rows, contiguous */
    uint64_t bytes;
    int32_t i_shard;
    uint64_t offset; /* of data in its file */
} sb_gguf_tensor;

typedef struct sb_gguf sb_gguf;

/* "u32", "string", ...; never NULL. */
const char *sb_gguf_type_name(sb_gguf_type t);

/* path: the file, or shard 1 of a split set (the others are found beside it). */
sb_status sb_gguf_open(sb_gguf **out, const char *path, sb_error *err) SB_MUST_USE;
void sb_gguf_close(sb_gguf *g);

uint32_t sb_gguf_version(const sb_gguf *g);
int32_t sb_gguf_n_shards(const sb_gguf *g);
const sb_map *sb_gguf_map(const sb_gguf *g, int32_t i_shard);
const char *sb_gguf_path(const sb_gguf *g, int32_t i_shard);
/* SB_IO, naming the file, when one of them was rewritten or cut short since it was opened. */
sb_status sb_gguf_check(const sb_gguf *g, sb_error *err) SB_MUST_USE;
/* Unexplained bytes behind the data, all shards. */
uint64_t sb_gguf_trailing_bytes(const sb_gguf *g);

size_t sb_gguf_n_kv(const sb_gguf *g);
const sb_gguf_kv *sb_gguf_kv_get(const sb_gguf *g, size_t i);
const sb_gguf_kv *sb_gguf_kv_find(const sb_gguf *g, const char *key); /* NULL when absent */
size_t sb_gguf_n_tensors(const sb_gguf *g);
const sb_gguf_tensor *sb_gguf_tensor_get(const sb_gguf *g, size_t i);
const sb_gguf_tensor *sb_gguf_tensor_find(const sb_gguf *g, const char *name);

/* Typed getters. Any integer type is taken when the value fits [lo, hi]; absent key -> dflt (not
 * range-checked) unless `required`. The error names key, value, range, offset. */
typedef struct sb_gguf_int {
    const char *key;
    int64_t lo, hi, dflt;
    bool required;
} sb_gguf_int;
sb_status sb_gguf_get_int(const sb_gguf *g, const sb_gguf_int *want, int64_t *out,
                          sb_error *err) SB_MUST_USE;
/* Finite f32/f64 (or integer) within [lo, hi]. */
typedef struct sb_gguf_float {
    const char *key;
    double lo, hi, dflt;
    bool required;
} sb_gguf_float;
sb_status sb_gguf_get_float(const sb_gguf *g, const sb_gguf_float *want, double *out,
                            sb_error *err) SB_MUST_USE;
sb_status sb_gguf_get_bool(const sb_gguf *g, const char *key, bool dflt, bool *out,
                           sb_error *err) SB_MUST_USE;
/* Absent -> {NULL, 0}. Borrowed from the mapping. */
sb_status sb_gguf_get_str(const sb_gguf *g, const char *key, sb_str *out,
                          sb_error *err) SB_MUST_USE;
/* Element i of an integer or bool array, or the scalar itself for any i. */
sb_status sb_gguf_kv_int_at(const sb_gguf *g, const sb_gguf_kv *kv, uint64_t i, int64_t *out,
                            sb_error *err) SB_MUST_USE;
/* Fills out[count] with the elements of a string array (borrowed); count must equal kv->count. */
sb_status sb_gguf_kv_strs(const sb_gguf *g, const sb_gguf_kv *kv, sb_str *out, uint64_t count,
                          sb_error *err) SB_MUST_USE;
sb_status sb_gguf_kv_floats(const sb_gguf *g, const sb_gguf_kv *kv, float *out, uint64_t count,
                            sb_error *err) SB_MUST_USE;
sb_status sb_gguf_kv_ints(const sb_gguf *g, const sb_gguf_kv *kv, int32_t *out, uint64_t count,
                          sb_error *err) SB_MUST_USE;
#endif
