/* SPDX-License-Identifier: Apache-2.0
 * conv_msg.c - the messages of a conversation, and the one that is still being written.
 *
 * What a streaming message gains goes into rows of `piece`, so that saving every second costs what
 * was added and not the whole answer each time; the end writes the message once and drops them.
 * Reading puts them together. */
#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "store/conv_rows.h"

/* Far above one answer's, and so that a conversation full of them still adds up. */
static const int64_t most_uj = INT64_C(1) << 45, most_tokens = INT64_C(1) << 40;
enum { WORD_BYTES = 1024 };

static const char *const role_words[] = {"system", "user", "assistant", "tool"};
static const char *const state_words[] = {"streaming", "done", "stopped", "error"};

const char *sb_msg_role_text(sb_msg_role r)
{
    return role_words[r];
}

const char *sb_msg_state_text(sb_msg_state s)
{
    return state_words[s];
}

sb_status sb_msg_unknown(int64_t msg, sb_error *err)
{
    return SB_FAIL(err, SB_NOT_FOUND, "no message %" PRId64 " in this conversation", msg);
}

sb_status sb_msg_check(const sb_msg *m, sb_error *err)
{
    if ((unsigned)m->role > SB_MSG_TOOL || (unsigned)m->state > SB_MSG_ERROR)
        return SB_FAIL(err, SB_INVALID, "message: no such role or state");
    if (m->energy_uj < 0 || m->energy_uj > most_uj || m->n_in < 0 || m->n_in > most_tokens ||
        m->n_out < 0 || m->n_out > most_tokens)
        return SB_FAIL(err, SB_INVALID, "message: tokens or energy out of range");
    if (m->ids.n > SB_MAX_MESSAGE_BYTES)
        return SB_FAIL(err, SB_INVALID, "ids: over the limit of %d bytes", SB_MAX_MESSAGE_BYTES);
    SB_TRY(sb_check_text(m->content, SB_MAX_MESSAGE_BYTES, "content", err));
    SB_TRY(sb_check_text(m->reasoning, SB_MAX_MESSAGE_BYTES, "reasoning", err));
    SB_TRY(sb_check_text(m->model, WORD_BYTES, "model", err));
    SB_TRY(sb_check_text(m->finish, WORD_BYTES, "finish", err));
    SB_TRY(sb_check_json(m->calls, SB_MAX_MESSAGE_BYTES, '[', "calls", err));
    SB_TRY(sb_check_json(m->files, SB_MAX_MESSAGE_BYTES, '[', "files", err));
    return sb_check_json(m->usage, SB_MAX_SETTINGS_BYTES, '{', "usage", err);
}

static sb_status count(sb_db *db, int64_t conv, int64_t n, const sb_msg *m, sb_error *err)
{
    return SB_SQL_RUN(db, err,
                      "UPDATE conv SET n_messages = n_messages + ?, energy_uj = energy_uj + ?,"
                      " n_in = n_in + ?, n_out = n_out + ? WHERE seq = ?",
                      sb_int(n), sb_int(m->energy_uj), sb_int(m->n_in), sb_int(m->n_out),
                      sb_int(conv));
}

sb_status sb_msg_insert(sb_db *db, const sb_msg_place *at, const sb_msg *m, sb_error *err)
{
    SB_TRY(SB_SQL_RUN(
        db, err,
        "INSERT INTO msg(conv, id, parent, depth, role, state, created_ms, energy_uj, n_in, n_out,"
        " content, reasoning, calls, files, model, finish, usage, ids)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        sb_int(at->conv), sb_int(at->id), sb_int(at->parent), sb_int(at->depth), sb_int(m->role),
        sb_int(m->state), sb_int(at->created_ms), sb_int(m->energy_uj), sb_int(m->n_in),
        sb_int(m->n_out), sb_text(m->content), sb_text(m->reasoning), sb_text(m->calls),
        sb_text(m->files), sb_text(m->model), sb_text(m->finish), sb_text(m->usage),
        sb_blob(m->ids)));
    SB_TRY(sb_index_add(db, SB_INDEX_MSG, sqlite3_last_insert_rowid(db->sq), err));
    return count(db, at->conv, 1, m, err);
}

