/* SPDX-License-Identifier: Apache-2.0
 * receipt_test.c - one spelling, labels that follow from sources, signatures, and receipts that
 * somebody wants to pass off. */
#include "book_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "energy/receipt_key.h"

static char *canon(const char *text)
{
    json_t *v = NULL;
    sb_buf b;
    sb_buf_init(&b, 65536, "test");
    assert_int_equal(sb_canon_read(&v, text, strlen(text), "test", NULL), SB_OK);
    assert_int_equal(sb_canon_add(&b, v, NULL), SB_OK);
    json_decref(v);
    return b.p;
}

static void one_spelling(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"b\" : 1,\n \"a\" : [ true, null, 1.50, -0.125 ]}",
         "{\"a\":[true,null,1.5,-0.125],\"b\":1}"},
        {"{\"aa\":2.0,\"a\":1e3,\"B\":0.001}", "{\"B\":0.001,\"a\":1000,\"aa\":2}"},
        {"{\"\\u00e9\":\"\\u2028\\t\\\"\\u0001\\/\"}",
         "{\"\xc3\xa9\":\"\xe2\x80\xa8\\t\\\"\\u0001/\"}"},
        {"{}", "{}"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        char *once = canon(rows[i][0]), *twice = canon(once);
        assert_string_equal(once, rows[i][1]);
        assert_string_equal(twice, once);
        sb_buf a = {.p = once}, b = {.p = twice};
        sb_buf_deinit(&a);
        sb_buf_deinit(&b);
    }
}

static void hostile_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":\"\\ud800\"}",
                                      "1",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":1} {}",
                                      "{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}"};
    sb_error err;
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        json_t *v = NULL;
        assert_int_equal(sb_canon_read(&v, bad[i], strlen(bad[i]), "test", &err), SB_CORRUPT);
        assert_null(v);
    }
    static const char *const numbers[] = {"{\"a\":0.0001}", "{\"a\":1e300}"};
    for (size_t i = 0; i < SB_ARRAY_LEN(numbers); i++) {
        json_t *v = NULL;
        sb_buf b;
        sb_buf_init(&b, 1000, "test");
        assert_int_equal(sb_canon_read(&v, numbers[i], strlen(numbers[i]), "test", NULL), SB_OK);
        assert_int_equal(sb_canon_add(&b, v, &err), SB_CORRUPT);
        json_decref(v);
        sb_buf_deinit(&b);
    }
}

static sb_energy energy_of(sb_energy_source source)
{
    return (sb_energy){.source = source,
                       .energy_uj = 41234567,
                       .lo_uj = 33000000,
                       .hi_uj = 51000000,
                       .prefill_uj = 1000000,
                       .recompute_uj = 234567,
                       .split_lo_uj = 40000000,
                       .split_hi_uj = 42000000,
                       .concurrency = 2.6666,
                       .settled = true,
                       .method = "cpu_time",
                       .meter = "measured measured", /* whatever a meter's name may hold */
                       .scope = "CPU packages with idle power; not power supply, fans"};
}

static json_t *receipt_by(const sb_energy *e, const sb_grid *g)
{
    json_t *r = NULL;
    const sb_tariff t = {.nano_per_kwh = 250000000, .currency = "EUR"};
    const sb_receipt_facts f = {.id = {"abc", 3},
                                .model = {"tiny", 4},
                                .time_ms = 1764230400000,
                                .n_in = 5,
                                .n_cached = 2,
                                .n_out = 9,
                                .grid = g,
                                .tariff = &t};
    assert_int_equal(sb_receipt_new(&r, e, &f, NULL), SB_OK);
    return r;
}

static json_t *receipt_of(const sb_energy *e)
{
    const sb_grid g = {.mg_per_kwh = 56000, .zone = "FR", .year = 2023, .source = "a table"};
    return receipt_by(e, &g);
}

static const char *in(const json_t *r, const char *object, const char *key)
{
    return json_string_value(json_object_get(object ? json_object_get(r, object) : r, key));
}

