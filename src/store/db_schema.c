/* SPDX-License-Identifier: Apache-2.0
 * db_schema.c - the tables, as the steps that made them.
 *
 * Step i takes schema i to i + 1 in one transaction, with the number; so a kill at any statement
 * leaves the old schema or the new one. A step that was released never changes: a new one is added
 * behind it. The search index is no step, for SQLite may lack FTS5: it is made, and made anew, from
 * the messages. Whoever changes a message tells it (sb_index_*): triggers were refused, for SQLite
 * runs none that touch it while the file's schema is not trusted.
 *
 * conv   one conversation; touched orders an owner's by change, without the clock
 * msg    one message; id counts within its conversation, so that it tells nothing of others; parent
 *        is such an id, 0 = a beginning; depth = messages before it. No foreign key on parent:
 *        deleting a long path would recurse through it
 * piece  text that a streaming message has gained; goes into msg when it ends
 * response, sum, key  of responses.h, sums.h, keyring.h
 * mark   what must survive a kill: 'running' while a server has the file open, 'index' the search
 *        index's state */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "store/db_sql.h"

enum { APPLICATION_ID = 0x736f6272 }; /* "sobr"; stands in step 1, too */

static const char *const steps[] = {
    "PRAGMA application_id = 1936679538;"
    "CREATE TABLE mark(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE conv("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL,"
    " touched INTEGER NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
    " title TEXT NOT NULL, settings TEXT NOT NULL, leaf INTEGER NOT NULL DEFAULT 0,"
    " n_messages INTEGER NOT NULL DEFAULT 0, energy_uj INTEGER NOT NULL DEFAULT 0,"
    " n_in INTEGER NOT NULL DEFAULT 0, n_out INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE UNIQUE INDEX conv_by_owner ON conv(owner, touched);"
    "CREATE TABLE msg("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " conv INTEGER NOT NULL REFERENCES conv(seq) ON DELETE CASCADE, id INTEGER NOT NULL,"
    " parent INTEGER NOT NULL,"
    " depth INTEGER NOT NULL, role INTEGER NOT NULL CHECK(role BETWEEN 0 AND 3),"
    " state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 3), created_ms INTEGER NOT NULL,"
    " energy_uj INTEGER NOT NULL, n_in INTEGER NOT NULL, n_out INTEGER NOT NULL,"
    " content TEXT NOT NULL, reasoning TEXT NOT NULL, calls TEXT NOT NULL, files TEXT NOT NULL,"
    " model TEXT NOT NULL, finish TEXT NOT NULL, usage TEXT NOT NULL, ids BLOB NOT NULL,"
    " UNIQUE(conv, id)) STRICT;"
    "CREATE INDEX msg_by_parent ON msg(conv, parent, id);"
    "CREATE INDEX msg_streaming ON msg(state) WHERE state = 0;"
    "CREATE TABLE piece("
    " seq INTEGER PRIMARY KEY, msg INTEGER NOT NULL REFERENCES msg(seq) ON DELETE CASCADE,"
    " content TEXT NOT NULL, reasoning TEXT NOT NULL) STRICT;"
    "CREATE INDEX piece_of_msg ON piece(msg, seq);",

    "CREATE TABLE response("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL,"
    " previous TEXT NOT NULL, created_ms INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " object TEXT NOT NULL, items TEXT NOT NULL, state TEXT NOT NULL) STRICT;"
    "CREATE TABLE sum("
    " owner INTEGER NOT NULL, hour INTEGER NOT NULL, n_answers INTEGER NOT NULL,"
    " n_in INTEGER NOT NULL, n_cached INTEGER NOT NULL, n_out INTEGER NOT NULL,"
    " energy_uj INTEGER NOT NULL, PRIMARY KEY(owner, hour)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX sum_by_hour ON sum(hour);",

    "CREATE TABLE key("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,"
    " sha256 TEXT NOT NULL UNIQUE CHECK(length(sha256) = 64), admin INTEGER NOT NULL,"
    " rpm INTEGER NOT NULL, tpm INTEGER NOT NULL, concurrent INTEGER NOT NULL,"
    " priority INTEGER NOT NULL, created_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL,"
    " used_ms INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX key_by_name ON key(name) WHERE revoked_ms = 0;",

    "ALTER TABLE key ADD COLUMN day_uj INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE key ADD COLUMN day_co2e_ug INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE key ADD COLUMN day_cost_nano INTEGER NOT NULL DEFAULT 0;",

    "CREATE TABLE sum_new("
    " owner INTEGER NOT NULL, hour INTEGER NOT NULL, model TEXT NOT NULL,"
    " source INTEGER NOT NULL CHECK(source BETWEEN 0 AND 2), n_answers INTEGER NOT NULL,"
    " n_in INTEGER NOT NULL, n_cached INTEGER NOT NULL, n_out INTEGER NOT NULL,"
    " energy_uj INTEGER NOT NULL, PRIMARY KEY(owner, hour, model, source)) STRICT, WITHOUT ROWID;"
    "INSERT INTO sum_new SELECT owner, hour, '', 0, n_answers, n_in, n_cached, n_out, energy_uj"
    " FROM sum;"
    "DROP TABLE sum;"
    "ALTER TABLE sum_new RENAME TO sum;"
    "CREATE INDEX sum_by_hour ON sum(hour);",

    "ALTER TABLE sum ADD COLUMN n_wall INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE sum ADD COLUMN wall_uj INTEGER NOT NULL DEFAULT 0;"};

