/* SPDX-License-Identifier: Apache-2.0
 * conv_fuzz.c - any bytes as what a client may hand to the data base: a conversation to import, and
 * words to search for. The first byte says which.
 *
 * What is taken in must come out, and come in again, the same; the data base stays whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/conv.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

/* Stops the program, as the fuzzer wants, when a promise is broken. */
static void must(bool ok)
{
    if (!ok) abort();
}

static char home[64];

static void sweep(void)
{
    static const char *const files[] = {"/sobre.db", "/sobre.db-wal", "/sobre.db-shm",
                                        "/sobre.lock", ""};
    for (size_t i = 0; i < SB_ARRAY_LEN(files); i++) {
        char path[96];
        (void)snprintf(path, sizeof path, "%s%s", home, files[i]);
        (void)(files[i][0] ? unlink(path) : rmdir(path));
    }
}

static sb_db *data_base(void)
{
    static sb_db *db;
    char id[SB_DB_ID_BYTES];
    if (db) return db;
    (void)snprintf(home, sizeof home, "%s/sobre-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(home) != NULL && atexit(sweep) == 0);
    must(sb_db_open(&db, home, SB_DB_SERVE, NULL) == SB_OK);
    const sb_msg m = {.parent = -1,
                      .role = SB_MSG_USER,
                      .state = SB_MSG_DONE,
                      .content = {"the quick brown fox", 19}};
    must(sb_conv_add(db, 0, (sb_str){"a title", 7}, (sb_str){"", 0}, id, NULL) == SB_OK);
    must(sb_msg_add(db, 0, id, &m, NULL, NULL) == SB_OK);
    return db;
}

static void import(sb_db *db, sb_str text)
{
    char id[SB_DB_ID_BYTES], again[SB_DB_ID_BYTES];
    sb_buf a, b;
    sb_error err = {0};
    sb_buf_init(&a, 1 << 26, "a");
    sb_buf_init(&b, 1 << 26, "b");
    must(sb_db_begin(db, NULL) == SB_OK);
    const sb_status s = sb_conv_import(db, 1, text, id, &err);
    if (s != SB_OK) {
        must(err.msg[0] != 0 && (s == SB_INVALID || s == SB_CORRUPT || s == SB_NO_MEMORY));
    } else {
        sb_db_facts facts;
        must(sb_conv_json(db, 1, id, &a, NULL) == SB_OK);
        must(sb_conv_markdown(db, 1, id, &b, NULL) == SB_OK);
        sb_buf_clear(&b);
        must(sb_conv_import(db, 1, (sb_str){a.p, a.n}, again, NULL) == SB_OK);
        must(sb_conv_json(db, 1, again, &b, NULL) == SB_OK);
        must(a.n == b.n && memcmp(a.p, b.p, a.n) == 0);
        must(sb_conv_json(db, 0, id, &b, NULL) == SB_NOT_FOUND);
        must(sb_db_check(db, &facts, NULL) == SB_OK);
    }
    sb_db_undo(db);
    sb_buf_deinit(&a);
    sb_buf_deinit(&b);
}

static sb_status look(void *ctx, const sb_conv_hit *h, sb_error *err)
{
    (void)err;
    must(h->snippet.n > 0 && memchr(h->snippet.p, 2, h->snippet.n));
    ++*(int *)ctx;
    return SB_OK;
}

static void search(sb_db *db, sb_str text)
{
    int n = 0;
    sb_error err = {0};
    const sb_status s = sb_conv_search(db, 0, text, 0, 10, look, &n, &err);
    must(s == SB_OK || (s == SB_INVALID && strncmp(err.msg, "search: ", 8) == 0));
    must(n <= 2);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    if (n == 0) return 0;
    const sb_str text = {(const char *)data + 1, n - 1};
    if (data[0] == 's')
        search(data_base(), text);
    else
        import(data_base(), text);
    return 0;
}
