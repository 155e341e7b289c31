/* SPDX-License-Identifier: Apache-2.0
 * internal.h - what the files of the gguf room share: the open model and its shards. */
#ifndef SB_GGUF_INTERNAL_H
#define SB_GGUF_INTERNAL_H
#include "base/utf8.h"
#include "gguf/gguf.h"
#include "gguf/name_index.h"

enum {
    SB_GGUF_ALIGNMENT = 32,        /* when general.alignment is absent */
    SB_GGUF_SHOWN_NAME_BYTES = 48, /* of a key or tensor name in an error's line */
    SB_GGUF_SHOWN_PATH_BYTES = 100
};

/* One mapped file. */
typedef struct sb_gguf_shard {
    sb_map map;
    bool borrowed; /* the map's bytes belong to somebody else */
    char *path;
    uint32_t version;
    uint64_t alignment;
    sb_gguf_kv *kv;
    size_t n_kv;
    sb_name_index kv_index;
    size_t n_tensors;  /* of this file */
    uint64_t trailing; /* unexplained bytes behind the data */
} sb_gguf_shard;

struct sb_gguf {
    sb_gguf_shard *shards;
    int32_t n_shards; /* opened or begun; [0] holds the metadata */
    sb_gguf_tensor *tensors;
    size_t n_tensors;
    sb_name_index tensor_index;
};

/* Reads the header, metadata and tensor directory of shards[i_shard], whose map is open, and
 * appends its tensors to g. Errors lack the file's name; the caller puts it in front. */
sb_status sb_gguf_parse_shard(sb_gguf *g, int32_t i_shard, sb_error *err) SB_MUST_USE;
/* What a file that does not begin with "GGUF" is: always fails, naming it. */
sb_status sb_gguf_refuse_foreign(const unsigned char *p, size_t n, sb_error *err) SB_MUST_USE;

/* As sb_gguf_open, from n bytes in memory (borrowed until close) called "memory" in errors: for
 * tests and fuzzing, where a buffer of the exact size catches every read beyond it. */
sb_status sb_gguf_open_bytes(sb_gguf **out, const unsigned char *p, size_t n,
                             sb_error *err) SB_MUST_USE;

/* Puts the path of a shard before an error's line; returns code. */
sb_status sb_gguf_name_file(const sb_gguf *g, int32_t i_shard, sb_status code, sb_error *err);
const sb_gguf_kv *sb_gguf_shard_find(const sb_gguf_shard *s, const char *key);
/* The value of an integer or bool at p. False when type is no integer. *too_big: it is an u64
 * above INT64_MAX (then *out is INT64_MAX). */
bool sb_gguf_load_int(sb_gguf_type type, const unsigned char *p, int64_t *out, bool *too_big);
/* As sb_gguf_get_int, within one shard; the error lacks the file's name. */
sb_status sb_gguf_shard_int(const sb_gguf_shard *s, const sb_gguf_int *want, int64_t *out,
                            sb_error *err) SB_MUST_USE;
/* Bytes of one value; 0 for strings and arrays. */
size_t sb_gguf_type_bytes(sb_gguf_type t);

static inline uint32_t sb_gguf_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t sb_gguf_u64(const unsigned char *p)
{
    return sb_gguf_u32(p) | (uint64_t)sb_gguf_u32(p + 4) << 32;
}
/* Bytes of a name to show in at most `max`, for "%.*s"; no character is cut in two. */
static inline int sb_gguf_shown_in(sb_str s, size_t max)
{
    return (int)(s.n <= max ? s.n : sb_utf8_whole(s.p, max));
}
static inline int sb_gguf_shown(sb_str s)
{
    return sb_gguf_shown_in(s, SB_GGUF_SHOWN_NAME_BYTES);
}
#endif
