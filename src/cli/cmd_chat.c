/* SPDX-License-Identifier: Apache-2.0
 * cmd_chat.c - `sobre chat`: messages in, answers out, until somebody has had enough.
 *
 * With a person, what goes wrong is said and the chat goes on; without one the first error ends it,
 * so that a script notices. */
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/chat_room.h"
#include "cli/stop.h"

/* An answer in progress, as its callbacks see it. */
typedef struct answering {
    sb_chat_room *r;
    sb_screen screen;
} answering;

static bool show_event(void *ctx, const sb_output_event *e)
{
    answering *a = ctx;
    sb_bar_end(&a->r->host.bar);
    return sb_screen_show(&a->screen, e);
}

static void show_prefill(void *ctx, int32_t n_done, int32_t n_all)
{
    sb_bar *bar = &((answering *)ctx)->r->host.bar;
    if (n_done < n_all)
        sb_bar_show(bar, (uint64_t)n_done, (uint64_t)n_all);
    else
        sb_bar_end(bar);
}

/* "37 + 7 tokens, 49.6 tokens/s, about 1 J", dimmed where that is possible. */
static void say_cost(const sb_chat_room *r, const sb_turn *t)
{
    char energy[SB_ENERGY_TEXT_BYTES];
    sb_energy_text(&t->energy, energy, sizeof energy);
    energy[strcspn(energy, "(")] = 0; /* its range and source are in /stats */
    size_t n = strlen(energy);
    while (n > 0 && energy[n - 1] == ' ')
        energy[--n] = 0;
    sb_out o;
    sb_out_init(&o, STDERR_FILENO);
    if (!o.tty) return;
    sb_out_dim(&o, true);
    sb_out_say(&o, "%zu + %zu tokens, %.1f tokens/s, %s", t->prompt_ids.n, t->ids.n,
               t->decode_ns > 0 ? (double)t->n_decoded * 1e9 / (double)t->decode_ns : 0.0, energy);
    sb_out_add(&o, "\n", 1);
    sb_footprint_say(&r->host.footprint, &t->energy, &o);
    sb_out_dim(&o, false);
    sb_out_flush(&o);
}

/* What a person should know of how an answer ended. */
static void say_end(const sb_chat_room *r, const sb_turn *t)
{
    const bool full = t->finish == SB_FINISH_LENGTH && sb_chat_room_n_ctx(r) > 0 &&
                      t->prompt_ids.n + t->ids.n + 1 >= (size_t)sb_chat_room_n_ctx(r);
    if (full && r->remote)
        sb_term_say("the context of %d tokens is full: /reset begins anew",
                    (int)sb_chat_room_n_ctx(r));
    else if (full)
        sb_term_say("the context of %d tokens is full: /reset begins anew, and "
                    "`sobre chat --ctx N` has more room",
                    (int)sb_chat_room_n_ctx(r));
    else if (t->finish == SB_FINISH_LENGTH)
        sb_term_say("stopped after --tokens %zu", t->ids.n);
    else if (t->finish == SB_FINISH_ENERGY_BUDGET)
        sb_term_say("stopped at --max-energy-j");
    else if (t->finish == SB_FINISH_CANCELLED)
        sb_term_say("stopped; what was said stays in the conversation");
}

/* Keeps what the model said, or takes the question back when it said nothing. */
static sb_status keep_answer(sb_chat_room *r, const sb_turn *t, sb_error *err)
{
    const sb_str content = {t->content.p, t->content.n}, thought = {t->reasoning.p, t->reasoning.n};
    if (content.n || thought.n || t->finish != SB_FINISH_CANCELLED)
        return sb_talk_add(&r->talk, "assistant", content, thought, err);
    sb_talk_drop(&r->talk);
    return SB_OK;
}

static sb_status finish_answer(sb_chat_room *r, const sb_turn *t, sb_error *err)
{
    const sb_status s = keep_answer(r, t, err);
    sb_footprint_freshen(&r->host.footprint, r->c);
    sb_chat_sums_add(&r->sums, t);
    sb_chat_receipt_keep(r, t);
    if (!sb_lines_has_person(r->lines)) {
        if (!r->c->out->tty) sb_out_add(r->c->out, "\n", 1);
        sb_out_flush(r->c->out);
        return s;
    }
    if (s == SB_OK) say_end(r, t);
    say_cost(r, t);
    return s;
}

/* One turn of the conversation by the model of this process. */
static sb_status answer_here(answering *a, sb_turn *t, sb_error *err)
{
    sb_chat_room *r = a->r;
    const sb_args *args = r->c->args;
    sb_str stops[SB_MAX_STOPS];
    const sb_turn_request rq = {.prompt = {.messages = r->talk.messages,
                                           .n_messages = r->talk.n,
                                           .thinking = sb_host_thinking(&r->host)},
                                .sampling = sb_host_sampling(&r->host, r->sums.n_turns),
                                .max_tokens =
                                    args->v[SB_OPT_n].set ? (int32_t)args->v[SB_OPT_n].i : -1,
                                .max_energy_uj = sb_host_budget_uj(&r->host),
                                .stops = stops,
                                .n_stops = sb_host_stops(&r->host, stops),
                                .n_logprobs = -1,
                                .cancel = sb_stop_flag(),
                                .on_event = show_event,
                                .on_prefill = show_prefill,
                                .ctx = a};
    return sb_chat_turn(r->host.chat, &rq, t, err);
}

