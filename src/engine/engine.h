/* SPDX-License-Identifier: Apache-2.0
 * engine.h - runs a model's plan for several sessions at once.
 *
 * Purpose     Packs the weights once, keeps each session's keys and values in pages, and computes
 *             steps: rows of any number of sessions together. What comes out for a token depends on
 *             the model, the options and the tokens before it; never on the batch, the threads, the
 *             chunk or the pages, to the last bit.
 * Invariants  Between steps every session holds n_pos positions. A failed step changes nothing.
 * Ownership   The engine borrows model and pool; sessions belong to the engine and must be closed
 *             before it. Logits and the record are the engine's, valid until the next step.
 * Threads     One caller at a time; the pool's threads are used inside.
 * Errors      SB_LIMIT (context full, too many rows), SB_NO_MEMORY, SB_INVALID, SB_CORRUPT (numbers
 *             that are not finite: "numeric error"), SB_IO (the model's file changed).
 * Cost        No allocation inside sb_engine_step(). */
#ifndef SB_ENGINE_H
#define SB_ENGINE_H
#include "base/base.h"
#include "base/pool.h"
#include "energy/record.h"
#include "engine/top.h"
#include "kernels/kernels.h"
#include "model/model.h"

typedef enum sb_precision { SB_FAST, SB_EXACT } sb_precision;

/* In options, keys and values as fits the model: float32 where all products of its layers are of
 * floats (its matrices are F32, F16 or BF16, or precision is exact), since then nothing else is
 * rounded; else bfloat16, whose error is far below that of the products. */
#define SB_KV_AUTO SB_KV_TYPE_COUNT

/* How matrices are kept; what is computed is the same to the last bit. PACKED: a copy in panels,
 * made once. MAPPED: no copy, each step reads the file's rows and packs them as it comes to them;
 * the file's pages are the kernel's to drop, so a step is slower and memory is nearly free. AUTO:
 * PACKED where it fits. */
typedef enum sb_weights { SB_WEIGHTS_AUTO, SB_WEIGHTS_PACKED, SB_WEIGHTS_MAPPED } sb_weights;

/* The packed copy of a model's weights in a file beside it, MODEL.packed (pack_cache.h). WRITE
 * makes one when there is none that fits. */
typedef enum sb_cache_use { SB_CACHE_NONE, SB_CACHE_READ, SB_CACHE_WRITE } sb_cache_use;

typedef struct sb_engine_opts {
    sb_precision precision; /* exact: float32 on unpacked weights */
    sb_kv_type kv;          /* or SB_KV_AUTO */
    sb_weights weights;
    uint64_t memory_bytes; /* for AUTO: what the engine may take; 0: nine tenths of what the
                              machine, or this process's group, has free */
    sb_level cap;          /* strongest kernel level to use */
    int n_decode_threads;  /* for steps that only decode, 0: all; fewer take longer, with less CPU
                              time */
    bool no_guess;         /* sched.h: no token is computed before it is drawn */
    int32_t n_ctx;         /* positions one session may hold, 1..SB_MAX_CTX */
    int32_t n_sessions;    /* open at once, 1..SB_MAX_SESSIONS */
    int32_t n_rows;        /* rows of one step, 1..SB_MAX_BATCH_ROWS */
    /* Keys and values of all sessions and of cached prefixes; 0: n_sessions full ones. At least one
     * full session; with less than all of them a step may find no page (SB_NO_MEMORY) unless
     * sched.h decides who runs. cache_bytes comes on top. */
    size_t kv_bytes, cache_bytes;
    /* While weights are packed, on the caller's thread: bytes done of all; returning false gives up
     * (SB_CANCELLED). May be NULL. */
    bool (*on_pack)(void *ctx, uint64_t done_bytes, uint64_t all_bytes);
    void *pack_ctx;
    sb_cache_use cache;
    /* What was recorded of the model when it was pulled, or NULL: the file of another record is not
     * used. Borrowed by sb_engine_new(). */
    const char *pulled_as;
    uint64_t cache_max_bytes; /* of that file; 0: SB_MAX_PACK_CACHE_MB */
    /* One line for people: a file that is not used, was damaged, or was not written. On the thread
     * that makes the engine or the step. May be NULL. */
    void (*on_note)(void *ctx, const char *line);
    void *note_ctx;
} sb_engine_opts;

