/* SPDX-License-Identifier: Apache-2.0
 * scaling_test.c - cost grows with the input and no faster: keys, tensors, strings of a file,
 * answers between stop strings, ids back to text.
 *
 * Each case is timed (CPU time, the least of several) at n and at 4 n. Linear is 4 times; a square
 * would be 16. Halfway is the limit: tables that outgrow a cache are no square. */
#include "base/clock.h"
#include "chat/chat.h"
#include "engine/stops.h"
#include "gguf/internal.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 5 };

static const double most_growth = 10;
static const uint64_t nothing_ns = 20000000; /* whatever is done so soon has no cliff */

typedef struct bytes {
    unsigned char *p;
    size_t n;
} bytes;

static void put(bytes *b, const void *p, size_t n)
{
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void put_u32(bytes *b, uint32_t v)
{
    put(b, &v, sizeof v);
}

static void put_u64(bytes *b, uint64_t v)
{
    put(b, &v, sizeof v);
}

static void put_str(bytes *b, const char *s)
{
    put_u64(b, strlen(s));
    put(b, s, strlen(s));
}

static bytes new_file(size_t n_tensors, size_t n_kv, size_t room)
{
    bytes b = {.p = malloc(room)};
    assert_non_null(b.p);
    put(&b, "GGUF", 4);
    put_u32(&b, 3);
    put_u64(&b, n_tensors);
    put_u64(&b, n_kv);
    return b;
}

static void open_file(void *input)
{
    const bytes *b = input;
    sb_gguf *g = NULL;
    sb_error err = {0};
    if (sb_gguf_open_bytes(&g, b->p, b->n, &err) != SB_OK) fail_msg("%s", err.msg);
    sb_gguf_close(g);
}

static void *many_keys(size_t n)
{
    bytes *b = malloc(sizeof *b);
    assert_non_null(b);
    *b = new_file(0, n, 64 * n);
    for (size_t i = 0; i < n; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "some.key.%zu", i);
        put_str(b, key);
        put_u32(b, SB_GGUF_U32);
        put_u32(b, 1);
    }
    return b;
}

static void *many_tensors(size_t n)
{
    bytes *b = malloc(sizeof *b);
    assert_non_null(b);
    *b = new_file(n, 1, 160 * n);
    put_str(b, "general.architecture");
    put_u32(b, SB_GGUF_STR);
    put_str(b, "llama");
    for (size_t i = 0; i < n; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "blk.%zu.weight", i);
        put_str(b, name);
        put_u32(b, 1);
        put_u64(b, 8);
        put_u32(b, 0);
        put_u64(b, 32 * (n - 1 - i)); /* last first: sorting has work to do */
    }
    b->n = (b->n + 31) / 32 * 32;
    memset(b->p + b->n, 0, 32 * n);
    b->n += 32 * n;
    return b;
}

static void *many_strings(size_t n)
{
    bytes *b = malloc(sizeof *b);
    assert_non_null(b);
    *b = new_file(0, 1, 16 * n + 100);
    put_str(b, "general.architecture");
    put_u32(b, SB_GGUF_ARR);
    put_u32(b, SB_GGUF_STR);
    put_u64(b, n);
    for (size_t i = 0; i < n; i++)
        put_str(b, "abcd");
    return b;
}

static void drop_file(void *input)
{
    bytes *b = input;
    free(b->p);
    free(b);
}

/* Text of one letter that keeps a long stop string possible, for ever. */
static void *almost_stops(size_t n)
{
    bytes *b = malloc(sizeof *b);
    assert_non_null(b);
    *b = (bytes){.p = malloc(n), .n = n};
    assert_non_null(b->p);
    memset(b->p, 'a', n);
    return b;
}