static sb_status answer(sb_chat_room *r, sb_error *err)
{
    answering a = {.r = r, .screen = sb_screen_begin(r->c->out)};
    const sb_remote_hooks hooks = {.event = show_event, .prefill = show_prefill, .ctx = &a};
    sb_turn t;
    sb_bar_begin(&r->host.bar, "reading the prompt", SB_BAR_TOKENS);
    sb_lines_hush(r->lines, true);
    sb_status s = r->remote ? sb_remote_turn(r->remote, &r->talk, r->c->args, &hooks, &t, err)
                            : answer_here(&a, &t, err);
    sb_bar_end(&r->host.bar);
    sb_screen_end(&a.screen);
    if (s == SB_OK) {
        s = finish_answer(r, &t, err);
        sb_turn_deinit(&t);
    } else {
        sb_talk_drop(&r->talk); /* the question; the rest of the conversation stands */
    }
    sb_lines_hush(r->lines, false);
    return s;
}

static sb_status take_message(sb_chat_room *r, const sb_buf *text, sb_error *err)
{
    const sb_str s = {text->p ? text->p : "", text->n};
    const size_t blank = strspn(s.p, " \t\r\n"); /* a buffer ends with a NUL */
    if (blank == s.n) return SB_OK;
    if (s.p[0] == '/') return sb_chat_slash(r, s, err);
    SB_TRY(sb_talk_add(&r->talk, "user", s, (sb_str){NULL, 0}, err));
    return answer(r, err);
}

/* Ctrl-C at the prompt: true when the second one in a row says that it is enough. */
static bool has_had_enough(bool again)
{
    if (!again) sb_term_say("Ctrl-C again, or Ctrl-D, leaves");
    return again;
}

/* An error of one message: said, and the chat goes on, unless nobody is there or nobody reads. */
static sb_status pass_over(const sb_chat_room *r, sb_status s, const sb_error *err)
{
    if (s == SB_OK || !sb_lines_has_person(r->lines) || r->c->out->why) return s;
    sb_term_say("%s", err->msg);
    return SB_OK;
}

static sb_status talk(sb_chat_room *r, sb_buf *text, sb_error *err)
{
    bool again = false;
    while (!r->leaving) {
        sb_line_end end = SB_LINE_EOF;
        sb_out_flush(r->c->out);
        sb_status s = sb_lines_read(r->lines, text, &end, err);
        if (s == SB_IO) return s; /* the terminal itself */
        if (s == SB_OK && end == SB_LINE_EOF) break;
        if (s == SB_OK && end == SB_LINE_BREAK) {
            if (!sb_lines_has_person(r->lines) || !sb_stop_take_interrupt())
                return SB_FAIL(err, SB_CANCELLED, "interrupted");
            if (has_had_enough(again)) break;
            again = true;
            continue;
        }
        again = false;
        if (s == SB_OK) s = take_message(r, text, err);
        if (sb_stop_asked(NULL) && !(sb_lines_has_person(r->lines) && sb_stop_take_interrupt()))
            return SB_FAIL(err, SB_CANCELLED, "interrupted");
        SB_TRY(pass_over(r, s, err));
        if (r->c->out->why) break; /* main() says that nobody reads */
    }
    return SB_OK;
}

const char *sb_chat_room_model(const sb_chat_room *r)
{
    return r->remote ? sb_remote_model(r->remote) : r->host.name;
}

int32_t sb_chat_room_n_ctx(const sb_chat_room *r)
{
    return r->remote ? sb_remote_n_ctx(r->remote) : sb_chat_n_ctx(r->host.chat);
}

/* What answers: a server, or a model in this process. */
static sb_status open_model(sb_chat_room *r, sb_error *err)
{
    const sb_opt_value *v = r->c->args->v;
    if (v[SB_OPT_server_url].set)
        return sb_remote_open(&r->remote, v[SB_OPT_server_url].s, v[SB_OPT_model].s, err);
    SB_TRY(sb_host_open(&r->host, err));
    if (sb_chat_has_template(r->host.chat)) return SB_OK;
    return SB_FAIL(err, SB_NOT_FOUND,
                   "'%.60s' has no chat template: give one by --template NAME|FILE (%.200s), or "
                   "let `sobre run` continue a text",
                   r->host.name, sb_prompt_builtin_list());
}

static sb_status open_room(sb_chat_room *r, sb_error *err)
{
    const sb_args *a = r->c->args;
    const char *system = a->v[SB_OPT_system].s;
    SB_TRY(sb_host_check_system(a, err));
    SB_TRY(sb_footprint_read(&r->host.footprint, r->c, err));
    SB_TRY(open_model(r, err));
    if (system) SB_TRY(sb_talk_set_system(&r->talk, (sb_str){system, strlen(system)}, err));
    return sb_lines_open(&r->lines, err);
}

sb_status sb_cmd_chat(const sb_cli *c, sb_error *err)
{
    sb_chat_room r = {.c = c};
    sb_buf text;
    sb_host_init(&r.host, c->args);
    sb_buf_init(&text, SB_MAX_LINE_BYTES, "message");
    sb_status s = open_room(&r, err);
    if (s == SB_OK && sb_lines_has_person(r.lines)) {
        sb_out_say(c->out, "%s, %d tokens of context; /help shows the commands, Ctrl-D leaves",
                   sb_chat_room_model(&r), (int)sb_chat_room_n_ctx(&r));
        sb_out_add(c->out, "\n", 1);
    }
    if (s == SB_OK) s = talk(&r, &text, err);
    if (s == SB_OK && !r.leaving && sb_lines_has_person(r.lines)) sb_out_add(c->out, "\n", 1);
    sb_lines_close(r.lines);
    sb_talk_deinit(&r.talk);
    sb_chat_receipt_drop(&r);
    sb_buf_deinit(&text);
    sb_remote_close(r.remote);
    sb_host_close(&r.host);
    return s;
}
