/* SPDX-License-Identifier: Apache-2.0
 * receipts_test.c - receipts of answers: provisional, settled, whose they are, and where they are
 * found when the memory has forgotten them. */
#include "server/receipts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "energy/ledger_log.h"

typedef struct house {
    char home[40];
    sb_meter *meter;
    sb_receipts *r;
    sb_grid_watch *grid; /* or NULL */
    sb_error note;
    int n_stopped, n_goes_on; /* what was told of the log */
    char why[SB_ERROR_MSG_BYTES];
} house;

static void on_log(void *ctx, const sb_error *why)
{
    house *h = ctx;
    if (why) (void)snprintf(h->why, sizeof h->why, "%s", why->msg);
    *(why ? &h->n_stopped : &h->n_goes_on) += 1;
}

static void open_house(house *h)
{
    const sb_meter_roots roots = {.sysfs = h->home};
    assert_int_equal(sb_meter_open(&h->meter, &roots, NULL), SB_OK);
    const sb_receipts_opts o = {
        .home = h->home, .meter = h->meter, .grid = h->grid, .on_log = on_log, .ctx = h};
    assert_int_equal(sb_receipts_open(&h->r, &o, &h->note, NULL), SB_OK);
}

static void close_house(house *h)
{
    sb_receipts_close(h->r);
    sb_meter_close(h->meter);
}

static void begin(house *h)
{
    *h = (house){.home = "/tmp/sobre-receipts-XXXXXX"};
    assert_non_null(mkdtemp(h->home));
    open_house(h);
}

static void end(house *h)
{
    char command[64];
    close_house(h);
    (void)snprintf(command, sizeof command, "rm -r %s", h->home);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a folder made above
}

static sb_energy energy(int64_t uj, bool settled)
{
    return (sb_energy){.source = SB_ENERGY_ESTIMATED,
                       .energy_uj = uj,
                       .lo_uj = uj / 2,
                       .hi_uj = 2 * uj,
                       .settled = settled,
                       .method = "m",
                       .meter = "none",
                       .scope = "CPU"};
}

static void tick(house *h, uint64_t owner, int64_t uj)
{
    const sb_tick_part part = {owner, uj};
    const sb_tick t = {.source = SB_ENERGY_ESTIMATED, .meter_uj = uj, .parts = &part, .n_part = 1};
    sb_receipts_on_tick(h->r, &t);
}

static void answer(house *h, const char *id, int64_t key, const sb_energy *e,
                   const uint64_t *owners, size_t n)
{
    const sb_receipts_answer a = {.key = key,
                                  .id = {id, strlen(id)},
                                  .model = {"tiny", 4},
                                  .n_in = 1,
                                  .n_out = 2,
                                  .energies = e,
                                  .owners = owners,
                                  .n_choices = n};
    sb_receipts_end(h->r, &a);
}

/* NULL: there is none. */
static json_t *find(house *h, const char *id, int64_t key)
{
    sb_buf b;
    json_t *r = NULL;
    sb_error err;
    sb_buf_init(&b, SB_MAX_RECEIPT_BYTES, "receipt");
    const sb_status s = sb_receipts_find(h->r, key, (sb_str){id, strlen(id)}, &b, &err);
    if (s == SB_OK)
        assert_int_equal(sb_canon_read(&r, b.p, b.n, "receipt", NULL), SB_OK);
    else
        assert_int_equal(s, SB_NOT_FOUND);
    sb_buf_deinit(&b);
    return r;
}

static void assert_receipt(house *h, const char *id, int64_t uj, bool settled)
{
    json_t *r = find(h, id, 5);
    assert_non_null(r);
    assert_int_equal(json_integer_value(json_object_get(r, "energy_uj")), uj);
    assert_int_equal(json_is_true(json_object_get(r, "settled")), settled);
    assert_int_equal(json_object_get(r, "sig") != NULL, settled);
    json_decref(r);
}

