/* SPDX-License-Identifier: Apache-2.0
 * gguf_test.c - what the writer writes the reader reads; typed getters; split sets. */
#include "gguf_build.h"

#include "gguf/name_index.h"
#include "gguf/writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sb_str str(const char *s)
{
    return (sb_str){.p = s, .n = strlen(s)};
}

static void assert_str(sb_str s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
}

#define OK(call) assert_int_equal((call), SB_OK)

static sb_gguf_writer *new_writer(void)
{
    sb_gguf_writer *w = NULL;
    OK(sb_gguf_writer_new(&w, NULL));
    OK(sb_gguf_add_str(w, "general.architecture", str("llama"), NULL));
    return w;
}

/* Writes to a temporary file, opens it, frees the writer. */
static sb_gguf *reopen(sb_gguf_writer *w, uint32_t alignment)
{
    sb_gguf *g = NULL;
    sb_error err = {0};
    OK(sb_gguf_write_file(w, alignment, temp_path("w.gguf"), NULL));
    sb_gguf_writer_free(w);
    if (sb_gguf_open(&g, temp_path("w.gguf"), &err) != SB_OK) fail_msg("%s", err.msg);
    temp_remove("w.gguf");
    return g;
}

static void every_kind_comes_back(void **state)
{
    (void)state;
    static const unsigned char i16s[] = {0xff, 0xff, 1, 0, 0, 0x80};
    const sb_str words[] = {str("one"), str(""), str("three\0x"), {.p = "\xff\0", .n = 2}};
    sb_gguf_writer *w = new_writer();
    OK(sb_gguf_add_int(w, "i8", SB_GGUF_I8, -5, NULL));
    OK(sb_gguf_add_int(w, "u64", SB_GGUF_U64, INT64_MAX, NULL));
    OK(sb_gguf_add_float(w, "f32", SB_GGUF_F32, 0.5, NULL));
    OK(sb_gguf_add_float(w, "f64", SB_GGUF_F64, 1e300, NULL));
    OK(sb_gguf_add_int(w, "yes", SB_GGUF_BOOL, 1, NULL));
    OK(sb_gguf_add_array(w, "i16s", SB_GGUF_I16, i16s, 3, NULL));
    OK(sb_gguf_add_array(w, "none", SB_GGUF_F32, NULL, 0, NULL));
    OK(sb_gguf_add_strs(w, "words", words, 4, NULL));
    sb_gguf *g = reopen(w, 0);
    assert_int_equal(sb_gguf_n_kv(g), 9);
    assert_int_equal(sb_gguf_n_tensors(g), 0);
    assert_int_equal(sb_gguf_n_shards(g), 1);

    int64_t i = 0;
    double d = 0;
    bool b = false;
    OK(sb_gguf_get_int(g, &(sb_gguf_int){.key = "i8", .lo = -5, .hi = -5}, &i, NULL));
    assert_int_equal(i, -5);
    OK(sb_gguf_get_int(g, &(sb_gguf_int){.key = "u64", .lo = 0, .hi = INT64_MAX}, &i, NULL));
    assert_true(i == INT64_MAX);
    OK(sb_gguf_get_float(g, &(sb_gguf_float){.key = "f32", .lo = 0, .hi = 1}, &d, NULL));
    assert_true(d == 0.5);
    OK(sb_gguf_get_float(g, &(sb_gguf_float){.key = "f64", .lo = 0, .hi = HUGE_VAL}, &d, NULL));
    assert_true(d == 1e300);
    OK(sb_gguf_get_bool(g, "yes", false, &b, NULL));
    assert_true(b);

    const sb_gguf_kv *kv = sb_gguf_kv_find(g, "i16s");
    int32_t v[3];
    OK(sb_gguf_kv_ints(g, kv, v, 3, NULL));
    assert_true(v[0] == -1 && v[1] == 1 && v[2] == -32768);
    float f[3];
    assert_int_equal(sb_gguf_kv_floats(g, kv, f, 3, NULL), SB_CORRUPT); // integers are no floats
    kv = sb_gguf_kv_find(g, "words");
    sb_str s[4];
    OK(sb_gguf_kv_strs(g, kv, s, 4, NULL));
    assert_str(s[0], "one");
    assert_int_equal(s[1].n, 0);
    assert_str(s[2], "three");
    assert_memory_equal(s[3].p, "\xff\0", 2);
    kv = sb_gguf_kv_find(g, "none");
    assert_int_equal(kv->count, 0);
    OK(sb_gguf_kv_floats(g, kv, NULL, 0, NULL));
    sb_gguf_close(g);
}

