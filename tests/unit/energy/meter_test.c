/* SPDX-License-Identifier: Apache-2.0
 * meter_test.c - the meter on trees of files made here: one and two packages, copies, subzones,
 * wraps, jumps, refusals, other processes; the estimate; and the words for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "energy/internal.h"
#include "energy/meter.h"

#define MAX_UJ "262143328850" /* 0xffffffff units of 61.035 uJ, as the kernel rounds it */

typedef struct tree {
    char root[64];
    sb_meter *m;
} tree;

static void write_file(const tree *t, const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", t->root, path);
    for (char *slash = full + strlen(t->root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        (void)mkdir(full, 0777);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void zone(const tree *t, const char *zone_dir, const char *name, const char *uj)
{
    char path[128], text[64];
    snprintf(path, sizeof path, "sys/class/powercap/%s/name", zone_dir);
    snprintf(text, sizeof text, "%s\n", name);
    write_file(t, path, text);
    snprintf(path, sizeof path, "sys/class/powercap/%s/max_energy_range_uj", zone_dir);
    write_file(t, path, MAX_UJ "\n");
    snprintf(path, sizeof path, "sys/class/powercap/%s/energy_uj", zone_dir);
    snprintf(text, sizeof text, "%s\n", uj);
    write_file(t, path, text);
}

static void busy(const tree *t, unsigned ticks)
{
    char text[128];
    snprintf(text, sizeof text, "cpu  %u 0 0 999999 55555 0 0 7777 0 0\ncpu0 1 2 3\n", ticks);
    write_file(t, "proc/stat", text);
}

static int setup(void **state)
{
    tree *t = calloc(1, sizeof *t);
    strcpy(t->root, "/tmp/sobre-meter-XXXXXX");
    if (!mkdtemp(t->root)) return 1;
    busy(t, 1000);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    tree *t = *state;
    char command[96];
    sb_meter_close(t->m);
    snprintf(command, sizeof command, "rm -rf %s", t->root);
    const int rc = system(command);
    free(t);
    return rc;
}

static sb_meter_mark open_and_begin(tree *t)
{
    const sb_meter_roots roots = {.sysfs = t->root, .proc = t->root};
    assert_int_equal(sb_meter_open(&t->m, &roots, NULL), SB_OK);
    return sb_meter_begin(t->m);
}

static void open_powercap(sb_counters *c, const char *root)
{
    static const sb_meter_roots roots = {0};
    sb_look look = {.sysfs = root, .roots = &roots};
    sb_find_powercap(c, &look);
}

/* Some CPU time (and so wall time, whatever else runs), so that a few joules are plausible. */
static void work_ms(unsigned ms)
{
    const uint64_t begin_ns = sb_process_cpu_ns();
    while (sb_process_cpu_ns() - begin_ns < ms * 1000000u) {}
}

static void no_tree_means_an_estimate(void **state)
{
    tree *t = *state;
    const sb_meter_mark a = open_and_begin(t);
    work_ms(20);
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_null(sb_meter_hint(t->m));
    assert_true(e.cpu_ns > 5000000);
    assert_int_equal(e.energy_uj, (int64_t)(e.cpu_ns * 2800 / 1000000)); /* no cpuinfo: last row */
    assert_int_equal(e.lo_uj, e.energy_uj / 2);
    assert_int_equal(e.hi_uj, e.energy_uj * 2);
    assert_true(sb_energy_error_pct(&e) > 99 && sb_energy_error_pct(&e) < 101);
    assert_non_null(strstr(e.scope, "no meter"));
}

static void packages_and_dram_are_summed_once(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-1", "1000"); /* the index is not the socket */
    zone(t, "intel-rapl:0:0", "core", "5");
    zone(t, "intel-rapl:0:1", "dram", "70");
    zone(t, "intel-rapl:1", "package-0", "2000");
    zone(t, "intel-rapl:2", "psys", "9");
    zone(t, "intel-rapl-mmio:0", "package-0", "3000");
    zone(t, "dtpm:0", "anything", "3");
    const sb_meter_mark a = open_and_begin(t);
    work_ms(20);
    zone(t, "intel-rapl:0", "package-1", "101000");
    zone(t, "intel-rapl:0:0", "core", "90005");
    zone(t, "intel-rapl:0:1", "dram", "10070");
    zone(t, "intel-rapl:1", "package-0", "202000");
    zone(t, "intel-rapl:2", "psys", "900009");
    zone(t, "intel-rapl-mmio:0", "package-0", "203000");
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_MEASURED);
    assert_int_equal(e.energy_uj, 310000); /* /proc/stat did not move: all of it is ours */
    assert_true(e.ratio == 1);
    assert_true(e.lo_uj <= e.energy_uj && e.hi_uj >= e.energy_uj);
    assert_string_equal(e.meter, "RAPL package+dram, 3 counters");
}

static void the_mmio_copy_alone_counts(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl-mmio:0", "package-0", "3000");
    const sb_meter_mark a = open_and_begin(t);
    work_ms(20);
    zone(t, "intel-rapl-mmio:0", "package-0", "203000");
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.energy_uj, 200000);
    assert_string_equal(e.meter, "RAPL package, 1 counter");
}

static void a_wrap_is_no_loss(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0", "262143300000");
    const sb_meter_mark a = open_and_begin(t);
    work_ms(30);
    zone(t, "intel-rapl:0", "package-0",
         "71089"); /* 28 850 to the end, one unit of 61, 71 089 on */
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_MEASURED);
    assert_int_equal(e.energy_uj, 100000);
}

