/* SPDX-License-Identifier: Apache-2.0
 * trace_run.c - parts, sums, and whether two runs did the same work.
 *
 * Loading counts: a server that prepares for long pays for it. It is told apart, too. */
#include "cli/trace_run.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { PROMPTS_PCT = 5 }; /* how far the sums of prompt tokens may be apart */

sb_status sb_trace_run_init(sb_trace_run *r, const sb_trace_work *w, sb_error *err)
{
    r->answers = sb_calloc(w->trace.n_turns, sizeof *r->answers);
    return r->answers ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
}

void sb_trace_run_deinit(sb_trace_run *r)
{
    sb_free(r->answers);
    r->answers = NULL;
}

static sb_status replay(sb_trace_run *r, const sb_trace_work *w, const sb_trace_server *server,
                        size_t i_part, sb_error *err)
{
    const size_t n = w->trace.n_chats;
    const sb_trace_job job = {.trace = &w->trace,
                              .from = n * i_part / SB_TRACE_PARTS,
                              .to = n * (i_part + 1) / SB_TRACE_PARTS,
                              .base = server->base,
                              .lib = &w->lib,
                              .n_users = r->n_users,
                              .n_tokens = w->n_tokens,
                              .no_cache = r->no_cache,
                              .meter = w->meter,
                              .answers = r->answers};
    sb_trace_sum sum;
    SB_TRY(sb_trace_replay(&job, &sum, err));
    r->wall_ns += sum.wall_ns;
    if (sum.package_uj < 0)
        r->package_uj = -1;
    else if (r->package_uj >= 0)
        r->package_uj += sum.package_uj;
    return SB_OK;
}

sb_status sb_trace_run_part(sb_trace_run *r, const sb_trace_work *w, size_t i_part, sb_error *err)
{
    const size_t n = w->trace.n_chats, n_words = r->program->n_words;
    if (n * i_part / SB_TRACE_PARTS == n * (i_part + 1) / SB_TRACE_PARTS) return SB_OK;
    sb_trace_server server = {0};
    sb_status s = sb_trace_add_words(r->program, r->more, err);
    if (s == SB_OK) s = sb_trace_server_start(&server, r->program, &w->lib, err);
    if (s == SB_OK) {
        r->load_cpu_ns += sb_trace_server_cpu_ns(&server);
        s = replay(r, w, &server, i_part, err);
        r->all_cpu_ns += sb_trace_server_stop(&server);
    }
    sb_trace_cut_words(r->program, n_words);
    return s == SB_OK ? s : sb_error_prefix(err, s, "%s", r->program->name);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

sb_status sb_trace_run_sum(sb_trace_run *r, const sb_trace_work *w, sb_error *err)
{
    const size_t n = w->trace.n_turns;
    uint64_t *waits = sb_alloc(n, sizeof *waits);
    if (!waits) return SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
    r->source = SB_ENERGY_MEASURED;
    for (size_t i = 0; i < n; i++) {
        const sb_trace_answer *a = &r->answers[i];
        waits[i] = a->wait_ns;
        r->n_prompt += a->n_prompt;
        r->n_cached += a->n_cached;
        r->n_new += a->n_new;
        r->energy_uj += a->energy_uj;
        if (r->source != SB_ENERGY_UNAVAILABLE && a->source != SB_ENERGY_MEASURED)
            r->source = a->source;
    }
    if (r->source == SB_ENERGY_UNAVAILABLE) r->energy_uj = -1;
    qsort(waits, n, sizeof *waits, by_value);
    r->wait_ns = waits[n / 2];
    sb_free(waits);
    return SB_OK;
}

sb_status sb_trace_run_check_equal(const sb_trace_run *ours, const sb_trace_run *theirs,
                                   const sb_trace_work *w, sb_error *err)
{
    for (size_t i = 0; i < w->trace.n_chats; i++) {
        const size_t k = w->trace.chats[i].i_first;
        const int32_t x = ours->answers[k].n_prompt, y = theirs->answers[k].n_prompt;
        if (x != y)
            return SB_FAIL(err, SB_INVALID,
                           "%.60s reads %d tokens in the first question of chat %zu, %.60s reads "
                           "%d: that is not equal work",
                           ours->program->name, (int)x, i + 1, theirs->program->name, (int)y);
    }
    const int64_t apart = llabs(ours->n_prompt - theirs->n_prompt);
    if (apart * 100 <= ours->n_prompt * PROMPTS_PCT) return SB_OK;
    return SB_FAIL(err, SB_INVALID,
                   "%.60s reads %" PRId64 " tokens in all, %.60s reads %" PRId64
                   ": more than %d %% apart is not equal work",
                   ours->program->name, ours->n_prompt, theirs->program->name, theirs->n_prompt,
                   PROMPTS_PCT);
}

bool sb_trace_run_same_words(const sb_trace_run *a, const sb_trace_run *b, const sb_trace_work *w)
{
    for (size_t i = 0; i < w->trace.n_turns; i++)
        if (a->answers[i].words_sum != b->answers[i].words_sum) return false;
    return true;
}

double sb_trace_run_cpu_s(const sb_trace_run *r, const sb_trace_work *w)
{
    return (double)r->all_cpu_ns / 1e9 / (double)w->trace.n_turns;
}