static void tensors_come_back(void **state)
{
    (void)state;
    float f[6] = {1, 2, 3, 4, 5, 6};
    unsigned char q[2 * 34 * 3];
    for (size_t i = 0; i < sizeof(q); i++)
        q[i] = (unsigned char)i;
    sb_gguf_writer *w = new_writer();
    OK(sb_gguf_add_int(w, "general.alignment", SB_GGUF_U32, 64, NULL));
    const sb_gguf_out a = {.name = "a", .format = SB_F_F32, .n_dims = 1, .ne = {6}, .data = f};
    const sb_gguf_out b = {.name = "b", .format = SB_F_Q8_0, .n_dims = 2, .ne = {64, 3}, .data = q};
    OK(sb_gguf_add_tensor(w, &a, NULL));
    OK(sb_gguf_add_tensor(w, &b, NULL));
    sb_gguf *g = reopen(w, 64);
    assert_int_equal(sb_gguf_n_tensors(g), 2);
    const sb_gguf_tensor *t = sb_gguf_tensor_find(g, "b");
    assert_ptr_equal(t, sb_gguf_tensor_get(g, 1));
    assert_str(t->name, "b");
    assert_true(t->format == SB_F_Q8_0 && t->n_dims == 2 && t->i_shard == 0);
    assert_true(t->ne[0] == 64 && t->ne[1] == 3 && t->ne[2] == 1 && t->ne[3] == 1);
    assert_int_equal(t->bytes, sizeof(q));
    assert_int_equal(t->offset % 64, 0);
    assert_ptr_equal(t->data, sb_gguf_map(g, 0)->p + t->offset);
    assert_memory_equal(t->data, q, sizeof(q));
    assert_memory_equal(sb_gguf_tensor_find(g, "a")->data, f, sizeof(f));
    assert_null(sb_gguf_tensor_find(g, "c"));
    assert_int_equal(sb_gguf_trailing_bytes(g), 0);
    sb_gguf_close(g);
}

static void writer_refuses_bad_shapes(void **state)
{
    (void)state;
    sb_gguf_writer *w = new_writer();
    sb_gguf_out t = {.name = "t", .format = SB_F_Q4_K, .n_dims = 1, .ne = {128}};
    sb_error err = {0};
    assert_int_equal(sb_gguf_add_tensor(w, &t, &err), SB_INVALID);
    assert_words(&err, "tensor 't'|Q4_K");
    t.ne[0] = 0;
    assert_int_equal(sb_gguf_add_tensor(w, &t, NULL), SB_INVALID);
    t.n_dims = 5;
    assert_int_equal(sb_gguf_add_tensor(w, &t, NULL), SB_INVALID);
    assert_int_equal(sb_gguf_write_file(w, 0, "/nonexistent/x.gguf", &err), SB_IO);
    assert_words(&err, "/nonexistent/x.gguf");
    sb_buf small;
    sb_buf_init(&small, 16, "test");
    assert_int_equal(sb_gguf_write_buf(w, 0, &small, NULL), SB_LIMIT);
    assert_int_equal(small.n, 0);
    sb_buf_deinit(&small);
    sb_gguf *g = reopen(w, 0); // and is as it was before
    assert_int_equal(sb_gguf_n_tensors(g), 0);
    sb_gguf_close(g);
}

