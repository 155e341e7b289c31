/* SPDX-License-Identifier: Apache-2.0
 * listing.c - models, slots, properties and tokens as JSON. */
#include "server/wire/listing.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "server/wire/ask_fields.h"
#include "server/wire/json_writer.h"

#include <stdio.h>
#include <string.h>

/* ---- models ---- */

static void put_known(sb_jw *w, const char *key, uint64_t n)
{
    if (n) sb_jw_put_uint(w, key, n);
}

static void put_name(sb_jw *w, const char *key, const char *word)
{
    if (word && word[0]) sb_jw_put_word(w, key, word);
}

static void put_text_alone(sb_jw *w, const char *key)
{
    sb_jw_put_open(w, key, '[');
    sb_jw_text(w, (sb_str){"text", 4});
    sb_jw_close(w, ']');
}

static void put_positive(sb_jw *w, const char *key, int32_t n)
{
    put_known(w, key, n > 0 ? (uint64_t)n : 0);
}

static void put_meta(sb_jw *w, const sb_listed_model *m)
{
    sb_jw_put_open(w, "meta", '{');
    put_positive(w, "n_ctx", m->n_ctx);
    put_positive(w, "n_ctx_train", m->n_ctx_train);
    put_positive(w, "n_vocab", m->n_vocab);
    put_positive(w, "n_embd", m->n_embd);
    put_known(w, "n_params", m->n_params);
    put_known(w, "size", m->file_bytes);
    put_known(w, "memory_bytes", m->memory_bytes);
    put_name(w, "architecture", m->arch);
    put_name(w, "ftype", m->format);
    put_name(w, "licence", m->licence);
    put_name(w, "source", m->source);
    sb_jw_close(w, '}');
}

static void put_model(sb_jw *w, const sb_listed_model *m)
{
    sb_jw_open(w, '{');
    sb_jw_put_word(w, "id", m->id);
    sb_jw_put_word(w, "object", "model");
    sb_jw_put_int(w, "created", m->created_s);
    sb_jw_put_word(w, "owned_by", m->owned_by ? m->owned_by : "sobre");
    sb_jw_put_open(w, "status", '{');
    sb_jw_put_word(w, "value", m->state);
    if (m->load_part > 0) sb_jw_put_real(w, "progress", m->load_part);
    sb_jw_close(w, '}');
    if (m->is_default) sb_jw_put_bool(w, "default", true);
    sb_jw_put_open(w, "architecture", '{');
    put_text_alone(w, "input_modalities");
    put_text_alone(w, "output_modalities");
    sb_jw_close(w, '}');
    put_meta(w, m);
    sb_jw_close(w, '}');
}

sb_status sb_models_body(sb_buf *out, const sb_listed_model *models, size_t n, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "object", "list");
    sb_jw_put_open(&w, "data", '[');
    for (size_t i = 0; i < n; i++)
        put_model(&w, &models[i]);
    sb_jw_close(&w, ']');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

sb_status sb_model_body(sb_buf *out, const sb_listed_model *m, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    put_model(&w, m);
    return sb_jw_end(&w);
}

/* ---- the server ---- */

/* An object of one text. */
static sb_status put_member(sb_buf *out, const char *key, sb_str text, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_text(&w, key, text);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

sb_status sb_health_body(sb_buf *out, sb_error *err)
{
    return put_member(out, "status", (sb_str){"ok", 2}, err);
}

sb_status sb_props_body(sb_buf *out, const sb_props *p, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "default_generation_settings", '{');
    sb_jw_put_int(&w, "n_ctx", p->n_ctx);
    sb_jw_close(&w, '}');
    sb_jw_put_int(&w, "total_slots", p->n_parallel);
    sb_jw_put_word(&w, "model_alias", p->model);
    put_name(&w, "model_path", p->path);
    sb_jw_put_open(&w, "modalities", '{');
    sb_jw_put_bool(&w, "vision", false);
    sb_jw_put_bool(&w, "audio", false);
    sb_jw_close(&w, '}');
    sb_jw_put_text(&w, "chat_template", p->chat_template);
    sb_jw_put_text(&w, "bos_token", p->bos);
    sb_jw_put_text(&w, "eos_token", p->eos);
    sb_jw_put_word(&w, "build_info", p->version);
    sb_jw_put_bool(&w, "is_sleeping", p->is_asleep);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

static void put_slot(sb_jw *w, const sb_model_slots *m, const sb_seq_info *q, int64_t id)
{
    sb_jw_open(w, '{');
    sb_jw_put_int(w, "id", id);
    sb_jw_put_word(w, "model", m->model);
    sb_jw_put_int(w, "n_ctx", m->n_ctx);
    sb_jw_put_bool(w, "speculative", false);
    sb_jw_put_bool(w, "is_processing", q && !q->waiting);
    if (q) {
        sb_jw_put_bool(w, "is_waiting", q->waiting);
        sb_jw_put_bool(w, "is_prefilling", q->prefilling);
        sb_jw_put_bool(w, "is_paused", q->paused);
        sb_jw_put_int(w, "place", q->place);
        sb_jw_put_int(w, "priority", q->priority);
        sb_jw_put_int(w, "n_prompt_tokens", q->n_prompt);
        sb_jw_put_int(w, "n_prompt_tokens_processed", q->n_done);
        sb_jw_put_int(w, "n_prompt_tokens_cache", q->n_cached);
        sb_jw_put_open(w, "next_token", '[');
        sb_jw_open(w, '{');
        sb_jw_put_bool(w, "has_next_token", true);
        sb_jw_put_int(w, "n_decoded", q->n_drawn);
        sb_jw_close(w, '}');
        sb_jw_close(w, ']');
    }
    sb_jw_close(w, '}');
}

sb_status sb_slots_body(sb_buf *out, const sb_model_slots *models, size_t n, sb_error *err)
{
    sb_jw w;
    int64_t id = 0;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '[');
    for (size_t i = 0; i < n; i++) {
        const sb_model_slots *m = &models[i];
        const size_t idle = m->n_parallel > 0 ? (size_t)m->n_parallel : 0;
        for (size_t k = 0; k < m->n || k < idle; k++)
            put_slot(&w, m, k < m->n ? &m->seqs[k] : NULL, id++);
    }
    sb_jw_close(&w, ']');
    return sb_jw_end(&w);
}

