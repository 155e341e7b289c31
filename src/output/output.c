/* SPDX-License-Identifier: Apache-2.0
 * output.c - the machine that reads edges.def: one cursor over the text that is not decided yet.
 *
 * Everything from `from` on is held. Content and reasoning leave up to their last byte that is no
 * white space; inside a call all is held until an edge says DROP (the call is handed out) or
 * nothing fits (what is held is content). No byte is scanned again: what breaks is handed out as it
 * lies. */
#include "base/alloc.h"
#include "output/calls.h"
#include "output/code_scan.h"
#include "output/grammar.h"
#include "output/json_scan.h"

#include <stdio.h>
#include <string.h>

enum { MAX_EDGES = 8 }; /* of one state */

struct sb_output {
    sb_output_opts o;
    char *tools;
    sb_buf in;    /* what is not handed out yet, and behind it what came since */
    size_t from;  /* in `in`: all before is done with */
    size_t at;    /* the cursor */
    size_t solid; /* behind the last byte of a text that is no white space */
    size_t mark;  /* where the text of this state began */
    size_t end;   /* where it ended: JSON, list, name */
    sb_output_state state;
    sb_output_mode mode;
    const sb_output_edge
        *edges[MAX_EDGES]; /* [n_edges] of the state, for this format and request */
    int32_t n_edges;
    bool starts[256]; /* bytes that begin a literal of theirs */
    bool done;        /* the JSON, list or name is complete */
    bool lead;        /* behind a marker: white space in front of a text is no part of it */
    bool is_last;     /* no more text will come */
    sb_json_scan json;
    sb_code_scan code;
    sb_calls calls;
    int32_t n_calls;
};

/* ---- states ---- */

static bool applies(const sb_output *p, const sb_output_edge *e)
{
    if (!(e->formats >> p->o.format & 1u)) return false;
    return p->tools || !sb_grammar_is_call(e->to);
}

static void set_state(sb_output *p, sb_output_state state)
{
    size_t n = 0;
    const sb_output_edge *e = sb_grammar_edges(&n);
    p->state = state;
    p->mode = sb_grammar_mode(state);
    p->n_edges = 0;
    memset(p->starts, 0, sizeof p->starts);
    for (size_t i = 0; i < n; i++) {
        if (e[i].from != state || !applies(p, &e[i]) || p->n_edges == MAX_EDGES) continue;
        p->edges[p->n_edges++] = &e[i];
        if (e[i].literal[0]) p->starts[(unsigned char)e[i].literal[0]] = true;
    }
    p->mark = p->solid = p->at;
    p->done = false;
    p->json = (sb_json_scan){0};
    p->code = (sb_code_scan){0};
}

static bool ends_with(sb_str s, const char *tail)
{
    const size_t n = strlen(tail);
    return s.n >= n && memcmp(s.p + s.n - n, tail, n) == 0;
}

/* Where the prompt left the answer. */
static sb_output_state first_state(sb_output *p)
{
    const sb_str tail = sb_json_trim(p->o.prompt_tail);
    p->lead = true;
    if (p->o.format == SB_OUTPUT_HARMONY) {
        if (ends_with(tail, "analysis<|message|>")) return SB_AT_H_THINK;
        if (ends_with(tail, "<|message|>")) return SB_AT_H_SAY;
    } else {
        if (ends_with(tail, "<think>")) return SB_AT_THINK;
        if (ends_with(tail, "</think>")) return SB_AT_CONTENT;
    }
    p->lead = false;
    return SB_AT_BEGIN;
}

static sb_status open_tools(sb_output *p, sb_str tools, sb_error *err)
{
    if (tools.n == 0) return SB_OK;
    if (!sb_json_is_value(tools) || sb_json_trim(tools).p[0] != '[')
        return SB_FAIL(err, SB_INVALID, "tools: not a JSON list");
    p->tools = sb_strdup_n(tools.p, tools.n);
    if (!p->tools) return SB_FAIL(err, SB_NO_MEMORY, "tools: out of memory");
    sb_calls_init(&p->calls, sb_json_trim((sb_str){p->tools, tools.n}));
    return SB_OK;
}

