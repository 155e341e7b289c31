/* SPDX-License-Identifier: Apache-2.0
 * db_check.c - is the data base whole, what is in it, and what deleting left behind.
 *
 * SQLite's own check knows pages, indexes and types; the trees of messages have rules of their own,
 * which are asked here as queries that must find nothing. */
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "store/db_sql.h"

enum {
    TIDY_PAGES = 200,     /* of the search index in one step: a few ms */
    TIDY_AT_ONCE_MS = 250 /* in a call that deletes */
};

static sb_status damaged(sb_db *db, const char *what, sb_error *err)
{
    char shown[128], said[96];
    sb_path_escape(shown, sizeof shown, db->path.p);
    sb_path_escape(said, sizeof said, what);
    return SB_FAIL(err, SB_CORRUPT,
                   "'%s' is damaged (%s): put a good backup back with `sobre db restore FILE`",
                   shown, said);
}

sb_status sb_db_check_pages(sb_db *db, sb_error *err)
{
    bool row = false;
    char said[96] = "no answer";
    sqlite3_stmt *st = NULL;
    SB_TRY(sb_sql_bind(&st, db, "PRAGMA integrity_check(1)", NULL, 0, err));
    SB_TRY(sb_sql_step(db, st, &row, err));
    const sb_str text = sb_sql_text(st, 0);
    if (row && text.n < sizeof said) {
        memcpy(said, text.p, text.n);
        said[text.n] = 0;
    } else if (row) {
        memcpy(said, text.p, sizeof said - 1);
        said[sizeof said - 1] = 0;
    }
    (void)sqlite3_reset(st);
    if (strcmp(said, "ok") != 0) return damaged(db, said, err);
    SB_TRY(sb_sql_bind(&st, db, "PRAGMA foreign_key_check", NULL, 0, err));
    SB_TRY(sb_sql_step(db, st, &row, err));
    (void)sqlite3_reset(st);
    return row ? damaged(db, "a row belongs to nothing", err) : SB_OK;
}

sb_status sb_db_check_rows(sb_db *db, sb_error *err)
{
    static const struct {
        const char *what, *sql;
    } rules[] = {
        {"a message's parent is not in its conversation",
         "SELECT 1 FROM msg m LEFT JOIN msg p ON p.conv = m.conv AND p.id = m.parent WHERE"
         " CASE m.parent WHEN 0 THEN m.depth <> 0 ELSE p.depth IS NOT m.depth - 1 OR p.id >= m.id"
         " END LIMIT 1"},
        {"a conversation shows a message that is not in it",
         "SELECT 1 FROM conv c LEFT JOIN msg m ON m.conv = c.seq AND m.id = c.leaf"
         " WHERE c.leaf <> 0 AND m.seq IS NULL LIMIT 1"},
        {"a conversation's count of messages is wrong",
         "SELECT 1 FROM conv c WHERE n_messages <> (SELECT count(*) FROM msg m WHERE m.conv = "
         "c.seq)"
         " LIMIT 1"},
        {"a message that has ended waits for more",
         "SELECT 1 FROM piece p JOIN msg m ON m.seq = p.msg WHERE m.state <> 0 LIMIT 1"}};
    for (size_t i = 0; i < SB_ARRAY_LEN(rules); i++) {
        int64_t found = 0;
        const sb_status s = sb_sql_one(&found, db, rules[i].sql, NULL, 0, err);
        if (s == SB_OK) return damaged(db, rules[i].what, err);
        if (s != SB_NOT_FOUND) return s;
    }
    return SB_OK;
}

static sb_status gather(sb_db *db, int version, sb_db_facts *f, sb_error *err)
{
    *f = (sb_db_facts){.version = version, .searchable = db->searchable};
    SB_TRY(sb_sql_one(&f->bytes, db,
                      "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
                      NULL, 0, err));
    SB_TRY(sb_sql_one(&f->n_conversations, db, "SELECT count(*) FROM conv", NULL, 0, err));
    SB_TRY(sb_sql_one(&f->n_messages, db, "SELECT count(*) FROM msg", NULL, 0, err));
    if (version < sb_schema_version) return SB_OK;
    SB_TRY(sb_sql_one(&f->n_responses, db, "SELECT count(*) FROM response", NULL, 0, err));
    return sb_sql_one(&f->n_keys, db, "SELECT count(*) FROM key WHERE revoked_ms = 0", NULL, 0,
                      err);
}

static sb_status check(sb_db *db, sb_db_facts *f, sb_error *err)
{
    int version = 0;
    SB_TRY(sb_schema_look(db, &version, err));
    SB_TRY(sb_db_check_pages(db, err));
    if (version == 0) {
        *f = (sb_db_facts){0};
        return SB_OK;
    }
    if (version == sb_schema_version) SB_TRY(sb_db_check_rows(db, err));
    return gather(db, version, f, err);
}

sb_status sb_db_check(sb_db *db, sb_db_facts *out, sb_error *err)
{
    sb_db_facts f;
    SB_TRY(sb_turn_read(db, err));
    const sb_status s = sb_turn_done(db, check(db, &f, err));
    if (s == SB_OK) *out = f;
    return s;
}

/* One step of merging the index's segments: what was deleted goes with the old ones. */
static sb_status merge_index(sb_db *db, bool *out_more, sb_error *err)
{
    SB_TRY(sb_turn_write(db, err));
    const int before = sqlite3_total_changes(db->sq);
    sb_status s = SB_SQL_RUN(db, err, "INSERT INTO msg_text(msg_text, rank) VALUES('merge', ?)",
                             sb_int(-TIDY_PAGES));
    const bool more = sqlite3_total_changes(db->sq) - before >= 2;
    s = sb_turn_end(db, s, err);
    if (s == SB_OK) *out_more = more;
    return s;
}

/* The log still holds the pages as they were; beside a reader it is left for later. */
static sb_status cut_log(sb_db *db, sb_error *err)
{
    SB_TRY(sb_turn_read(db, err));
    sb_status s = sb_db_hold(db, err);
    if (s != SB_OK) return sb_turn_done(db, s);
    (void)sqlite3_busy_timeout(db->sq, 0);
    const int rc = sqlite3_wal_checkpoint_v2(db->sq, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(db->sq, SB_DB_BUSY_MS);
    if (rc == SQLITE_OK) {
        db->untidy = false;
        db->n_log = 0;
    } else if ((rc & 0xff) != SQLITE_BUSY) {
        db->depth++; // a flush that fails here is a write that failed
        s = sb_sql_fail(db, rc, err);
        db->depth--;
        db->broken = false;
    }
    sb_db_drop(db);
    return sb_turn_done(db, s);
}

sb_status sb_db_tidy(sb_db *db, bool *out_more, sb_error *err)
{
    bool more = false, due = false;
    SB_TRY(sb_turn_read(db, err));
    due = db->untidy && db->depth == 0 && sb_db_state_of(db) == SB_DB_GOOD;
    SB_TRY(sb_turn_done(db, SB_OK));
    if (due && db->searchable) SB_TRY(merge_index(db, &more, err));
    if (due && !more) SB_TRY(cut_log(db, err));
    *out_more = more;
    return SB_OK;
}

void sb_db_tidy_some(sb_db *db)
{
    const uint64_t end = sb_now_ns() + (uint64_t)TIDY_AT_ONCE_MS * 1000000;
    for (bool more = true; more && sb_now_ns() < end;)
        if (sb_db_tidy(db, &more, NULL) != SB_OK) return; // the rows are gone all the same
}
