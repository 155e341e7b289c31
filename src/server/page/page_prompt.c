/* SPDX-License-Identifier: Apache-2.0
 * page_prompt.c - the conversation above an answer, as an ask of the chat route.
 *
 * The ask is written in the words of that route and read by its dialect, so that ranges and
 * refusals are the same and stand in one place. A conversation longer than the model's context
 * loses its oldest messages. Where it begins moves in strides, not with every turn: until the next
 * stride the prompt grows at its end only, and what was computed for it stays good. */
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/models.h"
#include "server/page/page_in.h"

enum { STRIDE = 16, BYTES_PER_TOKEN = 3, ANSWER_TOKENS = 1024 };

typedef struct piece {
    sb_buf text, reasoning;
    bool mine; /* of people */
    int64_t depth;
} piece;

typedef struct walk {
    piece *v; /* [n] last message first */
    size_t n, cap;
    size_t bytes, budget;
    bool full; /* there is more above */
} walk;

static sb_status keep(void *ctx, const sb_msg *m, sb_error *err)
{
    walk *k = ctx;
    size_t bytes = 0;
    if (ckd_add(&bytes, k->bytes, m->content.n + m->reasoning.n)) bytes = SIZE_MAX;
    if (k->n && bytes > k->budget) {
        k->full = true;
        return SB_CANCELLED;
    }
    if (m->role != SB_MSG_USER && m->role != SB_MSG_ASSISTANT) return SB_OK;
    if (k->n == k->cap) {
        piece *more = sb_realloc(k->v, 2 * k->cap + 16, sizeof *more);
        if (!more) return SB_FAIL(err, SB_NO_MEMORY, "conversation: no memory");
        k->v = more;
        k->cap = 2 * k->cap + 16;
    }
    piece *p = &k->v[k->n++];
    *p = (piece){.mine = m->role == SB_MSG_USER, .depth = m->depth};
    sb_buf_init(&p->text, SB_MAX_MESSAGE_BYTES, "message");
    sb_buf_init(&p->reasoning, SB_MAX_MESSAGE_BYTES, "reasoning");
    k->bytes = bytes;
    SB_TRY(sb_buf_add(&p->text, m->content.n ? m->content.p : "", m->content.n, err));
    return sb_buf_add(&p->reasoning, m->reasoning.n ? m->reasoning.p : "", m->reasoning.n, err);
}

/* The number of pieces that are kept: the conversation begins at one of people, where there is a
 * choice at a stride. */
static size_t pick_begin(const walk *k)
{
    if (!k->full) return k->n;
    size_t any = 1;
    for (size_t i = k->n; i-- > 0;) {
        if (!k->v[i].mine) continue;
        if (k->v[i].depth % STRIDE == 0) return i + 1;
        if (any == 1) any = i + 1;
    }
    return any;
}

/* Two messages of one side in a row (an answer that was stopped before its first word lies between)
 * become one: templates want turns. */
static void put_messages(sb_jw *w, const walk *k, size_t n)
{
    bool open = false, mine = false;
    for (size_t i = n; i-- > 0;) {
        const piece *p = &k->v[i];
        if (p->text.n == 0 && p->reasoning.n == 0) continue;
        if (open && mine == p->mine) {
            sb_jw_open(w, '{');
            sb_jw_put_word(w, "type", "text");
            sb_jw_put_word(w, "text", "\n\n");
            sb_jw_close(w, '}');
        } else {
            if (open) {
                sb_jw_close(w, ']');
                sb_jw_close(w, '}');
            }
            open = true;
            mine = p->mine;
            sb_jw_open(w, '{');
            sb_jw_put_word(w, "role", mine ? "user" : "assistant");
            if (p->reasoning.n)
                sb_jw_put_text(w, "reasoning_content", (sb_str){p->reasoning.p, p->reasoning.n});
            sb_jw_put_open(w, "content", '[');
        }
        sb_jw_open(w, '{');
        sb_jw_put_word(w, "type", "text");
        sb_jw_put_text(w, "text", (sb_str){p->text.p, p->text.n});
        sb_jw_close(w, '}');
    }
    if (!open) return;
    sb_jw_close(w, ']');
    sb_jw_close(w, '}');
}

static void put_settings(sb_jw *w, const json_t *settings)
{
    const char *key;
    json_t *v;
    const char *model = json_string_value(json_object_get(settings, "model"));
    if (model && *model) sb_jw_put_word(w, "model", model);
    json_object_foreach(json_object_get(settings, "sampling"), key, v)
    {
        sb_jw_key(w, key);
        sb_jw_json(w, v);
    }
}

static sb_status write_body(sb_buf *out, const walk *k, size_t n, const json_t *settings,
                            sb_error *err)
{
    const char *system = json_string_value(json_object_get(settings, "system"));
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_bool(&w, "stream", true);
    put_settings(&w, settings);
    sb_jw_put_open(&w, "messages", '[');
    if (system && *system) {
        sb_jw_open(&w, '{');
        sb_jw_put_word(&w, "role", "system");
        sb_jw_put_word(&w, "content", system);
        sb_jw_close(&w, '}');
    }
    put_messages(&w, k, n);
    sb_jw_close(&w, ']');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* Bytes of text that the model's context carries beside an answer, about; what turns out to be too
 * much is halved. */
static size_t guess_budget(const sb_page_answer *a, const json_t *settings)
{
    sb_model_info info;
    const char *model = json_string_value(json_object_get(settings, "model"));
    int32_t n_ctx = SB_CHAT_CTX;
    if (sb_models_find(sb_server_models(a->page->sv), model, &info)) {
        if (info.n_ctx > 0)
            n_ctx = info.n_ctx;
        else if (info.n_ctx_train > 0 && info.n_ctx_train < n_ctx)
            n_ctx = info.n_ctx_train;
    }
    const int32_t answer = n_ctx / 4 < ANSWER_TOKENS ? n_ctx / 4 : ANSWER_TOKENS;
    return (size_t)(n_ctx - answer) * BYTES_PER_TOKEN;
}

static sb_status make_ask(sb_page_answer *a, walk *k, const json_t *settings, sb_ask *out,
                          sb_wire_error *w)
{
    if (a->budget_bytes == 0) a->budget_bytes = guess_budget(a, settings);
    k->budget = a->budget_bytes;
    SB_TRY(sb_msg_path(sb_server_db(a->page->sv), a->who.owner, a->conv, a->parent, SB_MAX_MESSAGES,
                       keep, k, &w->err));
    const size_t n = pick_begin(k);
    a->n_left_out = k->n ? (int32_t)k->v[n - 1].depth : 0;
    sb_buf body;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "conversation");
    sb_status st = write_body(&body, k, n, settings, &w->err);
    if (st == SB_OK) st = sb_wire_read(out, &sb_dialect_openai_chat, (sb_str){body.p, body.n}, w);
    sb_buf_deinit(&body);
    return st;
}

sb_status sb_page_ask(sb_page_answer *a, sb_ask *out, sb_wire_error *w)
{
    walk k = {0};
    json_t *settings = NULL;
    sb_status st = sb_conv_get(sb_server_db(a->page->sv), a->who.owner, a->conv,
                               sb_page_read_settings, &settings, &w->err);
    if (st == SB_OK) st = make_ask(a, &k, settings, out, w);
    for (size_t i = 0; i < k.n; i++) {
        sb_buf_deinit(&k.v[i].text);
        sb_buf_deinit(&k.v[i].reasoning);
    }
    sb_free(k.v);
    json_decref(settings);
    return st;
}
