/* SPDX-License-Identifier: Apache-2.0
 * estimate_test.c - the formula at its ends, the fits and the error of points left out, the file of
 * a calibration, and the meter that uses it. */
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

#include "energy/estimate.h"
#include "energy/internal.h"

static void the_formula_is_whole_and_stops(void **state)
{
    (void)state;
    const sb_coefficients c = {.milliwatts = 2000, .pj_per_byte = 30};
    assert_int_equal(sb_estimate_uj(&c, 0, 0), 0);
    assert_int_equal(sb_estimate_uj(&c, 1000000000, 0), 2000000); /* 2 W for a second */
    assert_int_equal(sb_estimate_uj(&c, 0, 1000000000), 30000);   /* 30 pJ x 1e9 */
    assert_int_equal(sb_estimate_uj(&c, 1000000000, 1000000000), 2030000);
    assert_int_equal(sb_estimate_uj(&c, 499, 0), 0); /* 0.998 uJ */
    assert_int_equal(sb_estimate_uj(&c, 500, 0), 1);
    assert_int_equal(sb_estimate_uj(&c, UINT64_MAX, UINT64_MAX), INT64_C(37446890469630389));
    const sb_coefficients most = {.milliwatts = UINT32_MAX, .pj_per_byte = UINT32_MAX};
    assert_int_equal(sb_estimate_uj(&most, UINT64_MAX, UINT64_MAX), INT64_MAX);
}

/* Loads of a machine that draws mw a thread and pj a byte, off by permille[i % n]. */
static int loads(sb_fit_point *p, uint32_t mw, uint32_t pj, const int *permille, int n_off)
{
    int n = 0;
    for (uint64_t threads = 1; threads <= 4; threads *= 2)
        for (uint64_t gb = 0; gb <= 20; gb += 10, n++) {
            const sb_coefficients c = {mw, pj};
            p[n] = (sb_fit_point){.cpu_ns = threads * 500000000, .n_bytes = gb * 1000000000};
            p[n].uj = sb_estimate_uj(&c, p[n].cpu_ns, p[n].n_bytes);
            p[n].uj += p[n].uj * permille[n % n_off] / 1000;
        }
    return n;
}

static void a_fit_finds_what_was_there(void **state)
{
    (void)state;
    sb_fit_point p[SB_FIT_MAX_POINTS];
    sb_fit f;
    sb_error err;
    const int none[] = {0}, some[] = {50, -50};
    int n = loads(p, 1870, 42, none, 1);
    if (sb_fit_points(p, n, &f, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(f.c.milliwatts, 1870);
    assert_int_equal(f.c.pj_per_byte, 42);
    assert_int_equal(f.n, n);
    assert_true(f.mape_permille <= 1 && f.worst_permille <= 1);
    n = loads(p, 1870, 42, some, 2);
    assert_int_equal(sb_fit_points(p, n, &f, NULL), SB_OK);
    assert_in_range(f.c.milliwatts, 1750, 2000);
    assert_in_range(f.mape_permille, 40, 100);
    assert_true(f.worst_permille >= f.mape_permille);
}

/* One load that is twice what the others say: left out, it is predicted by half; the fit with it
 * would have hidden a part of that. */
static void the_error_is_of_points_left_out(void **state)
{
    (void)state;
    sb_fit_point p[6];
    sb_fit f;
    for (int i = 0; i < 6; i++)
        p[i] =
            (sb_fit_point){.cpu_ns = 1000000000, .n_bytes = i % 2 ? 0 : 1000000000, .uj = 1000000};
    p[5].uj = 2000000;
    assert_int_equal(sb_fit_points(p, 6, &f, NULL), SB_OK);
    assert_int_equal(f.worst_permille, 500);
    /* The others are all at 1 W: with the odd one among those shown they are off by less. */
    assert_in_range(f.mape_permille, 84, 250);
}

static void what_is_not_plausible_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t mw, pj;
        const char *says;
    } bad[] = {{8960, 0, "mW a busy thread is not plausible"},
               {20, 0, "mW a busy thread is not plausible"},
               {1000, 2500, "pJ a byte is not plausible"}};
    sb_fit_point p[SB_FIT_MAX_POINTS];
    sb_fit f = {.n = 77};
    sb_error err;
    const int none[] = {0};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        const int n = loads(p, bad[i].mw, bad[i].pj, none, 1);
        assert_int_equal(sb_fit_points(p, n, &f, &err), SB_INVALID);
        assert_non_null(strstr(err.msg, bad[i].says));
    }
    const int n = loads(p, 1000, 10, none, 1);
    assert_int_equal(sb_fit_points(p, SB_FIT_MIN_POINTS - 1, &f, &err), SB_INVALID);
    p[2].uj = 0;
    assert_int_equal(sb_fit_points(p, n, &f, &err), SB_INVALID);
    for (int i = 0; i < n; i++)
        p[i] = (sb_fit_point){.cpu_ns = 1000000000, .uj = 1000000};
    assert_int_equal(sb_fit_points(p, n, &f, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "do not tell time from bytes"));
    assert_int_equal(f.n, 77);
}

