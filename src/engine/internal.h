/* SPDX-License-Identifier: Apache-2.0
 * internal.h - the engine's own structures, shared by this room's files only. */
#ifndef SB_ENGINE_INTERNAL_H
#define SB_ENGINE_INTERNAL_H
#include "base/arena.h"
#include "engine/engine.h"
#include "engine/pages.h"

#include <stdatomic.h>

/* A weight as the kernels read it: panels of a matrix, or the float32 values of a vector. */
typedef struct sb_packed {
    unsigned char *panels; /* NULL when MAPPED; read only when from a cache */
    size_t panel_bytes;
    int32_t n_panel;
    sb_format format; /* of the panels */
    bool is_matrix;   /* used by a product */
    const float *vec;
} sb_packed;

typedef struct sb_pack_cache sb_pack_cache;
typedef struct sb_bench sb_bench; /* weights.h */

/* A buffer of the plan: float32 rows, and beside them rows as a product reads them. */
typedef struct sb_rows {
    float *f;
    size_t stride;      /* floats */
    unsigned char *act; /* A8 */
    size_t act_stride;  /* bytes */
} sb_rows;

typedef enum sb_job_kind { SB_JOB_ROWS, SB_JOB_MATMUL, SB_JOB_ATTEND, SB_JOB_HEAD } sb_job_kind;

/* Work between two barriers. ROWS: the steps [first, first + n) of each row by one thread, then the
 * row's keys and values for the ATTEND step `store`, then buffer q_buf as products read it. */
typedef struct sb_job {
    sb_job_kind kind;
    int32_t first, n;
    int32_t store; /* ATTEND step or -1 */
    int32_t q_buf; /* buffer to quantise or -1 */
    bool for_head; /* only rows that want logits, into the head's rows */
    int32_t then;  /* MATMUL, HEAD: the next such job; of the last one the first */
} sb_job;

/* Layers that keep the same part of the past share pages. A page is held by any number of sessions
 * and by at most one node of the prefix tree; a page with more than one holder is read only. */
typedef struct sb_kv_group {
    int32_t window;   /* 0 = all positions */
    int32_t n_blocks; /* page table entries of one session */
    int32_t n_worst;  /* pages that one session may hold */
    int32_t n_pages;  /* pages of all sessions and of the tree */
    size_t page_bytes;
    unsigned char *base;
    size_t bytes;
    int32_t *free_ids; /* stack of free pages */
    int32_t n_free;
    int32_t *n_holders; /* [n_pages] */
    int32_t *node;      /* [n_pages] of the tree, or -1 */
    int32_t n_tree;     /* pages that the tree alone holds */
} sb_kv_group;

enum { SB_MAX_KV_GROUPS = 4, SB_SPLIT_UNITS = 8 };

/* Where one attention's pages lie. */
typedef struct sb_kv_place {
    int32_t group;
    size_t offset;     /* of its first head in a page of the group */
    size_t head_bytes; /* keys then values of one head */
    size_t v_offset;   /* of the values inside a head */
} sb_kv_place;

struct sb_session {
    sb_engine *e;
    uint64_t owner;
    int32_t n_pos;
    int32_t *pages[SB_MAX_KV_GROUPS]; /* [n_blocks]: page id or -1 */
    int32_t first[SB_MAX_KV_GROUPS];  /* first block still held */
    bool in_step;
};

/* A run of rows of one span, attended together. */
typedef struct sb_tile {
    int32_t span, row0, n;
} sb_tile;

/* The step in flight; arrays are sized for n_rows. */
typedef struct sb_batch {
    sb_span *spans; /* [n_rows] a copy: logits outlive the caller's array */
    int32_t n_spans, n_rows, n_logits, n_tiles;
    int32_t *n_top;  /* [n_logits] largest that are wanted of the row, 0: all */
    int32_t n_whole; /* rows with 0 */
    int32_t *token, *pos, *span_of, *logit_row;             /* [n_rows] */
    int32_t *span_row0;                                     /* [n_rows] first row of each span */
    sb_tile *tiles;                                         /* [n_rows] */
    float *cos[SB_PLAN_MAX_ROPES], *sin[SB_PLAN_MAX_ROPES]; /* [n_rows][n_pair] */
} sb_batch;

