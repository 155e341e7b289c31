/* SPDX-License-Identifier: Apache-2.0
 * report.h - what was spent, in rows by day, key or model, and as table, CSV, JSON, SVG or a page.
 *
 * Purpose     Adds up the hourly sums of the data base (store/sums.h) and shows them. Energy that
 *             was measured, that was estimated, and that nobody knows the source of, stand apart in
 *             every form, and what answers come to at the wall (energy/wall.h) is beside them.
 *             Whole microjoules in what programs read; people get the digits that are
 *             known, and an estimate is marked by ~.
 * Days        Are UTC's: the sums are by the hour of UTC.
 * Ownership   sb_report owns its rows.
 * Errors      SB_LIMIT (SB_MAX_REPORT_ROWS), SB_NO_MEMORY. */
#ifndef SB_CLI_REPORT_H
#define SB_CLI_REPORT_H
#include "cli/footprint.h"
#include "store/sums.h"

typedef enum sb_report_by { SB_BY_DAY, SB_BY_KEY, SB_BY_MODEL } sb_report_by; /* of --by */

enum { SB_REPORT_LABEL_BYTES = SB_SUM_MODEL_BYTES + 1, SB_REPORT_ALL = SB_SUM_SOURCE_COUNT };

typedef struct sb_report_row {
    int64_t id; /* day since 1970, or owner */
    char label[SB_REPORT_LABEL_BYTES];
    sb_sum of[SB_SUM_SOURCE_COUNT + 1]; /* by source, and all of them */
} sb_report_row;

typedef struct sb_report {
    sb_report_by by;
    sb_report_row *rows;
    size_t n, cap;
    sb_report_row total;
    int64_t from_day, to_day; /* as asked; to_day with it. INT64_MIN, INT64_MAX: not asked */
    sb_footprint footprint;
} sb_report;

void sb_report_deinit(sb_report *r);
/* Adds one sum; a sb_sum_part with the report as ctx. */
sb_status sb_report_add(void *report, sb_owner owner, const sb_sum *s, sb_error *err) SB_MUST_USE;
/* Days in their order, keys and models with the most energy first. */
void sb_report_sort(sb_report *r);
/* "2026-11-27" of a day since 1970, and back; false on anything else. */
void sb_report_day_text(int64_t day, char out[16]);
bool sb_report_day_parse(const char *text, int64_t *out);

/* For people: a table; a chart, of the last days or of what spent most; a page that needs nothing
 * else. For programs: CSV with a line of names, and an object. */
void sb_report_table(const sb_report *r, sb_out *o);
sb_status sb_report_svg(const sb_report *r, sb_buf *out, sb_error *err) SB_MUST_USE;
sb_status sb_report_html(const sb_report *r, sb_buf *out, sb_error *err) SB_MUST_USE;
sb_status sb_report_csv(const sb_report *r, sb_buf *out, sb_error *err) SB_MUST_USE;
json_t *sb_report_json(const sb_report *r); /* NULL: no memory */

/* ---- between report*.c ---- */

enum { SB_REPORT_CELLS = 10, SB_REPORT_CELL_BYTES = SB_REPORT_LABEL_BYTES + 32 };
typedef struct sb_report_cells {
    int n;
    char v[SB_REPORT_CELLS][SB_REPORT_CELL_BYTES];
} sb_report_cells;
/* The line of names, in the reader's language, and a row under it; both have as many cells. */
void sb_report_heads(const sb_report *r, sb_report_cells *out);
void sb_report_cells_of(const sb_report *r, const sb_report_row *row, sb_report_cells *out);
/* "~0.00003": kWh with the digits that are known of it. */
void sb_report_kwh(int64_t uj, bool measured, char *out, size_t out_bytes);
/* What the rows are of, when, and how the numbers came about: line i, NULL behind the last. */
const char *sb_report_note(const sb_report *r, int i, char *room, size_t room_bytes);
const char *sb_report_by_name(sb_report_by by); /* "day", "key", "model" */
#endif