static sb_gguf *with_numbers(void)
{
    static const unsigned char floats[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40};
    sb_gguf_writer *w = new_writer();
    OK(sb_gguf_add_int(w, "n", SB_GGUF_U32, 513, NULL));
    OK(sb_gguf_add_int(w, "minus", SB_GGUF_I32, -1, NULL));
    OK(sb_gguf_add_int(w, "huge", SB_GGUF_U64, -1, NULL));
    OK(sb_gguf_add_str(w, "text", str("32"), NULL));
    OK(sb_gguf_add_float(w, "half", SB_GGUF_F32, 32.5, NULL));
    OK(sb_gguf_add_float(w, "nan", SB_GGUF_F32, NAN, NULL));
    OK(sb_gguf_add_float(w, "inf", SB_GGUF_F64, INFINITY, NULL));
    OK(sb_gguf_add_array(w, "floats", SB_GGUF_F32, floats, 2, NULL));
    return reopen(w, 0);
}

/* The values of rows G18 to G20: counts and factors out of range or of the wrong type. */
static void getters_check_type_and_range(void **state)
{
    (void)state;
    sb_gguf *g = with_numbers();
    sb_error err = {0};
    int64_t i = 77;
    const struct {
        const char *key, *words;
    } ints[] = {
        {"n", "w.gguf: byte |n: 513|1 to 512"},
        {"minus", "minus: -1|1 to 512"},
        {"huge", "huge: above 9223372036854775807"},
        {"text", "text: type string|integer"},
        {"half", "half: type f32|integer"},
        {"floats", "floats: type array of f32|integer"},
    };
    for (size_t k = 0; k < SB_ARRAY_LEN(ints); k++) {
        const sb_gguf_int want = {.key = ints[k].key, .lo = 1, .hi = 512};
        assert_int_equal(sb_gguf_get_int(g, &want, &i, &err), SB_CORRUPT);
        assert_words(&err, ints[k].words);
    }
    const sb_gguf_int need = {.key = "gone", .lo = 1, .hi = 512, .required = true};
    assert_int_equal(sb_gguf_get_int(g, &need, &i, &err), SB_NOT_FOUND);
    assert_words(&err, "w.gguf|gone: missing");
    assert_int_equal(i, 77); // untouched by all that
    OK(sb_gguf_get_int(g, &(sb_gguf_int){.key = "gone", .lo = 1, .hi = 2, .dflt = -9}, &i, NULL));
    assert_int_equal(i, -9);

    double d = 77;
    const struct {
        const char *key, *words;
    } floats[] = {
        {"nan", "nan: "},
        {"inf", "inf: inf"},
        {"half", "half: 32.5|0 to 1"},
        {"n", "n: 513"},
        {"text", "type string|number"},
        {"huge", "huge: 9.2"},
    };
    for (size_t k = 0; k < SB_ARRAY_LEN(floats); k++) {
        const sb_gguf_float want = {.key = floats[k].key, .lo = 0, .hi = 1};
        assert_int_equal(sb_gguf_get_float(g, &want, &d, &err), SB_CORRUPT);
        assert_words(&err, floats[k].words);
    }
    assert_true(d == 77);
    OK(sb_gguf_get_float(g, &(sb_gguf_float){.key = "n", .lo = 0, .hi = 1e9}, &d, NULL));
    assert_true(d == 513);
    const sb_gguf_float need_d = {.key = "gone", .lo = 0, .hi = 1, .required = true};
    assert_int_equal(sb_gguf_get_float(g, &need_d, &d, &err), SB_NOT_FOUND);
    assert_words(&err, "w.gguf|gone: missing");
    OK(sb_gguf_get_float(g, &(sb_gguf_float){.key = "gone", .dflt = 2.5}, &d, NULL));
    assert_true(d == 2.5);
    sb_gguf_close(g);
}