static void push_all(void *input)
{
    const bytes *b = input;
    static char stop[2][1000];
    memset(stop, 'a', sizeof stop);
    stop[0][999] = 'b', stop[1][500] = 'b';
    const sb_str all[2] = {{stop[0], sizeof stop[0]}, {stop[1], sizeof stop[1]}};
    sb_stops s;
    sb_buf out;
    sb_buf_init(&out, 1 << 26, "out");
    assert_int_equal(sb_stops_init(&s, all, 2, NULL), SB_OK);
    for (size_t i = 0; i < b->n; i++)
        assert_int_equal(sb_stops_push(&s, (sb_str){(const char *)b->p + i, 1}, &out, NULL), SB_OK);
    assert_int_equal(sb_stops_finish(&s, &out, NULL), SB_OK);
    assert_int_equal(out.n, b->n);
    sb_buf_deinit(&out);
    sb_stops_deinit(&s);
}

static sb_model *model;

static void *many_ids(size_t n)
{
    sb_ids *ids = malloc(sizeof *ids);
    assert_non_null(ids);
    sb_ids_init(ids, 1 << 26);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(sb_ids_add(ids, 3 + (int32_t)(i * 7919 % 250), NULL), SB_OK);
    return ids;
}

static void detokenize(void *input)
{
    const sb_ids *ids = input;
    sb_detok d = {0};
    sb_buf out;
    sb_buf_init(&out, 1 << 26, "out");
    for (size_t i = 0; i < ids->n; i++)
        assert_int_equal(sb_detok_push(&d, model->tok, ids->v[i], false, &out, NULL), SB_OK);
    assert_int_equal(sb_detok_finish(&d, true, &out, NULL), SB_OK);
    sb_buf_deinit(&out);
}

static void drop_ids(void *input)
{
    sb_ids_deinit(input);
    free(input);
}

static uint64_t cost_ns(void *(*make)(size_t), void (*run)(void *), void (*drop)(void *), size_t n)
{
    uint64_t best = UINT64_MAX;
    void *input = make(n);
    for (int i = 0; i < TRIES; i++) {
        const uint64_t begin_ns = sb_process_cpu_ns();
        run(input);
        const uint64_t took_ns = sb_process_cpu_ns() - begin_ns;
        if (took_ns < best) best = took_ns;
    }
    drop(input);
    return best;
}

static void cost_is_linear(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void *(*make)(size_t);
        void (*run)(void *);
        void (*drop)(void *);
        size_t n;
    } cases[] = {{"keys", many_keys, open_file, drop_file, 16384},
                 {"tensors", many_tensors, open_file, drop_file, 16384},
                 {"strings", many_strings, open_file, drop_file, 250000},
                 {"stops", almost_stops, push_all, drop_file, 50000},
                 {"ids", many_ids, detokenize, drop_ids, 100000}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        const uint64_t one_ns = cost_ns(cases[i].make, cases[i].run, cases[i].drop, cases[i].n);
        const uint64_t four_ns =
            cost_ns(cases[i].make, cases[i].run, cases[i].drop, 4 * cases[i].n);
        const double growth = (double)four_ns / (double)(one_ns ? one_ns : 1);
        print_message("# %s: %.2f ms, then %.2f ms: %.1f times\n", cases[i].name,
                      (double)one_ns / 1e6, (double)four_ns / 1e6, growth);
        if (four_ns > nothing_ns && growth > most_growth)
            fail_msg("%s: four times the input took %.1f times as long", cases[i].name, growth);
    }
}

static int open_vocab(void **state)
{
    (void)state;
    char path[64];
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    (void)snprintf(path, sizeof path, "/tmp/sobre-scaling-%d.gguf", (int)getpid());
    sb_status s = sb_tiny_write(&t, path, &err);
    if (s == SB_OK) s = sb_model_open(&model, path, &err);
    (void)unlink(path);
    if (s != SB_OK) print_error("%s\n", err.msg);
    return s == SB_OK ? 0 : -1;
}

static int close_vocab(void **state)
{
    (void)state;
    sb_model_close(model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cost_is_linear)};
    return cmocka_run_group_tests(tests, open_vocab, close_vocab);
}
