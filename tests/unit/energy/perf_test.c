/* SPDX-License-Identifier: Apache-2.0
 * perf_test.c - the kernel's `power` events on trees made here and events that are faked: scales,
 * masks, units, rights, copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "energy/internal.h"

#define SCALE "2.3283064365386962890625e-10" /* 2^-32 J, as the kernel writes it */
#define DEVICE "sys/bus/event_source/devices/power/"

enum { N_CPU = 8, N_EVENT = 6 };

/* Events of a machine that is not there: a descriptor of /dev/null stands for each. */
typedef struct fake {
    char root[64];
    sb_perf_calls calls;
    uint64_t raw[N_EVENT][N_CPU];
    struct {
        int fd, cpu;
        uint64_t config;
    } open[32];
    int n_open;
    int fail_config, fail_errno; /* opening that event fails so */
    int short_read;
    sb_meter *m;
} fake;

static int fake_open(void *ctx, uint32_t type, uint64_t config, int cpu)
{
    fake *f = ctx;
    assert_int_equal(type, 23);
    assert_in_range(config, 1, N_EVENT - 1);
    assert_in_range(cpu, 0, N_CPU - 1);
    if (f->fail_config == (int)config) {
        errno = f->fail_errno;
        return -1;
    }
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int i = 0; i < f->n_open; i++)
        if (f->open[i].fd == fd) f->open[i].fd = -1; /* closed by the meter since */
    f->open[f->n_open].fd = fd;
    f->open[f->n_open].cpu = cpu;
    f->open[f->n_open++].config = config;
    return fd;
}

static int64_t fake_read(void *ctx, int fd, void *out, size_t n)
{
    const fake *f = ctx;
    assert_int_equal(n, 8);
    if (f->short_read) return 4;
    for (int i = 0; i < f->n_open; i++)
        if (f->open[i].fd == fd) {
            memcpy(out, &f->raw[f->open[i].config][f->open[i].cpu], 8);
            return 8;
        }
    errno = EBADF;
    return -1;
}

