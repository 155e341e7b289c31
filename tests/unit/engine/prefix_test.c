/* SPDX-License-Identifier: Apache-2.0
 * prefix_test.c - the tree of cached prefixes: found to the token, shared, evicted by value. */
#include "base/alloc.h"
#include "engine/prefix_tree.h"
#include "house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <string.h>

/* An engine whose sessions a test drives itself. Group `full` sees everything, `win` has the
 * window. */
typedef struct wood {
    sb_rig rig;
    sb_prefix *p;
    sb_kv_group *full, *win;
    int32_t i_full, i_win;
} wood;

static int32_t ids[4][HOUSE_CTX];

static int fill_ids(void **state)
{
    for (int i = 0; i < 4; i++)
        house_ids(ids[i], HOUSE_CTX, (uint64_t)i + 1);
    return house_make_model(state);
}

static wood plant(uint64_t max_bytes)
{
    wood w = {0};
    sb_error err = {0};
    const sb_engine_opts eo = house_opts(3);
    if (sb_rig_open(&w.rig, house_model(), 1, &eo, &err) != SB_OK) fail_msg("%s", err.msg);
    if (sb_prefix_new(&w.p, w.rig.engine, max_bytes, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(w.rig.engine->n_groups, 2);
    w.i_full = w.rig.engine->groups[0].window ? 1 : 0;
    w.i_win = 1 - w.i_full;
    w.full = &w.rig.engine->groups[w.i_full];
    w.win = &w.rig.engine->groups[w.i_win];
    return w;
}

static void fell(wood *w)
{
    sb_prefix_free(w->p);
    for (int32_t g = 0; g < 2; g++) /* nothing is held any more */
        assert_int_equal(w->rig.engine->groups[g].n_free, w->rig.engine->groups[g].n_pages);
    sb_rig_close(&w->rig);
}

static void feed(wood *w, sb_session *s, const int32_t *id, int32_t n, float *logits)
{
    sb_error err = {0};
    const sb_span span = {.s = s, .ids = id, .n = n, .want = SB_WANT_LAST};
    if (sb_engine_step(w->rig.engine, &span, 1, &err) != SB_OK) fail_msg("%s", err.msg);
    if (logits) memcpy(logits, sb_engine_logits(w->rig.engine, 0, 0), HOUSE_VOCAB * sizeof *logits);
}

static sb_session *open_session(wood *w)
{
    sb_session *s = NULL;
    sb_error err = {0};
    if (sb_session_open(&s, w->rig.engine, 1, &err) != SB_OK) fail_msg("%s", err.msg);
    return s;
}

/* A session from where the tree ends to position n, its blocks and its tail kept; returns where it
 * began. */
static int32_t grow(wood *w, uint64_t scope, const int32_t *id, int32_t n)
{
    sb_session *s = open_session(w);
    sb_prefix_mark mark = {.node = -1};
    const int32_t at = sb_prefix_resume(w->p, scope, id, n, s, &mark);
    while (s->n_pos < n) {
        feed(w, s, id + s->n_pos, n - s->n_pos < 50 ? n - s->n_pos : 50, NULL);
        sb_prefix_keep(w->p, s, id, &mark);
    }
    sb_prefix_keep_tail(w->p, s, id, &mark);
    sb_prefix_leave(w->p, &mark);
    sb_session_close(s);
    sb_prefix_tick(w->p);
    return at;
}

static void it_is_found_to_the_token(void **state)
{
    (void)state;
    wood w = plant(0);
    assert_int_equal(grow(&w, 1, ids[0], 200), 0);
    for (int32_t n = 1; n <= 260; n++)
        assert_int_equal(sb_prefix_find(w.p, 1, ids[0], n), n - 1 < 200 ? n - 1 : 200);
    static int32_t other[HOUSE_CTX];
    for (int32_t at = 0; at < 200; at += 13) {
        memcpy(other, ids[0], sizeof other);
        other[at]++;
        assert_int_equal(sb_prefix_find(w.p, 1, other, 250), at);
    }
    assert_int_equal(sb_prefix_find(w.p, 2, ids[0], 200), 0);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[1], 200), 0);
    fell(&w);
}

