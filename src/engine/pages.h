/* SPDX-License-Identifier: Apache-2.0
 * pages.h - gets the weights onto huge pages when that pays.
 *
 * Purpose     Llama 3.2 1B in Q4_0, two cores of a virtual machine: eight streams are 8 %, one is
 *             7 % and a prompt 3 % faster on huge pages. There they are dear to get, though: 0.7 s
 *             more of a start that took 0.3 s, which a short answer never earns back.
 * How         A large model takes at load those that are at hand. Elsewhere small pages are joined
 *             after some seconds of work: while nothing is to be done, and between steps in a tenth
 *             of the time.
 * Ownership   The memory is the caller's and outlives this.
 * Threads     The stepper's. */
#ifndef SB_ENGINE_PAGES_H
#define SB_ENGINE_PAGES_H
#include "base/base.h"

typedef struct sb_pages {
    unsigned char *p;
    size_t bytes, at;             /* of all; on huge pages so far, or given up */
    uint64_t worked_ns, spent_ns; /* in steps; on joining */
} sb_pages;

/* Untouched memory as of sb_big_alloc(). */
void sb_pages_init(sb_pages *g, unsigned char *p, size_t bytes);
/* After a step that took so long: joins what its share allows. */
void sb_pages_step(sb_pages *g, uint64_t step_ns);
/* True when some are left, and steps so far are worth what they cost. */
bool sb_pages_due(const sb_pages *g);
/* Joins one of those that are left; meant for the time when nothing else is to be done. */
void sb_pages_join(sb_pages *g);
/* Joins all that is left. */
void sb_pages_finish(sb_pages *g);
#endif
