/* SPDX-License-Identifier: Apache-2.0
 * db_room.h - a home of its own for each test of the data base, and short ways to ask it. */
#ifndef DB_ROOM_H
#define DB_ROOM_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/conv.h"
#include "store/db_sql.h"

typedef struct room {
    char dir[32], home[96], file[112], log[120];
    sb_db *db;
} room;

static inline int room_setup(void **state)
{
    room *r = calloc(1, sizeof *r);
    if (!r) return 1;
    // In memory where that can be: a hundred starts would wait for a disk for a minute.
    snprintf(r->dir, sizeof r->dir, "%s/sobre-db-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(r->dir)) return 1;
    snprintf(r->home, sizeof r->home, "%s/home", r->dir);
    snprintf(r->file, sizeof r->file, "%s/sobre.db", r->home);
    snprintf(r->log, sizeof r->log, "%s-wal", r->file);
    *state = r;
    return 0;
}

/* Does the search index say what the messages say, no more and no less? */
static inline void check_index(const room *r)
{
    static const char sql[] = "INSERT INTO msg_text(msg_text, rank) VALUES('integrity-check', 1)";
    if (!r->db || !r->db->searchable || sb_db_state_of(r->db) != SB_DB_GOOD) return;
    assert_int_equal(sqlite3_exec(r->db->sq, sql, NULL, NULL, NULL), SQLITE_OK);
}

static inline int room_teardown(void **state)
{
    room *r = *state;
    char command[96];
    check_index(r);
    sb_db_close(r->db);
    snprintf(command, sizeof command, "rm -rf %s", r->dir);
    const int rc = system(command);
    free(r);
    return rc;
}

/* What a failed assertion should show: calls end with WHY where they take an error. */
static inline sb_error *room_why(void)
{
    static _Thread_local sb_error why;
    return &why;
}
#define WHY room_why()
#define OK(expr)                                                                                   \
    do {                                                                                           \
        if ((expr) != SB_OK) fail_msg("%s: %s", #expr, WHY->msg);                                  \
    } while (0)

static inline void room_open(room *r)
{
    OK(sb_db_open(&r->db, r->home, SB_DB_SERVE, WHY));
}

static inline void room_reopen(room *r)
{
    sb_db_close(r->db);
    r->db = NULL;
    room_open(r);
}

static inline sb_str str(const char *s)
{
    return (sb_str){s, strlen(s)};
}

static inline bool same(sb_str a, const char *b)
{
    return a.n == strlen(b) && (a.n == 0 || memcmp(a.p, b, a.n) == 0);
}

/* One number out of the data base. */
static inline int64_t ask(sb_db *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_prepare_v2(db->sq, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    const int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static inline int64_t add_msg(sb_db *db, sb_owner owner, const char *conv, int64_t parent,
                              sb_msg_role role, const char *text)
{
    int64_t id = 0;
    const sb_msg m = {.parent = parent, .role = role, .state = SB_MSG_DONE, .content = str(text)};
    OK(sb_msg_add(db, owner, conv, &m, &id, WHY));
    return id;
}
#endif
