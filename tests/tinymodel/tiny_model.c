/* SPDX-License-Identifier: Apache-2.0
 * tiny_model.c - keys and tensors of a small model, with the changes asked for. */
#include "base/alloc.h"
#include "base/limits.h"
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 64, MAX_CHANGES = 32 };

/* A model in the making: the writer borrows tensor data, so that lives here. */
typedef struct job {
    const sb_tiny *o;
    sb_gguf_writer *w;
    sb_error *err;
    uint64_t random;
    unsigned char **data;
    size_t n_data, cap;
    bool done[MAX_CHANGES]; /* changes made */
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

void sb_tiny_in_format(sb_tiny *o, sb_format f)
{
    const bool wide = sb_format_get(f)->block_elems == 256;
    o->format = f;
    o->n_embd = wide ? 256 : 96;
    o->n_ff = wide ? 512 : 160;
    o->n_heads = 6;
    o->n_kv_heads = 2;
    o->head_dim = wide ? 128 : 32;
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

/* The change asked for of a key or tensor, or NULL; from here on it counts as made. */
static const sb_tiny_change *take_change(job *j, const char *name)
{
    for (size_t i = 0; i < j->o->n_changes; i++) {
        if (j->done[i] || strcmp(j->o->changes[i].name, name) != 0) continue;
        j->done[i] = true;
        return &j->o->changes[i];
    }
    return NULL;
}

/* What the families have beyond llama's keys and tensors. */
typedef struct family {
    const char *name;
    bool biases, head_norms, post_norms;
    double eps, rope_base;
} family;

static const family families[] = {
    {.name = "llama", .eps = 1e-5, .rope_base = 1e5},
    {.name = "gemma3", .head_norms = true, .post_norms = true, .eps = 1e-6, .rope_base = 1e6},
    {.name = "qwen2", .biases = true, .eps = 1e-6, .rope_base = 1e6},
    {.name = "qwen3", .head_norms = true, .eps = 1e-6, .rope_base = 1e6},
    {.name = "smollm3", .eps = 1e-6, .rope_base = 5e6},
};

static const family *find_family(const char *arch)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(families); i++) {
        if (strcmp(families[i].name, arch) == 0) return &families[i];
    }
    return NULL;
}

/* Random values: blocks of deviation `dev` around 0, or around 1 in a vector without one. */
static sb_status add_random(job *j, sb_gguf_out *t, double dev)
{
    const int64_t n_row = t->n_dims == 1 ? 1 : t->ne[1];
    unsigned char *p = NULL;
    SB_TRY(new_data(j, sb_format_row_bytes(t->format, t->ne[0]) * (size_t)n_row, &p));
    t->data = p;
    if (dev > 0) {
        sb_tiny_fill(t->format, p, t->ne[0], n_row, dev, &j->random);
        return sb_gguf_add_tensor(j->w, t, j->err);
    }
    for (int64_t i = 0; i < t->ne[0]; i++) {
        const float v = (float)(1 + 0.1 * sb_tiny_normal(&j->random));
        memcpy(p + 4 * i, &v, sizeof(v));
    }
    return sb_gguf_add_tensor(j->w, t, j->err);
}

static sb_status add_changed_tensor(job *j, const sb_tiny_change *c)
{
    if (c->to == SB_TINY_DROP) return SB_OK;
    sb_gguf_out t = {.name = c->name,
                     .format = c->format,
                     .n_dims = c->ne[1] ? 2 : 1,
                     .ne = {c->ne[0], c->ne[1]}};
    return add_random(j, &t, 0.1);
}

static sb_status add_matrix(job *j, const char *name, int64_t k, int64_t n, sb_format f)
{
    const sb_tiny_change *c = take_change(j, name);
    if (c) return add_changed_tensor(j, c);
    sb_gguf_out t = {.name = name, .format = f, .n_dims = 2, .ne = {k, n}};
    return add_random(j, &t, 1 / sqrt((double)k));
}

/* A norm's weights (dev 0: random around 1), or a bias. */
static sb_status add_vector(job *j, const char *name, int64_t n, double dev)
{
    const sb_tiny_change *c = take_change(j, name);
    if (c) return add_changed_tensor(j, c);
    sb_gguf_out t = {.name = name, .format = SB_F_F32, .n_dims = 1, .ne = {n}};
    return add_random(j, &t, dev);
}

/* A row of a layer, left out where its family has none. */
typedef struct layer_tensor {
    const char *name;
    int64_t k, n; /* n = 0: a vector of k values */
    bool is_absent;
} layer_tensor;

