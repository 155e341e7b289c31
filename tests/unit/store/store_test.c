/* SPDX-License-Identifier: Apache-2.0
 * store_test.c - names, where the folder is, the catalogue's own consistency, list and resolve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/catalog.h"
#include "store/source.h"
#include "store/store.h"

static void names(void **state)
{
    (void)state;
    const char *const good[] = {"a", "smollm2-135m", "0.5b_x", "gguf", "a.gguf2"};
    const char *const bad[] = {"",    ".",   "..",  ".hidden", "-rf",    "_x",        "A",
                               "a/b", "a b", "a\n", "\xff",    "x.gguf", "e\xcc\x81", "a\\b"};
    for (size_t i = 0; i < SB_ARRAY_LEN(good); i++)
        assert_true(sb_store_name_ok(good[i]));
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        assert_false(sb_store_name_ok(bad[i]));
    char longest[66];
    memset(longest, 'a', sizeof longest);
    longest[64] = 0;
    assert_true(sb_store_name_ok(longest));
    longest[64] = 'a';
    longest[65] = 0;
    assert_false(sb_store_name_ok(longest));
}

static void catalogue_is_consistent(void **state)
{
    (void)state;
    size_t n_parts = 0;
    assert_true(sb_catalog_n() >= 2);
    for (size_t i = 0; i < sb_catalog_n(); i++) {
        const sb_catalog_row row = sb_catalog_get(i);
        assert_true(sb_store_name_ok(row.name));
        assert_true(row.params_m > 0 && row.bits_x100 > 100 && row.bits_x100 < 3300 && row.arch);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(sb_catalog_get(j).name, row.name);
        if (row.source) { /* no hash and no size of a host is written down here */
            sb_source s;
            assert_int_equal(sb_source_parse(&s, row.source, NULL), SB_OK);
            assert_int_equal(s.kind, SB_SOURCE_HUB);
            assert_true(s.file[0] && !row.sha256 && !row.bytes && !row.n_part);
            continue;
        }
        assert_int_equal(strspn(row.sha256, "0123456789abcdef"), 64);
        assert_int_equal(strlen(row.sha256), 64);
        assert_true(row.n_part > 0);
        uint64_t sum = 0;
        for (size_t k = 0; k < row.n_part; k++) { /* fails when the rows are not neighbours */
            assert_string_equal(row.parts[k].name, row.name);
            assert_int_equal(strlen(row.parts[k].sha256), 64);
            sum += row.parts[k].bytes;
        }
        assert_int_equal(sum, row.bytes);
        if (row.n_part == 1) assert_string_equal(row.parts[0].sha256, row.sha256);
        n_parts += row.n_part;
    }
    assert_int_equal(n_parts, 5);
    sb_catalog_row row;
    assert_true(sb_catalog_find("gemma3-270m", &row));
    assert_non_null(row.terms);
    assert_false(sb_catalog_find("no-such", &row));
}

static void home_of(const char *expect)
{
    sb_store *s = NULL;
    assert_int_equal(sb_store_open(&s, NULL, NULL), SB_OK);
    assert_string_equal(sb_store_home(s), expect);
    sb_store_close(s);
}

static void where_the_folder_is(void **state)
{
    (void)state;
    setenv("SOBRE_HOME", "/one", 1);
    setenv("XDG_DATA_HOME", "/two", 1);
    setenv("HOME", "/three", 1);
    home_of("/one");
    setenv("SOBRE_HOME", "", 1);
    home_of("/two/sobre");
    setenv("XDG_DATA_HOME", "relative", 1);
    home_of("/three/.local/share/sobre");
    unsetenv("XDG_DATA_HOME");
    home_of("/three/.local/share/sobre");
    unsetenv("HOME");
    sb_store *s = NULL; /* from the user database */
    assert_int_equal(sb_store_open(&s, NULL, NULL), SB_OK);
    assert_non_null(strstr(sb_store_home(s), "/.local/share/sobre"));
    sb_store_close(s);
    sb_store_close(NULL);
    assert_int_equal(sb_store_open(&s, "/given", NULL), SB_OK);
    assert_string_equal(sb_store_models_dir(s), "/given/models");
    sb_store_close(s);
}

static void touch(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("123", f);
    fclose(f);
}

static void lists_and_resolves(void **state)
{
    (void)state;
    char dir[] = "/tmp/sobre-store-XXXXXX", models[64], path[96];
    assert_non_null(mkdtemp(dir));
    snprintf(models, sizeof models, "%s/models", dir);
    sb_store *s = NULL;
    sb_store_item *items = NULL;
    size_t n = 99;
    assert_int_equal(sb_store_open(&s, dir, NULL), SB_OK);
    assert_int_equal(sb_store_list(s, &items, &n, NULL), SB_OK); /* no folder yet */
    assert_int_equal(n, 0);
    sb_store_list_free(items, n);
    mkdir(models, 0777);
    touch(models, "b.gguf");
    touch(models, "a.gguf");
    touch(models, ".c.part");
    touch(models, "Bad Name.gguf");
    snprintf(path, sizeof path, "%s/folder.gguf", models);
    mkdir(path, 0777);
    assert_int_equal(sb_store_list(s, &items, &n, NULL), SB_OK);
    assert_int_equal(n, 2);
    assert_string_equal(items[0].name, "a");
    assert_string_equal(items[1].name, "b");
    assert_int_equal(items[0].bytes, 3);
    sb_store_list_free(items, n);

    sb_buf out;
    sb_buf_init(&out, 4096, "path");
    sb_error err = {0};
    assert_int_equal(sb_store_resolve(s, "a", &out, &err), SB_OK);
    snprintf(path, sizeof path, "%s/a.gguf", models);
    assert_string_equal(out.p, path);
    sb_buf_clear(&out);
    assert_int_equal(sb_store_resolve(s, path, &out, &err), SB_OK);
    assert_string_equal(out.p, path);
    sb_buf_clear(&out);
    assert_int_equal(sb_store_resolve(s, "smollm2-135m", &out, &err), SB_NOT_FOUND);
    assert_non_null(strstr(err.msg, "sobre pull smollm2-135m"));
    assert_int_equal(sb_store_resolve(s, "no/such\x1b[31m", &out, &err), SB_NOT_FOUND);
    assert_non_null(strstr(err.msg, "\\x1B") ? strstr(err.msg, "\\x1B") : strstr(err.msg, "\\x1b"));
    assert_int_equal(out.n, 0);
    sb_buf_deinit(&out);
    sb_store_close(s);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(catalogue_is_consistent),
        cmocka_unit_test(where_the_folder_is),
        cmocka_unit_test(lists_and_resolves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
