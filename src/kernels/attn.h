/* SPDX-License-Identifier: Apache-2.0
 * attn.h - what the levels of attention share: scratch geometry and the functions' names.
 *
 * Invariants  A level works on at most SB_ATTN_ROWS rows at once, so scratch does not grow with
 *             n_row: per row SB_ATTN_STRIDE scores (256 and a little, so that rows do not fall on
 *             the same cache sets), as many scores times scales, and head_dim values of the
 *             query, regrouped. */
#ifndef SB_KERNELS_ATTN_H
#define SB_KERNELS_ATTN_H
#include "kernels/kernels.h"

enum { SB_ATTN_ROWS = 16, SB_ATTN_STRIDE = SB_KV_SEGMENT + 16, SB_ATTN_SLACK = SB_KV_SEGMENT };

void sb_ref_attn_f32(const sb_attn *a);
void sb_ref_attn_bf16(const sb_attn *a);
void sb_ref_attn_i8(const sb_attn *a);
void sb_ref_attn_merge(float *m, float *l, float *acc, float m2, float l2, const float *acc2,
                       int64_t n);
void sb_neon_attn_f32(const sb_attn *a);
void sb_neon_attn_bf16(const sb_attn *a);
void sb_neon_attn_i8(const sb_attn *a);
void sb_neon_attn_merge(float *m, float *l, float *acc, float m2, float l2, const float *acc2,
                        int64_t n);
void sb_avx2_attn_f32(const sb_attn *a);
void sb_avx2_attn_bf16(const sb_attn *a);
void sb_avx2_attn_i8(const sb_attn *a);
void sb_avx2_attn_merge(float *m, float *l, float *acc, float m2, float l2, const float *acc2,
                        int64_t n);
void sb_avx512_attn_f32(const sb_attn *a);
void sb_avx512_attn_bf16(const sb_attn *a);
void sb_avx512_attn_i8(const sb_attn *a);
void sb_avx512_attn_merge(float *m, float *l, float *acc, float m2, float l2, const float *acc2,
                          int64_t n);
#endif
