/* SPDX-License-Identifier: Apache-2.0
 * probe_test.c - the look at a file's head: every length of it, every damaged byte, every lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf/probe.h"
#include "gguf/writer.h"

typedef struct sample {
    sb_buf bytes;
    size_t told; /* bytes that tell the architecture */
} sample;

/* Entries of every kind stand before the architecture. */
static int setup(void **state)
{
    sample *s = calloc(1, sizeof *s);
    sb_gguf_writer *w = NULL;
    const uint32_t numbers[] = {1, 2, 3};
    const sb_str strs[] = {{"a", 1}, {"", 0}, {"ccc", 3}};
    sb_buf_init(&s->bytes, 1 << 20, "sample");
    assert_int_equal(sb_gguf_writer_new(&w, NULL), SB_OK);
    assert_int_equal(sb_gguf_add_int(w, "an.int", SB_GGUF_U16, 7, NULL), SB_OK);
    assert_int_equal(sb_gguf_add_float(w, "a.float", SB_GGUF_F64, 0.5, NULL), SB_OK);
    assert_int_equal(sb_gguf_add_str(w, "a.string", (sb_str){"general.architecture", 20}, NULL),
                     SB_OK);
    assert_int_equal(sb_gguf_add_array(w, "numbers", SB_GGUF_U32, numbers, 3, NULL), SB_OK);
    assert_int_equal(sb_gguf_add_strs(w, "strings", strs, 3, NULL), SB_OK);
    assert_int_equal(sb_gguf_add_str(w, "general.architecture", (sb_str){"qwen3", 5}, NULL), SB_OK);
    assert_int_equal(sb_gguf_add_str(w, "last", (sb_str){"word", 4}, NULL), SB_OK);
    assert_int_equal(sb_gguf_write_buf(w, 0, &s->bytes, NULL), SB_OK);
    sb_gguf_writer_free(w);
    s->told = (size_t)((char *)memmem(s->bytes.p, s->bytes.n, "qwen3", 5) - s->bytes.p) + 5;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    sample *s = *state;
    sb_buf_deinit(&s->bytes);
    free(s);
    return 0;
}

/* From a copy of the exact size, so that a sanitizer sees a read behind it. */
static sb_status probe(const char *p, size_t n, sb_gguf_probe *out, bool *more, sb_error *err)
{
    unsigned char *copy = malloc(n ? n : 1);
    if (n) memcpy(copy, p, n);
    const sb_status s = sb_gguf_probe_head(copy, n, out, more, err);
    free(copy);
    return s;
}

static void every_length(void **state)
{
    const sample *s = *state;
    for (size_t n = 0; n <= s->bytes.n; n++) {
        sb_gguf_probe out = {.version = 99};
        bool more = n % 2;
        assert_int_equal(probe(s->bytes.p, n, &out, &more, NULL), SB_OK);
        assert_int_equal(more, n < s->told);
        if (more) assert_int_equal(out.version, 99); /* untouched */
        if (more) continue;
        assert_string_equal(out.arch, "qwen3");
        assert_int_equal(out.version, 3);
        assert_int_equal(out.n_kv, 7);
    }
}

static void every_damaged_byte(void **state)
{
    const sample *s = *state;
    char *copy = malloc(s->bytes.n);
    for (size_t i = 0; i < s->told; i++)
        for (int bit = 0; bit < 8; bit++) {
            sb_gguf_probe out = {0};
            sb_error err = {0};
            bool more = false;
            memcpy(copy, s->bytes.p, s->bytes.n);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            const sb_status st = probe(copy, s->bytes.n, &out, &more, &err);
            assert_true(st == SB_OK || err.msg[0]);
            assert_true(strlen(out.arch) < sizeof out.arch);
        }
    free(copy);
}

static void refuse(const char *p, size_t n, sb_status want, const char *word)
{
    sb_gguf_probe out;
    sb_error err = {0};
    bool more = false;
    assert_int_equal(probe(p, n, &out, &more, &err), want);
    assert_non_null(strstr(err.msg, word));
}

static void lies(void **state)
{
    (void)state;
#define HEAD(version, n_kv)                                                                        \
    "GGUF" version "\0\0\0"                                                                        \
    "\0\0\0\0\0\0\0\0" n_kv
#define ONE "\1\0\0\0\0\0\0\0"
#define KEY "\x14\0\0\0\0\0\0\0general.architecture"
#define REFUSE(bytes, want, word) refuse(bytes, sizeof(bytes) - 1, want, word)
    REFUSE("<html><body>", SB_UNSUPPORTED, "web page");
    REFUSE("<!doctype html>", SB_UNSUPPORTED, "web page");
    REFUSE("{\"error\":\"no\"}", SB_UNSUPPORTED, "error message");
    REFUSE(HEAD("\4", ONE), SB_UNSUPPORTED, "version");
    REFUSE(HEAD("\3", "\0\0\0\0\0\0\0\0"), SB_CORRUPT, "0 keys");
    REFUSE(HEAD("\3", "\xff\xff\xff\xff\xff\xff\xff\xff"), SB_LIMIT, "kv_count");
    REFUSE(HEAD("\3", ONE) "\xff\xff\xff\xff\xff\xff\xff\xff", SB_LIMIT, "key");
    REFUSE(HEAD("\3", ONE) KEY "\x04\0\0\0"
                               "\1\0\0\0",
           SB_CORRUPT, "type u32");
    REFUSE(HEAD("\3", ONE) KEY "\x63\0\0\0", SB_CORRUPT, "value type");
    REFUSE(HEAD("\3", ONE) KEY "\x08\0\0\0"
                               "\x41\0\0\0\0\0\0\0",
           SB_LIMIT, "limit 64");
    REFUSE(HEAD("\3", ONE) KEY "\x08\0\0\0"
                               "\2\0\0\0\0\0\0\0"
                               "a\x1b",
           SB_CORRUPT, "0x1b");
    REFUSE(HEAD("\3", ONE) "\1\0\0\0\0\0\0\0k"
                           "\x09\0\0\0"
                           "\x09\0\0\0" ONE,
           SB_UNSUPPORTED, "array of arrays");
    REFUSE(HEAD("\3", ONE) "\1\0\0\0\0\0\0\0k"
                           "\x09\0\0\0"
                           "\x08\0\0\0"
                           "\xff\xff\xff\xff\xff\xff\xff\xff",
           SB_LIMIT, "array length");
    REFUSE(HEAD("\3", ONE) "\1\0\0\0\0\0\0\0k"
                           "\x00\0\0\0"
                           "\1",
           SB_CORRUPT, "1 keys, none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_length, setup, teardown),
        cmocka_unit_test_setup_teardown(every_damaged_byte, setup, teardown),
        cmocka_unit_test(lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
