/* SPDX-License-Identifier: Apache-2.0
 * db_kill_test.c - SIGKILL while rows are written and while the schema is upgraded: what was
 * acknowledged is there, once, and the file is the old one or the new one (D2, D7).
 *
 * A kill leaves the page cache alone, so this shows that our order of writing is right; what a cut
 * of the power takes is the matter of synchronous=FULL, which db_open_test reads back. */
#include "db_room.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "store/responses.h"
#include "store/sums.h"

enum { ROUNDS = 100, MOST_MS = 40 };

/* What the writer says after a call returned SB_OK. */
typedef struct ack {
    int what; /* index of acks */
    int number;
} ack;
enum { MESSAGE, PIECE, RESPONSE, N_WHAT };

typedef struct writer {
    sb_db *db;
    int fd, round, what;
    const char *conv;
    int64_t stream;
} writer;

static void say(const writer *w, int number)
{
    const ack a = {w->what, number};
    if (write(w->fd, &a, sizeof a) != (ssize_t)sizeof a) _exit(9);
}

static sb_status write_one(const writer *w, int i)
{
    char text[32], id[32];
    snprintf(text, sizeof text, "%d ", i);
    if (w->what == MESSAGE) {
        const sb_msg m = {
            .parent = 1, .role = SB_MSG_USER, .state = SB_MSG_DONE, .content = str(text)};
        return sb_msg_add(w->db, 0, w->conv, &m, NULL, NULL);
    }
    if (w->what == PIECE)
        return sb_msg_more(w->db, 0, w->conv, w->stream, str(text), str(text), NULL);
    snprintf(id, sizeof id, "r%d-%d", w->round, i);
    const sb_response r = {.id = str(id), .object = str("{}"), .items = str("[]")};
    const sb_sum one = {.hour = 1, .n_answers = 1};
    SB_TRY(sb_db_begin(w->db, NULL));
    sb_status s = sb_response_add(w->db, 0, &r, NULL);
    if (s == SB_OK) s = sb_sum_add(w->db, 0, &one, NULL);
    const sb_status end = sb_db_end(w->db, NULL);
    return s == SB_OK ? end : s;
}

static void *write_on(void *ctx)
{
    const writer *w = ctx;
    for (int i = 0;; i++) {
        if (write_one(w, i) != SB_OK) _exit(8);
        say(w, i);
    }
    return NULL;
}

/* The process that will be killed: three threads over one data base. */
static void be_writer(const room *r, int fd, int round)
{
    char id[SB_DB_ID_BYTES], title[16];
    sb_db *db = NULL;
    int64_t root = 0, stream = 0;
    snprintf(title, sizeof title, "%d", round);
    const sb_msg user = {.parent = 0, .role = SB_MSG_USER, .state = SB_MSG_DONE};
    const sb_msg live = {.parent = 1, .role = SB_MSG_ASSISTANT};
    if (sb_db_open(&db, r->home, SB_DB_SERVE, NULL) != SB_OK) _exit(7);
    if (sb_conv_add(db, 0, str(title), str(""), id, NULL) != SB_OK) _exit(6);
    if (sb_msg_add(db, 0, id, &user, &root, NULL) != SB_OK || root != 1) _exit(5);
    if (sb_msg_add(db, 0, id, &live, &stream, NULL) != SB_OK) _exit(4);
    if (write(fd, "go", 2) != 2) _exit(3);
    writer w[N_WHAT];
    pthread_t t;
    for (int i = 0; i < N_WHAT; i++) {
        w[i] = (writer){db, fd, round, i, id, stream};
        if (pthread_create(&t, NULL, write_on, &w[i]) != 0) _exit(2);
    }
    (void)pause();
}

static void nap_us(long us)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* Starts a writer, kills it some time after it began; last[what]: the greatest acknowledged. */
static void kill_one(const room *r, int round, long us, int last[N_WHAT])
{
    int fd[2], status = 0;
    char go[2];
    ack a;
    assert_int_equal(pipe(fd), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fd[0]);
        be_writer(r, fd[1], round);
        _exit(1);
    }
    close(fd[1]);
    if (read(fd[0], go, 2) != 2) { // it could not even begin
        waitpid(child, &status, 0);
        fail_msg("round %d: writer ended with %d", round, WEXITSTATUS(status));
    }
    nap_us(us);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(fd[0], &a, sizeof a) == (ssize_t)sizeof a)
        last[a.what] = a.number;
    close(fd[0]);
}

