/* SPDX-License-Identifier: Apache-2.0
 * internal.h - what the files of this room share and nobody else sees: fill functions, row access.
 *
 * Purpose     Each level's file fills its own slots of a table, which table.c puts together.
 *             A fill function of a level may only be called when the CPU has that level.
 * Threads     Pure functions. */
#ifndef SB_KERNELS_INTERNAL_H
#define SB_KERNELS_INTERNAL_H
#include "kernels/kernels.h"

void sb_kernels_fill_ref_mm(sb_kernels *k);
void sb_kernels_fill_ref_ops(sb_kernels *k);
void sb_kernels_fill_avx2_mm(sb_kernels *k);
void sb_kernels_fill_avx2_ops(sb_kernels *k);
void sb_kernels_fill_avx512_mm(sb_kernels *k);
void sb_kernels_fill_avx512_ops(sb_kernels *k);

/* The parts of an A8 or A16 activation row of length k (layout in kernels.h): q starts the row,
 * then four arrays of k / 32 numbers. q_bytes: 1 for A8, 2 for A16. */
static inline const float *act_d(const unsigned char *row, int64_t k, int q_bytes)
{
    return (const float *)(const void *)(row + k * q_bytes);
}

static inline const float *act_s(const unsigned char *row, int64_t k, int q_bytes)
{
    return act_d(row, k, q_bytes) + k / SB_ACT_BLOCK;
}

static inline const int32_t *act_sum(const unsigned char *row, int64_t k, int q_bytes)
{
    return (const int32_t *)(const void *)(act_d(row, k, q_bytes) + 2 * (k / SB_ACT_BLOCK));
}

static inline const int32_t *act_half(const unsigned char *row, int64_t k, int q_bytes)
{
    return act_sum(row, k, q_bytes) + k / SB_ACT_BLOCK;
}
#endif
