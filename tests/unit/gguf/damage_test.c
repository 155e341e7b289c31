/* SPDX-License-Identifier: Apache-2.0
 * damage_test.c - every truncation and every damaged byte of a small file opens or is refused.
 *
 * The file holds every kind of value and three tensors. What opens is walked in full; nothing may
 * point outside. Copies have the exact size on the heap, so the address sanitizer sees any read
 * beyond. A second test makes each allocation fail in turn. */
#include "gguf_build.h"

#include "gguf/internal.h"
#include "gguf/writer.h"
#include "starve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(call) assert_int_equal((call), SB_OK)

static void assert_inside(const sb_gguf *g, const void *p, uint64_t n)
{
    const sb_map *m = sb_gguf_map(g, 0);
    const uintptr_t base = (uintptr_t)m->p, at = (uintptr_t)p;
    assert_true(at >= base && at - base <= m->bytes && n <= m->bytes - (at - base));
}

static void walk_array(const sb_gguf *g, const sb_gguf_kv *kv)
{
    int64_t v;
    int32_t *ints = malloc((size_t)kv->count * 4 + 1);
    float *floats = malloc((size_t)kv->count * 4 + 1);
    sb_str *strs = malloc((size_t)kv->count * sizeof(sb_str) + 1);
    (void)!sb_gguf_kv_ints(g, kv, ints, kv->count, NULL);
    (void)!sb_gguf_kv_floats(g, kv, floats, kv->count, NULL);
    (void)!sb_gguf_kv_int_at(g, kv, kv->count - 1, &v, NULL);
    if (sb_gguf_kv_strs(g, kv, strs, kv->count, NULL) == SB_OK) {
        for (uint64_t i = 0; i < kv->count; i++)
            assert_inside(g, strs[i].p, strs[i].n);
    }
    free(strs);
    free(floats);
    free(ints);
}

/* Reads everything an open model offers. */
static void walk(const sb_gguf *g)
{
    char key[128];
    for (size_t i = 0; i < sb_gguf_n_kv(g); i++) {
        const sb_gguf_kv *kv = sb_gguf_kv_get(g, i);
        int64_t v;
        double d;
        bool b;
        sb_str s;
        assert_inside(g, kv->key.p, kv->key.n);
        assert_inside(g, kv->data, kv->bytes);
        if (kv->type == SB_GGUF_ARR) walk_array(g, kv);
        if (kv->key.n >= sizeof(key)) continue;
        snprintf(key, sizeof(key), "%.*s", (int)kv->key.n, kv->key.p);
        assert_ptr_equal(sb_gguf_kv_find(g, key), kv);
        (void)!sb_gguf_get_int(g, &(sb_gguf_int){.key = key, .hi = 9}, &v, NULL);
        (void)!sb_gguf_get_float(g, &(sb_gguf_float){.key = key, .hi = 9}, &d, NULL);
        (void)!sb_gguf_get_bool(g, key, false, &b, NULL);
        if (sb_gguf_get_str(g, key, &s, NULL) == SB_OK) assert_inside(g, s.p, s.n);
    }
    for (size_t i = 0; i < sb_gguf_n_tensors(g); i++) {
        const sb_gguf_tensor *t = sb_gguf_tensor_get(g, i);
        assert_inside(g, t->name.p, t->name.n);
        snprintf(key, sizeof(key), "%.*s", (int)t->name.n, t->name.p); // at most 63 bytes
        assert_ptr_equal(sb_gguf_tensor_find(g, key), t);
        assert_inside(g, t->data, t->bytes);
        assert_true(t->bytes > 0 && t->ne[0] > 0 && t->n_dims >= 1 && t->n_dims <= 4);
        const uint64_t rows = t->bytes / sb_format_row_bytes(t->format, t->ne[0]);
        assert_true(rows == (uint64_t)(t->ne[1] * t->ne[2] * t->ne[3]));
    }
}

