/* SPDX-License-Identifier: Apache-2.0
 * cmd_perplexity.c - `sobre perplexity`: how surprised a model is by a text, or how far the fast
 * path strays from float32.
 *
 * Windows as llama-perplexity cuts them: ctx tokens each, none shared; in every window the rows
 * from ctx / 2 to ctx - 2 predict the token after them. Where the model wants a begin token, it
 * replaces the first token of a window. Only scored rows ask for logits, a few at a time: a
 * vocabulary of 262 144 makes a megabyte a row. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "cli/stop.h"
#include "engine/sampler.h"

enum { SCORE_ROWS = 64, FILL_ROWS = SB_MAX_BATCH_ROWS };

/* What one scored row adds. */
typedef struct row_score {
    double nll, kl;
    bool same_top;
} row_score;

typedef struct scorer {
    const sb_cli *c;
    sb_buf path, text;
    sb_ids ids;
    sb_pool *pool;
    sb_model *model;
    sb_engine *engine[2];   /* [1]: exact, with --against */
    sb_session *session[2]; /* of the window in work */
    int n_engines;
    int32_t n_ctx;
    int32_t *window; /* [n_ctx] */
    row_score rows[SCORE_ROWS];
    const int32_t *next_ids; /* what the rows in work should predict */
    int32_t n_rows;
    double nll, nll_2, kl; /* sums */
    int64_t n_scored, n_same, n_windows;
} scorer;

static void scorer_deinit(scorer *s)
{
    for (int i = 0; i < 2; i++) {
        sb_session_close(s->session[i]);
        sb_engine_free(s->engine[i]);
    }
    sb_model_close(s->model);
    sb_pool_free(s->pool);
    sb_free(s->window);
    sb_ids_deinit(&s->ids);
    sb_buf_deinit(&s->text);
    sb_buf_deinit(&s->path);
}

/* The text: a file, or standard input. */
static sb_status read_text(scorer *s, sb_error *err)
{
    const char *name = s->c->args->words[0];
    if (strcmp(name, "-") == 0) return sb_cli_read_text(name, &s->text, err);
    sb_map m;
    SB_TRY(sb_map_open(&m, name, err));
    const sb_status st = sb_buf_add(&s->text, m.p, m.bytes, err);
    sb_map_close(&m);
    return st;
}

static sb_status scorer_open(scorer *s, sb_error *err)
{
    const sb_args *a = s->c->args;
    s->n_ctx = (int32_t)a->v[SB_OPT_window].i;
    s->n_engines = a->v[SB_OPT_against].set ? 2 : 1;
    SB_TRY(read_text(s, err));
    SB_TRY(sb_cli_model_path(a->v[SB_OPT_model].s, &s->path, err));
    SB_TRY(sb_model_open(&s->model, s->path.p, err));
    const sb_str text = {s->text.p ? s->text.p : "", s->text.n};
    if (sb_tokenizer_add_bos(s->model->tok))
        SB_TRY(sb_ids_add(&s->ids, sb_tokenizer_bos(s->model->tok), err));
    SB_TRY(sb_tokenizer_encode(s->model->tok, text, SB_TOK_CONTENT, true, &s->ids, err));
    if (s->ids.n < (size_t)s->n_ctx)
        return SB_FAIL(err, SB_INVALID, "the text has %zu tokens, one window of --ctx takes %d",
                       s->ids.n, s->n_ctx);
    s->window = sb_alloc((size_t)s->n_ctx, sizeof *s->window);
    if (!s->window) return SB_FAIL(err, SB_NO_MEMORY, "perplexity: no memory");
    SB_TRY(sb_cli_pool(a, &s->pool, err));
    for (int i = 0; i < s->n_engines; i++) {
        sb_engine_opts o =
            sb_cli_engine_opts(a, s->n_ctx, s->n_ctx < FILL_ROWS ? s->n_ctx : FILL_ROWS);
        if (i == 1) o.precision = SB_EXACT, o.kv = SB_KV_F32; /* nothing rounded at all */
        SB_TRY(sb_engine_new(&s->engine[i], s->model, s->pool, &o, err));
    }
    return SB_OK;
}

/* log of the sum of exp of one row, and the index of its maximum (the first of equals). */
static double log_sum(const float *l, int32_t n, int32_t *out_top)
{
    int32_t top = 0;
    for (int32_t i = 1; i < n; i++)
        if (l[i] > l[top]) top = i;
    double sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += (double)expf(l[i] - l[top]);
    *out_top = top;
    return (double)l[top] + log(sum);
}

