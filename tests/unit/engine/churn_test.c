/* SPDX-License-Identifier: Apache-2.0
 * churn_test.c - sequences that come, go, sleep and are thrown out at random: every token is the
 * one the sequence would get alone, pages are counted right, nothing runs dry. */
#include "base/alloc.h"
#include "engine/prefix_tree.h"
#include "engine/sched_state.h"
#include "seqs.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N_VOCAB = 700, N_CTX = 330, N_PROMPTS = 24, MAX_OUT = 40, N_LIVE = 16 };

/* Prompts that share beginnings of many lengths, and their answers alone. */
typedef struct answers {
    int32_t ids[N_PROMPTS][N_CTX], n_ids[N_PROMPTS];
    int32_t out[N_PROMPTS][MAX_OUT], n_out[N_PROMPTS];
} answers;

static answers all;
static char path[128];

/* The layers of gemma3 see a window but for each sixth; llama's see everything. */
static void make_model(const char *arch, int32_t n_layers)
{
    sb_tiny t;
    sb_tiny_defaults(&t);
    t.arch = arch, t.format = SB_F_Q8_0, t.n_layers = n_layers, t.n_embd = 32, t.n_ff = 64;
    t.n_heads = 2, t.n_kv_heads = 1, t.head_dim = 16, t.window = 70, t.n_vocab = N_VOCAB;
    (void)snprintf(path, sizeof path, "/tmp/sobre-churn-%d.gguf", (int)getpid());
    sb_error err = {0};
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
}

static sb_seq_opts options(sb_rig_seq *r, int i)
{
    sb_seq_opts o = sb_rig_seq_opts(r, all.ids[i], all.n_ids[i], 1 + i * 7 % MAX_OUT);
    if (i % 2) o.sampling = (sb_sampling){.temp = 1, .top_p = 0.9f, .seed = (uint64_t)i};
    if (i % 4 == 3) o.sampling.top_k = 30; /* draws that see only the largest logits */
    return o;
}

static void fill_answers(const char *arch, int32_t n_layers)
{
    make_model(arch, n_layers);
    sb_rig rig;
    sb_error err = {0};
    sb_engine_opts eo = sb_rig_opts(N_CTX);
    if (sb_rig_open(&rig, path, 1, &eo, &err) != SB_OK) fail_msg("%s", err.msg);
    for (int i = 0; i < N_PROMPTS; i++) {
        sb_rig_seq r;
        /* A third of another one's prompt, or more, then its own words. */
        sb_rig_ids(all.ids[i], N_CTX, N_VOCAB, (uint64_t)i + 1);
        all.n_ids[i] = 1 + i * 37 % (N_CTX - MAX_OUT);
        const int from = i / 3, n = i * 53 % (all.n_ids[i] + 1);
        if (i >= 3) memcpy(all.ids[i], all.ids[from], (size_t)n * sizeof all.ids[i][0]);
        const sb_seq_opts o = options(&r, i);
        if (sb_rig_alone(rig.engine, &o, all.out[i], &all.n_out[i], &err) != SB_OK)
            fail_msg("%s", err.msg);
    }
    sb_rig_close(&rig);
}

/* Every page is held by whom its count says. */
static void check_pages(const sb_sched *s)
{
    const sb_engine *e = s->e;
    for (int32_t g = 0; g < e->n_groups; g++) {
        const sb_kv_group *x = &e->groups[g];
        int32_t *n = sb_calloc((size_t)x->n_pages, sizeof *n), n_tree = 0, n_free = 0;
        assert_non_null(n);
        for (int32_t i = 0; i < s->n_run; i++)
            for (int32_t b = 0; b < x->n_blocks; b++)
                if (s->run[i]->session->pages[g][b] >= 0) n[s->run[i]->session->pages[g][b]]++;
        for (int32_t p = 0; p < x->n_pages; p++) {
            n_tree += n[p] == 0 && x->node[p] >= 0;
            n_free += n[p] == 0 && x->node[p] < 0;
            assert_int_equal(x->n_holders[p], n[p] + (x->node[p] >= 0));
        }
        assert_int_equal(n_tree, x->n_tree);
        assert_int_equal(n_free, x->n_free);
        sb_free(n);
    }
}

