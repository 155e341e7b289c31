/* SPDX-License-Identifier: Apache-2.0
 * shares_test.c - steps of several owners: parts that add up to the meter, whoever comes and goes.
 */
#include "energy/shares.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/clock.h"

/* A machine with one package counter that a test moves. */
typedef struct machine {
    char root[64], file[256];
    sb_meter *m;
    sb_shares *s;
} machine;

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void set_uj(const machine *m, long long uj)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld\n", uj);
    write_text(m->file, text);
}

static void open_machine(machine *m)
{
    char path[200];
    (void)strcpy(m->root, "/tmp/sobre-shares-XXXXXX");
    assert_non_null(mkdtemp(m->root));
    static const char *const dirs[] = {"/sys", "/sys/class", "/sys/class/powercap",
                                       "/sys/class/powercap/intel-rapl:0"};
    for (size_t i = 0; i < SB_ARRAY_LEN(dirs); i++) {
        (void)snprintf(path, sizeof path, "%s%s", m->root, dirs[i]);
        assert_int_equal(mkdir(path, 0777), 0);
    }
    (void)snprintf(m->file, sizeof m->file, "%s/energy_uj", path);
    set_uj(m, 1000);
    char name[260];
    (void)snprintf(name, sizeof name, "%s/name", path);
    write_text(name, "package-0\n");
    (void)snprintf(name, sizeof name, "%s/max_energy_range_uj", path);
    write_text(name, "262143328850\n");
    const sb_meter_roots roots = {.sysfs = m->root, .proc = m->root};
    assert_int_equal(sb_meter_open(&m->m, &roots, NULL), SB_OK);
    assert_int_equal(sb_shares_open(&m->s, m->m, NULL), SB_OK);
}

static void close_machine(machine *m)
{
    char command[128];
    sb_shares_close(m->s);
    sb_meter_close(m->m);
    (void)snprintf(command, sizeof command, "rm -r %s", m->root);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a folder made above
}

static sb_work_part part(uint64_t owner, int32_t n_prefill, int32_t n_decode)
{
    return (sb_work_part){.owner = owner, .n_prefill = n_prefill, .n_decode = n_decode};
}

static void step(machine *m, const sb_work_part *parts, int32_t n, uint64_t ns)
{
    const sb_work_record r = {.begin_ns = 1000, .end_ns = 1000 + ns, .n_part = n, .parts = parts};
    sb_shares_step(m->s, &r);
}

static void wait_ms(unsigned ms)
{
    const uint64_t until = sb_now_ns() + (uint64_t)ms * 1000000;
    while (sb_now_ns() < until)
        ;
}

/* 64 tokens of prompt beside one of an answer: 64 parts of 65, to the microjoule. */
static void parts_add_up_to_the_meter(void **state)
{
    (void)state;
    machine m = {0};
    open_machine(&m);
    sb_share_account a, b;
    sb_shares_begin(m.s, &a);
    sb_shares_begin(m.s, &b);
    assert_true(a.owner && b.owner && a.owner != b.owner);
    const sb_work_part both[] = {part(a.owner, 64, 0), part(b.owner, 0, 1)};
    step(&m, both, 2, 650);
    wait_ms(20);
    set_uj(&m, 1000 + 100001);
    const sb_energy ea = sb_shares_end(m.s, &a);
    const sb_energy eb = sb_shares_end(m.s, &b);
    assert_int_equal(ea.source, SB_ENERGY_MEASURED);
    assert_int_equal(ea.energy_uj + eb.energy_uj, 100001);
    assert_in_range(eb.energy_uj, 100001 / 65, 100001 / 65 + 1);
    assert_int_equal(ea.prefill_uj, ea.energy_uj);
    assert_int_equal(eb.prefill_uj, 0);
    assert_true(ea.lo_uj <= ea.energy_uj && ea.energy_uj <= ea.hi_uj);
    const sb_shares_totals t = sb_shares_get_totals(m.s);
    assert_int_equal(t.owned_uj, 100001);
    close_machine(&m);
}

/* A hundred accounts that come and go: everything given is everything counted. */
static void many_owners_lose_nothing(void **state)
{
    (void)state;
    machine m = {0};
    open_machine(&m);
    enum { N = 100 };
    static sb_share_account account[N];
    long long counted = 1000;
    int64_t given = 0;
    for (int i = 0; i < N + 8; i++) {
        if (i < N) sb_shares_begin(m.s, &account[i]);
        sb_work_part parts[9];
        int32_t n = 0;
        for (int k = i - 8 < 0 ? 0 : i - 8; k <= i && k < N; k++)
            parts[n++] = part(account[k].owner, k % 3 ? 0 : 7, k % 3 ? 1 : 0);
        step(&m, parts, n, 1000 + (uint64_t)i);
        wait_ms(2);
        counted += 977 + i;
        set_uj(&m, counted);
        if (i >= 8) given += sb_shares_end(m.s, &account[i - 8]).energy_uj;
    }
    const sb_shares_totals t = sb_shares_get_totals(m.s);
    assert_int_equal(given, t.owned_uj);
    assert_int_equal(t.owned_uj + t.nobody_uj, counted - 1000);
    close_machine(&m);
}

/* What is counted while nobody asks is nobody's, and work for strangers is not charged. */
static void idle_and_strangers_are_nobodys(void **state)
{
    (void)state;
    machine m = {0};
    open_machine(&m);
    wait_ms(5);
    set_uj(&m, 51000);
    sb_share_account a;
    sb_shares_begin(m.s, &a);
    assert_int_equal(sb_shares_get_totals(m.s).nobody_uj, 50000);
    const sb_work_part parts[] = {part(a.owner, 0, 1), part(999999, 0, 3)};
    step(&m, parts, 2, 1000);
    wait_ms(5);
    set_uj(&m, 59000);
    const sb_energy e = sb_shares_end(m.s, &a);
    assert_int_equal(e.energy_uj, 2000);
    assert_int_equal(sb_shares_get_totals(m.s).nobody_uj, 56000);
    sb_shares_begin(m.s, &a); /* one that ends before any step */
    const sb_energy none = sb_shares_end(m.s, &a);
    assert_int_equal(none.energy_uj, 0);
    assert_int_equal(none.source, SB_ENERGY_ESTIMATED);
    close_machine(&m);
}

/* Without a counter it is an estimate, and is called one. */
static void without_a_meter_it_is_an_estimate(void **state)
{
    (void)state;
    sb_meter *meter;
    sb_shares *s;
    const sb_meter_roots roots = {.sysfs = "/nonexistent"};
    assert_int_equal(sb_meter_open(&meter, &roots, NULL), SB_OK);
    assert_int_equal(sb_shares_open(&s, meter, NULL), SB_OK);
    sb_share_account a;
    sb_shares_begin(s, &a);
    const sb_work_part one = part(a.owner, 3, 0);
    const sb_work_record r = {.begin_ns = 1, .end_ns = 1001, .n_part = 1, .parts = &one};
    wait_ms(20);
    sb_shares_step(s, &r);
    const sb_energy e = sb_shares_end(s, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_true(e.energy_uj > 0 && e.lo_uj <= e.energy_uj && e.energy_uj <= e.hi_uj);
    assert_true(e.cpu_ns > 0 && e.duration_ns >= 20000000);
    assert_non_null(strstr(e.meter, "mW"));
    sb_shares_close(s);
    sb_meter_close(meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_add_up_to_the_meter),
        cmocka_unit_test(many_owners_lose_nothing),
        cmocka_unit_test(idle_and_strangers_are_nobodys),
        cmocka_unit_test(without_a_meter_it_is_an_estimate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