/* Rows of the step just made, shared out to the pool's threads. */
static void score_rows(void *ctx, int i_thread, int n_threads)
{
    scorer *s = ctx;
    const int32_t n_vocab = s->model->hp.n_vocab;
    for (int32_t r = i_thread; r < s->n_rows; r += n_threads) {
        const float *fast = sb_engine_logits(s->engine[0], 0, r);
        int32_t top = 0, top_exact = 0;
        const double z = log_sum(fast, n_vocab, &top);
        row_score *out = &s->rows[r];
        *out = (row_score){.nll = z - (double)fast[s->next_ids[r]]};
        if (s->n_engines < 2) continue;
        const float *exact = sb_engine_logits(s->engine[1], 0, r);
        const double z_exact = log_sum(exact, n_vocab, &top_exact);
        out->same_top = top == top_exact;
        for (int32_t i = 0; i < n_vocab; i++) {
            const double log_p = (double)exact[i] - z_exact;
            out->kl += (double)expf((float)log_p) * (log_p - ((double)fast[i] - z));
        }
    }
}

/* Feeds window[at .. at + n) to every engine. */
static sb_status feed(scorer *s, int32_t at, int32_t n, sb_want want, sb_error *err)
{
    if (sb_stop_asked(NULL)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
    for (int i = 0; i < s->n_engines; i++) {
        const sb_span span = {.s = s->session[i], .ids = s->window + at, .n = n, .want = want};
        SB_TRY(sb_engine_step(s->engine[i], &span, 1, err));
    }
    return SB_OK;
}

static sb_status score_window(scorer *s, sb_error *err)
{
    const int32_t first = s->n_ctx / 2, last = s->n_ctx - 1;
    for (int32_t at = 0, n; at < first; at += n) {
        n = first - at < FILL_ROWS ? first - at : FILL_ROWS;
        SB_TRY(feed(s, at, n, SB_WANT_NONE, err));
    }
    for (int32_t at = first, n; at < last; at += n) {
        n = last - at < SCORE_ROWS ? last - at : SCORE_ROWS;
        SB_TRY(feed(s, at, n, SB_WANT_ALL, err));
        s->n_rows = n;
        s->next_ids = s->window + at + 1;
        sb_pool_run(s->pool, score_rows, s);
        for (int32_t r = 0; r < n; r++) {
            s->nll += s->rows[r].nll;
            s->nll_2 += s->rows[r].nll * s->rows[r].nll;
            s->kl += s->rows[r].kl;
            s->n_same += s->rows[r].same_top;
        }
        s->n_scored += n;
    }
    return SB_OK;
}

static sb_status score_all(scorer *s, sb_error *err)
{
    const int64_t whole = (int64_t)(s->ids.n / (size_t)s->n_ctx);
    const sb_opt_value *chunks = &s->c->args->v[SB_OPT_chunks];
    const int64_t n = chunks->set && chunks->i < whole ? chunks->i : whole;
    for (int64_t w = 0; w < n; w++) {
        memcpy(s->window, s->ids.v + w * s->n_ctx, (size_t)s->n_ctx * sizeof *s->window);
        if (sb_tokenizer_add_bos(s->model->tok)) s->window[0] = sb_tokenizer_bos(s->model->tok);
        for (int i = 0; i < s->n_engines; i++) {
            sb_session_close(s->session[i]);
            s->session[i] = NULL;
            SB_TRY(sb_session_open(&s->session[i], s->engine[i], 1, err));
        }
        SB_TRY(score_window(s, err));
        s->n_windows = w + 1;
        if (isatty(2))
            sb_term_say("window %lld of %lld: perplexity %.4f", (long long)s->n_windows,
                        (long long)n, exp(s->nll / (double)s->n_scored));
    }
    return SB_OK;
}

static sb_status report(const scorer *s, sb_error *err)
{
    const double n = (double)s->n_scored, mean = s->nll / n;
    const double spread = s->nll_2 / n - mean * mean;
    const double ppl = exp(mean);
    const double error = n > 1 && spread > 0 ? sqrt(spread / (n - 1)) * ppl : 0;
    const double kl = s->kl / n, top = 100.0 * (double)s->n_same / n;
    if (s->c->args->v[SB_OPT_json].set) {
        json_t *o = json_pack("{s:f, s:f, s:I, s:I}", "perplexity", ppl, "error", error, "windows",
                              (json_int_t)s->n_windows, "tokens", (json_int_t)s->n_scored);
        bool ok = o != NULL;
        if (s->n_engines == 2) {
            sb_json_put(o, "kl", json_real(kl), &ok);
            sb_json_put(o, "top1", json_real(top), &ok);
        }
        return sb_json_print(s->c->out, o, err);
    }
    sb_out_addf(s->c->out, "perplexity %.4f +/- %.4f\n", ppl, error);
    if (s->n_engines == 2) sb_out_addf(s->c->out, "kl %.5f top1 %.2f\n", kl, top);
    return SB_OK;
}

sb_status sb_cmd_perplexity(const sb_cli *c, sb_error *err)
{
    scorer s = {.c = c};
    sb_buf_init(&s.path, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&s.text, SB_MAX_PROMPT_BYTES, "text");
    sb_ids_init(&s.ids, SB_MAX_PROMPT_BYTES);
    sb_status st = scorer_open(&s, err);
    if (st == SB_OK) st = score_all(&s, err);
    if (st == SB_OK) st = report(&s, err);
    scorer_deinit(&s);
    return st;
}