static void check_tree(const sb_prefix *p)
{
    int32_t n_used = 0, n_spare = 0, n_children = 0;
    for (int32_t i = p->spare; i >= 0; i = p->nodes[i].next)
        n_spare++;
    for (int32_t i = p->roots; i >= 0; i = p->nodes[i].next)
        n_children++;
    for (int32_t i = 0; i < p->n_nodes; i++) {
        const sb_prefix_node *x = &p->nodes[i];
        if (!x->in_use) continue;
        n_used++;
        assert_true(x->child < 0 || x->parent < 0 || x->n == SB_KV_PAGE);
        for (int32_t g = 0; g < p->e->n_groups; g++)
            if (x->page[g] >= 0) assert_int_equal(p->e->groups[g].node[x->page[g]], i);
        for (int32_t c = x->child; c >= 0; c = p->nodes[c].next) {
            n_children++;
            assert_int_equal(p->nodes[c].parent, i);
            assert_int_equal(p->nodes[c].scope, x->scope);
            for (int32_t d = x->child; d >= 0; d = p->nodes[d].next) {
                const int32_t n = p->nodes[c].n < p->nodes[d].n ? p->nodes[c].n : p->nodes[d].n;
                assert_true(c == d || memcmp(p->ids[c], p->ids[d], (size_t)n * 4) != 0);
            }
        }
    }
    assert_int_equal(n_used + n_spare, p->n_nodes);
    assert_int_equal(n_children, n_used);
}

typedef struct churn {
    sb_sched *s;
    uint64_t random;
    sb_rig_seq r[N_LIVE];
    int i_prompt[N_LIVE]; /* -1: this place is empty */
    int n_begun, n_busy, n_cancelled;
} churn;

static int below(churn *c, int n)
{
    return (int)(sb_tiny_random(&c->random) % (uint64_t)n);
}

static void check_one(churn *c, int at)
{
    const sb_rig_seq *r = &c->r[at];
    const int i = c->i_prompt[at];
    assert_int_equal(atomic_load(&r->n_ends), 1);
    if (r->why == SB_SEQ_FAILED) fail_msg("%s", r->err.msg);
    assert_true(r->n_out <= all.n_out[i]);
    if (r->why != SB_SEQ_CANCELLED && r->why != SB_SEQ_STOPPED)
        assert_int_equal(r->n_out, all.n_out[i]);
    if (r->n_out && memcmp(r->out, all.out[i], (size_t)r->n_out * sizeof *r->out) != 0)
        fail_msg("prompt %d differs from itself alone", i);
    c->n_cancelled += r->why == SB_SEQ_CANCELLED;
}

static void begin_one(churn *c, int at)
{
    sb_error err = {0};
    const int i = below(c, N_PROMPTS);
    sb_seq_opts o = options(&c->r[at], i);
    o.scope = (uint64_t)(1 + below(c, 2));
    o.share = (uint64_t)below(c, 3);
    o.weight = (uint32_t)below(c, 3);
    o.priority = below(c, 10) == 0 ? below(c, 3) - 1 : 0;
    c->r[at].stop_after = below(c, 8) == 0 ? 1 + below(c, 9) : 0;
    const sb_status st = sb_rig_seq_begin(&c->r[at], c->s, &o, &err);
    if (st == SB_BUSY) {
        c->n_busy++;
        return;
    }
    if (st != SB_OK) fail_msg("%s", err.msg);
    c->n_begun++;
    c->i_prompt[at] = i;
}

/* Something happens to one of the places. */
static void happen(churn *c)
{
    const int at = below(c, N_LIVE), what = below(c, 100);
    sb_rig_seq *r = &c->r[at];
    if (c->i_prompt[at] < 0) {
        begin_one(c, at);
    } else if (atomic_load(&r->n_ends)) {
        check_one(c, at);
        sb_rig_seq_end(r);
        c->i_prompt[at] = -1;
    } else if (what < 4) {
        sb_seq_cancel(r->q);
    } else if (what < 12) {
        sb_seq_pause(r->q, what < 8);
    } else if (what == 12) {
        sb_sched_forget(c->s, (uint64_t)below(c, 3));
    }
}

