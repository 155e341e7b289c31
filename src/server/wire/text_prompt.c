/* SPDX-License-Identifier: Apache-2.0
 * text_prompt.c - the `prompt` of completions. */
#include "server/wire/text_prompt.h"

#include "base/limits.h"
#include "server/wire/sampling_in.h"

static sb_status bad(const sb_fields *f)
{
    return sb_field_fail(f, "prompt", SB_INVALID,
                         "a string, a list of strings, or a list of token ids is expected");
}

static bool all(const json_t *list, json_type type)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_typeof(json_array_get(list, i)) != type) return false;
    return json_array_size(list) > 0;
}

static sb_status take_ids(const sb_fields *f, sb_ask *a, const json_t *list, sb_turn_request *t)
{
    const size_t n = json_array_size(list);
    if (!all(list, JSON_INTEGER)) return bad(f);
    if (n > SB_MAX_CTX)
        return sb_field_fail(f, "prompt", SB_LIMIT, "%zu ids (at most %d)", n, SB_MAX_CTX);
    int32_t *ids = sb_ask_take(a, n, sizeof *ids);
    if (!ids) return SB_FAIL(&f->w->err, SB_NO_MEMORY, "prompt: out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_int_t id = json_integer_value(json_array_get(list, i));
        if (id < 0 || id >= SB_MAX_VOCAB)
            return sb_field_fail(f, "prompt", SB_INVALID, "%lld is no token id", (long long)id);
        ids[i] = (int32_t)id;
    }
    t->raw_ids = ids;
    t->n_raw_ids = n;
    return SB_OK;
}

static sb_status take_prompt(const sb_fields *f, sb_ask *a, const json_t *v, sb_turn_request *t)
{
    t->raw = (sb_str){NULL, 0};
    t->raw_control = true;
    if (json_is_array(v)) return take_ids(f, a, v, t);
    if (!json_is_string(v)) return bad(f);
    t->raw = sb_json_str(v);
    return SB_OK;
}

sb_status sb_prompts_read(const sb_fields *f, sb_ask *a, const sb_turn_request *first, int32_t n)
{
    const json_t *v = sb_field_find(f, "prompt");
    const bool many = all(v, JSON_STRING) || all(v, JSON_ARRAY);
    const size_t n_prompts = many ? json_array_size(v) : 1;
    if (!v) return sb_field_fail(f, "prompt", SB_INVALID, "is missing");
    SB_TRY(sb_turns_make(f, a, first, n_prompts, n));
    for (size_t i = 0; i < n_prompts; i++) {
        sb_turn_request t = {0};
        SB_TRY(take_prompt(f, a, many ? json_array_get(v, i) : v, &t));
        for (size_t k = i * (size_t)n; k < (i + 1) * (size_t)n; k++) {
            a->turns[k].raw = t.raw;
            a->turns[k].raw_control = t.raw_control;
            a->turns[k].raw_ids = t.raw_ids;
            a->turns[k].n_raw_ids = t.n_raw_ids;
        }
    }
    return SB_OK;
}

sb_status sb_prompt_text(const sb_voice *v, int32_t i_choice, sb_buf *out, sb_error *err)
{
    const sb_voice_head *h = sb_voice_head_of(v);
    const sb_turn_request *r = &h->ask->turns[i_choice];
    if (!r->raw_ids) return sb_buf_add(out, r->raw.p, r->raw.n, err);
    for (size_t i = 0; i < r->n_raw_ids; i++) {
        if (r->raw_ids[i] >= sb_tokenizer_n_tok(h->facts.tok)) continue;
        const sb_str s = sb_tokenizer_piece(h->facts.tok, r->raw_ids[i], true);
        SB_TRY(sb_buf_add(out, s.p, s.n, err));
    }
    return SB_OK;
}

void sb_jw_prompt(sb_jw *w, const sb_voice *v, int32_t i_choice)
{
    sb_buf b;
    sb_buf_init(&b, SB_MAX_PROMPT_BYTES, "prompt to repeat");
    const sb_status s = sb_prompt_text(v, i_choice, &b, w->err);
    if (s != SB_OK && w->status == SB_OK) w->status = s;
    sb_jw_text(w, (sb_str){b.p, b.n});
    sb_buf_deinit(&b);
}
