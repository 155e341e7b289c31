/* SPDX-License-Identifier: Apache-2.0
 * grid_watch_test.c - the factor in force while its file changes, ages, breaks and goes; grams by
 * the factor of their time; readers beside a writer. */
#include "server/grid_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOW = 1796000000 };
static const int64_t kwh_uj = INT64_C(3600000000000);

typedef struct house {
    char dir[40], path[64];
    sb_grid_watch *w;
} house;

/* A new file in the old one's place, as whoever keeps it fresh should do. */
static void put(const house *h, const char *text, int64_t time_s)
{
    char next[80];
    (void)snprintf(next, sizeof next, "%s.new", h->path);
    FILE *f = fopen(next, "w");
    assert_non_null(f);
    assert_true(fprintf(f, text, (long long)time_s) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(next, h->path), 0);
}

static void begin(house *h, const char *text)
{
    sb_grid g;
    *h = (house){.dir = "/tmp/sobre-watch-XXXXXX"};
    assert_non_null(mkdtemp(h->dir));
    (void)snprintf(h->path, sizeof h->path, "%s/grid", h->dir);
    put(h, text, NOW);
    assert_int_equal(sb_grid_parse(&g, h->path, NOW, NULL), SB_OK);
    assert_int_equal(sb_grid_watch_new(&h->w, &g, h->path, NULL), SB_OK);
}

static void end(house *h)
{
    sb_grid_watch_free(h->w);
    (void)unlink(h->path);
    assert_int_equal(rmdir(h->dir), 0);
}

static sb_grid in_force(house *h, int64_t now_s)
{
    sb_grid g;
    assert_true(sb_grid_watch_get(h->w, now_s, &g));
    return g;
}

static sb_grid read_now(house *h, int64_t now_s, int64_t used_uj)
{
    sb_grid was, now;
    sb_grid_watch_read(h->w, now_s, used_uj, &was, &now);
    return now;
}

static void the_file_is_read_again(void **state)
{
    (void)state;
    house h;
    begin(&h, "50 %lld FR");
    assert_int_equal(in_force(&h, NOW).mg_per_kwh, 50000);
    put(&h, "70 %lld FR", NOW + 60);
    assert_int_equal(in_force(&h, NOW + 60).mg_per_kwh, 50000); /* nobody has read it */
    sb_grid was, now;
    sb_grid_watch_read(h.w, NOW + 60, 0, &was, &now);
    assert_int_equal(was.mg_per_kwh, 50000);
    assert_int_equal(now.mg_per_kwh, 70000);
    assert_int_equal(in_force(&h, NOW + 60).mg_per_kwh, 70000);
    assert_int_equal(in_force(&h, NOW + 60).time_s, NOW + 60);
    put(&h, "seventy", 0);
    assert_string_equal(read_now(&h, NOW + 61, 0).zone, "WORLD");
    assert_string_equal(in_force(&h, NOW + 61).why, "does not begin with grams a kWh");
    assert_int_equal(unlink(h.path), 0);
    assert_string_equal(read_now(&h, NOW + 62, 0).why, "cannot be read");
    put(&h, "71 %lld FR", NOW + 63);
    assert_int_equal(read_now(&h, NOW + 63, 0).kind, SB_GRID_live);
    assert_null(in_force(&h, NOW + 63).why);
    end(&h);
}

static void a_value_ends_though_nobody_reads(void **state)
{
    (void)state;
    house h;
    begin(&h, "50 %lld FR");
    assert_int_equal(in_force(&h, NOW + SB_GRID_STALE_S).kind, SB_GRID_live);
    const sb_grid g = in_force(&h, NOW + SB_GRID_STALE_S + 1);
    assert_int_equal(g.mg_per_kwh, 56000);
    assert_int_equal(g.kind, SB_GRID_average);
    assert_string_equal(g.why, "is too old");
    end(&h);
}

static const sb_grid_account *account(const sb_grid_account *v, size_t n, const char *zone,
                                      sb_grid_kind kind)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].kind == kind && strcmp(v[i].zone, zone) == 0) return &v[i];
    fail_msg("no account of %s", zone);
    return NULL;
}

