/* SPDX-License-Identifier: Apache-2.0
 * turn_prompt.c - a request to the ids of its prompt, answers of before as they were sampled. */
#include "base/alloc.h"
#include "base/limits.h"
#include "chat/internal.h"

#include <string.h>

static sb_status check_fits(const sb_chat *c, const sb_ids *ids, sb_error *err)
{
    if (ids->n == 0)
        return SB_FAIL(err, SB_INVALID, "the prompt is empty: give it at least one character");
    if (ids->n < (size_t)c->n_ctx) return SB_OK;
    return SB_FAIL(err, SB_LIMIT,
                   "context_length: the prompt has %zu tokens and the context holds "
                   "%d with the answer; a larger --ctx or a shorter prompt helps",
                   ids->n, c->n_ctx);
}

static sb_status raw_ids(const sb_chat *c, const sb_turn_request *r, sb_ids *out, sb_error *err)
{
    if (!r->raw_ids) return sb_prompter_raw(&c->prompter, r->raw, r->raw_control, out, err);
    for (size_t i = 0; i < r->n_raw_ids; i++) {
        if (r->raw_ids[i] < 0 || r->raw_ids[i] >= c->model->hp.n_vocab)
            return SB_FAIL(err, SB_INVALID, "prompt: token id %d is outside 0..%d", r->raw_ids[i],
                           c->model->hp.n_vocab - 1);
        SB_TRY(sb_ids_add(out, r->raw_ids[i], err));
    }
    return SB_OK;
}

/* The messages with remembered calls as the model wrote them; NULL in *out when there are none. */
typedef struct rewrite {
    sb_message *messages;
    char **texts; /* [n] */
    size_t n;
} rewrite;

static void rewrite_deinit(rewrite *w)
{
    for (size_t i = 0; i < w->n; i++)
        sb_free(w->texts[i]);
    sb_free(w->texts);
    sb_free(w->messages);
}

static bool has_calls(const sb_prompt_request *q)
{
    for (size_t i = 0; i < q->n_messages; i++)
        if (q->messages[i].n_calls) return true;
    return false;
}

static sb_status rewrite_calls(const sb_chat *c, const sb_prompt_request *q, uint64_t scope,
                               rewrite *out, sb_error *err)
{
    *out = (rewrite){0};
    if (!has_calls(q)) return SB_OK;
    out->messages = sb_alloc(q->n_messages, sizeof *out->messages);
    out->texts = sb_alloc(q->n_messages, sizeof *out->texts);
    if (!out->messages || !out->texts) return SB_FAIL(err, SB_NO_MEMORY, "prompt: out of memory");
    memcpy(out->messages, q->messages, q->n_messages * sizeof *q->messages);
    for (size_t i = 0; i < q->n_messages; i++) {
        const sb_message *m = &q->messages[i];
        const sb_str text = m->n_calls ? sb_replay_text(c->replay, scope, m) : (sb_str){NULL, 0};
        if (!text.p) continue;
        out->texts[out->n++] = (char *)text.p;
        out->messages[i] = (sb_message){.role = m->role, .content = text};
    }
    return SB_OK;
}

/* Renders and finds what is remembered of it; *at: bytes of the text that out stands for. */
static sb_status render_and_find(const sb_chat *c, const sb_prompt_request *q, uint64_t scope,
                                 sb_ids *out, sb_rendered *rendered, size_t *at, sb_error *err)
{
    SB_TRY(sb_prompter_render(&c->prompter, q, rendered, err));
    sb_ids_clear(out);
    return sb_replay_find(c->replay, scope, rendered, out, at, err);
}

/* True when everything that was rewritten lies in the first `at` bytes, so that it is ids already:
 * what the model wrote must not be read as text again. */
static bool covers(const sb_rendered *r, size_t at, const rewrite *w)
{
    const char *last = w->texts[w->n - 1];
    const size_t n = strlen(last);
    return at >= n && memmem(r->text, at, last, n) != NULL &&
           memmem(r->text + at, r->bytes - at, last, n) == NULL;
}

static sb_status chat_ids(const sb_chat *c, const sb_turn_request *r, uint64_t scope, sb_ids *out,
                          sb_rendered *rendered, sb_error *err)
{
    size_t at = 0;
    rewrite w;
    sb_prompt_request q = r->prompt;
    sb_status s = rewrite_calls(c, &q, scope, &w, err);
    bool done = false;
    if (s == SB_OK && w.n) {
        q.messages = w.messages;
        done = render_and_find(c, &q, scope, out, rendered, &at, NULL) == SB_OK &&
               covers(rendered, at, &w);
        q.messages = r->prompt.messages;
        if (!done) sb_rendered_deinit(rendered);
    }
    if (s == SB_OK && !done) s = render_and_find(c, &q, scope, out, rendered, &at, err);
    rewrite_deinit(&w);
    SB_TRY(s);
    if (at == 0) return sb_prompter_encode(&c->prompter, rendered, out, err);
    return sb_prompter_encode_rest(&c->prompter, rendered, at, out, err);
}

sb_status sb_turn_prompt(sb_chat *c, const sb_turn_request *r, uint64_t scope, sb_ids *out,
                         sb_rendered *rendered, sb_error *err)
{
    SB_TRY(r->prompt.messages ? chat_ids(c, r, scope, out, rendered, err)
                              : raw_ids(c, r, out, err));
    return check_fits(c, out, err);
}