static void a_jump_or_a_step_back_is_lost(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0", "5000000");
    sb_meter_mark a = open_and_begin(t);
    work_ms(5);
    zone(t, "intel-rapl:0", "package-0", "4000000"); /* back: as a wrap it would be 262 kJ */
    sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_non_null(strstr(e.scope, "jumped"));
    assert_true(e.energy_uj > 0);
    a = sb_meter_begin(t->m);
    work_ms(5);
    zone(t, "intel-rapl:0", "package-0", "100004000000"); /* 100 kJ in a moment */
    e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    a = sb_meter_begin(t->m); /* and it recovers */
    work_ms(20);
    zone(t, "intel-rapl:0", "package-0", "100004100000");
    e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_MEASURED);
    assert_int_equal(e.energy_uj, 100000);
}

static void garbage_is_lost(void **state)
{
    tree *t = *state;
    static const char *const bad[] = {"",   "x", "-5", "99999999999999999999999", "262143328999",
                                      "5 5"};
    zone(t, "intel-rapl:0", "package-0", "5");
    sb_meter_mark a = open_and_begin(t);
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        zone(t, "intel-rapl:0", "package-0", bad[i]);
        const sb_energy e = sb_meter_end(t->m, &a);
        assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
        a = sb_meter_begin(t->m);
    }
}

static void a_still_counter_is_no_zero(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0", "5000");
    const sb_meter_mark a = open_and_begin(t);
    work_ms(5);
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_true(e.energy_uj > 0);
    assert_non_null(strstr(e.scope, "too short"));
}

static void others_get_their_share(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0", "0");
    const sb_meter_mark a = open_and_begin(t);
    work_ms(50);
    zone(t, "intel-rapl:0", "package-0", "1000000");
    busy(t, 1000 + 100); /* one second of CPU time on the machine, a twentieth of it ours */
    const sb_energy e = sb_meter_end(t->m, &a);
    const double share = (double)e.cpu_ns / 1e9;
    assert_int_equal(e.source, SB_ENERGY_MEASURED);
    assert_true(e.ratio > share * 0.99 && e.ratio < share * 1.01);
    const int64_t floor_uj = (int64_t)(1e6 * e.ratio); /* the others' part is rounded down */
    assert_in_range(e.energy_uj, floor_uj, floor_uj + 1);
    assert_true(e.lo_uj < e.energy_uj * 6 / 10); /* a third of the weight each way */
    assert_true(e.hi_uj > e.energy_uj * 2);
    assert_true(e.hi_uj <= 1000000);
}

