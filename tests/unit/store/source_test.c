/* SPDX-License-Identifier: Apache-2.0
 * source_test.c - the words that pull takes, the names made of them, listings and the choice from
 * them, pins as text, and the machine's memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "store/catalog.h"
#include "store/hub.h"
#include "base/machine.h"
#include "store/pin.h"
#include "store/source.h"

static sb_source parse(const char *word)
{
    sb_source s;
    sb_error err = {0};
    if (sb_source_parse(&s, word, &err) != SB_OK) fail_msg("%s: %s", word, err.msg);
    return s;
}

static void words(void **state)
{
    (void)state;
    sb_source s = parse("hf:Owner-1/Re.po_x");
    assert_int_equal(s.kind, SB_SOURCE_HUB);
    assert_string_equal(s.owner, "Owner-1");
    assert_string_equal(s.repo, "Re.po_x");
    assert_string_equal(s.revision, "main");
    assert_string_equal(s.file, "");
    s = parse("hf:a/b@v1.0:dir/x y-00001-of-00002.gguf");
    assert_string_equal(s.revision, "v1.0");
    assert_string_equal(s.file, "dir/x y-00001-of-00002.gguf");
    s = parse("https://h/f.gguf?x=1#y");
    assert_int_equal(s.kind, SB_SOURCE_URL);
    char shown[100];
    assert_int_equal(sb_source_show(&s, shown, sizeof shown), 16);
    assert_string_equal(shown, "https://h/f.gguf");
    s = parse("pypi:llm-x==0.1.2:m.gguf");
    assert_string_equal(s.repo, "llm-x");
    assert_string_equal(s.revision, "0.1.2");
    assert_string_equal(s.file, "m.gguf");
    s = parse("ollama:llama3.2");
    assert_string_equal(s.owner, "library");
    assert_string_equal(s.revision, "latest");
    s = parse("ollama:me/m:7b-q4_0");
    assert_string_equal(s.owner, "me");
    assert_string_equal(s.revision, "7b-q4_0");
    assert_int_equal(parse("smollm2-135m").kind, SB_SOURCE_CATALOG);
    assert_int_equal(parse("./smollm2-135m").kind, SB_SOURCE_PATH);
    assert_int_equal(parse("no-such").kind, SB_SOURCE_PATH);
}

static void bad_words(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "hf:",
                                      "hf:a",
                                      "hf:/b",
                                      "hf:a/",
                                      "hf:a/b/c",
                                      "hf:a/b:",
                                      "hf:a/b:/x",
                                      "hf:a/b:x/../y",
                                      "hf:a/b:./x",
                                      "hf:a/b:x//",
                                      "hf:a/b:x\n",
                                      "hf:a/b:x\\y",
                                      "hf:a/b:\xff",
                                      "hf:a/b@",
                                      "hf:a/b@/x",
                                      "hf:..a/b",
                                      "hf:a/b..c",
                                      "hf:a b/c",
                                      "pypi:",
                                      "pypi:-r",
                                      "pypi:a=b",
                                      "pypi:a==",
                                      "pypi:a==1;x",
                                      "pypi:a b",
                                      "ollama:",
                                      "ollama:a/",
                                      "ollama:a:",
                                      "ollama:a/b/c",
                                      "https://",
                                      "https://h",
                                      "https:///x",
                                      "https://a:b@h/x",
                                      "https://h/a b",
                                      "http://h/\xc3\xa9"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        sb_source s = {.kind = SB_SOURCE_PATH};
        sb_error err = {0};
        assert_int_equal(sb_source_parse(&s, bad[i], &err), SB_INVALID);
        assert_true(err.msg[0]);
        assert_int_equal(s.kind, SB_SOURCE_PATH); /* untouched */
    }
    char *vast = malloc(1 << 20);
    static const char *const heads[] = {"", "hf:a/", "hf:a/b:", "https://h/", "pypi:", "ollama:"};
    for (size_t i = 0; i < SB_ARRAY_LEN(heads); i++) {
        sb_source s;
        memset(vast, 'x', (1 << 20) - 1);
        memcpy(vast, heads[i], strlen(heads[i]));
        vast[(1 << 20) - 1] = 0;
        assert_int_equal(sb_source_parse(&s, vast, NULL), SB_INVALID);
    }
    free(vast);
}

