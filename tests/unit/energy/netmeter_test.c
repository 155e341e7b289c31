/* SPDX-License-Identifier: Apache-2.0
 * netmeter_test.c - what plugs and endpoints answer: their units, what is no number, whatever else
 * a network may send; and a meter made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "energy/internal.h"
#include "energy/netmeter.h"

#define SHELLY2(watts, wh)                                                                         \
    "{\"id\":0, \"source\":\"init\", \"output\":true, \"apower\":" watts                           \
    ", \"voltage\":229.5, \"current\":0.173, \"aenergy\":{\"total\":" wh                           \
    ",\"by_minute\":[654.0,0.0],\"minute_ts\":1690000000},\"temperature\":{\"tC\":41.2}}"
#define SHELLY1(watts, valid, minutes)                                                             \
    "{\"power\":" watts ",\"overpower\":0.0,\"is_valid\":" valid                                   \
    ",\"timestamp\":1700000000,\"counters\":[35.1,0,0],\"total\":" minutes "}"
#define TASMOTA(watts, kwh)                                                                        \
    "{\"StatusSNS\":{\"Time\":\"2026-11-01T10:00:00\",\"ENERGY\":{\"TotalStartTime\":\"2026-01-"   \
    "01\","                                                                                        \
    "\"Total\":" kwh ",\"Yesterday\":0.5,\"Today\":0.1,\"Power\":" watts ",\"Voltage\":230}}}"
#define KEPLER(zone, joules)                                                                       \
    "kepler_node_cpu_joules_total{node_name=\"a b\",path=\"/sys/x\",zone=\"" zone "\"} " joules "\n"

static void numbers_are_exact_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t unit, want;
    } good[] = {{"12.5", 1, 12500000},
                {"0", 3600, 0},
                {"0.0000001", 1, 0},
                {"0.0000009", 3600, 3240},
                {"1.25e+06", 1, UINT64_C(1250000000000)},
                {"125E-2", 1, 1250000},
                {"000000000000000000000000000000001.5", 1, 1500000},
                {"1.000000000000000000000000000000000001", 1, 1000000},
                {"3.3333333333333333333333333333", 60, 199999999},
                {"0e60", 1, 0},
                {"18446744073709.551615", 1, UINT64_MAX}};
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      ".5",
                                      "5.",
                                      "1e",
                                      "e5",
                                      "1e61",
                                      "1,5",
                                      "NaN",
                                      "inf",
                                      "0x10",
                                      " 1",
                                      "1 ",
                                      "1.2.3",
                                      "1e5x",
                                      "1e+",
                                      "1e999999999999999999999",
                                      "18446744073709.551616",
                                      "99999999999999999999999"};
    for (size_t i = 0; i < SB_ARRAY_LEN(good); i++) {
        uint64_t v = 7;
        const char *t = good[i].text;
        if (!sb_energy_parse_micro(t, t + strlen(t), good[i].unit, &v) || v != good[i].want)
            fail_msg("%s: %llu", t, (unsigned long long)v);
    }
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        uint64_t v = 7;
        if (sb_energy_parse_micro(bad[i], bad[i] + strlen(bad[i]), 1, &v)) fail_msg("%s", bad[i]);
    }
}

static void each_kind_is_known_with_its_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        sb_net_kind kind;
        bool has_power, has_total;
        uint64_t uw, total_uj;
    } rows[] = {
        {SHELLY2("8.9", "6.532"), SB_NET_SHELLY2, true, true, 8900000, UINT64_C(23515200000)},
        {SHELLY2("-3.2", "6.532"), SB_NET_SHELLY2, false, true, 0, UINT64_C(23515200000)},
        {SHELLY2("8.9", "null"), SB_NET_SHELLY2, true, false, 8900000, 0},
        {SHELLY1("10.5", "true", "2"), SB_NET_SHELLY1, true, true, 10500000, 120000000},
        /* The three-phase meters of the same generation count watt hours. */
        {SHELLY1("10.5", "true", "2,\"total_returned\":0.0"), SB_NET_SHELLY1, true, true, 10500000,
         UINT64_C(7200000000)},
        {TASMOTA("42", "1.234"), SB_NET_TASMOTA, true, true, 42000000, UINT64_C(4442400000000)},
        {TASMOTA("[42, 8.5]", "[1.0,0.5]"), SB_NET_TASMOTA, true, true, 50500000,
         UINT64_C(5400000000000)},
        {"# HELP x y\n" KEPLER("package", "1.5e+03") KEPLER("core", "900") KEPLER("dram", "20.25")
             KEPLER("package", "500") KEPLER("psys", "9999"),
         SB_NET_KEPLER, false, true, 0, 2020250000},
        {KEPLER("psys", "7") KEPLER("uncore", "3"), SB_NET_KEPLER, false, true, 0, 7000000},
        {"# TYPE scaph_host_power_microwatts gauge\nscaph_host_power_microwatts 28134000\n"
         "scaph_process_power_consumption_microwatts{pid=\"1\",cmdline=\"a}\\\"b\"} 5\n",
         SB_NET_SCAPHANDRE, true, false, 28134000, 0},
        {"scaph_host_power_microwatts 28134000\r\nscaph_host_energy_microjoules 1234567\r\n",
         SB_NET_SCAPHANDRE, true, true, 28134000, 1234567},
        {"scaph_host_energy_microjoules{host=\"a} 9\"} 1234567 1700000000000\n", SB_NET_SCAPHANDRE,
         false, true, 0, 1234567},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        sb_net_reading r = {0};
        if (!sb_net_parse(rows[i].text, &r)) fail_msg("%s", rows[i].text);
        if (r.kind != rows[i].kind || r.has_power != rows[i].has_power ||
            r.has_total != rows[i].has_total || (r.has_power && r.uw != rows[i].uw) ||
            (r.has_total && r.total_uj != rows[i].total_uj))
            fail_msg("%s: %d %d %d %llu %llu", rows[i].text, r.kind, r.has_power, r.has_total,
                     (unsigned long long)r.uw, (unsigned long long)r.total_uj);
    }
}

