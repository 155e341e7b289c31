/* SPDX-License-Identifier: Apache-2.0
 * sums.c - hourly sums; added in C, for SQLite would turn a sum that overflows into a REAL. */
#include "store/sums.h"

#include "store/db_sql.h"

enum { HOUR_MS = 3600000 };

#define COLUMNS "hour, n_answers, n_in, n_cached, n_out, energy_uj, n_wall, wall_uj" /* read_sum */

int64_t sb_sum_hour(int64_t now_ms)
{
    return now_ms / HOUR_MS - (now_ms % HOUR_MS < 0);
}

void sb_sum_join(sb_sum *sum, const sb_sum *s)
{
    sum->n_answers = sb_add_capped(sum->n_answers, s->n_answers);
    sum->n_in = sb_add_capped(sum->n_in, s->n_in);
    sum->n_cached = sb_add_capped(sum->n_cached, s->n_cached);
    sum->n_out = sb_add_capped(sum->n_out, s->n_out);
    sum->energy_uj = sb_add_capped(sum->energy_uj, s->energy_uj);
    sum->n_wall = sb_add_capped(sum->n_wall, s->n_wall);
    sum->wall_uj = sb_add_capped(sum->wall_uj, s->wall_uj);
}

/* A correction of what was never written. */
static void not_below(sb_sum *sum)
{
    if (sum->energy_uj < 0) sum->energy_uj = 0;
    if (sum->n_wall < 0) sum->n_wall = 0;
    if (sum->wall_uj < 0) sum->wall_uj = 0;
}

/* The same, of what is written down. */
static void add_to(sb_sum *sum, const sb_sum *s)
{
    sb_sum_join(sum, s);
    not_below(sum);
}

static sb_sum read_sum(sqlite3_stmt *st)
{
    return (sb_sum){.hour = sqlite3_column_int64(st, 0),
                    .n_answers = sqlite3_column_int64(st, 1),
                    .n_in = sqlite3_column_int64(st, 2),
                    .n_cached = sqlite3_column_int64(st, 3),
                    .n_out = sqlite3_column_int64(st, 4),
                    .energy_uj = sqlite3_column_int64(st, 5),
                    .n_wall = sqlite3_column_int64(st, 6),
                    .wall_uj = sqlite3_column_int64(st, 7)};
}

/* The same, and whose it is. */
static sb_sum read_part(sqlite3_stmt *st)
{
    sb_sum s = read_sum(st);
    s.model = sb_sql_text(st, 8);
    const int64_t source = sqlite3_column_int64(st, 9);
    if (source > SB_SUM_UNKNOWN && source < SB_SUM_SOURCE_COUNT) s.source = (sb_sum_source)source;
    return s;
}

static sb_status add(sb_db *db, sb_owner owner, const sb_sum *s, sb_error *err)
{
    bool there = false;
    sqlite3_stmt *st = NULL;
    sb_sum sum = *s;
    const sb_sql_value model = s->model.p ? sb_text(s->model) : sb_word("");
    SB_TRY(SB_SQL(&st, db, err,
                  "SELECT " COLUMNS " FROM sum"
                  " WHERE owner = ? AND hour = ? AND model = ? AND source = ?",
                  sb_int(owner), sb_int(s->hour), model, sb_int(s->source)));
    SB_TRY(sb_sql_step(db, st, &there, err));
    if (!there) not_below(&sum);
    if (there) {
        const sb_sum was = read_sum(st);
        add_to(&sum, &was);
        (void)sqlite3_reset(st);
    }
    return SB_SQL_RUN(db, err, "INSERT OR REPLACE INTO sum VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      sb_int(owner), sb_int(sum.hour), model, sb_int(sum.source),
                      sb_int(sum.n_answers), sb_int(sum.n_in), sb_int(sum.n_cached),
                      sb_int(sum.n_out), sb_int(sum.energy_uj), sb_int(sum.n_wall),
                      sb_int(sum.wall_uj));
}

