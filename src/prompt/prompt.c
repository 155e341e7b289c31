/* SPDX-License-Identifier: Apache-2.0
 * prompt.c - renders, then encodes the rendering span by span of one origin. */
#include "prompt/prompt.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "prompt/conversation.h"

#include <string.h>

/* ---- the template ---- */

static sb_status reserve(void *ctx, sb_str literal, sb_error *err)
{
    return sb_tokenizer_reserve_literal(ctx, literal, err);
}

static sb_status parse(sb_prompter *p, sb_str text, sb_template **out, sb_error *err)
{
    SB_TRY(sb_template_new(out, text, err));
    return sb_template_literals(*out, reserve, p->model->tok, err);
}

/* The model's own templates: the first may fail to parse and says so when it is asked for. */
static sb_status parse_own(sb_prompter *p, sb_error *err)
{
    const sb_str tools = p->model->tool_template;
    sb_status s = parse(p, p->text, &p->tmpl, &p->tmpl_err);
    if (s == SB_NO_MEMORY && err) *err = p->tmpl_err;
    if (s == SB_NO_MEMORY || !tools.n) return s == SB_NO_MEMORY ? s : SB_OK;
    s = parse(p, tools, &p->tools, &p->tools_err);
    if (s == SB_NO_MEMORY && err) *err = p->tools_err;
    return s == SB_NO_MEMORY ? s : SB_OK;
}

static sb_status init(sb_prompter *p, sb_str text, sb_error *err)
{
    p->text = text.n ? text : p->model->chat_template;
    if (text.n) {
        p->own = sb_strdup_n(text.p, text.n);
        if (!p->own) return SB_FAIL(err, SB_NO_MEMORY, "chat template: out of memory");
        p->text.p = p->own;
        SB_TRY(parse(p, p->text, &p->tmpl, err));
    } else if (p->text.n) {
        SB_TRY(parse_own(p, err));
    }
    return p->tmpl ? sb_conversation_probe(p, err) : SB_OK;
}

sb_status sb_prompter_init(sb_prompter *p, const sb_model *m, sb_str text, sb_error *err)
{
    *p = (sb_prompter){.model = m};
    const sb_status s = init(p, text, err);
    if (s != SB_OK) sb_prompter_deinit(p);
    return s;
}

void sb_prompter_deinit(sb_prompter *p)
{
    sb_template_free(p->tmpl);
    sb_template_free(p->tools);
    sb_free(p->own);
    *p = (sb_prompter){.model = p->model};
}

/* ---- rendering ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static sb_str trim(sb_str s)
{
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    return s;
}

/* Where the last occurrence of s in r's text begins, or SIZE_MAX. */
static size_t find_last(const sb_rendered *r, sb_str s)
{
    if (s.n > r->bytes) return SIZE_MAX;
    for (size_t at = r->bytes - s.n + 1; at-- > 0;)
        if (memcmp(r->text + at, s.p, s.n) == 0) return at;
    return SIZE_MAX;
}

static void cut(sb_rendered *r, size_t bytes)
{
    r->bytes = bytes;
    r->text[bytes] = 0;
    while (r->n_segments && r->segments[r->n_segments - 1].offset >= bytes)
        r->n_segments--;
    if (!r->n_segments) return;
    sb_segment *last = &r->segments[r->n_segments - 1];
    last->bytes = bytes - last->offset;
}

/* Leaves the last message open: cuts what the template put behind its content. White space at the
 * content's end stays if the template printed it. */
static sb_status leave_open(const sb_prompt_request *q, sb_rendered *r, sb_error *err)
{
    sb_str whole = {0};
    if (q->n_messages) {
        const sb_message *m = &q->messages[q->n_messages - 1];
        whole = m->n_parts ? m->parts[m->n_parts - 1].text : m->content;
    }
    const sb_str s = trim(whole);
    if (!s.n) return SB_FAIL(err, SB_INVALID, "the last message has no content to go on with");
    const size_t at = find_last(r, s);
    if (at == SIZE_MAX)
        return SB_FAIL(err, SB_INVALID,
                       "the chat template does not print the last message as it is, so it cannot "
                       "be gone on with");
    const size_t tail = (size_t)(whole.p + whole.n - (s.p + s.n));
    const bool kept =
        tail <= r->bytes - at - s.n && memcmp(r->text + at + s.n, s.p + s.n, tail) == 0;
    cut(r, at + s.n + (kept ? tail : 0));
    return SB_OK;
}

