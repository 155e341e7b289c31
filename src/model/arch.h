/* SPDX-License-Identifier: Apache-2.0
 * arch.h - what one architecture file states: its keys, its tensors, its plan.
 *
 * Purpose     Everything particular to a model family is in its one file under arch/; the loader
 *             (model.c) reads keys and binds tensors by these tables and then asks for the plan.
 * Invariants  When plan() runs, every key is in range, every required tensor is bound with the
 *             shape its row states, and dimensions fit int32. */
#ifndef SB_MODEL_ARCH_H
#define SB_MODEL_ARCH_H
#include "base/limits.h"
#include "model/model.h"
#include "model/plan.h"

/* A metadata key "ARCH.suffix" and the field of sb_hparams it fills. */
typedef struct sb_arch_key {
    const char *suffix;
    size_t field; /* offsetof(sb_hparams, ...) */
    enum { SB_KEY_INT, SB_KEY_FLOAT } kind;
    double lo, hi, dflt;
    bool required;
} sb_arch_key;

#define SB_KEY_I(name, f, lo, hi, dflt)                                                            \
    {                                                                                              \
        name, offsetof(sb_hparams, f), SB_KEY_INT, lo, hi, dflt, false                             \
    }
#define SB_KEY_I_REQUIRED(name, f, lo, hi)                                                         \
    {                                                                                              \
        name, offsetof(sb_hparams, f), SB_KEY_INT, lo, hi, 0, true                                 \
    }
#define SB_KEY_F_REQUIRED(name, f, lo, hi)                                                         \
    {                                                                                              \
        name, offsetof(sb_hparams, f), SB_KEY_FLOAT, lo, hi, 0, true                               \
    }
#define SB_KEY_F(name, f, lo, hi, dflt)                                                            \
    {                                                                                              \
        name, offsetof(sb_hparams, f), SB_KEY_FLOAT, lo, hi, dflt, false                           \
    }

/* A dimension of a tensor, computed from the hyper-parameters; NONE ends the shape. */
typedef enum sb_dim {
    SB_DIM_NONE,
    SB_DIM_EMBD,
    SB_DIM_VOCAB,
    SB_DIM_Q,
    SB_DIM_KV,
    SB_DIM_FF,
    SB_DIM_HEAD,
    SB_DIM_ROT_HALF
} sb_dim;

typedef struct sb_arch_tensor {
    sb_tensor_slot slot;
    sb_dim ne[2]; /* row length, rows */
    bool required;
} sb_arch_tensor;

struct sb_arch {
    const char *name; /* general.architecture */
    const sb_arch_key *keys;
    size_t n_keys;
    const sb_arch_tensor *tensors;
    size_t n_tensors;
    /* Fills what keys leave out and refuses what the family cannot express here. May be NULL. */
    sb_status (*settle)(sb_hparams *hp, const sb_gguf *g, sb_error *err);
    void (*plan)(const sb_model *m, sb_plan *p);
};

/* Keys that every decoder of the llama line shares. */
#define SB_ARCH_COMMON_KEYS                                                                        \
    SB_KEY_I_REQUIRED("block_count", n_layer, 1, SB_MAX_LAYERS),                                   \
        SB_KEY_I_REQUIRED("embedding_length", n_embd, 32, SB_MAX_EMBD),                            \
        SB_KEY_I_REQUIRED("feed_forward_length", n_ff, 32, SB_MAX_FF),                             \
        SB_KEY_I_REQUIRED("attention.head_count", n_head, 1, SB_MAX_HEADS),                        \
        SB_KEY_I("attention.head_count_kv", n_kv_head, 1, SB_MAX_HEADS, 0),                        \
        SB_KEY_I("attention.key_length", head_dim, 8, SB_MAX_HEAD_DIM, 0),                         \
        SB_KEY_I("attention.value_length", v_dim, 8, SB_MAX_HEAD_DIM, 0),                          \
        SB_KEY_I("context_length", n_ctx_train, 1, 4294967295.0, 2048),                            \
        SB_KEY_I("rope.dimension_count", n_rot, 2, SB_MAX_HEAD_DIM, 0),                            \
        SB_KEY_I("expert_count", n_expert, 0, 4096, 0),                                            \
        SB_KEY_F_REQUIRED("attention.layer_norm_rms_epsilon", eps, 1e-12, 1e-1),                   \
        SB_KEY_F("rope.freq_base", rope_base, 1, 1e12, 10000),                                     \
        SB_KEY_F("rope.scaling.factor", rope_factor, 1e-3, 1e6, 0),                                \
        SB_KEY_F("rope.scale_linear", rope_scale_linear, 1e-3, 1e6, 1),                            \
        SB_KEY_F("rope.scaling.original_context_length", rope_orig_ctx, 1, 1e9, 0),                \
        SB_KEY_F("rope.scaling.attn_factor", rope_attn_factor, 1e-3, 1e3, 1),                      \
        SB_KEY_F("rope.scaling.yarn_ext_factor", yarn_ext_factor, 0, 1e3, 1),                      \
        SB_KEY_F("rope.scaling.yarn_attn_factor", yarn_attn_factor, 1e-3, 1e3, 1),                 \
        SB_KEY_F("rope.scaling.yarn_beta_fast", yarn_beta_fast, 1e-3, 1e6, 32),                    \
        SB_KEY_F("rope.scaling.yarn_beta_slow", yarn_beta_slow, 1e-3, 1e6, 1),                     \
        SB_KEY_F("attn_logit_softcapping", attn_softcap, 0, 1e6, 0),                               \
        SB_KEY_F("final_logit_softcapping", logit_softcap, 0, 1e6, 0)