static void anything_else_is_no_reading(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "\"",
                                      "{",
                                      "null",
                                      "{\"apower\"}",
                                      "{\"apower\":",
                                      "{\"apower\": }",
                                      "{\"apower\":\"12\"}",
                                      "{\"apower\":12", /* cut: no end of the number */
                                      "{\"apower\":NaN}",
                                      "{\"apower\":1e999}",
                                      "{\"apower\":[1,2}",
                                      "{\"apower\":[1,-2]}",
                                      "{\"apower\":[]}",
                                      "{\"xapower\":12}",
                                      SHELLY1("10.5", "false", "2"),
                                      "{\"StatusSNS\":{\"Time\":\"now\"}}",
                                      TASMOTA("nan", "nan"),
                                      "<html>apower 12</html>",
                                      KEPLER("package", "NaN"),
                                      KEPLER("package", "-1"),
                                      KEPLER("core", "5"),
                                      "kepler_node_cpu_joules_total{zone=\"package\"",
                                      "kepler_node_cpu_joules_total{zone=\"package\"}",
                                      "kepler_node_cpu_joules_total_x{zone=\"package\"} 5\n",
                                      "scaph_host_power_microwatts",
                                      "scaph_host_power_microwatts 1e40\n",
                                      "scaph_host_temp 5\n"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_net_reading r = {0};
        if (sb_net_parse(bad[i], &r)) fail_msg("%s", bad[i]);
    }
}

/* Every beginning of every kind's text, its last byte changed, too: read or refused, in bounds. */
static void cut_and_changed_texts_are_read_in_bounds(void **state)
{
    (void)state;
    static const char *const texts[] = {
        SHELLY2("8.9", "6.532"), SHELLY1("10.5", "true", "2"), TASMOTA("[42, 8.5]", "1.234"),
        KEPLER("package", "1.5e+03") KEPLER("dram", "2"),
        "scaph_host_power_microwatts{a=\"\\\\\"} 28134000\nscaph_host_energy_microjoules 12\n"};
    static const char odd[] = "\"\\{}[]:,.e-+9\n \xff";
    for (size_t i = 0; i < SB_ARRAY_LEN(texts); i++) {
        const size_t n = strlen(texts[i]);
        for (size_t k = 0; k <= n; k++) {
            char *copy = malloc(k + 1); /* of that size, so that a tool sees what lies beyond */
            sb_net_reading r;
            assert_non_null(copy);
            memcpy(copy, texts[i], k);
            copy[k] = 0;
            (void)sb_net_parse(copy, &r);
            for (const char *o = odd; k > 0 && *o; o++) {
                copy[k - 1] = *o;
                (void)sb_net_parse(copy, &r);
            }
            free(copy);
        }
    }
}