static void put(const fake *f, const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", f->root, path);
    for (char *slash = full + strlen(f->root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        (void)mkdir(full, 0777);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void put_event(const fake *f, const char *name, const char *code)
{
    char path[128];
    snprintf(path, sizeof path, DEVICE "events/%s", name);
    put(f, path, code);
    snprintf(path, sizeof path, DEVICE "events/%s.unit", name);
    put(f, path, "Joules\n");
    snprintf(path, sizeof path, DEVICE "events/%s.scale", name);
    put(f, path, SCALE "\n");
}

static int setup(void **state)
{
    fake *f = calloc(1, sizeof *f);
    f->calls = (sb_perf_calls){fake_open, fake_read, f};
    strcpy(f->root, "/tmp/sobre-perf-XXXXXX");
    if (!mkdtemp(f->root)) return 1;
    put(f, DEVICE "type", "23\n");
    put(f, DEVICE "cpumask", "0,4\n");
    put_event(f, "energy-cores", "event=0x01\n");
    put_event(f, "energy-pkg", "event=0x02\n");
    put_event(f, "energy-ram", "event=0x03\n");
    put_event(f, "energy-psys", "event=0x05\n");
    put(f, "sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n");
    put(f, "sys/devices/system/cpu/cpu4/topology/physical_package_id", "1\n");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fake *f = *state;
    char command[96];
    sb_meter_close(f->m);
    snprintf(command, sizeof command, "rm -rf %s", f->root);
    const int rc = system(command);
    free(f);
    return rc;
}

static sb_meter_mark begin(fake *f)
{
    const sb_meter_roots roots = {.sysfs = f->root, .proc = f->root, .perf = &f->calls};
    sb_meter_close(f->m);
    f->m = NULL;
    assert_int_equal(sb_meter_open(&f->m, &roots, NULL), SB_OK);
    return sb_meter_begin(f->m);
}

static void work_ms(unsigned ms)
{
    const uint64_t from_ns = sb_process_cpu_ns();
    while (sb_process_cpu_ns() - from_ns < ms * 1000000u) {}
}

static const uint64_t mj =
    UINT64_C(4294967296) / 1000; /* raw units of a millijoule, rounded down */

static void packages_and_memory_are_summed(void **state)
{
    fake *f = *state;
    for (int e = 1; e < N_EVENT; e++)
        f->raw[e][0] = f->raw[e][4] = 1000 * mj;
    const sb_meter_mark a = begin(f);
    assert_string_equal(sb_meter_name(f->m), "perf power package+dram, 4 counters");
    work_ms(20);
    f->raw[1][0] += 900 * mj;
    f->raw[2][0] += 100 * mj;
    f->raw[2][4] += 50 * mj;
    f->raw[3][0] += 20 * mj;
    f->raw[3][4] += 10 * mj;
    f->raw[5][0] += 900 * mj;
    const sb_energy e = sb_meter_end(f->m, &a);
    assert_int_equal(e.source, SB_ENERGY_MEASURED);
    assert_in_range(e.energy_uj, 179990, 180000);
    assert_string_equal(e.meter, "perf power package+dram, 4 counters");
    assert_string_equal(e.method, "package_energy_x_cpu_time_share");
    assert_non_null(strstr(e.scope, "packages and memory"));
    assert_null(sb_meter_hint(f->m));
}

/* 64 bits of 2^-32 J are read without a real number: the last unit counts. */
static void large_totals_stay_exact(void **state)
{
    fake *f = *state;
    const uint64_t joule = UINT64_C(1) << 32;
    put(f, DEVICE "cpumask", "0");
    f->raw[2][0] = joule * 3000000001u; /* 95 years at 1 W */
    f->raw[3][0] = joule;
    const sb_meter_mark a = begin(f);
    work_ms(20);
    f->raw[2][0] += joule / 64 + 4295; /* one microjoule is 4294.97 units */
    const sb_energy e = sb_meter_end(f->m, &a);
    assert_int_equal(e.energy_uj, 15626);
}

static void scales(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t num, den;
    } good[] = {{SCALE, 15625, UINT64_C(1) << 26},
                {"1", 1000000, 1},
                {"1e-6", 1, 1},
                {"0.5", 500000, 1},
                {"1.5e-7", 3, 20},
                {"6.103515625e-05", 15625, 256},
                {"0.000061035156250000000000000000", 15625, 256},
                {"2E+1", 20000000, 1},
                {"3e-15", 3, 1000000000}};
    static const char *const bad[] = {
        "",        "0",       "0.0",
        "-1",      "1e",      "1e61",
        "1e99999", "nan",     "1,5",
        ".",       "x",       "1.5.2",
        "1e-7x",   " 1",      "1e30",
        "1e-40",   "0x1p1",   "inf",
        "1e--1",   "1e-30.0", "99999999999999999999999999999999999999999"};
    for (size_t i = 0; i < SB_ARRAY_LEN(good); i++) {
        sb_energy_scale s = {0, 0};
        assert_true(sb_perf_parse_scale(good[i].text, &s));
        assert_int_equal(s.num, good[i].num);
        assert_int_equal(s.den, good[i].den);
    }
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_energy_scale s = {7, 7};
        assert_false(sb_perf_parse_scale(bad[i], &s));
        assert_int_equal(s.num, 7);
    }
}

/* Anything not understood leaves the source aside rather than misread. */
static void odd_trees_are_left_aside(void **state)
{
    fake *f = *state;
    static const struct {
        const char *path, *text, *right;
    } odd[] = {{"type", "x\n", "23\n"},
               {"type", "99999999999\n", "23\n"},
               {"cpumask", "\n", "0,4\n"},
               {"cpumask", "0,\n", NULL}, /* a comma and no more: read as the one it names */
               {"cpumask", "4-0\n", "0,4\n"},
               {"cpumask", "0;4\n", "0,4\n"},
               {"cpumask", "-1\n", "0,4\n"},
               {"cpumask", "99999999999999999999\n", "0,4\n"},
               {"events/energy-pkg", "event=2\n", "event=0x02\n"},
               {"events/energy-pkg", "event=0x02,umask=0x1\n", "event=0x02\n"},
               {"events/energy-pkg", "event=0x123\n", "event=0x02\n"},
               {"events/energy-pkg.unit", "Watts\n", "Joules\n"},
               {"events/energy-pkg.scale", "1e-40\n", SCALE "\n"}};
    char path[128];
    snprintf(path, sizeof path, "%s/" DEVICE "events/energy-psys", f->root);
    assert_int_equal(unlink(path), 0);
    for (size_t i = 0; i < SB_ARRAY_LEN(odd); i++) {
        snprintf(path, sizeof path, DEVICE "%s", odd[i].path);
        put(f, path, odd[i].text);
        f->n_open = 0;
        const sb_meter_mark a = begin(f);
        work_ms(3);
        for (int cpu = 0; cpu < N_CPU; cpu++)
            f->raw[2][cpu] += mj;
        const sb_energy e = sb_meter_end(f->m, &a);
        assert_int_equal(e.source, odd[i].right ? SB_ENERGY_ESTIMATED : SB_ENERGY_MEASURED);
        put(f, path, odd[i].right ? odd[i].right : "0,4\n");
    }
}

static void a_range_of_processors_is_read(void **state)
{
    fake *f = *state;
    put(f, DEVICE "cpumask", "0-1,4-6\n");
    (void)begin(f);
    assert_string_equal(sb_meter_name(f->m), "perf power package+dram, 10 counters");
}

static void a_refusal_names_the_next_step(void **state)
{
    fake *f = *state;
    f->fail_config = 2;
    f->fail_errno = EACCES;
    char path[128];
    snprintf(path, sizeof path, "%s/" DEVICE "events/energy-psys", f->root);
    assert_int_equal(unlink(path), 0);
    const sb_meter_mark a = begin(f);
    work_ms(3);
    const sb_energy e = sb_meter_end(f->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_non_null(strstr(e.scope, "not readable by this user"));
    assert_non_null(sb_meter_hint(f->m));
    assert_non_null(strstr(sb_meter_hint(f->m), "sudo setcap cap_perfmon=ep /"));
    f->fail_errno = ENODEV; /* nothing that a right would cure */
    (void)begin(f);
    assert_null(sb_meter_hint(f->m));
}

static void powercap_stands_in_without_a_word(void **state)
{
    fake *f = *state;
    f->fail_config = 2;
    f->fail_errno = EPERM;
    char path[128];
    snprintf(path, sizeof path, "%s/" DEVICE "events/energy-psys", f->root);
    assert_int_equal(unlink(path), 0);
    put(f, "sys/class/powercap/intel-rapl:0/name", "package-0\n");
    put(f, "sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
    put(f, "sys/class/powercap/intel-rapl:0/energy_uj", "5\n");
    (void)begin(f);
    assert_string_equal(sb_meter_name(f->m), "RAPL package, 1 counter");
    assert_null(sb_meter_hint(f->m));
}

static void psys_is_one_counter_and_comes_last(void **state)
{
    fake *f = *state;
    f->fail_config = 2;
    f->fail_errno = ENOENT;
    const sb_meter_mark a = begin(f);
    assert_string_equal(sb_meter_name(f->m), "perf power psys, 1 counter");
    work_ms(20);
    f->raw[5][0] += 100 * mj;
    f->raw[5][4] += 100 * mj;
    const sb_energy e = sb_meter_end(f->m, &a);
    assert_in_range(e.energy_uj, 99990, 100000);
}

/* Two entries of the mask in one socket whose counts agree are the socket's counter, twice. */
static void mirrored_dies_count_once(void **state)
{
    fake *f = *state;
    put(f, "sys/devices/system/cpu/cpu4/topology/physical_package_id", "0\n");
    const sb_meter_mark a = begin(f);
    work_ms(20);
    f->raw[2][0] += 100 * mj;
    f->raw[2][4] += 100 * mj;
    sb_energy e = sb_meter_end(f->m, &a);
    assert_in_range(e.energy_uj, 99990, 100000);
    const sb_meter_mark b = sb_meter_begin(f->m);
    work_ms(20);
    f->raw[2][0] += 100 * mj;
    f->raw[2][4] += 90 * mj; /* they part: two after all */
    e = sb_meter_end(f->m, &b);
    assert_in_range(e.energy_uj, 189990, 190000);
}

static void a_failing_read_is_lost(void **state)
{
    fake *f = *state;
    const sb_meter_mark a = begin(f);
    work_ms(3);
    f->raw[2][0] += mj;
    f->short_read = 1;
    const sb_energy e = sb_meter_end(f->m, &a);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_non_null(strstr(e.scope, "stood still, jumped, or wrapped"));
}

/* The numbers of a tree in a folder mean other events on the running kernel. */
static void a_prefix_alone_opens_no_events(void **state)
{
    fake *f = *state;
    const sb_meter_roots roots = {.sysfs = f->root, .proc = f->root};
    assert_int_equal(sb_meter_open(&f->m, &roots, NULL), SB_OK);
    assert_null(strstr(sb_meter_name(f->m), "perf"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(packages_and_memory_are_summed),
        CASE(large_totals_stay_exact),
        cmocka_unit_test(scales),
        CASE(odd_trees_are_left_aside),
        CASE(a_range_of_processors_is_read),
        CASE(a_refusal_names_the_next_step),
        CASE(powercap_stands_in_without_a_word),
        CASE(psys_is_one_counter_and_comes_last),
        CASE(mirrored_dies_count_once),
        CASE(a_failing_read_is_lost),
        CASE(a_prefix_alone_opens_no_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
