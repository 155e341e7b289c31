/* SPDX-License-Identifier: Apache-2.0
 * trace_table.c - runs to lines. A figure that is not known is a dash, in JSON null. */
#include "cli/trace_table.h"

#include <stdio.h>
#include <string.h>

#include "cli/json_out.h"

enum { FIGURE_BYTES = 32 };

/* One row of a table: what it says of a run; below 0: not known. */
typedef struct figure {
    const char *name;
    double (*of)(const sb_trace_run *r, double n_answers);
    bool has_ratio;
} figure;

static double cpu_s(const sb_trace_run *r, double n)
{
    return r->all_cpu_ns ? (double)r->all_cpu_ns / 1e9 / n : -1;
}

static double load_s(const sb_trace_run *r, double n)
{
    (void)n;
    return r->load_cpu_ns ? (double)r->load_cpu_ns / 1e9 / SB_TRACE_PARTS : -1;
}

static double wall_s(const sb_trace_run *r, double n)
{
    return (double)r->wall_ns / 1e9 / n;
}

static double wait_s(const sb_trace_run *r, double n)
{
    (void)n;
    return (double)r->wait_ns / 1e9;
}

static double package_j(const sb_trace_run *r, double n)
{
    return r->package_uj < 0 ? -1 : (double)r->package_uj / 1e6 / n;
}

static double receipt_j(const sb_trace_run *r, double n)
{
    return r->energy_uj < 0 ? -1 : (double)r->energy_uj / 1e6 / n;
}

static double prompt_tok(const sb_trace_run *r, double n)
{
    return (double)r->n_prompt / n;
}

static double cached_tok(const sb_trace_run *r, double n)
{
    return (double)r->n_cached / n;
}

static const figure figures[] = {{"CPU s per answer, loading included", cpu_s, true},
                                 {"CPU s of one start", load_s, true},
                                 {"J per answer, whole CPU packages", package_j, true},
                                 {"J per answer, by receipts", receipt_j, false},
                                 {"wall s per answer", wall_s, true},
                                 {"s from question to answer, median", wait_s, true},
                                 {"prompt tokens per answer", prompt_tok, true},
                                 {"of them found in a cache", cached_tok, false}};

const sb_trace_run *sb_trace_ours(const sb_trace_report *t, const sb_trace_run *r)
{
    for (size_t i = 0; i < t->n_runs; i++)
        if (!t->runs[i].lever && t->runs[i].program == t->runs[0].program &&
            t->runs[i].n_users == r->n_users)
            return &t->runs[i];
    return &t->runs[0]; /* every number of users has a run of ours */
}

const sb_trace_run *sb_trace_best_peer(const sb_trace_report *t, int n_users)
{
    const sb_trace_run *best = NULL;
    for (size_t i = 0; i < t->n_runs; i++) {
        const sb_trace_run *r = &t->runs[i];
        if (r->lever || r->program == t->runs[0].program || r->n_users != n_users || !r->all_cpu_ns)
            continue;
        if (!best || r->all_cpu_ns < best->all_cpu_ns) best = r;
    }
    return best;
}

static const char *shown(double x, char out[FIGURE_BYTES])
{
    (void)snprintf(out, FIGURE_BYTES, x < 0 ? "-" : "%.3g", x);
    return out;
}

/* An estimate has one digit that means something. */
static const char *shown_joules(const sb_trace_run *r, double n, char out[FIGURE_BYTES])
{
    const double x = receipt_j(r, n);
    if (x < 0 || r->source == SB_ENERGY_MEASURED) return shown(x, out);
    (void)snprintf(out, FIGURE_BYTES, "%.1g", x);
    return out;
}

/* Columns of the table of the runs that have no lever: those of the first number of users. */
static size_t n_columns(const sb_trace_report *t)
{
    size_t n = 0;
    while (n < t->n_runs && !t->runs[n].lever && t->runs[n].n_users == t->runs[0].n_users)
        n++;
    return n;
}

static void print_row(const sb_trace_report *t, const sb_trace_run *ours, size_t n, const figure *f,
                      sb_out *out)
{
    const double n_answers = (double)t->work->trace.n_turns, x = f->of(ours, n_answers);
    char text[FIGURE_BYTES];
    sb_out_addf(out, "| %d user%s: %s%s |", ours->n_users, ours->n_users == 1 ? "" : "s", f->name,
                f->of == receipt_j && ours->source == SB_ENERGY_ESTIMATED ? " (estimated)" : "");
    for (size_t i = 0; i < n; i++)
        sb_out_addf(out, " %s |",
                    f->of == receipt_j ? shown_joules(&ours[i], n_answers, text)
                                       : shown(f->of(&ours[i], n_answers), text));
    for (size_t i = 1; n > 1 && i < n; i++) {
        const double y = f->of(&ours[i], n_answers);
        const bool known = f->has_ratio && x >= 0 && y > 0;
        sb_out_addf(out, "%s%s", i > 1 ? ", " : " ", shown(known ? x / y : -1, text));
    }
    sb_out_addf(out, n > 1 ? " |\n" : "\n");
}

/* A row that nobody can fill says nothing. */
static bool is_known(const figure *f, const sb_trace_run *runs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (f->of(&runs[i], 1) >= 0) return true;
    return false;
}