/* A network of one plug, and what it was asked for. */
typedef struct network {
    const char *url, *text;
    int n_asked;
} network;

static bool get(void *ctx, const char *url, char *out, size_t out_bytes)
{
    network *w = ctx;
    w->n_asked++;
    if (!w->text || strcmp(url, w->url) != 0) return false;
    return snprintf(out, out_bytes, "%s", w->text) < (int)out_bytes;
}

static void open_at(sb_sources *s, network *w, sb_meter_fetch *f, const char *const *urls, size_t n)
{
    *f = (sb_meter_fetch){get, w};
    const sb_meter_roots roots = {
        .sysfs = "/nowhere", .fetch = f, .urls = urls, .n_urls = n, .survey = true};
    assert_int_equal(sb_sources_open(s, &roots, NULL), SB_OK);
}

static void tick_after_ms(sb_counters *c, int ms)
{
    c->v[0].prev_ns = sb_now_ns() - (uint64_t)ms * 1000000;
    c->v[0].asked_ns = 0;
    sb_counters_tick(c);
}

static void a_plug_is_found_and_its_watts_are_summed(void **state)
{
    (void)state;
    network w = {.url = "http://127.0.0.1/cm?cmnd=Status%2010", .text = TASMOTA("100", "1.0")};
    static const char *const urls[] = {"127.0.0.1"};
    sb_meter_fetch f;
    sb_sources s;
    open_at(&s, &w, &f, urls, 1);
    assert_non_null(s.main);
    assert_int_equal(s.main->meter, SB_METER_PLUG);
    const int n_asked = w.n_asked;
    sb_counters_tick(s.main);
    assert_int_equal(w.n_asked, n_asked); /* not within a second */
    w.text = TASMOTA("300", "1.001");
    tick_after_ms(s.main, 10000);
    assert_in_range(s.main->sum_uj, 2000000000, 2020000000);
    w.text = SHELLY2("300", "1.0"); /* another kind at that address */
    tick_after_ms(s.main, 1000);
    assert_int_equal(s.main->n_lost, 1);
    w.text = NULL;
    tick_after_ms(s.main, 1000);
    assert_int_equal(s.main->n_lost, 2);
    sb_sources_close(&s);
}

static void an_endpoint_is_second_hand(void **state)
{
    (void)state;
    network w = {.url = "http://127.0.0.1:28282/metrics", .text = KEPLER("package", "1000.5")};
    static const char *const urls[] = {"http://127.0.0.1:28282/metrics", "http://127.0.0.1:28282"};
    sb_meter_fetch f;
    sb_sources s;
    open_at(&s, &w, &f, urls, 2);
    assert_int_equal(s.main->meter, SB_METER_NODE);
    assert_int_equal(s.main->n, 1);
    sb_meter_row list[4];
    assert_int_equal(sb_sources_list(&s, list, 4), 2);
    assert_int_equal(list[0].state, SB_METER_CHOSEN);
    assert_string_equal(list[0].unit, "J");
    assert_int_equal(list[1].state, SB_METER_DUPLICATE);
    w.text = KEPLER("package", "1100.5");
    tick_after_ms(s.main, 10000);
    assert_int_equal(s.main->sum_uj, 100000000);
    w.text = KEPLER("package", "3.5"); /* begun again: lost, and counted from there */
    tick_after_ms(s.main, 10000);
    assert_int_equal(s.main->n_lost, 1);
    w.text = KEPLER("package", "4.5");
    tick_after_ms(s.main, 10000);
    assert_int_equal(s.main->sum_uj, 101000000);
    sb_sources_close(&s);
}

/* What an endpoint counted while it could not be asked is in the sum, and nobody's: the tick in
 * which it failed is closed, so the next one must not be told that it used all of it. */
static void what_came_while_nobody_could_ask_is_lost(void **state)
{
    (void)state;
    network w = {.url = "http://127.0.0.1/metrics", .text = KEPLER("package", "1000")};
    static const char *const urls[] = {"http://127.0.0.1/metrics"};
    sb_meter_fetch f;
    sb_sources s;
    open_at(&s, &w, &f, urls, 1);
    w.text = NULL;
    tick_after_ms(s.main, 10000);
    assert_int_equal(s.main->n_lost, 1);
    assert_int_equal(s.main->sum_uj, 0);
    w.text = KEPLER("package", "1100");
    tick_after_ms(s.main, 10000);
    assert_int_equal(s.main->n_lost, 2);
    assert_int_equal(s.main->sum_uj, 100000000);
    w.text = KEPLER("package", "1130");
    tick_after_ms(s.main, 10000);
    assert_int_equal(s.main->n_lost, 2);
    assert_int_equal(s.main->sum_uj, 130000000);
    sb_sources_close(&s);
}

