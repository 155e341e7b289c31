/* SPDX-License-Identifier: Apache-2.0
 * ledger_log_test.c - what is written down adds up, goes on after a kill, and shows every change.
 * */
#include "book_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static void assert_whole(const sb_audit_result *a)
{
    if (!a->chain_ok || !a->sums_ok)
        fail_msg("line %lld: %s", (long long)a->first_bad_line, a->why);
    const sb_ledger_sums *s = &a->sums;
    assert_int_equal(s->meter_uj,
                     s->requests_uj + s->idle_uj + s->other_uj + s->system_uj + s->lost_uj);
}

static void some_lines(rig *r)
{
    json_t *receipt = NULL;
    rig_tick(r, 1, 300, 1000);
    rig_tick(r, 2, 400, 1500);
    assert_int_equal(rig_receipt(r, "a", 1, 300, SB_ENERGY_MEASURED, NULL, &receipt), SB_OK);
    json_decref(receipt);
    rig_tick(r, 0, 0, 50);
}

/* A log of some lines, closed, and its bytes; the caller frees them. */
static char *some_log(rig *r, size_t *n)
{
    rig_init(r);
    rig_open(r);
    some_lines(r);
    rig_close(r);
    return rig_read(r, n);
}

static void sums_are_the_meter(void **state)
{
    (void)state;
    rig r;
    json_t *receipt = NULL;
    rig_init(&r);
    rig_open(&r);
    some_lines(&r);
    assert_int_equal(rig_receipt(&r, "b", 2, 400, SB_ENERGY_MEASURED, NULL, &receipt), SB_OK);
    const sb_audit_result a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.sums.meter_uj, 2550);
    assert_int_equal(a.sums.requests_uj, 700);
    assert_int_equal(a.sums.idle_uj, 30);
    assert_int_equal(a.n_receipts, 2);
    assert_int_equal(a.n_ticks, 3);
    assert_int_equal(a.source, SB_ENERGY_MEASURED);
    assert_int_equal(a.unreceipted_uj, 0);
    assert_int_equal(a.torn_bytes, 0);
    json_decref(receipt);
    rig_end(&r);
}

/* What no meter counted stands beside the sums, unless there is nothing else. */
static void estimates_stand_beside(void **state)
{
    (void)state;
    rig r;
    json_t *receipt = NULL;
    rig_init(&r);
    rig_open(&r);
    rig_estimate(&r, 1, 500);
    sb_audit_result a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.source, SB_ENERGY_ESTIMATED);
    assert_int_equal(a.sums.meter_uj, 500);
    rig_tick(&r, 1, 300, 1000);
    /* The label follows: a receipt with an estimated part is an estimate. */
    assert_int_equal(rig_receipt(&r, "a", 1, 800, SB_ENERGY_MEASURED, NULL, &receipt), SB_OK);
    const json_t *source = json_object_get(receipt, "source");
    assert_string_equal(json_string_value(json_object_get(source, "label")), "estimated");
    assert_int_equal(json_integer_value(json_object_get(receipt, "estimated_uj")), 500);
    json_decref(receipt);
    a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.source, SB_ENERGY_MEASURED);
    assert_int_equal(a.sums.meter_uj, 1000);
    assert_int_equal(a.estimated_uj, 500);
    rig_end(&r);
}

/* What the counter moved by while nobody looked is lost, to the last microjoule. */
static void a_gap_is_lost(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    rig_open(&r);
    some_lines(&r);
    rig_close(&r);
    rig_count(&r, r.uj + 12345);
    rig_open(&r);
    rig_tick(&r, 3, 100, 600);
    sb_audit_result a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.sums.lost_uj, 12345);
    assert_int_equal(a.sums.meter_uj, r.uj - 1000000);
    assert_int_equal(a.n_opens, 2);
    assert_int_equal(a.n_unknown_gaps, 0);
    assert_int_equal(a.unreceipted_uj, 500); /* 2 and 3 have no receipt */
    assert_int_equal(sb_ledger_log_last_owner(r.log), 3);
    rig_close(&r);
    rig_count(&r, 5); /* turned over, or began anew: too much for the time */
    rig_open(&r);
    a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.n_unknown_gaps, 1);
    rig_end(&r);
}

