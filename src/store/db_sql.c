/* SPDX-License-Identifier: Apache-2.0
 * db_sql.c - turns, transactions and statements over one SQLite connection.
 *
 * The connection is opened without SQLite's own mutex: the turn is one, and it also spans the steps
 * of a walk. Checkpoints are made here and not by SQLite's hook, which would swallow what the disk
 * says to them. Each transaction and each checkpoint runs under a lock of HOME/sobre.lock, one
 * system call, so that `sobre key` may write beside a server: SQLite before 3.51.3 can lose a log
 * when two connections write and checkpoint at the same instant. */
#include "store/db_sql.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "store/json_in.h"

enum { WRITE_WAIT_MS = 10000, LOG_PAGES = 1000 };

sb_sql_value sb_word(const char *s)
{
    return sb_text((sb_str){s, strlen(s)});
}

static void shown_path(const sb_db *db, char out[128])
{
    sb_path_escape(out, 128, db->path.p ? db->path.p : "sobre.db");
}

sb_status sb_sql_status(sqlite3 *sq, int rc, const char *shown, sb_error *err)
{
    const int os = sq ? sqlite3_system_errno(sq) : 0;
    const bool full = os == ENOSPC || os == EDQUOT || os == EFBIG;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return SB_FAIL(err, SB_LIMIT, "'%s': the disk is full: nothing was saved; make room",
                       shown);
    case SQLITE_NOMEM:
        return SB_FAIL(err, SB_NO_MEMORY, "'%s': no memory", shown);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return SB_FAIL(err, SB_CORRUPT,
                       "'%s' is damaged or no data base: put a backup back with `sobre db restore "
                       "FILE`, or move it away to begin a new one",
                       shown);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return SB_FAIL(err, SB_BUSY, "'%s' is in use by another program", shown);
    case SQLITE_READONLY:
        return SB_FAIL(err, SB_UNSUPPORTED, "'%s' may only be read", shown);
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_NOMEM) return SB_FAIL(err, SB_NO_MEMORY, "'%s': no memory", shown);
        if (full)
            return SB_FAIL(err, SB_LIMIT, "'%s': the disk is full: nothing was saved; make room",
                           shown);
        return SB_FAIL(err, SB_IO, "'%s': %s: %s", shown, sqlite3_errstr(rc), strerror(os));
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
        return SB_FAIL(err, SB_INVALID, "'%s': a value that it does not take: %.100s", shown,
                       sq ? sqlite3_errmsg(sq) : sqlite3_errstr(rc));
    default: // SQLite's list, not ours
        return SB_FAIL(err, SB_IO, "'%s': %.120s", shown,
                       sq ? sqlite3_errmsg(sq) : sqlite3_errstr(rc));
    }
}

/* What a result tells of the disk. Reading that fails proves nothing of writing. */
static sb_db_state state_after(const sb_db *db, int rc, sb_status s)
{
    const sb_db_state was = (sb_db_state)atomic_load(&db->state);
    if (was == SB_DB_READ_ONLY || was == SB_DB_FAILED) return was;
    if (s == SB_LIMIT) return SB_DB_FULL;
    const bool writing = db->depth > 0;
    if ((s == SB_IO && writing && (rc & 0xff) == SQLITE_IOERR) || (s == SB_CORRUPT && writing) ||
        rc == SQLITE_READONLY_DBMOVED)
        return SB_DB_FAILED;
    return was;
}

sb_status sb_sql_fail(sb_db *db, int rc, sb_error *err)
{
    char shown[128];
    sb_error why = {0};
    shown_path(db, shown);
    const sb_status s = sb_sql_status(db->sq, rc, shown, &why);
    atomic_store(&db->state, (int)state_after(db, rc, s));
    // SQLite gives a whole transaction up for these; what still runs in it must not pass for done.
    if (db->depth > 0 && !db->broken && (sqlite3_get_autocommit(db->sq) || s == SB_IO)) {
        db->broken = true;
        db->why = why;
    }
    if (err) *err = why;
    return s;
}

static int find_kept(const sb_db *db, const char *sql)
{
    for (int i = 0; i < db->n_kept; i++)
        if (db->kept[i].sql == sql) return i;
    return -1;
}

