/* SPDX-License-Identifier: Apache-2.0
 * trace_table.h - what the trace bench prints: Markdown tables, or one JSON object.
 *
 * Ownership   Borrows the runs. Those without a lever come first, ours before the peers', once for
 *             each number of users; then those with one.
 * Errors      SB_NO_MEMORY. */
#ifndef SB_CLI_TRACE_TABLE_H
#define SB_CLI_TRACE_TABLE_H
#include "cli/term.h"
#include "cli/trace_run.h"

typedef struct sb_trace_report {
    const sb_trace_work *work;
    const sb_trace_run *runs; /* [n_runs] */
    size_t n_runs;
    const char *model; /* its file */
    int n_threads;
} sb_trace_report;

/* The run without a lever of our server with as many users as r has. */
const sb_trace_run *sb_trace_ours(const sb_trace_report *t, const sb_trace_run *r);
/* Of those without a lever, the peer that took least with so many users; NULL: none is known. */
const sb_trace_run *sb_trace_best_peer(const sb_trace_report *t, int n_users);

void sb_trace_print(const sb_trace_report *t, sb_out *out);
sb_status sb_trace_print_json(const sb_trace_report *t, sb_out *out, sb_error *err) SB_MUST_USE;
#endif