static void finish(churn *c)
{
    for (int at = 0; at < N_LIVE; at++)
        if (c->i_prompt[at] >= 0) sb_seq_pause(c->r[at].q, false);
    sb_rig_drain(c->s);
    for (int at = 0; at < N_LIVE; at++) {
        if (c->i_prompt[at] < 0) continue;
        check_one(c, at);
        sb_rig_seq_end(&c->r[at]);
    }
}

static void run_churn(int n_threads, int n_steps, int32_t n_sessions, int full_sessions,
                      uint64_t cache_bytes, uint64_t seed)
{
    sb_rig rig;
    sb_error err = {0};
    sb_engine_opts eo = sb_rig_opts(N_CTX);
    sb_memory_plan plan = {0};
    churn c = {.random = seed};
    eo.n_sessions = 1;
    eo.n_rows = 100;
    sb_model *m = NULL;
    assert_int_equal(sb_model_open(&m, path, &err), SB_OK);
    assert_int_equal(sb_engine_plan_memory(m, &eo, n_threads, &plan, &err), SB_OK);
    sb_model_close(m);
    eo.n_sessions = n_sessions;
    eo.kv_bytes = plan.kv_bytes * (uint64_t)full_sessions;
    if (sb_rig_open(&rig, path, n_threads, &eo, &err) != SB_OK) fail_msg("%s", err.msg);
    const sb_sched_opts so = {.max_queue = 5, .cache_bytes = cache_bytes};
    assert_int_equal(sb_sched_new(&c.s, rig.engine, &so, &err), SB_OK);
    memset(c.i_prompt, 0xff, sizeof c.i_prompt);
    for (int i = 0; i < n_steps; i++) {
        for (int k = below(&c, 4); k > 0; k--)
            happen(&c);
        bool did = false;
        sb_sched_step(c.s, &did);
        check_pages(c.s);
        if (i % 8 == 0) check_tree(c.s->prefix);
    }
    finish(&c);
    const sb_sched_stats st = sb_sched_get_stats(c.s);
    print_message("%d sequences, %d cancelled, %d busy, %d preempted, %d of %d cached, %d again\n",
                  c.n_begun, c.n_cancelled, c.n_busy, (int)st.n_preempted, (int)st.n_cached_tok,
                  (int)(st.n_prefill_tok + st.n_cached_tok), (int)st.n_recomputed_tok);
    assert_int_equal(st.n_ended, c.n_begun);
    assert_int_equal(st.n_cancelled, c.n_cancelled);
    assert_int_equal(st.pages_held, 0);
    assert_true(st.n_preempted > 0 && c.n_busy > 0 && c.n_cancelled > 0 && st.n_cached_tok > 0);
    if (cache_bytes) assert_true(st.cached_bytes <= cache_bytes);
    sb_sched_free(c.s);
    sb_rig_close(&rig);
}

static void plenty_of_pages(void **state)
{
    (void)state;
    fill_answers("gemma3", 6);
    run_churn(1, 10000, 4, 4, 0, 1);
    run_churn(2, 1000, 4, 4, 0, 2);
    run_churn(3, 1000, 4, 4, 0, 3);
    (void)unlink(path);
}

static void pages_for_hardly_more_than_one(void **state)
{
    (void)state;
    fill_answers("gemma3", 6);
    run_churn(1, 10000, 4, 1, 0, 4);
    run_churn(1, 10000, 8, 2, 0, 5);
    (void)unlink(path);
}

static void a_small_cache(void **state)
{
    (void)state;
    fill_answers("gemma3", 6);
    run_churn(1, 8000, 4, 4, 40000, 6);
    (void)unlink(path);
}

static void windows_alone(void **state)
{
    (void)state;
    fill_answers("gemma3", 3);
    run_churn(1, 5000, 4, 1, 0, 7);
    run_churn(1, 5000, 4, 3, 0, 8);
    (void)unlink(path);
}

static void no_windows(void **state)
{
    (void)state;
    fill_answers("llama", 2);
    run_churn(1, 5000, 4, 1, 0, 9);
    run_churn(1, 5000, 4, 3, 30000, 10);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plenty_of_pages), cmocka_unit_test(pages_for_hardly_more_than_one),
        cmocka_unit_test(a_small_cache),   cmocka_unit_test(windows_alone),
        cmocka_unit_test(no_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