sb_status sb_sum_add(sb_db *db, sb_owner owner, const sb_sum *s, sb_error *err)
{
    if (owner < 0 || s->n_answers < 0 || s->n_in < 0 || s->n_cached < 0 || s->n_out < 0)
        return SB_FAIL(err, SB_INVALID, "sum: a count is negative");
    SB_TRY(sb_check_text(s->model, SB_SUM_MODEL_BYTES, "sum: model", err));
    if (s->source >= SB_SUM_SOURCE_COUNT) return SB_FAIL(err, SB_INVALID, "sum: no such source");
    SB_TRY(sb_turn_write(db, err));
    return sb_turn_end(db, add(db, owner, s, err), err);
}

/* Rows come in order of the hour, several of one when all owners are asked: told as one. */
static sb_status walk(sb_db *db, sqlite3_stmt *st, sb_sum_row row, void *ctx, sb_error *err)
{
    sb_sum sum = {0};
    bool have = false;
    for (bool there = true;;) {
        SB_TRY(sb_sql_step(db, st, &there, err));
        const sb_sum next = there ? read_sum(st) : (sb_sum){0};
        if (have && there && next.hour == sum.hour) {
            add_to(&sum, &next);
            continue;
        }
        if (have) SB_TRY(row(ctx, &sum, err));
        if (!there) return SB_OK;
        sum = next;
        have = true;
    }
}

/* Of one owner or of all, in order of the hour. */
static sb_status select_rows(sqlite3_stmt **st, sb_db *db, sb_owner owner, int64_t from, int64_t to,
                             sb_error *err)
{
    return owner == SB_OWNER_ALL
               ? SB_SQL(st, db, err,
                        "SELECT " COLUMNS ", model, source, owner FROM sum"
                        " WHERE hour >= ? AND hour < ? ORDER BY hour",
                        sb_int(from), sb_int(to))
               : SB_SQL(st, db, err,
                        "SELECT " COLUMNS ", model, source, owner FROM sum"
                        " WHERE owner = ? AND hour >= ? AND hour < ? ORDER BY hour",
                        sb_int(owner), sb_int(from), sb_int(to));
}

sb_status sb_sum_list(sb_db *db, sb_owner owner, int64_t from, int64_t to, sb_sum_row row,
                      void *ctx, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    SB_TRY(sb_turn_read(db, err));
    sb_status s = select_rows(&st, db, owner, from, to, err);
    if (s == SB_OK) s = sb_row_status(walk(db, st, row, ctx, err));
    return sb_turn_done(db, s);
}

static sb_status each(sb_db *db, sqlite3_stmt *st, sb_sum_part part, void *ctx, sb_error *err)
{
    for (bool there = true;;) {
        SB_TRY(sb_sql_step(db, st, &there, err));
        if (!there) return SB_OK;
        const sb_sum s = read_part(st);
        SB_TRY(part(ctx, sqlite3_column_int64(st, 10), &s, err));
    }
}

sb_status sb_sum_each(sb_db *db, sb_owner owner, int64_t from, int64_t to, sb_sum_part part,
                      void *ctx, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    SB_TRY(sb_turn_read(db, err));
    sb_status s = select_rows(&st, db, owner, from, to, err);
    if (s == SB_OK) s = sb_row_status(each(db, st, part, ctx, err));
    return sb_turn_done(db, s);
}

static sb_status add_up(void *ctx, const sb_sum *s, sb_error *err)
{
    (void)err;
    add_to(ctx, s);
    return SB_OK;
}

sb_status sb_sum_total(sb_db *db, sb_owner owner, int64_t from, int64_t to, sb_sum *out,
                       sb_error *err)
{
    sb_sum sum = {.hour = from};
    SB_TRY(sb_sum_list(db, owner, from, to, add_up, &sum, err));
    *out = sum;
    return SB_OK;
}
