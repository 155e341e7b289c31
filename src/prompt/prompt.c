/* SPDX-License-Identifier: Apache-2.0
 * prompt.c - renders, then encodes the rendering span by span origin. */
#include "prompt/prompt.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <string.h>

static sb_status reserve(void *ctx, sb_str literal, sb_error *err)
{
    return sb_tokenizer_reserve_literal(ctx, literal, err);
}

sb_status sb_prompter_init(sb_prompter *p, const sb_model *m, sb_error *err)
{
    *p = (sb_prompter){.model = m};
    if (m->chat_template.n == 0) return SB_OK;
    const sb_status s = sb_template_new(&p->tmpl, m->chat_template, &p->tmpl_err);
    if (s == SB_NO_MEMORY) {
        if (err) *err = p->tmpl_err;
        return s;
    }
    return s == SB_OK ? sb_template_literals(p->tmpl, reserve, m->tok, err) : SB_OK;
}

void sb_prompter_deinit(sb_prompter *p)
{
    sb_template_free(p->tmpl);
    p->tmpl = NULL;
}

static bool is_known_role(sb_str role)
{
    static const char *const known[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; i < SB_ARRAY_LEN(known); i++)
        if (strlen(known[i]) == role.n && memcmp(known[i], role.p, role.n) == 0) return true;
    return false;
}

static sb_status add_messages(sb_val_ctx *c, const sb_message *messages, size_t n, sb_error *err)
{
    const sb_val list = sb_val_list(c);
    for (size_t i = 0; i < n; i++) {
        if (!is_known_role(messages[i].role))
            return SB_FAIL(err, SB_INVALID,
                           "message %zu: role '%.*s' is not one of system, user, "
                           "assistant, tool",
                           i, (int)(messages[i].role.n > 32 ? 32 : messages[i].role.n),
                           messages[i].role.p);
        const sb_val d = sb_val_dict(c);
        sb_val_dict_put(c, d, "role", sb_val_trusted(c, messages[i].role));
        sb_val_dict_put(c, d, "content", sb_val_text(c, messages[i].content));
        sb_val_list_add(c, list, d);
    }
    sb_val_ctx_set(c, "messages", list);
    return SB_OK;
}

static sb_val token_text(sb_val_ctx *c, const sb_tokenizer *t, int32_t id)
{
    return sb_val_trusted(c, id < 0 ? (sb_str){"", 0} : sb_tokenizer_piece(t, id, true));
}

static sb_status render(const sb_prompter *p, const sb_message *messages, size_t n, sb_val_ctx *c,
                        sb_rendered *out, sb_error *err)
{
    const sb_tokenizer *t = p->model->tok;
    SB_TRY(add_messages(c, messages, n, err));
    sb_val_ctx_set(c, "add_generation_prompt", sb_val_bool(true));
    sb_val_ctx_set(c, "bos_token", token_text(c, t, sb_tokenizer_bos(t)));
    sb_val_ctx_set(c, "eos_token", token_text(c, t, sb_tokenizer_eos(t)));
    sb_val_ctx_set(c, "tools", sb_val_null());
    return sb_template_render(p->tmpl, c, out, err);
}

/* A template that prints bos itself gets no second one. */
static sb_status encode(const sb_tokenizer *t, const sb_rendered *r, sb_ids *out, sb_error *err)
{
    sb_tok_span *spans = sb_alloc(r->n_segments ? r->n_segments : 1, sizeof *spans);
    if (!spans) return SB_FAIL(err, SB_NO_MEMORY, "prompt: out of memory");
    for (size_t i = 0; i < r->n_segments; i++)
        spans[i] =
            (sb_tok_span){.bytes = r->segments[i].bytes,
                          .mode = r->segments[i].from_content ? SB_TOK_CONTENT : SB_TOK_LITERAL};
    const size_t first = out->n;
    sb_status s = SB_OK;
    if (sb_tokenizer_add_bos(t)) s = sb_ids_add(out, sb_tokenizer_bos(t), err);
    if (s == SB_OK)
        s = sb_tokenizer_encode_spans(t, (sb_str){r->text, r->bytes}, spans, r->n_segments, true,
                                      out, err);
    sb_free(spans);
    if (s == SB_OK && sb_tokenizer_add_bos(t) && out->n > first + 1 &&
        out->v[first + 1] == out->v[first]) {
        memmove(out->v + first, out->v + first + 1, (out->n - first - 1) * sizeof *out->v);
        out->n--;
    }
    return s;
}

sb_status sb_prompter_chat(const sb_prompter *p, const sb_message *messages, size_t n, sb_ids *out,
                           sb_error *err)
{
    if (!p->tmpl) {
        if (p->model->chat_template.n == 0)
            return SB_FAIL(err, SB_NOT_FOUND, "the model has no chat template");
        if (err) *err = p->tmpl_err;
        return p->tmpl_err.code;
    }
    if (n > SB_MAX_MESSAGES)
        return SB_FAIL(err, SB_LIMIT, "%zu messages (at most %d)", n, SB_MAX_MESSAGES);
    sb_val_ctx *c = NULL;
    sb_rendered r = {0};
    SB_TRY(sb_val_ctx_new(&c, err));
    sb_status s = render(p, messages, n, c, &r, err);
    if (s == SB_OK) s = encode(p->model->tok, &r, out, err);
    sb_rendered_deinit(&r);
    sb_val_ctx_free(c);
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
