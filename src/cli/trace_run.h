/* SPDX-License-Identifier: Apache-2.0
 * trace_run.h - one column or one lever of the trace bench: a server, so many users, what it took.
 *
 * Purpose     A run is made in parts; each part starts the server, replays its share of the chats
 *             and ends it, so that loading and what is kept between two starts count in every run.
 * Invariants  After the last part the sums stand for all chats of the trace.
 * Ownership   A run owns its answers (_deinit takes a zeroed one); the rest is borrowed.
 * Errors      As trace_replay.h. */
#ifndef SB_CLI_TRACE_RUN_H
#define SB_CLI_TRACE_RUN_H
#include "cli/trace_replay.h"

enum { SB_TRACE_PARTS = 2 };

/* What all runs have in common. */
typedef struct sb_trace_work {
    sb_trace trace;
    sb_curl_lib lib;
    sb_meter *meter;
    int32_t n_tokens; /* of each answer */
} sb_trace_work;

typedef struct sb_trace_run {
    sb_trace_program *program;
    const char *lever; /* NULL: as it is */
    const char *more;  /* further words of its command line, or "" */
    int n_users;
    bool no_cache;
    sb_trace_answer *answers; /* [n_turns] */
    uint64_t load_cpu_ns;     /* until it was ready */
    uint64_t all_cpu_ns;      /* from start to end, loading included; 0: not known */
    uint64_t wall_ns;         /* while it was asked */
    int64_t package_uj;       /* meanwhile, of the whole machine's packages; -1: no meter */
    /* Of the answers, by sb_trace_run_sum(): */
    uint64_t wait_ns;  /* median */
    int64_t energy_uj; /* by the receipts; -1: an answer had none */
    sb_energy_source source;
    int64_t n_prompt, n_cached, n_new;
    bool failed; /* a lever that this machine or model does not have */
} sb_trace_run;

sb_status sb_trace_run_init(sb_trace_run *r, const sb_trace_work *w, sb_error *err) SB_MUST_USE;
void sb_trace_run_deinit(sb_trace_run *r);
sb_status sb_trace_run_part(sb_trace_run *r, const sb_trace_work *w, size_t i_part,
                            sb_error *err) SB_MUST_USE;
sb_status sb_trace_run_sum(sb_trace_run *r, const sb_trace_work *w, sb_error *err) SB_MUST_USE;
/* SB_INVALID unless both answered the same first questions, token for token, and read about as much
 * in all: later questions carry what each server itself has said. */
sb_status sb_trace_run_check_equal(const sb_trace_run *ours, const sb_trace_run *theirs,
                                   const sb_trace_work *w, sb_error *err) SB_MUST_USE;
/* Both said the same in every answer. */
bool sb_trace_run_same_words(const sb_trace_run *a, const sb_trace_run *b, const sb_trace_work *w);
/* Seconds of processor time an answer, loading included; 0: not known. */
double sb_trace_run_cpu_s(const sb_trace_run *r, const sb_trace_work *w);
#endif
