/* SPDX-License-Identifier: Apache-2.0
 * governor.h - how many threads write answers, and how fast they may run: what takes the least
 * energy for a token while a token comes in time.
 *
 * Purpose     Decode waits for memory, so beyond some threads and some frequency a token costs more
 *             and comes no sooner; where that is differs from machine to machine and from model to
 *             model. So it is measured, once: a sweep over numbers of threads, then over limits of
 *             the frequency where this user may set them. Prompts, and steps in which many answers
 *             decode, take all threads always.
 * Energy      By a meter of its own; where there is none, by CPU time, and the line says so.
 * Kept        In a file of lines, found by model, CPU, threads and version: the second start
 *             measures nothing. What another version or machine wrote is not used.
 * Invariants  No word of any answer depends on what is chosen.
 * Threads     One caller at a time, but for sb_governor_restore().
 * Ownership   Owns its meter, its file and the frequencies, which it puts back when it is closed.
 * Errors      SB_NO_MEMORY, and those of a step. A file that cannot be had is not: it is measured
 *             anew next time. */
#ifndef SB_CHAT_GOVERNOR_H
#define SB_CHAT_GOVERNOR_H
#include "energy/meter.h"
#include "engine/engine.h"

typedef struct sb_governor sb_governor;

typedef struct sb_governor_opts {
    sb_meter_roots roots;
    const char *path;    /* of the file, opened at once; NULL: nothing is kept */
    const char *version; /* of the program; as the path, not needed after _open */
    double latency_ms;   /* that a token may take; 0: twice that of the fastest choice */
    /* One line for people: what was chosen, and why. May be NULL. */
    void (*say)(void *ctx, const char *line);
    void *ctx;
} sb_governor_opts;

/* Around each piece of a sweep, so that nothing else computes meanwhile; each may be NULL. */
typedef struct sb_governor_turns {
    void (*enter)(void *ctx);
    void (*leave)(void *ctx);
    void *ctx;
} sb_governor_turns;

/* What one choice costs a token. */
typedef struct sb_governor_point {
    int32_t n_threads;
    int64_t khz; /* limit of the frequency; 0: none */
    int64_t nj, ns;
    bool measured; /* by a meter */
} sb_governor_point;

enum { SB_GOVERNOR_POINTS = 24 }; /* at most, of one sweep */

sb_status sb_governor_open(sb_governor **out, const sb_governor_opts *o, sb_error *err) SB_MUST_USE;
void sb_governor_close(sb_governor *g);
/* Sets an engine's threads for decode, and the frequency. No session of it may be open. */
sb_status sb_governor_choose(sb_governor *g, sb_engine *e, const sb_governor_turns *turns,
                             sb_error *err) SB_MUST_USE;
/* Frequencies as they were; for a signal handler. NULL is allowed. */
void sb_governor_restore(const sb_governor *g);
/* The point with the least energy among those in time, else the fastest; n is not 0. */
const sb_governor_point *sb_governor_pick(const sb_governor_point *points, int n,
                                          double latency_ms);
#endif
