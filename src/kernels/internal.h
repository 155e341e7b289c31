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
void sb_kernels_fill_neon_mm(sb_kernels *k);
void sb_kernels_fill_neon_ops(sb_kernels *k);
void sb_kernels_fill_avx2_mm(sb_kernels *k);
void sb_kernels_fill_avx2_ops(sb_kernels *k);
void sb_kernels_fill_avxvnni_mm(sb_kernels *k);
void sb_kernels_fill_avxvnni_ops(sb_kernels *k);
void sb_kernels_fill_avx512_mm(sb_kernels *k);
void sb_kernels_fill_avx512_ops(sb_kernels *k);

/* The parts of an A8 activation row of length k (layout in kernels.h); q starts the row, tables of
 * four bytes for each block follow: d, s, zq. part: 0 the block, 1 and 2 its halves. */
enum { ACT_D = 0, ACT_S = 1, ACT_ZQ = 4 };

static inline int64_t act_at(int64_t k, int table, int64_t block)
{
    return k + 4 * (table * (k / SB_ACT_BLOCK) + block);
}

static inline const float *act_d(const unsigned char *row, int64_t k)
{
    return (const float *)(const void *)(row + act_at(k, ACT_D, 0));
}

static inline const float *act_s(const unsigned char *row, int64_t k, int part)
{
    return (const float *)(const void *)(row + act_at(k, ACT_S + part, 0));
}

static inline const int32_t *act_zq(const unsigned char *row, int64_t k, int part)
{
    return (const int32_t *)(const void *)(row + act_at(k, ACT_ZQ + part, 0));
}

/* A zq of its two numbers, and z of a zq. */
static inline int32_t act_zq_of(int32_t z, int32_t q_sum)
{
    return (int32_t)((uint32_t)q_sum << 16 | ((uint32_t)z & 0xffffu));
}

static inline int32_t act_z(int32_t zq)
{
    return (int16_t)(zq & 0xffff);
}
#endif
