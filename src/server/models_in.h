/* SPDX-License-Identifier: Apache-2.0
 * models_in.h - the registry's own structures, shared by models*.c only.
 *
 * Locks       `lock` guards every field of registry and entries but those said to be the loader's.
 *             `done` of a waiter is never called under it; `loading` is. */
#ifndef SB_SERVER_MODELS_IN_H
#define SB_SERVER_MODELS_IN_H
#include "chat/live.h"
#include "server/models.h"
#include "server/turnstile.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SB_MAX_LOADED = 8, SB_MAX_KNOWN_MODELS = 1024 };

struct sb_held {
    sb_models *m;
    char id[SB_MODEL_ID_BYTES];
    char *what;  /* name in the store, or path */
    bool given;  /* of the command line */
    bool failed; /* the last load did */
    sb_model_state state;
    double part; /* of the load */
    int32_t n_held;
    sb_waiter *first, *last; /* who waits */
    sb_chat *chat;           /* LOADED */
    sb_pool *pool;
    uint64_t planned_bytes, load_ns;
    uint64_t used_ns; /* when it was last given back */
    double keep_s;    /* after that; negative: for ever */
    /* Known once it was loaded, else empty. */
    char arch[33], format[17];
    uint64_t n_params;
    int32_t n_ctx, n_ctx_train, n_streams;
    uint64_t told_ns; /* the loader's: when waiters last heard */
};

struct sb_models {
    sb_models_opts o;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* wakes the loader; on the monotonic clock */
    pthread_t loader;
    bool has_loader, starting;
    atomic_bool ending;
    sb_held *entries[SB_MAX_KNOWN_MODELS]; /* never removed while it lives */
    size_t n_entries;
    uint64_t sum_planned; /* of all in memory */
    int n_loaded;
    sb_turnstile turnstile;
    sb_rest rest; /* of all models together */
};

/* models_load.c: the loader's thread. */
void *sb_models_load_loop(void *registry);
/* Closes what an entry took; outside the lock. */
void sb_models_close_chat(sb_chat *chat, sb_pool *pool);
/* models.c: hands the model, or the error, to everyone who waits for e; outside the lock. */
void sb_models_tell(sb_held *e, const sb_error *err);
/* The same for its progress. */
void sb_models_tell_part(sb_held *e, double part);
/* The entry of a name (sb_models_want), or NULL; under the lock. */
sb_held *sb_models_entry(sb_models *m, const char *name, bool strict);
#endif
