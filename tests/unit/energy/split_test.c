/* SPDX-License-Identifier: Apache-2.0
 * split_test.c - the split of a step against the definition it is a closed form of, and whole
 * microjoules by weights. */
#include "energy/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

enum { MOST = 6, SETS = 3, UNIT = 720720 /* divided by 1 to 16 */ };

/* A random step whose parts divide without remainder, in rates that keep them whole. */
typedef struct world {
    sb_work_part parts[MOST];
    sb_work_shared sets[SETS];
    int32_t members[SETS][MOST];
    sb_work_record r;
} world;

static const sb_split_rates bytes_only = {
    .thread_mw = 0, .pj_per_byte = 3, .fj_per_op = 1000, .ps_per_byte = 25};

static void make(world *w, int32_t n)
{
    memset(w, 0, sizeof *w);
    for (int32_t i = 0; i < n; i++)
        w->parts[i] = (sb_work_part){.owner = (uint64_t)i + 1,
                                     .n_decode = 1,
                                     .n_ops = 1 + draw(1000000),
                                     .kv_bytes = draw(100000),
                                     .own_ns = draw(1000)};
    for (int32_t s = 0; s < SETS; s++) {
        for (int32_t i = 0; i < n; i++)
            if (draw(2)) w->members[s][w->sets[s].n_part++] = i;
        w->sets[s].bytes = UNIT * (1 + draw(20));
        w->sets[s].parts = w->members[s];
    }
    w->r = (sb_work_record){.begin_ns = 5,
                            .end_ns = 5 + 1000000 + draw(100000000),
                            .n_threads = 2,
                            .dense_bytes = UNIT * (1 + draw(100)),
                            .n_shared = SETS,
                            .shared = w->sets,
                            .n_part = n,
                            .parts = w->parts};
}

/* What a coalition of parts (bits) would cost alone. */
static uint64_t cost_of(const world *w, unsigned in)
{
    uint64_t pj = in ? w->r.dense_bytes * 3 : 0;
    for (int32_t s = 0; s < SETS; s++) {
        bool read = false;
        for (int32_t i = 0; i < w->sets[s].n_part; i++)
            read = read || (in >> w->members[s][i] & 1u);
        if (read) pj += w->sets[s].bytes * 3;
    }
    for (int32_t i = 0; i < w->r.n_part; i++)
        if (in >> i & 1u) pj += w->parts[i].n_ops + w->parts[i].kv_bytes * 3;
    return pj;
}

/* Sum over all orders of what part i adds when it comes, and the number of orders. */
static uint64_t over_orders(const world *w, int32_t i, const int32_t *order, int32_t n_left,
                            unsigned in, uint64_t *n_orders)
{
    if (n_left == 0) {
        ++*n_orders;
        return 0;
    }
    uint64_t sum = 0;
    for (int32_t k = 0; k < n_left; k++) {
        int32_t rest[MOST];
        const int32_t next = order[k];
        for (int32_t j = 0, m = 0; j < n_left; j++)
            if (j != k) rest[m++] = order[j];
        const uint64_t before = *n_orders;
        sum += over_orders(w, i, rest, n_left - 1, in | 1u << next, n_orders);
        if (next == i) sum += (cost_of(w, in | 1u << i) - cost_of(w, in)) * (*n_orders - before);
    }
    return sum;
}

static void closed_form_is_shapley(void **unused)
{
    (void)unused;
    for (int trial = 0; trial < 200; trial++) {
        world w;
        const int32_t n = 1 + (int32_t)draw(MOST);
        int32_t order[MOST];
        uint64_t got[MOST];
        make(&w, n);
        for (int32_t i = 0; i < n; i++)
            order[i] = i;
        sb_split_step(&w.r, &bytes_only, got);
        for (int32_t i = 0; i < n; i++) {
            uint64_t n_orders = 0;
            const uint64_t sum = over_orders(&w, i, order, n, 0, &n_orders);
            assert_int_equal(sum % n_orders, 0);
            assert_int_equal(got[i], sum / n_orders);
        }
    }
}