/* Resolves the parent and checks that there is room below it. */
static sb_status find_place(sb_db *db, int64_t conv, int64_t parent, sb_msg_place *out,
                            sb_error *err)
{
    int64_t n = 0, id = 0, depth = 0;
    sb_status s = SB_OK;
    SB_TRY(SB_SQL_ONE(&n, db, err, "SELECT n_messages FROM conv WHERE seq = ?", sb_int(conv)));
    if (n >= SB_MAX_MESSAGES)
        return SB_FAIL(err, SB_INVALID, "more than %d messages in one conversation",
                       SB_MAX_MESSAGES);
    id = n + 1; // no message is ever removed alone
    if (parent < 0)
        SB_TRY(SB_SQL_ONE(&parent, db, err, "SELECT leaf FROM conv WHERE seq = ?", sb_int(conv)));
    if (parent > 0) {
        s = SB_SQL_ONE(&depth, db, err, "SELECT depth + 1 FROM msg WHERE conv = ? AND id = ?",
                       sb_int(conv), sb_int(parent));
        if (s == SB_NOT_FOUND) return sb_msg_unknown(parent, err);
        SB_TRY(s);
    }
    SB_TRY(SB_SQL_ONE(&n, db, err, "SELECT count(*) FROM msg WHERE conv = ? AND parent = ?",
                      sb_int(conv), sb_int(parent)));
    if (n >= SB_MAX_BRANCHES)
        return SB_FAIL(err, SB_INVALID, "more than %d branches at one message", SB_MAX_BRANCHES);
    *out = (sb_msg_place){
        .conv = conv, .id = id, .parent = parent, .depth = depth, .created_ms = sb_db_now_ms()};
    return SB_OK;
}

static sb_status add(sb_db *db, sb_owner owner, const char *conv, const sb_msg *m, int64_t *out_id,
                     sb_error *err)
{
    int64_t seq = 0;
    sb_msg_place at;
    SB_TRY(sb_conv_find(db, owner, conv, &seq, err));
    SB_TRY(find_place(db, seq, m->parent, &at, err));
    SB_TRY(sb_msg_insert(db, &at, m, err));
    *out_id = at.id;
    SB_TRY(SB_SQL_RUN(db, err, "UPDATE conv SET leaf = ? WHERE seq = ?", sb_int(*out_id),
                      sb_int(seq)));
    return sb_conv_touch(db, seq, err);
}

sb_status sb_msg_add(sb_db *db, sb_owner owner, const char *conv, const sb_msg *m, int64_t *out_id,
                     sb_error *err)
{
    int64_t id = 0;
    SB_TRY(sb_msg_check(m, err));
    SB_TRY(sb_turn_write(db, err));
    SB_TRY(sb_turn_end(db, add(db, owner, conv, m, &id, err), err));
    if (out_id) *out_id = id;
    return SB_OK;
}

/* Row numbers of the conversation and of msg, if that is in it and still streaming. */
static sb_status find_streaming(sb_db *db, sb_owner owner, const char *conv, int64_t msg,
                                int64_t *out_conv, int64_t *out_msg, sb_error *err)
{
    bool there = false;
    sqlite3_stmt *st = NULL;
    SB_TRY(sb_conv_find(db, owner, conv, out_conv, err));
    SB_TRY(SB_SQL(&st, db, err, "SELECT state, seq FROM msg WHERE conv = ? AND id = ?",
                  sb_int(*out_conv), sb_int(msg)));
    SB_TRY(sb_sql_step(db, st, &there, err));
    if (!there) return sb_msg_unknown(msg, err);
    const int state = sqlite3_column_int(st, 0);
    *out_msg = sqlite3_column_int64(st, 1);
    (void)sqlite3_reset(st);
    if (state != SB_MSG_STREAMING)
        return SB_FAIL(err, SB_INVALID, "message %" PRId64 " has ended", msg);
    return SB_OK;
}

sb_status sb_msg_more(sb_db *db, sb_owner owner, const char *conv, int64_t msg, sb_str content,
                      sb_str reasoning, sb_error *err)
{
    int64_t seq = 0, row = 0;
    SB_TRY(sb_check_text(content, SB_MAX_MESSAGE_BYTES, "content", err));
    SB_TRY(sb_check_text(reasoning, SB_MAX_MESSAGE_BYTES, "reasoning", err));
    SB_TRY(sb_turn_write(db, err));
    sb_status s = find_streaming(db, owner, conv, msg, &seq, &row, err);
    if (s == SB_OK)
        s = SB_SQL_RUN(db, err, "INSERT INTO piece(msg, content, reasoning) VALUES(?, ?, ?)",
                       sb_int(row), sb_text(content), sb_text(reasoning));
    return sb_turn_end(db, s, err);
}

