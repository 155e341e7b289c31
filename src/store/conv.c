/* SPDX-License-Identifier: Apache-2.0
 * conv.c - the list of conversations of an owner.
 *
 * Every question names the owner in its WHERE, and first turns the id that clients know into the
 * row's number; so there is no path on which a row of somebody else could be read. The order of the
 * list is a counter, for a clock may jump. */
#include "store/conv.h"

#include <string.h>

#include "base/limits.h"
#include "store/conv_rows.h"

enum { ID_MOST_BYTES = 64 };

#define CONV_COLUMNS                                                                               \
    "id, touched, created_ms, updated_ms, title, settings, leaf,"                                  \
    " coalesce((SELECT depth + 1 FROM msg WHERE msg.conv = conv.seq AND msg.id = leaf), 0),"       \
    " n_messages, energy_uj, n_in, n_out FROM conv"

static sb_status tell(sqlite3_stmt *st, sb_conv_row row, void *ctx, sb_error *err)
{
    char id[ID_MOST_BYTES + 1] = "";
    const sb_str text = sb_sql_text(st, 0);
    if (text.n < sizeof id && text.n) memcpy(id, text.p, text.n);
    const sb_conv c = {.id = id,
                       .order = sqlite3_column_int64(st, 1),
                       .created_ms = sqlite3_column_int64(st, 2),
                       .updated_ms = sqlite3_column_int64(st, 3),
                       .title = sb_sql_text(st, 4),
                       .settings = sb_sql_text(st, 5),
                       .leaf = sqlite3_column_int64(st, 6),
                       .n_path = sqlite3_column_int64(st, 7),
                       .n_messages = sqlite3_column_int64(st, 8),
                       .energy_uj = sqlite3_column_int64(st, 9),
                       .n_in = sqlite3_column_int64(st, 10),
                       .n_out = sqlite3_column_int64(st, 11)};
    return row(ctx, &c, err);
}

sb_status sb_conv_find(sb_db *db, sb_owner owner, const char *id, int64_t *out_seq, sb_error *err)
{
    const sb_status s =
        SB_SQL_ONE(out_seq, db, err, "SELECT seq FROM conv WHERE id = ? AND owner = ?", sb_word(id),
                   sb_int(owner));
    return s == SB_NOT_FOUND ? SB_FAIL(err, SB_NOT_FOUND, "no such conversation") : s;
}

sb_status sb_conv_touch(sb_db *db, int64_t seq, sb_error *err)
{
    return SB_SQL_RUN(db, err,
                      "UPDATE conv SET updated_ms = ?, touched = 1 +"
                      " (SELECT max(touched) FROM conv c WHERE c.owner = conv.owner) WHERE seq = ?",
                      sb_int(sb_db_now_ms()), sb_int(seq));
}

static sb_status check_settings(sb_str title, sb_str settings, sb_error *err)
{
    SB_TRY(sb_check_text(title, SB_MAX_TITLE_BYTES, "title", err));
    return sb_check_json(settings, SB_MAX_SETTINGS_BYTES, '{', "settings", err);
}

static sb_status add(sb_db *db, sb_owner owner, sb_str title, sb_str settings, const char *id,
                     sb_error *err)
{
    int64_t n = 0;
    const sb_str none = {"{}", 2};
    const sb_sql_value now = sb_int(sb_db_now_ms());
    SB_TRY(SB_SQL_ONE(&n, db, err, "SELECT count(*) FROM conv WHERE owner = ?", sb_int(owner)));
    if (n >= SB_MAX_CONVERSATIONS)
        return SB_FAIL(err, SB_INVALID, "more than %d conversations: delete some first",
                       SB_MAX_CONVERSATIONS);
    return SB_SQL_RUN(
        db, err,
        "INSERT INTO conv(id, owner, touched, created_ms, updated_ms, title, settings)"
        " VALUES(?1, ?2, 1 + coalesce((SELECT max(touched) FROM conv WHERE owner = ?2),"
        " 0), ?3, ?4, ?5, ?6)",
        sb_word(id), sb_int(owner), now, now, sb_text(title),
        sb_text(settings.n ? settings : none));
}

sb_status sb_conv_add(sb_db *db, sb_owner owner, sb_str title, sb_str settings,
                      char out_id[SB_DB_ID_BYTES], sb_error *err)
{
    char id[SB_DB_ID_BYTES];
    SB_TRY(check_settings(title, settings, err));
    SB_TRY(sb_db_new_id(id, err));
    SB_TRY(sb_turn_write(db, err));
    SB_TRY(sb_turn_end(db, add(db, owner, title, settings, id, err), err));
    memcpy(out_id, id, sizeof id);
    return SB_OK;
}

sb_status sb_conv_tell(sb_db *db, int64_t seq, sb_conv_row row, void *ctx, sb_error *err)
{
    bool there = false;
    sqlite3_stmt *st = NULL;
    SB_TRY(SB_SQL(&st, db, err, "SELECT " CONV_COLUMNS " WHERE seq = ?", sb_int(seq)));
    SB_TRY(sb_sql_step(db, st, &there, err));
    if (!there) return SB_FAIL(err, SB_NOT_FOUND, "no such conversation");
    const sb_status s = sb_row_status(tell(st, row, ctx, err));
    (void)sqlite3_reset(st);
    return s;
}

sb_status sb_conv_get(sb_db *db, sb_owner owner, const char *id, sb_conv_row row, void *ctx,
                      sb_error *err)
{
    int64_t seq = 0;
    SB_TRY(sb_turn_read(db, err));
    sb_status s = sb_conv_find(db, owner, id, &seq, err);
    if (s == SB_OK) s = sb_conv_tell(db, seq, row, ctx, err);
    return sb_turn_done(db, s);
}