static void grams_by_the_factor_of_their_time(void **state)
{
    (void)state;
    house h;
    sb_grid_account v[SB_GRID_ACCOUNTS];
    begin(&h, "50 %lld FR");
    assert_int_equal(sb_grid_watch_sums(h.w, kwh_uj, v), 1);
    assert_true(v[0].ug == 50000000 && v[0].year == 0);
    (void)read_now(&h, NOW + 1, kwh_uj); /* the same again: nothing changes */
    put(&h, "100 %lld FR", NOW + 2);
    (void)read_now(&h, NOW + 2, 2 * kwh_uj);
    assert_int_equal(sb_grid_watch_sums(h.w, 3 * kwh_uj, v), 1);
    assert_true(v[0].ug == 200000000); /* 2 kWh at 50, one at 100 */
    (void)read_now(&h, NOW + 2 * SB_GRID_STALE_S, 3 * kwh_uj);
    size_t n = sb_grid_watch_sums(h.w, 4 * kwh_uj, v);
    assert_int_equal(n, 2);
    assert_true(account(v, n, "FR", SB_GRID_live)->ug == 200000000);
    assert_true(account(v, n, "FR", SB_GRID_average)->ug == 56000000);
    assert_int_equal(account(v, n, "FR", SB_GRID_average)->year, 2023);
    char zones[256], *rest = zones; /* whatever a file says has its account */
    (void)snprintf(zones, sizeof zones, "%s", sb_grid_zones());
    for (char *z; (z = strtok_r(rest, " ", &rest)) != NULL;) {
        char text[32];
        (void)snprintf(text, sizeof text, "9 %%lld %s", z);
        put(&h, text, NOW);
        (void)read_now(&h, NOW, 4 * kwh_uj);
        (void)read_now(&h, NOW + 2 * SB_GRID_STALE_S, 4 * kwh_uj);
    }
    put(&h, "9 %lld", NOW);
    (void)read_now(&h, NOW, 4 * kwh_uj);
    n = sb_grid_watch_sums(h.w, 5 * kwh_uj, v);
    assert_int_equal(n, 25);
    assert_true(account(v, n, "", SB_GRID_live)->ug == 9000000);
    assert_true(account(v, n, "FR", SB_GRID_average)->ug == 56000000);
    end(&h);
}

static void what_is_no_file_stays(void **state)
{
    (void)state;
    sb_grid g, was, now;
    sb_grid_account v[SB_GRID_ACCOUNTS];
    sb_grid_watch *w = NULL;
    assert_true(sb_grid_find("DE", &g));
    assert_int_equal(sb_grid_watch_new(&w, &g, NULL, NULL), SB_OK);
    sb_grid_watch_read(w, NOW, 0, &was, &now);
    assert_true(was.mg_per_kwh == 381000 && now.mg_per_kwh == 381000);
    assert_true(sb_grid_watch_get(w, INT64_C(1) << 40, &now) && now.mg_per_kwh == 381000);
    assert_int_equal(sb_grid_watch_sums(w, kwh_uj, v), 1);
    assert_true(v[0].ug == 381000000);
    sb_grid_watch_free(w);
    assert_false(sb_grid_watch_get(NULL, NOW, &now));
    assert_int_equal(sb_grid_watch_sums(NULL, kwh_uj, v), 0);
    sb_grid_watch_free(NULL);
}

enum { ROUNDS = 300 };

static void *ask(void *house_)
{
    house *h = house_;
    sb_grid_account v[SB_GRID_ACCOUNTS];
    for (int i = 0; i < ROUNDS; i++) {
        sb_grid g;
        (void)sb_grid_watch_get(h->w, NOW, &g);
        if (g.mg_per_kwh != 50000 && g.mg_per_kwh != 70000) return h;
        if (sb_grid_watch_sums(h->w, kwh_uj, v) != 1) return h;
    }
    return NULL;
}

static void askers_see_one_value_or_the_other(void **state)
{
    (void)state;
    house h;
    pthread_t t[2];
    void *failed[2];
    begin(&h, "50 %lld FR");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, ask, &h), 0);
    for (int i = 0; i < ROUNDS; i++) {
        put(&h, i % 2 ? "50 %lld FR" : "70 %lld FR", NOW);
        assert_int_equal(read_now(&h, NOW, 0).kind, SB_GRID_live);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(t[i], &failed[i]), 0);
    assert_true(!failed[0] && !failed[1]);
    end(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_is_read_again),
        cmocka_unit_test(a_value_ends_though_nobody_reads),
        cmocka_unit_test(grams_by_the_factor_of_their_time),
        cmocka_unit_test(what_is_no_file_stays),
        cmocka_unit_test(askers_see_one_value_or_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