static void fields(void **state)
{
    (void)state;
    sb_energy e = energy_of(SB_ENERGY_MEASURED);
    json_t *r = receipt_of(&e);
    sb_buf b;
    sb_buf_init(&b, 65536, "test");
    assert_int_equal(sb_canon_add(&b, r, NULL), SB_OK);
    assert_string_equal(
        b.p,
        "{\"accounting\":\"full\",\"co2e\":{\"g_per_kwh\":56,\"kind\":\"average\",\"mg\":0.641,"
        "\"source\":\"a table\",\"year\":2023,\"zone\":\"FR\"},"
        "\"concurrency_mean\":2.667,\"cost\":{\"amount\":\"0.000002864\",\"currency\":\"EUR\","
        "\"per_kwh\":\"0.25\"},\"energy_uj\":41234567,\"estimated_uj\":0,"
        "\"format\":\"sobre-receipt-1\",\"id\":\"abc\",\"model\":\"tiny\",\"parts\":{\"decode\":"
        "40000000,"
        "\"prefill\":1000000,\"recompute\":234567},\"settled\":true,\"source\":{\"excludes\":"
        "[\"power supply\",\"fans\"],\"kind\":\"meter\",\"label\":\"measured\",\"meter\":"
        "\"measured measured\",\"method\":\"cpu_time\",\"scope\":\"CPU packages with idle power; "
        "not "
        "power supply, "
        "fans\"},\"split_range_uj\":[40000000,42000000],\"time\":\"2025-11-27T08:00:00Z\","
        "\"tokens\":{\"cached\":2,\"in\":5,\"out\":9,\"rejected\":0},\"u95_uj\":[33000000,51000000]"
        "}");
    sb_buf_deinit(&b);
    json_decref(r);
}

/* A live value has its time; the table in its place says why, and not where the file lies. */
static void live_grams_have_their_time(void **state)
{
    (void)state;
    const sb_energy e = energy_of(SB_ENERGY_MEASURED);
    sb_grid g = {.mg_per_kwh = 56000,
                 .zone = "FR",
                 .kind = SB_GRID_live,
                 .time_s = 1764230400,
                 .source = "the operator's file"};
    json_t *r = receipt_by(&e, &g);
    assert_string_equal(in(r, "co2e", "kind"), "live");
    assert_string_equal(in(r, "co2e", "time"), "2025-11-27T08:00:00Z");
    assert_null(in(r, "co2e", "note"));
    json_decref(r);
    assert_int_equal(sb_grid_parse(&g, "/nowhere/secret", 1764230400, NULL), SB_OK);
    r = receipt_by(&e, &g);
    assert_string_equal(in(r, "co2e", "note"),
                        "the operator's file cannot be read, so the table is used");
    assert_null(in(r, "co2e", "time"));
    json_decref(r);
}

/* Whatever else an energy says: only its source decides what it is called. */
static void no_estimate_is_called_measured(void **state)
{
    (void)state;
    for (int s = 0; s < SB_ENERGY_SOURCE_COUNT; s++) {
        sb_energy e = energy_of((sb_energy_source)s);
        json_t *r = receipt_of(&e);
        sb_receipt_view v;
        char text[SB_ENERGY_TEXT_BYTES];
        const bool measured = s == SB_ENERGY_MEASURED;
        assert_int_equal(strcmp(in(r, "source", "label"), "measured") == 0, measured);
        assert_int_equal(strcmp(in(r, "source", "kind"), "meter") == 0, measured);
        assert_int_equal(sb_receipt_seal(r, "", NULL, NULL), SB_OK);
        assert_int_equal(sb_receipt_check(r, &v, NULL), SB_OK);
        sb_receipt_text(&v, text, sizeof text);
        assert_int_equal(strstr(text, "measured") != NULL, measured);
        if (s == SB_ENERGY_ESTIMATED)
            assert_string_equal(text, "about 40 J (30 J to 60 J), estimated");
        if (measured) assert_string_equal(text, "41.2 J (33.0 J to 51.0 J), measured");
        /* Nor does one that was made elsewhere pass. */
        json_object_set_new(json_object_get(r, "source"), "label", json_string("measured"));
        if (!measured) {
            (void)json_object_del(r, "hash");
            assert_int_equal(sb_receipt_seal(r, "", NULL, NULL), SB_OK);
            assert_int_equal(sb_receipt_check(r, &v, NULL), SB_CORRUPT);
        }
        json_decref(r);
    }
}