static sb_buf make_file(void)
{
    static const unsigned char zeros[2400];
    static const unsigned char bools[3] = {1, 0, 1};
    const sb_str words[3] = {{.p = "<s>", .n = 3}, {.p = "a", .n = 1}, {.p = NULL, .n = 0}};
    const sb_gguf_out tensors[3] = {
        {.name = "token_embd.weight",
         .format = SB_F_Q4_1,
         .n_dims = 2,
         .ne = {96, 40},
         .data = zeros},
        {.name = "blk.0.attn_norm.weight",
         .format = SB_F_F32,
         .n_dims = 1,
         .ne = {33},
         .data = zeros},
        {.name = "x", .format = SB_F_Q4_K, .n_dims = 3, .ne = {256, 2, 2}, .data = zeros},
    };
    sb_gguf_writer *w = NULL;
    sb_buf out;
    sb_buf_init(&out, 1 << 16, "test file");
    OK(sb_gguf_writer_new(&w, NULL));
    OK(sb_gguf_add_str(w, "general.architecture", (sb_str){.p = "llama", .n = 5}, NULL));
    OK(sb_gguf_add_int(w, "general.alignment", SB_GGUF_U32, 32, NULL));
    for (int t = 0; t < SB_GGUF_TYPE_COUNT; t++) {
        char key[32];
        const sb_gguf_type type = (sb_gguf_type)t;
        snprintf(key, sizeof(key), "one.%s", sb_gguf_type_name(type));
        if (sb_gguf_type_bytes(type) && type != SB_GGUF_BOOL)
            OK(sb_gguf_add_int(w, key, type, 1, NULL));
        snprintf(key, sizeof(key), "two.%s", sb_gguf_type_name(type));
        if (sb_gguf_type_bytes(type)) {
            OK(sb_gguf_add_array(w, key, type, type == SB_GGUF_BOOL ? bools : zeros, 3, NULL));
        }
    }
    OK(sb_gguf_add_int(w, "yes", SB_GGUF_BOOL, 1, NULL));
    OK(sb_gguf_add_strs(w, "tokenizer.ggml.tokens", words, 3, NULL));
    for (int i = 0; i < 3; i++)
        OK(sb_gguf_add_tensor(w, &tensors[i], NULL));
    OK(sb_gguf_write_buf(w, 0, &out, NULL));
    sb_gguf_writer_free(w);
    return out;
}

/* True when it opened. */
static bool try_bytes(const void *p, size_t n)
{
    unsigned char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, p, n);
    sb_gguf *g = NULL;
    sb_error err = {0};
    const sb_status s = sb_gguf_open_bytes(&g, copy, n, &err);
    if (s == SB_OK) {
        walk(g);
        sb_gguf_close(g);
    } else {
        assert_null(g);
        assert_int_equal(err.code, s);
        assert_words(&err, "memory: ");
        assert_true(s == SB_CORRUPT || s == SB_LIMIT || s == SB_UNSUPPORTED || s == SB_INVALID);
    }
    free(copy);
    return s == SB_OK;
}

static void every_truncation(void **state)
{
    (void)state;
    sb_buf file = make_file();
    assert_true(try_bytes(file.p, file.n));
    const size_t padding = 0; // the last tensor ends on a multiple of the alignment
    for (size_t n = 0; n < file.n; n++) {
        if (try_bytes(file.p, n)) assert_true(n >= file.n - padding);
    }
    sb_buf_deinit(&file);
}

static void every_byte(void **state)
{
    (void)state;
    sb_buf file = make_file();
    int n_opened = 0, n_refused = 0;
    for (size_t at = 0; at < file.n; at++) {
        const unsigned char was = (unsigned char)file.p[at];
        const unsigned char values[] = {0,
                                        1,
                                        0x7f,
                                        0x80,
                                        0xff,
                                        (unsigned char)(was + 1),
                                        (unsigned char)(was - 1),
                                        (unsigned char)(was ^ 0x10)};
        const size_t n = at < 2600 ? SB_ARRAY_LEN(values) : 1; // the rest is tensor data
        for (size_t k = 0; k < n; k++) {
            file.p[at] = (char)values[k];
            if (try_bytes(file.p, file.n)) {
                n_opened++;
            } else {
                n_refused++;
            }
        }
        file.p[at] = (char)was;
    }
    assert_true(n_opened > 1000 &&
                n_refused > 1000); // the damage is neither all fatal nor all mild
    sb_buf_deinit(&file);
}

/* Two damages at once: what one check lets pass, the next must not trip over. */
static void random_pairs(void **state)
{
    (void)state;
    sb_buf file = make_file();
    uint32_t x = 12345;
    for (int i = 0; i < 20000; i++) {
        size_t at[2];
        char was[2];
        for (int k = 0; k < 2; k++) {
            x = x * 1664525u + 1013904223u;
            at[k] = (x >> 8) % 2600;
            was[k] = file.p[at[k]];
            file.p[at[k]] = (char)(x >> 3);
        }
        (void)try_bytes(file.p, file.n);
        for (int k = 1; k >= 0; k--)
            file.p[at[k]] = was[k];
    }
    assert_true(try_bytes(file.p, file.n));
    sb_buf_deinit(&file);
}

static void every_allocation_fails(void **state)
{
    (void)state;
    sb_buf file = make_file();
    int n_failures = 0;
    for (int n = 0;; n++) {
        sb_gguf *g = NULL;
        sb_error err = {0};
        starve_from(n, false);
        const sb_status s = sb_gguf_open_bytes(&g, (unsigned char *)file.p, file.n, &err);
        (void)starve_end();
        if (s == SB_OK) {
            sb_gguf_close(g);
            break;
        }
        assert_int_equal(s, SB_NO_MEMORY);
        assert_null(g);
        assert_words(&err, "memory");
        n_failures++;
    }
    assert_true(n_failures >= 7);
    sb_buf_deinit(&file);
}

