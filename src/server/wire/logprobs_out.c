/* SPDX-License-Identifier: Apache-2.0
 * logprobs_out.c - tokens with what was likely at their place. */
#include "server/wire/logprobs_out.h"

#include "server/wire/openai.h"

/* The text of one token, and its bytes. */
static void put_text(sb_jw *w, const sb_voice *v, int32_t id)
{
    const sb_str s = sb_tokenizer_piece(sb_voice_head_of(v)->facts.tok, id, true);
    sb_jw_put_text(w, "token", s);
    sb_jw_put_open(w, "bytes", '[');
    for (size_t i = 0; i < s.n; i++)
        sb_jw_int(w, (unsigned char)s.p[i]);
    sb_jw_close(w, ']');
}

static void put_token(sb_jw *w, const sb_voice *v, int32_t id, double logprob, bool with_id)
{
    if (with_id) sb_jw_put_int(w, "id", id);
    put_text(w, v, id);
    sb_jw_key(w, "logprob");
    sb_openai_logprob(w, logprob);
}

void sb_jw_logprobs(sb_jw *w, const sb_voice *v, const sb_turn *t, size_t from, size_t to,
                    bool with_id)
{
    if (!t->logprobs) return;
    for (size_t i = from; i < to; i++) {
        const sb_token_logprob *l = &t->logprobs[i];
        sb_jw_open(w, '{');
        put_token(w, v, t->ids.v[i], l->logprob, with_id);
        sb_jw_put_open(w, "top_logprobs", '[');
        for (int32_t k = 0; k < l->n_top; k++) {
            sb_jw_open(w, '{');
            put_token(w, v, l->top_ids[k], l->top[k], with_id);
            sb_jw_close(w, '}');
        }
        sb_jw_close(w, ']');
        sb_jw_close(w, '}');
    }
}