static void other_getters_check_too(void **state)
{
    (void)state;
    sb_gguf *g = with_numbers();
    sb_error err = {0};
    bool b = true;
    sb_str s = {0};
    int64_t i;
    int32_t v[2];
    float f[2];
    assert_int_equal(sb_gguf_get_bool(g, "n", false, &b, &err), SB_CORRUPT);
    assert_words(&err, "n: 513|0 to 1");
    OK(sb_gguf_get_bool(g, "gone", true, &b, NULL));
    assert_true(b);
    assert_int_equal(sb_gguf_get_str(g, "n", &s, &err), SB_CORRUPT);
    assert_words(&err, "n: type u32|string");
    OK(sb_gguf_get_str(g, "text", &s, NULL));
    assert_str(s, "32");
    OK(sb_gguf_get_str(g, "gone", &s, NULL));
    assert_null(s.p);

    const sb_gguf_kv *kv = sb_gguf_kv_find(g, "floats");
    OK(sb_gguf_kv_floats(g, kv, f, 2, NULL));
    assert_true(f[0] == 1 && f[1] == 2);
    assert_int_equal(sb_gguf_kv_floats(g, kv, f, 3, &err), SB_CORRUPT);
    assert_words(&err, "floats: 2 elements (3)");
    assert_int_equal(sb_gguf_kv_strs(g, kv, &s, 2, &err), SB_CORRUPT);
    assert_words(&err, "floats: type array of f32|strings");
    assert_int_equal(sb_gguf_kv_ints(g, kv, v, 2, NULL), SB_CORRUPT);
    assert_int_equal(sb_gguf_kv_int_at(g, kv, 2, &i, &err), SB_CORRUPT);
    assert_words(&err, "floats: 2 elements (at least 3)");
    kv = sb_gguf_kv_find(g, "n"); // a scalar stands for every element
    OK(sb_gguf_kv_int_at(g, kv, 1000, &i, NULL));
    assert_int_equal(i, 513);
    assert_int_equal(sb_gguf_kv_ints(g, kv, v, 1, NULL), SB_CORRUPT);
    assert_int_equal(sb_gguf_kv_int_at(g, sb_gguf_kv_find(g, "huge"), 0, &i, NULL), SB_CORRUPT);
    sb_gguf_close(g);
}

/* One shard of a set of three; tensor "tN" holds four floats N. */
typedef struct shard_opts {
    const char *name;
    int64_t no, count, total;
    int i_tensor;
    const char *extra;  /* general.architecture of a later shard, or NULL */
    uint32_t alignment; /* 0: no such key */
} shard_opts;

static void write_shard(const shard_opts *o)
{
    sb_gguf_writer *w = NULL;
    float f[4];
    char name[8];
    for (int i = 0; i < 4; i++)
        f[i] = (float)o->i_tensor;
    snprintf(name, sizeof(name), "t%d", o->i_tensor);
    OK(sb_gguf_writer_new(&w, NULL));
    if (o->no == 0 || o->extra) {
        const char *arch = o->extra ? o->extra : "llama";
        OK(sb_gguf_add_str(w, "general.architecture", str(arch), NULL));
    }
    if (o->alignment) {
        OK(sb_gguf_add_int(w, "general.alignment", SB_GGUF_U32, o->alignment, NULL));
    }
    OK(sb_gguf_add_int(w, "split.no", SB_GGUF_U16, o->no, NULL));
    OK(sb_gguf_add_int(w, "split.count", SB_GGUF_U16, o->count, NULL));
    OK(sb_gguf_add_int(w, "split.tensors.count", SB_GGUF_I32, o->total, NULL));
    const sb_gguf_out t = {.name = name, .format = SB_F_F32, .n_dims = 1, .ne = {4}, .data = f};
    OK(sb_gguf_add_tensor(w, &t, NULL));
    OK(sb_gguf_write_file(w, o->alignment, temp_path(o->name), NULL));
    sb_gguf_writer_free(w);
}

static const char *const names[3] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                     "m-00003-of-00003.gguf"};

static void write_set(void)
{
    for (int i = 0; i < 3; i++) {
        write_shard(
            &(shard_opts){.name = names[i], .no = i, .count = 3, .total = 3, .i_tensor = i});
    }
}

static void remove_set(void)
{
    for (int i = 0; i < 3; i++)
        temp_remove(names[i]);
}

