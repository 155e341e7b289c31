/* SPDX-License-Identifier: Apache-2.0
 * sched_threads_test.c - the stepper on a thread of its own, and clients on several: nothing lost,
 * nothing mixed up, and no time used when there is nothing to do but what makes steps faster. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/huge.h"
#include "engine/sched_state.h"
#include "house.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { N_CLIENTS = 3, N_EACH = 60, N_PROMPTS = 8, N_OUT = 12 };

static int32_t ids[N_PROMPTS][HOUSE_CTX];
static int32_t answer[N_PROMPTS][N_OUT], n_answer[N_PROMPTS];

static void fill_answers(house *h)
{
    sb_error err = {0};
    for (int i = 0; i < N_PROMPTS; i++) {
        sb_rig_seq r;
        house_ids(ids[i], HOUSE_CTX, (uint64_t)(1 + i / 2));
        const sb_seq_opts o = sb_rig_seq_opts(&r, ids[i], 5 + 30 * i, N_OUT);
        if (sb_rig_alone(h->solo.engine, &o, answer[i], &n_answer[i], &err) != SB_OK)
            fail_msg("%s", err.msg);
    }
}

static void *step(void *sched)
{
    sb_sched_run(sched);
    return NULL;
}

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static void enter(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void leave(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx + 1, 1);
}

typedef struct client {
    pthread_t thread;
    house *h;
    uint64_t random;
    int n_wrong, n_busy, n_cancelled;
} client;

/* One request, perhaps disturbed on its way. */
static void ask(client *c)
{
    sb_rig_seq r;
    sb_error err = {0};
    const int i = (int)(sb_tiny_random(&c->random) % N_PROMPTS);
    const int what = (int)(sb_tiny_random(&c->random) % 8);
    sb_seq_opts o = sb_rig_seq_opts(&r, ids[i], 5 + 30 * i, N_OUT);
    o.share = sb_tiny_random(&c->random) % 3;
    const sb_status st = sb_rig_seq_begin(&r, c->h->sched, &o, &err);
    if (st != SB_OK) {
        c->n_busy += st == SB_BUSY;
        c->n_wrong += st != SB_BUSY;
        nap();
        return;
    }
    sb_seq_info info[4];
    if (what == 0) sb_seq_cancel(r.q);
    if (what == 1) sb_seq_pause(r.q, true);
    while (!atomic_load(&r.n_ends)) {
        c->n_wrong += sb_seq_place(r.q) < 0;
        if (what == 2) (void)sb_sched_list(c->h->sched, info, SB_ARRAY_LEN(info));
        if (what == 3) (void)sb_sched_get_stats(c->h->sched);
        if (what == 4) sb_sched_forget(c->h->sched, 0);
        nap();
        if (what == 1) sb_seq_pause(r.q, false);
        if (what == 5) sb_seq_cancel(r.q);
    }
    c->n_cancelled += r.why == SB_SEQ_CANCELLED;
    if (r.why != SB_SEQ_CANCELLED) c->n_wrong += r.n_out != n_answer[i];
    c->n_wrong += r.n_out && memcmp(r.out, answer[i], (size_t)r.n_out * sizeof *r.out) != 0;
    sb_rig_seq_end(&r);
}

static void *run_client(void *ctx)
{
    client *c = ctx;
    for (int i = 0; i < N_EACH; i++)
        ask(c);
    return NULL;
}

static void clients_on_several_threads(void **state)
{
    (void)state;
    sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 2, (sb_sched_opts){.max_queue = 1});
    fill_answers(&h);
    pthread_t stepper;
    client c[N_CLIENTS] = {0};
    assert_int_equal(pthread_create(&stepper, NULL, step, h.sched), 0);
    for (int i = 0; i < N_CLIENTS; i++) {
        c[i].h = &h;
        c[i].random = (uint64_t)i;
        assert_int_equal(pthread_create(&c[i].thread, NULL, run_client, &c[i]), 0);
    }
    int n_cancelled = 0, n_busy = 0;
    for (int i = 0; i < N_CLIENTS; i++) {
        (void)pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].n_wrong, 0);
        n_cancelled += c[i].n_cancelled;
        n_busy += c[i].n_busy;
    }
    sb_sched_stop(h.sched);
    (void)pthread_join(stepper, NULL);
    const sb_sched_stats st = sb_sched_get_stats(h.sched);
    assert_int_equal(st.n_ended + (uint64_t)n_busy, N_CLIENTS * N_EACH);
    assert_int_equal(st.n_cancelled, n_cancelled);
    house_close(&h);
}

