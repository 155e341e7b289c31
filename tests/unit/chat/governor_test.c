/* SPDX-License-Identifier: Apache-2.0
 * governor_test.c - the choice, the file it is kept in, and frequencies that come back. */
#include "chat/governor.h"

#include "chat/chat.h"
#include "energy/cpufreq.h"
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
#include <sys/stat.h>
#include <unistd.h>

enum { N_CPUS = 2, MAX_KHZ = 3000000, MIN_KHZ = 800000 };

/* A folder with a model, a tree of frequencies and the governor's file. */
typedef struct room {
    char root[64], model[96], file[96];
    sb_pool *pool;
    int n_said;
    char said[256];
} room;

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void limit_path(const room *r, int i, const char *name, char out[200])
{
    (void)snprintf(out, 200, "%s/sys/devices/system/cpu/cpu%d/cpufreq/%s", r->root, i, name);
}

static long limit_of(const room *r, int i)
{
    char path[200], text[64] = "";
    limit_path(r, i, "scaling_max_freq", path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    return strtol(text, NULL, 10);
}

static void make_tree(const room *r)
{
    char command[200], path[200];
    for (int i = 0; i < N_CPUS; i++) {
        (void)snprintf(command, sizeof command, "mkdir -p %s/sys/devices/system/cpu/cpu%d/cpufreq",
                       r->root, i);
        assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a folder of our own
        limit_path(r, i, "scaling_max_freq", path);
        write_text(path, "3000000\n");
        limit_path(r, i, "cpuinfo_min_freq", path);
        write_text(path, "800000\n");
    }
}

static int setup(void **state)
{
    static room r;
    sb_tiny t;
    memset(&r, 0, sizeof r);
    (void)strcpy(r.root, "/tmp/sobre-governor-XXXXXX");
    if (!mkdtemp(r.root)) return -1;
    (void)snprintf(r.model, sizeof r.model, "%s/tiny.gguf", r.root);
    (void)snprintf(r.file, sizeof r.file, "%s/governor", r.root);
    sb_tiny_defaults(&t);
    *state = &r;
    return sb_tiny_write(&t, r.model, NULL) == SB_OK && sb_pool_new(&r.pool, 3, NULL) == SB_OK ? 0
                                                                                               : -1;
}

static int teardown(void **state)
{
    room *r = *state;
    char command[128];
    sb_pool_free(r->pool);
    (void)snprintf(command, sizeof command, "rm -r %s", r->root);
    return system(command); // NOLINT(cert-env33-c): a folder of our own
}

static void say(void *ctx, const char *line)
{
    room *r = ctx;
    r->n_said++;
    (void)snprintf(r->said, sizeof r->said, "%s", line);
}

static sb_governor *open_governor(room *r, const char *version, double latency_ms)
{
    sb_governor *g = NULL;
    char path[96], v[8]; /* borrowed for the call alone */
    (void)snprintf(path, sizeof path, "%s", r->file);
    (void)snprintf(v, sizeof v, "%s", version);
    const sb_governor_opts o = {.roots = {.sysfs = r->root},
                                .path = path,
                                .version = v,
                                .latency_ms = latency_ms,
                                .say = say,
                                .ctx = r};
    assert_int_equal(sb_governor_open(&g, &o, NULL), SB_OK);
    memset(path, 'x', sizeof path);
    memset(v, 'x', sizeof v);
    return g;
}

/* The ids of an answer under a governor, or without one. */
static void answer(room *r, sb_governor *g, int32_t ids[32])
{
    sb_chat *c = NULL;
    sb_turn t;
    sb_error err = {0};
    const sb_chat_opts o = {.engine = {.kv = SB_KV_BF16,
                                       .cap = SB_LEVEL_avx2,
                                       .n_ctx = 64,
                                       .n_sessions = 1,
                                       .n_rows = 64},
                            .pool = r->pool,
                            .governor = g};
    if (sb_chat_open(&c, r->model, &o, &err) != SB_OK) fail_msg("%s", err.msg);
    const sb_turn_request rq = {.raw = {"go on", 5},
                                .sampling = {.top_p = 1},
                                .max_tokens = 32,
                                .n_logprobs = -1,
                                .ignore_end = true};
    if (sb_chat_turn(c, &rq, &t, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(t.ids.n, 32);
    memcpy(ids, t.ids.v, 32 * sizeof *ids);
    sb_turn_deinit(&t);
    sb_chat_close(c);
}

static int n_lines(const char *path)
{
    int n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

static void the_least_energy_in_time(void **state)
{
    (void)state;
    static const sb_governor_point p[] = {{.n_threads = 1, .nj = 100, .ns = 9000000},
                                          {.n_threads = 2, .nj = 120, .ns = 5000000},
                                          {.n_threads = 4, .nj = 200, .ns = 4000000},
                                          {.n_threads = 2, .khz = 9, .nj = 90, .ns = 7000000}};
    assert_ptr_equal(sb_governor_pick(p, 4, 10), &p[3]);
    assert_ptr_equal(sb_governor_pick(p, 4, 6), &p[1]);
    assert_ptr_equal(sb_governor_pick(p, 4, 4.5), &p[2]);
    assert_ptr_equal(sb_governor_pick(p, 4, 1), &p[2]); /* none is in time: the fastest */
    assert_ptr_equal(sb_governor_pick(p, 4, 0), &p[3]); /* within twice the fastest */
    assert_ptr_equal(sb_governor_pick(p, 3, 0), &p[1]);
}

/* Measured once; found again by the same version on the same machine, and by no other. */
static void a_sweep_is_kept(void **state)
{
    room *r = *state;
    int32_t plain[32], first[32], again[32];
    answer(r, NULL, plain);
    sb_governor *g = open_governor(r, "1", 0);
    answer(r, g, first);
    sb_governor_close(g);
    const int n = n_lines(r->file);
    assert_int_equal(n, 3); /* 1, 2 and 3 threads, no frequencies */
    assert_int_equal(r->n_said, 1);
    assert_non_null(strstr(r->said, "of 3 threads write answers: "));
    assert_non_null(strstr(r->said, "estimated"));
    g = open_governor(r, "1", 1000);
    answer(r, g, again);
    sb_governor_close(g);
    assert_int_equal(n_lines(r->file), n);
    assert_memory_equal(first, plain, sizeof plain);
    assert_memory_equal(again, plain, sizeof plain);
    g = open_governor(r, "2", 0);
    answer(r, g, again);
    sb_governor_close(g);
    assert_int_equal(n_lines(r->file), 2 * n);
}

/* What is no line of ours is passed over, also one that was cut off or says impossible things. */
static void a_damaged_file_is_measured_anew(void **state)
{
    room *r = *state;
    int32_t ids[32];
    char line[256] = "";
    sb_governor *g = open_governor(r, "3", 0);
    answer(r, g, ids);
    sb_governor_close(g);
    FILE *f = fopen(r->file, "r");
    while (fgets(line, sizeof line, f)) {}
    fclose(f);
    line[16] = 0; /* its key */
    f = fopen(r->file, "w");
    fprintf(f, "%s 0 0 1 1 0\n%s 999 0 1 1 0\n%s 1 0 1 0 0\n%s 1 0 1 1 7\n%s -1 0 1 1 0\nhello\n\n",
            line, line, line, line, line);
    fprintf(f, "%s 1 0 99999999999999999999 1 0\n%s 1 0 1 1", line, line);
    fclose(f);
    const int n = n_lines(r->file);
    g = open_governor(r, "3", 0);
    answer(r, g, ids);
    sb_governor_close(g);
    assert_int_equal(n_lines(r->file), n + 3);
}

static void frequencies_come_back(void **state)
{
    room *r = *state;
    int32_t ids[32], plain[32];
    make_tree(r);
    answer(r, NULL, plain);
    sb_governor *g = open_governor(r, "4", 0);
    answer(r, g, ids);
    assert_memory_equal(ids, plain, sizeof plain);
    sb_governor_close(g);
    for (int i = 0; i < N_CPUS; i++)
        assert_int_equal(limit_of(r, i), MAX_KHZ);
    /* A sweep of before that says a low frequency is best: it is set, and put back. */
    char line[256] = "";
    FILE *f = fopen(r->file, "r");
    while (fgets(line, sizeof line, f)) {}
    fclose(f);
    line[16] = 0;
    f = fopen(r->file, "a");
    fprintf(f, "%s 2 1000000 1 1 1\n", line);
    fclose(f);
    g = open_governor(r, "4", 0);
    answer(r, g, ids);
    assert_memory_equal(ids, plain, sizeof plain);
    assert_non_null(strstr(r->said, "2 of 3 threads write answers at 1.0 GHz"));
    assert_non_null(strstr(r->said, "measured"));
    for (int i = 0; i < N_CPUS; i++)
        assert_int_equal(limit_of(r, i), 1000000);
    sb_governor_restore(g); /* as a signal handler does */
    assert_int_equal(limit_of(r, 0), MAX_KHZ);
    sb_governor_close(g);
    assert_int_equal(limit_of(r, 1), MAX_KHZ);
}

static void limits_are_only_lowered(void **state)
{
    room *r = *state;
    char path[200];
    sb_cpufreq *f = NULL;
    int64_t lo = 0, hi = 0;
    make_tree(r);
    limit_path(r, 1, "scaling_max_freq", path);
    write_text(path, "2000000\n");
    assert_int_equal(sb_cpufreq_open(&f, r->root, NULL), SB_OK);
    sb_cpufreq_range(f, &lo, &hi);
    assert_true(lo == MIN_KHZ && hi == 2000000);
    assert_true(sb_cpufreq_set(f, 2500000));
    assert_int_equal(limit_of(r, 0), 2500000);
    assert_int_equal(limit_of(r, 1), 2000000);
    assert_true(sb_cpufreq_set(f, 0));
    assert_int_equal(limit_of(r, 0), MAX_KHZ);
    sb_cpufreq_close(f);
    for (int i = 0; i < N_CPUS; i++) {
        limit_path(r, i, "scaling_max_freq", path);
        write_text(path, "much\n");
    }
    assert_int_equal(sb_cpufreq_open(&f, r->root, NULL), SB_OK);
    assert_null(f); /* nothing that may be set */
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_least_energy_in_time),
                                       CASE(a_sweep_is_kept), CASE(a_damaged_file_is_measured_anew),
                                       CASE(frequencies_come_back), CASE(limits_are_only_lowered)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
