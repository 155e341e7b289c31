/* SPDX-License-Identifier: Apache-2.0
 * host.c - from options to an open model; answers to the screen. */
#include "cli/host.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "cli/setup.h"
#include "cli/stop.h"

static const char default_model[] = "smollm2-135m";

void sb_host_init(sb_host *h, const sb_args *a)
{
    *h = (sb_host){.args = a, .begin_ns = sb_now_ns()};
    h->name = a->v[SB_OPT_model].set ? a->v[SB_OPT_model].s : default_model;
    sb_buf_init(&h->path, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&h->record, SB_MAX_PATH_BYTES * 32, "hashes of a model");
    sb_buf_init(&h->template_file, SB_MAX_TEMPLATE_BYTES, "chat template");
}

void sb_host_close(sb_host *h)
{
    sb_chat_close(h->chat);
    sb_rest_deinit(&h->rest);
    sb_stop_keep_governor(NULL);
    sb_governor_close(h->governor);
    sb_ledger_close(h->ledger);
    sb_receipt_out_close(&h->receipt);
    sb_meter_close(h->meter);
    sb_meter_web_close(&h->meter_web);
    sb_pool_free(h->pool);
    sb_buf_deinit(&h->template_file);
    sb_buf_deinit(&h->record);
    sb_buf_deinit(&h->path);
}

