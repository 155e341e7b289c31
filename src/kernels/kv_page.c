/* SPDX-License-Identifier: Apache-2.0
 * kv_page.c - writes keys and values into pages, rounded to the pages' type. */
#include "kernels/kv_page.h"

#include "kernels/pack.h"
#include "kernels/ref_math.h"

#include <string.h>

/* Adding it to a number of magnitude below 2^22 rounds that to an integer, half to even. */
#define ROUND_MAGIC 0x1.8p+23f

enum { UNIT = 8 }; /* numbers rounded together; a head is a multiple */

size_t sb_kv_page_bytes(sb_kv_type t, int32_t head_dim)
{
    const size_t n = (size_t)head_dim;
    if (t == SB_KV_I8) return SB_KV_PAGE / KV_BLOCK * kv_i8_block_bytes(n);
    return SB_KV_PAGE * n * kv_elem_bytes(t);
}

/* Writes x[d] at elements first + (d / 2) * pair_step + (d % 2) * step. */
static void put_f32(float *page, size_t first, size_t pair_step, size_t step, const float *x,
                    size_t n)
{
    for (size_t d = 0; d < n; d++)
        page[first + d / 2 * pair_step + d % 2 * step] = x[d];
}

/* sb_f32_to_bf16 of UNIT numbers, without a branch, so that compilers make vectors of it. */
static void round_unit(const float *x, uint32_t *h)
{
    for (int i = 0; i < UNIT; i++) {
        const uint32_t u = sb_float_bits(x[i]);
        const uint32_t near = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, quiet = u >> 16 | 0x40u;
        h[i] = (int32_t)(u & 0x7fffffffu) > 0x7f800000 ? quiet : near;
    }
}

/* A pair of dims is a word of its own, 16 words from the next. */
static void put_k_bf16(unsigned char *page, size_t p, const float *x, size_t n)
{
    uint32_t h[UNIT];
    unsigned char *out = page + kv_key_at(n, p, 0) * sizeof(uint16_t);
    for (size_t d = 0; d < n; d += UNIT) {
        round_unit(x + d, h);
        for (int i = 0; i < UNIT; i += 2, out += KV_BLOCK * sizeof(uint32_t)) {
            const uint32_t word = h[i] | h[i + 1] << 16;
            memcpy(out, &word, sizeof word);
        }
    }
}

/* A dim is half a word. The other half is the position beside this one, which another thread may be
 * writing: words must not be merged. */
static void put_v_bf16(unsigned char *page, size_t p, const float *x, size_t n)
{
    uint32_t h[UNIT];
    unsigned char *out = page + kv_value_at(n, p, 0) * sizeof(uint16_t);
    for (size_t d = 0; d < n; d += UNIT) {
        round_unit(x + d, h);
        for (int i = 0; i < UNIT; i++, out += sizeof(uint32_t)) {
            const uint16_t half = (uint16_t)h[i];
            memcpy(out, &half, sizeof half);
        }
    }
}

/* Rounds one group of n values to codes; returns their scale. The greatest magnitude is taken as
 * bits: they order as magnitudes do, and what is not finite is the greatest of all. */
static float round_group(const float *x, size_t n, int8_t *codes)
{
    uint32_t top = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = sb_float_bits(x[i]) & 0x7fffffffu;
        top = u > top ? u : top;
    }
    const float amax = sb_bits_float(top);
    const bool finite = top < 0x7f800000u;
    const float inv = finite && amax >= SB_ACT_TINY ? 127.0f / amax : 0.0f;
    for (size_t i = 0; i < n; i++) {
        const float v = inv == 0.0f ? 0.0f : x[i] * inv;
        codes[i] = (int8_t)(uint8_t)(sb_float_bits(v + ROUND_MAGIC) & 0xffu);
    }
    if (!finite) return sb_bits_float(0x7fc00000u);
    return inv == 0.0f ? 0.0f : amax / 127.0f;
}

/* One position of an I8 page: scales, then codes `step` bytes apart from `first` on. */
static void put_i8(unsigned char *page, size_t p, size_t first, size_t step, const float *x,
                   size_t n)
{
    int8_t codes[SB_KV_GROUP];
    for (size_t d0 = 0; d0 < n; d0 += SB_KV_GROUP) {
        const size_t m = n - d0 < SB_KV_GROUP ? n - d0 : SB_KV_GROUP;
        const float scale = round_group(x + d0, m, codes);
        memcpy(page + kv_i8_scale_at(n, p, d0 / SB_KV_GROUP), &scale, sizeof scale);
        unsigned char *out = page + first + d0 * step;
        for (size_t i = 0; i < m; i++)
            out[i * step] = (unsigned char)codes[i];
    }
}

void sb_kv_put_k(sb_kv_type t, void *page, int32_t pos, const float *x, int32_t head_dim)
{
    const size_t n = (size_t)head_dim, p = (size_t)pos;
    if (t == SB_KV_I8)
        put_i8(page, p, kv_i8_key_at(n, p, 0), KV_BLOCK, x, n);
    else if (t == SB_KV_BF16)
        put_k_bf16(page, p, x, n);
    else
        put_f32(page, kv_key_at(n, p, 0), 2 * KV_BLOCK, 1, x, n);
}

void sb_kv_put_v(sb_kv_type t, void *page, int32_t pos, const float *x, int32_t head_dim)
{
    const size_t n = (size_t)head_dim, p = (size_t)pos;
    if (t == SB_KV_I8)
        put_i8(page, p, kv_i8_value_at(n, p, 0), 1, x, n);
    else if (t == SB_KV_BF16)
        put_v_bf16(page, p, x, n);
    else
        put_f32(page, kv_value_at(n, p, 0), 4, 2, x, n);
}