/* One receipt for both choices, once the last of them is settled. */
static void provisional_then_settled(void **state)
{
    (void)state;
    house h;
    begin(&h);
    const sb_energy e[2] = {energy(100, true), energy(40, false)}, last = energy(60, true);
    const uint64_t owners[2] = {1, 2};
    tick(&h, 1, 100);
    answer(&h, "abc", 5, e, owners, 2);
    assert_receipt(&h, "chatcmpl-abc", 140, false);
    tick(&h, 2, 60);
    sb_receipts_on_settled(h.r, 9, &last); /* somebody else */
    assert_receipt(&h, "abc", 140, false);
    sb_receipts_on_settled(h.r, 2, &last);
    assert_receipt(&h, "abc", 160, true);
    sb_audit_result a;
    assert_int_equal(sb_ledger_audit_files(h.home, NULL, &a, NULL), SB_OK);
    assert_true(a.chain_ok && a.sums_ok);
    assert_int_equal(a.n_receipts, 1);
    assert_int_equal(a.sums.requests_uj, 160);
    assert_int_equal(a.beside_uj, 0);
    end(&h);
}

/* More choices than most, one after the other. */
static void many_choices(void **state)
{
    (void)state;
    house h;
    sb_energy e[8];
    uint64_t owners[8];
    begin(&h);
    for (uint64_t i = 0; i < 8; i++) {
        e[i] = energy(0, false);
        owners[i] = i + 1;
    }
    answer(&h, "abc", 5, e, owners, 8);
    for (uint64_t i = 0; i < 8; i++) {
        const sb_energy x = energy(10, true);
        tick(&h, 8 - i, 10);
        assert_receipt(&h, "abc", (int64_t)i * 10, false);
        sb_receipts_on_settled(h.r, 8 - i, &x);
    }
    assert_receipt(&h, "abc", 80, true);
    end(&h);
}

static bool ledger_says(sb_ledger *l, uint64_t owner, sb_energy *out)
{
    (void)l;
    *out = energy(70, true);
    return owner == 4;
}

/* The tick may close before the answer's end is told here. */
static void what_was_settled_before_is_asked_for(void **state)
{
    (void)state;
    house h;
    begin(&h);
    const sb_energy e = energy(50, false);
    const uint64_t owner = 4;
    sb_receipts_set_ledger(h.r, ledger_says, NULL);
    tick(&h, 4, 70);
    answer(&h, "abc", 5, &e, &owner, 1);
    assert_receipt(&h, "abc", 70, true);
    end(&h);
}

static bool closes;
static bool ledger_may_say(sb_ledger *l, uint64_t owner, sb_energy *out)
{
    return closes && ledger_says(l, owner, out);
}

/* Nobody asks and no step follows: a poll settles. */
static void a_poll_settles(void **state)
{
    (void)state;
    house h;
    begin(&h);
    const sb_energy e = energy(50, false);
    const uint64_t owner = 4;
    closes = false;
    sb_receipts_set_ledger(h.r, ledger_may_say, NULL);
    tick(&h, 4, 70);
    answer(&h, "abc", 5, &e, &owner, 1);
    assert_int_equal(sb_receipts_poll(h.r), 1);
    assert_receipt(&h, "abc", 50, false);
    closes = true;
    assert_int_equal(sb_receipts_poll(h.r), 0);
    assert_receipt(&h, "abc", 70, true);
    end(&h);
}

static void receipts_are_their_owners(void **state)
{
    (void)state;
    house h;
    begin(&h);
    const sb_energy e = energy(50, true);
    answer(&h, "abc", 5, &e, NULL, 1);
    assert_null(find(&h, "abc", 6));
    assert_null(find(&h, "abcd", 5));
    assert_null(find(&h, "", 5));
    assert_null(find(&h, "x-", 5));
    assert_receipt(&h, "abc", 50, true);
    end(&h);
}

