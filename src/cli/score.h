/* SPDX-License-Identifier: Apache-2.0
 * score.h - energy of a thousand queries, as AI Energy Score asks for it, and its label.
 *
 * Purpose     Adds up runs of the same queries, one at a time, and says watt-hours for a thousand
 *             of them, with the meter's range widened by how far the runs lie apart. The shape is
 *             that of AI Energy Score's text generation; the machine and the scope are not, and
 *             everything printed says so.
 * Ownership   Plain data; texts are borrowed.
 * Errors      Of the buffer alone. */
#ifndef SB_CLI_SCORE_H
#define SB_CLI_SCORE_H
#include "base/buf.h"
#include "energy/meter.h"

enum { SB_SCORE_MAX_RUNS = 100 };

/* One run of all queries. */
typedef struct sb_score_run {
    sb_energy energy;     /* of the whole run, as the meter has it */
    int64_t prefill_part; /* of prefill_part + decode_part, as answers' own figures have it */
    int64_t decode_part;
    int64_t n_in, n_cached, n_out;
} sb_score_run;

typedef struct sb_score {
    const char *model, *file; /* as asked for; what weights */
    const char *prompts;      /* "120 of its own", or a path */
    int64_t n_queries, max_tokens;
    int n_runs;
    sb_score_run runs[SB_SCORE_MAX_RUNS];
    char date[16];
    int n_threads;
} sb_score;

/* Microwatt-hours for 1 000 queries. */
typedef struct sb_score_result {
    int64_t uwh, lo_uwh, hi_uwh, prefill_uwh, decode_uwh;
    int64_t spread_uwh;      /* standard error of the runs' mean; 0 of one run */
    sb_energy_source source; /* measured when every run was */
    int digits;
    double seconds, n_in, n_out, n_cached; /* a query */
    const sb_energy *last;                 /* names meter and scope */
} sb_score_result;

/* n_runs and n_queries are 1 or more. */
sb_score_result sb_score_of(const sb_score *s);
/* "0.42" watt-hours with so many digits. */
void sb_score_wh(int64_t uwh, int digits, char *out, size_t out_bytes);
/* The label as SVG. */
sb_status sb_score_label(const sb_score *s, sb_buf *out, sb_error *err) SB_MUST_USE;
#endif
