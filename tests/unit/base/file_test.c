/* SPDX-License-Identifier: Apache-2.0
 * file_test.c - mapping: empty, missing, directory, FIFO and device; dropping; escaped paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/sobre-file-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

static void path_of(char out[128], const char *name)
{
    (void)snprintf(out, 128, "%s/%s", dir, name);
}

static void put(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void maps_and_drops(void **state)
{
    (void)state;
    char path[128];
    static char data[20000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    path_of(path, "data");
    put(path, data, sizeof data);
    sb_map m;
    assert_int_equal(sb_map_open(&m, path, NULL), SB_OK);
    assert_int_equal(m.bytes, sizeof data);
    assert_memory_equal(m.p, data, sizeof data);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(m.ino, st.st_ino);
    assert_int_equal(m.dev, st.st_dev);
    sb_map_want(&m, 5, 9000);
    sb_map_drop(&m, 0, SIZE_MAX);
    sb_map_drop(&m, 1, 3);           // no whole page
    sb_map_drop(&m, SIZE_MAX, 1);    // outside
    sb_map_want(&m, sizeof data, 1); // outside
    assert_memory_equal(m.p, data, sizeof data);
    sb_map_close(&m);
    assert_null(m.p);
    sb_map_close(&m);
    sb_map_close(NULL);
    assert_int_equal(unlink(path), 0);
}

static void reads_without_mapping(void **state)
{
    (void)state;
    char path[128];
    static char data[20000], out[20000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 11);
    path_of(path, "read");
    put(path, data, sizeof data);
    sb_map m;
    assert_int_equal(sb_map_open(&m, path, NULL), SB_OK);
    assert_true(sb_map_read(&m, 0, out, sizeof data));
    assert_memory_equal(out, data, sizeof data);
    assert_true(sb_map_read(&m, 4097, out, 3));
    assert_memory_equal(out, data + 4097, 3);
    assert_true(sb_map_read(&m, sizeof data, out, 0));
    assert_false(sb_map_read(&m, sizeof data, out, 1)); // outside
    assert_false(sb_map_read(&m, 1, out, SIZE_MAX));
    assert_int_equal(truncate(path, 5000), 0); // no signal, but no bytes either
    assert_true(sb_map_read(&m, 4000, out, 1000));
    assert_false(sb_map_read(&m, 4000, out, 1001));
    sb_map_close(&m);
    const sb_map lent = {.p = (const unsigned char *)data, .bytes = sizeof data, .fd = -1};
    assert_true(sb_map_read(&lent, 100, out, 200));
    assert_memory_equal(out, data + 100, 200);
    assert_false(sb_map_read(&lent, sizeof data - 1, out, 2));
    assert_int_equal(unlink(path), 0);
}

static void empty_file_is_fine(void **state)
{
    (void)state;
    char path[128];
    path_of(path, "empty");
    put(path, "", 0);
    sb_map m;
    assert_int_equal(sb_map_open(&m, path, NULL), SB_OK);
    assert_null(m.p);
    assert_int_equal(m.bytes, 0);
    const int fd = m.fd;
    sb_map_drop(&m, 0, 1);
    sb_map_want(&m, 0, 1);
    sb_map_close(&m);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(unlink(path), 0);
}

static void refuses_what_is_no_file(void **state)
{
    (void)state;
    char fifo[128], loop[128], missing[128];
    path_of(fifo, "fifo");
    path_of(loop, "loop");
    path_of(missing, "missing");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink(loop, loop), 0);
    sb_map m = {.fd = 77};
    sb_error err = {0};
    const uint64_t t = sb_now_ns();
    assert_int_equal(sb_map_open(&m, fifo, &err), SB_INVALID);
    assert_int_equal(sb_map_open(&m, "/dev/zero", &err), SB_INVALID);
    assert_int_equal(sb_map_open(&m, dir, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, dir));
    assert_int_equal(sb_map_open(&m, loop, &err), SB_IO);
    assert_int_equal(sb_map_open(&m, missing, &err), SB_NOT_FOUND);
    assert_non_null(strstr(err.msg, "No such file"));
    assert_true(sb_now_ns() - t < UINT64_C(5000000000));
    assert_int_equal(m.fd, 77); // untouched
    assert_int_equal(unlink(fifo), 0);
    assert_int_equal(unlink(loop), 0);
}

static void paths_are_escaped(void **state)
{
    (void)state;
    char out[64], tiny[8];
    sb_path_escape(out, sizeof out, "a\n\x1b[1m\xFF\xC3\xA9\xC2\x9B\x7F");
    assert_string_equal(out, "a\\x0A\\x1B[1m\\xFF\xC3\xA9\\xC2\\x9B\\x7F");
    sb_path_escape(tiny, sizeof tiny, "abcdefghijkl");
    assert_string_equal(tiny, "abcd...");
    sb_path_escape(tiny, sizeof tiny, "abc\xC3\xA9xyz");
    assert_string_equal(tiny, "abc...");
    sb_path_escape(tiny, sizeof tiny, "abcdefg");
    assert_string_equal(tiny, "abcdefg");
    for (size_t n = 1; n <= sizeof tiny; n++) {
        memset(tiny, 'Z', sizeof tiny);
        sb_path_escape(tiny, n, "\n\n\n\n");
        assert_true(strlen(tiny) < n);
    }
}

static void clocks_advance(void **state)
{
    (void)state;
    // The inner clock is started last and read first.
    const uint64_t wall = sb_now_ns();
    const uint64_t all = sb_process_cpu_ns();
    const uint64_t mine = sb_thread_cpu_ns();
    while (sb_thread_cpu_ns() - mine < 2000000) {}
    assert_true(sb_now_ns() - wall >= 2000000);
    assert_true(sb_process_cpu_ns() - all >= 2000000);
}

static atomic_int n_bus;

static void on_bus(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    atomic_fetch_add(&n_bus, 1);
    if (!sb_map_patch(info->si_addr)) _exit(99);
}

static void read_at_end(void *ctx, int i_thread, int n_threads)
{
    (void)n_threads;
    const volatile unsigned char *p = ctx;
    if (p[8192 + 4096 * i_thread]) _exit(98);
}

/* G26: what lies behind the new end reads as zeros, and the map says what happened. */
static void a_file_cut_short_reads_on(void **state)
{
    (void)state;
    char path[128];
    static char data[40000];
    memset(data, 'x', sizeof data);
    path_of(path, "cut");
    put(path, data, sizeof data);
    sb_map m;
    sb_error err = {0};
    assert_int_equal(sb_map_open(&m, path, NULL), SB_OK);
    assert_int_equal(sb_map_check(&m, path, &err), SB_OK);
    struct sigaction sa = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO}, before;
    assert_int_equal(sigaction(SIGBUS, &sa, &before), 0);
    assert_int_equal(truncate(path, 4096), 0);
    const volatile unsigned char *p = m.p;
    assert_int_equal(p[0], 'x');
    assert_int_equal(p[30000], 0);
    assert_int_equal(p[30001], 0); /* the same page: no second signal */
    assert_int_equal(p[39999], 0);
    assert_int_equal(atomic_load(&n_bus), 2);
    sb_pool *pool = NULL; /* compute threads block signals, but not this one */
    assert_int_equal(sb_pool_new(&pool, 2, NULL), SB_OK);
    sb_pool_run(pool, read_at_end, (void *)(uintptr_t)m.p);
    sb_pool_free(pool);
    assert_int_equal(atomic_load(&n_bus), 4);
    assert_int_equal(sigaction(SIGBUS, &before, NULL), 0);
    assert_int_equal(sb_map_check(&m, path, &err), SB_IO);
    assert_non_null(strstr(err.msg, "cut short while in use"));
    assert_non_null(strstr(err.msg, path));
    sb_map_close(&m);
    assert_int_equal(unlink(path), 0);
}

/* G27: a file put in another's place leaves the mapped one as it was; one written to does not. */
static void a_file_replaced_or_rewritten(void **state)
{
    (void)state;
    char path[128], other[128];
    path_of(path, "first");
    path_of(other, "second");
    put(path, "one", 3);
    put(other, "two", 3);
    sb_map m;
    sb_error err = {0};
    assert_int_equal(sb_map_open(&m, path, NULL), SB_OK);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(sb_map_check(&m, path, &err), SB_OK);
    assert_memory_equal(m.p, "one", 3);
    sb_map_close(&m);
    assert_int_equal(sb_map_open(&m, path, NULL), SB_OK);
    const struct timespec later[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, path, later, 0), 0); /* as a write would */
    assert_int_equal(sb_map_check(&m, path, &err), SB_IO);
    sb_map_close(&m);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_and_drops),
        cmocka_unit_test(reads_without_mapping),
        cmocka_unit_test(empty_file_is_fine),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(paths_are_escaped),
        cmocka_unit_test(clocks_advance),
        cmocka_unit_test(a_file_cut_short_reads_on),
        cmocka_unit_test(a_file_replaced_or_rewritten),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