static sb_status choose_seed(const sb_args *a, uint64_t *out, sb_error *err)
{
    const int64_t asked = a->v[SB_OPT_seed].i;
    if (asked >= 0) {
        *out = (uint64_t)asked;
        return SB_OK;
    }
    uint64_t drawn = 0;
    if (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
        return SB_FAIL(err, SB_IO, "no random number for the seed: give --seed");
    *out = drawn >> 11; /* 53 bits: every JSON reader keeps them */
    return SB_OK;
}

/* --template: a built-in name, else a file. */
static sb_status find_template(sb_host *h, sb_str *out, sb_error *err)
{
    const char *what = h->args->v[SB_OPT_template].s;
    *out = (sb_str){NULL, 0};
    if (!what) return SB_OK;
    *out = sb_prompt_builtin((sb_str){what, strlen(what)});
    if (out->n) return SB_OK;
    sb_map m;
    const sb_status opened = sb_map_open(&m, what, err);
    if (opened == SB_NOT_FOUND && !strchr(what, '/')) {
        char shown[64];
        sb_path_escape(shown, sizeof shown, what);
        return SB_FAIL(err, SB_NOT_FOUND, "--template '%s': neither a file nor one of %s", shown,
                       sb_prompt_builtin_list());
    }
    if (opened != SB_OK) return sb_error_prefix(err, opened, "--template");
    sb_status s = sb_buf_add(&h->template_file, m.p ? (const char *)m.p : "", m.bytes, err);
    sb_map_close(&m);
    if (s == SB_OK && h->template_file.n == 0) s = SB_FAIL(err, SB_INVALID, "the file is empty");
    *out = (sb_str){h->template_file.p, h->template_file.n};
    return s == SB_OK ? s : sb_error_prefix(err, s, "--template");
}

sb_status sb_host_check_system(const sb_args *a, sb_error *err)
{
    const char *system = a->v[SB_OPT_system].s;
    if (system && sb_utf8_valid(system, strlen(system)) != strlen(system))
        return SB_FAIL(err, SB_INVALID, "--system is not UTF-8");
    return SB_OK;
}

static bool show_pack(void *ctx, uint64_t done_bytes, uint64_t all_bytes)
{
    sb_bar_show(&((sb_host *)ctx)->bar, done_bytes, all_bytes);
    return !sb_stop_asked(NULL);
}

sb_status sb_host_open(sb_host *h, sb_error *err)
{
    const sb_args *a = h->args;
    sb_str template_text;
    SB_TRY(choose_seed(a, &h->seed, err));
    SB_TRY(find_template(h, &template_text, err));
    SB_TRY(sb_cli_model_path(h->name, &h->path, err));
    SB_TRY(sb_cli_pool(a, &h->pool, err));
    sb_rest_init(&h->rest, (int)a->v[SB_OPT_power].i, sb_pool_n_threads(h->pool));
    sb_meter_roots roots;
    SB_TRY(sb_meter_web_open(&h->meter_web, a, &roots, err));
    SB_TRY(sb_cli_meter(&h->meter, &roots, err));
    sb_ledger_opts lo = {.meter = h->meter};
    if (a->v[SB_OPT_receipt].s) {
        SB_TRY(sb_receipt_out_open(&h->receipt, h->meter, err));
        lo.on_tick = sb_receipt_out_on_tick;
        lo.ctx = &h->receipt;
        lo.first_owner = sb_receipt_out_first_owner(&h->receipt);
    }
    SB_TRY(sb_ledger_open(&h->ledger, &lo, err));
    SB_TRY(sb_cli_governor(a, &h->governor, err));
    sb_stop_keep_governor(h->governor);
    const int32_t n_ctx = (int32_t)a->v[SB_OPT_ctx].i; /* 0: the model's own */
    sb_engine_opts eo = sb_cli_engine_opts(a, n_ctx, SB_MAX_BATCH_ROWS);
    eo.on_pack = show_pack;
    eo.pack_ctx = h;
    SB_TRY(sb_cli_pack_cache(a, h->name, &h->record, &eo, err));
    const sb_chat_opts o = {.engine = eo,
                            .pool = h->pool,
                            .ledger = h->ledger,
                            .rest = &h->rest,
                            .governor = h->governor,
                            .template_text = template_text};
    sb_bar_begin(&h->bar, "loading", SB_BAR_BYTES);
    const sb_status s = sb_chat_open(&h->chat, h->path.p, &o, err);
    sb_bar_end(&h->bar);
    const char *warning = s == SB_OK ? sb_tokenizer_warning(sb_chat_model(h->chat)->tok) : NULL;
    if (warning) sb_term_say("%s", warning);
    if (s == SB_OK) sb_cli_model_notes(sb_chat_model(h->chat));
    if (s == SB_OK) sb_cli_weights_note(a, sb_chat_engine(h->chat));
    h->ready_ns = sb_now_ns();
    return s;
}

sb_sampling sb_host_sampling(const sb_host *h, uint64_t i_turn)
{
    const sb_opt_value *v = h->args->v;
    const float recommended = sb_chat_model(h->chat)->temp;
    const float temp = v[SB_OPT_temp].set ? (float)v[SB_OPT_temp].f
                       : recommended >= 0 ? recommended
                                          : 0.7f;
    return (sb_sampling){.temp = temp,
                         .top_k = (int32_t)v[SB_OPT_top_k].i,
                         .top_p = (float)v[SB_OPT_top_p].f,
                         .min_p = (float)v[SB_OPT_min_p].f,
                         .typical_p = (float)v[SB_OPT_typical_p].f,
                         .repeat_penalty = (float)v[SB_OPT_repeat_penalty].f,
                         .repeat_last_n = (int32_t)v[SB_OPT_repeat_last_n].i,
                         .presence_penalty = (float)v[SB_OPT_presence_penalty].f,
                         .frequency_penalty = (float)v[SB_OPT_frequency_penalty].f,
                         .bias = h->args->bias,
                         .n_bias = h->args->n_bias,
                         .seed = h->seed + i_turn};
}

sb_thinking sb_host_thinking(const sb_host *h)
{
    const sb_opt_value *v = h->args->v;
    return v[SB_OPT_think].set      ? SB_THINKING_ON
           : v[SB_OPT_no_think].set ? SB_THINKING_OFF
                                    : SB_THINKING_DEFAULT;
}

int64_t sb_host_budget_uj(const sb_host *h)
{
    const sb_opt_value *v = &h->args->v[SB_OPT_max_energy];
    return v->set ? (int64_t)(v->f * 1e6) : 0;
}

int32_t sb_host_stops(const sb_host *h, sb_str *out)
{
    const sb_args *a = h->args;
    for (int i = 0; i < a->n_stops; i++)
        out[i] = (sb_str){a->stops[i], strlen(a->stops[i])};
    return a->n_stops;
}

sb_screen sb_screen_begin(sb_out *out)
{
    return (sb_screen){.out = out,
                       .thoughts_fd = out->tty                     ? out->fd
                                      : isatty(STDERR_FILENO) == 1 ? STDERR_FILENO
                                                                   : -1};
}

/* Each piece is dimmed for itself: whatever ends the program leaves no dim terminal behind. */
static void show_thought(sb_screen *s, sb_str text)
{
    sb_out o;
    if (s->thoughts_fd < 0) return;
    sb_out_init(&o, s->thoughts_fd);
    sb_out_dim(&o, true);
    sb_out_escaped(&o, text, true);
    sb_out_dim(&o, false);
    sb_out_flush(&o);
    s->thinking = true;
}

/* A blank line between a thought and what is said. */
static void end_thought(sb_screen *s)
{
    if (s->thinking && s->thoughts_fd >= 0 && write(s->thoughts_fd, "\n\n", 2) < 0)
        s->thoughts_fd = -1;
    s->thinking = false;
}

bool sb_screen_show(sb_screen *s, const sb_output_event *e)
{
    sb_out *o = s->out;
    if (e->kind == SB_OUTPUT_REASONING) show_thought(s, e->text);
    if (e->kind != SB_OUTPUT_CONTENT || e->text.n == 0) return o->why == 0;
    end_thought(s);
    if (o->tty)
        sb_out_escaped(o, e->text, true); /* a model may say ESC, too */
    else
        sb_out_add(o, e->text.p, e->text.n);
    sb_out_flush(o); /* the reader sees the first word when it is there */
    s->any = true;
    return o->why == 0;
}

void sb_screen_end(sb_screen *s)
{
    if (s->thinking && s->thoughts_fd >= 0 && write(s->thoughts_fd, "\n", 1) < 0)
        s->thoughts_fd = -1;
    s->thinking = false;
    if (s->out->tty && s->any) sb_out_add(s->out, "\n", 1);
    sb_out_flush(s->out);
}
