/* SPDX-License-Identifier: Apache-2.0
 * journal_test.c - lines of the log: quoted, whole, in the file of the name. */
#include "server/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64], moved[80];

static int name_files(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/sobre-journal-%d", (int)getpid());
    (void)snprintf(moved, sizeof moved, "%s.1", path);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(moved);
    return 0;
}

static size_t read_file(const char *name, char *out, size_t cap)
{
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const ssize_t n = read(fd, out, cap - 1);
    (void)close(fd);
    out[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

static void test_quoting(void **state)
{
    char text[2048];
    sb_journal *j = NULL;
    sb_journal_line l;
    (void)state;
    assert_int_equal(sb_journal_open(&j, path, NULL), SB_OK);
    assert_true(sb_journal_is_on(j));
    sb_journal_begin(&l, "test");
    sb_journal_text(&l, "plain", (sb_str){"a/b-c", 5});
    sb_journal_text(&l, "odd", (sb_str){"a \"b\"\n\x1b=\xff", 9});
    sb_journal_text(&l, "none", (sb_str){NULL, 0});
    sb_journal_int(&l, "n", -7);
    sb_journal_ms(&l, "ms", 1234567);
    sb_journal_end(j, &l);
    sb_journal_close(j);
    assert_true(read_file(path, text, sizeof text) > 0);
    assert_non_null(strstr(text, "Z event=test plain=a/b-c odd=\"a \\x22b\\x22\\x0a\\x1b=\\xff\" "
                                 "none=\"\" n=-7 ms=1.234\n"));
    assert_int_equal(strncmp(text, "ts=20", 5), 0);
}

static void test_long_lines_are_cut(void **state)
{
    char text[4096], big[4000];
    sb_journal *j = NULL;
    sb_journal_line l;
    (void)state;
    memset(big, 'x', sizeof big);
    (void)unlink(path);
    assert_int_equal(sb_journal_open(&j, path, NULL), SB_OK);
    sb_journal_begin(&l, "test");
    sb_journal_text(&l, "big", (sb_str){big, sizeof big});
    sb_journal_int(&l, "after", 1);
    sb_journal_end(j, &l);
    sb_journal_close(j);
    const size_t n = read_file(path, text, sizeof text);
    assert_in_range(n, 1000, sizeof l.text);
    assert_int_equal(text[n - 1], '\n');
    assert_null(memchr(text, '\n', n - 1));
}

static void test_reopen(void **state)
{
    char text[2048];
    sb_journal *j = NULL;
    sb_journal_line l;
    (void)state;
    (void)unlink(path);
    assert_int_equal(sb_journal_open(&j, path, NULL), SB_OK);
    assert_int_equal(rename(path, moved), 0);
    sb_journal_reopen(j);
    sb_journal_begin(&l, "after");
    sb_journal_end(j, &l);
    sb_journal_close(j);
    assert_int_equal(read_file(moved, text, sizeof text), 0);
    assert_true(read_file(path, text, sizeof text) > 0 && strstr(text, "event=after"));
}

static void test_none(void **state)
{
    sb_journal *j = NULL;
    sb_journal_line l;
    (void)state;
    assert_int_equal(sb_journal_open(&j, NULL, NULL), SB_OK);
    assert_false(sb_journal_is_on(j));
    sb_journal_begin(&l, "test");
    sb_journal_end(j, &l);
    sb_journal_reopen(j);
    sb_journal_close(j);
    assert_int_equal(sb_journal_open(&j, "/nonexistent/log", NULL), SB_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_reopen),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, name_files, remove_files);
}