static void idle_means_asleep(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 2, (sb_sched_opts){0});
    pthread_t stepper;
    assert_int_equal(pthread_create(&stepper, NULL, step, h.sched), 0);
    sb_rig_seq r;
    house_ids(ids[0], HOUSE_CTX, 1);
    const sb_seq_opts o = sb_rig_seq_opts(&r, ids[0], 20, 5);
    house_begin(&h, &r, &o);
    while (!atomic_load(&r.n_ends))
        nap();
    (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    struct rusage before, after;
    const uint64_t cpu = sb_process_cpu_ns();
    (void)getrusage(RUSAGE_SELF, &before);
    (void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    (void)getrusage(RUSAGE_SELF, &after);
    assert_true(sb_process_cpu_ns() - cpu < 5000000);
    assert_true(after.ru_nvcsw - before.ru_nvcsw <= 5);
    sb_seq_cancel(r.q);
    sb_rig_seq_end(&r);
    sb_sched_stop(h.sched);
    (void)pthread_join(stepper, NULL);
    house_close(&h);
}

enum { N_PAGES = 4, N_PAGE_BYTES = N_PAGES * SB_HUGE_BYTES };

/* Pages of its own for an engine, due to be joined; *out_own is what they stand for. */
static sb_pages *lend_pages(house *h, sb_pages *out_own)
{
    unsigned char *p = sb_big_alloc(N_PAGE_BYTES);
    assert_non_null(p);
    memset(p, 7, N_PAGE_BYTES);
    sb_pages *g = &h->sched->e->pages;
    *out_own = *g;
    sb_pages_init(g, p, N_PAGE_BYTES);
    g->worked_ns = UINT64_C(1000000000000);
    return g;
}

static void take_back(sb_pages *g, const sb_pages *own)
{
    assert_int_equal(g->at, g->bytes);
    for (int i = 0; i < N_PAGES; i++)
        assert_int_equal(g->p[i * SB_HUGE_BYTES + i], 7);
    sb_big_free(g->p, N_PAGE_BYTES);
    *g = *own;
}

static void a_step_joins_pages(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(2);
    house h = house_open(&eo, 2, (sb_sched_opts){0});
    sb_pages own, *g = lend_pages(&h, &own);
    house_ids(ids[0], HOUSE_CTX, 1);
    (void)house_once(&h, ids[0], 5, 0);
    take_back(g, &own);
    house_close(&h);
}

/* Worked for long enough, with nothing to do: the stepper joins pages, within its turn. */
static void idle_joins_pages(void **state)
{
    (void)state;
    const sb_engine_opts eo = house_opts(2);
    atomic_int turns[2] = {0};
    house h = house_open(&eo, 2, (sb_sched_opts){.enter = enter, .leave = leave, .ctx = turns});
    sb_pages own, *g = lend_pages(&h, &own);
    const int n_joins = sb_huge_join(g->p) ? N_PAGES : 1; /* one try ends it */
    pthread_t stepper;
    assert_int_equal(pthread_create(&stepper, NULL, step, h.sched), 0);
    for (int i = 0; i < 50000 && atomic_load(&turns[1]) < n_joins; i++)
        nap();
    sb_sched_stop(h.sched);
    (void)pthread_join(stepper, NULL);
    assert_int_equal(turns[0], turns[1]);
    assert_int_equal(turns[1], n_joins);
    take_back(g, &own);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_on_several_threads),
        cmocka_unit_test(idle_means_asleep),
        cmocka_unit_test(a_step_joins_pages),
        cmocka_unit_test(idle_joins_pages),
    };
    return cmocka_run_group_tests(tests, house_make_model, house_drop_model);
}
