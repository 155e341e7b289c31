/* SPDX-License-Identifier: Apache-2.0
 * run.h - an ask on its way through a model, told to a sink.
 *
 * Purpose     What the routes of the API and the page have in common: find the model (loading it
 *             when it is not there), wait for a place, run every choice of the ask, tell what
 *             happens. A route's sink is a dialect's voice on an exchange; the page's is a row of
 *             the database and whoever looks at it. A run does not know who listens, and goes on
 *             when nobody does until somebody cancels it.
 * Invariants  The sink's functions come one at a time: loading*, then (begin, progress*, event*,
 *             choice*, end) or fail. fail may come at any point, also instead of begin. Exactly one
 *             of end and fail comes, last.
 * Threads     sb_run_begin, _cancel, _pause, _place, _hold and _release: any thread, also inside
 *             the sink. The sink's functions run on a worker of the server or on the model's
 *             stepper and must be quick; only end and fail, which run on a worker, may wait for the
 *             disk.
 * Ownership   The run owns the ask from sb_run_begin() on, also when that fails. It holds the model
 *             until `end` or `fail` has returned. Texts in facts and events live until the return.
 *             A run is counted: the caller's hold ends with sb_run_release().
 * Errors      sb_run_begin: SB_NO_MEMORY, and then no function of the sink is called. All else is
 *             told to `fail`, with the HTTP status a client should get. */
#ifndef SB_SERVER_RUN_H
#define SB_SERVER_RUN_H
#include "server/serve.h"
#include "server/wire/wire.h"

typedef struct sb_run sb_run;

/* All but end and fail may be NULL. */
typedef struct sb_run_sink {
    /* The model is on its way into memory: 0..1. At least once if it was not there. */
    void (*loading)(void *ctx, double part);
    /* The model is there and the choices are in its queue. What f points to and the ask live until
     * end or fail has returned. */
    void (*begin)(void *ctx, const sb_voice_facts *f, const sb_ask *ask);
    void (*progress)(void *ctx, int32_t i_choice, int32_t n_cached, int32_t n_done, int32_t n_all);
    /* False cancels the run. t: the choice so far. */
    bool (*event)(void *ctx, int32_t i_choice, const sb_output_event *e, const sb_turn *t);
    /* A choice is over; also one that was cancelled (t->finish says so). */
    void (*choice)(void *ctx, int32_t i_choice, const sb_turn *t);
    /* All choices are over. turns: [ask->n_turns]. */
    void (*end)(void *ctx, const sb_ask *ask, const sb_turn *turns);
    /* turns: what there was, [ask->n_turns], or NULL when nothing had begun. */
    void (*fail)(void *ctx, const sb_wire_error *w, const sb_ask *ask, const sb_turn *turns);
    void *ctx;
} sb_run_sink;

typedef struct sb_run_opts {
    const sb_caller *who;   /* copied */
    const char *id;         /* of the answer, without a dialect's prefix; copied; NULL: drawn */
    const char *request_id; /* copied; NULL: as id */
    uint64_t begin_ns;      /* when the request came in; 0: now */
} sb_run_opts;

/* Moves *ask into the run (and zeroes it); its texts must borrow from its own root and memory. The
 * model is ask->model, or the server's first. */
sb_status sb_run_begin(sb_run **out, sb_server *sv, sb_ask *ask, const sb_run_opts *o,
                       const sb_run_sink *sink, sb_error *err) SB_MUST_USE;
/* Ends it within one step: with `end`, the choices as SB_FINISH_CANCELLED. One that is
 * cancelled before its begin gets `end` alone. */
void sb_run_cancel(sb_run *r);
/* The listener is too slow: no more tokens are drawn until it is not. */
void sb_run_pause(sb_run *r, bool paused);
/* Requests that go before it in its model's queue; 0: it runs or is next; -1: it waits for its
 * model. */
int32_t sb_run_place(const sb_run *r);
void sb_run_hold(sb_run *r);
void sb_run_release(sb_run *r);
#endif