static void a_split_set_is_one_model(void **state)
{
    (void)state;
    write_set();
    sb_gguf *g = NULL;
    OK(sb_gguf_open(&g, temp_path(names[0]), NULL));
    assert_int_equal(sb_gguf_n_shards(g), 3);
    assert_int_equal(sb_gguf_n_tensors(g), 3);
    assert_int_equal(sb_gguf_n_kv(g), 4);
    for (int i = 0; i < 3; i++) {
        char name[8];
        float f[4];
        snprintf(name, sizeof(name), "t%d", i);
        const sb_gguf_tensor *t = sb_gguf_tensor_find(g, name);
        assert_non_null(t);
        assert_int_equal(t->i_shard, i);
        memcpy(f, t->data, sizeof(f));
        assert_true(f[3] == (float)i);
        assert_non_null(strstr(sb_gguf_path(g, i), names[i]));
        assert_ptr_equal(t->data, sb_gguf_map(g, i)->p + t->offset);
    }
    sb_gguf_close(g);
    // "../" in a path is a path: siblings are looked for in that directory.
    char around[600];
    const char *path = temp_path(names[0]);
    const char *slash = strrchr(path, '/');
    const char *dir = slash;
    while (dir > path && dir[-1] != '/')
        dir--;
    snprintf(around, sizeof(around), "%.*s/../%.*s/%s", (int)(slash - path), path,
             (int)(slash - dir), dir, names[0]);
    OK(sb_gguf_open(&g, around, NULL));
    assert_int_equal(sb_gguf_n_shards(g), 3);
    sb_gguf_close(g);
    remove_set();
}

/* Replaces shard `i` of a good set by o, and expects the set refused. */
static void refuse_set(int i, const shard_opts *o, sb_status status, const char *words)
{
    write_set();
    shard_opts use = *o;
    use.name = names[i];
    write_shard(&use);
    expect_path_refused(temp_path(names[0]), status, words);
    remove_set();
}

static void g24_split_sets(void **state)
{
    (void)state;
    write_set();
    temp_remove(names[1]);
    expect_path_refused(temp_path(names[0]), SB_NOT_FOUND, "m-00002-of-00003.gguf");
    write_set();
    expect_path_refused(temp_path(names[1]), SB_INVALID, "shard 2 of 3|first");
    remove_set();

    refuse_set(0, &(shard_opts){.count = 0, .total = 3}, SB_CORRUPT, "split.count: 0|1 to 1024");
    refuse_set(0, &(shard_opts){.count = 65535, .total = 3}, SB_CORRUPT, "split.count: 65535|1024");
    refuse_set(0, &(shard_opts){.count = 4, .total = 3}, SB_INVALID,
               "split.count: 4|-00001-of-00004");
    refuse_set(0, &(shard_opts){.no = 1, .count = 3, .total = 3}, SB_INVALID, "shard 2 of 3");
    refuse_set(0, &(shard_opts){.no = 3, .count = 3, .total = 3}, SB_CORRUPT, "split.no: 3|0 to 2");
    refuse_set(0, &(shard_opts){.count = 3, .total = 4}, SB_CORRUPT,
               "-00002-of-00003.gguf|split.tensors.count: 3");
    refuse_set(0, &(shard_opts){.count = 3, .total = -1}, SB_CORRUPT, "split.tensors.count: -1");

    shard_opts o = {.no = 2, .count = 3, .total = 3, .i_tensor = 1};
    refuse_set(1, &o, SB_CORRUPT, "m-00002-of-00003.gguf|split.no: 2|1 to 1");
    o = (shard_opts){.no = 1, .count = 2, .total = 3, .i_tensor = 1};
    refuse_set(1, &o, SB_CORRUPT, "m-00002-of-00003.gguf|split.count: 2");
    o = (shard_opts){.no = 1, .count = 3, .total = 9, .i_tensor = 1};
    refuse_set(1, &o, SB_CORRUPT, "m-00002-of-00003.gguf|split.tensors.count: 9");
    o = (shard_opts){.no = 1, .count = 3, .total = 3, .i_tensor = 1, .extra = "gemma3"};
    refuse_set(1, &o, SB_CORRUPT, "m-00002-of-00003.gguf|'general.architecture'|another model");
    o = (shard_opts){.no = 1, .count = 3, .total = 3, .i_tensor = 0};
    refuse_set(1, &o, SB_CORRUPT, "m-00002-of-00003.gguf|tensor 't0'|given twice");
}

