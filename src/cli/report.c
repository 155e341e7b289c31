/* SPDX-License-Identifier: Apache-2.0
 * report.c - sums to rows; rows to cells, a table, CSV and JSON.
 *
 * Rows are found from the end: sums come by the hour, so the row of a day is nearly always the last
 * one. */
#include "cli/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "cli/french.h"

__extension__ typedef unsigned __int128 wide;

enum { HOURS = 24, KWH_PLACES = 12, WALL_DIGITS = 2 };

void sb_report_deinit(sb_report *r)
{
    sb_free(r->rows);
    r->rows = NULL;
    r->n = r->cap = 0;
}

static int64_t day_of(int64_t hour)
{
    return hour / HOURS - (hour % HOURS < 0);
}

void sb_report_day_text(int64_t day, char out[16])
{
    struct tm t = {0};
    const bool sane = day >= -1000000 && day <= 10000000;
    const time_t s = sane ? (time_t)(day * 86400) : 0;
    if (!sane || !gmtime_r(&s, &t) || strftime(out, 16, "%Y-%m-%d", &t) == 0) memcpy(out, "-", 2);
}

bool sb_report_day_parse(const char *text, int64_t *out)
{
    struct tm t = {0};
    char back[16];
    if (strlen(text) != 10 || text[0] < '0' || text[0] > '9') return false;
    const char *end = strptime(text, "%Y-%m-%d", &t);
    if (!end || *end) return false;
    const int64_t day = (int64_t)timegm(&t) / 86400;
    sb_report_day_text(day, back);
    if (strcmp(back, text) != 0) return false; /* 2026-02-30 */
    *out = day;
    return true;
}

static sb_status new_row(sb_report *r, sb_report_row **out, sb_error *err)
{
    if (r->n == SB_MAX_REPORT_ROWS)
        return SB_FAIL(err, SB_LIMIT,
                       "more than %d rows: ask for a shorter time with --from and --to",
                       SB_MAX_REPORT_ROWS);
    if (r->n == r->cap) {
        const size_t cap = r->cap ? 2 * r->cap : 64;
        sb_report_row *rows = sb_realloc(r->rows, cap, sizeof *rows);
        if (!rows) return SB_FAIL(err, SB_NO_MEMORY, "report: no memory");
        r->rows = rows;
        r->cap = cap;
    }
    *out = &r->rows[r->n++];
    **out = (sb_report_row){0};
    return SB_OK;
}

static bool is_row(const sb_report *r, const sb_report_row *row, int64_t id, sb_str model)
{
    if (r->by != SB_BY_MODEL) return row->id == id;
    return strlen(row->label) == model.n &&
           (model.n == 0 || memcmp(row->label, model.p, model.n) == 0);
}

static sb_status find_row(sb_report *r, int64_t id, sb_str model, sb_report_row **out,
                          sb_error *err)
{
    for (size_t i = r->n; i-- > 0;) {
        if (!is_row(r, &r->rows[i], id, model)) continue;
        *out = &r->rows[i];
        return SB_OK;
    }
    SB_TRY(new_row(r, out, err));
    (*out)->id = id;
    if (r->by == SB_BY_DAY) sb_report_day_text(id, (*out)->label);
    if (r->by == SB_BY_KEY && id > 0)
        (void)snprintf((*out)->label, sizeof(*out)->label, "%lld", (long long)id);
    if (r->by == SB_BY_MODEL && model.n) memcpy((*out)->label, model.p, model.n);
    return SB_OK;
}