/* Adding a part never makes another's dearer: the step lasts longer by what the new one takes. */
static void sharing_never_hurts(void **unused)
{
    (void)unused;
    for (int trial = 0; trial < 2000; trial++) {
        world w;
        uint64_t alone[MOST], crowd[MOST];
        const int32_t n = 1 + (int32_t)draw(MOST - 1);
        make(&w, n + 1);
        const uint64_t read_ns = sb_work_weight_bytes(&w.r) * sb_split_usual.ps_per_byte / 1000;
        uint64_t ops = 0, own = 0;
        for (int32_t i = 0; i < n; i++) {
            ops += w.parts[i].n_ops;
            own += w.parts[i].own_ns;
        }
        w.r.n_threads = 1;
        w.r.begin_ns = 0;
        w.r.end_ns = read_ns + ops * 3 + own;
        w.r.n_part = n;
        for (int32_t s = 0; s < SETS; s++) /* the newcomer reads everything */
            for (int32_t i = 0; i < w.sets[s].n_part; i++)
                if (w.members[s][i] == n) w.sets[s].n_part = i;
        sb_split_step(&w.r, &sb_split_usual, alone);
        for (int32_t s = 0; s < SETS; s++)
            w.members[s][w.sets[s].n_part++] = n;
        w.r.n_part = n + 1;
        w.r.end_ns += w.parts[n].n_ops * 3 + w.parts[n].own_ns;
        sb_split_step(&w.r, &sb_split_usual, crowd);
        for (int32_t i = 0; i < n; i++)
            assert_true(crowd[i] <= alone[i] + 2 * sb_split_usual.thread_mw); /* a ns of rounding */
    }
}

/* Decoders do not pay for a neighbour's prompt: its rows are its own. */
static void a_long_prompt_pays_for_itself(void **unused)
{
    (void)unused;
    const sb_work_part parts[] = {{.owner = 1, .n_decode = 1, .n_ops = 1000000000},
                                  {.owner = 2, .n_prefill = 255, .n_ops = 255000000000}};
    sb_work_record r = {.begin_ns = 0,
                        .end_ns = 20000000,
                        .n_threads = 2,
                        .dense_bytes = 700000000,
                        .n_part = 1,
                        .parts = parts};
    uint64_t alone[2], both[2];
    sb_split_step(&r, &sb_split_usual, alone);
    r.n_part = 2;
    r.end_ns = 300000000;
    sb_split_step(&r, &sb_split_usual, both);
    assert_true(both[0] < alone[0]);
    assert_true(both[1] > 5 * both[0]);
}

static void no_tokens_no_weight(void **unused)
{
    (void)unused;
    world w;
    uint64_t got[MOST];
    make(&w, 3);
    w.r.n_shared = 0;
    w.parts[1].n_decode = 0;
    sb_split_step(&w.r, &sb_split_usual, got);
    assert_int_equal(got[1], 0);
    assert_true(got[0] > 0 && got[2] > 0);
}

static void whole_units_add_up(void **unused)
{
    (void)unused;
    for (int trial = 0; trial < 100000; trial++) {
        sb_split_item items[64];
        const size_t n = 1 + draw(64);
        const int64_t whole = (int64_t)(draw(4) ? draw(1000) : draw(UINT64_C(1) << 50));
        bool any = false;
        for (size_t i = 0; i < n; i++) {
            const uint64_t weight = draw(3) ? draw(UINT64_C(1) << (1 + draw(63))) : 0;
            items[i] = (sb_split_item){.owner = i + 1, .weight = weight};
            any = any || weight;
        }
        assert_int_equal(sb_split_whole(whole, items, n), any);
        int64_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            assert_true(items[i].uj >= 0);
            if (items[i].weight == 0) assert_int_equal(items[i].uj, 0);
            sum += items[i].uj;
        }
        assert_int_equal(sum, any ? whole : 0);
    }
}

static void equal_weights_equal_parts(void **unused)
{
    (void)unused;
    sb_split_item items[7];
    for (size_t i = 0; i < 7; i++)
        items[i] = (sb_split_item){.owner = 70 - i, .weight = 12345};
    assert_true(sb_split_whole(100, items, 7));
    for (size_t i = 0; i < 7; i++) /* 14 each, and the two left to the older */
        assert_int_equal(items[i].uj, items[i].owner < 66 ? 15 : 14);
}

static void order_changes_nothing(void **unused)
{
    (void)unused;
    sb_split_item a[20], b[20];
    for (size_t i = 0; i < 20; i++) {
        a[i] = (sb_split_item){.owner = i + 1, .weight = draw(1000)};
        b[19 - i] = a[i];
    }
    assert_true(sb_split_whole(777777, a, 20) && sb_split_whole(777777, b, 20));
    for (size_t i = 0; i < 20; i++)
        for (size_t j = 0; j < 20; j++)
            if (a[i].owner == b[j].owner) assert_int_equal(a[i].uj, b[j].uj);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_form_is_shapley),
        cmocka_unit_test(sharing_never_hurts),
        cmocka_unit_test(a_long_prompt_pays_for_itself),
        cmocka_unit_test(no_tokens_no_weight),
        cmocka_unit_test(whole_units_add_up),
        cmocka_unit_test(equal_weights_equal_parts),
        cmocka_unit_test(order_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
