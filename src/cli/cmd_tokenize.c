/* SPDX-License-Identifier: Apache-2.0
 * cmd_tokenize.c - `sobre tokenize`: text to ids and back. */
#include <string.h>

#include "base/limits.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "model/model.h"

static sb_status encode(const sb_cli *c, const sb_tokenizer *t, const sb_buf *text, sb_error *err)
{
    const sb_tok_mode mode = c->args->v[SB_OPT_special].set ? SB_TOK_ALL : SB_TOK_CONTENT;
    sb_ids ids;
    sb_ids_init(&ids, SB_MAX_PROMPT_BYTES);
    sb_status s = SB_OK;
    if (c->args->v[SB_OPT_bos].set) {
        const int32_t bos = sb_tokenizer_bos(t);
        s = bos < 0 ? SB_FAIL(err, SB_INVALID, "--bos: this model has no begin token")
                    : sb_ids_add(&ids, bos, err);
    }
    const sb_str all = {text->p ? text->p : "", text->n};
    if (s == SB_OK) s = sb_tokenizer_encode(t, all, mode, true, &ids, err);
    if (s == SB_OK) s = sb_json_print(c->out, sb_json_ids(ids.v, ids.n), err);
    sb_ids_deinit(&ids);
    return s;
}

/* Element i of the array as an id of this vocabulary. */
static sb_status id_at(const json_t *array, size_t i, int32_t n_tok, int32_t *out, sb_error *err)
{
    const json_t *j = json_array_get(array, i);
    const json_int_t v = json_is_integer(j) ? json_integer_value(j) : -1;
    if (v < 0 || v >= n_tok)
        return SB_FAIL(err, SB_INVALID, "element %zu is no token id: ids are 0 to %d", i,
                       n_tok - 1);
    *out = (int32_t)v;
    return SB_OK;
}

static sb_status decode_array(const sb_cli *c, const sb_tokenizer *t, const json_t *array,
                              sb_buf *text, sb_error *err)
{
    sb_detok d = {0};
    const size_t n = json_array_size(array);
    for (size_t i = 0; i < n; i++) {
        int32_t id = 0;
        SB_TRY(id_at(array, i, sb_tokenizer_n_tok(t), &id, err));
        if (i == 0 && c->args->v[SB_OPT_bos].set && id == sb_tokenizer_bos(t)) continue;
        SB_TRY(sb_detok_push(&d, t, id, true, text, err));
    }
    return sb_detok_finish(&d, false, text, err);
}

static sb_status decode(const sb_cli *c, const sb_tokenizer *t, const sb_buf *input, sb_error *err)
{
    json_error_t where;
    json_t *array = json_loadb(input->p ? input->p : "", input->n, JSON_REJECT_DUPLICATES, &where);
    if (!array)
        return SB_FAIL(err, SB_INVALID, "--decode: the input is no JSON: line %d, column %d: %.80s",
                       where.line, where.column, where.text);
    if (!json_is_array(array)) {
        json_decref(array);
        return SB_FAIL(err, SB_INVALID, "--decode: the input is JSON, but no array of ids");
    }
    sb_buf text;
    sb_buf_init(&text, (size_t)SB_MAX_PROMPT_BYTES * 4, "decoded text");
    const sb_status s = decode_array(c, t, array, &text, err);
    if (s == SB_OK) sb_out_add(c->out, text.p ? text.p : "", text.n);
    sb_buf_deinit(&text);
    json_decref(array);
    return s;
}

sb_status sb_cmd_tokenize(const sb_cli *c, sb_error *err)
{
    sb_buf path, text;
    sb_model *m = NULL;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of a model");
    sb_buf_init(&text, SB_MAX_PROMPT_BYTES, "text");
    sb_status s = sb_cli_read_text(c->args->words[0], &text, err);
    if (s == SB_OK) s = sb_cli_model_path(c->args->v[SB_OPT_model].s, &path, err);
    if (s == SB_OK) s = sb_model_open_vocab(&m, path.p, err);
    if (s == SB_OK && sb_tokenizer_warning(m->tok)) sb_term_say("%s", sb_tokenizer_warning(m->tok));
    if (s == SB_OK)
        s = c->args->v[SB_OPT_decode].set ? decode(c, m->tok, &text, err)
                                          : encode(c, m->tok, &text, err);
    sb_model_close(m);
    sb_buf_deinit(&text);
    sb_buf_deinit(&path);
    return s;
}
