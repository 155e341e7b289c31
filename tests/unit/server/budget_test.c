/* SPDX-License-Identifier: Apache-2.0
 * budget_test.c - a day's energy of each key: what is left, over restarts and midnights, and what
 * grams and money come to. */
#include "server/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { DAY_S = 86400 };
static const int64_t noon = INT64_C(20000) * DAY_S + DAY_S / 2;

/* A data base that says what a test wants, and counts. */
typedef struct store {
    int64_t used_uj, key, day;
    int n_reads;
    sb_status status;
} store;

static sb_status read_day(void *ctx, int64_t key, int64_t day, int64_t *out_uj, sb_error *err)
{
    store *s = ctx;
    s->n_reads++;
    s->key = key;
    s->day = day;
    if (s->status != SB_OK) return SB_FAIL(err, s->status, "the disk is gone");
    *out_uj = s->used_uj;
    return SB_OK;
}

static sb_budgets *make(store *s, const sb_budget_rates *rates)
{
    static const sb_budget_rates none = {0};
    sb_budgets *b = NULL;
    assert_int_equal(sb_budgets_new(&b, rates ? rates : &none, read_day, s, NULL), SB_OK);
    return b;
}

static sb_energy_pot *begin(sb_budgets *b, int64_t key, int64_t limit_uj, int64_t now_s,
                            sb_budget_state *st)
{
    const sb_budget_limits l = {.uj = limit_uj};
    sb_energy_pot *pot = NULL;
    assert_int_equal(sb_budget_begin(b, key, &l, now_s, &pot, st, NULL), SB_OK);
    return pot;
}

static void one_pot_a_key_and_day(void **state)
{
    (void)state;
    store s = {.used_uj = 300};
    sb_budget_state st;
    sb_budgets *b = make(&s, NULL);
    sb_energy_pot *pot = begin(b, 7, 1000, noon, &st);
    assert_true(st.limit_uj == 1000 && st.left_uj == 700 && st.retry_s == DAY_S / 2);
    assert_true(s.key == 7 && s.day == 20000);
    atomic_fetch_sub(&pot->left_uj, 600);
    s.used_uj = 0; /* asked once a day only: the pot knows better */
    assert_ptr_equal(begin(b, 7, 1000, noon + 100, &st), pot);
    assert_true(st.left_uj == 100 && s.n_reads == 1);
    (void)begin(b, 8, 1000, noon, &st); /* another key's is its own */
    assert_true(st.left_uj == 1000 && s.n_reads == 2);
    atomic_fetch_sub(&pot->left_uj, 250);
    (void)begin(b, 7, 1000, noon + 200, &st);
    assert_true(st.left_uj == 0);
    /* The next day begins full, and who still runs takes from it. */
    assert_ptr_equal(begin(b, 7, 1000, noon + DAY_S / 2, &st), pot);
    assert_true(st.left_uj == 1000 && st.retry_s == DAY_S && s.n_reads == 3 && s.day == 20001);
    sb_budgets_free(b);
}

static void what_was_used_before_counts(void **state)
{
    (void)state;
    store s = {.used_uj = 5000};
    sb_budget_state st;
    sb_budgets *b = make(&s, NULL);
    (void)begin(b, 1, 1000, noon, &st);
    assert_true(st.left_uj == 0 && st.limit_uj == 1000);
    s.status = SB_IO;
    const sb_budget_limits l = {.uj = 9};
    sb_energy_pot *pot = NULL;
    assert_int_equal(sb_budget_begin(b, 2, &l, noon, &pot, &st, NULL), SB_IO);
    assert_null(pot);
    sb_budgets_free(b);
}

static void no_limit_no_pot(void **state)
{
    (void)state;
    store s = {0};
    sb_budget_state st;
    sb_budgets *b = make(&s, NULL);
    assert_null(begin(b, 1, 0, noon, &st));
    assert_true(st.limit_uj == 0 && s.n_reads == 0);
    sb_budgets_free(b);
}

static void looking_fills_nothing(void **state)
{
    (void)state;
    store s = {0};
    sb_budget_state st;
    const sb_budget_limits l = {.uj = 50};
    sb_budgets *b = make(&s, NULL);
    assert_true(sb_budget_look(b, 3, &l, noon).limit_uj == 0);
    sb_energy_pot *pot = begin(b, 3, 50, noon, &st);
    atomic_fetch_sub(&pot->left_uj, 20);
    st = sb_budget_look(b, 3, &l, noon + 1);
    assert_true(st.limit_uj == 50 && st.left_uj == 30);
    assert_true(sb_budget_look(b, 3, &l, noon + DAY_S).limit_uj == 0);
    assert_int_equal(s.n_reads, 1);
    sb_budgets_free(b);
}

