/* SPDX-License-Identifier: Apache-2.0
 * nomem_db_test.c - every allocation of a data base's life fails in turn, ours and SQLite's: one
 * line of error, no block left, nothing half done, and the next try succeeds. */
#include "db_room.h"

#include <jansson.h>

#include "starve.h"
#include "store/keyring.h"
#include "store/responses.h"

/* SQLite's own heap, and jansson's: the n-th request is refused. */
static long n_granted = -1, n_blocks;
static bool refused;
static sqlite3_mem_methods heap;

static bool grant(void)
{
    if (n_granted < 0) return true;
    if (n_granted-- > 0) return true;
    refused = true;
    return false;
}

static void *heap_malloc(int n)
{
    return grant() ? heap.xMalloc(n) : NULL;
}

static void *heap_realloc(void *p, int n)
{
    return grant() ? heap.xRealloc(p, n) : NULL;
}

static void *json_malloc(size_t n)
{
    void *p = grant() ? malloc(n) : NULL;
    n_blocks += p != NULL;
    return p;
}

static void json_give_back(void *p)
{
    n_blocks -= p != NULL;
    free(p);
}

static sb_status skip_msg(void *ctx, const sb_msg *m, sb_error *err)
{
    (void)err;
    *(int64_t *)ctx = m->id;
    return SB_OK;
}

static sb_status skip_hit(void *ctx, const sb_conv_hit *h, sb_error *err)
{
    (void)err;
    *(int64_t *)ctx = h->msg;
    return SB_OK;
}

static sb_status skip_response(void *ctx, const sb_response *r, sb_error *err)
{
    (void)err;
    *(int64_t *)ctx = (int64_t)r->items.n;
    return SB_OK;
}

static sb_status use_conversations(sb_db *db, sb_buf *out, sb_error *err)
{
    char id[SB_DB_ID_BYTES], copy[SB_DB_ID_BYTES];
    int64_t msg = 0, seen = 0;
    const sb_msg live = {.parent = -1, .role = SB_MSG_ASSISTANT};
    const sb_msg done = {.state = SB_MSG_DONE,
                         .content = str("whole words"),
                         .calls = str("[1]"),
                         .usage = str("{}")};
    SB_TRY(sb_conv_add(db, 0, str("title"), str("{\"a\":1}"), id, err));
    SB_TRY(sb_msg_add(db, 0, id, &live, &msg, err));
    SB_TRY(sb_msg_more(db, 0, id, msg, str("whole "), str(""), err));
    SB_TRY(sb_msg_path(db, 0, id, 0, 5, skip_msg, &seen, err));
    SB_TRY(sb_msg_end(db, 0, id, msg, &done, err));
    SB_TRY(sb_conv_search(db, 0, str("words"), 0, 5, skip_hit, &seen, err));
    assert_int_equal(seen, msg);
    SB_TRY(sb_conv_markdown(db, 0, id, out, err));
    sb_buf_clear(out);
    SB_TRY(sb_conv_json(db, 0, id, out, err));
    SB_TRY(sb_conv_import(db, 0, (sb_str){out->p, out->n}, copy, err));
    SB_TRY(sb_conv_delete(db, 0, copy, err));
    return sb_conv_delete(db, 0, id, err);
}

static sb_status use_keys(sb_db *db, sb_error *err)
{
    char text[SB_KEY_TEXT_BYTES];
    sb_key key = {.name = "k"};
    sb_keyring *ring = NULL;
    int64_t seen = 0;
    const sb_response r = {.id = str("r"), .object = str("{}"), .items = str("[]")};
    SB_TRY(sb_key_add(db, &key, text, &key, err));
    sb_status s = sb_keyring_open(&ring, db, err);
    if (s == SB_OK) s = sb_keyring_find(ring, str(text), &key, err);
    sb_keyring_close(ring);
    if (s == SB_OK) s = sb_key_revoke(db, "k", &key, err);
    if (s == SB_OK) s = sb_response_add(db, 0, &r, err);
    if (s == SB_OK) s = sb_response_chain(db, 0, str("r"), skip_response, &seen, err);
    return s == SB_OK ? sb_response_delete(db, 0, str("r"), err) : s;
}

static sb_status whole_life(const room *r, sb_error *err)
{
    sb_db *db = NULL;
    sb_db_facts f;
    sb_buf out;
    char path[96];
    snprintf(path, sizeof path, "%s/backup", r->dir);
    sb_buf_init(&out, 1 << 20, "out");
    sb_status s = sb_db_open(&db, r->home, SB_DB_SERVE, err);
    if (s == SB_OK) s = use_conversations(db, &out, err);
    if (s == SB_OK) s = use_keys(db, err);
    if (s == SB_OK) s = sb_db_backup(db, path, err);
    sb_db_close(db);
    sb_buf_deinit(&out);
    if (s == SB_OK) s = sb_db_restore(r->home, path, &f, err);
    (void)unlink(path);
    return s;
}

static void clean(const room *r)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/*", r->dir);
    assert_int_equal(system(command), 0);
}

/* What is refused: one of ours at a time, or one of the libraries'. */
static void starve_all(room *r, bool ours, int step)
{
    int n_failures = 0;
    const long before = starve_live(), blocks = n_blocks;
    for (int n = 0;; n += step) {
        sb_error err = {0};
        clean(r);
        refused = false;
        if (ours)
            starve_from(n, false);
        else
            n_granted = n;
        const sb_status s = whole_life(r, &err);
        const bool short_of = starve_end() || refused;
        n_granted = -1;
        refused = false;
        assert_int_equal(starve_live(), before);
        assert_int_equal(n_blocks, blocks);
        if (!short_of) {
            if (s != SB_OK) fail_msg("not starved: %s", err.msg);
            break;
        }
        n_failures++;
        // What only saves work may go without: then all is well, and else there is a line.
        if (s != SB_OK && !err.msg[0]) fail_msg("request %d: no line", n);
        memset(&err, 0, sizeof err);
        OK(sb_db_open(&r->db, r->home, SB_DB_SERVE, WHY));
        sb_db_facts f;
        OK(sb_db_check(r->db, &f, WHY));
        assert_int_equal(sb_db_state_of(r->db), SB_DB_GOOD);
        sb_db_close(r->db);
        r->db = NULL;
    }
    print_message("%d requests refused\n", n_failures);
    assert_true(n_failures > 10);
}

static void our_allocations_fail(void **state)
{
    starve_all(*state, true, 1);
}

static void the_libraries_allocations_fail(void **state)
{
    // Each one takes a whole life: one in 29 of some 17 000.
    starve_all(*state, false, 29);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, room_setup, room_teardown)
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &heap) != SQLITE_OK) return 1;
    sqlite3_mem_methods mine = heap;
    mine.xMalloc = heap_malloc;
    mine.xRealloc = heap_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &mine) != SQLITE_OK) return 1;
    json_set_alloc_funcs(json_malloc, json_give_back);
    const struct CMUnitTest tests[] = {CASE(our_allocations_fail),
                                       CASE(the_libraries_allocations_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
