/* SPDX-License-Identifier: Apache-2.0
 * trace_replay.h - chats of a trace, asked of one server by so many users at once.
 *
 * Purpose     Each user takes the next chat that nobody has and asks its questions one after
 *             another, the history carried on. Every answer is asked for at temperature 0 and with
 *             exactly so many tokens, so that all servers do the same work; one that has fewer is
 *             an error.
 * Ownership   The job borrows all it names.
 * Errors      As trace_server.h, and SB_INVALID where the work was not what was asked for.
 * Threads     The caller's, and one for each user while it runs. */
#ifndef SB_CLI_TRACE_REPLAY_H
#define SB_CLI_TRACE_REPLAY_H
#include "cli/trace.h"
#include "cli/trace_server.h"
#include "energy/meter.h"

enum { SB_TRACE_MAX_USERS = 64 };

/* What one question brought. */
typedef struct sb_trace_answer {
    uint64_t words_sum; /* of the text: equal texts, equal sums */
    uint64_t wait_ns;   /* from the question to the whole answer */
    int32_t n_prompt, n_cached, n_new;
    int64_t energy_uj; /* its receipt's; of source UNAVAILABLE when it had none */
    sb_energy_source source;
} sb_trace_answer;

typedef struct sb_trace_job {
    const sb_trace *trace;
    size_t from, to; /* of its chats */
    const char *base;
    const sb_curl_lib *lib;
    int n_users;
    int32_t n_tokens;
    bool no_cache;            /* cache_prompt: false */
    sb_meter *meter;          /* the machine's */
    sb_trace_answer *answers; /* [trace->n_turns], those of the job's chats are filled */
} sb_trace_job;

/* What the machine says of the whole of it. */
typedef struct sb_trace_sum {
    uint64_t wall_ns;
    int64_t package_uj; /* -1: no meter, or it failed meanwhile */
} sb_trace_sum;

sb_status sb_trace_replay(const sb_trace_job *job, sb_trace_sum *out, sb_error *err) SB_MUST_USE;
#endif