const int sb_schema_version = (int)SB_ARRAY_LEN(steps);

sb_status sb_schema_look(sb_db *db, int *out_version, sb_error *err)
{
    int64_t app = 0, version = 0, n_tables = 0;
    char shown[128];
    SB_TRY(sb_sql_one(&n_tables, db, "SELECT count(*) FROM sqlite_master", NULL, 0, err));
    SB_TRY(sb_sql_one(&app, db, "PRAGMA application_id", NULL, 0, err));
    SB_TRY(sb_sql_one(&version, db, "PRAGMA user_version", NULL, 0, err));
    sb_path_escape(shown, sizeof shown, db->path.p);
    if (n_tables > 0 && app != APPLICATION_ID)
        return SB_FAIL(err, SB_CORRUPT, "'%s' is a data base of another program: move it away",
                       shown);
    if (version > sb_schema_version)
        return SB_FAIL(err, SB_UNSUPPORTED,
                       "'%s' has schema %lld, and this program knows up to %d: use the newer "
                       "program that wrote it",
                       shown, (long long)version, sb_schema_version);
    if (version < 0 || (version == 0) != (n_tables == 0))
        return SB_FAIL(err, SB_CORRUPT, "'%s' has schema %lld, which does not exist", shown,
                       (long long)version);
    *out_version = (int)version;
    return SB_OK;
}

sb_status sb_schema_upgrade(sb_db *db, sb_error *err)
{
    int version = 0;
    SB_TRY(sb_schema_look(db, &version, err));
    for (int i = version; i < sb_schema_version; i++) {
        char number[48];
        (void)snprintf(number, sizeof number, "PRAGMA user_version = %d", i + 1);
        SB_TRY(sb_turn_write(db, err));
        sb_status s = sb_sql_exec(db, steps[i], err);
        if (s == SB_OK) s = sb_sql_exec(db, number, err);
        SB_TRY(sb_turn_end(db, s, err));
    }
    return SB_OK;
}

/* The text of all tables, indexes, triggers and views but SQLite's own and the search index. */
static sb_status describe(sqlite3 *sq, sb_buf *out, sb_error *err)
{
    static const char sql[] = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') "
                              "FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
                              "AND (type <> 'table' OR name NOT IN ('msg_text', 'msg_text_data', "
                              "'msg_text_idx', 'msg_text_docsize', 'msg_text_config')) ORDER BY 1";
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(sq, sql, -1, &st, NULL);
    sb_status s = SB_OK;
    while (rc == SQLITE_OK && s == SB_OK && sqlite3_step(st) == SQLITE_ROW) {
        const sb_str row = sb_sql_text(st, 0);
        s = sb_buf_add(out, row.p, row.n, err);
        if (s == SB_OK) s = sb_buf_add(out, "\n", 1, err);
    }
    const int end = sqlite3_finalize(st);
    if (rc == SQLITE_OK) rc = end;
    return s == SB_OK && rc != SQLITE_OK ? sb_sql_status(sq, rc, "schema", err) : s;
}

/* What describe() gives for a new data base. */
static sb_status describe_new(int version, sb_buf *out, sb_error *err)
{
    sqlite3 *sq = NULL;
    int rc = sqlite3_open_v2(":memory:", &sq, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);
    for (size_t i = 0; i < SB_ARRAY_LEN(steps) && (int)i < version && rc == SQLITE_OK; i++)
        rc = sqlite3_exec(sq, steps[i], NULL, NULL, NULL);
    const sb_status s =
        rc == SQLITE_OK ? describe(sq, out, err) : sb_sql_status(sq, rc, "schema", err);
    (void)sqlite3_close(sq);
    return s;
}

