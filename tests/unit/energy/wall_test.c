/* SPDX-License-Identifier: Apache-2.0
 * wall_test.c - a fit to a plug at its ends, the counters it holds for, the meter that finds it,
 * and receipts with a figure at the wall. */
#include "book_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "energy/estimate.h"
#include "energy/internal.h"

static const sb_wall_fit usual = {
    .base_mw = 30000, .slope_permille = 1300, .mape_permille = 20, .worst_permille = 35, .n = 18};

static void a_line_in_integers(void **state)
{
    (void)state;
    const sb_wall w = sb_wall_apply(&usual, 1000000, 900000, 1200000, 500000000);
    assert_true(w.known);
    assert_int_equal(w.uj, 1300000 + 15000000); /* 1.3 J and half a second of 30 W */
    assert_int_equal(w.lo_uj, 16170000 * INT64_C(1000) / 1040); /* twice the mean error */
    assert_int_equal(w.hi_uj, 16560000 * INT64_C(1040) / 1000);
    assert_string_equal(w.words,
                        "at the wall, by a fit of 18 loads against a plug, mean error 2.0 %");
    assert_int_equal(sb_wall_apply(&usual, 1, 1, 1, 0).uj, 1);    /* 1.3, rounded down */
    assert_int_equal(sb_wall_apply(&usual, 1, 1, 1, 0).hi_uj, 2); /* 1.352, rounded up */
    assert_int_equal(sb_wall_apply(&usual, 0, 0, 0, 33).uj, 0);   /* 0.99 */
    assert_int_equal(sb_wall_apply(&usual, 1, 1, 1, 24).uj, 2);   /* 1.3 + 0.72 */
    sb_wall_fit odd = usual;
    odd.worst_permille = 500; /* one load was far off: that is the range */
    assert_int_equal(sb_wall_apply(&odd, 3000, 3000, 3000, 0).lo_uj, 2600);
    assert_int_equal(sb_wall_apply(&odd, 3000, 3000, 3000, 0).hi_uj, 5850);
}

static void the_largest_numbers_stop(void **state)
{
    (void)state;
    const sb_wall_fit most = {.base_mw = SB_WALL_MAX_BASE_MW,
                              .slope_permille = SB_WALL_MAX_SLOPE,
                              .mape_permille = SB_WALL_MAX_ERROR,
                              .worst_permille = SB_WALL_MAX_ERROR,
                              .n = SB_WALL_MAX_LOADS};
    const sb_wall w = sb_wall_apply(&most, INT64_MAX, 0, INT64_MAX, UINT64_MAX);
    assert_true(w.uj == INT64_MAX && w.hi_uj == INT64_MAX && w.lo_uj > 0 && w.lo_uj < w.uj);
    const sb_wall none = sb_wall_apply(&most, INT64_MIN, INT64_MIN, INT64_MIN, 0);
    assert_true(none.uj == 0 && none.lo_uj == 0 && none.hi_uj == 0);
}

static void what_is_no_fit_is_not_used(void **state)
{
    (void)state;
    assert_true(sb_wall_fit_holds(&usual));
    sb_wall_fit bad[7];
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        bad[i] = usual;
    bad[0].n = 0;
    bad[1].n = SB_WALL_MAX_LOADS + 1;
    bad[2].base_mw = -1;
    bad[3].base_mw = SB_WALL_MAX_BASE_MW + 1;
    bad[4].slope_permille = SB_WALL_MIN_SLOPE - 1;
    bad[5].slope_permille = SB_WALL_MAX_SLOPE + 1;
    bad[6].mape_permille = SB_WALL_MAX_ERROR + 1;
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        assert_false(sb_wall_fit_holds(&bad[i]));
        assert_false(sb_wall_apply(&bad[i], 1000, 1000, 1000, 1000).known);
    }
}

