/* SPDX-License-Identifier: Apache-2.0
 * bench_trace.h - `sobre bench trace`: a day of chats, replayed against our server and others.
 *
 * Errors      As trace_run.h; SB_INVALID also when --most is missed. */
#ifndef SB_CLI_BENCH_TRACE_H
#define SB_CLI_BENCH_TRACE_H
#include "cli/cli.h"

sb_status sb_bench_trace(const sb_cli *c, sb_error *err) SB_MUST_USE;
#endif