static void an_unreadable_counter_is_named(void **state)
{
    tree *t = *state;
    char path[160];
    zone(t, "intel-rapl:0", "package-0", "5000");
    zone(t, "intel-rapl:1", "package-1", "5000");
    snprintf(path, sizeof path, "%s/sys/class/powercap/intel-rapl:1/energy_uj", t->root);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(t->root, 0755), 0);
    if (geteuid() == 0) assert_int_equal(seteuid(65534), 0); /* root reads whatever the mode says */
    const sb_meter_mark a = open_and_begin(t);
    if (getuid() == 0) assert_int_equal(seteuid(0), 0);
    work_ms(5);
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_non_null(strstr(e.scope, "not readable by this user"));
    assert_non_null(sb_meter_hint(t->m));
    assert_non_null(strstr(sb_meter_hint(t->m), "sudo chmod a+r"));
}

/* A disabled counter answers with an error that no right would cure: no hint then. */
static void a_package_that_fails_takes_all_down(void **state)
{
    tree *t = *state;
    char path[160];
    zone(t, "intel-rapl:0", "package-0", "5000");
    zone(t, "intel-rapl:1", "package-1", "5000");
    snprintf(path, sizeof path, "%s/sys/class/powercap/intel-rapl:1/energy_uj", t->root);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0); /* opens, and reading it fails */
    const sb_meter_mark a = open_and_begin(t);
    work_ms(5);
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_non_null(strstr(e.scope, "reading them fails"));
    assert_null(sb_meter_hint(t->m));
}

static void ticks_carry_over_wraps(void **state)
{
    sb_counters r;
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0", "0");
    open_powercap(&r, t->root);
    assert_int_equal(r.n, 1);
    /* Four quarters of the range, as if minutes lay between: the sum exceeds one range. */
    static const char *const at[] = {"65000000000", "130000000000", "195000000000", "260000000000",
                                     "62856671089"};
    for (size_t i = 0; i < SB_ARRAY_LEN(at); i++) {
        zone(t, "intel-rapl:0", "package-0", at[i]);
        r.v[0].prev_ns = sb_now_ns() - 100000000000u;
        sb_counters_tick(&r);
    }
    assert_int_equal(r.n_lost, 0);
    assert_int_equal(r.sum_uj, 325000000000);
    r.v[0].prev_ns = sb_now_ns() - 300000000000u; /* time enough for a whole turn */
    zone(t, "intel-rapl:0", "package-0", "62856671999");
    sb_counters_tick(&r);
    assert_int_equal(r.n_lost, 1);
    assert_int_equal(r.sum_uj, 325000000000);
    sb_counters_close(&r);
}

/* Memory is summed with the package it lies under; a counter that never moves is not named. */
static void memory_that_never_moves_is_not_counted(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0", "1000");
    zone(t, "intel-rapl:0:1", "dram", "0");
    const sb_meter_mark a = open_and_begin(t);
    assert_string_equal(sb_meter_name(t->m), "RAPL package+dram, 2 counters");
    work_ms(20);
    zone(t, "intel-rapl:0", "package-0", "101000");
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.energy_uj, 100000);
    assert_string_equal(e.meter, "RAPL package, 1 counter");
    assert_non_null(strstr(e.scope, "not power supply, fans, disks, memory"));
}