/* Beyond the memory, and after a start, they come from the log. */
static void old_ones_are_read(void **state)
{
    (void)state;
    house h;
    char id[16];
    begin(&h);
    const sb_energy e = energy(50, true), other = energy(51, true);
    answer(&h, "first", 5, &other, NULL, 1);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(id, sizeof id, "id%d", i);
        answer(&h, id, 5, &e, NULL, 1);
    }
    close_house(&h);
    open_house(&h);
    assert_receipt(&h, "first", 51, true);
    assert_receipt(&h, "id2", 50, true);
    assert_null(find(&h, "first", 6));
    end(&h);
}

static void *look_for_old(void *ctx)
{
    house *h = ctx;
    assert_null(find(h, "none", 5));
    return NULL;
}

/* Reading a long log takes no more than one worker. */
static void one_search_at_a_time(void **state)
{
    (void)state;
    house h;
    pthread_t t;
    char path[80];
    sb_buf b;
    sb_error err;
    sb_status s = SB_OK;
    begin(&h);
    (void)snprintf(path, sizeof path, "%s/ledger/ledger-000001.jsonl", h.home);
    assert_int_equal(mkfifo(path, 0600), 0); /* a file that takes long to read */
    assert_int_equal(pthread_create(&t, NULL, look_for_old, &h), 0);
    const int fd = open(path, O_WRONLY); /* it has begun */
    assert_true(fd >= 0);
    sb_buf_init(&b, SB_MAX_RECEIPT_BYTES, "receipt");
    s = sb_receipts_find(h.r, 5, (sb_str){"other", 5}, &b, &err);
    (void)close(fd);
    (void)pthread_join(t, NULL);
    assert_int_equal(s, SB_BUSY);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sb_receipts_find(h.r, 5, (sb_str){"other", 5}, &b, &err), SB_NOT_FOUND);
    sb_buf_deinit(&b);
    end(&h);
}

/* A second server of one home has no log, and receipts all the same. */
static void no_log_no_chain(void **state)
{
    (void)state;
    house h, second;
    begin(&h);
    second = h;
    open_house(&second);
    assert_int_equal(h.note.code, SB_OK);
    assert_int_equal(second.note.code, SB_BUSY);
    const sb_energy e = energy(50, true), none = {.source = SB_ENERGY_UNAVAILABLE, .method = ""};
    answer(&second, "abc", 5, &e, NULL, 1);
    assert_receipt(&second, "abc", 50, true);
    answer(&h, "none", 5, &none, NULL, 1);
    json_t *r = find(&h, "none", 5);
    assert_true(json_is_null(json_object_get(r, "energy_uj")));
    json_decref(r);
    close_house(&second);
    end(&h);
}

static const char *co2e(const json_t *receipt, const char *key)
{
    return json_string_value(json_object_get(json_object_get(receipt, "co2e"), key));
}

static void assert_factor(house *h, const char *id, double g_per_kwh, const char *kind)
{
    json_t *r = find(h, id, 5);
    assert_non_null(r);
    const json_t *g = json_object_get(json_object_get(r, "co2e"), "g_per_kwh");
    assert_true(json_number_value(g) == g_per_kwh);
    assert_string_equal(co2e(r, "kind"), kind);
    assert_true((co2e(r, "time") != NULL) == (strcmp(kind, "live") == 0));
    assert_true((co2e(r, "note") != NULL) == (strcmp(kind, "live") != 0));
    json_decref(r);
}

static void write_grid(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fprintf(f, text, (long long)time(NULL)) > 0);
    assert_int_equal(fclose(f), 0);
}