static void the_counters_it_holds_for(void **state)
{
    (void)state;
    static const struct {
        const char *fitted, *meter;
        bool same;
    } rows[] = {
        {"RAPL package, 1 counter", "RAPL package, 1 counter", true},
        {"RAPL package, 1 counter", "perf power package, 1 counter", true},
        {"perf power package+dram, 4 counters", "RAPL package+dram, 4 counters", true},
        {"RAPL psys, 1 counter", "perf power psys, 1 counter", true},
        {"RAPL package, 1 counter", "RAPL package+dram, 2 counters", false},
        {"RAPL package, 1 counter", "RAPL package, 2 counters", false},
        {"RAPL package, 1 counter", "RAPL psys, 1 counter", false},
        {"RAPL package, 1 counter", "RAPL package, 1 counter + 1 GPU", false},
        {"RAPL guest tree, 1 counter", "RAPL guest tree, 1 counter", false},
        {"plug Shelly power, 1 counter", "plug Shelly power, 1 counter", false},
        {"battery power, 1 counter", "battery power, 1 counter", false},
        {"endpoint Kepler energy, 1 counter", "RAPL package, 1 counter", false},
        {"", "", false},
        {"", "RAPL package, 1 counter", false},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        if (sb_wall_same_counters(rows[i].fitted, rows[i].meter) != rows[i].same)
            fail_msg("%s / %s", rows[i].fitted, rows[i].meter);
}

/* ---- a machine with one package ---- */

static sb_calibration calibration(const char *meter)
{
    sb_calibration c = {
        .cpu = {.vendor = "GenuineIntel", .family = 6, .model = 143},
        .fit = {.c = {1870, 42}, .n = 18, .mape_permille = 83, .worst_permille = 190},
        .wall = usual,
        .date = "2026-11-27",
        .n_threads = 8};
    (void)snprintf(c.meter, sizeof c.meter, "%s", meter);
    return c;
}

static void write_text(const rig *r, const char *name, const char *text, char path[256])
{
    (void)snprintf(path, 256, "%s/%s", r->home, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void use_cpu(const rig *r, int model)
{
    char path[256], text[96];
    (void)snprintf(text, sizeof text, "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: %d\n",
                   model);
    write_text(r, "proc/cpuinfo", text, path);
}

/* What the machine's counters, or the estimate in their place, say of a moment's work. */
static sb_energy measure(rig *r, const char *path, const char *root)
{
    const sb_meter_roots roots = {.sysfs = root, .proc = r->home, .calibration = path};
    sb_meter *m = NULL;
    assert_int_equal(sb_meter_open(&m, &roots, NULL), SB_OK);
    const sb_meter_mark mark = sb_meter_begin(m);
    sb_meter_add_bytes(m, 1000000000);
    (void)usleep(5000);
    rig_count(r, r->uj + 100000);
    const sb_energy e = sb_meter_end(m, &mark);
    sb_meter_close(m);
    return e;
}

static void a_meter_uses_the_fit_of_its_counters(void **state)
{
    (void)state;
    static const struct {
        const char *meter;
        int model;
        bool used;
    } rows[] = {
        {"RAPL package, 1 counter", 143, true},        {"perf power package, 1 counter", 143, true},
        {"RAPL package+dram, 2 counters", 143, false}, {"RAPL psys, 1 counter", 143, false},
        {"plug Shelly power, 1 counter", 143, false},  {"RAPL package, 1 counter", 142, false}};
    rig r;
    char path[256], text[SB_ENERGY_TEXT_BYTES];
    rig_init(&r);
    (void)snprintf(path, sizeof path, "%s/calibration.json", r.home);
    use_cpu(&r, 143);
    assert_false(sb_energy_wall(&(sb_energy){0}).known);
    sb_energy e = measure(&r, NULL, r.home);
    assert_int_equal(e.source, SB_ENERGY_MEASURED);
    assert_false(sb_energy_wall(&e).known);
    sb_energy_wall_text(&e, text, sizeof text);
    assert_string_equal(text, "");
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        const sb_calibration c = calibration(rows[i].meter);
        assert_int_equal(sb_calibration_save(&c, path, NULL), SB_OK);
        use_cpu(&r, rows[i].model);
        e = measure(&r, path, r.home);
        assert_int_equal(e.source, SB_ENERGY_MEASURED);
        const sb_wall w = sb_energy_wall(&e);
        if (w.known != rows[i].used) fail_msg("%s", rows[i].meter);
        if (!w.known) continue;
        assert_true(e.share_ns >= 5000000 && e.share_ns <= e.duration_ns);
        assert_int_equal(w.uj,
                         ((int64_t)e.energy_uj * 1300000 + (int64_t)e.share_ns * 30000) / 1000000);
        assert_true(w.lo_uj < w.uj && w.uj < w.hi_uj);
        sb_energy_wall_text(&e, text, sizeof text);
        assert_int_equal(strncmp(text, "about ", 6), 0);
        assert_non_null(strstr(text, "), estimated: at the wall, by a fit of 18 loads"));
        assert_null(strstr(text, "measured"));
    }
    rig_end(&r);
}

/* A file without a plug, or with numbers that no fit has, is a calibration all the same. */
static void files_without_a_fit_stay_good(void **state)
{
    (void)state;
    rig r;
    char path[256], text[SB_CALIBRATION_BYTES], edited[SB_CALIBRATION_BYTES];
    rig_init(&r);
    use_cpu(&r, 143);
    sb_calibration c = calibration("RAPL package, 1 counter"), got = {0};
    c.wall = (sb_wall_fit){0};
    sb_calibration_format(&c, text, sizeof text);
    write_text(&r, "calibration.json", text, path);
    sb_energy e = measure(&r, path, r.home);
    assert_false(sb_energy_wall(&e).known);
    assert_true(sb_calibration_load(path, &c.cpu, &got));
    assert_int_equal(got.fit.c.milliwatts, 1870);
    c.wall = usual;
    sb_calibration_format(&c, text, sizeof text);
    const char *at = strstr(text, "\"wall_slope_permille\": 1300");
    assert_non_null(at);
    (void)snprintf(edited, sizeof edited, "%.*s\"wall_slope_permille\": 300%s", (int)(at - text),
                   text, at + strlen("\"wall_slope_permille\": 1300"));
    write_text(&r, "calibration.json", edited, path);
    assert_true(sb_calibration_load(path, &c.cpu, &got));
    assert_int_equal(got.wall.n, 0);
    assert_int_equal(got.fit.c.milliwatts, 1870);
    e = measure(&r, path, r.home);
    assert_false(sb_energy_wall(&e).known);
    rig_end(&r);
}

/* Estimates stand for the counters that their coefficients were calibrated against, or for none. */
static void an_estimate_has_the_fit_it_was_calibrated_with(void **state)
{
    (void)state;
    rig r;
    char path[256], bare[256];
    rig_init(&r);
    use_cpu(&r, 143);
    (void)snprintf(path, sizeof path, "%s/calibration.json", r.home);
    (void)snprintf(bare, sizeof bare, "%s/proc", r.home); /* a tree without counters */
    sb_calibration c = calibration("RAPL package, 1 counter");
    assert_int_equal(sb_calibration_save(&c, path, NULL), SB_OK);
    sb_energy e = measure(&r, path, bare);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_true(sb_energy_wall(&e).known);
    assert_true(sb_energy_wall(&e).uj > e.energy_uj);
    e.method = "cpu_time_x_coefficient"; /* nobody's calibration */
    assert_false(sb_energy_wall(&e).known);
    c = calibration("plug Shelly power, 1 counter");
    assert_int_equal(sb_calibration_save(&c, path, NULL), SB_OK);
    e = measure(&r, path, bare);
    assert_true(sb_meter_is_calibrated(e.method));
    assert_false(sb_energy_wall(&e).known);
    e = measure(&r, NULL, bare);
    assert_false(sb_energy_wall(&e).known);
    rig_end(&r);
}

/* ---- sums and receipts ---- */

static sb_energy energy_of(sb_energy_source source)
{
    return (sb_energy){.source = source,
                       .energy_uj = 41234567,
                       .lo_uj = 33000000,
                       .hi_uj = 51000000,
                       .split_lo_uj = 40000000,
                       .split_hi_uj = 42000000,
                       .settled = true,
                       .method = source == SB_ENERGY_MEASURED
                                     ? "package_energy_x_cpu_time_share"
                                     : "cpu_time_and_bytes_x_calibrated_coefficients",
                       .meter = "RAPL package, 1 counter",
                       .scope = "CPU packages; not fans",
                       .wall = usual,
                       .share_ns = 2000000000};
}

static void sums_have_one_fit(void **state)
{
    (void)state;
    sb_energy sum = energy_of(SB_ENERGY_MEASURED), more = energy_of(SB_ENERGY_MEASURED);
    sb_energy_add(&sum, &more);
    assert_int_equal(sb_energy_wall(&sum).uj,
                     (INT64_C(82469134) * 1300000 + INT64_C(4000000000) * 30000) / 1000000);
    sb_energy nothing = {.source = SB_ENERGY_MEASURED, .method = "no_work"};
    const int64_t was_uj = sb_energy_wall(&sum).uj;
    sb_energy_add(&sum, &nothing); /* what took nothing changes nothing */
    assert_int_equal(sb_energy_wall(&sum).uj, was_uj);
    sb_energy_add(&nothing, &more);
    assert_int_equal(nothing.wall.n, usual.n);
    more.wall.base_mw++; /* calibrated anew meanwhile */
    sb_energy_add(&sum, &more);
    assert_false(sb_energy_wall(&sum).known);
    sum = energy_of(SB_ENERGY_MEASURED);
    more = energy_of(SB_ENERGY_MEASURED);
    more.wall = (sb_wall_fit){0};
    sb_energy_add(&sum, &more);
    assert_false(sb_energy_wall(&sum).known);
    sum.share_ns = UINT64_MAX;
    sb_energy_add(&sum, &more);
    assert_true(sum.share_ns == UINT64_MAX);
}

static json_t *receipt_of(const sb_energy *e)
{
    json_t *r = NULL;
    const sb_receipt_facts f = {.id = {"abc", 3}, .model = {"tiny", 4}, .time_ms = 1764230400000};
    assert_int_equal(sb_receipt_new(&r, e, &f, NULL), SB_OK);
    return r;
}

/* Seals it and says whether it is a receipt that holds. */
static bool holds(json_t *r, sb_receipt_view *v)
{
    (void)json_object_del(r, "hash");
    assert_int_equal(sb_receipt_seal(r, "", NULL, NULL), SB_OK);
    return sb_receipt_check(r, v, NULL) == SB_OK;
}

static void a_receipt_tells_the_wall(void **state)
{
    (void)state;
    char text[SB_ENERGY_TEXT_BYTES], wall[512];
    sb_receipt_view v;
    sb_buf b;
    const sb_energy e = energy_of(SB_ENERGY_MEASURED);
    json_t *r = receipt_of(&e);
    sb_buf_init(&b, 65536, "test");
    assert_int_equal(sb_canon_add(&b, json_object_get(r, "wall"), NULL), SB_OK);
    (void)snprintf(wall, sizeof wall, "%s", b.p);
    assert_string_equal(
        wall, "{\"base_mw\":30000,\"basis\":\"at the wall, by a fit of 18 loads against a plug, "
              "mean error 2.0 %\",\"kind\":\"calibrated\",\"label\":\"estimated\",\"loads\":18,"
              "\"mean_error_permille\":20,\"share_ns\":2000000000,\"slope_permille\":1300,"
              "\"u95_uj\":[98942307,131352000],\"wall_uj\":113604937,"
              "\"worst_error_permille\":35}");
    assert_true(holds(r, &v));
    assert_int_equal(v.energy_uj, 41234567); /* the energy is what it was */
    assert_int_equal(v.wall.uj, 113604937);
    sb_receipt_text(&v, text, sizeof text);
    assert_string_equal(text, "41.2 J (33.0 J to 51.0 J), measured");
    sb_wall_text(&v.wall, text, sizeof text);
    assert_string_equal(text, "about 110 J (98 J to 140 J), estimated: at the wall, by a fit of 18 "
                              "loads against a plug, mean error 2.0 %");
    sb_buf_deinit(&b);
    json_decref(r);
}

static void a_receipt_without_it_is_whole(void **state)
{
    (void)state;
    sb_receipt_view v;
    char text[SB_ENERGY_TEXT_BYTES];
    sb_energy e = energy_of(SB_ENERGY_MEASURED);
    json_t *r = receipt_of(&e);
    (void)json_object_del(r, "wall"); /* as all were before */
    assert_true(holds(r, &v));
    assert_false(v.wall.known);
    sb_wall_text(&v.wall, text, sizeof text);
    assert_string_equal(text, "");
    json_decref(r);
    e.wall.n = 0;
    r = receipt_of(&e);
    assert_null(json_object_get(r, "wall"));
    json_decref(r);
    e = energy_of(SB_ENERGY_UNAVAILABLE);
    r = receipt_of(&e);
    assert_null(json_object_get(r, "wall"));
    json_decref(r);
}

/* Whoever makes a right hash cannot pass off a figure that does not follow, or call it measured. */
static void lies_about_the_wall_are_noticed(void **state)
{
    (void)state;
    static const char *const lies[] = {"{\"wall_uj\":1}",
                                       "{\"u95_uj\":[0,1]}",
                                       "{\"base_mw\":30001}",
                                       "{\"base_mw\":-1}",
                                       "{\"slope_permille\":1301}",
                                       "{\"slope_permille\":9000}",
                                       "{\"loads\":19}",
                                       "{\"loads\":0}",
                                       "{\"mean_error_permille\":1}",
                                       "{\"share_ns\":1}",
                                       "{\"share_ns\":\"1\"}",
                                       "{\"worst_error_permille\":700}",
                                       "{\"label\":\"measured\"}",
                                       "{\"kind\":\"meter\"}",
                                       "{\"basis\":\"measured\"}",
                                       "{\"kind\":\"meter\",\"label\":\"measured\"}"};
    sb_receipt_view v;
    const sb_energy e = energy_of(SB_ENERGY_MEASURED), guessed = energy_of(SB_ENERGY_ESTIMATED);
    for (size_t i = 0; i < SB_ARRAY_LEN(lies); i++) {
        json_t *r = receipt_of(&e), *lie = json_loads(lies[i], 0, NULL);
        assert_int_equal(json_object_update(json_object_get(r, "wall"), lie), 0);
        if (holds(r, &v)) fail_msg("%s", lies[i]);
        json_decref(lie);
        json_decref(r);
    }
    json_t *r = receipt_of(&e);
    assert_int_equal(json_object_set_new(r, "wall", json_integer(7)), 0);
    assert_false(holds(r, &v));
    json_decref(r);
    r = receipt_of(&guessed);
    assert_true(holds(r, &v));
    assert_true(v.wall.known);
    json_t *source = json_object_get(r, "source"); /* an estimate that nobody calibrated */
    assert_int_equal(json_object_set_new(source, "kind", json_string("model")), 0);
    assert_false(holds(r, &v));
    json_decref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_in_integers),
        cmocka_unit_test(the_largest_numbers_stop),
        cmocka_unit_test(what_is_no_fit_is_not_used),
        cmocka_unit_test(the_counters_it_holds_for),
        cmocka_unit_test(a_meter_uses_the_fit_of_its_counters),
        cmocka_unit_test(files_without_a_fit_stay_good),
        cmocka_unit_test(an_estimate_has_the_fit_it_was_calibrated_with),
        cmocka_unit_test(sums_have_one_fit),
        cmocka_unit_test(a_receipt_tells_the_wall),
        cmocka_unit_test(a_receipt_without_it_is_whole),
        cmocka_unit_test(lies_about_the_wall_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
