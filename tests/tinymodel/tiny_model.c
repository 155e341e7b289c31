/* SPDX-License-Identifier: Apache-2.0
 * tiny_model.c - keys and tensors of a small llama or gemma3 model. */
#include "base/alloc.h"
#include "base/limits.h"
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 64 };

/* A model in the making: the writer borrows tensor data, so that lives here. */
typedef struct job {
    const sb_tiny *o;
    sb_gguf_writer *w;
    sb_error *err;
    uint64_t random;
    unsigned char **data;
    size_t n_data, cap;
} job;

void sb_tiny_defaults(sb_tiny *o)
{
    *o = (sb_tiny){.arch = "llama",
                   .format = SB_F_Q8_0,
                   .kformat = SB_FORMAT_COUNT,
                   .embd_format = SB_FORMAT_COUNT,
                   .n_layers = 2,
                   .n_embd = 64,
                   .n_ff = 128,
                   .n_heads = 4,
                   .n_kv_heads = 2,
                   .head_dim = 16,
                   .n_vocab = 512,
                   .n_ctx = 512,
                   .window = 8,
                   .tied = true,
                   .seed = 1};
}

static bool fits(sb_format f, int64_t k)
{
    return f != SB_FORMAT_COUNT && k % sb_format_get(f)->block_elems == 0;
}

static sb_format choose(const sb_tiny *o, int64_t k)
{
    if (fits(o->kformat, k)) return o->kformat;
    if (fits(o->format, k)) return o->format;
    return fits(SB_F_Q8_0, k) ? SB_F_Q8_0 : SB_F_F16;
}

static sb_status new_data(job *j, size_t bytes, unsigned char **out)
{
    if (j->n_data == j->cap) {
        const size_t cap = j->cap ? 2 * j->cap : 64;
        unsigned char **more = sb_realloc(j->data, cap, sizeof(*more));
        if (!more) return SB_FAIL(j->err, SB_NO_MEMORY, "tensors: no memory");
        j->data = more;
        j->cap = cap;
    }
    unsigned char *p = sb_alloc(bytes, 1);
    if (!p) return SB_FAIL(j->err, SB_NO_MEMORY, "tensor of %zu bytes: no memory", bytes);
    *out = j->data[j->n_data++] = p;
    return SB_OK;
}

static sb_status add_matrix(job *j, const char *name, int64_t k, int64_t n, sb_format f)
{
    unsigned char *p = NULL;
    SB_TRY(new_data(j, sb_format_row_bytes(f, k) * (size_t)n, &p));
    sb_tiny_fill(f, p, k, n, 1 / sqrt((double)k), &j->random);
    const sb_gguf_out t = {.name = name, .format = f, .n_dims = 2, .ne = {k, n}, .data = p};
    return sb_gguf_add_tensor(j->w, &t, j->err);
}

/* A norm's weights: random around 1. */
static sb_status add_norm(job *j, const char *name, int64_t n)
{
    unsigned char *p = NULL;
    SB_TRY(new_data(j, 4 * (size_t)n, &p));
    for (int64_t i = 0; i < n; i++) {
        const float v = (float)(1 + 0.1 * sb_tiny_normal(&j->random));
        memcpy(p + 4 * i, &v, sizeof(v));
    }
    const sb_gguf_out t = {.name = name, .format = SB_F_F32, .n_dims = 1, .ne = {n}, .data = p};
    return sb_gguf_add_tensor(j->w, &t, j->err);
}

typedef struct layer_tensor {
    const char *name;
    int64_t k, n; /* n = 0: a norm of k values */
} layer_tensor;

static sb_status add_layer(job *j, int32_t i_layer)
{
    const sb_tiny *o = j->o;
    const bool gemma = strcmp(o->arch, "gemma3") == 0;
    const int64_t q = (int64_t)o->n_heads * o->head_dim, kv = (int64_t)o->n_kv_heads * o->head_dim;
    const layer_tensor rows[] = {
        {"attn_norm", o->n_embd, 0},
        {"attn_q", o->n_embd, q},
        {"attn_k", o->n_embd, kv},
        {"attn_v", o->n_embd, kv},
        {"attn_output", q, o->n_embd},
        {"ffn_norm", o->n_embd, 0},
        {"ffn_gate", o->n_embd, o->n_ff},
        {"ffn_up", o->n_embd, o->n_ff},
        {"ffn_down", o->n_ff, o->n_embd},
        {"attn_q_norm", o->head_dim, 0}, // from here on gemma3 only
        {"attn_k_norm", o->head_dim, 0},
        {"post_attention_norm", o->n_embd, 0},
        {"post_ffw_norm", o->n_embd, 0},
    };
    const size_t n = SB_ARRAY_LEN(rows) - (gemma ? 0 : 4);
    for (size_t i = 0; i < n; i++) {
        char name[NAME_BYTES];
        (void)snprintf(name, sizeof(name), "blk.%d.%s.weight", (int)i_layer, rows[i].name);
        SB_TRY(rows[i].n ? add_matrix(j, name, rows[i].k, rows[i].n, choose(o, rows[i].k))
                         : add_norm(j, name, rows[i].k));
    }
    return SB_OK;
}

