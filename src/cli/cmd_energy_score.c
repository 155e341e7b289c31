/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy_score.c - `sobre energy score`: the queries, one at a time, several times over.
 *
 * A meter of its own counts each run as a whole: an answer may be shorter than a counter's step.
 * What prefill and decode took of it is divided by the answers' own figures. Nothing of one query
 * is kept for the next, so that each is read in full. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "cli/cmd_energy.h"
#include "cli/host.h"
#include "cli/json_out.h"
#include "cli/score.h"
#include "cli/setup.h"
#include "cli/stop.h"

static const char *const own[] = {
#define X(text) text,
#include "cli/score-prompts.def"
#undef X
};

enum { SHOWN = 64, LABEL_BYTES = 1 << 20 };

typedef struct scoring {
    const sb_cli *c;
    sb_host host;
    sb_meter *meter;
    sb_map file;     /* of --prompts */
    sb_str *prompts; /* [n_prompts] */
    size_t n_prompts;
    char source[SHOWN + 16], weights[SHOWN];
    sb_score score;
} scoring;

static size_t count_lines(sb_str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n;) {
        const char *end = memchr(text.p + i, '\n', text.n - i);
        const size_t len = end ? (size_t)(end - text.p) - i : text.n - i;
        n += len > 0;
        i += len + 1;
    }
    return n;
}

/* Each line that is not empty is a prompt. */
static sb_status read_prompts(scoring *s, sb_error *err)
{
    const char *path = s->c->args->v[SB_OPT_score_prompts].s;
    if (!path) {
        s->n_prompts = SB_ARRAY_LEN(own);
        (void)snprintf(s->source, sizeof s->source, "%zu of its own", s->n_prompts);
    } else {
        SB_TRY(sb_map_open(&s->file, path, err));
        const sb_str all = {(const char *)s->file.p, s->file.bytes};
        const size_t good = all.n ? sb_utf8_valid(all.p, all.n) : 0;
        if (good < all.n) return SB_FAIL(err, SB_INVALID, "--prompts: byte %zu is not UTF-8", good);
        s->n_prompts = count_lines(all);
        sb_path_escape(s->source, SHOWN, path);
        if (s->n_prompts == 0) return SB_FAIL(err, SB_INVALID, "--prompts: no line in the file");
    }
    s->prompts = sb_calloc(s->n_prompts, sizeof *s->prompts);
    if (!s->prompts) return SB_FAIL(err, SB_NO_MEMORY, "prompts: no memory");
    if (!path) {
        for (size_t i = 0; i < s->n_prompts; i++)
            s->prompts[i] = (sb_str){own[i], strlen(own[i])};
        return SB_OK;
    }
    const char *p = (const char *)s->file.p, *stop = p + s->file.bytes;
    for (size_t i = 0; p < stop && i < s->n_prompts;) {
        const char *end = memchr(p, '\n', (size_t)(stop - p));
        if (!end) end = stop;
        if (end > p) s->prompts[i++] = (sb_str){p, (size_t)(end - p)};
        p = end + 1;
    }
    return SB_OK;
}

