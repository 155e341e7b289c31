/* SPDX-License-Identifier: Apache-2.0
 * plan.h - a model written down as an array of steps, built once at load.
 *
 * Purpose     An architecture file says what a layer is by appending steps; the engine runs them
 *             for a batch of rows. Memory estimates, exact mode and other runners read the same
 *             array.
 * Invariants  Handles (buffers, weights, ropes, states) are indexes checked by the builders; widths
 *             of inputs and outputs agree with the weights they meet.
 * Ownership   The plan owns its steps; weights belong to the model.
 * Errors      Builders never fail one by one: the first error is kept in the plan and returned by
 *             sb_plan_finish(), so that a layer reads like its paper. */
#ifndef SB_MODEL_PLAN_H
#define SB_MODEL_PLAN_H
#include "base/base.h"

typedef enum sb_op {
#define X(name, what) SB_OP_##name,
#include "model/ops.def"
#undef X
    SB_OP_COUNT
} sb_op;

typedef enum sb_gate { SB_GATE_SILU, SB_GATE_GELU } sb_gate;
typedef enum sb_rope_layout { SB_ROPE_PAIRS, SB_ROPE_HALVES } sb_rope_layout;

/* One step. Unused handles are -1. */
typedef struct sb_step {
    sb_op op;
    int32_t layer;         /* -1 outside the layers */
    int32_t in[3], out[3]; /* buffers */
    int32_t w[3], b[3];    /* weights and biases */
    int32_t n;             /* MATMUL: how many products share the input */
    int32_t n_head, n_kv_head, head_dim;
    int32_t rope;   /* ROPE: index into ropes */
    int32_t kv;     /* ATTEND: index into kvs */
    int32_t window; /* ATTEND: a key is seen when query - key < window; 0 = all */
    float scale, softcap, eps;
    sb_gate gate;
} sb_step;

/* A rotary embedding: inverse frequencies and amplitude, ready to multiply by a position. */
typedef struct sb_rope {
    sb_rope_layout layout;
    int32_t n_pair;
    float *inv_freq; /* [n_pair], owned by the plan */
    float amplitude; /* of cos and sin */
} sb_rope;

/* What one attention keeps of the past: rows of n_head keys and values, for `window` positions. */
typedef struct sb_kv_state {
    int32_t layer, n_head, head_dim, window; /* window 0 = all positions */
} sb_kv_state;

typedef struct sb_plan_buf {
    const char *name;
    int32_t width; /* values of one row */
} sb_plan_buf;

enum { SB_PLAN_MAX_BUFS = 16, SB_PLAN_MAX_ROPES = 4 };

typedef struct sb_plan {
    sb_step *steps;
    int32_t n_steps, cap_steps;
    sb_plan_buf bufs[SB_PLAN_MAX_BUFS];
    int32_t n_bufs;
    sb_rope ropes[SB_PLAN_MAX_ROPES];
    int32_t n_ropes;
    sb_kv_state *kvs;
    int32_t n_kvs, cap_kvs;
    sb_status failed; /* first failure of a builder */
    sb_error err;
} sb_plan;

/* How a rope's frequencies are made (YaRN, linear and table scalings included). */
typedef struct sb_rope_spec {
    sb_rope_layout layout;
    int32_t n_rot; /* rotated dimensions, even */
    double base;
    double factor; /* linear or YaRN factor; 1 = none */
    bool yarn;
    double attn_factor; /* of cos and sin; YaRN multiplies it by 1 + 0.1 ln(factor) */
    double orig_ctx, ext_factor, beta_fast, beta_slow; /* YaRN */
    const unsigned char *freq_factors; /* float32 [n_rot / 2], unaligned: divisors, or NULL */
} sb_rope_spec;

void sb_plan_init(sb_plan *p);
void sb_plan_deinit(sb_plan *p);

/* A buffer of `width` values a row; equal names give the same handle. */
int32_t sb_plan_buf_get(sb_plan *p, const char *name, int32_t width);
int32_t sb_plan_rope_add(sb_plan *p, const sb_rope_spec *spec);
/* Appends a copy of the step; handles are checked. The builders below fill it. */
void sb_plan_add(sb_plan *p, const sb_step *step);
/* Returns the first failure of the builders, or checks the whole plan. */
sb_status sb_plan_finish(sb_plan *p, sb_error *err) SB_MUST_USE;
/* A step with every handle -1 and everything else zero. */
sb_step sb_step_none(sb_op op, int32_t layer);

void sb_plan_embed(sb_plan *p, int32_t w, float scale, int32_t out);
void sb_plan_norm(sb_plan *p, int32_t layer, int32_t in, int32_t w, float eps, int32_t out);
void sb_plan_head_norm(sb_plan *p, int32_t layer, int32_t buf, int32_t w, float eps, int32_t n_head,
                       int32_t head_dim);
/* Up to three products of one input; weights or biases that are -1 are absent. */
void sb_plan_matmul(sb_plan *p, int32_t layer, int32_t in, int32_t n, const int32_t *w,
                    const int32_t *b, const int32_t *out);
void sb_plan_rope(sb_plan *p, int32_t layer, int32_t rope, int32_t buf, int32_t n_head,
                  int32_t head_dim);
/* q, k, v -> out; fills n_head, n_kv_head, head_dim, window, scale, softcap from `a`. */
void sb_plan_attend(sb_plan *p, const sb_step *a);
void sb_plan_gate(sb_plan *p, int32_t layer, sb_gate gate, int32_t in, int32_t up, int32_t out);
void sb_plan_residual(sb_plan *p, int32_t layer, int32_t in, int32_t out);
void sb_plan_head(sb_plan *p, int32_t in, int32_t w, float softcap);
#endif
