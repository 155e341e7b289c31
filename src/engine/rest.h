/* SPDX-License-Identifier: Apache-2.0
 * rest.h - how long the processors must rest so that a process takes N percent of their time.
 *
 * Purpose     --power: (user + system) / (wall x threads) is N % while there is work. What the
 *             process used is read from the kernel, not guessed from steps, so that threads that
 *             spin, wait or lose their processor count as what they are. Only when things happen
 *             depends on it: no number that is computed does.
 * Invariants  What is owed is carried: pauses that end late or early are made up for. Idling earns
 *             at most SB_REST_CREDIT_NS, so no burst follows it; what loading took is owed for a
 *             second at most.
 * Ownership   Plain memory of the caller's. One for a process: models beside each other share it.
 * Threads     Any; a lock inside.
 * Cost        Two looks at clocks. */
#ifndef SB_ENGINE_REST_H
#define SB_ENGINE_REST_H
#include "base/base.h"

#include <pthread.h>

#define SB_REST_CREDIT_NS INT64_C(200000000)
/* Who comes while the processors rest waits no longer than this for a step. */
#define SB_REST_PAUSE_NS INT64_C(1000000000)
/* How long a sleeper may go without looking whether it should still sleep. */
#define SB_REST_LOOK_NS INT64_C(50000000)

typedef struct sb_rest {
    pthread_mutex_t lock;
    int percent, n_threads;
    uint64_t wall_ns, cpu_ns; /* when last looked */
    int64_t owed_ns;          /* of rest; negative: credit */
    int64_t step_ns;          /* what the last step must last, with its rest */
} sb_rest;

/* percent 1..100; 100 owes nothing, ever. */
void sb_rest_init(sb_rest *r, int percent, int n_threads);
void sb_rest_deinit(sb_rest *r);
/* Rest that is owed now, 0: a step may begin. r may be NULL: none ever. */
int64_t sb_rest_due_ns(sb_rest *r);
/* A step was made that took so much processor time: its rest may be as long as it must. */
void sb_rest_step(sb_rest *r, uint64_t cpu_ns);
/* What the process did since the last look is not counted. */
void sb_rest_skip(sb_rest *r);

/* The sum behind it, on clocks that are given. */
int64_t sb_rest_at(sb_rest *r, uint64_t wall_ns, uint64_t cpu_ns);
#endif
