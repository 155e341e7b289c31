/* SPDX-License-Identifier: Apache-2.0
 * live_test.c - turns beside each other: the same words as alone, whoever else is there. */
#include "chat/live.h"

#include "base/clock.h"
#include "tiny.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define S(text) ((sb_str){text, sizeof(text) - 1})

enum { N_ASKS = 24, N_WORDS = 20 };

static char path[128];
static sb_pool *pool;
static sb_meter *meter;
static sb_ledger *ledger;
static sb_chat *crowd, *alone;

static sb_chat *open_counted(int32_t n_sessions, int32_t max_queue,
                             void (*on_step)(void *ctx, const sb_work_record *r), void *ctx)
{
    sb_chat *c = NULL;
    sb_error err = {0};

    const sb_chat_opts o = {.engine = {.kv = SB_KV_BF16,
                                       .cap = SB_LEVEL_avx2,
                                       .n_ctx = 256,
                                       .n_sessions = n_sessions,
                                       .n_rows = 64},
                            .pool = pool,
                            .ledger = ledger,
                            .max_queue = max_queue,
                            .hooks = {.on_step = on_step, .ctx = ctx}};

    if (sb_chat_open(&c, path, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    return c;
}

static sb_chat *open_chat(int32_t n_sessions, int32_t max_queue)
{
    return open_counted(n_sessions, max_queue, NULL, NULL);
}

static int open_all(void **state)
{
    (void)state;
    sb_tiny t;
    sb_tiny_defaults(&t);
    (void)snprintf(path, sizeof path, "/tmp/sobre-live-%d.gguf", (int)getpid());
    const sb_meter_roots roots = {.sysfs = "/nonexistent"};
    return sb_tiny_write(&t, path, NULL) == SB_OK && sb_pool_new(&pool, 2, NULL) == SB_OK &&
                   sb_meter_open(&meter, &roots, NULL) == SB_OK &&
                   sb_ledger_open(&ledger, &(sb_ledger_opts){.meter = meter}, NULL) == SB_OK
               ? 0
               : -1;
}

static int close_all(void **state)
{
    (void)state;
    sb_ledger_close(ledger);
    sb_meter_close(meter);
    sb_pool_free(pool);
    return unlink(path);
}

/* What one live turn told. */
typedef struct told {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    sb_live *live;
    char text[4096];
    size_t n_text;
    int32_t n_ids, n_prompt, n_done, n_events, stop_after;
    int32_t ids[256];
    sb_finish finish;
    sb_status status;
    int64_t energy_uj;
    uint64_t cpu_ns;
    bool is_over;
} told;

static void on_prefill(void *ctx, int32_t n_cached, int32_t n_done, int32_t n_all)
{
    told *t = ctx;
    assert_true(n_cached >= 0 && n_cached < n_all && n_done <= n_all && n_done >= t->n_done);
    t->n_done = n_done;
    t->n_prompt = n_all;
}

static bool on_event(void *ctx, const sb_output_event *e, const sb_turn *turn)
{
    told *t = ctx;
    assert_false(t->is_over);
    assert_true(turn->ids.n > 0 && t->n_text + e->text.n < sizeof t->text);
    memcpy(t->text + t->n_text, e->text.p, e->text.n);
    t->n_text += e->text.n;
    return ++t->n_events != t->stop_after;
}

static void on_end(void *ctx, sb_turn *turn, const sb_error *err)
{
    told *t = ctx;
    (void)pthread_mutex_lock(&t->lock);
    assert_false(t->is_over);
    t->is_over = true;
    t->status = err ? err->code : SB_OK;
    t->finish = turn->finish;
    t->energy_uj = turn->energy.energy_uj;
    t->cpu_ns = turn->energy.cpu_ns;
    t->n_ids = (int32_t)turn->ids.n;
    for (int32_t i = 0; i < t->n_ids && i < 256; i++)
        t->ids[i] = turn->ids.v[i];
    if (!err) assert_int_equal(t->n_text, turn->content.n);
    (void)pthread_cond_signal(&t->ended);
    (void)pthread_mutex_unlock(&t->lock);
}

static void init_told(told *t)
{
    memset(t, 0, sizeof *t);
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->ended, NULL);
}

static void wait_for(told *t)
{
    (void)pthread_mutex_lock(&t->lock);
    while (!t->is_over)
        (void)pthread_cond_wait(&t->ended, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
}

/* The i-th request: prompts that share beginnings, greedy and drawn. */
static sb_turn_request ask(int32_t i, char *text, size_t n)
{
    (void)snprintf(text, n, "%s%s number %d", i % 2 ? "a long common beginning, then " : "",
                   i % 3 ? "tell me something about" : "go on with", i % 12);
    return (sb_turn_request){
        .raw = {text, strlen(text)},
        .sampling = {.temp = i % 2 ? 0.9f : 0, .top_p = 1, .seed = (uint64_t)i},
        .max_tokens = 4 + i % N_WORDS,
        .n_logprobs = -1,
        .ignore_end = true};
}

static void begin(told *t, const sb_turn_request *r, uint64_t scope)
{
    const sb_live_hooks h = {.prefill = on_prefill, .event = on_event, .end = on_end, .ctx = t};
    const sb_live_who who = {.scope = scope, .share = scope};
    sb_error err = {0};
    if (sb_live_begin(&t->live, crowd, r, &who, &h, &err) != SB_OK) fail_msg("%s", err.msg);
}

static void alone_and_in_a_crowd(void **state)
{
    (void)state;
    static told t[N_ASKS];
    static char text[N_ASKS][128];
    crowd = open_chat(4, N_ASKS);
    alone = open_chat(1, 0);
    assert_int_equal(sb_chat_start(crowd, NULL), SB_OK);
    sb_turn_request r[N_ASKS];
    for (int32_t i = 0; i < N_ASKS; i++) {
        init_told(&t[i]);
        r[i] = ask(i, text[i], sizeof text[i]);
        begin(&t[i], &r[i], 1 + (uint64_t)i % 3);
    }
    for (int32_t i = 0; i < N_ASKS; i++)
        wait_for(&t[i]);
    sb_chat_stop(crowd); /* the pool is free for the other one */
    for (int32_t i = 0; i < N_ASKS; i++) {
        sb_turn out;
        sb_error err = {0};
        sb_chat_forget(alone, 0);
        if (sb_chat_turn(alone, &r[i], &out, &err) != SB_OK) fail_msg("%s", err.msg);
        assert_int_equal(t[i].status, SB_OK);
        assert_int_equal(t[i].finish, out.finish);
        assert_int_equal(t[i].n_done, t[i].n_prompt);
        assert_int_equal(t[i].n_ids, (int32_t)out.ids.n);
        assert_memory_equal(t[i].ids, out.ids.v, out.ids.n * sizeof *out.ids.v);
        assert_int_equal(t[i].n_text, out.content.n);
        assert_true(t[i].energy_uj > 0);
        sb_turn_deinit(&out);
        sb_live_release(t[i].live);
    }
    sb_chat_close(crowd);
    sb_chat_close(alone);
}

/* Cancelled in the queue, while it reads, while it writes, by its reader, by the end of the chat.
 * */
static void every_turn_ends_once(void **state)
{
    (void)state;
    static told t[6];
    static char text[6][128];
    crowd = open_chat(2, 6);
    assert_int_equal(sb_chat_start(crowd, NULL), SB_OK);
    sb_turn_request r[6];
    for (int32_t i = 0; i < 6; i++) {
        init_told(&t[i]);
        r[i] = ask(i, text[i], sizeof text[i]);
        r[i].max_tokens = 200;
        t[i].stop_after = i == 0 ? 3 : 0;
        begin(&t[i], &r[i], 1);
        if (i % 2) sb_live_cancel(t[i].live);
    }
    for (int32_t i = 0; i < 6; i += i == 0 ? 1 : 2)
        wait_for(&t[i]);
    sb_live_pause(t[4].live, true);
    sb_live_pause(t[4].live, false);
    sb_live_pause(t[4].live, true);
    sb_chat_stop(crowd);
    for (int32_t i = 0; i < 6; i++) {
        wait_for(&t[i]);
        assert_int_equal(t[i].status, SB_OK);
        if (i % 2 || i == 0) assert_int_equal(t[i].finish, SB_FINISH_CANCELLED);
        if (i == 0) assert_int_equal(t[i].n_events, 3);
        assert_int_equal(sb_live_place(t[i].live), 0);
        sb_live_release(t[i].live);
    }
    sb_chat_close(crowd);
}

/* A full queue says so at once; the chat that steps by itself does not step for others. */
static void a_full_queue_is_busy(void **state)
{
    (void)state;
    static told t[4];
    static char text[4][128];
    crowd = open_chat(1, 1);
    sb_turn_request r[4];
    int32_t n = 0;
    sb_error err = {0};
    sb_status s = SB_OK;
    for (; n < 4 && s == SB_OK; n++) { /* nobody steps: all of them wait */
        const sb_live_hooks h = {.event = on_event, .end = on_end, .ctx = &t[n]};
        const sb_live_who who = {.scope = 1, .share = 1};
        init_told(&t[n]);
        r[n] = ask(n, text[n], sizeof text[n]);
        s = sb_live_begin(&t[n].live, crowd, &r[n], &who, &h, &err);
    }
    assert_int_equal(s, SB_BUSY);
    assert_in_range(n, 2, 3);
    assert_int_equal(sb_chat_start(crowd, NULL), SB_OK);
    sb_turn out;
    assert_int_equal(sb_chat_turn(crowd, &r[0], &out, &err), SB_BUSY);
    for (int32_t i = 0; i + 1 < n; i++) {
        wait_for(&t[i]);
        sb_live_release(t[i].live);
    }
    sb_chat_close(crowd);
}

/* ---- budgets of energy ---- */

/* The process's time between steps: what one step may have cost at most. */
typedef struct steps {
    uint64_t last_ns, most_ns;
} steps;

static void on_step(void *ctx, const sb_work_record *r)
{
    steps *s = ctx;
    const uint64_t now = sb_process_cpu_ns();
    (void)r;
    if (s->last_ns && now - s->last_ns > s->most_ns) s->most_ns = now - s->last_ns;
    s->last_ns = now;
}

static void run_one(told *t, const sb_turn_request *r)
{
    init_told(t);
    begin(t, r, 1);
    wait_for(t);
    sb_live_release(t->live);
}

/* Some steps for half of the energy, with the words of the whole answer as far as it goes; more
 * than asked for by one step at most. One so small that the prompt takes it says nothing. */
static void a_budget_ends_an_answer(void **state)
{
    (void)state;
    static told whole, half, none, much;
    char text[128];
    steps seen = {0};
    crowd = open_counted(2, 8, on_step, &seen);
    assert_int_equal(sb_chat_start(crowd, NULL), SB_OK);
    sb_turn_request r = ask(1, text, sizeof text);
    r.max_tokens = 180;
    run_one(&whole, &r);
    assert_int_equal(whole.finish, SB_FINISH_LENGTH);
    sb_chat_forget(crowd, 0);
    seen = (steps){0};
    r.max_energy_uj = whole.energy_uj / 2;
    run_one(&half, &r);
    assert_int_equal(half.finish, SB_FINISH_ENERGY_BUDGET);
    assert_in_range(half.n_ids, 1, whole.n_ids - 1);
    assert_memory_equal(half.ids, whole.ids, (size_t)half.n_ids * sizeof *half.ids);
    assert_true(half.energy_uj >= r.max_energy_uj);
    /* What a nanosecond of this process costs, from the whole answer; twice for what is not steps.
     * */
    const double uj_a_ns = (double)whole.energy_uj / (double)whole.cpu_ns;
    assert_true((double)(half.energy_uj - r.max_energy_uj) <=
                2 * uj_a_ns * (double)seen.most_ns + 50);
    r.max_energy_uj = 1;
    run_one(&none, &r);
    assert_int_equal(none.finish, SB_FINISH_ENERGY_BUDGET);
    assert_int_equal(none.n_ids, 0);
    r.max_energy_uj = 1000 * whole.energy_uj;
    run_one(&much, &r);
    assert_int_equal(much.finish, SB_FINISH_LENGTH);
    assert_int_equal(much.n_ids, whole.n_ids);
    sb_chat_close(crowd);
}

/* All who share a pot end when it is empty; who does not goes on, with its own words. */
static void a_pot_is_shared(void **state)
{
    (void)state;
    static told t[4], alone_one;
    static char text[4][128];
    sb_energy_pot pot;
    steps seen = {0};
    crowd = open_counted(4, 8, on_step, &seen);
    assert_int_equal(sb_chat_start(crowd, NULL), SB_OK);
    sb_turn_request r[4];
    r[3] = ask(3, text[3], sizeof text[3]);
    r[3].max_tokens = 180;
    run_one(&alone_one, &r[3]);
    sb_chat_forget(crowd, 0);
    atomic_init(&pot.left_uj, alone_one.energy_uj / 2);
    for (int32_t i = 0; i < 4; i++) {
        init_told(&t[i]);
        r[i] = ask(i, text[i], sizeof text[i]);
        r[i].max_tokens = 180;
        if (i < 3) r[i].pot = &pot;
        begin(&t[i], &r[i], 1);
    }
    for (int32_t i = 0; i < 4; i++) {
        wait_for(&t[i]);
        assert_int_equal(t[i].finish, i < 3 ? SB_FINISH_ENERGY_BUDGET : SB_FINISH_LENGTH);
        sb_live_release(t[i].live);
    }
    assert_int_equal(t[3].n_ids, alone_one.n_ids);
    assert_memory_equal(t[3].ids, alone_one.ids, 180 * sizeof *t[3].ids);
    /* What was taken out is what the three of them used. */
    const int64_t used = t[0].energy_uj + t[1].energy_uj + t[2].energy_uj;
    assert_int_equal(alone_one.energy_uj / 2 - used, atomic_load(&pot.left_uj));
    assert_true(atomic_load(&pot.left_uj) <= 0);
    sb_chat_close(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_and_in_a_crowd), cmocka_unit_test(every_turn_ends_once),
        cmocka_unit_test(a_full_queue_is_busy), cmocka_unit_test(a_budget_ends_an_answer),
        cmocka_unit_test(a_pot_is_shared),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
