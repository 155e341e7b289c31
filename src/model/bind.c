/* SPDX-License-Identifier: Apache-2.0
 * bind.c - finds the tensors an architecture names, checks shapes and formats, hands out indexes.
 * All shape checks live here, so that plans and kernels stay simple. */
#include "base/alloc.h"
#include "model/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *pattern;
    bool per_layer;
} slots[SB_T_COUNT] = {
#define X(slot, layered, text) [SB_T_##slot] = {text, layered},
#include "model/tensors.def"
#undef X
};

static int64_t dim_value(const sb_hparams *h, sb_dim d)
{
    switch (d) {
    case SB_DIM_NONE:
        return 1;
    case SB_DIM_EMBD:
        return h->n_embd;
    case SB_DIM_VOCAB:
        return h->n_vocab;
    case SB_DIM_Q:
        return (int64_t)h->n_head * h->head_dim;
    case SB_DIM_KV:
        return (int64_t)h->n_kv_head * h->head_dim;
    case SB_DIM_FF:
        return h->n_ff;
    case SB_DIM_HEAD:
        return h->head_dim;
    case SB_DIM_ROT_HALF:
        return h->n_rot / 2;
    }
    sb_unreachable("every dimension is listed");
}

/* Adds the tensor to the model's weights when it is there and fits; *out is its index or -1. */
static sb_status bind_one(sb_model *m, const sb_arch_tensor *t, const char *name, int32_t *out,
                          sb_error *err)
{
    const sb_gguf_tensor *g = sb_gguf_tensor_find(m->gguf, name);
    *out = -1;
    if (!g)
        return t->required ? SB_FAIL(err, SB_CORRUPT, "%s: tensor '%s' is missing",
                                     sb_gguf_path(m->gguf, 0), name)
                           : SB_OK;
    const int64_t k = dim_value(&m->hp, t->ne[0]), n_row = dim_value(&m->hp, t->ne[1]);
    const bool is_vector = t->ne[1] == SB_DIM_NONE;
    if (g->ne[0] != k || g->ne[1] != n_row || g->ne[2] != 1 || g->ne[3] != 1)
        return SB_FAIL(err, SB_CORRUPT,
                       "%s: byte %" PRIu64 ": tensor '%s': shape %" PRId64 " x %" PRId64
                       ", expected %" PRId64 " x %" PRId64,
                       sb_gguf_path(m->gguf, g->i_shard), g->offset, name, g->ne[0], g->ne[1], k,
                       n_row);
    if (is_vector && g->format != SB_F_F32)
        return SB_FAIL(
            err, SB_CORRUPT, "%s: byte %" PRIu64 ": tensor '%s': format %s, expected F32",
            sb_gguf_path(m->gguf, g->i_shard), g->offset, name, sb_format_get(g->format)->name);
    *out = m->n_weights++;
    m->weights[*out] = (sb_weight){.name = g->name,
                                   .format = g->format,
                                   .k = k,
                                   .n_row = n_row,
                                   .data = g->data,
                                   .bytes = (size_t)g->bytes,
                                   .i_shard = g->i_shard,
                                   .offset = g->offset};
    return SB_OK;
}

sb_status sb_model_bind(sb_model *m, sb_error *err)
{
    const size_t n_layer = (size_t)m->hp.n_layer, n_bound = (1 + n_layer) * SB_T_COUNT;
    m->weights = sb_calloc(m->arch->n_tensors * (1 + n_layer), sizeof *m->weights);
    m->bound = sb_alloc(n_bound, sizeof *m->bound);
    if (!m->weights || !m->bound) return SB_FAIL(err, SB_NO_MEMORY, "weights: out of memory");
    for (size_t i = 0; i < n_bound; i++)
        m->bound[i] = -1;
    for (size_t i = 0; i < m->arch->n_tensors; i++) {
        const sb_arch_tensor *t = &m->arch->tensors[i];
        const bool layered = slots[t->slot].per_layer;
        for (int32_t l = layered ? 0 : -1; l < (layered ? m->hp.n_layer : 0); l++) {
            char name[96];
            if (layered)
                (void)snprintf(name, sizeof name, slots[t->slot].pattern, l);
            else
                (void)snprintf(name, sizeof name, "%s", slots[t->slot].pattern);
            SB_TRY(bind_one(m, t, name, &m->bound[(size_t)(l + 1) * SB_T_COUNT + t->slot], err));
        }
    }
    m->n_unbound = (int32_t)sb_gguf_n_tensors(m->gguf) - m->n_weights;
    return SB_OK;
}

int32_t sb_model_weight(const sb_model *m, sb_tensor_slot slot, int32_t layer)
{
    return m->bound[(size_t)(layer + 1) * SB_T_COUNT + slot];
}