static void digits(void **state)
{
    (void)state;
    assert_int_equal(sb_receipt_digits(SB_RECEIPT_MODEL), 1);
    assert_int_equal(sb_receipt_digits(SB_RECEIPT_CALIBRATED), 2);
    assert_int_equal(sb_receipt_digits(SB_RECEIPT_METER), 3);
    sb_receipt_view v = {.kind = SB_RECEIPT_CALIBRATED,
                         .known = true,
                         .energy_uj = 41234567,
                         .lo_uj = 33100000,
                         .hi_uj = 50100000};
    char text[SB_ENERGY_TEXT_BYTES];
    sb_receipt_text(&v, text, sizeof text);
    assert_string_equal(text, "about 41 J (33 J to 51 J), estimated");
}

static void choices_make_one(void **state)
{
    (void)state;
    sb_energy v[3] = {energy_of(SB_ENERGY_MEASURED), energy_of(SB_ENERGY_UNAVAILABLE),
                      energy_of(SB_ENERGY_ESTIMATED)};
    v[2].settled = false;
    const sb_energy e = sb_energy_together(v, 3);
    assert_int_equal(e.energy_uj, 2 * 41234567);
    assert_int_equal(e.lo_uj, 66000000);
    assert_int_equal(e.source, SB_ENERGY_ESTIMATED);
    assert_false(e.settled);
    assert_int_equal(sb_energy_together(v, 0).source, SB_ENERGY_UNAVAILABLE);
}

static bool sig_holds(const char *home, const json_t *r)
{
    unsigned char key[SB_RECEIPT_KEY_BYTES];
    sb_receipt_view v;
    sb_buf b;
    sb_buf_init(&b, 65536, "test");
    bool ok = sb_receipt_check(r, &v, NULL) == SB_OK &&
              sb_receipt_signed_bytes(r, &b, NULL) == SB_OK &&
              sb_receipt_key_find(home, v.key_id, key, NULL) == SB_OK &&
              sb_receipt_sig_ok(key, (sb_str){b.p, b.n}, v.sig);
    sb_buf_deinit(&b);
    return ok;
}

static void signatures(void **state)
{
    (void)state;
    rig r;
    struct stat st;
    char path[256], first[SB_RECEIPT_KEY_ID_BYTES];
    sb_receipt_keys *k = NULL, *same = NULL;
    json_t *one = NULL, *two = NULL;
    rig_init(&r);
    rig_open(&r);
    rig_tick(&r, 1, 300, 1000);
    assert_int_equal(sb_receipt_keys_open(&k, r.home, NULL), SB_OK);
    assert_int_equal(sb_receipt_keys_open(&same, r.home, NULL), SB_OK);
    assert_string_equal(sb_receipt_keys_id(k), sb_receipt_keys_id(same));
    (void)snprintf(path, sizeof path, "%s/receipt-keys/signing.pem", r.home);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)strcpy(first, sb_receipt_keys_id(k));
    assert_int_equal(rig_receipt(&r, "a", 1, 300, SB_ENERGY_MEASURED, k, &one), SB_OK);
    assert_true(sig_holds(r.home, one));
    /* Another key from now on, also for who had the old one in memory; the old receipt still holds.
     * */
    assert_int_equal(sb_receipt_keys_rotate(same, NULL), SB_OK);
    assert_string_not_equal(sb_receipt_keys_id(k), first);
    assert_string_equal(sb_receipt_keys_id(k), sb_receipt_keys_id(same));
    assert_int_equal(rig_receipt(&r, "b", 2, 300, SB_ENERGY_ESTIMATED, k, &two), SB_OK);
    assert_true(sig_holds(r.home, one));
    assert_true(sig_holds(r.home, two));
    assert_string_not_equal(in(one, NULL, "key_id"), in(two, NULL, "key_id"));
    const sb_audit_result a = rig_audit(&r);
    assert_true(a.chain_ok && a.sums_ok);
    /* What clients are shown holds both. */
    unsigned char key[SB_RECEIPT_KEY_BYTES];
    sb_buf shown;
    sb_buf_init(&shown, 65536, "test");
    assert_int_equal(sb_receipt_keys_json(k, &shown, NULL), SB_OK);
    assert_null(strstr(shown.p, "PRIVATE"));
    assert_int_equal(sb_receipt_key_read((sb_str){shown.p, shown.n}, first, key, NULL), SB_OK);
    assert_int_equal(
        sb_receipt_key_read((sb_str){shown.p, shown.n}, sb_receipt_keys_id(k), key, NULL), SB_OK);
    assert_int_equal(sb_receipt_key_read((sb_str){shown.p, shown.n}, "0000000000000000", key, NULL),
                     SB_NOT_FOUND);
    sb_buf_deinit(&shown);
    json_decref(one);
    json_decref(two);
    sb_receipt_keys_close(k);
    sb_receipt_keys_close(same);
    rig_end(&r);
}

