/* SPDX-License-Identifier: Apache-2.0
 * responses.c - stored responses; a chain is walked backwards, one row at a time. */
#include "store/responses.h"

#include <string.h>

#include "base/limits.h"
#include "store/db_sql.h"

enum { ID_BYTES = 128 };

#define COLUMNS "SELECT id, previous, created_ms, object, items, state FROM response "

static sb_response read_row(sqlite3_stmt *st)
{
    return (sb_response){.id = sb_sql_text(st, 0),
                         .previous = sb_sql_text(st, 1),
                         .created_ms = sqlite3_column_int64(st, 2),
                         .object = sb_sql_text(st, 3),
                         .items = sb_sql_text(st, 4),
                         .state = sb_sql_text(st, 5)};
}

/* Names it if it looks like an id of ours; else it is only what a client sent. */
static sb_status unknown(sb_str id, sb_error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    char shown[ID_BYTES + 1] = "";
    if (id.n && id.n < sizeof shown) memcpy(shown, id.p, id.n);
    if (!shown[0] || shown[strspn(shown, plain)])
        return SB_FAIL(err, SB_NOT_FOUND, "no such response");
    return SB_FAIL(err, SB_NOT_FOUND, "no response '%s'", shown);
}

static sb_status check(const sb_response *r, sb_error *err)
{
    if (r->id.n == 0) return SB_FAIL(err, SB_INVALID, "response: its id is missing");
    SB_TRY(sb_check_text(r->id, ID_BYTES, "response id", err));
    SB_TRY(sb_check_text(r->previous, ID_BYTES, "previous response id", err));
    SB_TRY(sb_check_json(r->object, SB_MAX_RESPONSE_BYTES, '{', "response", err));
    SB_TRY(sb_check_json(r->items, SB_MAX_RESPONSE_BYTES, '[', "response input", err));
    return sb_check_text(r->state, SB_MAX_RESPONSE_BYTES, "response state", err);
}

static sb_status find(sb_db *db, sb_owner owner, sb_str id, sb_error *err)
{
    int64_t seq = 0;
    const sb_status s =
        SB_SQL_ONE(&seq, db, err, "SELECT seq FROM response WHERE id = ? AND owner = ?",
                   sb_text(id), sb_int(owner));
    return s == SB_NOT_FOUND ? unknown(id, err) : s;
}

static sb_status add(sb_db *db, sb_owner owner, const sb_response *r, sb_error *err)
{
    const size_t bytes = r->object.n + r->items.n + r->state.n;
    if (r->previous.n) SB_TRY(find(db, owner, r->previous, err));
    return SB_SQL_RUN(db, err,
                      "INSERT INTO response(id, owner, previous, created_ms, bytes, object, items,"
                      " state) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                      sb_text(r->id), sb_int(owner), sb_text(r->previous),
                      sb_int(r->created_ms > 0 ? r->created_ms : sb_db_now_ms()),
                      sb_int((int64_t)bytes), sb_text(r->object), sb_text(r->items),
                      sb_text(r->state));
}

sb_status sb_response_add(sb_db *db, sb_owner owner, const sb_response *r, sb_error *err)
{
    SB_TRY(check(r, err));
    SB_TRY(sb_turn_write(db, err));
    return sb_turn_end(db, add(db, owner, r, err), err);
}

/* Tells one; *out_previous gets the id of the one before it. */
static sb_status tell(sb_db *db, sb_owner owner, sb_str id, sb_response_row row, void *ctx,
                      sb_buf *out_previous, sb_error *err)
{
    bool there = false;
    sqlite3_stmt *st = NULL;
    SB_TRY(SB_SQL(&st, db, err, COLUMNS "WHERE id = ? AND owner = ?", sb_text(id), sb_int(owner)));
    SB_TRY(sb_sql_step(db, st, &there, err));
    if (!there) return unknown(id, err);
    const sb_response r = read_row(st);
    if (out_previous) {
        sb_buf_clear(out_previous); // it may be what id borrows: read before
        if (r.previous.n) SB_TRY(sb_buf_add(out_previous, r.previous.p, r.previous.n, err));
    }
    const sb_status s = row(ctx, &r, err);
    (void)sqlite3_reset(st);
    return s;
}