static sb_status add_layer(job *j, int32_t i_layer)
{
    const sb_tiny *o = j->o;
    const family *f = find_family(o->arch);
    const int64_t q = (int64_t)o->n_heads * o->head_dim, kv = (int64_t)o->n_kv_heads * o->head_dim;
    const layer_tensor rows[] = {
        {"attn_norm.weight", o->n_embd, 0, false},
        {"attn_q.weight", o->n_embd, q, false},
        {"attn_k.weight", o->n_embd, kv, false},
        {"attn_v.weight", o->n_embd, kv, false},
        {"attn_output.weight", q, o->n_embd, false},
        {"ffn_norm.weight", o->n_embd, 0, false},
        {"ffn_gate.weight", o->n_embd, o->n_ff, false},
        {"ffn_up.weight", o->n_embd, o->n_ff, false},
        {"ffn_down.weight", o->n_ff, o->n_embd, false},
        {"attn_q_norm.weight", o->head_dim, 0, !f->head_norms},
        {"attn_k_norm.weight", o->head_dim, 0, !f->head_norms},
        {"post_attention_norm.weight", o->n_embd, 0, !f->post_norms},
        {"post_ffw_norm.weight", o->n_embd, 0, !f->post_norms},
        {"attn_q.bias", q, 0, !f->biases},
        {"attn_k.bias", kv, 0, !f->biases},
        {"attn_v.bias", kv, 0, !f->biases},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        const layer_tensor *r = &rows[i];
        char name[NAME_BYTES];
        if (r->is_absent) continue;
        (void)snprintf(name, sizeof(name), "blk.%d.%s", (int)i_layer, r->name);
        SB_TRY(r->n ? add_matrix(j, name, r->k, r->n, choose(o, r->k))
                    : add_vector(j, name, r->k, strstr(name, ".bias") ? 0.5 : 0));
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
    SB_TRY(add_vector(j, "output_norm.weight", o->n_embd, 0));
    if (!o->tied) SB_TRY(add_matrix(j, "output.weight", o->n_embd, o->n_vocab, f));
    for (size_t i = 0; i < o->n_changes; i++) {
        const sb_tiny_change *c = &o->changes[i];
        if (c->to == SB_TINY_TENSOR && take_change(j, c->name)) SB_TRY(add_changed_tensor(j, c));
    }
    return SB_OK;
}

/* Adds a key, or what a change makes of it. */
static sb_status add_key(job *j, const sb_tiny_change *key)
{
    const sb_tiny_change *c = take_change(j, key->name);
    if (!c) c = key;
    switch (c->to) {
    case SB_TINY_DROP:
        return SB_OK;
    case SB_TINY_INT:
        return sb_gguf_add_int(j->w, c->name, c->type, c->n, j->err);
    case SB_TINY_REAL:
        return sb_gguf_add_float(j->w, c->name, c->type, c->real, j->err);
    case SB_TINY_TEXT:
        return sb_gguf_add_str(j->w, c->name, (sb_str){.p = c->text, .n = strlen(c->text)}, j->err);
    case SB_TINY_TENSOR:
        break;
    }
    return SB_FAIL(j->err, SB_INVALID, "%s: a key is no tensor", c->name);
}

static sb_status add_text(job *j, const char *name, const char *v)
{
    return add_key(j, &(sb_tiny_change){.name = name, .to = SB_TINY_TEXT, .text = v});
}

static sb_status add_count(job *j, const char *suffix, int64_t v)
{
    char key[NAME_BYTES];
    (void)snprintf(key, sizeof(key), "%s.%s", j->o->arch, suffix);
    return add_key(j,
                   &(sb_tiny_change){.name = key, .to = SB_TINY_INT, .type = SB_GGUF_U32, .n = v});
}

static sb_status add_real(job *j, const char *suffix, double v)
{
    char key[NAME_BYTES];
    (void)snprintf(key, sizeof(key), "%s.%s", j->o->arch, suffix);
    return add_key(
        j, &(sb_tiny_change){.name = key, .to = SB_TINY_REAL, .type = SB_GGUF_F32, .real = v});
}

static sb_status add_arch_keys(job *j)
{
    const sb_tiny *o = j->o;
    const family *f = find_family(o->arch);
    const bool has_window = strcmp(o->arch, "gemma3") == 0;
    SB_TRY(add_count(j, "block_count", o->n_layers));
    SB_TRY(add_count(j, "context_length", o->n_ctx));
    SB_TRY(add_count(j, "embedding_length", o->n_embd));
    SB_TRY(add_count(j, "feed_forward_length", o->n_ff));
    SB_TRY(add_count(j, "attention.head_count", o->n_heads));
    SB_TRY(add_count(j, "attention.head_count_kv", o->n_kv_heads));
    SB_TRY(add_real(j, "attention.layer_norm_rms_epsilon", f->eps));
    SB_TRY(add_real(j, "rope.freq_base", f->rope_base));
    if (f->head_norms || o->head_dim * o->n_heads != o->n_embd) {
        SB_TRY(add_count(j, "attention.key_length", o->head_dim));
        SB_TRY(add_count(j, "attention.value_length", o->head_dim));
    }
    if (has_window) SB_TRY(add_count(j, "attention.sliding_window", o->window));
    if (strcmp(o->arch, "llama") == 0 || strcmp(o->arch, "smollm3") == 0) {
        SB_TRY(add_count(j, "vocab_size", o->n_vocab));
        SB_TRY(add_count(j, "rope.dimension_count", o->head_dim));
    }
    for (size_t i = 0; i < o->n_changes; i++) {
        const bool is_key = o->changes[i].to != SB_TINY_DROP && o->changes[i].to != SB_TINY_TENSOR;
        if (is_key && !j->done[i]) SB_TRY(add_key(j, &o->changes[i]));
    }
    return SB_OK;
}

static sb_status check(const sb_tiny *o, sb_error *err)
{
    if (!find_family(o->arch)) {
        return SB_FAIL(err, SB_INVALID, "arch: %.40s (llama, gemma3, qwen2, qwen3, smollm3)",
                       o->arch);
    }
    if (o->n_changes > MAX_CHANGES) {
        return SB_FAIL(err, SB_INVALID, "%zu changes (at most %d)", o->n_changes, MAX_CHANGES);
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