static sb_status end(sb_db *db, sb_owner owner, const char *conv, int64_t msg, const sb_msg *m,
                     sb_error *err)
{
    int64_t seq = 0, row = 0;
    SB_TRY(find_streaming(db, owner, conv, msg, &seq, &row, err));
    SB_TRY(sb_index_drop(db, SB_INDEX_MSG, row, err));
    SB_TRY(SB_SQL_RUN(db, err,
                      "UPDATE msg SET state = ?, energy_uj = ?, n_in = ?, n_out = ?, content = ?,"
                      " reasoning = ?, calls = ?, files = ?, model = ?, finish = ?, usage = ?,"
                      " ids = ? WHERE seq = ?",
                      sb_int(m->state), sb_int(m->energy_uj), sb_int(m->n_in), sb_int(m->n_out),
                      sb_text(m->content), sb_text(m->reasoning), sb_text(m->calls),
                      sb_text(m->files), sb_text(m->model), sb_text(m->finish), sb_text(m->usage),
                      sb_blob(m->ids), sb_int(row)));
    SB_TRY(sb_index_add(db, SB_INDEX_MSG, row, err));
    SB_TRY(SB_SQL_RUN(db, err, "DELETE FROM piece WHERE msg = ?", sb_int(row)));
    SB_TRY(count(db, seq, 0, m, err));
    return sb_conv_touch(db, seq, err);
}

sb_status sb_msg_end(sb_db *db, sb_owner owner, const char *conv, int64_t msg, const sb_msg *m,
                     sb_error *err)
{
    SB_TRY(sb_msg_check(m, err));
    if (m->state == SB_MSG_STREAMING)
        return SB_FAIL(err, SB_INVALID, "a message cannot end as streaming");
    SB_TRY(sb_turn_write(db, err));
    return sb_turn_end(db, end(db, owner, conv, msg, m, err), err);
}

#define SIBLING(what, more)                                                                        \
    "(SELECT " what " FROM msg s WHERE s.conv = m.conv AND s.parent = m.parent" more ")"
#define MSG_COLUMNS                                                                                \
    "SELECT m.id, m.parent, m.role, m.state, m.created_ms, m.energy_uj, m.n_in, m.n_out,"          \
    " m.depth, " SIBLING("count(*)", " AND s.id < m.id") ", " SIBLING(                             \
        "count(*)",                                                                                \
        "") ", "                                                                                   \
            "coalesce(" SIBLING("max(s.id)",                                                       \
                                " AND s.id < m.id") ", 0), "                                       \
                                                    "coalesce(" SIBLING("min(s.id)",               \
                                                                        " AND s.id > m.id") ", 0)"

enum { N_HEAD = 13 }; /* columns of MSG_COLUMNS */

static sb_msg read_head(sqlite3_stmt *st)
{
    return (sb_msg){.id = sqlite3_column_int64(st, 0),
                    .parent = sqlite3_column_int64(st, 1),
                    .role = (sb_msg_role)sqlite3_column_int(st, 2),
                    .state = (sb_msg_state)sqlite3_column_int(st, 3),
                    .created_ms = sqlite3_column_int64(st, 4),
                    .energy_uj = sqlite3_column_int64(st, 5),
                    .n_in = sqlite3_column_int64(st, 6),
                    .n_out = sqlite3_column_int64(st, 7),
                    .depth = sqlite3_column_int64(st, 8),
                    .i_sibling = sqlite3_column_int64(st, 9),
                    .n_siblings = sqlite3_column_int64(st, 10),
                    .prev_sibling = sqlite3_column_int64(st, 11),
                    .next_sibling = sqlite3_column_int64(st, 12)};
}

/* What a streaming message has gained, behind what it began with. */
static sb_status add_pieces(sb_db *db, int64_t seq, const sb_msg *m, sb_buf *content,
                            sb_buf *reasoning, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    bool row = true;
    if (m->content.n) SB_TRY(sb_buf_add(content, m->content.p, m->content.n, err));
    if (m->reasoning.n) SB_TRY(sb_buf_add(reasoning, m->reasoning.p, m->reasoning.n, err));
    SB_TRY(SB_SQL(&st, db, err, "SELECT content, reasoning FROM piece WHERE msg = ? ORDER BY seq",
                  sb_int(seq)));
    for (;;) {
        SB_TRY(sb_sql_step(db, st, &row, err));
        if (!row) return SB_OK;
        const sb_str c = sb_sql_text(st, 0), r = sb_sql_text(st, 1);
        if (c.n) SB_TRY(sb_buf_add(content, c.p, c.n, err));
        if (r.n) SB_TRY(sb_buf_add(reasoning, r.p, r.n, err));
    }
}

