/* SPDX-License-Identifier: Apache-2.0
 * models.h - the models a server has: which there are, which are in memory, who uses them.
 *
 * Purpose     One place that loads, counts and unloads. A model that is asked for is loaded by one
 *             thread after its memory was planned; models nobody uses give way to it, and go after
 *             they were idle for a while.
 * Ids         A model is served under its name in the store, else under the stem of its file, else
 *             (two files of one stem) with "-2", "-3" ... at the end. Ids never change while the
 *             server runs.
 * Invariants  A model in use is never unloaded. At most SB_MAX_LOADED models are in memory; what
 *             they were planned to take never sums to more than max_mem.
 * Threads     Any. Steps of all models share the processors one at a time, in turns.
 * Ownership   A held model lives until it is given back.
 * Errors      SB_NOT_FOUND (no such model), SB_NO_MEMORY and SB_LIMIT (it does not fit: the message
 *             says by how much), SB_BUSY (all places are in use), and those of opening a model. */
#ifndef SB_SERVER_MODELS_H
#define SB_SERVER_MODELS_H
#include "chat/chat.h"

typedef struct sb_store sb_store;

typedef struct sb_models_opts {
    const sb_store *store;
    const char *const *given; /* [n] -m: names of the store or files; the first is the default */
    size_t n_given;
    sb_engine_opts engine; /* n_ctx, n_sessions 0: chosen for each model; n_rows 0: usual */
    int n_threads;
    uint64_t max_mem;      /* bytes; 0: what the machine has free */
    double idle_unload_s;  /* 0: models stay */
    int32_t max_queue;     /* of one model */
    int32_t batch_wait_ms; /* as in sb_chat_opts */
    sb_ledger *ledger;     /* of the one meter; NULL: no energy */
    sb_governor *governor; /* or NULL; the loader's from sb_models_start() on */
    int power_pct;         /* of the processors' time that steps may take, 1..100; 0: 100 */
    /* On the loader's thread, for logs; may be NULL. */
    void (*on_loaded)(void *ctx, const char *id, uint64_t load_ns, uint64_t bytes,
                      int32_t n_streams);
    void (*on_failed)(void *ctx, const char *id, const sb_error *err);
    /* Of its file of packed weights; on the thread of a step, too. */
    void (*on_note)(void *ctx, const char *line);
    void *ctx;
} sb_models_opts;

typedef struct sb_models sb_models;
typedef struct sb_held sb_held; /* a model in memory, held */

enum { SB_MODEL_ID_BYTES = 129, SB_MAX_LISTED_MODELS = 512 };

typedef enum sb_model_state {
    SB_MODEL_ABSENT, /* on disk only */
    SB_MODEL_LOADING,
    SB_MODEL_LOADED
} sb_model_state;

/* What is known of a model, for lists. Plain data. Unknown texts are "", numbers 0. */
typedef struct sb_model_info {
    char id[SB_MODEL_ID_BYTES];
    bool given; /* named on the command line */
    sb_model_state state;
    double load_part;      /* LOADING: 0..1 */
    uint64_t file_bytes;   /* on disk */
    uint64_t memory_bytes; /* LOADED: planned; else about */
    int64_t modified_s;
    char sha256[65], licence[129], source[129];
    char arch[33], format[17]; /* "llama", "Q4_K": from the catalogue or the file */
    uint64_t n_params;
    int32_t n_ctx, n_ctx_train; /* LOADED: of one stream; of the model */
    int32_t n_streams;          /* LOADED: answers at once */
    int32_t n_used;             /* holds */
    int64_t expires_s;          /* LOADED: when it goes if nobody comes, since 1970; 0: never */
} sb_model_info;

/* Checks that every model of the command line is there; starts no thread. */
sb_status sb_models_new(sb_models **out, const sb_models_opts *o, sb_error *err) SB_MUST_USE;
/* From here on models are loaded; the first of the command line at once. */
sb_status sb_models_start(sb_models *m, sb_error *err) SB_MUST_USE;
/* Ends all turns as cancelled; who waits is told SB_CANCELLED. Holds must be given back
 * before sb_models_free(). */
void sb_models_stop(sb_models *m);
void sb_models_free(sb_models *m);
/* The folders models are read from, for a sandbox: fn for each, escaped by nobody. */
void sb_models_dirs(sb_models *m, void (*fn)(void *ctx, const char *dir), void *ctx);

/* Is the first model still on its first way into memory? */
bool sb_models_is_starting(sb_models *m);

/* Writes at most cap, those of the command line first, then by name; returns how many there are.
 * Reads the store's folder. */
size_t sb_models_list(sb_models *m, sb_model_info *out, size_t cap);
/* One of them; name NULL or "": the first. False: there is none of that name. */
bool sb_models_find(sb_models *m, const char *name, sb_model_info *out);

/* Somebody who waits for a model; the caller's memory, until done or a successful
 * sb_models_leave(). */
typedef struct sb_waiter {
    struct sb_waiter *next;
    /* On the loader's thread, quick, calls nothing of the registry; may be NULL. */
    void (*loading)(struct sb_waiter *w, double part);
    /* Exactly one of h (to be given back by sb_held_release) and err. On the thread of
     * sb_models_want or on the loader's. */
    void (*done)(struct sb_waiter *w, sb_held *h, const sb_error *err);
    uint64_t load_ns; /* how long it took to load, for whom it was loaded */
    sb_held *at;      /* whom it waits for; the registry's */
} sb_waiter;

/* name NULL or "": the first model. strict: an unknown name is not found, else the only model of
 * the command line takes its place. */
void sb_models_want(sb_models *m, const char *name, bool strict, sb_waiter *w);
/* True: it no longer waits and done will not be called. False: done was, or is being, called. */
bool sb_models_leave(sb_models *m, sb_waiter *w);

/* Appends the path of a model's (first) file; SB_NOT_FOUND. For looking into it: nothing is loaded.
 * */
sb_status sb_models_path(sb_models *m, const char *name, sb_buf *out, sb_error *err) SB_MUST_USE;

/* Memory this process has touched; 0: the kernel does not say. */
uint64_t sb_resident_bytes(void);

/* A model nobody uses goes at once. */
void sb_models_let_go(sb_models *m, const char *name);

/* For each model in memory, under the lock: quick, and calls nothing of the registry. */
void sb_models_each(sb_models *m, void (*fn)(void *ctx, const char *id, sb_chat *chat), void *ctx);

const char *sb_held_id(const sb_held *h);
sb_chat *sb_held_chat(const sb_held *h);
/* keep_s: how long it stays in memory after its last use from now on: NAN as configured, negative
 * for ever, 0 not at all. */
void sb_held_release(sb_held *h, double keep_s);
#endif
