/* SPDX-License-Identifier: Apache-2.0
 * answer.c - the way of one id: detokenizer, stop strings, parser, events. */
#include "chat/answer.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <stdio.h>
#include <string.h>

/* Tokens at the prompt's end that may hold the marker it ends with. */
enum { TAIL_TOKENS = 8 };

static sb_status copy_text(sb_str *to, sb_str from, sb_error *err)
{
    char *p = sb_strdup_n(from.p, from.n);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "tool call: out of memory");
    *to = (sb_str){p, from.n};
    return SB_OK;
}

/* A call is complete from its first event on: it gets its place, then its texts. */
static sb_status keep_call(sb_turn *o, const sb_output_event *e, sb_error *err)
{
    if (e->kind == SB_OUTPUT_CALL_BEGIN) {
        sb_tool_call *p = sb_realloc(o->calls, o->n_calls + 1, sizeof *p);
        if (!p) return SB_FAIL(err, SB_NO_MEMORY, "tool call: out of memory");
        o->calls = p;
        p[o->n_calls++] = (sb_tool_call){0};
        SB_TRY(copy_text(&p[o->n_calls - 1].id, e->id, err));
        return copy_text(&p[o->n_calls - 1].name, e->text, err);
    }
    sb_str *args = &o->calls[o->n_calls - 1].arguments;
    char *p = sb_realloc((char *)args->p, args->n + e->text.n + 1, 1);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "tool call: out of memory");
    if (e->text.n) memcpy(p + args->n, e->text.p, e->text.n);
    args->p = p;
    args->n += e->text.n;
    p[args->n] = 0;
    return SB_OK;
}

static sb_status on_event(void *ctx, const sb_output_event *e, sb_error *err)
{
    sb_answer *a = ctx;
    if (e->kind == SB_OUTPUT_CONTENT)
        SB_TRY(sb_buf_add(&a->out->content, e->text.p, e->text.n, err));
    else if (e->kind == SB_OUTPUT_REASONING)
        SB_TRY(sb_buf_add(&a->out->reasoning, e->text.p, e->text.n, err));
    else
        SB_TRY(keep_call(a->out, e, err));
    if (a->r->on_event && !a->stopped_by_reader && !a->r->on_event(a->r->ctx, e))
        a->stopped_by_reader = true;
    return SB_OK;
}

/* How the prompt ends tells whether the answer begins inside the reasoning. */
static sb_status tail_of(const sb_answer *a, sb_buf *out, sb_error *err)
{
    const sb_ids *ids = &a->out->prompt_ids;
    for (size_t i = ids->n > TAIL_TOKENS ? ids->n - TAIL_TOKENS : 0; i < ids->n; i++) {
        const sb_str s = sb_tokenizer_piece(a->tok, ids->v[i], true);
        SB_TRY(sb_buf_add(out, s.p, s.n, err));
    }
    return SB_OK;
}

/* A conversation grows with each turn, so its length tells the calls of one turn from those of
 * another, and asking the same again gives the same ids. */
static void make_id(void *ctx, int32_t i_call, char id[SB_CALL_ID_BYTES])
{
    const sb_answer *a = ctx;
    (void)snprintf(id, SB_CALL_ID_BYTES, "call_%zu_%d", a->r->prompt.n_messages, i_call);
}

static sb_status open_parser(sb_answer *a, sb_error *err)
{
    sb_buf tail;
    sb_buf_init(&tail, TAIL_TOKENS * SB_MAX_TOKEN_BYTES, "end of the prompt");
    sb_status s = tail_of(a, &tail, err);
    const sb_output_opts o = {.format = a->format,
                              .prompt_tail = {tail.p, tail.n},
                              .tools = a->r->prompt.tools,
                              .make_id = make_id,
                              .on_event = on_event,
                              .ctx = a};
    if (s == SB_OK) s = sb_output_new(&a->parser, &o, err);
    sb_buf_deinit(&tail);
    return s;
}

sb_status sb_answer_init(sb_answer *a, const sb_tokenizer *tok, sb_output_format format,
                         const sb_turn_request *r, sb_turn *out, sb_error *err)
{
    *a = (sb_answer){.r = r, .out = out, .tok = tok, .format = format};
    sb_buf_init(&a->piece, SB_MAX_PROMPT_BYTES, "text of one token");
    sb_buf_init(&a->shown, SB_MAX_PROMPT_BYTES, "text to show");
    SB_TRY(sb_stops_init(&a->stops, r->stops, r->n_stops, err));
    return r->prompt.messages ? open_parser(a, err) : SB_OK;
}

void sb_answer_deinit(sb_answer *a)
{
    sb_output_free(a->parser);
    sb_stops_deinit(&a->stops);
    sb_buf_deinit(&a->shown);
    sb_buf_deinit(&a->piece);
}

bool sb_answer_is_stopped(const sb_answer *a)
{
    return a->stops.i_hit >= 0;
}

/* Hands on what may be shown; a raw prompt's answer is content as it stands. */
static sb_status show(sb_answer *a, sb_error *err)
{
    if (a->shown.n == 0) return SB_OK;
    const sb_str s = {a->shown.p, a->shown.n};
    SB_TRY(sb_buf_add(&a->out->text, s.p, s.n, err));
    if (a->parser)
        SB_TRY(sb_output_push(a->parser, s, err));
    else
        SB_TRY(on_event(a, &(sb_output_event){.kind = SB_OUTPUT_CONTENT, .text = s}, err));
    sb_buf_clear(&a->shown);
    return SB_OK;
}

static void note_stop(sb_answer *a)
{
    if (a->stops.i_hit >= 0) a->out->stop = &a->r->stops[a->stops.i_hit];
}

sb_status sb_answer_take(sb_answer *a, int32_t id, sb_error *err)
{
    const bool by_name = a->parser && sb_tokenizer_is_control(a->tok, id) &&
                         sb_output_reads(a->format, sb_tokenizer_piece(a->tok, id, true));
    sb_buf_clear(&a->piece);
    SB_TRY(sb_detok_push(&a->detok, a->tok, id, by_name, &a->piece, err));
    SB_TRY(sb_stops_push(&a->stops, (sb_str){a->piece.p, a->piece.n}, &a->shown, err));
    note_stop(a);
    return show(a, err);
}

sb_status sb_answer_finish(sb_answer *a, bool is_cut, sb_error *err)
{
    sb_buf_clear(&a->piece);
    SB_TRY(sb_detok_finish(&a->detok, is_cut, &a->piece, err));
    if (a->piece.n)
        SB_TRY(sb_stops_push(&a->stops, (sb_str){a->piece.p, a->piece.n}, &a->shown, err));
    note_stop(a);
    SB_TRY(sb_stops_finish(&a->stops, &a->shown, err));
    SB_TRY(show(a, err));
    return a->parser ? sb_output_finish(a->parser, err) : SB_OK;
}