static void what_settles_later_counts(void **state)
{
    (void)state;
    store s = {0};
    sb_budget_state st;
    sb_budgets *b = make(&s, NULL);
    sb_energy_pot *pot = begin(b, 3, 100, noon, &st);
    atomic_fetch_sub(&pot->left_uj, 40); /* an answer's end */
    sb_budget_settle(b, 3, 35, noon);    /* its tick closes */
    (void)begin(b, 3, 100, noon, &st);
    assert_true(st.left_uj == 25);
    sb_budget_settle(b, 3, -10, noon);
    sb_budget_settle(b, 4, 10, noon);         /* a key without a pot */
    sb_budget_settle(b, 3, 10, noon + DAY_S); /* of a day that nobody has begun in */
    (void)begin(b, 3, 100, noon, &st);
    assert_true(st.left_uj == 35 && s.n_reads == 1);
    sb_budgets_free(b);
}

static void grams_and_money_become_joules(void **state)
{
    (void)state;
    const int64_t kwh = INT64_C(3600000000000);
    const sb_budget_rates france = {.mg_per_kwh = 56000, .nano_per_kwh = 250000000};
    const sb_budget_rates none = {0};
    sb_budget_limits l = {.co2e_ug = 56000000};
    assert_true(sb_budget_day_uj(&l, &france) == kwh);
    assert_true(sb_budget_day_uj(&l, &none) == 0); /* nobody knows the factor */
    l = (sb_budget_limits){.cost_nano = 125000000};
    assert_true(sb_budget_day_uj(&l, &france) == kwh / 2);
    l = (sb_budget_limits){.uj = kwh, .co2e_ug = 14000000, .cost_nano = 125000000};
    assert_true(sb_budget_day_uj(&l, &france) == kwh / 4); /* the tightest */
    assert_true(sb_budget_day_uj(&l, &none) == kwh);
    l = (sb_budget_limits){.co2e_ug = INT64_MAX, .cost_nano = 1};
    assert_true(sb_budget_day_uj(&l, &france) == 14400); /* no overflow on the way */
    l = (sb_budget_limits){.co2e_ug = INT64_MAX};
    assert_true(sb_budget_day_uj(&l, &(sb_budget_rates){.mg_per_kwh = 1}) == 0);
}

static const sb_budget_rates g100 = {.mg_per_kwh = 100000}, g50 = {.mg_per_kwh = 50000};

/* 1 ug is 36 mJ at 100 g a kWh, 72 at 50. */
static sb_budget_state grams(sb_budgets *b, int64_t co2e_ug, sb_energy_pot **out_pot)
{
    const sb_budget_limits l = {.co2e_ug = co2e_ug};
    sb_budget_state st;
    assert_int_equal(sb_budget_begin(b, 4, &l, noon, out_pot, &st, NULL), SB_OK);
    return st;
}

static void a_day_follows_the_factor(void **state)
{
    (void)state;
    store s = {.used_uj = 600000};
    sb_energy_pot *pot = NULL, *same = NULL;
    const sb_budget_limits l = {.co2e_ug = 100};
    sb_budgets *b = make(&s, &g100);
    sb_budget_state st = grams(b, 100, &pot);
    assert_true(st.limit_uj == 3600000 && st.left_uj == 3000000);
    atomic_fetch_sub(&pot->left_uj, 400000);
    sb_budgets_set_rates(b, &g50);
    assert_int_equal(atomic_load(&pot->left_uj), 6200000); /* of who runs now */
    st = sb_budget_look(b, 4, &l, noon);
    assert_true(st.limit_uj == 7200000 && st.left_uj == 6200000);
    sb_budgets_set_rates(b, &(sb_budget_rates){.mg_per_kwh = 1000000}); /* less than was used */
    st = sb_budget_look(b, 4, &l, noon);
    assert_true(st.limit_uj == 360000 && st.left_uj == 0);
    assert_true(atomic_load(&pot->left_uj) <= 0);
    sb_budgets_set_rates(b, &g100); /* and it is exact on the way back */
    st = grams(b, 100, &same);
    assert_true(same == pot && st.left_uj == 2600000 && s.n_reads == 1);
    st = grams(b, 50, &same); /* the key's own limit has changed */
    assert_true(st.limit_uj == 1800000 && st.left_uj == 800000);
    sb_budgets_free(b);
}

/* A factor of nothing limits nothing, but what is used then counts when there is one again. */
static void a_missing_factor_forgets_nothing(void **state)
{
    (void)state;
    store s = {.used_uj = 600000};
    sb_energy_pot *pot = NULL, *same = NULL;
    sb_budgets *b = make(&s, NULL);
    sb_budget_state st = grams(b, 100, &pot);
    assert_true(pot && st.limit_uj == 0 && st.left_uj > 0);
    atomic_fetch_sub(&pot->left_uj, 400000);
    sb_budgets_set_rates(b, &g100);
    st = grams(b, 100, &same);
    assert_true(same == pot && st.limit_uj == 3600000 && st.left_uj == 2600000);
    sb_budgets_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_pot_a_key_and_day),
        cmocka_unit_test(no_limit_no_pot),
        cmocka_unit_test(what_was_used_before_counts),
        cmocka_unit_test(looking_fills_nothing),
        cmocka_unit_test(what_settles_later_counts),
        cmocka_unit_test(grams_and_money_become_joules),
        cmocka_unit_test(a_day_follows_the_factor),
        cmocka_unit_test(a_missing_factor_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
