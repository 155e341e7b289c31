/* SPDX-License-Identifier: Apache-2.0
 * model.h - what a model is: hyper-parameters, weights bound and checked, tokenizer, plan.
 *
 * Purpose     Opens a GGUF file and answers every question about the model; computes nothing.
 * Invariants  After sb_model_open() every weight lies inside its mapping with the shape its
 *             architecture states, and the plan names only bound weights.
 * Ownership   sb_model owns the file, tables, tokenizer and plan. Weight bytes are borrowed from
 *             the mapping and live until sb_model_close().
 * Threads     Read-only after open.
 * Errors      One line naming the file and what is wrong: SB_CORRUPT, SB_UNSUPPORTED, SB_LIMIT,
 *             ... */
#ifndef SB_MODEL_H
#define SB_MODEL_H
#include "base/base.h"
#include "gguf/gguf.h"
#include "model/plan.h"
#include "tokenizer/tokenizer.h"

typedef enum sb_tensor_slot {
#define X(slot, per_layer, pattern) SB_T_##slot,
#include "model/tensors.def"
#undef X
    SB_T_COUNT
} sb_tensor_slot;

typedef struct sb_hparams {
    int32_t n_layer, n_embd, n_ff, n_head, n_kv_head, head_dim, v_dim, n_rot, n_vocab, n_expert;
    int32_t n_ctx_train;
    int32_t window,
        window_period; /* sliding window; every window_period-th layer sees everything */
    float eps, rope_base, rope_base_local, rope_factor, rope_scale_linear, rope_orig_ctx;
    float rope_attn_factor, yarn_ext_factor, yarn_attn_factor, yarn_beta_fast, yarn_beta_slow;
    float attn_softcap, logit_softcap;
    bool yarn;
} sb_hparams;

/* A tensor in use. Rows of k elements; a vector has one row. */
typedef struct sb_weight {
    sb_str name;
    sb_format format;
    int64_t k, n_row;
    const unsigned char *data;
    size_t bytes;
    int32_t i_shard;
    uint64_t offset; /* in its file */
} sb_weight;

typedef struct sb_arch sb_arch;

typedef struct sb_model {
    sb_gguf *gguf;
    const sb_arch *arch;
    sb_hparams hp;
    sb_weight *weights; /* [n_weights] */
    int32_t n_weights;
    int32_t *bound;    /* [1 + n_layer][SB_T_COUNT]: weight index or -1; row 0 holds the globals */
    int32_t n_unbound; /* tensors of the file that nothing uses */
    sb_tokenizer *tok;
    sb_str *strs;         /* token and merge strings handed to the tokenizer */
    sb_str chat_template; /* {NULL, 0} when the file has none */
    sb_str tool_template; /* the file's own for conversations with tools, or {NULL, 0} */
    float temp;           /* recommended temperature, or -1 */
    sb_plan plan;
} sb_model;

sb_status sb_model_open(sb_model **out, const char *path, sb_error *err) SB_MUST_USE;
/* The tokenizer and its strings alone: opens files of architectures we cannot run, too. */
sb_status sb_model_open_vocab(sb_model **out, const char *path, sb_error *err) SB_MUST_USE;
void sb_model_close(sb_model *m);

const char *sb_model_arch_name(const sb_model *m);
/* Names of all architectures, separated by ", ". */
const char *sb_model_arch_list(void);
/* Index of the weight bound to a slot, or -1. layer -1 for globals. */
int32_t sb_model_weight(const sb_model *m, sb_tensor_slot slot, int32_t layer);
/* The first weight in use that holds a number which is not finite, or NULL. Reads them all,
 * allocates nothing: for the error message of a computation that went wrong. */
const sb_weight *sb_model_find_broken(const sb_model *m);
/* Parameters of all tensors (a tied head counts once). */
uint64_t sb_model_n_params(const sb_model *m);
#endif