sb_status sb_response_get(sb_db *db, sb_owner owner, sb_str id, sb_response_row row, void *ctx,
                          sb_error *err)
{
    SB_TRY(sb_turn_read(db, err));
    return sb_turn_done(db, sb_row_status(tell(db, owner, id, row, ctx, NULL, err)));
}

static sb_status remove_one(sb_db *db, sb_owner owner, sb_str id, sb_error *err)
{
    SB_TRY(find(db, owner, id, err));
    db->untidy = true;
    return SB_SQL_RUN(db, err, "DELETE FROM response WHERE id = ? AND owner = ?", sb_text(id),
                      sb_int(owner));
}

sb_status sb_response_delete(sb_db *db, sb_owner owner, sb_str id, sb_error *err)
{
    SB_TRY(sb_turn_write(db, err));
    SB_TRY(sb_turn_end(db, remove_one(db, owner, id, err), err));
    sb_db_tidy_some(db);
    return SB_OK;
}

static sb_status chain(sb_db *db, sb_owner owner, sb_str id, sb_response_row row, void *ctx,
                       sb_error *err)
{
    sb_buf at;
    sb_buf_init(&at, ID_BYTES, "response id");
    sb_status s = sb_buf_add(&at, id.p ? id.p : "", id.n, NULL);
    if (s != SB_OK) s = unknown((sb_str){NULL, 0}, err);
    for (int i = 0; s == SB_OK && at.n > 0; i++) {
        if (i == SB_MAX_RESPONSE_CHAIN)
            s = SB_FAIL(err, SB_INVALID, "more than %d responses follow from one another",
                        SB_MAX_RESPONSE_CHAIN);
        else
            s = tell(db, owner, (sb_str){at.p, at.n}, row, ctx, &at, err);
    }
    sb_buf_deinit(&at);
    return s;
}

sb_status sb_response_chain(sb_db *db, sb_owner owner, sb_str id, sb_response_row row, void *ctx,
                            sb_error *err)
{
    SB_TRY(sb_turn_read(db, err));
    return sb_turn_done(db, sb_row_status(chain(db, owner, id, row, ctx, err)));
}

/* Is the oldest one too old, or in the way of the limit? Removes it. */
static sb_status expire_one(sb_db *db, int64_t max_age_ms, int64_t *bytes, int64_t max_bytes,
                            bool *out_done, sb_error *err)
{
    bool there = false;
    sqlite3_stmt *st = NULL;
    *out_done = true;
    SB_TRY(sb_sql_bind(&st, db, "SELECT seq, created_ms, bytes FROM response ORDER BY seq LIMIT 1",
                       NULL, 0, err));
    SB_TRY(sb_sql_step(db, st, &there, err));
    if (!there) return SB_OK;
    const int64_t seq = sqlite3_column_int64(st, 0), born = sqlite3_column_int64(st, 1);
    const int64_t size = sqlite3_column_int64(st, 2);
    (void)sqlite3_reset(st);
    const bool old = max_age_ms > 0 && sb_db_now_ms() - born > max_age_ms;
    if (!old && (max_bytes == 0 || *bytes <= max_bytes)) return SB_OK;
    *bytes -= size;
    *out_done = false;
    db->untidy = true;
    return SB_SQL_RUN(db, err, "DELETE FROM response WHERE seq = ?", sb_int(seq));
}

static sb_status expire(sb_db *db, int64_t max_age_ms, int64_t max_bytes, int32_t n_max,
                        int32_t *out_n, sb_error *err)
{
    int64_t bytes = 0;
    bool done = false;
    if (max_bytes > 0)
        SB_TRY(
            sb_sql_one(&bytes, db, "SELECT coalesce(sum(bytes), 0) FROM response", NULL, 0, err));
    for (*out_n = 0; *out_n < n_max; (*out_n)++) {
        SB_TRY(expire_one(db, max_age_ms, &bytes, max_bytes, &done, err));
        if (done) return SB_OK;
    }
    return SB_OK;
}

sb_status sb_response_expire(sb_db *db, int64_t max_age_ms, int64_t max_bytes, int32_t n_max,
                             int32_t *out_n, sb_error *err)
{
    int32_t n = 0;
    SB_TRY(sb_turn_write(db, err));
    SB_TRY(sb_turn_end(db, expire(db, max_age_ms, max_bytes, n_max, &n, err), err));
    *out_n = n;
    return SB_OK;
}