/* Each by the factor of its answer's end, also one that settles when that has changed. */
static void grams_by_the_factor_in_force(void **state)
{
    (void)state;
    house h;
    char path[64];
    sb_grid first, was, now;
    const sb_energy done = energy(50, true), open = energy(50, false);
    const uint64_t owner = 4;
    begin(&h);
    close_house(&h);
    (void)snprintf(path, sizeof path, "%s/grid", h.home);
    write_grid(path, "50 %lld FR");
    assert_int_equal(sb_grid_parse(&first, path, (int64_t)time(NULL), NULL), SB_OK);
    assert_int_equal(sb_grid_watch_new(&h.grid, &first, path, NULL), SB_OK);
    open_house(&h);
    answer(&h, "old", 5, &done, NULL, 1);
    answer(&h, "late", 5, &open, &owner, 1);
    write_grid(path, "70.5 %lld FR");
    sb_grid_watch_read(h.grid, (int64_t)time(NULL), 0, &was, &now);
    answer(&h, "new", 5, &done, NULL, 1);
    assert_factor(&h, "late", 50, "live");
    tick(&h, 4, 50);
    sb_receipts_on_settled(h.r, 4, &done);
    write_grid(path, "no number, %lld");
    sb_grid_watch_read(h.grid, (int64_t)time(NULL), 0, &was, &now);
    answer(&h, "wrong", 5, &done, NULL, 1);
    assert_factor(&h, "old", 50, "live");
    assert_factor(&h, "late", 50, "live");
    assert_factor(&h, "new", 70.5, "live");
    assert_factor(&h, "wrong", 475, "average");
    sb_grid_watch_free(h.grid);
    end(&h);
}

/* Who finds a prefix is told what it spared, by what such tokens cost; the sum is its own. */
static void kept_tokens_tell_what_they_spared(void **state)
{
    (void)state;
    house h;
    begin(&h);
    sb_energy e = energy(9000, true);
    e.prefill_uj = 4000;
    e.n_rejected_tok = 3;
    sb_receipts_answer a = {.key = 5,
                            .id = {"first", 5},
                            .model = {"tiny", 4},
                            .n_in = 40,
                            .n_out = 2,
                            .energies = &e,
                            .n_choices = 1};
    sb_receipts_end(h.r, &a);
    a.id = (sb_str){"second", 6};
    a.n_in = 43;
    a.n_cached = 40;
    sb_receipts_end(h.r, &a);
    json_t *first = find(&h, "first", 5), *second = find(&h, "second", 5);
    assert_null(json_object_get(first, "avoided_uj"));
    assert_int_equal(json_integer_value(json_object_get(second, "avoided_uj")), 4000);
    assert_int_equal(json_integer_value(json_object_get(second, "energy_uj")), 9000);
    const json_t *tokens = json_object_get(second, "tokens");
    assert_int_equal(json_integer_value(json_object_get(tokens, "rejected")), 3);
    json_decref(first);
    json_decref(second);
    end(&h);
}

static void a_log_that_stops_is_told_once(void **state)
{
    (void)state;
    house h;
    begin(&h);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    tick(&h, 1, 100);
    assert_int_equal(h.n_stopped, 0);
    const struct rlimit none = {1, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    tick(&h, 1, 100);
    tick(&h, 1, 100);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(h.n_stopped == 1 && h.n_goes_on == 0 && strstr(h.why, "energy ledger"));
    tick(&h, 1, 100);
    tick(&h, 1, 100);
    assert_true(h.n_stopped == 1 && h.n_goes_on == 1);
    end(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(provisional_then_settled),
        cmocka_unit_test(many_choices),
        cmocka_unit_test(what_was_settled_before_is_asked_for),
        cmocka_unit_test(a_poll_settles),
        cmocka_unit_test(receipts_are_their_owners),
        cmocka_unit_test(old_ones_are_read),
        cmocka_unit_test(one_search_at_a_time),
        cmocka_unit_test(no_log_no_chain),
        cmocka_unit_test(kept_tokens_tell_what_they_spared),
        cmocka_unit_test(a_log_that_stops_is_told_once),
        cmocka_unit_test(grams_by_the_factor_in_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