struct sb_engine {
    const sb_model *model;
    sb_pool *pool;
    sb_engine_opts opts;
    sb_kernels kern;
    int n_threads; /* of the pool */
    int n_few;     /* of them, for steps that only decode, few_rows at most */
    int32_t few_rows;
    int n_now;         /* of them, that compute this step */
    sb_packed *packed; /* [n_weights] */
    sb_job *jobs;
    int32_t n_jobs;
    sb_rows rows[SB_PLAN_MAX_BUFS];
    unsigned char *head_act; /* rows of the head's input */
    size_t head_stride;
    sb_act head_kind;
    float *logits; /* of rows wanted whole */
    size_t logits_stride, logits_bytes;
    float **head_y; /* [n_threads] some panels of logits */
    sb_top *tops;   /* [n_threads][n_rows] found by each; joined in those of thread 0 */
    int32_t n_groups, split_segments;
    sb_kv_group groups[SB_MAX_KV_GROUPS];
    sb_kv_place *places; /* [plan.n_kvs] */
    int32_t tile_rows;   /* tokens of one attention tile */
    float **scratch;     /* [n_threads] attention scratch */
    size_t scratch_floats;
    /* Attention that is cut into parts: [SB_SPLIT_UNITS][split_segments] states of split_floats,
     * and of each tile and KV head the parts that are done. */
    float *split;
    size_t split_floats;
    atomic_int *split_done; /* [SB_SPLIT_UNITS] 0 between jobs */
    uint64_t *own_ns;       /* [n_threads][n_rows] time per span */
    sb_batch batch;
    atomic_int *next;      /* [n_jobs][n_threads + 1] pieces taken of each share, pieces done */
    atomic_bool broken;    /* a logit of this step is not finite */
    atomic_bool unread;    /* the file did not give rows that this step needed */
    bool mapped;           /* weights are not packed */
    sb_pack_cache *cache;  /* where the panels are when they come from a file, or NULL */
    uint64_t matrix_bytes; /* of all panels */
    sb_bench *benches;     /* [n_threads] when mapped */
    size_t bench_bytes;    /* of a bench's panels */
    sb_arena panels, work;
    sb_pages pages;           /* the panels' */
    struct sb_prefix *prefix; /* asked for pages when none is free, or NULL */
    int32_t n_open;
    sb_work_part *parts;
    int32_t *head_parts; /* those that read the head's weights */
    sb_work_shared head_work;
    sb_work_record record;
    uint64_t ops_per_row, head_ops, head_bytes, body_bytes;
};

/* jobs.c: cuts the plan into jobs. */
sb_status sb_engine_make_jobs(sb_engine *e, sb_error *err) SB_MUST_USE;

/* session.c: back to position 0. */
void sb_session_reset(sb_session *s);

/* kv.c */
sb_status sb_kv_plan(sb_engine *e, sb_error *err) SB_MUST_USE;
sb_status sb_kv_open(sb_engine *e, sb_error *err) SB_MUST_USE;
void sb_kv_close(sb_engine *e);
/* Gives back the pages that no later query can see, and makes those for positions
 * [n_pos, n_pos + n); on failure makes none. A last page that others hold, too, is copied. */
sb_status sb_kv_acquire(sb_session *s, int32_t n, sb_error *err) SB_MUST_USE;
/* Gives back the pages of the blocks that begin at n_pos or later. */
void sb_kv_drop_from(sb_session *s, int32_t n_pos);
/* One session more, or less, holds a page; the tree does, or does no more. */
void sb_kv_hold(sb_kv_group *g, int32_t page);
void sb_kv_release(sb_kv_group *g, int32_t page);
void sb_kv_tree_hold(sb_kv_group *g, int32_t page, int32_t node);
void sb_kv_tree_release(sb_kv_group *g, int32_t page);
/* Bytes of keys and values that n rows from position n_pos on read. */
uint64_t sb_kv_bytes_read(const sb_engine *e, int32_t n_pos, int32_t n);
/* The keys of position block `block` for attention kv and a head; NULL when not held. */
unsigned char *sb_kv_page(const sb_session *s, int32_t kv, int32_t head, int32_t block);

/* Panels [first, first + n) of one weight for n_row rows, into y, with its bias. */
typedef struct sb_product {
    const unsigned char *x, *next; /* next: as in sb_mm */
    size_t x_stride;
    float *y; /* of panel `first` */
    size_t y_stride;
    int32_t n_row, first, n;
    sb_act act;
} sb_product;

void sb_engine_exec(sb_engine *e); /* exec.c: runs e->batch on the pool */
void sb_engine_product(sb_engine *e, int32_t w, int32_t bias, const sb_product *d, int i_thread);
/* Columns [k0, k0 + n) of row r of the job's buffer, in the kinds the job asks for. */
void sb_engine_quantise(const sb_engine *e, const sb_job *j, int32_t r, int64_t k0, int64_t n);
/* output_head.c: panels [first, first + n) of the logits, whole or the largest of them. Lists are
 * cleared before a step and joined behind it. */
size_t sb_engine_head_floats(const sb_engine *e);
void sb_engine_head(sb_engine *e, const sb_job *j, int32_t first, int32_t n, int i_thread);
void sb_engine_clear_tops(sb_engine *e);
void sb_engine_join_tops(sb_engine *e);
/* attend.c: one tile of one KV head, or one of the parts it is cut into; pieces are numbered tile
 * by tile, head by head, part by part. Parts depend on the step alone; the bits not on parts. */
int32_t sb_engine_attend_parts(const sb_engine *e, const sb_step *s);
size_t sb_engine_split_floats(int32_t group, int32_t head_dim);
void sb_engine_attend(sb_engine *e, const sb_job *j, int32_t piece, int32_t n_parts, int i_thread);
#endif