/* Wherever a session starts, what it computes has the bits of one that starts at 0. */
static void it_goes_on_as_if_it_had_computed_all(void **state)
{
    (void)state;
    static const int32_t from[] = {2, 33, 64, 65, 100, 128, 129, 190, 200, 201};
    float first[HOUSE_VOCAB], now[HOUSE_VOCAB];
    wood w = plant(0);
    (void)grow(&w, 1, ids[0], 200);
    for (size_t i = 0; i < SB_ARRAY_LEN(from); i++) {
        sb_session *a = open_session(&w), *b = open_session(&w);
        sb_prefix_mark mark = {.node = -1};
        const int32_t at = sb_prefix_resume(w.p, 1, ids[0], from[i], b, &mark);
        assert_int_equal(at, from[i] - 1);
        assert_int_equal(sb_session_n_pos(b), at);
        feed(&w, a, ids[0], at, NULL);
        for (int k = 0; k < 3; k++) { /* other words, so that the shared page is written */
            feed(&w, a, ids[1] + 40 * k, 40, first);
            feed(&w, b, ids[1] + 40 * k, 40, now);
            assert_memory_equal(first, now, sizeof first);
        }
        sb_prefix_leave(w.p, &mark);
        sb_session_close(a);
        sb_session_close(b);
    }
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], 201), 200); /* nobody wrote into its pages */
    assert_int_equal(grow(&w, 1, ids[0], 201), 200);
    fell(&w);
}

static void the_same_words_are_kept_once(void **state)
{
    (void)state;
    wood w = plant(0);
    sb_session *a = open_session(&w), *b = open_session(&w);
    sb_prefix_mark ma = {.node = -1}, mb = {.node = -1};
    (void)sb_prefix_resume(w.p, 1, ids[0], 128, a, &ma);
    (void)sb_prefix_resume(w.p, 1, ids[0], 128, b, &mb);
    feed(&w, a, ids[0], 128, NULL);
    feed(&w, b, ids[0], 128, NULL);
    assert_int_equal(w.full->n_pages - w.full->n_free, 4);
    sb_prefix_keep(w.p, a, ids[0], &ma);
    sb_prefix_keep(w.p, b, ids[0], &mb);
    assert_int_equal(w.full->n_pages - w.full->n_free, 2);
    assert_int_equal(w.win->n_pages - w.win->n_free, 2);
    assert_int_equal(w.full->n_tree, 0);
    assert_int_equal(a->pages[w.i_full][1], b->pages[w.i_full][1]);
    float la[HOUSE_VOCAB], lb[HOUSE_VOCAB];
    feed(&w, a, ids[0] + 128, 30, la);
    feed(&w, b, ids[0] + 128, 30, lb);
    assert_memory_equal(la, lb, sizeof la);
    sb_prefix_leave(w.p, &ma);
    sb_prefix_leave(w.p, &mb);
    sb_session_close(a);
    assert_int_equal(w.full->n_tree, 0);
    sb_session_close(b);
    assert_int_equal(w.full->n_tree, 2);
    fell(&w);
}

/* A tail is not kept beside what it has grown to. */
static void tails_grow(void **state)
{
    (void)state;
    wood w = plant(0);
    for (int32_t n = 5; n <= 60; n += 11) {
        assert_int_equal(grow(&w, 1, ids[0], n), n > 5 ? n - 11 : 0);
        assert_int_equal(w.full->n_tree, 1);
    }
    assert_int_equal(grow(&w, 1, ids[0], 64), 60);
    assert_int_equal(w.full->n_tree, 1);
    assert_int_equal(grow(&w, 1, ids[0], 30), 29); /* shorter: there already */
    assert_int_equal(w.full->n_tree, 1);
    static int32_t other[HOUSE_CTX];
    memcpy(other, ids[0], sizeof other);
    other[50]++;
    assert_int_equal(grow(&w, 1, other, 60), 50);
    assert_int_equal(w.full->n_tree, 2);
    fell(&w);
}

/* Frees a page of the group although some are free. */
static void take_back(wood *w, int32_t group)
{
    sb_kv_group *g = &w->rig.engine->groups[group];
    const int32_t n_free = g->n_free;
    g->n_free = 0;
    int32_t top = 0;
    memcpy(&top, g->free_ids, sizeof top); /* the freed page lands there */
    const bool ok = sb_prefix_reclaim(w->p, group);
    assert_int_equal(g->n_free, ok ? 1 : 0);
    if (ok) {
        const int32_t freed = g->free_ids[0];
        g->free_ids[0] = top;
        g->free_ids[n_free] = freed;
    }
    g->n_free = n_free + ok;
}

