/* SPDX-License-Identifier: Apache-2.0
 * workers.h - a few threads for what must not hold up the loop: JSON, templates, tokens, the disk.
 *
 * Invariants  Tasks begin in order of coming; those put first go before all that wait. Adding never
 *             allocates and never fails: a task is the memory of whoever adds it.
 * Threads     Adding: any. Without tasks every worker sleeps.
 * Ownership   A task belongs to its fn from the moment it runs. */
#ifndef SB_SERVER_WORKERS_H
#define SB_SERVER_WORKERS_H
#include "base/base.h"

/* A piece of work; lies in the caller's memory, which must live until fn runs. */
typedef struct sb_task {
    struct sb_task *next;
    void (*fn)(struct sb_task *t);
} sb_task;

typedef struct sb_workers sb_workers;

sb_status sb_workers_new(sb_workers **out, int n_threads, sb_error *err) SB_MUST_USE;
/* Runs what was added, then ends. */
void sb_workers_free(sb_workers *w);
void sb_workers_add(sb_workers *w, sb_task *t);
void sb_workers_add_first(sb_workers *w, sb_task *t);

/* A queue of tasks for whoever runs them elsewhere: a list with two ends. */
typedef struct sb_task_list {
    sb_task *first, *last;
} sb_task_list;
void sb_task_list_add(sb_task_list *l, sb_task *t);
void sb_task_list_add_first(sb_task_list *l, sb_task *t);
/* NULL: it is empty. */
sb_task *sb_task_list_take(sb_task_list *l);
#endif