static sb_status list(sb_db *db, sqlite3_stmt *st, sb_conv_row row, void *ctx, sb_error *err)
{
    for (bool there = true;;) {
        SB_TRY(sb_sql_step(db, st, &there, err));
        if (!there) return SB_OK;
        SB_TRY(tell(st, row, ctx, err));
    }
}

sb_status sb_conv_list(sb_db *db, sb_owner owner, int64_t before, int32_t n, sb_conv_row row,
                       void *ctx, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    if (n < 0 || n > SB_MAX_LIST_ROWS)
        return SB_FAIL(err, SB_INVALID, "a list has at most %d rows", SB_MAX_LIST_ROWS);
    SB_TRY(sb_turn_read(db, err));
    sb_status s = SB_SQL(&st, db, err,
                         "SELECT " CONV_COLUMNS
                         " WHERE owner = ? AND touched < ? ORDER BY touched DESC LIMIT ?",
                         sb_int(owner), sb_int(before > 0 ? before : INT64_MAX), sb_int(n));
    if (s == SB_OK) s = sb_row_status(list(db, st, row, ctx, err));
    return sb_turn_done(db, s);
}

static sb_status change(sb_db *db, sb_owner owner, const char *id, sb_str title, sb_str settings,
                        sb_error *err)
{
    int64_t seq = 0;
    SB_TRY(sb_conv_find(db, owner, id, &seq, err));
    if (title.p)
        SB_TRY(SB_SQL_RUN(db, err, "UPDATE conv SET title = ? WHERE seq = ?", sb_text(title),
                          sb_int(seq)));
    if (settings.p)
        SB_TRY(SB_SQL_RUN(db, err, "UPDATE conv SET settings = ? WHERE seq = ?",
                          sb_text(settings.n ? settings : (sb_str){"{}", 2}), sb_int(seq)));
    return SB_SQL_RUN(db, err, "UPDATE conv SET updated_ms = ? WHERE seq = ?",
                      sb_int(sb_db_now_ms()), sb_int(seq));
}

sb_status sb_conv_change(sb_db *db, sb_owner owner, const char *id, sb_str title, sb_str settings,
                         sb_error *err)
{
    SB_TRY(check_settings(title, settings, err));
    SB_TRY(sb_turn_write(db, err));
    return sb_turn_end(db, change(db, owner, id, title, settings, err), err);
}

static sb_status remove_one(sb_db *db, sb_owner owner, const char *id, sb_error *err)
{
    int64_t seq = 0;
    SB_TRY(sb_conv_find(db, owner, id, &seq, err));
    db->untidy = true;
    SB_TRY(sb_index_drop(db, SB_INDEX_CONV, seq, err));
    return SB_SQL_RUN(db, err, "DELETE FROM conv WHERE seq = ?", sb_int(seq));
}

sb_status sb_conv_delete(sb_db *db, sb_owner owner, const char *id, sb_error *err)
{
    SB_TRY(sb_turn_write(db, err));
    SB_TRY(sb_turn_end(db, remove_one(db, owner, id, err), err));
    sb_db_tidy_some(db);
    return SB_OK;
}

sb_status sb_conv_delete_all(sb_db *db, sb_owner owner, int64_t *out_n, sb_error *err)
{
    int64_t n = 0;
    SB_TRY(sb_turn_write(db, err));
    sb_status s =
        SB_SQL_ONE(&n, db, err, "SELECT count(*) FROM conv WHERE owner = ?", sb_int(owner));
    if (s == SB_OK) db->untidy = true;
    if (s == SB_OK) s = sb_index_drop(db, SB_INDEX_OWNER, owner, err);
    if (s == SB_OK) s = SB_SQL_RUN(db, err, "DELETE FROM conv WHERE owner = ?", sb_int(owner));
    SB_TRY(sb_turn_end(db, s, err));
    *out_n = n;
    sb_db_tidy_some(db);
    return SB_OK;
}

/* The newest message below `msg`, going by the newest child each time. */
static sb_status descend(sb_db *db, int64_t seq, int64_t *msg, sb_error *err)
{
    for (;;) {
        int64_t child = 0;
        const sb_status s =
            SB_SQL_ONE(&child, db, err,
                       "SELECT id FROM msg WHERE conv = ? AND parent = ? ORDER BY id DESC LIMIT 1",
                       sb_int(seq), sb_int(*msg));
        if (s == SB_NOT_FOUND) return SB_OK;
        SB_TRY(s);
        *msg = child;
    }
}

static sb_status show(sb_db *db, sb_owner owner, const char *id, int64_t leaf, bool down,
                      sb_error *err)
{
    int64_t seq = 0, found = 0;
    SB_TRY(sb_conv_find(db, owner, id, &seq, err));
    const sb_status s = SB_SQL_ONE(&found, db, err, "SELECT id FROM msg WHERE conv = ? AND id = ?",
                                   sb_int(seq), sb_int(leaf));
    if (s == SB_NOT_FOUND) return sb_msg_unknown(leaf, err);
    SB_TRY(s);
    if (down) SB_TRY(descend(db, seq, &found, err));
    return SB_SQL_RUN(db, err, "UPDATE conv SET leaf = ? WHERE seq = ?", sb_int(found),
                      sb_int(seq));
}

sb_status sb_conv_show(sb_db *db, sb_owner owner, const char *id, int64_t leaf, bool down,
                       sb_error *err)
{
    SB_TRY(sb_turn_write(db, err));
    return sb_turn_end(db, show(db, owner, id, leaf, down, err), err);
}
