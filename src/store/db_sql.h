/* SPDX-License-Identifier: Apache-2.0
 * db_sql.h - what the files behind db.h share: the open data base, turns, statements.
 *
 * Turns       Every exported call is one turn: sb_turn_read, work, sb_turn_done; or sb_turn_write,
 *             work, sb_turn_end.
 *             A write turn is a transaction, or inside sb_db_begin a savepoint.
 * Statements  Prepared once and kept, found again by the address of their text: so the text must be
 *             a literal. sb_turn_end() resets them all; rows are borrowed until the next step.
 * Errors      As in db.h. Each failure of SQLite goes through sb_sql_fail(), which alone decides
 *             what it says of the disk. */
#ifndef SB_STORE_DB_SQL_H
#define SB_STORE_DB_SQL_H
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "store/db.h"

enum { SB_SQL_KEPT = 96, SB_DB_BUSY_MS = 10000 };

struct sb_db {
    sqlite3 *sq;
    sb_db_mode mode;
    _Atomic int state; /* sb_db_state */
    sb_buf home, path, uri;
    int lock_fd; /* of HOME/sobre.lock, or -1 */
    bool have_turn, searchable, marked, close_gently;
    pthread_mutex_t turn; /* guards all below; recursive */
    int depth;            /* of write turns of its holder */
    bool broken;          /* the transaction is lost, why is in `why` */
    sb_error why;
    int n_holds;             /* of the lock between processes */
    int n_log;               /* pages in the write-ahead log after the last commit */
    bool untidy;             /* deleted text may be left in index or log */
    _Atomic uint64_t n_keys; /* changes of keys by this process */
    struct {
        const char *sql;
        sqlite3_stmt *st;
    } kept[SB_SQL_KEPT];
    int n_kept;
};

/* A value for a statement's ?. */
typedef struct sb_sql_value {
    enum { SB_SQL_INT, SB_SQL_TEXT, SB_SQL_BLOB } kind;
    int64_t i;
    sb_str s;
} sb_sql_value;
static inline sb_sql_value sb_int(int64_t i)
{
    return (sb_sql_value){.kind = SB_SQL_INT, .i = i};
}
static inline sb_sql_value sb_text(sb_str s)
{
    return (sb_sql_value){.kind = SB_SQL_TEXT, .s = s};
}
static inline sb_sql_value sb_blob(sb_str s)
{
    return (sb_sql_value){.kind = SB_SQL_BLOB, .s = s};
}
sb_sql_value sb_word(const char *s); /* a C string */

/* Binds the values in order; *out is borrowed from the data base. */
#define SB_SQL(out, db, err, sql, ...)                                                             \
    sb_sql_bind((out), (db), (sql), (const sb_sql_value[]){__VA_ARGS__},                           \
                sizeof((const sb_sql_value[]){__VA_ARGS__}) / sizeof(sb_sql_value), (err))
sb_status sb_sql_bind(sqlite3_stmt **out, sb_db *db, const char *sql, const sb_sql_value *v,
                      size_t n, sb_error *err) SB_MUST_USE;
/* Next row; *out_row false: no more, and the statement is reset. */
sb_status sb_sql_step(sb_db *db, sqlite3_stmt *st, bool *out_row, sb_error *err) SB_MUST_USE;
/* Runs a statement that gives no rows, or whose rows nobody wants. */
sb_status sb_sql_run(sb_db *db, sqlite3_stmt *st, sb_error *err) SB_MUST_USE;
#define SB_SQL_RUN(db, err, sql, ...)                                                              \
    sb_sql_run_bound((db), (sql), (const sb_sql_value[]){__VA_ARGS__},                             \
                     sizeof((const sb_sql_value[]){__VA_ARGS__}) / sizeof(sb_sql_value), (err))
sb_status sb_sql_run_bound(sb_db *db, const char *sql, const sb_sql_value *v, size_t n,
                           sb_error *err) SB_MUST_USE;
/* First column of the first row; SB_NOT_FOUND without a message when there is none. */
#define SB_SQL_ONE(out, db, err, sql, ...)                                                         \
    sb_sql_one((out), (db), (sql), (const sb_sql_value[]){__VA_ARGS__},                            \
               sizeof((const sb_sql_value[]){__VA_ARGS__}) / sizeof(sb_sql_value), (err))
sb_status sb_sql_one(int64_t *out, sb_db *db, const char *sql, const sb_sql_value *v, size_t n,
                     sb_error *err) SB_MUST_USE;
/* Statements that are not kept, several in one text. */
sb_status sb_sql_exec(sb_db *db, const char *sql, sb_error *err) SB_MUST_USE;
/* Column i of the row at hand; borrowed. */
sb_str sb_sql_text(sqlite3_stmt *st, int i);
/* What the last call's result means, with what the disk's state becomes. */
sb_status sb_sql_fail(sb_db *db, int rc, sb_error *err);
/* The same of a connection that is not the data base's own: nothing is concluded. */
sb_status sb_sql_status(sqlite3 *sq, int rc, const char *shown, sb_error *err);