static void the_least_valuable_goes_first(void **state)
{
    (void)state;
    wood w = plant(0);
    for (int i = 0; i < 3; i++)
        (void)grow(&w, 1, ids[i], 200);
    for (int k = 0; k < 9; k++) { /* the first is the oldest, but of use; then time goes by */
        sb_session *s = open_session(&w);
        sb_prefix_mark mark = {.node = -1};
        assert_int_equal(sb_prefix_resume(w.p, 1, ids[0], 200, s, &mark), 199);
        sb_prefix_leave(w.p, &mark);
        sb_session_close(s);
        sb_prefix_tick(w.p);
    }
    /* Tails (8 tokens) first, the older before the younger; then leaf by leaf. */
    take_back(&w, w.i_full);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[1], 201), 192);
    take_back(&w, w.i_full);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[2], 201), 192);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], 201), 200);
    for (int k = 0; k < 6; k++)
        take_back(&w, w.i_full);
    const int32_t left[] = {sb_prefix_find(w.p, 1, ids[0], 201),
                            sb_prefix_find(w.p, 1, ids[1], 201),
                            sb_prefix_find(w.p, 1, ids[2], 201)};
    assert_true(left[0] >= 192);
    assert_true(left[1] <= left[2]);
    assert_true(left[1] + left[2] <= 64);
    while (w.full->n_tree)
        take_back(&w, w.i_full);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sb_prefix_find(w.p, 1, ids[i], 201), 0);
    assert_int_equal(w.p->roots, -1);
    fell(&w);
}

/* Pages of the window go from the middle of a way first: its end can still be gone on from. */
static void windows_lose_their_middle_first(void **state)
{
    (void)state;
    wood w = plant(0);
    (void)grow(&w, 1, ids[0], 64 * 6 + 20);
    assert_int_equal(w.win->n_tree, 7);
    for (int k = 0; k < 4; k++) {
        take_back(&w, w.i_win);
        assert_int_equal(sb_prefix_find(w.p, 1, ids[0], HOUSE_CTX), 64 * 6 + 20);
    }
    assert_int_equal(w.full->n_tree, 7);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], 64 * 3 + 10), 0); /* no window there */
    float first[HOUSE_VOCAB], now[HOUSE_VOCAB];
    sb_session *a = open_session(&w), *b = open_session(&w);
    sb_prefix_mark mark = {.node = -1};
    const int32_t at = sb_prefix_resume(w.p, 1, ids[0], 64 * 6 + 21, b, &mark);
    assert_int_equal(at, 64 * 6 + 20);
    feed(&w, a, ids[0], at, NULL);
    feed(&w, a, ids[1], 50, first);
    feed(&w, b, ids[1], 50, now);
    assert_memory_equal(first, now, sizeof first);
    sb_prefix_leave(w.p, &mark);
    sb_session_close(b);
    /* Who computes it again gives the pages back to the way. */
    sb_session_close(a);
    assert_int_equal(grow(&w, 1, ids[0], 64 * 3 + 10), 0);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], 64 * 3 + 10), 64 * 3); /* its full blocks */
    while (w.win->n_tree)
        take_back(&w, w.i_win);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], HOUSE_CTX), 0);
    fell(&w);
}

/* A page shared with a session only is given up when there is no other. */
static void the_last_page_is_taken_over(void **state)
{
    (void)state;
    float first[HOUSE_VOCAB], now[HOUSE_VOCAB];
    wood w = plant(0);
    (void)grow(&w, 1, ids[0], 40);
    sb_session *a = open_session(&w), *b = open_session(&w);
    sb_prefix_mark mark = {.node = -1};
    assert_int_equal(sb_prefix_resume(w.p, 1, ids[0], 31, b, &mark), 30);
    feed(&w, a, ids[0], 30, NULL);
    feed(&w, a, ids[1], 20, first);
    const int32_t n_full = w.full->n_free, n_win = w.win->n_free;
    w.full->n_free = w.win->n_free = 0; /* as if all were held */
    const int32_t page = b->pages[w.i_full][0];
    feed(&w, b, ids[1], 20, now);
    assert_int_equal(b->pages[w.i_full][0], page);
    assert_memory_equal(first, now, sizeof first);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], 41), 0);
    w.full->n_free = n_full;
    w.win->n_free = n_win;
    sb_prefix_leave(w.p, &mark);
    sb_session_close(a);
    sb_session_close(b);
    fell(&w);
}

