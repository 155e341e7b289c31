/* SPDX-License-Identifier: Apache-2.0
 * db_copy_test.c - backups taken while others write, and put back: each is one moment, whole; what
 * is no backup changes nothing; a restore is all or nothing (D7). */
#include "db_room.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/keyring.h"
#include "store/responses.h"
#include "store/sums.h"

typedef struct load {
    sb_db *db;
    _Atomic int n_done;
    _Atomic bool stop;
    const char *why;
} load;

/* Two rows at a time that must never be seen apart. */
static sb_status write_pair(sb_db *db, int i)
{
    char id[32], text[3000];
    snprintf(id, sizeof id, "r%d", i);
    memset(text, ' ', sizeof text); // JSON may end in blanks; pages fill up
    memcpy(text, "{}", 2);
    const sb_response r = {.id = str(id), .object = {text, sizeof text}, .items = str("[]")};
    const sb_sum one = {.hour = 1, .n_answers = 1};
    SB_TRY(sb_db_begin(db, NULL));
    sb_status s = sb_response_add(db, 0, &r, NULL);
    if (s == SB_OK) s = sb_sum_add(db, 0, &one, NULL);
    const sb_status end = sb_db_end(db, NULL);
    return s == SB_OK ? end : s;
}

static void *write_on(void *ctx)
{
    load *l = ctx;
    while (!l->stop) {
        if (write_pair(l->db, l->n_done) != SB_OK) {
            l->why = "a pair could not be written";
            return NULL;
        }
        l->n_done++;
    }
    return NULL;
}

static void backup_path(const room *r, int i, char out[96])
{
    snprintf(out, 96, "%s/b%d.db", r->dir, i);
}

static void backups_under_load_are_moments(void **state)
{
    room *r = *state;
    enum { N = 8 };
    load l = {0};
    pthread_t t;
    int at_begin[N], at_end[N];
    struct stat st;
    char path[96];
    room_open(r);
    l.db = r->db;
    for (int i = 0; i < 500; i++, l.n_done++)
        assert_int_equal(write_pair(r->db, i), SB_OK);
    assert_int_equal(pthread_create(&t, NULL, write_on, &l), 0);
    for (int i = 0; i < N; i++) {
        sb_db *reader = NULL; // as `sobre db backup` beside a server
        backup_path(r, i, path);
        if (i % 2) OK(sb_db_open(&reader, r->home, SB_DB_READ, WHY));
        at_begin[i] = l.n_done;
        OK(sb_db_backup(reader ? reader : r->db, path, WHY));
        at_end[i] = l.n_done;
        sb_db_close(reader);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    l.stop = true;
    assert_int_equal(pthread_join(t, NULL), 0);
    if (l.why) fail_msg("%s", l.why);
    assert_true(at_end[N - 1] > at_begin[0]); // others did write meanwhile
    sb_db_close(r->db);
    r->db = NULL;
    for (int i = 0; i < N; i++) {
        sb_db_facts f;
        backup_path(r, i, path);
        OK(sb_db_restore(r->home, path, &f, WHY));
        room_open(r);
        const int64_t n = ask(r->db, "SELECT count(*) FROM response");
        assert_int_equal(n, ask(r->db, "SELECT sum(n_answers) FROM sum"));
        assert_int_equal(n, f.n_responses);
        assert_true(n >= at_begin[i] && n <= at_end[i] + 1);
        sb_db_close(r->db);
        r->db = NULL;
    }
    print_message("%d backups of %d to %d pairs while %d were written\n", N, at_begin[0],
                  at_end[N - 1], at_end[N - 1] - at_begin[0]);
}

static void fill(room *r, const char *title, char id[SB_DB_ID_BYTES])
{
    room_open(r);
    OK(sb_conv_add(r->db, 0, str(title), str(""), id, WHY));
    add_msg(r->db, 0, id, -1, SB_MSG_USER, "searchable words");
}

static sb_status count_hit(void *ctx, const sb_conv_hit *h, sb_error *err)
{
    (void)h;
    (void)err;
    ++*(int *)ctx;
    return SB_OK;
}

static void what_comes_back_is_what_went_out(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES], path[96], old[128], text[SB_KEY_TEXT_BYTES];
    const sb_key want = {.name = "k"};
    sb_key key;
    sb_keyring *ring = NULL;
    sb_db_facts f;
    struct stat st;
    int n_hits = 0;
    sb_error err = {0};
    backup_path(r, 0, path);
    snprintf(old, sizeof old, "%s.old", r->file);
    fill(r, "first", id);
    OK(sb_key_add(r->db, &want, text, &key, WHY));
    OK(sb_db_backup(r->db, path, WHY));
    assert_int_equal(sb_db_backup(r->db, path, &err), SB_INVALID); // never over another
    assert_int_equal(sb_db_restore(r->home, path, &f, &err), SB_BUSY);
    assert_non_null(strstr(err.msg, "a server runs as process"));
    OK(sb_conv_delete(r->db, 0, id, WHY));
    sb_db_close(r->db);
    r->db = NULL;
    OK(sb_db_restore(r->home, path, &f, WHY));
    assert_true(f.n_conversations == 1 && f.n_messages == 1 && f.n_keys == 1);
    assert_int_equal(stat(old, &st), 0);
    room_open(r);
    OK(sb_conv_search(r->db, 0, str("searchable"), 0, 9, count_hit, &n_hits, WHY));
    assert_int_equal(n_hits, 1);
    OK(sb_keyring_open(&ring, r->db, WHY));
    OK(sb_keyring_find(ring, str(text), &key, WHY));
    sb_keyring_close(ring);
    sb_db_close(r->db);
    OK(sb_db_restore(r->home, old, &f, WHY)); // and back again
    assert_int_equal(f.n_conversations, 0);
    r->db = NULL;
}