static sb_status add_tensors(job *j)
{
    const sb_tiny *o = j->o;
    const sb_format f = fits(o->embd_format, o->n_embd) ? o->embd_format : choose(o, o->n_embd);
    SB_TRY(add_matrix(j, "token_embd.weight", o->n_embd, o->n_vocab, f));
    for (int32_t i = 0; i < o->n_layers; i++) {
        SB_TRY(add_layer(j, i));
    }
    SB_TRY(add_norm(j, "output_norm.weight", o->n_embd));
    return o->tied ? SB_OK : add_matrix(j, "output.weight", o->n_embd, o->n_vocab, f);
}

static sb_status add_text(job *j, const char *key, const char *v)
{
    return sb_gguf_add_str(j->w, key, (sb_str){.p = v, .n = strlen(v)}, j->err);
}

static sb_status add_count(job *j, const char *suffix, int64_t v)
{
    char key[NAME_BYTES];
    (void)snprintf(key, sizeof(key), "%s.%s", j->o->arch, suffix);
    return sb_gguf_add_int(j->w, key, SB_GGUF_U32, v, j->err);
}

static sb_status add_real(job *j, const char *suffix, double v)
{
    char key[NAME_BYTES];
    (void)snprintf(key, sizeof(key), "%s.%s", j->o->arch, suffix);
    return sb_gguf_add_float(j->w, key, SB_GGUF_F32, v, j->err);
}

static sb_status add_arch_keys(job *j)
{
    const sb_tiny *o = j->o;
    const bool gemma = strcmp(o->arch, "gemma3") == 0;
    SB_TRY(add_count(j, "block_count", o->n_layers));
    SB_TRY(add_count(j, "context_length", o->n_ctx));
    SB_TRY(add_count(j, "embedding_length", o->n_embd));
    SB_TRY(add_count(j, "feed_forward_length", o->n_ff));
    SB_TRY(add_count(j, "attention.head_count", o->n_heads));
    SB_TRY(add_count(j, "attention.head_count_kv", o->n_kv_heads));
    SB_TRY(add_real(j, "attention.layer_norm_rms_epsilon", gemma ? 1e-6 : 1e-5));
    SB_TRY(add_real(j, "rope.freq_base", gemma ? 1e6 : 1e5));
    if (gemma || o->head_dim * o->n_heads != o->n_embd) {
        SB_TRY(add_count(j, "attention.key_length", o->head_dim));
        SB_TRY(add_count(j, "attention.value_length", o->head_dim));
    }
    if (gemma) return add_count(j, "attention.sliding_window", o->window);
    SB_TRY(add_count(j, "vocab_size", o->n_vocab));
    return add_count(j, "rope.dimension_count", o->head_dim);
}

static sb_status check(const sb_tiny *o, sb_error *err)
{
    if (strcmp(o->arch, "llama") != 0 && strcmp(o->arch, "gemma3") != 0) {
        return SB_FAIL(err, SB_INVALID, "arch: %.40s (llama or gemma3)", o->arch);
    }
    const struct {
        const char *name;
        int32_t v, lo, hi;
    } rows[] = {
        {"layers", o->n_layers, 1, SB_MAX_LAYERS},
        {"embd", o->n_embd, 2, SB_MAX_EMBD},
        {"ff", o->n_ff, 1, SB_MAX_FF},
        {"heads", o->n_heads, 1, SB_MAX_HEADS},
        {"kv-heads", o->n_kv_heads, 1, o->n_heads},
        {"head-dim", o->head_dim, 2, SB_MAX_HEAD_DIM},
        {"vocab", o->n_vocab, sb_tiny_min_vocab(o->arch), SB_MAX_VOCAB},
        {"ctx", o->n_ctx, 1, SB_MAX_CTX},
        {"window", o->window, 1, SB_MAX_CTX},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        if (rows[i].v >= rows[i].lo && rows[i].v <= rows[i].hi) continue;
        return SB_FAIL(err, SB_INVALID, "%s: %d (%d to %d)", rows[i].name, (int)rows[i].v,
                       (int)rows[i].lo, (int)rows[i].hi);
    }
    if (o->n_heads % o->n_kv_heads != 0) {
        return SB_FAIL(err, SB_INVALID, "kv-heads: %d does not divide %d heads", (int)o->n_kv_heads,
                       (int)o->n_heads);
    }
    return SB_OK;
}

static sb_status build(job *j, const char *path)
{
    SB_TRY(add_text(j, "general.architecture", j->o->arch));
    SB_TRY(add_text(j, "general.type", "model"));
    SB_TRY(add_text(j, "general.name", "tiny"));
    SB_TRY(add_arch_keys(j));
    SB_TRY(sb_tiny_add_vocab(j->w, j->o, j->err));
    SB_TRY(sb_gguf_add_int(j->w, "general.quantization_version", SB_GGUF_U32, 2, j->err));
    SB_TRY(add_tensors(j));
    return sb_gguf_write_file(j->w, 0, path, j->err);
}

sb_status sb_tiny_write(const sb_tiny *o, const char *path, sb_error *err)
{
    SB_TRY(check(o, err));
    job j = {.o = o, .err = err, .random = o->seed};
    SB_TRY(sb_gguf_writer_new(&j.w, err));
    const sb_status s = build(&j, path);
    sb_gguf_writer_free(j.w);
    for (size_t i = 0; i < j.n_data; i++) {
        sb_free(j.data[i]);
    }
    sb_free(j.data);
    return s;
}