/* Somebody may have waited a second for nothing: it is not asked again within one. */
static void what_fails_is_not_asked_again_at_once(void **state)
{
    (void)state;
    static const char *const plug = "http://127.0.0.1/meter/0", *const node =
                                                                    "http://127.0.0.1/metrics";
    for (int i = 0; i < 2; i++) {
        const char *const good = i ? KEPLER("package", "1000") : SHELLY1("10.5", "true", "2");
        network w = {.url = i ? node : plug, .text = good};
        sb_meter_fetch f;
        sb_sources s;
        open_at(&s, &w, &f, &w.url, 1);
        w.text = NULL;
        w.n_asked = 0;
        tick_after_ms(s.main, 2000);
        assert_int_equal(s.main->n_lost, 1);
        sb_counters_tick(s.main);
        assert_int_equal(s.main->n_lost, 2); /* and not known for that */
        w.text = good;
        sb_counters_tick(s.main);
        assert_int_equal(s.main->n_lost, 3);
        assert_int_equal(w.n_asked, 1);
        tick_after_ms(s.main, 2000);
        assert_int_equal(s.main->n_lost, 4); /* from here on it is known again */
        assert_int_equal(w.n_asked, 2);
        tick_after_ms(s.main, 2000);
        assert_int_equal(s.main->n_lost, 4);
        sb_sources_close(&s);
    }
}

static void addresses_are_made_of_what_was_given(void **state)
{
    (void)state;
    static const struct {
        const char *url, *first, *last;
    } rows[] = {
        {"127.0.0.1", "http://127.0.0.1/rpc/Switch.GetStatus?id=0", "http://127.0.0.1/metrics"},
        {"https://127.0.0.1:8/", "https://127.0.0.1:8/rpc/Switch.GetStatus?id=0",
         "https://127.0.0.1:8/metrics"},
        {"127.0.0.1/meter/1", "http://127.0.0.1/meter/1", NULL},
        {"http://[::1]:9/x?y=/", "http://[::1]:9/x?y=/", NULL},
    };
    char out[64];
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        assert_true(sb_net_address(rows[i].url, 0, out, sizeof out));
        assert_string_equal(out, rows[i].first);
        assert_int_equal(sb_net_address(rows[i].url, SB_NET_PATHS - 1, out, sizeof out),
                         rows[i].last != NULL);
        if (rows[i].last) assert_string_equal(out, rows[i].last);
        assert_false(sb_net_address(rows[i].url, SB_NET_PATHS, out, sizeof out));
    }
    assert_false(sb_net_address("127.0.0.1", 0, out, 42));
    assert_true(sb_net_address("127.0.0.1", 0, out, 43));
}

static void what_answers_nothing_is_said(void **state)
{
    (void)state;
    network w = {.url = "", .text = NULL};
    static const char *const urls[] = {"http://127.0.0.1:1/\x1b[2J"};
    sb_meter_fetch f;
    sb_sources s;
    open_at(&s, &w, &f, urls, 1);
    assert_null(s.main);
    sb_meter_row list[4];
    assert_int_equal(sb_sources_list(&s, list, 4), 1);
    assert_int_equal(list[0].state, SB_METER_NO_DATA);
    assert_string_equal(list[0].name, "http://127.0.0.1:1/?[2J");
    sb_sources_close(&s);
}

#define CASE(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(numbers_are_exact_or_none),
        CASE(each_kind_is_known_with_its_unit),
        CASE(anything_else_is_no_reading),
        CASE(cut_and_changed_texts_are_read_in_bounds),
        CASE(a_plug_is_found_and_its_watts_are_summed),
        CASE(an_endpoint_is_second_hand),
        CASE(what_came_while_nobody_could_ask_is_lost),
        CASE(what_fails_is_not_asked_again_at_once),
        CASE(addresses_are_made_of_what_was_given),
        CASE(what_answers_nothing_is_said),
    };
    return cmocka_run_group_tests_name("meters in the network", tests, NULL, NULL);
}
