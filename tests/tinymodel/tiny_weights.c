/* SPDX-License-Identifier: Apache-2.0
 * tiny_weights.c - random blocks of every format with a wanted spread.
 *
 * Quants are uniform random; only the scales are chosen, from the known spread of uniform
 * quants, so every bit of a block is exercised. Formats with a minimum get one that centres the
 * values. */
#include "quant/blocks.h"
#include "tiny.h"

#include <math.h>
#include <string.h>

uint64_t sb_tiny_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *state) // [0, 1)
{
    return (double)(sb_tiny_random(state) >> 11) * 0x1p-53;
}

double sb_tiny_normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += uniform(state);
    }
    return sum;
}

static void fill_bytes(unsigned char *p, size_t n, uint64_t *state)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (unsigned char)(sb_tiny_random(state) >> 56);
    }
}

static void put_f16(unsigned char *p, double v)
{
    const uint16_t h = sb_f32_to_f16((float)v);
    p[0] = (unsigned char)h;
    p[1] = (unsigned char)(h >> 8);
}

/* A scale near v: between 0.75 and 1.25 times. */
static double near(double v, uint64_t *state)
{
    return v * (0.75 + 0.5 * uniform(state));
}

static double any_sign(double v, uint64_t *state)
{
    return sb_tiny_random(state) >> 63 ? -v : v;
}

/* The power of two nearest to v (by ratio), without a logarithm that might differ elsewhere. */
static int nearest_exponent(double v)
{
    int e;
    const double m = frexp(v, &e); // v = m * 2^e, m in [0.5, 1)
    return m < 0x1.6a09e667f3bcdp-1 ? e - 1 : e;
}

static void fill_q4_k_scales(unsigned char s[12], uint64_t *state)
{
    // Equal scale and minimum, 24..55, so that dmin = d * (mean quant) centres each sub-block.
    for (int j = 0; j < 4; j++) {
        const unsigned a = 24 + (unsigned)(sb_tiny_random(state) >> 59);
        const unsigned b = 24 + (unsigned)(sb_tiny_random(state) >> 59);
        s[j] = (unsigned char)(a | b >> 4 << 6);
        s[j + 4] = (unsigned char)(a | b >> 4 << 6);
        s[j + 8] = (unsigned char)((b & 15) | (b & 15) << 4);
    }
}

/* One block, already random, gets scales for values of deviation dev. */
static void set_scales(sb_format f, unsigned char *p, double dev, uint64_t *s)
{
    const double q4 = 4.61, q5 = 9.23, k6 = 41; // spread of 0..15, 0..31; mean of the 6-bit scales
    const double d4 = near(dev / q4, s), d5 = near(dev / q5, s);
    const double d2k = near(dev / (9.5 * 1.12), s);
    switch (f) {
    case SB_F_Q4_0:
        put_f16(p, any_sign(d4, s));
        break;
    case SB_F_Q4_1:
        put_f16(p, d4);
        put_f16(p + 2, -7.5 * d4);
        break;
    case SB_F_Q5_0:
        put_f16(p, any_sign(d5, s));
        break;
    case SB_F_Q5_1:
        put_f16(p, d5);
        put_f16(p + 2, -15.5 * d5);
        break;
    case SB_F_Q8_0:
        put_f16(p, near(dev / 73.9, s));
        break;
    case SB_F_Q2_K:
        for (int i = 0; i < 16; i++) {
            const unsigned v = 4 + p[i] % 12;
            p[i] = (unsigned char)(v | v << 4);
        }
        put_f16(p + offsetof(sb_block_q2_k, d), d2k);
        put_f16(p + offsetof(sb_block_q2_k, dmin), 1.5 * d2k);
        break;
    case SB_F_Q3_K:
        put_f16(p + offsetof(sb_block_q3_k, d), near(dev / (2.35 * 18.5), s));
        break;
    case SB_F_Q4_K:
        fill_q4_k_scales(p + offsetof(sb_block_q4_k, scales), s);
        put_f16(p, d4 / k6);
        put_f16(p + 2, 7.5 * d4 / k6);
        break;
    case SB_F_Q5_K:
        fill_q4_k_scales(p + offsetof(sb_block_q5_k, scales), s);
        put_f16(p, d5 / k6);
        put_f16(p + 2, 15.5 * d5 / k6);
        break;
    case SB_F_Q6_K:
        put_f16(p + offsetof(sb_block_q6_k, d), near(dev / (18.5 * 73.9), s));
        break;
    case SB_F_IQ4_NL:
        put_f16(p, any_sign(near(dev / 68.7, s), s));
        break;
    case SB_F_IQ4_XS:
        put_f16(p, near(dev / (68.7 * 18.5), s));
        break;
    case SB_F_MXFP4:
        p[0] = (unsigned char)(128 + nearest_exponent(near(dev / 5.85, s)));
        break;
    case SB_F_F32:
    case SB_F_F16:
    case SB_F_BF16:
    case SB_FORMAT_COUNT:
        break;
    }
}

static void put_plain(sb_format f, unsigned char *p, float v)
{
    union {
        float f;
        uint32_t u;
    } bits = {.f = v};
    if (f == SB_F_F16) bits.u = sb_f32_to_f16(v);
    if (f == SB_F_BF16) bits.u = sb_f32_to_bf16(v);
    const int n = sb_format_get(f)->block_bytes;
    for (int i = 0; i < n; i++) {
        p[i] = (unsigned char)(bits.u >> (8 * i));
    }
}

void sb_tiny_fill(sb_format f, unsigned char *out, int64_t k, int64_t n_rows, double dev,
                  uint64_t *state)
{
    const sb_format_info *info = sb_format_get(f);
    const size_t bytes = (size_t)info->block_bytes;
    const int64_t n_blocks = k / info->block_elems * n_rows;
    for (int64_t i = 0; i < n_blocks; i++, out += bytes) {
        if (info->block_elems == 1) {
            put_plain(f, out, (float)(dev * sb_tiny_normal(state)));
            continue;
        }
        fill_bytes(out, bytes, state);
        set_scales(f, out, dev, state);
    }
}