static void names(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"Qwen3-0.6B-Q8_0.gguf", "qwen3-0.6b-q8_0"},
        {"dir/Big-Q4_0-00001-of-00003.gguf", "big-q4_0"},
        {"https://h/d/My Model (1).GGUF?x=/evil.gguf", "my-model-1"},
        {"..gguf", NULL},
        {"/", NULL},
        {"\xc3\xa9\xc3\xa9", NULL},
        {"-.x", "x"},
        {"../../etc", "etc"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(pairs); i++) {
        char out[65];
        assert_int_equal(sb_source_name(pairs[i][0], out), pairs[i][1] != NULL);
        if (pairs[i][1]) assert_string_equal(out, pairs[i][1]);
    }
    char vast[300], out[65];
    memset(vast, 'y', sizeof vast);
    vast[299] = 0;
    assert_true(sb_source_name(vast, out));
    assert_int_equal(strlen(out), 64);
    int no = 0, count = 0;
    assert_true(sb_source_shard("x-00002-of-00010.gguf", 21, &no, &count));
    assert_true(no == 2 && count == 10);
    static const char *const none[] = {"x-00003-of-00002.gguf", "x-00000-of-00002.gguf",
                                       "x-0001-of-00002.gguf", "-00001-of-00002.gguf"};
    for (size_t i = 0; i < SB_ARRAY_LEN(none); i++)
        assert_false(sb_source_shard(none[i], strlen(none[i]), &no, &count));
}

static void listings(void **state)
{
    (void)state;
    static const char text[] =
        "{\"sha\":\"abc123\",\"tags\":[\"gguf\",\"license:mit\"],\"siblings\":["
        "{\"rfilename\":\"m-Q8_0.gguf\",\"lfs\":{\"sha256\":"
        "\"BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD\",\"size\":5}},"
        "{\"rfilename\":\"sub/m-Q4_0-00001-of-00002.gguf\",\"size\":7},"
        "{\"rfilename\":\"sub/m-Q4_0-00002-of-00002.gguf\"},"
        "{\"rfilename\":\"mmproj-m-Q4_K_M.gguf\"},{\"rfilename\":\"../x.gguf\"},"
        "{\"rfilename\":\"m.imatrix.gguf\"},{\"rfilename\":\"README.md\"},{\"rfilename\":3},7]}";
    sb_hub_repo r;
    size_t i = 99;
    assert_int_equal(sb_hub_parse(text, sizeof text - 1, &r, NULL), SB_OK);
    assert_int_equal(r.n_files, 5);
    assert_string_equal(r.commit, "abc123");
    assert_string_equal(r.licence, "mit");
    assert_int_equal(r.files[0].bytes, 5);
    assert_int_equal(strncmp(r.files[0].sha256, "ba7816bf", 8), 0);
    assert_int_equal(sb_hub_choose(&r, "", "s", &i, NULL), SB_OK);
    assert_int_equal(i, 1); /* Q4_0 before Q8_0, by its first shard */
    assert_true(sb_hub_shard(&r, 1, 2, &i) && i == 2);
    assert_false(sb_hub_shard(&r, 1, 3, &i));
    assert_int_equal(sb_hub_choose(&r, "q8_0", "s", &i, NULL), SB_OK);
    assert_int_equal(i, 0);
    assert_int_equal(sb_hub_choose(&r, "8_0", "s", &i, NULL), SB_NOT_FOUND); /* a whole word */
    assert_int_equal(sb_hub_choose(&r, "m-Q8_0.gguf", "s", &i, NULL), SB_OK);
    assert_int_equal(sb_hub_choose(&r, "mmproj-m-Q4_K_M.gguf", "s", &i, NULL), SB_OK);
    assert_int_equal(i, 3); /* asked for by its whole path */
    sb_hub_deinit(&r);
    for (size_t n = 0; n < sizeof text - 1; n++) /* every truncation */
        assert_int_equal(sb_hub_parse(text, n, &r, NULL), SB_CORRUPT);
}

