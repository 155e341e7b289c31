/* SPDX-License-Identifier: Apache-2.0
 * kv_page.h - where one position's numbers lie in a page of keys or values.
 *
 * Purpose     The byte layout's only home, shared by the code that writes pages and by every level
 *             that reads them. Private to this room; n is the head's width throughout.
 * F32, BF16   64 * n elements of e = 4 or 2 bytes, 64 * n * e bytes in all.
 *   keys      element (position p, dim d) at ((p / 16) * (n / 2) + d / 2) * 32 + (p % 16) * 2 + d %
 *             2: one line holds a pair of dims of 16 positions, so 16 scores grow side by side.
 *   values    element (position p, dim d) at (p / 2) * 2 n + 2 d + p % 2:
 *             one word holds a pair of positions of one dim, so the dims grow side by side.
 * I8          Four blocks of 16 positions, each 64 * G + 16 * n bytes, G = ceil(n / SB_KV_GROUP):
 *             first the scales, float32 [G][16 positions], then the codes, int8, for keys
 *             [n][16 positions], for values [16 positions][n]. Scales stand in front of what they
 *             scale: one stream in the order of use. A page of zeros holds zeros.
 * Row-major keys were refused: a score would need a horizontal sum, whose order of additions then
 * depends on the vector width. */
#ifndef SB_KERNELS_KV_PAGE_H
#define SB_KERNELS_KV_PAGE_H
#include "kernels/kernels.h"

enum { KV_BLOCK = 16 };

static inline size_t kv_elem_bytes(sb_kv_type t)
{
    return t == SB_KV_F32 ? sizeof(float) : t == SB_KV_BF16 ? sizeof(uint16_t) : sizeof(int8_t);
}

static inline size_t kv_key_at(size_t n, size_t p, size_t d)
{
    return ((p / KV_BLOCK) * (n / 2) + d / 2) * 2 * KV_BLOCK + (p % KV_BLOCK) * 2 + d % 2;
}

static inline size_t kv_value_at(size_t n, size_t p, size_t d)
{
    return (p / 2) * 2 * n + 2 * d + p % 2;
}

static inline size_t kv_n_groups(size_t n)
{
    return (n + SB_KV_GROUP - 1) / SB_KV_GROUP;
}

/* I8: bytes of the scales before a block's codes, and of a block. */
static inline size_t kv_i8_scale_bytes(size_t n)
{
    return kv_n_groups(n) * KV_BLOCK * sizeof(float);
}

static inline size_t kv_i8_block_bytes(size_t n)
{
    return kv_i8_scale_bytes(n) + KV_BLOCK * n;
}

/* I8: byte of the scale of group g at position p, for keys and values alike. */
static inline size_t kv_i8_scale_at(size_t n, size_t p, size_t g)
{
    return p / KV_BLOCK * kv_i8_block_bytes(n) + (g * KV_BLOCK + p % KV_BLOCK) * sizeof(float);
}

static inline size_t kv_i8_key_at(size_t n, size_t p, size_t d)
{
    return p / KV_BLOCK * kv_i8_block_bytes(n) + kv_i8_scale_bytes(n) + d * KV_BLOCK + p % KV_BLOCK;
}

static inline size_t kv_i8_value_at(size_t n, size_t p, size_t d)
{
    return p / KV_BLOCK * kv_i8_block_bytes(n) + kv_i8_scale_bytes(n) + p % KV_BLOCK * n + d;
}
#endif