static void bytes_never_give_energy_back(void **state)
{
    (void)state;
    sb_fit_point p[8];
    sb_fit f;
    for (int i = 0; i < 8; i++) /* loads with bytes draw less */
        p[i] = (sb_fit_point){.cpu_ns = 1000000000,
                              .n_bytes = i % 2 ? UINT64_C(5000000000) : 0,
                              .uj = i % 2 ? 900000 : 1000000};
    assert_int_equal(sb_fit_points(p, 8, &f, NULL), SB_OK);
    assert_int_equal(f.c.pj_per_byte, 0);
    assert_in_range(f.c.milliwatts, 900, 1000);
}

static void the_wall_is_a_line(void **state)
{
    (void)state;
    uint32_t counter[8], wall[8];
    sb_wall_fit w = {.n = 5};
    for (uint32_t i = 0; i < 8; i++) {
        counter[i] = 10000 + i * 7000;
        wall[i] = 30000 + counter[i] * 13 / 10;
    }
    assert_int_equal(sb_fit_wall(counter, wall, 8, &w, NULL), SB_OK);
    assert_in_range(w.base_mw, 29900, 30100);
    assert_in_range(w.slope_permille, 1298, 1302);
    assert_true(w.mape_permille <= 1 && w.n == 8);
    for (uint32_t i = 0; i < 8; i++)
        wall[i] = counter[i] / 2; /* of another machine */
    assert_int_equal(sb_fit_wall(counter, wall, 8, &w, NULL), SB_INVALID);
    wall[3] = 0;
    assert_int_equal(sb_fit_wall(counter, wall, 8, &w, NULL), SB_INVALID);
    assert_int_equal(w.n, 8);
}

static sb_calibration usual(void)
{
    return (sb_calibration){
        .cpu = {.vendor = "AuthenticAMD", .family = 25, .model = 1},
        .fit = {.c = {1870, 42}, .n = 18, .mape_permille = 83, .worst_permille = 190},
        .wall = {.base_mw = 30000,
                 .slope_permille = 1300,
                 .mape_permille = 20,
                 .worst_permille = 40,
                 .n = 9},
        .date = "2026-11-27",
        .meter = "RAPL package, 1 counter",
        .n_threads = 8};
}