/* Energy between a start and the first tick, or of a tick that could not be written. */
static void a_tick_tells_what_came_before_it(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    rig_open(&r);
    rig_count(&r, r.uj + 77);
    (void)sb_meter_begin(r.meter);
    r.sum_uj += 77;
    rig_tick(&r, 1, 300, 1000);
    const sb_audit_result a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.sums.lost_uj, 77);
    assert_int_equal(a.sums.meter_uj, 1077);
    rig_end(&r);
}

static void wraps_count(void **state)
{
    (void)state;
    sb_ledger_base a = {
        .boot = "b", .mono_ns = 1000, .n = 2, .rows = {{"p0", 990, 1000}, {"p1", 5, 0}}};
    sb_ledger_base b = a;
    int64_t uj = -1;
    b.mono_ns = 2000;
    assert_true(sb_ledger_gap(&a, &b, &uj) == false); /* a range that a second can wrap */
    a.rows[0] = b.rows[0] =
        (sb_meter_raw_row){"p0", UINT64_C(262143328800), UINT64_C(262143328850)};
    b.rows[0].raw_uj = 100;
    b.rows[1].raw_uj = 25;
    assert_true(sb_ledger_gap(&a, &b, &uj));
    assert_int_equal(uj, 150 + 20);
    b.rows[1].raw_uj = 4; /* one without a range went back */
    assert_false(sb_ledger_gap(&a, &b, &uj));
    b.rows[1].raw_uj = 5 + 3 * UINT64_C(1000000000); /* 3 kJ in a second */
    assert_false(sb_ledger_gap(&a, &b, &uj));
    b = a;
    b.mono_ns = 2000;
    (void)strcpy(b.boot, "c");
    assert_false(sb_ledger_gap(&a, &b, &uj));
    b = a;
    b.mono_ns = INT64_C(400000000000); /* long enough to turn over unseen */
    assert_false(sb_ledger_gap(&a, &b, &uj));
    b.n = 1;
    assert_false(sb_ledger_gap(&a, &b, &uj));
    /* Two dies that show one counter count once. */
    b = a;
    a.rows[1] = a.rows[0];
    b.rows[1] = b.rows[0];
    b.rows[0].raw_uj += 9;
    b.rows[1].raw_uj += 9;
    assert_true(sb_ledger_gap(&a, &b, &uj));
    assert_int_equal(uj, 9);
}

/* A kill may leave any part of the last line. */
static void torn_tails_are_cut(void **state)
{
    (void)state;
    rig r;
    size_t n = 0;
    char *all = some_log(&r, &n);
    size_t last = n - 1;
    while (all[last - 1] != '\n')
        last--;
    for (size_t cut = last; cut < n; cut++) {
        rig_write(&r, all, cut);
        sb_audit_result a = rig_audit(&r);
        assert_whole(&a);
        assert_int_equal(a.torn_bytes, cut - last);
        rig_open(&r);
        rig_tick(&r, 9, 1, 20);
        rig_close(&r);
        a = rig_audit(&r);
        assert_whole(&a);
        assert_int_equal(a.torn_bytes, 0);
        assert_int_equal(a.n_ticks, 3);
        assert_int_equal(a.sums.meter_uj, r.uj - 1000000);
    }
    free(all);
    rig_end(&r);
}

/* Every single byte, changed in three ways. */
static void every_change_is_noticed(void **state)
{
    (void)state;
    rig r;
    size_t n = 0;
    char *all = some_log(&r, &n);
    const char ways[] = {1, 0x20, (char)0x80};
    for (size_t i = 0; i < n; i++)
        for (size_t w = 0; w < sizeof ways; w++) {
            sb_ledger_audit *x = NULL;
            assert_int_equal(sb_ledger_audit_new(&x, NULL), SB_OK);
            all[i] = (char)(all[i] ^ ways[w]);
            assert_int_equal(sb_ledger_audit_add(x, all, n, NULL), SB_OK);
            all[i] = (char)(all[i] ^ ways[w]);
            const sb_audit_result a = sb_ledger_audit_end(x);
            if (a.chain_ok && a.torn_bytes == 0) fail_msg("byte %zu of %zu", i, n);
            sb_ledger_audit_free(x);
        }
    free(all);
    rig_end(&r);
}