sb_status sb_prompter_render(const sb_prompter *p, const sb_prompt_request *r, sb_rendered *out,
                             sb_error *err)
{
    const sb_error *why = r->tools.n && p->tools_err.code != SB_OK ? &p->tools_err : &p->tmpl_err;
    if (p->text.n == 0) return SB_FAIL(err, SB_NOT_FOUND, "the model has no chat template");
    if (!p->tmpl || why == &p->tools_err) {
        if (err) *err = *why;
        return why->code;
    }
    sb_val_ctx *c = NULL;
    sb_rendered made = {0};
    SB_TRY(sb_val_ctx_new(&c, err));
    sb_status s = sb_conversation_fill(p, r, c, err);
    if (s == SB_OK)
        s = sb_template_render(p->tools && r->tools.n ? p->tools : p->tmpl, c, &made, err);
    if (s == SB_OK && r->end == SB_PROMPT_CONTINUE) s = leave_open(r, &made, err);
    sb_val_ctx_free(c);
    if (s == SB_OK)
        *out = made;
    else
        sb_rendered_deinit(&made);
    return s;
}

/* ---- encoding ---- */

/* Segments [i0, n_segments), which begin at byte `at`. */
static sb_status encode_from(const sb_prompter *p, const sb_rendered *r, size_t i0, size_t at,
                             sb_ids *out, sb_error *err)
{
    const size_t n = r->n_segments - i0;
    sb_tok_span *spans = sb_alloc(n ? n : 1, sizeof *spans);
    if (!spans) return SB_FAIL(err, SB_NO_MEMORY, "prompt: out of memory");
    for (size_t i = 0; i < n; i++) {
        const sb_segment *g = &r->segments[i0 + i];
        spans[i] = (sb_tok_span){.bytes = g->bytes,
                                 .mode = g->from_content ? SB_TOK_CONTENT : SB_TOK_LITERAL};
    }
    const sb_str rest = {r->text + at, r->bytes - at};
    const sb_status s = sb_tokenizer_encode_spans(p->model->tok, rest, spans, n, at == 0, out, err);
    sb_free(spans);
    return s;
}

sb_status sb_prompter_encode(const sb_prompter *p, const sb_rendered *r, sb_ids *out, sb_error *err)
{
    const sb_tokenizer *t = p->model->tok;
    const size_t first = out->n;
    if (sb_tokenizer_add_bos(t)) SB_TRY(sb_ids_add(out, sb_tokenizer_bos(t), err));
    SB_TRY(encode_from(p, r, 0, 0, out, err));
    if (sb_tokenizer_add_bos(t) && out->n > first + 1 && out->v[first + 1] == out->v[first]) {
        memmove(out->v + first, out->v + first + 1, (out->n - first - 1) * sizeof *out->v);
        out->n--;
    }
    return SB_OK;
}

sb_status sb_prompter_encode_rest(const sb_prompter *p, const sb_rendered *r, size_t at,
                                  sb_ids *out, sb_error *err)
{
    size_t i = 0;
    while (i < r->n_segments && r->segments[i].offset + r->segments[i].bytes < at)
        i++;
    if (i == r->n_segments || r->segments[i].offset + r->segments[i].bytes != at)
        return SB_FAIL(err, SB_INVALID, "prompt: no segment ends at byte %zu", at);
    return encode_from(p, r, i + 1, at, out, err);
}

sb_status sb_prompter_chat(const sb_prompter *p, const sb_prompt_request *r, sb_ids *out,
                           sb_error *err)
{
    sb_rendered made = {0};
    SB_TRY(sb_prompter_render(p, r, &made, err));
    const sb_status s = sb_prompter_encode(p, &made, out, err);
    sb_rendered_deinit(&made);
    return s;
}

sb_status sb_prompter_raw(const sb_prompter *p, sb_str text, bool control, sb_ids *out,
                          sb_error *err)
{
    const sb_tokenizer *t = p->model->tok;
    if (text.n > SB_MAX_PROMPT_BYTES)
        return SB_FAIL(err, SB_LIMIT, "prompt: %zu bytes (at most %d)", text.n,
                       SB_MAX_PROMPT_BYTES);
    if (sb_tokenizer_add_bos(t)) SB_TRY(sb_ids_add(out, sb_tokenizer_bos(t), err));
    return sb_tokenizer_encode(t, text, control ? SB_TOK_LITERAL : SB_TOK_CONTENT, true, out, err);
}