static sb_status prepare(sqlite3_stmt **out, sb_db *db, const char *sql, sb_error *err)
{
    const int i = find_kept(db, sql);
    if (i >= 0) {
        *out = db->kept[i].st;
        return SB_OK;
    }
    if (db->n_kept == SB_SQL_KEPT)
        return SB_FAIL(err, SB_LIMIT, "more than %d kinds of statements", SB_SQL_KEPT);
    sqlite3_stmt *st = NULL;
    const int rc = sqlite3_prepare_v3(db->sq, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    if (rc != SQLITE_OK) return sb_sql_fail(db, rc, err);
    db->kept[db->n_kept].sql = sql;
    db->kept[db->n_kept++].st = st;
    *out = st;
    return SB_OK;
}

static int bind_one(sqlite3_stmt *st, int i, const sb_sql_value *v)
{
    // SQLite takes a NULL pointer for NULL, which no column of ours is.
    const char *p = v->s.p ? v->s.p : "";
    switch (v->kind) {
    case SB_SQL_INT:
        return sqlite3_bind_int64(st, i, v->i);
    case SB_SQL_TEXT:
        return sqlite3_bind_text64(st, i, p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
    case SB_SQL_BLOB:
        return sqlite3_bind_blob64(st, i, p, v->s.n, SQLITE_STATIC);
    }
    sb_unreachable("every kind is bound");
}

sb_status sb_sql_bind(sqlite3_stmt **out, sb_db *db, const char *sql, const sb_sql_value *v,
                      size_t n, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    if (db->broken) return SB_FAIL(err, db->why.code, "%s", db->why.msg);
    SB_TRY(prepare(&st, db, sql, err));
    (void)sqlite3_reset(st);
    for (size_t i = 0; i < n; i++) {
        const int rc = bind_one(st, (int)i + 1, &v[i]);
        if (rc != SQLITE_OK) return sb_sql_fail(db, rc, err);
    }
    *out = st;
    return SB_OK;
}

sb_status sb_sql_step(sb_db *db, sqlite3_stmt *st, bool *out_row, sb_error *err)
{
    const int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        if (rc == SQLITE_DONE) (void)sqlite3_reset(st);
        *out_row = rc == SQLITE_ROW;
        return SB_OK;
    }
    const sb_status s = sb_sql_fail(db, rc, err);
    (void)sqlite3_reset(st);
    return s;
}

sb_status sb_sql_run(sb_db *db, sqlite3_stmt *st, sb_error *err)
{
    bool row = true;
    while (row)
        SB_TRY(sb_sql_step(db, st, &row, err));
    return SB_OK;
}

sb_status sb_sql_run_bound(sb_db *db, const char *sql, const sb_sql_value *v, size_t n,
                           sb_error *err)
{
    sqlite3_stmt *st = NULL;
    SB_TRY(sb_sql_bind(&st, db, sql, v, n, err));
    return sb_sql_run(db, st, err);
}

sb_status sb_sql_one(int64_t *out, sb_db *db, const char *sql, const sb_sql_value *v, size_t n,
                     sb_error *err)
{
    sqlite3_stmt *st = NULL;
    bool row = false;
    SB_TRY(sb_sql_bind(&st, db, sql, v, n, err));
    SB_TRY(sb_sql_step(db, st, &row, err));
    if (!row) return SB_NOT_FOUND;
    *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    return SB_OK;
}

sb_status sb_sql_exec(sb_db *db, const char *sql, sb_error *err)
{
    const int rc = sqlite3_exec(db->sq, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? SB_OK : sb_sql_fail(db, rc, err);
}

sb_str sb_sql_text(sqlite3_stmt *st, int i)
{
    const char *p = sqlite3_column_blob(st, i); // of text: its bytes, NUL among them or not
    return (sb_str){p, p ? (size_t)sqlite3_column_bytes(st, i) : 0};
}

static void reset_kept(sb_db *db)
{
    for (int i = 0; i < db->n_kept; i++)
        (void)sqlite3_reset(db->kept[i].st);
}

sb_status sb_turn_read(sb_db *db, sb_error *err)
{
    if (pthread_mutex_lock(&db->turn) != 0)
        return SB_FAIL(err, SB_IO, "the data base's lock failed");
    return SB_OK;
}

bool sb_turn_try(sb_db *db)
{
    return pthread_mutex_trylock(&db->turn) == 0;
}

sb_status sb_turn_done(sb_db *db, sb_status s)
{
    reset_kept(db);
    (void)pthread_mutex_unlock(&db->turn);
    return s;
}

static sb_status refuse_write(sb_db *db, sb_error *err)
{
    char shown[128];
    shown_path(db, shown);
    switch ((sb_db_state)atomic_load(&db->state)) {
    case SB_DB_READ_ONLY:
        return SB_FAIL(err, SB_UNSUPPORTED, "'%s' may only be read", shown);
    case SB_DB_FAILED:
        return SB_FAIL(err, SB_IO,
                       "'%s': the disk failed while it was written to: nothing more is saved "
                       "until the disk is looked after and the program started anew",
                       shown);
    case SB_DB_GOOD:
    case SB_DB_FULL:
        return SB_OK;
    }
    sb_unreachable("every state is named");
}

sb_status sb_db_hold(sb_db *db, sb_error *err)
{
    if (db->n_holds == 0)
        SB_TRY(sb_db_lock_take(db->lock_fd, SB_DB_LOCK_WRITE, WRITE_WAIT_MS, err));
    db->n_holds++;
    return SB_OK;
}

void sb_db_drop(sb_db *db)
{
    if (--db->n_holds == 0) sb_db_lock_give(db->lock_fd, SB_DB_LOCK_WRITE);
}

static sb_status run_text(sb_db *db, const char *sql, sb_error *err)
{
    return sb_sql_run_bound(db, sql, NULL, 0, err);
}

/* Outermost: the lock between processes and a transaction. */
static sb_status begin_all(sb_db *db, sb_error *err)
{
    SB_TRY(refuse_write(db, err));
    SB_TRY(sb_db_hold(db, err));
    db->broken = false;
    db->depth = 1;
    const sb_status s = run_text(db, "BEGIN IMMEDIATE", err);
    if (s == SB_OK) return SB_OK;
    db->depth = 0;
    db->broken = false;
    sb_db_drop(db);
    return s;
}

sb_status sb_turn_write(sb_db *db, sb_error *err)
{
    SB_TRY(sb_turn_read(db, err));
    sb_status s = SB_OK;
    if (db->depth == 0) {
        s = begin_all(db, err);
    } else if (db->broken) {
        s = SB_FAIL(err, db->why.code, "%s", db->why.msg);
    } else {
        s = run_text(db, "SAVEPOINT one", err);
        if (s == SB_OK) db->depth++;
    }
    return s == SB_OK ? SB_OK : sb_turn_done(db, s);
}

/* The log has grown: copies it into the file. What is in it is safe already, so only a disk that
 * fails matters; without room, or beside a reader, it is tried again after the next commit. */
static void checkpoint(sb_db *db)
{
    int n_log = 0, n_done = 0;
    const int rc =
        sqlite3_wal_checkpoint_v2(db->sq, NULL, SQLITE_CHECKPOINT_PASSIVE, &n_log, &n_done);
    const int os = sqlite3_system_errno(db->sq);
    const bool full = os == ENOSPC || os == EDQUOT || os == EFBIG || rc == SQLITE_IOERR_NOMEM;
    if (rc == SQLITE_OK && n_done == n_log) db->n_log = 0;
    if ((rc & 0xff) == SQLITE_CORRUPT || ((rc & 0xff) == SQLITE_IOERR && !full))
        atomic_store(&db->state, SB_DB_FAILED);
}

static sb_status commit_all(sb_db *db, sb_error *err)
{
    sb_status s =
        db->broken ? SB_FAIL(err, db->why.code, "%s", db->why.msg) : run_text(db, "COMMIT", err);
    if (s == SB_OK) {
        int full = SB_DB_FULL;
        (void)atomic_compare_exchange_strong(&db->state, &full, SB_DB_GOOD);
        if (db->n_log >= LOG_PAGES) checkpoint(db);
    }
    return s;
}

static void undo_all(sb_db *db)
{
    if (sqlite3_get_autocommit(db->sq)) return;
    if (sqlite3_exec(db->sq, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK &&
        !sqlite3_get_autocommit(db->sq))
        atomic_store(&db->state, SB_DB_FAILED); // it cannot even be taken back
}

sb_status sb_turn_end(sb_db *db, sb_status s, sb_error *err)
{
    reset_kept(db);
    if (db->depth > 1) {
        db->depth--;
        if (db->broken && s == SB_OK) s = SB_FAIL(err, db->why.code, "%s", db->why.msg);
        if (s == SB_OK)
            s = run_text(db, "RELEASE one", err);
        else if (!db->broken)
            (void)sqlite3_exec(db->sq, "ROLLBACK TO one; RELEASE one", NULL, NULL, NULL);
        return sb_turn_done(db, s);
    }
    if (s == SB_OK) s = commit_all(db, err);
    if (s != SB_OK) undo_all(db);
    db->depth = 0;
    db->broken = false;
    sb_db_drop(db);
    return sb_turn_done(db, s);
}

sb_status sb_db_begin(sb_db *db, sb_error *err)
{
    return sb_turn_write(db, err);
}

sb_status sb_db_end(sb_db *db, sb_error *err)
{
    return sb_turn_end(db, SB_OK, err);
}

void sb_db_undo(sb_db *db)
{
    const sb_status s = sb_turn_end(db, SB_CANCELLED, NULL);
    (void)s; // what was given
}

sb_status sb_check_text(sb_str s, size_t max, const char *what, sb_error *err)
{
    if (s.n > max) return SB_FAIL(err, SB_INVALID, "%s: over the limit of %zu bytes", what, max);
    const size_t good = s.n ? sb_utf8_valid(s.p, s.n) : 0;
    if (good < s.n) return SB_FAIL(err, SB_INVALID, "%s: byte %zu is not UTF-8", what, good);
    return SB_OK;
}

sb_status sb_check_json(sb_str s, size_t max, char first, const char *what, sb_error *err)
{
    json_t *j = NULL;
    if (s.n == 0) return SB_OK;
    SB_TRY(sb_check_text(s, max, what, err));
    const sb_status said = sb_json_in_nul(&j, s.p, s.n, what, err);
    if (said != SB_OK && said != SB_NO_MEMORY && err) err->code = SB_INVALID;
    if (said != SB_OK) return said == SB_NO_MEMORY ? said : SB_INVALID;
    const bool right = first == '{' ? json_is_object(j) : json_is_array(j);
    json_decref(j);
    if (!right)
        return SB_FAIL(err, SB_INVALID, "%s: not a JSON %s", what,
                       first == '{' ? "object" : "array");
    return SB_OK;
}