/* A whole small file through the writer; stops at the first failure. */
static sb_status write_small(sb_buf *out, sb_error *err)
{
    static const unsigned char zeros[16];
    const sb_gguf_out t = {.name = "t", .format = SB_F_F32, .n_dims = 1, .ne = {4}, .data = zeros};
    sb_gguf_writer *w = NULL;
    SB_TRY(sb_gguf_writer_new(&w, err));
    sb_status s = sb_gguf_add_int(w, "n", SB_GGUF_U32, 1, err);
    if (s == SB_OK) s = sb_gguf_add_tensor(w, &t, err);
    if (s == SB_OK) s = sb_gguf_write_buf(w, 0, out, err);
    sb_gguf_writer_free(w);
    return s;
}

static void every_allocation_of_the_writer_fails(void **state)
{
    (void)state;
    int n_failures = 0;
    for (int n = 0;; n++) {
        sb_buf out;
        sb_error err = {0};
        sb_buf_init(&out, 1 << 16, "test file");
        starve_from(n, false);
        const sb_status s = write_small(&out, &err);
        (void)starve_end();
        if (s == SB_OK) assert_true(try_bytes(out.p, out.n));
        sb_buf_deinit(&out);
        if (s == SB_OK) break;
        assert_int_equal(s, SB_NO_MEMORY);
        assert_true(err.msg[0] != 0);
        n_failures++;
    }
    assert_true(n_failures >= 5);
}

static void a_failed_addition_leaves_no_trace(void **state)
{
    (void)state;
    static const char big[100000] = "x";
    sb_gguf_writer *w = NULL;
    sb_buf out;
    sb_buf_init(&out, 1 << 16, "test file");
    OK(sb_gguf_writer_new(&w, NULL));
    OK(sb_gguf_add_int(w, "a", SB_GGUF_U32, 1, NULL));
    starve_from(0, false); // the key still fits in what is there, the value does not
    const sb_status s = sb_gguf_add_str(w, "b", (sb_str){.p = big, .n = sizeof(big)}, NULL);
    (void)starve_end();
    assert_int_equal(s, SB_NO_MEMORY);
    OK(sb_gguf_add_int(w, "c", SB_GGUF_U32, 1, NULL));
    OK(sb_gguf_write_buf(w, 0, &out, NULL));
    sb_gguf_writer_free(w);
    sb_gguf *g = NULL;
    OK(sb_gguf_open_bytes(&g, (unsigned char *)out.p, out.n, NULL));
    assert_int_equal(sb_gguf_n_kv(g), 2);
    assert_null(sb_gguf_kv_find(g, "b"));
    assert_non_null(sb_gguf_kv_find(g, "c"));
    sb_gguf_close(g);
    sb_buf_deinit(&out);
}

static const char *const set[2] = {"n-00001-of-00002.gguf", "n-00002-of-00002.gguf"};

static void write_set(void)
{
    static const unsigned char zeros[16];
    for (int i = 0; i < 2; i++) {
        sb_gguf_writer *w = NULL;
        const sb_gguf_out t = {
            .name = i ? "b" : "a", .format = SB_F_F32, .n_dims = 1, .ne = {4}, .data = zeros};
        OK(sb_gguf_writer_new(&w, NULL));
        OK(sb_gguf_add_int(w, "split.no", SB_GGUF_U16, i, NULL));
        OK(sb_gguf_add_int(w, "split.count", SB_GGUF_U16, 2, NULL));
        OK(sb_gguf_add_int(w, "split.tensors.count", SB_GGUF_I32, 2, NULL));
        OK(sb_gguf_add_tensor(w, &t, NULL));
        OK(sb_gguf_write_file(w, 0, temp_path(set[i]), NULL));
        sb_gguf_writer_free(w);
    }
}

static void every_allocation_of_a_set_fails(void **state)
{
    (void)state;
    write_set();
    const char *path = temp_path(set[0]);
    int n_failures = 0;
    for (int n = 0;; n++) {
        sb_gguf *g = NULL;
        sb_error err = {0};
        starve_from(n, false);
        const sb_status s = sb_gguf_open(&g, path, &err);
        (void)starve_end();
        if (s == SB_OK) {
            assert_int_equal(sb_gguf_n_shards(g), 2);
            sb_gguf_close(g);
            break;
        }
        assert_int_equal(s, SB_NO_MEMORY);
        assert_null(g);
        assert_words(&err, ".gguf: ");
        n_failures++;
    }
    assert_true(n_failures >= 12);
    temp_remove(set[0]);
    temp_remove(set[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(random_pairs),
        cmocka_unit_test(every_allocation_fails),
        cmocka_unit_test(every_allocation_of_a_set_fails),
        cmocka_unit_test(every_allocation_of_the_writer_fails),
        cmocka_unit_test(a_failed_addition_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, temp_cleanup);
}