/* Each character of a signed receipt, changed: none is still right. */
static void every_change_breaks_it(void **state)
{
    (void)state;
    rig r;
    sb_receipt_keys *k = NULL;
    json_t *made = NULL;
    sb_buf b;
    rig_init(&r);
    rig_open(&r);
    rig_tick(&r, 1, 300, 1000);
    assert_int_equal(sb_receipt_keys_open(&k, r.home, NULL), SB_OK);
    assert_int_equal(rig_receipt(&r, "a", 1, 300, SB_ENERGY_MEASURED, k, &made), SB_OK);
    sb_buf_init(&b, 65536, "test");
    assert_int_equal(sb_canon_add(&b, made, NULL), SB_OK);
    for (size_t i = 0; i < b.n; i++)
        for (int w = 1; w < 256; w <<= 1) {
            json_t *x = NULL;
            b.p[i] = (char)(b.p[i] ^ w);
            if (sb_canon_read(&x, b.p, b.n, "test", NULL) == SB_OK && !json_equal(x, made) &&
                sig_holds(r.home, x))
                fail_msg("byte %zu", i);
            b.p[i] = (char)(b.p[i] ^ w);
            json_decref(x);
        }
    sb_buf_deinit(&b);
    json_decref(made);
    sb_receipt_keys_close(k);
    rig_end(&r);
}

static void wrong_keys(void **state)
{
    (void)state;
    rig r;
    char path[256];
    sb_receipt_keys *k = NULL;
    sb_error err;
    unsigned char key[SB_RECEIPT_KEY_BYTES];
    rig_init(&r);
    assert_int_equal(sb_receipt_key_find(r.home, "../../etc/passwd", key, &err), SB_NOT_FOUND);
    assert_int_equal(sb_receipt_key_find(r.home, "0123456789abcdef", key, &err), SB_NOT_FOUND);
    static const char *const bad[] = {
        "", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "{\"keys\":[{\"x\":\"AAAA\"}]}", "{\"keys\":3}", "[]"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        assert_int_not_equal(
            sb_receipt_key_read((sb_str){bad[i], strlen(bad[i])}, "0123456789abcdef", key, &err),
            SB_OK);
    memset(key, 0, sizeof key);
    static const char *const sigs[] = {"", "AAAA", "*",
                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < SB_ARRAY_LEN(sigs); i++)
        assert_false(sb_receipt_sig_ok(key, (sb_str){"x", 1}, sigs[i]));
    /* A file that holds no key is named, and is not replaced. */
    assert_int_equal(sb_receipt_keys_open(&k, r.home, NULL), SB_OK);
    sb_receipt_keys_close(k);
    k = NULL;
    (void)snprintf(path, sizeof path, "%s/receipt-keys/signing.pem", r.home);
    assert_int_equal(truncate(path, 20), 0);
    assert_int_equal(sb_receipt_keys_open(&k, r.home, &err), SB_CORRUPT);
    assert_non_null(strstr(err.msg, "signing.pem"));
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_spelling),
        cmocka_unit_test(hostile_json_is_refused),
        cmocka_unit_test(fields),
        cmocka_unit_test(live_grams_have_their_time),
        cmocka_unit_test(no_estimate_is_called_measured),
        cmocka_unit_test(digits),
        cmocka_unit_test(choices_make_one),
        cmocka_unit_test(signatures),
        cmocka_unit_test(every_change_breaks_it),
        cmocka_unit_test(wrong_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