typedef struct text {
    char p[1 << 16];
    size_t n;
    char id[SB_DB_ID_BYTES];
} text;

static sb_status keep_text(void *ctx, const sb_msg *m, sb_error *err)
{
    text *t = ctx;
    (void)err;
    assert_true(m->content.n < sizeof t->p);
    assert_int_equal(m->state, SB_MSG_STOPPED);
    assert_true(m->content.n == m->reasoning.n);
    if (m->content.n) memcpy(t->p, m->content.p, m->content.n);
    t->n = m->content.n;
    return SB_OK;
}

static sb_status keep_id(void *ctx, const sb_conv *c, sb_error *err)
{
    text *t = ctx;
    (void)err;
    memcpy(t->id, c->id, sizeof t->id);
    return SB_OK;
}

/* "0 1 2 ... n " with nothing lost, doubled or out of order; n >= last. */
static void check_pieces(room *r, int last)
{
    static text t;
    char number[32];
    size_t at = 0;
    int i = 0;
    OK(sb_conv_list(r->db, 0, 0, 1, keep_id, &t, WHY));
    OK(sb_msg_get(r->db, 0, t.id, 2, keep_text, &t, WHY));
    for (; at < t.n; i++) {
        const int n = snprintf(number, sizeof number, "%d ", i);
        assert_true(at + (size_t)n <= t.n && memcmp(t.p + at, number, (size_t)n) == 0);
        at += (size_t)n;
    }
    assert_true(i >= last + 1 && i <= last + 2); // one may have been saved and not said
}

static void no_acknowledged_row_is_lost(void **state)
{
    room *r = *state;
    uint64_t seed = 88172645463325252u;
    int64_t n_acks = 0;
    sb_db_facts facts;
    for (int round = 0; round < ROUNDS; round++) {
        int last[N_WHAT] = {-1, -1, -1};
        char sql[128];
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        kill_one(r, round, (long)(seed % (MOST_MS * 1000)), last);
        OK(sb_db_open(&r->db, r->home, SB_DB_SERVE, WHY)); // reads every page: integrity
        OK(sb_db_check(r->db, &facts, WHY));
        check_pieces(r, last[PIECE]);
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM msg WHERE parent = 1 AND role = 1 AND conv = "
                 "(SELECT max(seq) FROM conv)");
        const int64_t n_msg = ask(r->db, sql);
        assert_true(n_msg >= last[MESSAGE] + 1 && n_msg <= last[MESSAGE] + 2);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM response WHERE id LIKE 'r%d-%%'", round);
        const int64_t n_resp = ask(r->db, sql);
        assert_true(n_resp >= last[RESPONSE] + 1 && n_resp <= last[RESPONSE] + 2);
        assert_int_equal(ask(r->db, "SELECT count(*) FROM response"),
                         ask(r->db, "SELECT coalesce(sum(n_answers), 0) FROM sum"));
        n_acks += last[MESSAGE] + last[PIECE] + last[RESPONSE] + 3;
        sb_db_close(r->db);
        r->db = NULL;
    }
    print_message("%d kills, %lld rows acknowledged, none lost or doubled\n", ROUNDS,
                  (long long)n_acks);
    assert_true(n_acks > ROUNDS);
}

/* Kills this process when it begins its n-th statement. */
static int n_until_kill;

static int trace(unsigned kind, void *ctx, void *p, void *x)
{
    (void)kind, (void)ctx, (void)p, (void)x;
    if (n_until_kill > 0 && --n_until_kill == 0) kill(getpid(), SIGKILL);
    return 0;
}

static int watch(sqlite3 *sq, char **why, const struct sqlite3_api_routines *api)
{
    (void)why, (void)api;
    return sqlite3_trace_v2(sq, SQLITE_TRACE_STMT, trace, NULL);
}

/* The table of sums before step 5. */
#define OLD_SUM                                                                                    \
    "DROP TABLE sum; CREATE TABLE sum("                                                            \
    " owner INTEGER NOT NULL, hour INTEGER NOT NULL, n_answers INTEGER NOT NULL,"                  \
    " n_in INTEGER NOT NULL, n_cached INTEGER NOT NULL, n_out INTEGER NOT NULL,"                   \
    " energy_uj INTEGER NOT NULL, PRIMARY KEY(owner, hour)) STRICT, WITHOUT ROWID;"                \
    "CREATE INDEX sum_by_hour ON sum(hour);"                                                       \
    "INSERT INTO sum VALUES(0, 10, 1, 2, 0, 3, 400);"