static sb_status tell_streaming(sb_db *db, int64_t seq, sb_msg *m, sb_msg_row row, void *ctx,
                                sb_error *err)
{
    sb_buf content, reasoning;
    sb_buf_init(&content, (size_t)4 * SB_MAX_MESSAGE_BYTES, "message");
    sb_buf_init(&reasoning, (size_t)4 * SB_MAX_MESSAGE_BYTES, "message");
    sb_status s = add_pieces(db, seq, m, &content, &reasoning, err);
    m->content = (sb_str){content.p, content.n};
    m->reasoning = (sb_str){reasoning.p, reasoning.n};
    if (s == SB_OK) s = row(ctx, m, err);
    sb_buf_deinit(&content);
    sb_buf_deinit(&reasoning);
    return s;
}

sb_status sb_msg_tell(sb_db *db, int64_t conv, int64_t msg, sb_msg_row row, void *ctx,
                      int64_t *out_parent, sb_error *err)
{
    bool there = false;
    sqlite3_stmt *st = NULL;
    SB_TRY(SB_SQL(&st, db, err,
                  MSG_COLUMNS ", m.content, m.reasoning, m.calls, m.files, m.model, m.finish,"
                              " m.usage, m.ids, m.seq FROM msg m WHERE m.conv = ? AND m.id = ?",
                  sb_int(conv), sb_int(msg)));
    SB_TRY(sb_sql_step(db, st, &there, err));
    if (!there) return sb_msg_unknown(msg, err);
    sb_msg m = read_head(st);
    sb_str *const texts[] = {&m.content, &m.reasoning, &m.calls, &m.files,
                             &m.model,   &m.finish,    &m.usage, &m.ids};
    for (int i = 0; i < (int)SB_ARRAY_LEN(texts); i++)
        *texts[i] = sb_sql_text(st, N_HEAD + i);
    const int64_t seq = sqlite3_column_int64(st, N_HEAD + (int)SB_ARRAY_LEN(texts));
    if (out_parent) *out_parent = m.parent;
    const sb_status s = m.state == SB_MSG_STREAMING ? tell_streaming(db, seq, &m, row, ctx, err)
                                                    : row(ctx, &m, err);
    (void)sqlite3_reset(st);
    return s;
}

sb_status sb_msg_get(sb_db *db, sb_owner owner, const char *conv, int64_t msg, sb_msg_row row,
                     void *ctx, sb_error *err)
{
    int64_t seq = 0;
    SB_TRY(sb_turn_read(db, err));
    sb_status s = sb_conv_find(db, owner, conv, &seq, err);
    if (s == SB_OK) s = sb_row_status(sb_msg_tell(db, seq, msg, row, ctx, NULL, err));
    return sb_turn_done(db, s);
}

static sb_status path(sb_db *db, int64_t conv, int64_t from, int32_t n, sb_msg_row row, void *ctx,
                      sb_error *err)
{
    if (from == 0)
        SB_TRY(SB_SQL_ONE(&from, db, err, "SELECT leaf FROM conv WHERE seq = ?", sb_int(conv)));
    // Parents are older than their children, so this ends.
    for (; n > 0 && from > 0; n--)
        SB_TRY(sb_msg_tell(db, conv, from, row, ctx, &from, err));
    return SB_OK;
}

// Whose, where, how many, to whom: NOLINTNEXTLINE(readability-function-size)
sb_status sb_msg_path(sb_db *db, sb_owner owner, const char *conv, int64_t from, int32_t n,
                      sb_msg_row row, void *ctx, sb_error *err)
{
    int64_t seq = 0;
    SB_TRY(sb_turn_read(db, err));
    sb_status s = sb_conv_find(db, owner, conv, &seq, err);
    if (s == SB_OK) s = sb_row_status(path(db, seq, from, n, row, ctx, err));
    return sb_turn_done(db, s);
}

static sb_status children(sb_db *db, int64_t conv, int64_t parent, sb_msg_row row, void *ctx,
                          sb_error *err)
{
    sqlite3_stmt *st = NULL;
    bool there = true;
    SB_TRY(SB_SQL(&st, db, err,
                  MSG_COLUMNS " FROM msg m WHERE m.conv = ? AND m.parent = ? ORDER BY m.id",
                  sb_int(conv), sb_int(parent)));
    for (;;) {
        SB_TRY(sb_sql_step(db, st, &there, err));
        if (!there) return SB_OK;
        const sb_msg m = read_head(st);
        SB_TRY(row(ctx, &m, err));
    }
}

sb_status sb_msg_children(sb_db *db, sb_owner owner, const char *conv, int64_t parent,
                          sb_msg_row row, void *ctx, sb_error *err)
{
    int64_t seq = 0;
    SB_TRY(sb_turn_read(db, err));
    sb_status s = sb_conv_find(db, owner, conv, &seq, err);
    if (s == SB_OK) s = sb_row_status(children(db, seq, parent, row, ctx, err));
    return sb_turn_done(db, s);
}
