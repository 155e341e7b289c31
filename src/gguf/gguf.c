/* SPDX-License-Identifier: Apache-2.0
 * gguf.c - opening a model: one file, or the shards of a split set, and finding things in it.
 *
 * Shard 1 holds the metadata; the others are found beside it by its own name, read by the same
 * parser, and must agree with it about the set they belong to. */
#include "gguf/internal.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert(offsetof(sb_gguf_kv, key) == 0, "the name index reads the name first");
_Static_assert(offsetof(sb_gguf_tensor, name) == 0, "the name index reads the name first");

enum { SUFFIX_BYTES = 20 }; /* of "-00001-of-00003.gguf" */

static sb_str str_of(const char *s)
{
    return (sb_str){.p = s, .n = strlen(s)};
}

static bool same(sb_str a, sb_str b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

sb_status sb_gguf_name_file(const sb_gguf *g, int32_t i_shard, sb_status code, sb_error *err)
{
    const char *path = g->shards[i_shard].path;
    const char *slash = strrchr(path, '/');
    if (strlen(path) >= SB_GGUF_SHOWN_PATH_BYTES && slash) path = slash + 1;
    char shown[SB_GGUF_SHOWN_PATH_BYTES];
    sb_path_escape(shown, sizeof(shown), path);
    return sb_error_prefix(err, code, "%s", shown);
}

const sb_gguf_kv *sb_gguf_shard_find(const sb_gguf_shard *s, const char *key)
{
    const size_t i = sb_name_index_find(&s->kv_index, s->kv, sizeof(*s->kv), str_of(key));
    return i == SIZE_MAX ? NULL : &s->kv[i];
}

/* Parses the last shard, whose map is open. */
static sb_status parse_last(sb_gguf *g, sb_error *err)
{
    const int32_t i = g->n_shards - 1;
    const sb_status status = sb_gguf_parse_shard(g, i, err);
    return status == SB_OK ? SB_OK : sb_gguf_name_file(g, i, status, err);
}

/* Opens and parses one file as the next shard; takes path over. */
static sb_status add_shard(sb_gguf *g, char *path, sb_error *err)
{
    sb_gguf_shard *s = &g->shards[g->n_shards++];
    *s = (sb_gguf_shard){.path = path};
    SB_TRY(sb_map_open(&s->map, path, err));
    return parse_last(g, err);
}

/* Reads "-%05d-of-%05d.gguf" at the end of path; strictly digits. */
static bool parse_suffix(const char *path, int64_t *no, int64_t *count)
{
    static const char shape[] = "-ddddd-of-ddddd.gguf";
    const size_t n = strlen(path);
    if (n < SUFFIX_BYTES) return false;
    const char *s = path + n - SUFFIX_BYTES;
    int64_t v[2] = {0, 0};
    for (size_t i = 0; i < SUFFIX_BYTES; i++) {
        const bool digit = s[i] >= '0' && s[i] <= '9';
        if (shape[i] == 'd' ? !digit : shape[i] != s[i]) return false;
        if (digit) v[i > 9] = 10 * v[i > 9] + (s[i] - '0');
    }
    *no = v[0];
    *count = v[1];
    return true;
}

/* Path of shard i (0-based) beside `first`, whose name carries the suffix; NULL without memory. */
static char *shard_path(const char *first, int64_t i, int64_t count)
{
    const size_t n = strlen(first) - SUFFIX_BYTES;
    char *path = sb_alloc(n + SUFFIX_BYTES + 1, 1);
    if (!path) return NULL;
    memcpy(path, first, n);
    (void)snprintf(path + n, SUFFIX_BYTES + 1, "-%05d-of-%05d.gguf", (int)(i + 1), (int)count);
    return path;
}

/* Later shards carry split.* and their own alignment; anything else must repeat shard 1's word. */
static sb_status check_belongs(const sb_gguf *g, int32_t i_shard, sb_error *err)
{
    const sb_gguf_shard *first = &g->shards[0], *s = &g->shards[i_shard];
    for (size_t i = 0; i < s->n_kv; i++) {
        const sb_gguf_kv *kv = &s->kv[i];
        if (kv->key.n > 6 && memcmp(kv->key.p, "split.", 6) == 0) continue;
        if (same(kv->key, str_of("general.alignment"))) continue;
        const size_t at =
            sb_name_index_find(&first->kv_index, first->kv, sizeof(*first->kv), kv->key);
        const sb_gguf_kv *ours = at == SIZE_MAX ? NULL : &first->kv[at];
        const bool agrees = ours && ours->type == kv->type && ours->elem == kv->elem &&
                            ours->bytes == kv->bytes &&
                            memcmp(ours->data, kv->data, (size_t)kv->bytes) == 0;
        if (agrees) continue;
        return SB_FAIL(err, SB_CORRUPT,
                       "byte %" PRIu64 ": key '%.*s': differs from shard 1: another model",
                       kv->offset, sb_gguf_shown(kv->key), kv->key.p);
    }
    return SB_OK;
}

/* split.no, split.count and split.tensors.count of a shard against the set's. */
static sb_status check_split(const sb_gguf *g, int32_t i_shard, int64_t n_shards, int64_t n_tensors,
                             sb_error *err)
{
    const sb_gguf_shard *s = &g->shards[i_shard];
    const sb_gguf_int rows[] = {
        {.key = "split.no", .lo = i_shard, .hi = i_shard, .required = true},
        {.key = "split.count", .lo = n_shards, .hi = n_shards, .required = true},
        {.key = "split.tensors.count", .lo = n_tensors, .hi = n_tensors, .dflt = n_tensors},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        int64_t v;
        SB_TRY(sb_gguf_shard_int(s, &rows[i], &v, err));
    }
    return i_shard > 0 ? check_belongs(g, i_shard, err) : SB_OK;
}

/* The name of shard 1 must say what its keys say, for the others are found by it. */
static sb_status check_first_name(const sb_gguf *g, int64_t no, int64_t n_shards, sb_error *err)
{
    int64_t name_no = 0, name_count = 0;
    const bool named = parse_suffix(g->shards[0].path, &name_no, &name_count);
    if (no != 0) {
        return SB_FAIL(err, SB_INVALID,
                       "split.no: this is shard %" PRId64 " of %" PRId64 "; open the first one",
                       no + 1, n_shards);
    }
    if (!named || name_no != 1 || name_count != n_shards) {
        return SB_FAIL(err, SB_INVALID,
                       "split.count: %" PRId64 ": the name must end in -00001-of-%05" PRId64
                       ".gguf",
                       n_shards, n_shards);
    }
    return SB_OK;
}

/* What shard 1 says about the set. *n_shards is 1 for a file of its own. */
static sb_status read_split(const sb_gguf *g, int64_t *n_shards, int64_t *n_tensors, sb_error *err)
{
    const sb_gguf_int count = {.key = "split.count", .lo = 1, .hi = SB_MAX_SHARDS, .dflt = 1};
    SB_TRY(sb_gguf_shard_int(&g->shards[0], &count, n_shards, err));
    if (*n_shards == 1) return SB_OK;
    const sb_gguf_int no = {.key = "split.no", .lo = 0, .hi = *n_shards - 1, .required = true};
    const sb_gguf_int total = {
        .key = "split.tensors.count", .lo = 0, .hi = SB_MAX_TENSORS, .required = true};
    int64_t i = 0;
    SB_TRY(sb_gguf_shard_int(&g->shards[0], &no, &i, err));
    SB_TRY(sb_gguf_shard_int(&g->shards[0], &total, n_tensors, err));
    return check_first_name(g, i, *n_shards, err);
}

static void drop_metadata(sb_gguf_shard *s)
{
    sb_name_index_deinit(&s->kv_index);
    sb_free(s->kv);
    s->kv = NULL;
    s->n_kv = 0;
}

/* Shards 2 and up. Their metadata is dropped once compared: a set costs no more than a file. */
static sb_status open_others(sb_gguf *g, int64_t n_shards, int64_t n_tensors, sb_error *err)
{
    sb_gguf_shard *all = sb_realloc(g->shards, (size_t)n_shards, sizeof(*all));
    if (!all) {
        const sb_status s = SB_FAIL(err, SB_NO_MEMORY, "table of %" PRId64 " shards", n_shards);
        return sb_gguf_name_file(g, 0, s, err);
    }
    g->shards = all;
    for (int64_t i = 1; i < n_shards; i++) {
        char *path = shard_path(all[0].path, i, n_shards);
        if (!path) {
            const sb_status s = SB_FAIL(err, SB_NO_MEMORY, "path of shard %" PRId64, i + 1);
            return sb_gguf_name_file(g, 0, s, err);
        }
        SB_TRY(add_shard(g, path, err));
        const sb_status s = check_split(g, (int32_t)i, n_shards, n_tensors, err);
        if (s != SB_OK) return sb_gguf_name_file(g, (int32_t)i, s, err);
        drop_metadata(&g->shards[i]);
    }
    if ((int64_t)g->n_tensors != n_tensors) {
        const sb_status s =
            SB_FAIL(err, SB_CORRUPT, "split.tensors.count: %" PRId64 " (the shards hold %zu)",
                    n_tensors, g->n_tensors);
        return sb_gguf_name_file(g, 0, s, err);
    }
    return SB_OK;
}

static sb_status index_tensors(sb_gguf *g, sb_error *err)
{
    const sb_status made = sb_name_index_init(&g->tensor_index, g->n_tensors, err);
    if (made != SB_OK) return sb_gguf_name_file(g, 0, made, err);
    for (size_t i = 0; i < g->n_tensors; i++) {
        const sb_gguf_tensor *t = &g->tensors[i];
        if (sb_name_index_add(&g->tensor_index, g->tensors, sizeof(*t), i) == i) continue;
        const unsigned char *name = (const unsigned char *)t->name.p;
        const uint64_t at = (uint64_t)(name - g->shards[t->i_shard].map.p);
        const sb_status s = SB_FAIL(err, SB_CORRUPT, "byte %" PRIu64 ": tensor '%.*s': given twice",
                                    at, sb_gguf_shown(t->name), t->name.p);
        return sb_gguf_name_file(g, t->i_shard, s, err);
    }
    return SB_OK;
}

/* All that follows the first shard. */
static sb_status open_rest(sb_gguf *g, sb_error *err)
{
    int64_t n_shards = 1, n_tensors = 0;
    const sb_status s = read_split(g, &n_shards, &n_tensors, err);
    if (s != SB_OK) return sb_gguf_name_file(g, 0, s, err);
    if (n_shards > 1) SB_TRY(open_others(g, n_shards, n_tensors, err));
    return index_tensors(g, err);
}

/* An empty model with room for one shard, whose path is a copy of `path`; NULL without memory. */
static sb_gguf *new_model(const char *path, sb_error *err)
{
    sb_gguf *g = sb_calloc(1, sizeof(*g));
    sb_gguf_shard *shards = sb_calloc(1, sizeof(*shards));
    char *own = sb_strdup_n(path, strlen(path));
    if (!g || !shards || !own) {
        sb_free(own);
        sb_free(shards);
        sb_free(g);
        (void)SB_FAIL(err, SB_NO_MEMORY, "%.80s: no memory to open it", path);
        return NULL;
    }
    shards->path = own;
    g->shards = shards;
    g->n_shards = 1;
    return g;
}

sb_status sb_gguf_check(const sb_gguf *g, sb_error *err)
{
    for (int32_t i = 0; i < g->n_shards; i++)
        SB_TRY(sb_map_check(&g->shards[i].map, g->shards[i].path, err));
    return SB_OK;
}

/* Ends an opening: hands the model out, or undoes it. What was read of a file that changed
 * meanwhile says nothing about the file. */
static sb_status finish_open(sb_gguf **out, sb_gguf *g, sb_status s, sb_error *err)
{
    const sb_status changed = sb_gguf_check(g, s == SB_NO_MEMORY ? NULL : err);
    if (s != SB_NO_MEMORY && changed != SB_OK) s = changed;
    if (s != SB_OK) {
        sb_gguf_close(g);
        return s;
    }
    *out = g;
    return SB_OK;
}

sb_status sb_gguf_open(sb_gguf **out, const char *path, sb_error *err)
{
    sb_gguf *g = new_model(path, err);
    if (!g) return SB_NO_MEMORY;
    sb_status s = sb_map_open(&g->shards[0].map, path, err);
    if (s == SB_OK) s = parse_last(g, err);
    if (s == SB_OK) s = open_rest(g, err);
    return finish_open(out, g, s, err);
}

sb_status sb_gguf_open_bytes(sb_gguf **out, const unsigned char *p, size_t n, sb_error *err)
{
    sb_gguf *g = new_model("memory", err);
    if (!g) return SB_NO_MEMORY;
    g->shards[0].map = (sb_map){.p = p, .bytes = n, .fd = -1};
    g->shards[0].borrowed = true;
    sb_status s = parse_last(g, err);
    if (s == SB_OK) s = open_rest(g, err);
    return finish_open(out, g, s, err);
}

void sb_gguf_close(sb_gguf *g)
{
    if (!g) return;
    for (int32_t i = 0; i < g->n_shards; i++) {
        sb_gguf_shard *s = &g->shards[i];
        if (!s->borrowed) sb_map_close(&s->map);
        drop_metadata(s);
        sb_free(s->path);
    }
    sb_name_index_deinit(&g->tensor_index);
    sb_free(g->tensors);
    sb_free(g->shards);
    sb_free(g);
}

uint32_t sb_gguf_version(const sb_gguf *g)
{
    return g->shards[0].version;
}

int32_t sb_gguf_n_shards(const sb_gguf *g)
{
    return g->n_shards;
}

const sb_map *sb_gguf_map(const sb_gguf *g, int32_t i_shard)
{
    return &g->shards[i_shard].map;
}

const char *sb_gguf_path(const sb_gguf *g, int32_t i_shard)
{
    return g->shards[i_shard].path;
}

uint64_t sb_gguf_trailing_bytes(const sb_gguf *g)
{
    uint64_t n = 0;
    for (int32_t i = 0; i < g->n_shards; i++) {
        n += g->shards[i].trailing;
    }
    return n;
}

size_t sb_gguf_n_kv(const sb_gguf *g)
{
    return g->shards[0].n_kv;
}

const sb_gguf_kv *sb_gguf_kv_get(const sb_gguf *g, size_t i)
{
    return &g->shards[0].kv[i];
}

const sb_gguf_kv *sb_gguf_kv_find(const sb_gguf *g, const char *key)
{
    return sb_gguf_shard_find(&g->shards[0], key);
}

size_t sb_gguf_n_tensors(const sb_gguf *g)
{
    return g->n_tensors;
}

const sb_gguf_tensor *sb_gguf_tensor_get(const sb_gguf *g, size_t i)
{
    return &g->tensors[i];
}

const sb_gguf_tensor *sb_gguf_tensor_find(const sb_gguf *g, const char *name)
{
    const size_t i =
        sb_name_index_find(&g->tensor_index, g->tensors, sizeof(*g->tensors), str_of(name));
    return i == SIZE_MAX ? NULL : &g->tensors[i];
}