/* Puts a data base of an old schema into the home. */
static void make_old(room *r, int version, int n_messages)
{
    static const char *const undo[] = {
        "",
        "DROP TABLE response; DROP TABLE sum; DROP TABLE key; PRAGMA user_version = 1;",
        OLD_SUM "DROP TABLE key; PRAGMA user_version = 2;",
        OLD_SUM "ALTER TABLE key DROP COLUMN day_cost_nano; "
                "ALTER TABLE key DROP COLUMN day_co2e_ug; ALTER TABLE key DROP COLUMN day_uj; "
                "PRAGMA user_version = 3;",
        OLD_SUM "PRAGMA user_version = 4;",
        "ALTER TABLE sum DROP COLUMN wall_uj; ALTER TABLE sum DROP COLUMN n_wall; "
        "INSERT INTO sum VALUES(0, 10, '', 0, 1, 2, 0, 3, 400); PRAGMA user_version = 5;"};
    char command[160], id[SB_DB_ID_BYTES];
    snprintf(command, sizeof command, "rm -rf %s", r->home);
    assert_int_equal(system(command), 0);
    if (version == 0) return;
    room_open(r);
    OK(sb_conv_add(r->db, 0, str("t"), str(""), id, WHY));
    for (int i = 0; i < n_messages; i++)
        add_msg(r->db, 0, id, -1, SB_MSG_USER, "kept");
    OK(sb_db_begin(r->db, WHY));
    OK(sb_sql_exec(r->db, undo[version], WHY));
    OK(sb_db_end(r->db, WHY));
    sb_db_close(r->db);
    r->db = NULL;
}

/* Opens it in a process killed at statement n; false when that came to the end by itself. */
static bool killed_at(const room *r, int n)
{
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sb_db *db = NULL;
        n_until_kill = n;
        sqlite3_auto_extension((void (*)(void))watch);
        const sb_status s = sb_db_open(&db, r->home, SB_DB_SERVE, NULL);
        _exit(s == SB_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void an_upgrade_that_is_killed_is_old_or_new(void **state)
{
    room *r = *state;
    int n_kills = 0;
    for (int version = 0; version < sb_schema_version; version++) {
        bool seen[8] = {false};
        for (int n = 1;; n++) {
            make_old(r, version, 3);
            const bool killed = killed_at(r, n);
            sqlite3 *sq = NULL;
            sqlite3_stmt *st = NULL;
            sb_db look;
            assert_int_equal(sqlite3_open_v2(r->file, &sq, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
            OK(sb_db_init(&look, SB_DB_READ, WHY));
            look.sq = sq;
            OK(sb_buf_addf(&look.path, WHY, "%s", r->file));
            assert_int_equal(sqlite3_prepare_v2(sq, "PRAGMA user_version", -1, &st, NULL), 0);
            assert_int_equal(sqlite3_step(st), SQLITE_ROW);
            const int now = sqlite3_column_int(st, 0);
            sqlite3_finalize(st);
            assert_true(now >= version && now <= sb_schema_version);
            OK(sb_schema_same(&look, now, WHY)); // all of one schema, nothing of the next
            seen[now] = true;
            sb_db_deinit(&look);
            room_open(r);
            assert_int_equal(ask(r->db, "SELECT count(*) FROM msg WHERE content = 'kept'"),
                             version ? 3 : 0);
            assert_int_equal(ask(r->db, "SELECT coalesce(sum(energy_uj), 0) FROM sum"),
                             version >= 2 ? 400 : 0);
            OK(sb_schema_same(r->db, sb_schema_version, WHY));
            sb_db_close(r->db);
            r->db = NULL;
            if (!killed) break;
            n_kills++;
        }
        for (int v = version; v <= sb_schema_version; v++)
            assert_true(seen[v]); // each was met: the kills did hit in between
    }
    print_message("%d kills\n", n_kills);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, room_setup, room_teardown)
    const struct CMUnitTest tests[] = {CASE(no_acknowledged_row_is_lost),
                                       CASE(an_upgrade_that_is_killed_is_old_or_new)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