typedef struct sb_engine sb_engine;
typedef struct sb_session sb_session;

/* What a model with these options takes, computed by the code that allocates it. */
typedef struct sb_memory_plan {
    uint64_t packed_bytes; /* weights in panels (none when MAPPED; AUTO is planned as PACKED) */
    uint64_t kv_bytes;     /* keys and values of all sessions, full */
    sb_kv_type kv;         /* what they are kept as */
    uint64_t work_bytes;   /* activations and tables */
    uint64_t logits_bytes; /* address space; only rows asked for are touched */
} sb_memory_plan;
sb_status sb_engine_plan_memory(const sb_model *m, const sb_engine_opts *o, int n_threads,
                                sb_memory_plan *out, sb_error *err) SB_MUST_USE;

sb_status sb_engine_new(sb_engine **out, const sb_model *m, sb_pool *pool, const sb_engine_opts *o,
                        sb_error *err) SB_MUST_USE;
void sb_engine_free(sb_engine *e);
sb_level sb_engine_level(const sb_engine *e);
/* What keys and values are kept as; never SB_KV_AUTO. */
sb_kv_type sb_engine_kv(const sb_engine *e);
/* What n_decode_threads says from the next step on, for steps of at most max_rows rows (0: any);
 * between steps. */
void sb_engine_set_decode_threads(sb_engine *e, int n, int32_t max_rows);
/* What steps do bit by bit, at once: the weights on huge pages (pages.h); between steps. */
void sb_engine_join_pages(sb_engine *e);
/* Of its pool. */
int sb_engine_n_threads(const sb_engine *e);
const sb_model *sb_engine_model(const sb_engine *e);
/* True when the weights are not packed. */
bool sb_engine_is_mapped(const sb_engine *e);
/* True when they come from the file of packed weights. */
bool sb_engine_has_cache(const sb_engine *e);

/* owner: who pays for the session's work (not 0). */
sb_status sb_session_open(sb_session **out, sb_engine *e, uint64_t owner,
                          sb_error *err) SB_MUST_USE;
void sb_session_close(sb_session *s);
/* Who pays from the next step on. */
void sb_session_set_owner(sb_session *s, uint64_t owner);
int32_t sb_session_n_pos(const sb_session *s);
int32_t sb_session_room(const sb_session *s); /* positions left */
/* Forgets the positions from n_pos on; what is fed next gives the same numbers as in a fresh
 * session, to the last bit. Sliding-window layers keep only the pages of 64 positions that reached
 * into their window when the last step began: going back to where part of the window before n_pos
 * is gone fails with SB_INVALID and changes nothing. Back to 0 always works. */
sb_status sb_session_rewind(sb_session *s, int32_t n_pos, sb_error *err) SB_MUST_USE;

typedef enum sb_want { SB_WANT_NONE, SB_WANT_LAST, SB_WANT_ALL } sb_want;

/* n tokens appended to one session in a step; each session at most once a step. */
typedef struct sb_span {
    sb_session *s;
    const int32_t *ids;
    int32_t n;
    sb_want want;
    int32_t n_top;   /* of wanted rows only that many largest logits, 1..SB_TOP_MOST; 0: all */
    bool is_decode;  /* for the record: generated rather than prompt tokens */
    int32_t n_again; /* for the record: the first of them, computed once before */
    int32_t n_guess; /* for the record: the last of them, which may prove wrong */
} sb_span;

sb_status sb_engine_step(sb_engine *e, const sb_span *spans, int32_t n_spans,
                         sb_error *err) SB_MUST_USE;
/* Logits of row i of span i_span (0 for SB_WANT_LAST), n_vocab floats; NULL when not all of them
 * are wanted. */
const float *sb_engine_logits(const sb_engine *e, int32_t i_span, int32_t i);
/* The largest of them, for a span with n_top: in order, n_vocab of them when that is less. */
const sb_top *sb_engine_top(const sb_engine *e, int32_t i_span, int32_t i);
const sb_work_record *sb_engine_record(const sb_engine *e);
#endif