/* Lines that go, come twice, or change places. */
static void whole_lines_are_missed(void **state)
{
    (void)state;
    rig r;
    size_t n = 0;
    char *all = some_log(&r, &n);
    const char *first = memchr(all, '\n', n), *second = strchr(first + 1, '\n') + 1;
    const size_t a = (size_t)(first + 1 - all), b = (size_t)(second - all);
    char *other = malloc(2 * n);
    assert_non_null(other);
    memcpy(other, all, a); /* without the second */
    memcpy(other + a, all + b, n - b);
    rig_write(&r, other, n - (b - a));
    assert_false(rig_audit(&r).chain_ok);
    assert_int_equal(rig_audit(&r).first_bad_line, 2);
    memcpy(other, all, b); /* the second twice */
    memcpy(other + b, all + a, n - a);
    rig_write(&r, other, n + b - a);
    assert_false(rig_audit(&r).chain_ok);
    rig_write(&r, all + a, n - a); /* without the first */
    assert_false(rig_audit(&r).chain_ok);
    free(other);
    free(all);
    rig_end(&r);
}

/* A whole line with its right hash that says what is not so. */
static void wrong_sums_are_noticed(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    rig_open(&r);
    const sb_tick_part part = {1, 100};
    sb_tick t = {
        .source = SB_ENERGY_MEASURED, .meter_uj = 101, .sum_uj = 101, .parts = &part, .n_part = 1};
    assert_int_equal(sb_ledger_log_tick(r.log, &t, NULL), SB_OK); /* 1 uJ is nobody's */
    const sb_audit_result a = rig_audit(&r);
    assert_true(a.chain_ok);
    assert_false(a.sums_ok);
    assert_int_equal(a.first_bad_line, 2);
    assert_non_null(strstr(a.why, "sum of its parts"));
    rig_end(&r);
}

static void the_chain_goes_on_over_files(void **state)
{
    (void)state;
    rig r;
    char path[256];
    struct stat st;
    rig_init(&r);
    r.max_file_bytes = 2000;
    rig_open(&r);
    for (uint64_t i = 1; i <= 20; i++)
        rig_tick(&r, i, 100, 1000);
    rig_path(&r, "ledger-000003.jsonl", path);
    assert_int_equal(stat(path, &st), 0);
    sb_audit_result a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.sums.meter_uj, 20000);
    rig_close(&r);
    rig_count(&r, r.uj + 5);
    rig_open(&r);
    a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.sums.lost_uj, 5);
    /* A kill between the move and the new file. */
    char newest[256], moved[256];
    rig_close(&r);
    rig_path(&r, "ledger.jsonl", newest);
    int i = 1;
    do {
        (void)snprintf(moved, sizeof moved, "%s/ledger/ledger-%06d.jsonl", r.home, i++);
    } while (stat(moved, &st) == 0);
    assert_int_equal(rename(newest, moved), 0);
    a = rig_audit(&r);
    assert_whole(&a);
    rig_open(&r);
    rig_tick(&r, 30, 100, 1000);
    a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.sums.meter_uj, r.uj - 1000000);
    assert_int_equal(a.n_opens, 3);
    /* One file less is a hole. */
    assert_int_equal(unlink(path), 0);
    assert_false(rig_audit(&r).chain_ok);
    rig_end(&r);
}

static void one_writer(void **state)
{
    (void)state;
    rig r;
    sb_ledger_log *other = NULL;
    sb_error err;
    rig_init(&r);
    rig_open(&r);
    const sb_ledger_log_opts o = {.home = r.home};
    assert_int_equal(sb_ledger_log_open(&other, &o, &err), SB_BUSY);
    rig_end(&r);
}

/* A full disk leaves whole lines, and its ticks are lost, not forgotten. */
static void a_full_disk_is_said(void **state)
{
    (void)state;
    rig r;
    size_t n = 0;
    rig_init(&r);
    rig_open(&r);
    rig_tick(&r, 1, 100, 1000);
    free(rig_read(&r, &n));
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit small = {n + 10, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const sb_tick t = {
        .source = SB_ENERGY_MEASURED, .meter_uj = 500, .idle_uj = 500, .sum_uj = 1500};
    assert_int_equal(sb_ledger_log_tick(r.log, &t, NULL), SB_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    sb_audit_result a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.torn_bytes, 0);
    rig_count(&r, r.uj + 500);
    (void)sb_meter_begin(r.meter);
    r.sum_uj += 500;
    rig_tick(&r, 1, 100, 1000);
    a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.sums.lost_uj, 500);
    assert_int_equal(a.sums.meter_uj, 2500);
    rig_end(&r);
}