/* The last rows were only in the log when its server was killed: they are in what is kept. */
static void a_log_left_behind_does_not_spoil_the_new_file(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES], path[96], old[128];
    sb_db_facts f;
    struct stat st;
    sqlite3 *sq = NULL;
    sqlite3_stmt *stmt = NULL;
    backup_path(r, 0, path);
    snprintf(old, sizeof old, "%s.old", r->file);
    fill(r, "first", id);
    OK(sb_db_backup(r->db, path, WHY));
    sb_db_close(r->db);
    r->db = NULL;
    const pid_t child = fork();
    if (child == 0) {
        fill(r, "second", id);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(stat(r->log, &st), 0);
    assert_true(st.st_size > 0);
    OK(sb_db_restore(r->home, path, &f, WHY));
    assert_true(stat(r->log, &st) != 0 || st.st_size == 0);
    room_open(r);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM conv"), 1);
    assert_int_equal(sqlite3_open(old, &sq), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(sq, "SELECT count(*) FROM conv", -1, &stmt, NULL), 0);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(stmt, 0), 2);
    sqlite3_finalize(stmt);
    sqlite3_close(sq);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *sq = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &sq), SQLITE_OK);
    if (sqlite3_exec(sq, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
    sqlite3_close(sq);
}

static void what_is_no_backup_changes_nothing(void **state)
{
    static const char *const spoil[] = {
        "CREATE TRIGGER t AFTER INSERT ON msg BEGIN DELETE FROM key; END",
        "CREATE VIEW v AS SELECT 1",
        "DROP INDEX msg_by_parent",
        "DROP TABLE key",
        "ALTER TABLE conv ADD COLUMN x TEXT",
        "PRAGMA application_id = 5",
        "PRAGMA user_version = 9",
        "UPDATE msg SET parent = 7",
        "PRAGMA journal_mode = WAL; UPDATE conv SET title = 'x'"};
    room *r = *state;
    char id[SB_DB_ID_BYTES], path[96], command[400];
    sb_db_facts f;
    sb_error err = {0};
    backup_path(r, 0, path);
    fill(r, "mine", id);
    OK(sb_db_backup(r->db, path, WHY));
    sb_db_close(r->db);
    r->db = NULL;
    for (size_t i = 0; i < SB_ARRAY_LEN(spoil); i++) {
        char bad[96];
        backup_path(r, 1, bad);
        snprintf(command, sizeof command, "rm -f %s*; cp %s %s", bad, path, bad);
        assert_int_equal(system(command), 0);
        run_sql(bad, spoil[i]);
        const sb_status s = sb_db_restore(r->home, bad, &f, &err);
        const bool fine = i + 1 == SB_ARRAY_LEN(spoil); // only in another mode
        if ((s == SB_OK) != fine) fail_msg("%s: %d %s", spoil[i], s, err.msg);
    }
    static const char *const others[] = {"/dev/null", "/dev/zero", "/no/such", "/etc/passwd",
                                         "/tmp"};
    for (size_t i = 0; i < SB_ARRAY_LEN(others); i++)
        if (sb_db_restore(r->home, others[i], &f, &err) == SB_OK) fail_msg("%s", others[i]);
    snprintf(command, sizeof command, "test ! -e %s.new", r->file);
    assert_int_equal(system(command), 0);
    // Half a backup, and one with a page of noise.
    snprintf(command, sizeof command, "head -c 9000 %s > %s.half", path, path);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s.half", path);
    assert_int_equal(sb_db_restore(r->home, command, &f, &err), SB_CORRUPT);
    room_open(r);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM conv WHERE title = 'x'"), 1);
}

static void an_old_schema_comes_back_and_is_upgraded(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES], path[96];
    sb_db_facts f;
    backup_path(r, 0, path);
    fill(r, "old", id);
    OK(sb_db_backup(r->db, path, WHY));
    sb_db_close(r->db);
    r->db = NULL;
    run_sql(path, "DROP TABLE response; DROP TABLE sum; DROP TABLE key; PRAGMA user_version = 1");
    OK(sb_db_restore(r->home, path, &f, WHY));
    assert_int_equal(f.version, 1);
    // Beside a server nobody upgrades; without one a visitor does.
    sb_db *visitor = NULL;
    int fd = -1;
    sb_error err = {0};
    OK(sb_db_lock_open(&fd, r->home, WHY));
    OK(sb_db_lock_take(fd, SB_DB_LOCK_HOUSE, 0, WHY));
    assert_int_equal(sb_db_open(&visitor, r->home, SB_DB_VISIT, &err), SB_BUSY);
    assert_int_equal(sb_db_open(&visitor, r->home, SB_DB_READ, &err), SB_UNSUPPORTED);
    close(fd);
    OK(sb_db_open(&visitor, r->home, SB_DB_VISIT, WHY));
    sb_db_close(visitor);
    room_open(r);
    assert_int_equal(ask(r->db, "PRAGMA user_version"), sb_schema_version);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM msg"), 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, room_setup, room_teardown)
    const struct CMUnitTest tests[] = {
        CASE(backups_under_load_are_moments), CASE(what_comes_back_is_what_went_out),
        CASE(a_log_left_behind_does_not_spoil_the_new_file),
        CASE(what_is_no_backup_changes_nothing), CASE(an_old_schema_comes_back_and_is_upgraded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