static void the_file_comes_back(void **state)
{
    (void)state;
    char text[SB_CALIBRATION_BYTES], again[SB_CALIBRATION_BYTES], cut[SB_CALIBRATION_BYTES];
    const sb_calibration c = usual();
    sb_calibration back = {0};
    sb_error err;
    sb_calibration_format(&c, text, sizeof text);
    if (sb_calibration_parse(&back, text, &err) != SB_OK) fail_msg("%s", err.msg);
    sb_calibration_format(&back, again, sizeof again);
    assert_string_equal(text, again);
    assert_int_equal(back.fit.c.milliwatts, 1870);
    assert_int_equal(back.wall.slope_permille, 1300);
    assert_int_equal(sb_calibration_range_permille(&c), 190);
    const size_t n = strlen(text);
    for (size_t i = 0; i + 16 < n; i++) { /* cut short anywhere: refused, nothing is read behind */
        memcpy(cut, text, i);
        cut[i] = 0;
        if (sb_calibration_parse(&back, cut, NULL) != SB_CORRUPT) fail_msg("%s", cut);
    }
    static const struct {
        const char *from, *to;
    } edits[] = {{": 1870", ": 8960"},   {": 1870", ": 18x0"},
                 {": 1870", ": -870"},   {": 42,", ": 2001,"},
                 {": 42,", ": \"42\","}, {"\"2026-11-27\"", "\"\""},
                 {": 18,", ": 3,"},      {"\"2026-11-27\"", "1"},
                 {": 1\n", ": 2\n"},     {": 25,", ": 99999999999999999999,"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(edits); i++) {
        const char *at = strstr(text, edits[i].from);
        assert_non_null(at);
        snprintf(cut, sizeof cut, "%.*s%s%s", (int)(at - text), text, edits[i].to,
                 at + strlen(edits[i].from));
        if (sb_calibration_parse(&back, cut, &err) != SB_CORRUPT) fail_msg("%s", edits[i].to);
    }
}

/* A room with /proc/cpuinfo of a processor, and a calibration. */
static void use_room(char room[64], const char *cpuinfo)
{
    char path[128];
    snprintf(room, 64, "/tmp/sobre-cal-XXXXXX");
    assert_non_null(mkdtemp(room));
    snprintf(path, sizeof path, "%s/proc", room);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/proc/cpuinfo", room);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(cpuinfo, f);
    fclose(f);
}

static sb_energy estimate_in(const char *room, const char *calibration, uint64_t n_bytes,
                             char *name)
{
    const sb_meter_roots roots = {.sysfs = room, .proc = room, .calibration = calibration};
    sb_meter *m = NULL;
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_OK);
    snprintf(name, 160, "%s", sb_meter_name(m));
    const sb_meter_mark begin = sb_meter_begin(m);
    sb_meter_add_bytes(m, n_bytes);
    const sb_energy e = sb_meter_end(m, &begin);
    sb_meter_close(m);
    return e;
}

static void a_meter_uses_its_own_processors_calibration(void **state)
{
    (void)state;
    char room[64], path[128], name[160], text[SB_ENERGY_TEXT_BYTES], command[128];
    const sb_calibration c = usual();
    use_room(room, "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n");
    snprintf(path, sizeof path, "%s/calibration.json", room);
    sb_energy e = estimate_in(room, path, 1000000000, name);
    assert_false(sb_meter_is_calibrated(e.method)); /* there is none yet */
    assert_int_equal(sb_energy_digits(&e), 1);
    assert_int_equal(sb_calibration_save(&c, path, NULL), SB_OK);
    e = estimate_in(room, path, 1000000000, name);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_true(sb_meter_is_calibrated(e.method));
    assert_int_equal(sb_energy_digits(&e), 2);
    assert_true(e.energy_uj >= 42000 && e.energy_uj < 142000); /* the bytes, and some time */
    assert_true(sb_energy_error_pct(&e) >= 19 && sb_energy_error_pct(&e) < 20);
    assert_non_null(strstr(name, "calibrated here, mean error 8.3 %"));
    assert_non_null(
        strstr(e.scope, "calibrated here on 2026-11-27, mean error 8.3 %, worst 19.0 %"));
    assert_non_null(strstr(e.meter, "1870 mW per busy thread, 42 pJ per byte"));
    sb_energy_text(&e, text, sizeof text);
    assert_non_null(strstr(text, "about "));
    assert_null(strstr(text, "measured:"));
    const sb_cpu_id other = {.vendor = "AuthenticAMD", .family = 25, .model = 2};
    sb_calibration got;
    assert_false(sb_calibration_load(path, &other, &got)); /* the folder of another machine */
    snprintf(command, sizeof command, "rm -r %s", room);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_formula_is_whole_and_stops),
        cmocka_unit_test(a_fit_finds_what_was_there),
        cmocka_unit_test(the_error_is_of_points_left_out),
        cmocka_unit_test(what_is_not_plausible_is_refused),
        cmocka_unit_test(bytes_never_give_energy_back),
        cmocka_unit_test(the_wall_is_a_line),
        cmocka_unit_test(the_file_comes_back),
        cmocka_unit_test(a_meter_uses_its_own_processors_calibration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