static void it_keeps_no_more_than_it_may(void **state)
{
    (void)state;
    wood w = plant(1);
    const uint64_t block = w.full->page_bytes + w.win->page_bytes;
    fell(&w);
    w = plant(5 * block);
    for (int i = 0; i < 4; i++) {
        (void)grow(&w, 1, ids[i], 300);
        sb_prefix_trim(w.p, 0, 0);
        assert_true(sb_prefix_bytes(w.p) <= 5 * block);
        assert_true(sb_prefix_bytes(w.p) > 3 * block);
    }
    assert_true(sb_prefix_find(w.p, 1, ids[3], 301) > 0);
    fell(&w);
}

static void scopes_are_forgotten_apart(void **state)
{
    (void)state;
    wood w = plant(0);
    for (uint64_t scope = 1; scope <= 3; scope++)
        assert_int_equal(grow(&w, scope, ids[0], 100), 0);
    sb_session *s = open_session(&w);
    sb_prefix_mark mark = {.node = -1};
    (void)sb_prefix_resume(w.p, 3, ids[0], 100, s, &mark);
    sb_prefix_forget(w.p, 2);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], 101), 100);
    assert_int_equal(sb_prefix_find(w.p, 2, ids[0], 101), 0);
    sb_prefix_forget(w.p, 0);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], 101), 0);
    assert_int_equal(sb_prefix_find(w.p, 3, ids[0], 101), 64); /* where the session stands */
    sb_prefix_leave(w.p, &mark);
    sb_session_close(s);
    sb_prefix_forget(w.p, 3);
    assert_int_equal(w.p->roots, -1);
    fell(&w);
}

/* Without a spare node the least valuable leaf makes room; with none, nothing is kept. */
static void nodes_run_out(void **state)
{
    (void)state;
    wood w = plant(0);
    (void)grow(&w, 1, ids[0], 100);
    const int32_t spare = w.p->spare;
    w.p->spare = -1;
    assert_int_equal(grow(&w, 1, ids[1], 128),
                     0); /* root and two blocks of the first go, or its own */
    assert_true(sb_prefix_find(w.p, 1, ids[1], 129) >= 64);
    assert_true(sb_prefix_find(w.p, 1, ids[0], 101) <= 64);
    sb_prefix_forget(w.p, 0);
    w.p->spare = -1;
    assert_int_equal(grow(&w, 1, ids[2], 128), 0);
    assert_int_equal(sb_prefix_find(w.p, 1, ids[2], 129), 0);
    w.p->spare = spare;
    fell(&w);
}

/* Short ways have a room of their own; long ones, and what leads to them, are not asked for it. */
static void short_ways_have_little_room(void **state)
{
    (void)state;
    enum { QUICK = 150, LONG = 300 };
    wood w = plant(0);
    int32_t other[16][100];
    (void)grow(&w, 1, ids[0], LONG);
    const uint64_t of_long = sb_prefix_bytes(w.p);
    for (int i = 0; i < 16; i++)
        house_ids(other[i], 100, (uint64_t)i + 50);
    (void)grow(&w, 1, other[0], 100);
    const uint64_t each = sb_prefix_bytes(w.p) - of_long;
    for (int i = 1; i < 16; i++) {
        (void)grow(&w, 1, other[i], 100);
        sb_prefix_tick(w.p);
        sb_prefix_trim(w.p, QUICK, 3 * each);
        assert_true(sb_prefix_bytes(w.p) <= of_long + 3 * each);
    }
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], LONG), LONG - 1);
    assert_int_equal(sb_prefix_find(w.p, 1, other[15], 100), 99);
    assert_int_equal(sb_prefix_find(w.p, 1, other[0], 100), 0);
    sb_prefix_trim(w.p, QUICK, 1); /* all of the short ones go, none of the long */
    assert_int_equal(sb_prefix_find(w.p, 1, ids[0], LONG), LONG - 1);
    fell(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_ways_have_little_room),
        cmocka_unit_test(it_is_found_to_the_token),
        cmocka_unit_test(it_goes_on_as_if_it_had_computed_all),
        cmocka_unit_test(the_same_words_are_kept_once),
        cmocka_unit_test(tails_grow),
        cmocka_unit_test(the_least_valuable_goes_first),
        cmocka_unit_test(windows_lose_their_middle_first),
        cmocka_unit_test(the_last_page_is_taken_over),
        cmocka_unit_test(it_keeps_no_more_than_it_may),
        cmocka_unit_test(scopes_are_forgotten_apart),
        cmocka_unit_test(nodes_run_out),
    };
    return cmocka_run_group_tests(tests, fill_ids, house_drop_model);
}
