/* SPDX-License-Identifier: Apache-2.0
 * talk_test.c - conversations in memory and on disk, and the history of what was typed. */
#include "cli/talk.h"

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

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/chat_history.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/sobre-talk-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static sb_str str(const char *s)
{
    return (sb_str){s, strlen(s)};
}

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

static void add(sb_talk *t, const char *role, const char *content, const char *reasoning)
{
    assert_int_equal(sb_talk_add(t, role, str(content), str(reasoning), NULL), SB_OK);
}

static void system_is_one_and_first(void **state)
{
    (void)state;
    sb_talk t = {0};
    add(&t, "user", "a", "");
    assert_null(sb_talk_system(&t).p);
    assert_int_equal(sb_talk_set_system(&t, str("one"), NULL), SB_OK);
    assert_int_equal(sb_talk_set_system(&t, str("two"), NULL), SB_OK);
    assert_int_equal(t.n, 2);
    assert_string_equal(t.messages[0].content.p, "two");
    assert_string_equal(t.messages[1].content.p, "a");
    sb_talk_reset(&t);
    assert_int_equal(t.n, 1);
    assert_int_equal(sb_talk_set_system(&t, str(""), NULL), SB_OK);
    assert_int_equal(t.n, 0);
    assert_int_equal(t.bytes, 0);
    sb_talk_drop(&t);
    sb_talk_deinit(&t);
}

static void what_cannot_be_added_changes_nothing(void **state)
{
    (void)state;
    sb_talk t = {0};
    sb_error err = {0};
    add(&t, "user", "a", "");
    const sb_str huge = {"", SB_MAX_PROMPT_BYTES}; /* refused before it is read */
    assert_int_equal(sb_talk_add(&t, "user", huge, str(""), &err), SB_LIMIT);
    sb_alloc_forbid_begin();
    const sb_status s = sb_talk_add(&t, "assistant", str("b"), str("c"), &err);
    const sb_status sys = sb_talk_set_system(&t, str("b"), &err);
    sb_alloc_forbid_end();
    assert_int_equal(s, SB_NO_MEMORY);
    assert_int_equal(sys, SB_NO_MEMORY);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.bytes, 1);
    sb_talk_deinit(&t);
}

static void saved_is_loaded(void **state)
{
    (void)state;
    sb_talk t = {0}, back = {0};
    struct stat st;
    add(&t, "system", "be \"brief\"\n", "");
    add(&t, "user", "h\xc3\xa9\x1b[31m", "");
    add(&t, "assistant", "", "hm");
    assert_int_equal(sb_talk_save(&t, path_of("a.json"), "m", NULL), SB_OK);
    assert_int_equal(stat(path_of("a.json"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    add(&back, "user", "gone", "");
    assert_int_equal(sb_talk_load(&back, path_of("a.json"), NULL), SB_OK);
    assert_int_equal(back.n, t.n);
    assert_int_equal(back.bytes, t.bytes);
    for (size_t i = 0; i < t.n; i++) {
        assert_string_equal(back.messages[i].role.p, t.messages[i].role.p);
        assert_string_equal(back.messages[i].content.p, t.messages[i].content.p);
    }
    assert_string_equal(back.messages[2].reasoning.p, "hm");
    assert_int_equal(sb_talk_save(&t, "/nonexistent/x", "m", NULL), SB_IO);
    sb_talk_deinit(&t);
    sb_talk_deinit(&back);
}

static void strangers_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "1",
        "{}",
        "{\"messages\":{}}",
        "{\"messages\":[],\"model\":1}",
        "{\"messages\":[],\"more\":1}",
        "{\"messages\":[1]}",
        "{\"messages\":[{\"role\":\"user\"}]}",
        "{\"messages\":[{\"role\":\"god\",\"content\":\"\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\",\"reasoning_content\":\"\"}]}",
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"\"},"
         "{\"role\":\"system\",\"content\":\"\"}]}"),
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}",
        "{\"messages\":[]} x",
        "[[[[[[[[[[",
        "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}"};
    sb_talk t = {0};
    add(&t, "user", "kept", "");
    for (size_t i = 0; i < SB_ARRAY_LEN(texts); i++) {
        sb_error err = {0};
        write_file("bad.json", texts[i]);
        if (sb_talk_load(&t, path_of("bad.json"), &err) == SB_OK) fail_msg("%s", texts[i]);
        assert_non_null(strstr(err.msg, "bad.json"));
        assert_int_equal(t.n, 1);
    }
    assert_string_equal(t.messages[0].content.p, "kept");
    assert_int_not_equal(sb_talk_load(&t, folder, NULL), SB_OK);
    sb_talk_deinit(&t);
}

typedef struct entries {
    int n;
    char last[64];
} entries;

static void count(void *ctx, const char *entry)
{
    entries *e = ctx;
    e->n++;
    (void)snprintf(e->last, sizeof e->last, "%s", entry);
}

static void history_keeps_lines_and_its_size(void **state)
{
    (void)state;
    char path[128];
    struct stat st;
    entries e = {0};
    (void)snprintf(path, sizeof path, "%s/deep/er/history", folder);
    assert_int_equal(sb_history_load(path, count, &e, NULL), SB_OK);
    assert_int_equal(sb_history_append(path, str("a\\nb\nc\t\xc3\xa9"), NULL), SB_OK);
    assert_int_equal(sb_history_load(path, count, &e, NULL), SB_OK);
    assert_int_equal(e.n, 1);
    assert_string_equal(e.last, "a\\nb\nc\t\xc3\xa9");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char *big = malloc(100000);
    assert_non_null(big);
    memset(big, 'x', 100000);
    for (int i = 0; i < 30; i++)
        assert_int_equal(sb_history_append(path, (sb_str){big, 100000}, NULL), SB_OK);
    free(big);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= SB_MAX_HISTORY_BYTES && st.st_size > SB_MAX_HISTORY_BYTES / 3);
    e.n = 0;
    assert_int_equal(sb_history_load(path, count, &e, NULL), SB_OK);
    assert_true(e.n >= 3 && strspn(e.last, "x") == sizeof e.last - 1);
}

static void a_strange_history_gives_what_can_be_typed(void **state)
{
    (void)state;
    entries e = {0};
    write_file("odd", "good\n\x1b[31m\nbad\\q\n\xff\xfe\n\n\\n\nend");
    assert_int_equal(sb_history_load(path_of("odd"), count, &e, NULL), SB_OK);
    assert_int_equal(e.n, 3); /* good, a line break, end */
    assert_string_equal(e.last, "end");
    assert_int_not_equal(sb_history_load(folder, count, &e, NULL), SB_OK);
    assert_int_not_equal(sb_history_append(folder, str("x"), NULL), SB_OK);
    assert_int_not_equal(sb_history_append("/proc/none/history", str("x"), NULL), SB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_is_one_and_first),
        cmocka_unit_test(what_cannot_be_added_changes_nothing),
        cmocka_unit_test(saved_is_loaded),
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(history_keeps_lines_and_its_size),
        cmocka_unit_test(a_strange_history_gives_what_can_be_typed),
    };
    return cmocka_run_group_tests(tests, make_folder, NULL);
}