sb_status sb_schema_same(sb_db *db, int version, sb_error *err)
{
    char shown[128];
    sb_buf is, should;
    sb_buf_init(&is, 1 << 20, "schema");
    sb_buf_init(&should, 1 << 20, "schema");
    sb_status s = describe(db->sq, &is, err);
    if (s == SB_OK) s = describe_new(version, &should, err);
    if (s == SB_OK && (is.n != should.n || (is.n && memcmp(is.p, should.p, is.n) != 0))) {
        sb_path_escape(shown, sizeof shown, db->path.p);
        s = SB_FAIL(err, SB_CORRUPT, "'%s': its tables are not those of this program", shown);
    }
    sb_buf_deinit(&is);
    sb_buf_deinit(&should);
    return s;
}

static const char make_index[] =
    "CREATE VIRTUAL TABLE msg_text USING fts5(content, content='msg', content_rowid='seq',"
    " tokenize='unicode61 remove_diacritics 2');"
    "INSERT INTO msg_text(msg_text, rank) VALUES('usermerge', 2);";
static const char renew_index[] = "INSERT INTO msg_text(msg_text) VALUES('rebuild');"
                                  "DELETE FROM mark WHERE name = 'index';";
static sb_status count_of(sb_db *db, const char *sql, bool *out, sb_error *err)
{
    int64_t n = 0;
    SB_TRY(sb_sql_one(&n, db, sql, NULL, 0, err));
    *out = n > 0;
    return SB_OK;
}

static sb_status update_index(sb_db *db, bool known, bool made, bool missed, sb_error *err)
{
    if (!known) // messages come and go now that the index will not hear of
        return sb_sql_exec(db, "INSERT OR IGNORE INTO mark VALUES('index', 'missed')", err);
    if (!made) SB_TRY(sb_sql_exec(db, make_index, err));
    return !made || missed ? sb_sql_exec(db, renew_index, err) : SB_OK;
}

sb_status sb_schema_index(sb_db *db, bool may_make, sb_error *err)
{
    bool known = false, made = false, missed = false;
    SB_TRY(
        count_of(db, "SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'", &known, err));
    SB_TRY(count_of(db, "SELECT count(*) FROM sqlite_master WHERE name = 'msg_text'", &made, err));
    SB_TRY(count_of(db, "SELECT count(*) FROM mark WHERE name = 'index'", &missed, err));
    const bool stale = known ? !made || missed : made && !missed;
    if (stale && may_make) {
        SB_TRY(sb_turn_write(db, err));
        const sb_status s = update_index(db, known, made, missed, err);
        SB_TRY(sb_turn_end(db, s, err));
    }
    db->searchable = known && (!stale || may_make);
    return SB_OK;
}

sb_status sb_index_add(sb_db *db, sb_index_set set, int64_t which, sb_error *err)
{
    if (!db->searchable) return SB_OK;
    switch (set) {
    case SB_INDEX_MSG:
        return SB_SQL_RUN(db, err,
                          "INSERT INTO msg_text(rowid, content) SELECT seq, content FROM msg"
                          " WHERE seq = ?",
                          sb_int(which));
    case SB_INDEX_PIECES:
        return sb_sql_run_bound(db,
                                "INSERT INTO msg_text(rowid, content) SELECT seq, content FROM msg"
                                " WHERE seq IN (SELECT msg FROM piece)",
                                NULL, 0, err);
    case SB_INDEX_CONV:
    case SB_INDEX_OWNER:
        break; // they come message by message
    }
    sb_unreachable("conversations are only taken out whole");
}

#define TAKE_OUT                                                                                   \
    "INSERT INTO msg_text(msg_text, rowid, content) SELECT 'delete', seq, content FROM msg WHERE "

sb_status sb_index_drop(sb_db *db, sb_index_set set, int64_t which, sb_error *err)
{
    if (!db->searchable) return SB_OK;
    switch (set) {
    case SB_INDEX_MSG:
        return SB_SQL_RUN(db, err, TAKE_OUT "seq = ?", sb_int(which));
    case SB_INDEX_PIECES:
        return sb_sql_run_bound(db, TAKE_OUT "seq IN (SELECT msg FROM piece)", NULL, 0, err);
    case SB_INDEX_CONV:
        return SB_SQL_RUN(db, err, TAKE_OUT "conv = ?", sb_int(which));
    case SB_INDEX_OWNER:
        return SB_SQL_RUN(db, err, TAKE_OUT "conv IN (SELECT seq FROM conv WHERE owner = ?)",
                          sb_int(which));
    }
    sb_unreachable("every set is named");
}