static void psys_serves_where_no_package_does(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:1", "psys", "1000");
    zone(t, "intel-rapl-mmio:0", "psys", "1000");
    zone(t, "intel-rapl:0:0", "core", "1000");
    const sb_meter_mark a = open_and_begin(t);
    work_ms(20);
    zone(t, "intel-rapl:1", "psys", "101000");
    zone(t, "intel-rapl-mmio:0", "psys", "101000");
    zone(t, "intel-rapl:0:0", "core", "901000");
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.energy_uj, 100000);
    assert_string_equal(e.meter, "RAPL psys, 1 counter");
    assert_non_null(strstr(e.scope, "psys"));
}

/* The register copy fails, the one in memory works: no matter which the folder lists first. */
static void a_copy_stands_in(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0", "x");
    zone(t, "intel-rapl-mmio:0", "package-0", "3000");
    const sb_meter_mark a = open_and_begin(t);
    work_ms(20);
    zone(t, "intel-rapl-mmio:0", "package-0", "103000");
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.energy_uj, 100000);
}

/* Two dies that show their socket's one counter count once; two real ones count both. */
static void mirrored_dies_count_once(void **state)
{
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0-die-0", "5000");
    zone(t, "intel-rapl:1", "package-0-die-1", "5000");
    zone(t, "intel-rapl:2", "package-1-die-0", "5000");
    zone(t, "intel-rapl:3", "package-1-die-1", "7000");
    const sb_meter_mark a = open_and_begin(t);
    work_ms(20);
    zone(t, "intel-rapl:0", "package-0-die-0", "105000");
    zone(t, "intel-rapl:1", "package-0-die-1", "105000");
    zone(t, "intel-rapl:2", "package-1-die-0", "15000");
    zone(t, "intel-rapl:3", "package-1-die-1", "17061"); /* a unit apart: its own counter */
    const sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.energy_uj, 100000 + 10000 + 10061);
    assert_string_equal(e.meter, "RAPL package, 3 counters");
}

static void a_counter_that_stands_still_is_lost(void **state)
{
    sb_counters c;
    tree *t = *state;
    zone(t, "intel-rapl:0", "package-0", "0");
    zone(t, "intel-rapl:1", "package-1", "0");
    open_powercap(&c, t->root);
    for (unsigned i = 1; i <= 3; i++) {
        char text[32];
        snprintf(text, sizeof text, "%u", i * 1000);
        zone(t, "intel-rapl:0", "package-0", text);
        c.v[0].prev_ns = c.v[1].prev_ns = sb_now_ns() - 200000000; /* 0.2 s a reading */
        sb_counters_tick(&c);
        assert_int_equal(c.n_lost, i == 3); /* half a second is more than any counter's step */
    }
    sb_counters_close(&c);
}

/* `scaphandre qemu` on the host writes this, and mounts it into the guest. */
static void a_guest_reads_what_its_host_writes(void **state)
{
    tree *t = *state;
    write_file(t, "intel-rapl:0/energy_uj", "1000000");
    write_file(t, "intel-rapl:0:0/placeholder", "");
    const sb_meter_roots roots = {.sysfs = t->root, .proc = t->root};
    assert_int_equal(sb_meter_open(&t->m, &roots, NULL), SB_OK);
    assert_string_equal(sb_meter_name(t->m), "RAPL guest tree, 1 counter");
    sb_meter_mark a = sb_meter_begin(t->m);
    work_ms(20);
    write_file(t, "intel-rapl:0/energy_uj", "9000000");
    sb_energy e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED); /* 20 ms of a counter renewed every 5 s */
    assert_non_null(strstr(e.scope, "too short"));
    a.now_ns -= 60000000000u; /* a minute ago */
    e = sb_meter_end(t->m, &a);
    assert_int_equal(e.source, SB_ENERGY_MEASURED);
    assert_int_equal(e.energy_uj, 8000000);
    assert_true(e.lo_uj < 7300000 && e.hi_uj > 8700000); /* a step of six seconds at each end */
    assert_non_null(strstr(e.scope, "what the host counts for this guest"));
}

