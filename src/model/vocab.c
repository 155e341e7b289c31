/* SPDX-License-Identifier: Apache-2.0
 * vocab.c - tokenizer.ggml.* of a file to the arrays a tokenizer is made of. */
#include "base/alloc.h"
#include "base/limits.h"
#include "model/internal.h"

#include <string.h>

static sb_status id_key(const sb_gguf *g, const char *key, int32_t n_tok, int32_t *out,
                        sb_error *err)
{
    const sb_gguf_int want = {key, 0, n_tok - 1, -1, false};
    int64_t v = -1;
    SB_TRY(sb_gguf_get_int(g, &want, &v, err));
    *out = (int32_t)v;
    return SB_OK;
}

static sb_status flag_key(const sb_gguf *g, const char *key, int8_t *out, sb_error *err)
{
    bool v = false;
    *out = -1;
    if (!sb_gguf_kv_find(g, key)) return SB_OK;
    SB_TRY(sb_gguf_get_bool(g, key, false, &v, err));
    *out = v;
    return SB_OK;
}

/* The numbers and flags of the vocabulary. */
static sb_status read_ids(const sb_gguf *g, sb_tokenizer_desc *d, sb_error *err)
{
    SB_TRY(sb_gguf_get_str(g, "tokenizer.ggml.model", &d->model, err));
    SB_TRY(sb_gguf_get_str(g, "tokenizer.ggml.pre", &d->pre, err));
    sb_str arch = {NULL, 0};
    SB_TRY(sb_gguf_get_str(g, "general.architecture", &arch, err));
    d->rstrip_added = arch.n == 4 && !memcmp(arch.p, "phi3", 4);
    SB_TRY(id_key(g, "tokenizer.ggml.bos_token_id", d->n_tok, &d->bos, err));
    SB_TRY(id_key(g, "tokenizer.ggml.eos_token_id", d->n_tok, &d->eos, err));
    SB_TRY(id_key(g, "tokenizer.ggml.unknown_token_id", d->n_tok, &d->unk, err));
    SB_TRY(id_key(g, "tokenizer.ggml.padding_token_id", d->n_tok, &d->pad, err));
    SB_TRY(id_key(g, "tokenizer.ggml.eot_token_id", d->n_tok, &d->eot, err));
    SB_TRY(flag_key(g, "tokenizer.ggml.add_bos_token", &d->add_bos, err));
    SB_TRY(flag_key(g, "tokenizer.ggml.add_eos_token", &d->add_eos, err));
    return flag_key(g, "tokenizer.ggml.add_space_prefix", &d->add_space_prefix, err);
}

/* Finds an optional array of `elem` with `count` elements (0: any). */
static sb_status find_array(const sb_gguf *g, const char *key, sb_gguf_type elem, uint64_t count,
                            const sb_gguf_kv **out, sb_error *err)
{
    const sb_gguf_kv *kv = sb_gguf_kv_find(g, key);
    *out = NULL;
    if (!kv) return SB_OK;
    if (kv->type != SB_GGUF_ARR || kv->elem != elem)
        return SB_FAIL(err, SB_CORRUPT, "%s: byte %llu: %s: wrong element type", sb_gguf_path(g, 0),
                       (unsigned long long)kv->offset, key);
    if (count && kv->count != count)
        return SB_FAIL(err, SB_CORRUPT, "%s: byte %llu: %s: %llu elements for %llu tokens",
                       sb_gguf_path(g, 0), (unsigned long long)kv->offset, key,
                       (unsigned long long)kv->count, (unsigned long long)count);
    *out = kv;
    return SB_OK;
}

/* Reads the arrays into memory of `m` (strings) and of the caller (scores, types), then builds. */
static sb_status build(sb_model *m, const sb_gguf_kv *tokens, float **scores, int32_t **types,
                       sb_error *err)
{
    const sb_gguf *g = m->gguf;
    const sb_gguf_kv *kv_scores, *kv_types, *kv_merges;
    SB_TRY(find_array(g, "tokenizer.ggml.scores", SB_GGUF_F32, tokens->count, &kv_scores, err));
    SB_TRY(find_array(g, "tokenizer.ggml.token_type", SB_GGUF_I32, tokens->count, &kv_types, err));
    SB_TRY(find_array(g, "tokenizer.ggml.merges", SB_GGUF_STR, 0, &kv_merges, err));
    const size_t n_tok = (size_t)tokens->count, n_merges = kv_merges ? (size_t)kv_merges->count : 0;
    m->strs = sb_alloc(n_tok + n_merges, sizeof *m->strs);
    if (kv_scores) *scores = sb_alloc(n_tok, sizeof **scores);
    if (kv_types) *types = sb_alloc(n_tok, sizeof **types);
    if (!m->strs || (kv_scores && !*scores) || (kv_types && !*types))
        return SB_FAIL(err, SB_NO_MEMORY, "vocabulary: out of memory");
    SB_TRY(sb_gguf_kv_strs(g, tokens, m->strs, n_tok, err));
    if (kv_merges) SB_TRY(sb_gguf_kv_strs(g, kv_merges, m->strs + n_tok, n_merges, err));
    if (kv_scores) SB_TRY(sb_gguf_kv_floats(g, kv_scores, *scores, n_tok, err));
    if (kv_types) SB_TRY(sb_gguf_kv_ints(g, kv_types, *types, n_tok, err));
    sb_tokenizer_desc d = {.n_tok = (int32_t)n_tok,
                           .tokens = m->strs,
                           .scores = *scores,
                           .types = *types,
                           .n_merges = (int64_t)n_merges,
                           .merges = m->strs + n_tok};
    SB_TRY(read_ids(g, &d, err));
    return sb_tokenizer_new(&m->tok, &d, err);
}

sb_status sb_model_read_vocab(sb_model *m, sb_error *err)
{
    const sb_gguf_kv *tokens = NULL;
    SB_TRY(find_array(m->gguf, "tokenizer.ggml.tokens", SB_GGUF_STR, 0, &tokens, err));
    if (!tokens || tokens->count < 2 || tokens->count > SB_MAX_VOCAB)
        return SB_FAIL(err, SB_CORRUPT, "%s: tokenizer.ggml.tokens: %llu tokens (2..%d)",
                       sb_gguf_path(m->gguf, 0), tokens ? (unsigned long long)tokens->count : 0,
                       SB_MAX_VOCAB);
    m->hp.n_vocab = (int32_t)tokens->count;
    float *scores = NULL;
    int32_t *types = NULL;
    const sb_status s = build(m, tokens, &scores, &types, err);
    sb_free(scores);
    sb_free(types);
    if (s == SB_OK) return s;
    char shown[96];
    sb_path_escape(shown, sizeof shown, sb_gguf_path(m->gguf, 0));
    return sb_error_prefix(err, s, "%s: vocabulary", shown);
}
