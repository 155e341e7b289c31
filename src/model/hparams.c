/* SPDX-License-Identifier: Apache-2.0
 * hparams.c - metadata keys to hyper-parameters, by the architecture's key table, every one in
 * range. */
#include "base/limits.h"
#include "model/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ROW_MULTIPLE = 32 }; /* quantised activations come in blocks of 32 */

/* Fails as "FILE: byte N: ARCH.suffix: text"; a key the file leaves out has no byte. */
static sb_status bad(const sb_model *m, sb_status code, sb_error *err, const char *suffix,
                     const char *fmt, ...) SB_PRINTF(5, 6);
static sb_status bad(const sb_model *m, sb_status code, sb_error *err, const char *suffix,
                     const char *fmt, ...)
{
    char key[160], text[120];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)snprintf(key, sizeof key, "%s.%s", m->arch->name, suffix);
    const sb_gguf_kv *kv = sb_gguf_kv_find(m->gguf, key);
    const char *path = sb_gguf_path(m->gguf, 0);
    if (!kv) return SB_FAIL(err, code, "%s: %s: %s", path, key, text);
    return SB_FAIL(err, code, "%s: byte %" PRIu64 ": %s: %s", path, kv->offset, key, text);
}

/* Sets `*out` from a key that may be one number or one number per layer, all equal. */
static sb_status uniform_int(const sb_model *m, const char *key, const sb_arch_key *k, int64_t *out,
                             sb_error *err)
{
    const sb_gguf_kv *kv = sb_gguf_kv_find(m->gguf, key);
    const bool is_array = kv && kv->type == SB_GGUF_ARR;
    if (!is_array) {
        const sb_gguf_int want = {key, (int64_t)k->lo, (int64_t)k->hi, (int64_t)k->dflt,
                                  k->required};
        return sb_gguf_get_int(m->gguf, &want, out, err);
    }
    int64_t first = 0, v = 0;
    for (uint64_t i = 0; i < kv->count; i++) {
        SB_TRY(sb_gguf_kv_int_at(m->gguf, kv, i, &v, err));
        if (i == 0) first = v;
        if (v != first)
            return bad(m, SB_UNSUPPORTED, err, k->suffix, "layers that differ are not supported");
    }
    if (kv->count == 0 || first < (int64_t)k->lo || first > (int64_t)k->hi)
        return bad(m, SB_CORRUPT, err, k->suffix, "value %lld is outside %.0f..%.0f",
                   (long long)first, k->lo, k->hi);
    *out = first;
    return SB_OK;
}

static sb_status read_key(sb_model *m, const sb_arch_key *k, sb_error *err)
{
    char key[160];
    (void)snprintf(key, sizeof key, "%s.%s", m->arch->name, k->suffix);
    char *field = (char *)&m->hp + k->field;
    if (k->kind == SB_KEY_FLOAT) {
        const sb_gguf_float want = {key, k->lo, k->hi, k->dflt, k->required};
        double v = 0;
        SB_TRY(sb_gguf_get_float(m->gguf, &want, &v, err));
        const float f = (float)v;
        memcpy(field, &f, sizeof f);
        return SB_OK;
    }
    int64_t v = 0;
    SB_TRY(uniform_int(m, key, k, &v, err));
    const int32_t i = v > INT32_MAX ? INT32_MAX : (int32_t)v;
    memcpy(field, &i, sizeof i);
    return SB_OK;
}

/* rope.scaling.type decides whether the factor is linear or YaRN's. */
static sb_status read_rope_scaling(sb_model *m, sb_error *err)
{
    char key[160];
    (void)snprintf(key, sizeof key, "%s.rope.scaling.type", m->arch->name);
    sb_str type = {0};
    SB_TRY(sb_gguf_get_str(m->gguf, key, &type, err));
    sb_hparams *h = &m->hp;
    const bool none = type.n == 4 && memcmp(type.p, "none", 4) == 0;
    const bool linear = type.n == 6 && memcmp(type.p, "linear", 6) == 0;
    h->yarn = type.n == 4 && memcmp(type.p, "yarn", 4) == 0;
    if (type.n && !none && !linear && !h->yarn)
        return bad(m, SB_UNSUPPORTED, err, "rope.scaling.type",
                   "'%.*s' is not supported (none, linear, yarn)", (int)(type.n > 40 ? 40 : type.n),
                   type.p);
    if (h->rope_factor == 0) h->rope_factor = h->rope_scale_linear;
    if (none) h->rope_factor = 1;
    if (h->rope_orig_ctx == 0) h->rope_orig_ctx = (float)h->n_ctx_train;
    return SB_OK;
}