sb_status sb_turn_read(sb_db *db, sb_error *err) SB_MUST_USE;
sb_status sb_turn_write(sb_db *db, sb_error *err) SB_MUST_USE;
/* A read turn if none has to be waited for. */
bool sb_turn_try(sb_db *db);
/* Ends a read turn; passes s on. */
sb_status sb_turn_done(sb_db *db, sb_status s);
/* Ends a write turn: keeps its work if s is SB_OK and it can be committed. */
sb_status sb_turn_end(sb_db *db, sb_status s, sb_error *err) SB_MUST_USE;
/* What a row function said, as the walk's result. */
static inline sb_status sb_row_status(sb_status s)
{
    return s == SB_CANCELLED ? SB_OK : s;
}

/* The lock between processes; counted, so that opening may hold it over its turns. */
sb_status sb_db_hold(sb_db *db, sb_error *err) SB_MUST_USE;
void sb_db_drop(sb_db *db);

/* db_lock.c: the lock file. _take waits for at most wait_ms, then SB_BUSY. */
typedef enum sb_db_lock { SB_DB_LOCK_HOUSE, SB_DB_LOCK_WRITE } sb_db_lock;
/* Gives a new file of root's to the home's owner, whose server must open it. */
void sb_db_own(int fd, const char *home);
sb_status sb_db_lock_open(int *out_fd, const char *home, sb_error *err) SB_MUST_USE;
sb_status sb_db_lock_take(int fd, sb_db_lock which, int wait_ms, sb_error *err) SB_MUST_USE;
void sb_db_lock_give(int fd, sb_db_lock which);
/* Writes this process into the file, for who finds it locked. */
void sb_db_lock_sign(int fd);

/* db_schema.c */
extern const int sb_schema_version;
/* Upgrades from what user_version says; each step is one transaction. */
sb_status sb_schema_upgrade(sb_db *db, sb_error *err) SB_MUST_USE;
/* Is this file ours, of a schema we know? *out_version 0: empty. Touches nothing. */
sb_status sb_schema_look(sb_db *db, int *out_version, sb_error *err) SB_MUST_USE;
/* SB_CORRUPT when the file's tables are not those that the upgrades to `version` make. */
sb_status sb_schema_same(sb_db *db, int version, sb_error *err) SB_MUST_USE;
/* Makes the search index where SQLite can, and renews one that missed something. */
sb_status sb_schema_index(sb_db *db, bool may_make, sb_error *err) SB_MUST_USE;
/* The index learns of messages after they came, and before they go or change: it is told their old
 * text, which must be what it was told then. `which` is a row number, or the owner. */
typedef enum sb_index_set {
    SB_INDEX_MSG,
    SB_INDEX_PIECES, /* all that have pieces */
    SB_INDEX_CONV,   /* only _drop, as SB_INDEX_OWNER */
    SB_INDEX_OWNER
} sb_index_set;
sb_status sb_index_add(sb_db *db, sb_index_set set, int64_t which, sb_error *err) SB_MUST_USE;
sb_status sb_index_drop(sb_db *db, sb_index_set set, int64_t which, sb_error *err) SB_MUST_USE;

/* db.c: a data base that is not open yet, in caller's memory; a connection with our settings, which
 * copies nothing from the log when it closes; "file:PATH" with what a URI may not hold as %XX. */
sb_status sb_db_init(sb_db *db, sb_db_mode mode, sb_error *err) SB_MUST_USE;
void sb_db_deinit(sb_db *db);
sb_status sb_db_connect(sb_db *db, bool writes, sb_error *err) SB_MUST_USE;
void sb_db_disconnect(sb_db *db);
sb_status sb_db_uri(sb_buf *out, const char *path, const char *tail, sb_error *err) SB_MUST_USE;

/* db_check.c: what holds for every page, then for the rows of the newest schema. */
sb_status sb_db_check_pages(sb_db *db, sb_error *err) SB_MUST_USE;
sb_status sb_db_check_rows(sb_db *db, sb_error *err) SB_MUST_USE;
/* The rest of deleting, while that is quick; what is left then is for whoever calls sb_db_tidy. */
void sb_db_tidy_some(sb_db *db);

/* Checks of what callers hand in; SB_INVALID names `what`. */
sb_status sb_check_text(sb_str s, size_t max, const char *what, sb_error *err) SB_MUST_USE;
/* "" or JSON that begins with `first` ('{' or '['). */
sb_status sb_check_json(sb_str s, size_t max, char first, const char *what,
                        sb_error *err) SB_MUST_USE;
#endif