sb_status sb_report_add(void *report, sb_owner owner, const sb_sum *s, sb_error *err)
{
    sb_report *r = report;
    sb_report_row *row = NULL;
    const sb_str model = {s->model.p, s->model.n < SB_REPORT_LABEL_BYTES ? s->model.n : 0};
    const bool empty = s->n_answers == 0 && s->energy_uj == 0; /* what a test of writing left */
    if (empty) return SB_OK;
    SB_TRY(find_row(r, r->by == SB_BY_KEY ? owner : day_of(s->hour), model, &row, err));
    sb_sum_join(&row->of[s->source], s);
    sb_sum_join(&row->of[SB_REPORT_ALL], s);
    sb_sum_join(&r->total.of[s->source], s);
    sb_sum_join(&r->total.of[SB_REPORT_ALL], s);
    return SB_OK;
}

static int by_day(const void *a, const void *b)
{
    const sb_report_row *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_energy(const void *a, const void *b)
{
    const sb_report_row *x = a, *y = b;
    const int64_t p = x->of[SB_REPORT_ALL].energy_uj, q = y->of[SB_REPORT_ALL].energy_uj;
    return p != q ? (p < q) - (p > q) : strcmp(x->label, y->label);
}

void sb_report_sort(sb_report *r)
{
    if (r->n > 1) qsort(r->rows, r->n, sizeof *r->rows, r->by == SB_BY_DAY ? by_day : by_energy);
}

const char *sb_report_by_name(sb_report_by by)
{
    switch (by) {
    case SB_BY_DAY:
        return "day";
    case SB_BY_KEY:
        return "key";
    case SB_BY_MODEL:
        return "model";
    }
    sb_unreachable("every kind of row has its name");
}

/* ---- cells ---- */

static void kwh_text(int64_t uj, int digits, const char *mark, char *out, size_t out_bytes)
{
    char v[40];
    const wide pico = ((wide)(uint64_t)(uj > 0 ? uj : 0) * 5 + 9) / 18; /* 3.6e12 uJ a kWh */
    const int64_t whole = pico > (wide)INT64_MAX ? INT64_MAX : (int64_t)pico;
    sb_decimal_text(sb_round_digits(whole, digits), KWH_PLACES, v, sizeof v);
    (void)snprintf(out, out_bytes, "%s%s", mark, v);
}

void sb_report_kwh(int64_t uj, bool measured, char *out, size_t out_bytes)
{
    kwh_text(uj, measured ? 3 : 1, measured ? "" : "~", out, out_bytes);
}

static bool is_measured(const sb_report_row *row)
{
    return row->of[SB_SUM_MEASURED].energy_uj == row->of[SB_REPORT_ALL].energy_uj;
}

/* Answers whose energy is known: of those without a source it is, or was never told. */
static int64_t n_known(const sb_report_row *row)
{
    const sb_sum *unknown = &row->of[SB_SUM_UNKNOWN];
    return row->of[SB_REPORT_ALL].n_answers - (unknown->energy_uj ? 0 : unknown->n_answers);
}

static void put_kwh(const sb_sum *s, bool measured, char *out)
{
    if (s->energy_uj)
        sb_report_kwh(s->energy_uj, measured, out, SB_REPORT_CELL_BYTES);
    else
        (void)snprintf(out, SB_REPORT_CELL_BYTES, "-");
}

static void put_digits(const sb_report_row *row, int64_t v, int places, char *out)
{
    char text[40];
    const bool measured = is_measured(row);
    sb_decimal_text(sb_round_digits(v, measured ? 3 : 1), places, text, sizeof text);
    (void)snprintf(out, SB_REPORT_CELL_BYTES, "%s%s", measured ? "" : "~", text);
}

static bool has_unknown(const sb_report *r)
{
    return r->total.of[SB_SUM_UNKNOWN].energy_uj > 0;
}

static bool has_wall(const sb_report *r)
{
    return r->total.of[SB_REPORT_ALL].n_wall > 0;
}

/* Never a measurement: by a fit. */
static void put_wall(const sb_sum *s, char *out)
{
    if (s->n_wall)
        kwh_text(s->wall_uj, WALL_DIGITS, "~", out, SB_REPORT_CELL_BYTES);
    else
        (void)snprintf(out, SB_REPORT_CELL_BYTES, "-");
}

static void add_head(sb_report_cells *c, const char *text)
{
    (void)snprintf(c->v[c->n++], SB_REPORT_CELL_BYTES, "%s", text);
}

void sb_report_heads(const sb_report *r, sb_report_cells *out)
{
    char money[16];
    out->n = 0;
    add_head(out, r->by == SB_BY_DAY   ? sb_tr("day")
                  : r->by == SB_BY_KEY ? sb_tr("key")
                                       : sb_tr("model"));
    add_head(out, sb_tr("answers"));
    add_head(out, sb_tr("tokens written"));
    add_head(out, sb_tr("kWh measured"));
    add_head(out, sb_tr("kWh estimated"));
    if (has_unknown(r)) add_head(out, sb_tr("kWh of unknown source"));
    add_head(out, sb_tr("J an answer"));
    if (r->footprint.has_grid) add_head(out, sb_tr("g CO2e"));
    (void)snprintf(money, sizeof money, "%s", r->footprint.tariff.currency);
    if (r->footprint.has_tariff) add_head(out, money[0] ? money : sb_tr("cost"));
    if (has_wall(r)) add_head(out, sb_tr("kWh at the wall"));
}

void sb_report_cells_of(const sb_report *r, const sb_report_row *row, sb_report_cells *out)
{
    const sb_sum *all = &row->of[SB_REPORT_ALL];
    const char *label = row == &r->total     ? sb_tr("total")
                        : row->label[0]      ? row->label
                        : r->by == SB_BY_KEY ? sb_tr("without a key")
                                             : sb_tr("not known");
    out->n = 0;
    add_head(out, label);
    (void)snprintf(out->v[out->n++], SB_REPORT_CELL_BYTES, "%lld", (long long)all->n_answers);
    (void)snprintf(out->v[out->n++], SB_REPORT_CELL_BYTES, "%lld", (long long)all->n_out);
    put_kwh(&row->of[SB_SUM_MEASURED], true, out->v[out->n++]);
    put_kwh(&row->of[SB_SUM_ESTIMATED], false, out->v[out->n++]);
    if (has_unknown(r)) put_kwh(&row->of[SB_SUM_UNKNOWN], false, out->v[out->n++]);
    if (n_known(row) > 0 && all->energy_uj > 0)
        put_digits(row, all->energy_uj / n_known(row), 6, out->v[out->n++]);
    else
        add_head(out, "-");
    if (r->footprint.has_grid)
        put_digits(row, sb_grid_ug(&r->footprint.grid, all->energy_uj), 6, out->v[out->n++]);
    if (r->footprint.has_tariff)
        put_digits(row, sb_tariff_nano(&r->footprint.tariff, all->energy_uj), 9, out->v[out->n++]);
    if (has_wall(r)) put_wall(all, out->v[out->n++]);
}

const char *sb_report_note(const sb_report *r, int i, char *room, size_t room_bytes)
{
    char text[SB_FOOTPRINT_BYTES], *from;
    const sb_footprint *f = &r->footprint;
    if (i == 0)
        return sb_tr(
            "Energy of answers, of this machine's processors or what its meter sees. ~ marks "
            "what is no measurement: it has one digit, and may be half or twice. Days are UTC's.");
    if (i == 1 && f->has_grid) {
        sb_grid_text(&f->grid, 0, 1, text, sizeof text);
        from = strstr(text, "at ");
        (void)snprintf(room, room_bytes, "CO2e: %s", from ? from + 3 : text);
        return room;
    }
    if (i == 1 + f->has_grid && f->has_tariff) {
        sb_tariff_text(&f->tariff, 0, 1, text, sizeof text);
        from = strstr(text, "at ");
        (void)snprintf(room, room_bytes, "%s: %s", sb_tr("cost"), from ? from + 3 : text);
        return room;
    }
    if (i == 1 + f->has_grid + f->has_tariff && has_wall(r)) {
        (void)snprintf(
            room, room_bytes,
            sb_tr("At the wall: %lld of %lld answers, by a fit of the counters to a plug; "
                  "estimated, beside the other columns and in none of them."),
            (long long)r->total.of[SB_REPORT_ALL].n_wall,
            (long long)r->total.of[SB_REPORT_ALL].n_answers);
        return room;
    }
    return NULL;
}

/* ---- the table ---- */

static size_t columns(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void cell(sb_out *o, const char *text, size_t width, bool left)
{
    static const char blanks[] = "                                ";
    size_t gap = width > columns(text) ? width - columns(text) : 0;
    if (left) sb_out_escaped(o, (sb_str){text, strlen(text)}, false);
    for (; gap > 0; gap -= gap < 32 ? gap : 32)
        sb_out_add(o, blanks, gap < 32 ? gap : 32);
    if (!left) sb_out_escaped(o, (sb_str){text, strlen(text)}, false);
}

static void widen(size_t width[SB_REPORT_CELLS], const sb_report_cells *c)
{
    for (int i = 0; i < c->n; i++)
        if (columns(c->v[i]) > width[i]) width[i] = columns(c->v[i]);
}

static void line(sb_out *o, const size_t width[SB_REPORT_CELLS], const sb_report_cells *c)
{
    for (int i = 0; i < c->n; i++) {
        if (i > 0) sb_out_add(o, "  ", 2);
        cell(o, c->v[i], width[i], i == 0);
    }
    sb_out_add(o, "\n", 1);
}

void sb_report_table(const sb_report *r, sb_out *o)
{
    size_t width[SB_REPORT_CELLS] = {0};
    char room[SB_FOOTPRINT_BYTES + 32];
    sb_report_cells c;
    sb_report_heads(r, &c);
    widen(width, &c);
    for (size_t i = 0; i <= r->n; i++) {
        sb_report_cells_of(r, i < r->n ? &r->rows[i] : &r->total, &c);
        widen(width, &c);
    }
    sb_report_heads(r, &c);
    line(o, width, &c);
    for (size_t i = 0; i <= r->n; i++) {
        sb_report_cells_of(r, i < r->n ? &r->rows[i] : &r->total, &c);
        line(o, width, &c);
    }
    const char *note;
    for (int i = 0; (note = sb_report_note(r, i, room, sizeof room)); i++) {
        sb_out_add(o, "\n", i == 0);
        sb_out_say(o, "%s", note);
        sb_out_add(o, "\n", 1);
    }
}

/* ---- for programs ---- */

static sb_status csv_text(sb_buf *out, const char *s, sb_error *err)
{
    if (!strpbrk(s, ",\"\r\n")) return sb_buf_add(out, s, strlen(s), err);
    SB_TRY(sb_buf_add(out, "\"", 1, err));
    for (; *s; s++) {
        if (*s == '"') SB_TRY(sb_buf_add(out, "\"", 1, err));
        SB_TRY(sb_buf_add(out, s, 1, err));
    }
    return sb_buf_add(out, "\"", 1, err);
}

sb_status sb_report_csv(const sb_report *r, sb_buf *out, sb_error *err)
{
    const sb_footprint *f = &r->footprint;
    SB_TRY(sb_buf_addf(out, err,
                       "%s,answers,tokens_in,tokens_cached,tokens_out,energy_uj,measured_uj,"
                       "estimated_uj,unknown_uj%s%s,wall_answers,wall_uj\n",
                       sb_report_by_name(r->by), f->has_grid ? ",co2e_ug" : "",
                       f->has_tariff ? ",cost_nano,currency" : ""));
    for (size_t i = 0; i < r->n; i++) {
        const sb_report_row *row = &r->rows[i];
        const sb_sum *all = &row->of[SB_REPORT_ALL];
        SB_TRY(csv_text(out, row->label, err));
        SB_TRY(sb_buf_addf(out, err, ",%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld",
                           (long long)all->n_answers, (long long)all->n_in,
                           (long long)all->n_cached, (long long)all->n_out,
                           (long long)all->energy_uj, (long long)row->of[SB_SUM_MEASURED].energy_uj,
                           (long long)row->of[SB_SUM_ESTIMATED].energy_uj,
                           (long long)row->of[SB_SUM_UNKNOWN].energy_uj));
        if (f->has_grid)
            SB_TRY(sb_buf_addf(out, err, ",%lld", (long long)sb_grid_ug(&f->grid, all->energy_uj)));
        if (f->has_tariff)
            SB_TRY(sb_buf_addf(out, err, ",%lld,%s",
                               (long long)sb_tariff_nano(&f->tariff, all->energy_uj),
                               f->tariff.currency));
        SB_TRY(
            sb_buf_addf(out, err, ",%lld,%lld\n", (long long)all->n_wall, (long long)all->wall_uj));
    }
    return SB_OK;
}

static json_t *source_object(const sb_sum *s)
{
    return json_pack("{s:I, s:I}", "answers", (json_int_t)s->n_answers, "energy_uj",
                     (json_int_t)s->energy_uj);
}

static json_t *row_object(const sb_report *r, const sb_report_row *row)
{
    const sb_sum *all = &row->of[SB_REPORT_ALL];
    json_t *o = json_object();
    bool ok = o != NULL;
    if (row != &r->total)
        sb_json_put(o, sb_report_by_name(r->by),
                    sb_json_text((sb_str){row->label, strlen(row->label)}), &ok);
    if (row != &r->total && r->by == SB_BY_KEY)
        sb_json_put(o, "key_id", json_integer(row->id), &ok);
    sb_json_put(o, "answers", json_integer(all->n_answers), &ok);
    sb_json_put(o, "tokens_in", json_integer(all->n_in), &ok);
    sb_json_put(o, "tokens_cached", json_integer(all->n_cached), &ok);
    sb_json_put(o, "tokens_out", json_integer(all->n_out), &ok);
    sb_json_put(o, "energy_uj", json_integer(all->energy_uj), &ok);
    sb_json_put(o, "energy_kwh", json_real((double)all->energy_uj / 3.6e12), &ok);
    if (n_known(row) > 0 && all->energy_uj > 0)
        sb_json_put(o, "joules_per_answer",
                    json_real((double)all->energy_uj / 1e6 / (double)n_known(row)), &ok);
    sb_json_put(o, "measured", source_object(&row->of[SB_SUM_MEASURED]), &ok);
    sb_json_put(o, "estimated", source_object(&row->of[SB_SUM_ESTIMATED]), &ok);
    sb_json_put(o, "unknown", source_object(&row->of[SB_SUM_UNKNOWN]), &ok);
    sb_json_put(o, "wall",
                json_pack("{s:I, s:I}", "answers", (json_int_t)all->n_wall, "wall_uj",
                          (json_int_t)all->wall_uj),
                &ok);
    sb_footprint_put(&r->footprint, all->energy_uj, o, &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static json_t *day_or_null(int64_t day, int64_t none)
{
    char text[16];
    if (day == none) return json_null();
    sb_report_day_text(day, text);
    return json_string(text);
}

json_t *sb_report_json(const sb_report *r)
{
    json_t *o = json_object(), *rows = json_array();
    bool ok = o && rows;
    for (size_t i = 0; ok && i < r->n; i++)
        ok = json_array_append_new(rows, row_object(r, &r->rows[i])) == 0;
    sb_json_put(o, "by", json_string(sb_report_by_name(r->by)), &ok);
    sb_json_put(o, "from", day_or_null(r->from_day, INT64_MIN), &ok);
    sb_json_put(o, "to", day_or_null(r->to_day, INT64_MAX), &ok);
    sb_json_put(o, "rows", rows, &ok);
    sb_json_put(o, "total", row_object(r, &r->total), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}
