/* SPDX-License-Identifier: Apache-2.0
 * pack_head.h - the head of a file of packed weights; for pack_cache.c and pack_cache_write.c. */
#ifndef SB_ENGINE_PACK_HEAD_H
#define SB_ENGINE_PACK_HEAD_H
#include "engine/internal.h"

enum {
    SB_PACK_PAGE = 4096,
    SB_PACK_VERSION = 1, /* of this format */
    SB_PACK_LAYOUT = 1   /* of panels: changes when a byte table of kernels/pack.c does */
};

typedef struct pack_head {
    char magic[8];
    uint32_t version, layout;
    uint32_t n_shards, n_weights;
    uint64_t n_runs;
    uint64_t head_bytes, bytes; /* of the head, whole pages; of the file */
    uint64_t pulled_as;         /* checksum of what was recorded, or 0 */
    uint64_t sum;               /* of the head with this as 0 */
} pack_head;

typedef struct pack_shard {
    uint64_t bytes, mtime_ns, ino, dev;
} pack_shard;

/* A weight that is no matrix is all zero. */
typedef struct pack_weight {
    int64_t k, n_row;
    uint64_t offset;      /* in its file of the model */
    uint64_t panel_bytes; /* of one panel */
    uint64_t at;          /* of the first panel, in this file */
    uint64_t first_run;
    uint32_t shard, format, n_panel;
    uint32_t run_panels; /* panels of each run but perhaps the last */
} pack_weight;

/* A head in memory: one block, of h->head_bytes bytes. */
typedef struct sb_pack_head {
    pack_head *h;
    const pack_weight *weights;
    uint64_t *sums; /* [n_runs] */
} sb_pack_head;

/* The head that a file of this engine's panels has, its sums 0. False without memory, or when it
 * would be too large to count. */
bool sb_pack_head_make(const sb_engine *e, sb_pack_head *out);
void sb_pack_head_free(sb_pack_head *h);
uint64_t sb_pack_head_sum(const pack_head *h);
uint64_t sb_pack_n_runs(const pack_weight *w);
/* Panels [first, end) of run `run`. */
void sb_pack_run_panels(const pack_weight *w, uint64_t run, int32_t *first, int32_t *end);
/* MODEL.packed into out; false when that is too long. */
bool sb_pack_cache_path(const sb_engine *e, const char *suffix, char *out, size_t n);
/* A line for people about the file; fmt begins with "%s", where its name will stand. */
void sb_pack_cache_note(const sb_engine *e, const char *fmt, ...);
#endif