/* Sizes a file may leave out follow from others. */
static sb_status settle_sizes(const sb_model *m, sb_hparams *h, sb_error *err)
{
    if (h->n_kv_head == 0) h->n_kv_head = h->n_head;
    if (h->n_head % h->n_kv_head)
        return bad(m, SB_CORRUPT, err, "attention.head_count_kv", "%d does not divide %d heads",
                   h->n_kv_head, h->n_head);
    if (h->head_dim == 0) {
        if (h->n_embd % h->n_head)
            return bad(m, SB_CORRUPT, err, "embedding_length", "%d is no multiple of %d heads",
                       h->n_embd, h->n_head);
        h->head_dim = h->n_embd / h->n_head;
    }
    if (h->v_dim == 0) h->v_dim = h->head_dim;
    if (h->n_rot == 0) h->n_rot = h->head_dim;
    return SB_OK;
}

static sb_status check_sizes(const sb_model *m, const sb_hparams *h, sb_error *err)
{
    if (h->head_dim % 8 || h->head_dim > SB_MAX_HEAD_DIM)
        return bad(m, SB_UNSUPPORTED, err, "attention.key_length", "%d (multiples of 8 up to %d)",
                   h->head_dim, SB_MAX_HEAD_DIM);
    if (h->v_dim != h->head_dim)
        return bad(m, SB_UNSUPPORTED, err, "attention.value_length",
                   "%d differs from key length %d", h->v_dim, h->head_dim);
    if (h->n_rot % 2 || h->n_rot > h->head_dim)
        return bad(m, SB_CORRUPT, err, "rope.dimension_count", "%d (even, at most %d)", h->n_rot,
                   h->head_dim);
    const struct {
        const char *suffix;
        int32_t n;
    } rows[] = {
        {"embedding_length", h->n_embd},
        {"feed_forward_length", h->n_ff},
        {"attention.head_count", h->n_head * h->head_dim},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        if (rows[i].n % ROW_MULTIPLE)
            return bad(m, SB_UNSUPPORTED, err, rows[i].suffix,
                       "rows of %d values (multiples of %d are supported)", rows[i].n,
                       ROW_MULTIPLE);
    if (h->n_expert > 0)
        return bad(m, SB_UNSUPPORTED, err, "expert_count", "%d (experts are not supported yet)",
                   h->n_expert);
    return SB_OK;
}

sb_status sb_model_read_hparams(sb_model *m, sb_error *err)
{
    for (size_t i = 0; i < m->arch->n_keys; i++)
        SB_TRY(read_key(m, &m->arch->keys[i], err));
    SB_TRY(read_rope_scaling(m, err));
    SB_TRY(settle_sizes(m, &m->hp, err));
    SB_TRY(check_sizes(m, &m->hp, err));
    return m->arch->settle ? m->arch->settle(&m->hp, m->gguf, err) : SB_OK;
}

int32_t sb_arch_rope_add(const sb_model *m, sb_plan *p, sb_rope_layout layout)
{
    const sb_hparams *h = &m->hp;
    const int32_t w = sb_model_weight(m, SB_T_ROPE_FREQS, -1);
    const sb_rope_spec s = {
        .layout = layout,
        .n_rot = h->n_rot,
        .base = h->rope_base,
        .factor = h->rope_factor,
        .yarn = h->yarn,
        .orig_ctx = h->rope_orig_ctx,
        .ext_factor = h->yarn_ext_factor,
        .attn_factor = (double)h->rope_attn_factor * h->yarn_attn_factor,
        .beta_fast = h->yarn_beta_fast,
        .beta_slow = h->yarn_beta_slow,
        .freq_factors = w < 0 ? NULL : m->weights[w].data,
    };
    return sb_plan_rope_add(p, &s);
}

float sb_arch_score_scale(const sb_model *m)
{
    return 1 / sqrtf((float)m->hp.head_dim);
}
