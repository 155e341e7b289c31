/* SPDX-License-Identifier: Apache-2.0
 * workers.c - one list, one lock, a few sleepers.
 *
 * A queue for each worker with stealing would scale further; two workers that parse requests of
 * some hundred microseconds each do not need it. */
#include "server/workers.h"

#include <pthread.h>

#include "base/alloc.h"
#include "server/threads.h"

enum { MAX_WORKERS = 8 };

struct sb_workers {
    pthread_mutex_t lock;
    pthread_cond_t some;
    sb_task_list list;
    bool ending;
    int n_started;
    pthread_t threads[MAX_WORKERS];
};

void sb_task_list_add(sb_task_list *l, sb_task *t)
{
    t->next = NULL;
    if (l->last)
        l->last->next = t;
    else
        l->first = t;
    l->last = t;
}

void sb_task_list_add_first(sb_task_list *l, sb_task *t)
{
    t->next = l->first;
    l->first = t;
    if (!l->last) l->last = t;
}

sb_task *sb_task_list_take(sb_task_list *l)
{
    sb_task *t = l->first;
    if (!t) return NULL;
    l->first = t->next;
    if (!l->first) l->last = NULL;
    t->next = NULL;
    return t;
}

static void *work(void *ctx)
{
    sb_workers *w = ctx;
    sb_thread_name("work");
    (void)pthread_mutex_lock(&w->lock);
    for (;;) {
        sb_task *t = sb_task_list_take(&w->list);
        if (!t && w->ending) break;
        if (!t) {
            (void)pthread_cond_wait(&w->some, &w->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&w->lock);
        t->fn(t);
        (void)pthread_mutex_lock(&w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

sb_status sb_workers_new(sb_workers **out, int n_threads, sb_error *err)
{
    if (n_threads < 1 || n_threads > MAX_WORKERS)
        return SB_FAIL(err, SB_INVALID, "%d workers (1 to %d)", n_threads, MAX_WORKERS);
    sb_workers *w = sb_calloc(1, sizeof *w);
    if (!w) return SB_FAIL(err, SB_NO_MEMORY, "workers: out of memory");
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->some, NULL);
    for (int i = 0; i < n_threads; i++) {
        const sb_status s = sb_thread_start(&w->threads[i], work, w, err);
        if (s != SB_OK) {
            sb_workers_free(w);
            return s;
        }
        w->n_started++;
    }
    *out = w;
    return SB_OK;
}

void sb_workers_free(sb_workers *w)
{
    if (!w) return;
    (void)pthread_mutex_lock(&w->lock);
    w->ending = true;
    (void)pthread_cond_broadcast(&w->some);
    (void)pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->n_started; i++)
        (void)pthread_join(w->threads[i], NULL);
    (void)pthread_cond_destroy(&w->some);
    (void)pthread_mutex_destroy(&w->lock);
    sb_free(w);
}

static void add(sb_workers *w, sb_task *t, bool first)
{
    (void)pthread_mutex_lock(&w->lock);
    if (first)
        sb_task_list_add_first(&w->list, t);
    else
        sb_task_list_add(&w->list, t);
    (void)pthread_cond_signal(&w->some);
    (void)pthread_mutex_unlock(&w->lock);
}

void sb_workers_add(sb_workers *w, sb_task *t)
{
    add(w, t, false);
}

void sb_workers_add_first(sb_workers *w, sb_task *t)
{
    add(w, t, true);
}