/* Tensors that all of them have. A tied head is the embedding. */
#define SB_ARCH_COMMON_TENSORS                                                                     \
    {SB_T_TOKEN_EMBD, {SB_DIM_EMBD, SB_DIM_VOCAB}, true}, {SB_T_OUTPUT_NORM, {SB_DIM_EMBD}, true}, \
        {SB_T_OUTPUT, {SB_DIM_EMBD, SB_DIM_VOCAB}, false}, {SB_T_ATTN_NORM, {SB_DIM_EMBD}, true},  \
        {SB_T_ATTN_Q, {SB_DIM_EMBD, SB_DIM_Q}, true},                                              \
        {SB_T_ATTN_K, {SB_DIM_EMBD, SB_DIM_KV}, true},                                             \
        {SB_T_ATTN_V, {SB_DIM_EMBD, SB_DIM_KV}, true},                                             \
        {SB_T_ATTN_OUTPUT, {SB_DIM_Q, SB_DIM_EMBD}, true}, {SB_T_FFN_NORM, {SB_DIM_EMBD}, true},   \
        {SB_T_FFN_GATE, {SB_DIM_EMBD, SB_DIM_FF}, true},                                           \
        {SB_T_FFN_UP, {SB_DIM_EMBD, SB_DIM_FF}, true},                                             \
    {                                                                                              \
        SB_T_FFN_DOWN, {SB_DIM_FF, SB_DIM_EMBD}, true                                              \
    }

/* Biases a configuration may ask for; those of q, k and v are required or not. */
#define SB_ARCH_BIASES(qkv_required)                                                               \
    {SB_T_ATTN_Q_BIAS, {SB_DIM_Q}, qkv_required}, {SB_T_ATTN_K_BIAS, {SB_DIM_KV}, qkv_required},   \
        {SB_T_ATTN_V_BIAS, {SB_DIM_KV}, qkv_required},                                             \
        {SB_T_ATTN_OUTPUT_BIAS, {SB_DIM_EMBD}, false}, {SB_T_FFN_GATE_BIAS, {SB_DIM_FF}, false},   \
        {SB_T_FFN_UP_BIAS, {SB_DIM_FF}, false},                                                    \
    {                                                                                              \
        SB_T_FFN_DOWN_BIAS, {SB_DIM_EMBD}, false                                                   \
    }

/* Norms of each head of q and k. */
#define SB_ARCH_HEAD_NORMS                                                                         \
    {SB_T_ATTN_Q_NORM, {SB_DIM_HEAD}, true},                                                       \
    {                                                                                              \
        SB_T_ATTN_K_NORM, {SB_DIM_HEAD}, true                                                      \
    }

/* The tables `keys` and `tensors` of an architecture's file, for its sb_arch. */
#define SB_ARCH_TABLES                                                                             \
    .keys = keys, .n_keys = SB_ARRAY_LEN(keys), .tensors = tensors,                                \
    .n_tensors = SB_ARRAY_LEN(tensors)

/* Adds the model's main rope as its keys say (none, linear, YaRN, table of divisors). */
int32_t sb_arch_rope_add(const sb_model *m, sb_plan *p, sb_rope_layout layout);
/* 1 / sqrt(head_dim): what scores are multiplied by, unless a family says otherwise. */
float sb_arch_score_scale(const sb_model *m);

#define X(name) extern const sb_arch sb_arch_##name;
#include "model/arch.def"
#undef X
#endif