sb_status sb_output_new(sb_output **out, const sb_output_opts *o, sb_error *err)
{
    sb_output *p = sb_calloc(1, sizeof *p);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "answer: out of memory");
    p->o = *o;
    sb_buf_init(&p->in, 2 * (size_t)SB_MAX_PROMPT_BYTES, "answer");
    sb_calls_init(&p->calls, (sb_str){0});
    const sb_status s = open_tools(p, o->tools, err);
    if (s != SB_OK) {
        sb_output_free(p);
        return s;
    }
    set_state(p, first_state(p));
    p->o.tools = p->o.prompt_tail = (sb_str){0};
    *out = p;
    return SB_OK;
}

void sb_output_free(sb_output *p)
{
    if (!p) return;
    sb_calls_deinit(&p->calls);
    sb_buf_deinit(&p->in);
    sb_free(p->tools);
    sb_free(p);
}

int32_t sb_output_n_calls(const sb_output *p)
{
    return p->n_calls;
}

bool sb_output_reads(sb_output_format f, sb_str control_token)
{
    static const char escape[] = "<escape>";
    size_t n = 0;
    const sb_output_edge *e = sb_grammar_edges(&n);
    if (control_token.n < 2) return false;
    if (f == SB_OUTPUT_FUNCTION_GEMMA && control_token.n == sizeof escape - 1 &&
        memcmp(control_token.p, escape, control_token.n) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if ((e[i].formats >> f & 1u) &&
            memmem(e[i].literal, strlen(e[i].literal), control_token.p, control_token.n))
            return true;
    return false;
}

/* ---- events ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static sb_status emit(sb_output *p, sb_output_kind kind, size_t from, size_t to, sb_error *err)
{
    if (from == to) return SB_OK;
    const sb_output_event e = {.kind = kind, .text = {p->in.p + from, to - from}};
    return p->o.on_event(p->o.ctx, &e, err);
}

/* Hands out the text of this state up to `to`. */
static sb_status emit_text(sb_output *p, size_t to, sb_error *err)
{
    const size_t from = p->from;
    if (to <= from) return SB_OK;
    p->from = to;
    p->lead = false;
    const bool thinks = p->mode == SB_MODE_REASONING;
    return emit(p, thinks ? SB_OUTPUT_REASONING : SB_OUTPUT_CONTENT, from, to, err);
}

static sb_status emit_calls(sb_output *p, sb_error *err)
{
    for (size_t i = 0; i < p->calls.n; i++) {
        const sb_call_span s = p->calls.v[i];
        const char *text = p->calls.text.p;
        char id[SB_CALL_ID_BYTES];
        if (p->o.make_id)
            p->o.make_id(p->o.ctx, p->n_calls, id);
        else
            (void)snprintf(id, sizeof id, "call_%d", p->n_calls);
        sb_output_event e = {.kind = SB_OUTPUT_CALL_BEGIN,
                             .i_call = p->n_calls++,
                             .id = {id, strlen(id)},
                             .text = {text + s.name_at, s.name_n}};
        SB_TRY(p->o.on_event(p->o.ctx, &e, err));
        e.kind = SB_OUTPUT_CALL_ARGS;
        e.text = (sb_str){text + s.args_at, s.args_n};
        SB_TRY(p->o.on_event(p->o.ctx, &e, err));
        e.kind = SB_OUTPUT_CALL_END;
        e.text = (sb_str){0};
        SB_TRY(p->o.on_event(p->o.ctx, &e, err));
    }
    sb_calls_clear(&p->calls);
    return SB_OK;
}

/* Nothing fits: what is held is content, and the cursor goes on as such. White space alone stays
 * held: a call may follow. */
static sb_status give_up(sb_output *p, sb_error *err)
{
    size_t from = p->from;
    while (from < p->at && is_space(p->in.p[from]))
        from++;
    const bool blank = from == p->at;
    const bool lead = p->lead;
    if (lead) p->from = from;
    sb_calls_clear(&p->calls);
    set_state(p, SB_AT_CONTENT);
    if (!blank) return emit_text(p, p->at, err);
    p->solid = p->from;
    return SB_OK;
}

/* ---- edges ---- */

/* The header of a harmony message: channel and recipient tell what its text is. */
static sb_status read_header(sb_output *p, sb_str h, sb_error *err)
{
    static const char to[] = "to=", channel[] = "<|channel|>", functions[] = "functions.";
    const char *end = h.p + h.n;
    const char *r = h.n ? memmem(h.p, h.n, to, sizeof to - 1) : NULL;
    const char *c = h.n ? memmem(h.p, h.n, channel, sizeof channel - 1) : NULL;
    const size_t n_functions = sizeof functions - 1;
    if (r) {
        r += sizeof to - 1;
        size_t n = 0;
        while (r + n < end && !is_space(r[n]) && r[n] != '<')
            n++;
        const bool is_tool = n > n_functions && memcmp(r, functions, n_functions) == 0;
        if (is_tool && !p->tools) return SB_FAIL(err, SB_INVALID, "tool call: none is on offer");
        if (is_tool) {
            set_state(p, SB_AT_H_ARGS);
            return sb_calls_name(&p->calls, (sb_str){r + n_functions, n - n_functions}, err);
        }
    }
    c = c ? c + sizeof channel - 1 : h.p;
    const size_t left = (size_t)(end - c);
    const bool thinks = left >= 8 && memcmp(c, "analysis", 8) == 0;
    p->from = p->at;
    p->lead = true;
    set_state(p, thinks ? SB_AT_H_THINK : SB_AT_H_SAY);
    return SB_OK;
}

/* One line break at either end belongs to the marks. */
static sb_str inner_text(sb_str s)
{
    if (s.n && s.p[0] == '\n') s.p++, s.n--;
    if (s.n && s.p[s.n - 1] == '\n') s.n--;
    return s;
}

static sb_status act(sb_output *p, sb_output_action action, sb_str text, sb_error *err)
{
    sb_calls *c = &p->calls;
    switch (action) {
    case SB_ACT_none:
        return SB_OK;
    case SB_ACT_name:
        return sb_calls_name(c, text, err);
    case SB_ACT_args:
        return sb_calls_args(c, text, err);
    case SB_ACT_object:
        return sb_calls_object(c, text, false, err);
    case SB_ACT_known:
        return sb_calls_object(c, text, true, err);
    case SB_ACT_code:
        return sb_calls_code(c, text, p->o.format != SB_OUTPUT_LLAMA3, err);
    case SB_ACT_key:
        return sb_calls_key(c, text, err);
    case SB_ACT_value:
        return sb_calls_typed(c, inner_text(text), err);
    case SB_ACT_value_text:
        return sb_calls_text(c, text, err);
    case SB_ACT_value_json:
        return sb_calls_json(c, text, err);
    case SB_ACT_call:
        return sb_calls_end(c, false, err);
    case SB_ACT_braces:
        return sb_calls_braces(c, text, err);
    case SB_ACT_header:
        return read_header(p, text, err);
    }
    sb_unreachable("every action is above");
}

static sb_status take_edge(sb_output *p, const sb_output_edge *e, sb_error *err)
{
    const bool ended =
        p->mode == SB_MODE_JSON || p->mode == SB_MODE_LIST || p->mode == SB_MODE_NAME;
    const size_t end = ended && p->done ? p->end : p->at;
    const bool is_text = p->mode == SB_MODE_CONTENT || p->mode == SB_MODE_REASONING;
    if (is_text) SB_TRY(emit_text(p, p->solid, err));
    if (!e->peek) p->at += strlen(e->literal);
    sb_error why = {0};
    const sb_status s = act(p, e->action, (sb_str){p->in.p + p->mark, end - p->mark}, &why);
    if (s == SB_NO_MEMORY) {
        if (err) *err = why;
        return s;
    }
    if (s != SB_OK) return give_up(p, err);
    if (e->drop) {
        SB_TRY(emit_calls(p, err));
        p->from = p->at;
        p->lead = true;
    }
    if (e->action != SB_ACT_header) set_state(p, e->to);
    return SB_OK;
}

/* ---- one step of the cursor ---- */

typedef enum look { LOOK_NONE, LOOK_HIT, LOOK_MORE } look;

/* The longest literal at the cursor, and whether a longer one may still be coming. */
static look find_edge(const sb_output *p, const sb_output_edge **out)
{
    const char *text = p->in.p + p->at;
    const size_t left = p->in.n - p->at;
    size_t best = 0;
    bool more = false;
    for (int32_t i = 0; i < p->n_edges; i++) {
        const char *literal = p->edges[i]->literal;
        const size_t n = strlen(literal);
        if (n == 0 || memcmp(text, literal, n < left ? n : left) != 0) continue;
        if (n > left) more = true;
        if (n > left || n <= best) continue;
        best = n;
        *out = p->edges[i];
    }
    if (more && !p->is_last) return LOOK_MORE;
    return best ? LOOK_HIT : LOOK_NONE;
}

/* Reads on in a text that is handed out as it comes; true when it waits for more. */
static bool skim(sb_output *p)
{
    const char *text = p->in.p;
    while (p->at < p->in.n && !p->starts[(unsigned char)text[p->at]]) {
        const bool space = is_space(text[p->at++]);
        if (space && p->lead && p->from + 1 == p->at)
            p->from = p->solid = p->at;
        else if (!space)
            p->solid = p->at;
    }
    if (p->at - p->solid > SB_MAX_CALL_BYTES) p->solid = p->at;
    return p->at == p->in.n;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_-.:/", c));
}

/* Takes what belongs to the state at the cursor and is no literal: bytes taken, 0: more is needed,
 * -1: nothing fits. */
static ptrdiff_t take_inside(sb_output *p)
{
    const char c = p->in.p[p->at];
    const size_t left = p->in.n - p->at;
    switch (p->mode) {
    case SB_MODE_CONTENT:
    case SB_MODE_REASONING:
        p->solid = p->at + 1;
        return 1;
    case SB_MODE_BETWEEN:
        return is_space(c) ? 1 : -1;
    case SB_MODE_NAME:
        if (!p->done && is_name_byte(c)) return 1;
        if (!is_space(c)) return -1;
        if (!p->done) p->end = p->at;
        p->done = true;
        return 1;
    case SB_MODE_RAW:
        return 1;
    case SB_MODE_JSON:
        if (p->done) return is_space(c) ? 1 : -1;
        switch (sb_json_scan_byte(&p->json, c)) {
        case SB_JSON_BAD:
            return -1;
        case SB_JSON_DONE:
            p->done = true;
            p->end = p->at + 1;
            return 1;
        case SB_JSON_MORE:
            return 1;
        }
        sb_unreachable("every result is above");
    case SB_MODE_LIST:
    case SB_MODE_CODE: {
        if (p->done) return is_space(c) ? 1 : -1;
        const size_t n = sb_code_scan_next(&p->code, p->in.p + p->at, left, p->is_last);
        p->done = p->mode == SB_MODE_LIST && p->code.is_closed;
        p->end = p->at + n;
        return (ptrdiff_t)n;
    }
    }
    sb_unreachable("every mode is above");
}

/* True where a literal may stand: not inside of JSON, of a list, of a string of code. */
static bool is_open(const sb_output *p)
{
    if (p->mode == SB_MODE_JSON || p->mode == SB_MODE_LIST) return p->done;
    return p->mode != SB_MODE_CODE || !p->code.quote;
}

/* One piece at the cursor; *waits: nothing can be told before more text comes. */
static sb_status step(sb_output *p, bool *waits, sb_error *err)
{
    const bool is_text = p->mode == SB_MODE_CONTENT || p->mode == SB_MODE_REASONING;
    if (is_text && skim(p)) {
        *waits = true;
        return SB_OK;
    }
    if (!is_text && p->at - p->from > SB_MAX_CALL_BYTES) return give_up(p, err);
    if (is_open(p) && p->starts[(unsigned char)p->in.p[p->at]]) {
        const sb_output_edge *e = NULL;
        const look l = find_edge(p, &e);
        *waits = l == LOOK_MORE;
        if (l == LOOK_HIT) return take_edge(p, e, err);
        if (l == LOOK_MORE) return SB_OK;
    }
    const ptrdiff_t n = take_inside(p);
    if (n < 0) return give_up(p, err);
    *waits = n == 0;
    p->at += (size_t)n;
    return SB_OK;
}

/* Drops what was handed out. */
static void compact(sb_output *p)
{
    const size_t n = p->from;
    if (n == 0) return;
    p->in.n -= n;
    memmove(p->in.p, p->in.p + n, p->in.n);
    p->in.p[p->in.n] = 0;
    p->from = 0;
    p->at -= n;
    p->solid = p->solid > n ? p->solid - n : 0;
    p->mark = p->mark > n ? p->mark - n : 0;
    p->end = p->end > n ? p->end - n : 0;
}

static sb_status run(sb_output *p, sb_error *err)
{
    bool waits = false;
    while (p->at < p->in.n && !waits)
        SB_TRY(step(p, &waits, err));
    const bool is_text = p->mode == SB_MODE_CONTENT || p->mode == SB_MODE_REASONING;
    return is_text ? emit_text(p, p->solid, err) : SB_OK;
}

sb_status sb_output_push(sb_output *p, sb_str text, sb_error *err)
{
    if (text.n == 0) return SB_OK;
    SB_TRY(sb_buf_add(&p->in, text.p, text.n, err));
    SB_TRY(run(p, err));
    compact(p);
    return SB_OK;
}

/* ---- the end ---- */

/* The edge that the end of the answer takes, or NULL. */
static const sb_output_edge *last_edge(const sb_output *p)
{
    const bool whole = p->done || (p->mode != SB_MODE_JSON && p->mode != SB_MODE_LIST);
    for (int32_t i = 0; whole && i < p->n_edges; i++)
        if (!p->edges[i]->literal[0]) return p->edges[i];
    return NULL;
}

/* A closing marker that was cut off counts as the end; in free text it would be part of it. */
static void skip_cut_marker(sb_output *p)
{
    const size_t left = p->in.n - p->at;
    if (left == 0 || p->mode == SB_MODE_RAW || p->mode == SB_MODE_CODE) return;
    for (int32_t i = 0; i < p->n_edges; i++) {
        const char *literal = p->edges[i]->literal;
        if (strlen(literal) <= left || memcmp(literal, p->in.p + p->at, left) != 0) continue;
        p->at = p->in.n;
        return;
    }
}

sb_status sb_output_finish(sb_output *p, sb_error *err)
{
    if (last_edge(p)) skip_cut_marker(p);
    p->is_last = true;
    SB_TRY(run(p, err));
    while (p->mode != SB_MODE_CONTENT && p->mode != SB_MODE_REASONING) {
        const sb_output_edge *e = last_edge(p);
        SB_TRY(e ? take_edge(p, e, err) : give_up(p, err));
        SB_TRY(run(p, err));
    }
    return p->lead ? SB_OK : emit_text(p, p->in.n, err);
}