static void receipts_are_found_again(void **state)
{
    (void)state;
    rig r;
    json_t *made = NULL, *found = NULL;
    rig_init(&r);
    r.max_file_bytes = 1500;
    rig_open(&r);
    rig_tick(&r, 1, 300, 1000);
    assert_int_equal(rig_receipt(&r, "one\"two", 1, 300, SB_ENERGY_MEASURED, NULL, &made), SB_OK);
    for (uint64_t i = 2; i < 9; i++)
        rig_tick(&r, i, 100, 1000);
    const sb_str id = {"one\"two", 7};
    assert_int_equal(sb_ledger_find_receipt(r.home, id, 7, &found, NULL), SB_OK);
    assert_true(json_equal(made, found));
    json_decref(found);
    found = NULL;
    assert_int_equal(sb_ledger_find_receipt(r.home, id, 8, &found, NULL), SB_NOT_FOUND);
    assert_int_equal(sb_ledger_find_receipt(r.home, (sb_str){"one", 3}, 7, &found, NULL),
                     SB_NOT_FOUND);
    json_decref(made);
    rig_end(&r);
}

/* A receipt can hold no less than ticks gave, and what is beside them is told. */
static void receipts_rest_on_ticks(void **state)
{
    (void)state;
    rig r;
    json_t *receipt = NULL;
    rig_init(&r);
    rig_open(&r);
    rig_tick(&r, 1, 300, 1000);
    assert_int_equal(rig_receipt(&r, "a", 1, 299, SB_ENERGY_MEASURED, NULL, &receipt), SB_OK);
    assert_int_equal(json_integer_value(json_object_get(receipt, "energy_uj")), 300);
    json_decref(receipt);
    assert_int_equal(rig_receipt(&r, "b", 5, 42, SB_ENERGY_ESTIMATED, NULL, &receipt), SB_OK);
    assert_int_equal(json_integer_value(json_object_get(receipt, "estimated_uj")), 42);
    json_decref(receipt);
    const sb_audit_result a = rig_audit(&r);
    assert_whole(&a);
    assert_int_equal(a.beside_uj, 42);
    rig_end(&r);
}

static void owners_come_and_go(void **state)
{
    (void)state;
    sb_owner_map m = {0};
    for (uint64_t i = 1; i <= 3000; i++)
        assert_int_equal(sb_owner_map_add(&m, i, (int64_t)i, i % 2, NULL), SB_OK);
    for (uint64_t i = 1; i <= 3000; i += 3) {
        const sb_owner_sum s = sb_owner_map_take(&m, i);
        assert_int_equal(s.measured_uj + s.estimated_uj, i);
        assert_int_equal(sb_owner_map_take(&m, i).owner, 0);
    }
    for (uint64_t i = 1; i <= 3000; i++)
        if (i % 3 != 1) assert_int_equal(sb_owner_map_take(&m, i).owner, i);
    assert_int_equal(m.n, 0);
    sb_owner_map_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_the_meter),
        cmocka_unit_test(estimates_stand_beside),
        cmocka_unit_test(a_gap_is_lost),
        cmocka_unit_test(a_tick_tells_what_came_before_it),
        cmocka_unit_test(wraps_count),
        cmocka_unit_test(torn_tails_are_cut),
        cmocka_unit_test(every_change_is_noticed),
        cmocka_unit_test(whole_lines_are_missed),
        cmocka_unit_test(wrong_sums_are_noticed),
        cmocka_unit_test(the_chain_goes_on_over_files),
        cmocka_unit_test(one_writer),
        cmocka_unit_test(a_full_disk_is_said),
        cmocka_unit_test(receipts_are_found_again),
        cmocka_unit_test(receipts_rest_on_ticks),
        cmocka_unit_test(owners_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
