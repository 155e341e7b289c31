/* SPDX-License-Identifier: Apache-2.0
 * db_open_test.c - the data base's settings as SQLite tells them (D1), every state a file may be
 * found in (K4), and who may have it open at the same time. */
#include "db_room.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "store/keyring.h"

static void settings_are_as_promised(void **state)
{
    static const struct {
        const char *sql;
        int64_t value;
    } want[] = {{"PRAGMA synchronous", 2},
                {"PRAGMA mmap_size", 0},
                {"PRAGMA foreign_keys", 1},
                {"PRAGMA secure_delete", 1},
                {"PRAGMA temp_store", 2},
                {"PRAGMA cell_size_check", 1},
                {"PRAGMA trusted_schema", 0},
                {"PRAGMA journal_size_limit", 4194304},
                {"PRAGMA application_id", 0x736f6272},
                {"SELECT count(*) FROM pragma_table_list WHERE type = 'table' AND schema = 'main'"
                 " AND strict = 0 AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'msg_text_%'",
                 0},
                {"SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'", 1}};
    room *r = *state;
    struct stat st;
    room_open(r);
    for (size_t i = 0; i < SB_ARRAY_LEN(want); i++)
        if (ask(r->db, want[i].sql) != want[i].value) fail_msg("%s", want[i].sql);
    assert_int_equal(ask(r->db, "PRAGMA user_version"), sb_schema_version);
    assert_int_equal(stat(r->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(r->log, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(r->db->searchable);
}

static void write_file(const char *path, const void *p, size_t n)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

/* Opens it, which must fail so, and leave each byte. */
static void refuse(room *r, sb_status want, const char *says)
{
    sb_map before, after;
    sb_error err = {0};
    unsigned char *copy = NULL;
    OK(sb_map_open(&before, r->file, WHY));
    copy = malloc(before.bytes + 1);
    assert_non_null(copy);
    if (before.bytes) memcpy(copy, before.p, before.bytes);
    const size_t n = before.bytes;
    sb_map_close(&before);
    for (int mode = SB_DB_SERVE; mode <= SB_DB_READ; mode++) {
        const sb_status s = sb_db_open(&r->db, r->home, (sb_db_mode)mode, &err);
        if (s != want || !strstr(err.msg, says)) fail_msg("mode %d: %d %s", mode, s, err.msg);
        assert_null(r->db);
        if (want == SB_CORRUPT && strstr(says, "restore")) break; // others do not read every page
    }
    OK(sb_map_open(&after, r->file, WHY));
    assert_int_equal(after.bytes, n);
    assert_true(n == 0 || memcmp(after.p, copy, n) == 0);
    sb_map_close(&after);
    free(copy);
}

static void an_empty_file_is_a_new_one(void **state)
{
    room *r = *state;
    assert_int_equal(mkdir(r->home, 0700), 0);
    write_file(r->file, "", 0);
    room_open(r);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM conv"), 0);
}

static void other_bytes_are_refused(void **state)
{
    room *r = *state;
    unsigned char noise[10000];
    assert_int_equal(mkdir(r->home, 0700), 0);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)(i * 7919 >> 3);
    write_file(r->file, noise, sizeof noise);
    refuse(r, SB_CORRUPT, "sobre db restore");
    memcpy(noise, "SQLite format 3", 16);
    write_file(r->file, noise, sizeof noise);
    refuse(r, SB_CORRUPT, "sobre db restore");
}

static void others_and_newer_schemas_are_refused(void **state)
{
    room *r = *state;
    sqlite3 *sq = NULL;
    room_open(r);
    sb_db_close(r->db);
    r->db = NULL;
    assert_int_equal(sqlite3_open(r->file, &sq), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sq, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sq);
    refuse(r, SB_UNSUPPORTED, "schema 99, and this program knows up to 6");
    assert_int_equal(sqlite3_open(r->file, &sq), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sq, "PRAGMA user_version = 0", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sq);
    refuse(r, SB_CORRUPT, "schema 0");
    assert_int_equal(sqlite3_open(r->file, &sq), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sq, "PRAGMA application_id = 7", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sq);
    refuse(r, SB_CORRUPT, "another program");
}

/* Some rows, so that there are pages to damage. */
static void fill(room *r, int n)
{
    char id[SB_DB_ID_BYTES], text[512];
    room_open(r);
    OK(sb_conv_add(r->db, 0, str("a title"), str(""), id, WHY));
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    OK(sb_db_begin(r->db, WHY));
    for (int i = 0; i < n; i++)
        add_msg(r->db, 0, id, -1, SB_MSG_USER, text);
    OK(sb_db_end(r->db, WHY));
}

static void a_corrupt_page_is_found_at_start(void **state)
{
    room *r = *state;
    struct stat st;
    unsigned char junk[512];
    fill(r, 200);
    sb_db_close(r->db);
    r->db = NULL;
    assert_int_equal(stat(r->file, &st), 0);
    memset(junk, 0xa5, sizeof junk);
    const int fd = open(r->file, O_WRONLY);
    assert_int_equal(pwrite(fd, junk, sizeof junk, st.st_size / 4096 / 2 * 4096), sizeof junk);
    close(fd);
    refuse(r, SB_CORRUPT, "restore");
}

static void a_tree_that_is_none_is_found_at_start(void **state)
{
    static const char *const breaks[] = {
        "UPDATE msg SET parent = 999 WHERE id = 3", "UPDATE msg SET depth = 7 WHERE id = 3",
        "UPDATE conv SET leaf = 999", "UPDATE conv SET n_messages = 1",
        "INSERT INTO piece(msg, content, reasoning) SELECT min(seq), '', '' FROM msg"};
    room *r = *state;
    fill(r, 5);
    for (size_t i = 0; i < SB_ARRAY_LEN(breaks); i++) {
        sb_db_facts facts;
        sb_error err = {0};
        OK(sb_db_begin(r->db, WHY));
        OK(sb_sql_exec(r->db, breaks[i], WHY));
        if (sb_db_check(r->db, &facts, &err) != SB_CORRUPT) fail_msg("unseen: %s", breaks[i]);
        assert_non_null(strstr(err.msg, "is damaged ("));
        assert_int_equal(sb_turn_end(r->db, SB_CANCELLED, NULL), SB_CANCELLED); // undone again
    }
    sb_db_facts facts;
    OK(sb_db_check(r->db, &facts, WHY));
    assert_true(facts.n_conversations == 1 && facts.n_messages == 5 && facts.n_keys == 0);
}

static void a_file_that_may_not_be_written_is_read(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    sb_error err = {0};
    fill(r, 3);
    sb_db_close(r->db);
    r->db = NULL;
    assert_int_equal(chmod(r->file, 0400), 0);
    room_open(r);
    assert_int_equal(sb_db_state_of(r->db), SB_DB_READ_ONLY);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM msg"), 3);
    assert_int_equal(sb_conv_add(r->db, 0, str("t"), str(""), id, &err), SB_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "may only be read"));
}

static void a_lost_log_is_no_obstacle(void **state)
{
    room *r = *state;
    fill(r, 3);
    const pid_t child = fork();
    if (child == 0) { // dies with the log beside the file
        char id[SB_DB_ID_BYTES];
        _exit(sb_conv_add(r->db, 0, str("late"), str(""), id, NULL) == SB_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    sb_db_close(r->db);
    r->db = NULL;
    (void)unlink(r->log);
    room_open(r);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM msg"), 3);
}

static void a_second_server_is_told_whose_it_is(void **state)
{
    room *r = *state;
    sb_db *second = NULL;
    char pid[32];
    sb_error err = {0};
    room_open(r);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_int_equal(sb_db_open(&second, r->home, SB_DB_SERVE, &err), SB_BUSY);
    assert_non_null(strstr(err.msg, pid));
    assert_null(second);
    OK(sb_db_open(&second, r->home, SB_DB_VISIT, WHY));
    char id[SB_DB_ID_BYTES];
    OK(sb_conv_add(r->db, 0, str("mine"), str(""), id, WHY));
    sb_db_close(second);
    OK(sb_db_open(&second, r->home, SB_DB_READ, WHY));
    assert_int_equal(ask(second, "SELECT count(*) FROM conv"), 1);
    assert_int_equal(sb_conv_add(second, 0, str("x"), str(""), id, &err), SB_UNSUPPORTED);
    sb_db_close(second);
    sb_db_close(r->db);
    r->db = NULL;
    OK(sb_db_open(&r->db, r->home, SB_DB_SERVE, WHY)); // the lock went with it
}

static void reading_makes_nothing(void **state)
{
    room *r = *state;
    struct stat st;
    sb_error err = {0};
    assert_int_equal(sb_db_open(&r->db, r->home, SB_DB_READ, &err), SB_NOT_FOUND);
    assert_int_equal(stat(r->home, &st), -1);
    assert_int_equal(mkdir(r->home, 0700), 0);
    assert_int_equal(mkdir(r->file, 0700), 0);
    assert_int_equal(sb_db_open(&r->db, r->home, SB_DB_SERVE, &err), SB_INVALID);
    assert_non_null(strstr(err.msg, "not a regular file"));
}

static void an_unclean_stop_is_seen(void **state)
{
    room *r = *state;
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        fill(r, 3);
        _exit(0); // no close
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    OK(sb_db_open(&r->db, r->home, SB_DB_READ, WHY));
    assert_int_equal(ask(r->db, "SELECT count(*) FROM mark WHERE name = 'running'"), 1);
    sb_db_close(r->db);
    r->db = NULL;
    room_open(r);
    assert_int_equal(ask(r->db, "SELECT count(*) FROM msg"), 3);
    sb_db_close(r->db);
    OK(sb_db_open(&r->db, r->home, SB_DB_READ, WHY));
    assert_int_equal(ask(r->db, "SELECT count(*) FROM mark WHERE name = 'running'"), 0);
}

static void a_path_may_hold_anything(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES];
    struct stat st;
    snprintf(r->home, sizeof r->home, "%s/a ?mode=memory#b%%41\n\xc3\xa9", r->dir);
    room_open(r);
    OK(sb_conv_add(r->db, 0, str("t"), str(""), id, WHY));
    snprintf(r->file, sizeof r->file, "%s/sobre.db", r->home);
    assert_int_equal(stat(r->file, &st), 0);
    assert_true(st.st_size > 0);
}

/* `sudo sobre key add` before the server's own user first starts it. */
static void what_root_makes_belongs_to_the_home(void **state)
{
    room *r = *state;
    char lock[128];
    struct stat st;
    if (geteuid() != 0) skip();
    snprintf(lock, sizeof lock, "%s/sobre.lock", r->home);
    assert_int_equal(mkdir(r->home, 0700), 0);
    assert_int_equal(chown(r->home, 12345, 23456), 0);
    OK(sb_db_open(&r->db, r->home, SB_DB_VISIT, WHY));
    const char *const files[] = {r->file, r->log, lock};
    for (size_t i = 0; i < SB_ARRAY_LEN(files); i++) {
        assert_int_equal(stat(files[i], &st), 0);
        assert_true(st.st_uid == 12345 && st.st_gid == 23456);
    }
}

typedef struct busy {
    room *r;
    int i;
} busy;

static void *write_many(void *ctx)
{
    const busy *b = ctx;
    char id[SB_DB_ID_BYTES];
    for (int i = 0; i < 20; i++) {
        if (sb_conv_add(b->r->db, b->i, str("t"), str(""), id, NULL) != SB_OK) return "add";
        const sb_msg m = {.parent = -1, .role = SB_MSG_USER, .state = SB_MSG_DONE};
        if (sb_db_begin(b->r->db, NULL) != SB_OK) return "begin";
        for (int k = 0; k < 3; k++)
            if (sb_msg_add(b->r->db, b->i, id, &m, NULL, NULL) != SB_OK) return "message";
        if (sb_db_end(b->r->db, NULL) != SB_OK) return "end";
    }
    return NULL;
}

static void threads_take_turns(void **state)
{
    room *r = *state;
    enum { N = 4 };
    pthread_t t[N];
    busy b[N];
    room_open(r);
    for (int i = 0; i < N; i++) {
        b[i] = (busy){r, i};
        assert_int_equal(pthread_create(&t[i], NULL, write_many, &b[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        void *why = NULL;
        assert_int_equal(pthread_join(t[i], &why), 0);
        if (why) fail_msg("%s", (const char *)why);
    }
    assert_int_equal(ask(r->db, "SELECT count(*) FROM msg"), N * 60);
    sb_db_facts facts;
    OK(sb_db_check(r->db, &facts, WHY));
}

static void a_group_is_one_and_its_parts_fail_alone(void **state)
{
    room *r = *state;
    char id[SB_DB_ID_BYTES], other[SB_DB_ID_BYTES];
    sb_db *reader = NULL;
    room_open(r);
    OK(sb_conv_add(r->db, 0, str("t"), str(""), id, WHY));
    OK(sb_db_open(&reader, r->home, SB_DB_READ, WHY));
    OK(sb_db_begin(r->db, WHY));
    add_msg(r->db, 0, id, -1, SB_MSG_USER, "one");
    assert_int_equal(sb_conv_delete(r->db, 0, "nothing", NULL), SB_NOT_FOUND);
    OK(sb_db_begin(r->db, WHY));
    OK(sb_conv_add(r->db, 0, str("u"), str(""), other, WHY));
    OK(sb_db_end(r->db, WHY));
    assert_int_equal(ask(reader, "SELECT count(*) FROM msg"), 0); // not before the end
    OK(sb_db_end(r->db, WHY));
    assert_int_equal(ask(reader, "SELECT count(*) FROM msg"), 1);
    assert_int_equal(ask(reader, "SELECT count(*) FROM conv"), 2);
    OK(sb_db_begin(r->db, WHY));
    add_msg(r->db, 0, id, -1, SB_MSG_USER, "two");
    OK(sb_db_begin(r->db, WHY));
    add_msg(r->db, 0, id, -1, SB_MSG_USER, "three");
    sb_db_undo(r->db); // the inner alone
    OK(sb_db_end(r->db, WHY));
    assert_int_equal(ask(reader, "SELECT count(*) FROM msg"), 2);
    OK(sb_db_begin(r->db, WHY));
    add_msg(r->db, 0, id, -1, SB_MSG_USER, "four");
    sb_db_undo(r->db);
    assert_int_equal(ask(reader, "SELECT count(*) FROM msg"), 2);
    sb_db_close(reader);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, room_setup, room_teardown)
    const struct CMUnitTest tests[] = {CASE(settings_are_as_promised),
                                       CASE(an_empty_file_is_a_new_one),
                                       CASE(other_bytes_are_refused),
                                       CASE(others_and_newer_schemas_are_refused),
                                       CASE(a_corrupt_page_is_found_at_start),
                                       CASE(a_tree_that_is_none_is_found_at_start),
                                       CASE(a_file_that_may_not_be_written_is_read),
                                       CASE(a_lost_log_is_no_obstacle),
                                       CASE(a_second_server_is_told_whose_it_is),
                                       CASE(reading_makes_nothing),
                                       CASE(an_unclean_stop_is_seen),
                                       CASE(a_path_may_hold_anything),
                                       CASE(what_root_makes_belongs_to_the_home),
                                       CASE(threads_take_turns),
                                       CASE(a_group_is_one_and_its_parts_fail_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