static sb_status query(scoring *s, int64_t i, sb_score_run *run, sb_error *err)
{
    sb_turn t;
    const sb_str prompt = s->prompts[(size_t)i % s->n_prompts];
    const sb_message message = {.role = {"user", 4}, .content = prompt};
    const bool raw = !sb_chat_has_template(s->host.chat);
    const sb_prompt_request asked = {
        .messages = &message, .n_messages = 1, .thinking = sb_host_thinking(&s->host)};
    sb_sampling greedy = sb_host_sampling(&s->host, 0);
    greedy.temp = 0;
    const sb_turn_request rq = {.prompt = raw ? (sb_prompt_request){0} : asked,
                                .raw = prompt,
                                .sampling = greedy,
                                .max_tokens = (int32_t)s->score.max_tokens,
                                .n_logprobs = -1,
                                .cancel = sb_stop_flag()};
    sb_chat_forget(s->host.chat, 0);
    SB_TRY(sb_chat_turn(s->host.chat, &rq, &t, err));
    const bool known = t.energy.source != SB_ENERGY_UNAVAILABLE && t.energy.energy_uj > 0;
    run->prefill_part += known ? t.energy.prefill_uj : (int64_t)t.prefill_ns / 1000;
    run->decode_part +=
        known ? t.energy.energy_uj - t.energy.prefill_uj : (int64_t)t.decode_ns / 1000;
    run->n_in += (int64_t)t.prompt_ids.n;
    run->n_cached += t.n_cached;
    run->n_out += (int64_t)t.ids.n;
    sb_turn_deinit(&t);
    if (sb_stop_asked(NULL)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
    (void)sb_meter_begin(s->meter); /* a look at the counters, before one turns over unseen */
    return SB_OK;
}

static sb_status all_runs(scoring *s, sb_error *err)
{
    sb_score *score = &s->score;
    sb_score_run warm = {0};
    const int n_runs = (int)s->c->args->v[SB_OPT_score_runs].i;
    SB_TRY(query(s, 0, &warm, err)); /* packs what is packed when first used */
    sb_bar_begin(&s->host.bar, "asking", SB_BAR_QUERIES);
    for (int i = 0; i < n_runs; i++) {
        sb_score_run run = {0};
        const sb_meter_mark begin = sb_meter_begin(s->meter);
        for (int64_t k = 0; k < score->n_queries; k++) {
            SB_TRY(query(s, k, &run, err));
            sb_bar_show(&s->host.bar, (uint64_t)(i * score->n_queries + k + 1),
                        (uint64_t)(n_runs * score->n_queries));
        }
        run.energy = sb_meter_end(s->meter, &begin);
        score->runs[score->n_runs++] = run;
    }
    sb_bar_end(&s->host.bar);
    return SB_OK;
}

static sb_status write_label(const scoring *s, const char *path, sb_error *err)
{
    sb_buf b;
    char shown[SHOWN];
    sb_buf_init(&b, LABEL_BYTES, "label");
    sb_path_escape(shown, sizeof shown, path);
    sb_status st = sb_score_label(&s->score, &b, err);
    const int fd = st == SB_OK ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (st == SB_OK && (fd < 0 || write(fd, b.p, b.n) != (ssize_t)b.n))
        st = SB_FAIL(err, SB_IO, "--label '%s': cannot be written", shown);
    if (fd >= 0 && close(fd) != 0 && st == SB_OK)
        st = SB_FAIL(err, SB_IO, "--label '%s': cannot be written", shown);
    sb_buf_deinit(&b);
    return st;
}

static json_t *object_of(const scoring *s)
{
    const sb_score *sc = &s->score;
    const sb_score_result r = sb_score_of(sc);
    json_t *o = json_object(), *runs = json_array();
    bool ok = o && runs;
    for (int i = 0; ok && i < sc->n_runs; i++)
        ok = json_array_append_new(runs, sb_json_energy(&sc->runs[i].energy)) == 0;
    sb_json_put(o, "model", sb_json_text((sb_str){sc->model, strlen(sc->model)}), &ok);
    sb_json_put(o, "weights", json_string(sc->file), &ok);
    sb_json_put(o, "prompts", json_string(sc->prompts), &ok);
    sb_json_put(o, "official", json_false(), &ok);
    sb_json_put(o, "queries", json_integer(sc->n_queries), &ok);
    sb_json_put(o, "max_tokens", json_integer(sc->max_tokens), &ok);
    sb_json_put(o, "batch", json_integer(1), &ok);
    sb_json_put(o, "source", json_string(sb_energy_source_name(r.source)), &ok);
    sb_json_put(o, "wh_per_1000_queries", json_real((double)r.uwh / 1e6), &ok);
    sb_json_put(o, "uwh_per_1000_queries", json_integer(r.uwh), &ok);
    sb_json_put(o, "uwh_low", json_integer(r.lo_uwh), &ok);
    sb_json_put(o, "uwh_high", json_integer(r.hi_uwh), &ok);
    sb_json_put(o, "uwh_standard_error", json_integer(r.spread_uwh), &ok);
    sb_json_put(o, "prefill_uwh", json_integer(r.prefill_uwh), &ok);
    sb_json_put(o, "decode_uwh", json_integer(r.decode_uwh), &ok);
    sb_json_put(o, "seconds_per_query", json_real(r.seconds), &ok);
    sb_json_put(o, "tokens_in_per_query", json_real(r.n_in), &ok);
    sb_json_put(o, "tokens_cached_per_query", json_real(r.n_cached), &ok);
    sb_json_put(o, "tokens_out_per_query", json_real(r.n_out), &ok);
    sb_json_put(o, "threads", json_integer(sc->n_threads), &ok);
    sb_json_put(o, "runs", runs, &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static void show(const scoring *s)
{
    const sb_score *sc = &s->score;
    const sb_score_result r = sb_score_of(sc);
    sb_out *o = s->c->out;
    char wh[40], lo[40], hi[40], prefill[40], decode[40];
    sb_score_wh(r.uwh, r.digits, wh, sizeof wh);
    sb_score_wh(r.lo_uwh, r.digits, lo, sizeof lo);
    sb_score_wh(r.hi_uwh, r.digits, hi, sizeof hi);
    sb_score_wh(r.prefill_uwh, r.digits, prefill, sizeof prefill);
    sb_score_wh(r.decode_uwh, r.digits, decode, sizeof decode);
    if (r.source == SB_ENERGY_MEASURED)
        sb_out_say(o, "%s Wh for 1 000 queries (%s to %s), measured: %s (%s)", wh, lo, hi,
                   r.last->meter, r.last->scope);
    else
        sb_out_say(o, "about %s Wh for 1 000 queries (%s to %s), estimated: %s (%s)", wh, lo, hi,
                   r.last->meter, r.last->scope);
    sb_out_add(o, "\n", 1);
    sb_out_say(o, "of that prefill %s Wh, decode %s Wh", prefill, decode);
    sb_out_add(o, "\n", 1);
    sb_out_say(o, "%lld queries x %d runs, one at a time, at most %lld tokens each; prompts: %s",
               (long long)sc->n_queries, sc->n_runs, (long long)sc->max_tokens, sc->prompts);
    sb_out_add(o, "\n", 1);
    sb_out_say(o, "a query: %.1f tokens read, %.1f written, %.3f s", r.n_in, r.n_out, r.seconds);
    sb_out_add(o, "\n", 1);
    sb_out_say(
        o, "the task's shape is that of AI Energy Score (text generation); unofficial, not on an "
           "H100, other prompts and scope: not comparable with its board");
    sb_out_add(o, "\n", 1);
}

static sb_status score_open(scoring *s, sb_error *err)
{
    const sb_opt_value *v = s->c->args->v;
    const time_t now = time(NULL);
    struct tm tm = {0};
    SB_TRY(read_prompts(s, err));
    SB_TRY(sb_host_open(&s->host, err));
    sb_meter_roots roots = {.sysfs = getenv("SOBRE_SYSFS_ROOT")};
    SB_TRY(sb_cli_meter(&s->meter, &roots, err));
    const char *slash = strrchr(s->host.path.p, '/');
    sb_path_escape(s->weights, sizeof s->weights, slash ? slash + 1 : s->host.path.p);
    const char *name = strrchr(s->host.name, '/');
    s->score.model = name && name[1] ? name + 1 : s->host.name;
    s->score.file = s->weights;
    s->score.prompts = s->source;
    s->score.n_queries = v[SB_OPT_score_n].i;
    s->score.max_tokens = v[SB_OPT_score_tokens].i;
    s->score.n_threads = sb_cli_threads(s->c->args);
    if (!gmtime_r(&now, &tm) || strftime(s->score.date, sizeof s->score.date, "%Y-%m-%d", &tm) == 0)
        s->score.date[0] = 0;
    return SB_OK;
}

sb_status sb_cmd_energy_score(const sb_cli *c, sb_error *err)
{
    const sb_opt_value *v = c->args->v;
    const char *label = v[SB_OPT_score_label].s;
    scoring *s = sb_calloc(1, sizeof *s); /* a hundred runs are large for a stack */
    if (!s) return SB_FAIL(err, SB_NO_MEMORY, "score: no memory");
    s->c = c;
    sb_host_init(&s->host, c->args);
    sb_status st = score_open(s, err);
    if (st == SB_OK) st = all_runs(s, err);
    if (st == SB_OK && v[SB_OPT_json].set)
        st = sb_json_print(c->out, object_of(s), err);
    else if (st == SB_OK)
        show(s);
    if (st == SB_OK && label) st = write_label(s, label, err);
    if (st == SB_OK && label) sb_term_say("label: %s", label);
    sb_meter_close(s->meter);
    sb_host_close(&s->host);
    sb_map_close(&s->file);
    sb_free(s->prompts);
    sb_free(s);
    return st;
}