static void pins(void **state)
{
    (void)state;
#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    static const char good[] =
        "{\"source\":\"hf:a/b:c\",\"revision\":\"r\",\"files\":[{\"name\":\"c\",\"bytes\":3,"
        "\"sha256\":\"" HEX "\"},{\"name\":\"d\",\"bytes\":4,\"sha256\":\"" HEX "\"}]}";
    sb_pin p;
    assert_int_equal(sb_pin_parse(good, sizeof good - 1, "x", &p, NULL), SB_OK);
    assert_true(p.n_files == 2 && p.bytes == 7 && strcmp(p.source, "hf:a/b:c") == 0);
    assert_true(sb_pin_same(&p, &p));
    sb_pin_deinit(&p);
    sb_pin_deinit(&p);
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"files\":[]}",
        "{\"files\":[{\"name\":\"c\",\"bytes\":-1,\"sha256\":\"" HEX "\"}]}",
        "{\"files\":[{\"name\":\"c\",\"bytes\":1,\"sha256\":\"ba78\"}]}",
        "{\"files\":[{\"name\":\"c\\u001b\",\"bytes\":1,\"sha256\":\"" HEX "\"}]}",
        "{\"files\":[{\"name\":\"c\",\"bytes\":9223372036854775807,\"sha256\":\"" HEX "\"},"
        "{\"name\":\"c\",\"bytes\":9223372036854775807,\"sha256\":\"" HEX "\"},"
        "{\"name\":\"c\",\"bytes\":9223372036854775807,\"sha256\":\"" HEX "\"}]}"};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        assert_int_equal(sb_pin_parse(bad[i], strlen(bad[i]), "x", &p, NULL), SB_CORRUPT);
}

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *slash = path + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        (void)mkdir(path, 0777);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void memory(void **state)
{
    (void)state;
    char dir[] = "/tmp/sobre-machine-XXXXXX", command[64];
    sb_machine_memory m;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(sb_machine_memory_read(dir, &m, NULL), SB_IO);
    put_file(dir, "proc/meminfo", "MemTotal:  8000 kB\nMemFree: 1 kB\nMemAvailable:  5000 kB\n");
    assert_int_equal(sb_machine_memory_read(dir, &m, NULL), SB_OK);
    assert_true(m.total_bytes == 8192000 && m.available_bytes == 5120000);
    put_file(dir, "proc/self/cgroup", "0::/a/b\n");
    put_file(dir, "sys/fs/cgroup/a/b/memory.max", "max\n");
    put_file(dir, "sys/fs/cgroup/a/memory.max", "4000000\n");
    put_file(dir, "sys/fs/cgroup/a/memory.current", "3000000\n");
    put_file(dir, "sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 500000\nactive_file 1\n");
    assert_int_equal(sb_machine_memory_read(dir, &m, NULL), SB_OK);
    assert_true(m.total_bytes == 4000000 && m.available_bytes == 1500001);
    put_file(dir, "proc/self/cgroup", "0::/../../etc\n3:cpu,memory:/v\n5:memory:/v\n");
    put_file(dir, "sys/fs/cgroup/memory/v/memory.limit_in_bytes", "2000000\n");
    put_file(dir, "sys/fs/cgroup/memory/v/memory.usage_in_bytes", "2500000\n");
    assert_int_equal(sb_machine_memory_read(dir, &m, NULL), SB_OK);
    assert_true(m.total_bytes == 2000000 && m.available_bytes == 0);
    put_file(dir, "proc/meminfo", "MemTotal: 99999999999999999999 kB\n");
    assert_int_equal(sb_machine_memory_read(dir, &m, NULL), SB_IO);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* What a file of packed weights is held to. */
static void records(void **state)
{
    (void)state;
    char dir[] = "/tmp/sobre-record-XXXXXX", command[64], hash[65] = {0};
    sb_store *store = NULL;
    sb_pin p;
    sb_buf out;
    assert_non_null(mkdtemp(dir));
    put_file(dir, "models/x", "");
    sb_buf_init(&out, 4096, "record");
    assert_int_equal(sb_store_open(&store, dir, NULL), SB_OK);
    assert_int_equal(sb_pin_record(store, "two", &out, NULL), SB_OK);
    assert_int_equal(sb_pin_record(store, "./two.gguf", &out, NULL), SB_OK);
    assert_int_equal(out.n, 0);
    assert_int_equal(sb_pin_init(&p, "two", 2, NULL), SB_OK);
    snprintf(p.source, sizeof p.source, "file:/x");
    snprintf(p.checked, sizeof p.checked, "first");
    for (int i = 0; i < 2; i++) {
        memset(hash, 'a' + i, 64);
        memcpy(p.files[i].sha256, hash, sizeof hash);
        snprintf(p.files[i].name, sizeof p.files[i].name, "part%d", i);
        p.files[i].bytes = 1, p.bytes++;
    }
    assert_int_equal(sb_pin_write(store, &p, NULL), SB_OK);
    assert_int_equal(sb_pin_record(store, "two", &out, NULL), SB_OK);
    assert_int_equal(out.n, 130);
    assert_true(strncmp(out.p, p.files[0].sha256, 64) == 0 && strstr(out.p, p.files[1].sha256));
    sb_pin_deinit(&p);
    sb_buf_deinit(&out);
    sb_store_close(store);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static bool only_qwen3(void *ctx, const char *arch)
{
    (void)ctx;
    return strcmp(arch, "qwen3") == 0;
}

static void best_of_the_catalogue(void **state)
{
    (void)state;
    sb_catalog_row row;
    assert_true(sb_catalog_best(UINT64_MAX, 0, only_qwen3, NULL, &row));
    assert_string_equal(row.name, "qwen3-14b");
    assert_true(sb_catalog_best(4000000000, 0, NULL, NULL, &row));
    assert_string_equal(row.name, "qwen3-4b");
    assert_false(sb_catalog_best(4000000000, 4000000000, NULL, NULL, &row));
    assert_false(sb_catalog_best(1000, 0, NULL, NULL, &row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),  cmocka_unit_test(bad_words),
        cmocka_unit_test(names),  cmocka_unit_test(listings),
        cmocka_unit_test(pins),   cmocka_unit_test(records),
        cmocka_unit_test(memory), cmocka_unit_test(best_of_the_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