static void g24_totals_and_names(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) { // all agree on a wrong total
        write_shard(
            &(shard_opts){.name = names[i], .no = i, .count = 3, .total = 5, .i_tensor = i});
    }
    expect_path_refused(temp_path(names[0]), SB_CORRUPT, "split.tensors.count: 5|hold 3");
    write_set();
    write_shard(&(shard_opts){.name = names[1],
                              .no = 1,
                              .count = 3,
                              .total = 3,
                              .i_tensor = 1,
                              .extra = "llama",
                              .alignment = 256});
    // Repeating shard 1's word is harmless, and each shard has its own alignment.
    sb_gguf *g = NULL;
    OK(sb_gguf_open(&g, temp_path(names[0]), NULL));
    sb_gguf_close(g);
    remove_set();
    write_shard(&(shard_opts){.name = "odd.gguf", .no = 0, .count = 3, .total = 3});
    expect_path_refused(temp_path("odd.gguf"), SB_INVALID, "split.count: 3|-00001-of-00003.gguf");
    write_shard(&(shard_opts){.name = "odd.gguf", .no = 0, .count = 1, .total = 1});
    OK(sb_gguf_open(&g, temp_path("odd.gguf"), NULL)); // a set of one needs no name
    sb_gguf_close(g);
    temp_remove("odd.gguf");
}

static void a_broken_shard_is_named(void **state)
{
    (void)state;
    write_set();
    write_file(temp_path(names[2]), "GGUF\1\0\0\0", 8);
    expect_path_refused(temp_path(names[0]), SB_UNSUPPORTED,
                        "m-00003-of-00003.gguf: byte 4: version");
    remove_set();
}

static void long_paths_keep_the_name(void **state)
{
    (void)state;
    char dots[201] = "", path[1024];
    const char *base = temp_path("x.gguf");
    const char *slash = strrchr(base, '/');
    for (int i = 0; i < 200; i++)
        dots[i] = i % 2 ? '.' : '/';
    snprintf(path, sizeof(path), "%.*s%s%s", (int)(slash - base), base, dots, slash);
    write_file(path, "GGUF\1\0\0\0", 8);
    expect_path_refused(path, SB_UNSUPPORTED, "x.gguf: byte 4: version: 1");
    assert_int_equal(remove(path), 0);
    write_file(temp_path("e\033[1m\n.gguf"), "GGUF\1\0\0\0", 8); // no control bytes get out
    expect_path_refused(temp_path("e\033[1m\n.gguf"), SB_UNSUPPORTED,
                        "e\\x1B[1m\\x0A.gguf: byte 4");
    temp_remove("e\033[1m\n.gguf");
}

static int next_fd(void)
{
    const int fd = dup(STDERR_FILENO);
    assert_true(fd >= 0 && close(fd) == 0);
    return fd;
}

static void closing_gives_everything_back(void **state)
{
    (void)state;
    const sb_name_index none = {0};
    assert_true(sb_name_index_find(&none, NULL, 0, str("x")) == SIZE_MAX);
    sb_gguf_close(NULL);
    sb_gguf_writer_free(NULL);
    const int before = next_fd();
    write_set();
    sb_gguf *g = NULL;
    OK(sb_gguf_open(&g, temp_path(names[0]), NULL));
    assert_true(next_fd() != before); // the files are open
    sb_gguf_close(g);
    assert_int_equal(next_fd(), before);
    write_file(temp_path(names[2]), "GGUF\1\0\0\0", 8);
    assert_int_equal(sb_gguf_open(&g, temp_path(names[0]), NULL), SB_UNSUPPORTED);
    assert_int_equal(next_fd(), before);
    remove_set();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back),
        cmocka_unit_test(tensors_come_back),
        cmocka_unit_test(writer_refuses_bad_shapes),
        cmocka_unit_test(getters_check_type_and_range),
        cmocka_unit_test(other_getters_check_too),
        cmocka_unit_test(a_split_set_is_one_model),
        cmocka_unit_test(g24_split_sets),
        cmocka_unit_test(g24_totals_and_names),
        cmocka_unit_test(a_broken_shard_is_named),
        cmocka_unit_test(long_paths_keep_the_name),
        cmocka_unit_test(closing_gives_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, temp_cleanup);
}