static void coefficients_are_plausible(void **state)
{
    tree *t = *state;
    static const struct {
        const char *vendor;
        int64_t family, model;
        uint32_t mw;
    } known[] = {{"AuthenticAMD", 25, 1, 1960},
                 {"AuthenticAMD", 25, 0x61, 5300},
                 {"GenuineIntel", 6, 143, 4160},
                 {"GenuineIntel", 6, 1, 2800},
                 {"", -1, -1, 2800}};
    for (size_t i = 0; i < SB_ARRAY_LEN(known); i++)
        assert_int_equal(
            sb_cpu_power_match(known[i].vendor, known[i].family, known[i].model).milliwatts,
            known[i].mw);
#define X(vendor, family, model_lo, model_hi, milliwatts, label, basis)                            \
    assert_in_range(milliwatts, 50, 6000);                                                         \
    assert_true((model_lo) <= (model_hi));
#include "energy/coefficients.def"
#undef X
    write_file(t, "proc/cpuinfo",
               "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n"
               "model\t\t: 106\nmodel name\t: Intel(R) Xeon(R)\n\nprocessor\t: 1\nmodel\t: 85\n");
    assert_int_equal(sb_cpu_power_find(t->root).milliwatts, 3760);
    write_file(t, "proc/cpuinfo",
               "vendor_id\t: GenuineIntelGenuineIntelGenuineIntelGenuineIntel\n"
               "cpu family\t: 99999999999999999999\nmodel\t: -1\n");
    assert_int_equal(sb_cpu_power_find(t->root).milliwatts, 2800);
}

static void words(void **state)
{
    (void)state;
    static const struct {
        sb_energy e;
        const char *text;
    } cases[] = {
        {{.source = SB_ENERGY_UNAVAILABLE}, "energy not available"},
        {{.source = SB_ENERGY_MEASURED,
          .energy_uj = 12345678,
          .lo_uj = 11999999,
          .hi_uj = 12900001},
         "12.3 J (11.9 J to 13.0 J), measured: m (s)"},
        {{.source = SB_ENERGY_MEASURED, .energy_uj = 999600, .lo_uj = 123456, .hi_uj = 1234567890},
         "1.00 J (123 mJ to 1.24 kJ), measured: m (s)"},
        {{.source = SB_ENERGY_ESTIMATED,
          .energy_uj = 92000000,
          .lo_uj = 46000000,
          .hi_uj = 184000000},
         "about 90 J (40 J to 200 J), estimated: m (s)"},
        {{.source = SB_ENERGY_ESTIMATED, .energy_uj = 0, .lo_uj = 0, .hi_uj = 5},
         "about 0 uJ (0 uJ to 5 uJ), estimated: m (s)"},
        {{.source = SB_ENERGY_ESTIMATED,
          .energy_uj = 4400000000,
          .lo_uj = 2200000000,
          .hi_uj = 8800000000},
         "about 4 kJ (2 kJ to 9 kJ), estimated: m (s)"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_energy e = cases[i].e;
        char text[SB_ENERGY_TEXT_BYTES];
        strcpy(e.meter, "m");
        strcpy(e.scope, "s");
        sb_energy_text(&e, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(no_tree_means_an_estimate),
        CASE(packages_and_dram_are_summed_once),
        CASE(the_mmio_copy_alone_counts),
        CASE(a_wrap_is_no_loss),
        CASE(a_jump_or_a_step_back_is_lost),
        CASE(garbage_is_lost),
        CASE(a_still_counter_is_no_zero),
        CASE(others_get_their_share),
        CASE(an_unreadable_counter_is_named),
        CASE(a_package_that_fails_takes_all_down),
        CASE(ticks_carry_over_wraps),
        CASE(memory_that_never_moves_is_not_counted),
        CASE(psys_serves_where_no_package_does),
        CASE(a_copy_stands_in),
        CASE(mirrored_dies_count_once),
        CASE(a_counter_that_stands_still_is_lost),
        CASE(a_guest_reads_what_its_host_writes),
        CASE(coefficients_are_plausible),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