/* ---- tokens ---- */

static sb_status read_tokenize(sb_tokenize_ask *a, const sb_fields *f)
{
    SB_TRY(sb_field_text(f, "content", SB_MAX_PROMPT_BYTES, &a->content));
    if (!a->content.p) return sb_field_fail(f, "content", SB_INVALID, "is missing");
    SB_TRY(sb_field_bool(f, "add_special", &a->add_special));
    SB_TRY(sb_field_bool(f, "parse_special", &a->parse_special));
    return sb_field_bool(f, "with_pieces", &a->with_pieces);
}

sb_status sb_tokenize_read(sb_tokenize_ask *a, const json_t *root, sb_wire_error *w)
{
    const sb_fields f = {root, "", w};
    *w = (sb_wire_error){0};
    *a = (sb_tokenize_ask){.parse_special = true};
    const sb_status s = read_tokenize(a, &f);
    if (s != SB_OK) sb_wire_status(w);
    return s;
}

/* A token's text, or its bytes where that is no text by itself. */
static void put_piece(sb_jw *w, sb_str s)
{
    sb_jw_key(w, "piece");
    if (sb_utf8_valid(s.p, s.n) == s.n) {
        sb_jw_text(w, s);
        return;
    }
    sb_jw_open(w, '[');
    for (size_t i = 0; i < s.n; i++)
        sb_jw_int(w, (unsigned char)s.p[i]);
    sb_jw_close(w, ']');
}

sb_status sb_tokenize_body(sb_buf *out, const sb_tokenizer *tok, const sb_ids *ids,
                           bool with_pieces, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "tokens", '[');
    for (size_t i = 0; i < ids->n; i++) {
        if (!with_pieces) {
            sb_jw_int(&w, ids->v[i]);
            continue;
        }
        sb_jw_open(&w, '{');
        sb_jw_put_int(&w, "id", ids->v[i]);
        put_piece(&w, sb_tokenizer_piece(tok, ids->v[i], true));
        sb_jw_close(&w, '}');
    }
    sb_jw_close(&w, ']');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

static sb_status detokenize(sb_buf *text, const sb_tokenizer *tok, const sb_fields *f)
{
    const json_t *list = NULL;
    sb_detok d = {.started = true}; // a space in front stays
    SB_TRY(sb_field_list(f, "tokens", &list));
    if (!list) return sb_field_fail(f, "tokens", SB_INVALID, "is missing");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        const json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= sb_tokenizer_n_tok(tok))
            return sb_field_fail(f, "tokens", SB_INVALID, "item %zu is not an id of 0 to %d", i,
                                 (int)sb_tokenizer_n_tok(tok) - 1);
        SB_TRY(sb_detok_push(&d, tok, (int32_t)id, true, text, &f->w->err));
    }
    return sb_detok_finish(&d, false, text, &f->w->err);
}

sb_status sb_detokenize_body(sb_buf *out, const sb_tokenizer *tok, const json_t *root,
                             sb_wire_error *w)
{
    sb_buf text;
    const sb_fields f = {root, "", w};
    *w = (sb_wire_error){0};
    sb_buf_init(&text, SB_MAX_REPLY_BYTES, "detokenized text");
    sb_status s = detokenize(&text, tok, &f);
    if (s == SB_OK) s = put_member(out, "content", (sb_str){text.p, text.n}, &w->err);
    sb_buf_deinit(&text);
    if (s != SB_OK) sb_wire_status(w);
    return s;
}

sb_status sb_prompt_body(sb_buf *out, sb_str prompt, sb_error *err)
{
    return put_member(out, "prompt", prompt, err);
}