static void print_servers(const sb_trace_report *t, sb_out *out)
{
    const size_t n = n_columns(t);
    const sb_trace *trace = &t->work->trace;
    sb_out_addf(out, "| %zu chats, %zu answers of %d tokens, %d restart, %d thread%s |",
                trace->n_chats, trace->n_turns, (int)t->work->n_tokens, SB_TRACE_PARTS - 1,
                t->n_threads, t->n_threads == 1 ? "" : "s");
    for (size_t i = 0; i < n; i++) {
        sb_out_addf(out, " ");
        sb_out_escaped(out, (sb_str){t->runs[i].program->name, strlen(t->runs[i].program->name)},
                       false);
        sb_out_addf(out, " |");
    }
    sb_out_addf(out, n > 1 ? " sobre / them |\n|" : "\n|");
    for (size_t i = 0; i < n + 1 + (n > 1); i++)
        sb_out_addf(out, "---|");
    sb_out_addf(out, "\n");
    for (size_t i = 0; i < t->n_runs && !t->runs[i].lever; i += n)
        for (size_t k = 0; k < SB_ARRAY_LEN(figures); k++)
            if (is_known(&figures[k], &t->runs[i], n))
                print_row(t, &t->runs[i], n, &figures[k], out);
}

static void print_lever(const sb_trace_report *t, const sb_trace_run *r, sb_out *out)
{
    const double n = (double)t->work->trace.n_turns;
    const sb_trace_run *base = sb_trace_ours(t, r);
    char cpu[FIGURE_BYTES], joules[FIGURE_BYTES], wall[FIGURE_BYTES], times[FIGURE_BYTES];
    sb_out_addf(out, "| %s | %d |", r->lever ? r->lever : "as it is", r->n_users);
    if (r->failed) {
        sb_out_addf(out, " - | - | - | - | - |\n");
        return;
    }
    sb_out_addf(out, " %s | %s | %s | %s | %s |\n", shown(cpu_s(r, n), cpu),
                shown_joules(r, n, joules), shown(wall_s(r, n), wall),
                shown(cpu_s(r, n) / cpu_s(base, n), times),
                sb_trace_run_same_words(r, base, t->work) ? "the same" : "others");
}

static void print_levers(const sb_trace_report *t, sb_out *out)
{
    size_t first = 0;
    while (first < t->n_runs && !t->runs[first].lever)
        first++;
    if (first == t->n_runs) return;
    sb_out_addf(out,
                "\n| lever | users | CPU s per answer | J per answer, %s | wall s per answer | "
                "times the CPU s | words |\n|---|---|---|---|---|---|---|\n",
                sb_energy_source_name(t->runs[0].source));
    for (size_t i = 0; i < t->n_runs; i++)
        if (t->runs[i].program == t->runs[0].program) print_lever(t, &t->runs[i], out);
}

void sb_trace_print(const sb_trace_report *t, sb_out *out)
{
    print_servers(t, out);
    print_levers(t, out);
}

/* ---- JSON ---- */

static json_t *real_or_null(double x)
{
    return x < 0 ? json_null() : json_real(x);
}

static json_t *json_of(const sb_trace_report *t, const sb_trace_run *r)
{
    const double n = (double)t->work->trace.n_turns;
    const sb_trace_run *base = sb_trace_ours(t, r);
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_json_put(o, "server", sb_json_text((sb_str){r->program->name, strlen(r->program->name)}),
                &ok);
    sb_json_put(o, "lever", r->lever ? json_string(r->lever) : json_null(), &ok);
    sb_json_put(o, "users", json_integer(r->n_users), &ok);
    sb_json_put(o, "failed", json_boolean(r->failed), &ok);
    sb_json_put(o, "prompt_tokens", json_integer(r->n_prompt), &ok);
    sb_json_put(o, "cached_tokens", json_integer(r->n_cached), &ok);
    sb_json_put(o, "completion_tokens", json_integer(r->n_new), &ok);
    sb_json_put(o, "cpu_seconds_per_answer", real_or_null(cpu_s(r, n)), &ok);
    sb_json_put(o, "cpu_seconds_of_a_start", real_or_null(load_s(r, n)), &ok);
    sb_json_put(o, "wall_seconds_per_answer", real_or_null(wall_s(r, n)), &ok);
    sb_json_put(o, "seconds_to_an_answer", real_or_null(wait_s(r, n)), &ok);
    sb_json_put(o, "package_joules_per_answer", real_or_null(package_j(r, n)), &ok);
    sb_json_put(o, "receipt_joules_per_answer", real_or_null(receipt_j(r, n)), &ok);
    sb_json_put(o, "energy_source", json_string(sb_energy_source_name(r->source)), &ok);
    sb_json_put(o, "same_words", json_boolean(sb_trace_run_same_words(r, base, t->work)), &ok);
    const bool known = r->all_cpu_ns && base->all_cpu_ns && !r->failed;
    const double ratio = known ? (double)base->all_cpu_ns / (double)r->all_cpu_ns : -1;
    sb_json_put(o, "cpu_ratio_of_sobre", real_or_null(ratio), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

sb_status sb_trace_print_json(const sb_trace_report *t, sb_out *out, sb_error *err)
{
    json_t *o = json_object(), *runs = json_array();
    bool ok = o && runs;
    for (size_t i = 0; ok && i < t->n_runs; i++)
        ok = json_array_append_new(runs, json_of(t, &t->runs[i])) == 0;
    sb_json_put(o, "model", sb_json_text((sb_str){t->model, strlen(t->model)}), &ok);
    sb_json_put(o, "chats", json_integer((json_int_t)t->work->trace.n_chats), &ok);
    sb_json_put(o, "answers", json_integer((json_int_t)t->work->trace.n_turns), &ok);
    sb_json_put(o, "tokens_per_answer", json_integer(t->work->n_tokens), &ok);
    sb_json_put(o, "threads", json_integer(t->n_threads), &ok);
    sb_json_put(o, "starts", json_integer(SB_TRACE_PARTS), &ok);
    sb_json_put(o, "runs", runs, &ok);
    if (ok) return sb_json_print(out, o, err);
    json_decref(o);
    return SB_FAIL(err, SB_NO_MEMORY, "JSON: no memory");
}
