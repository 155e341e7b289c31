/* SPDX-License-Identifier: Apache-2.0
 * unpack.c - the reference unpackers: stored blocks to float32.
 *
 * Each follows its format's definition with the products in the owners' order (scale first, then
 * the value), so results are equal bit for bit. Plain loops over one block; speed is the packers'
 * and kernels' business. */
#include "quant/blocks.h"

#include <string.h>

const int8_t sb_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
const int8_t sb_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float sb_e8m0_half(unsigned char e)
{
    union {
        uint32_t u;
        float f;
    } v;
    v.u = e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23;
    return v.f;
}

void sb_q4_k_scale_min(const unsigned char scales[12], int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = scales[j] & 63;
        *min = scales[j + 4] & 63;
        return;
    }
    *scale = (scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4;
    *min = scales[j + 4] >> 4 | (scales[j] >> 6) << 4;
}

void sb_unpack_f32(const unsigned char *src, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        union {
            uint32_t u;
            float f;
        } v = {.u = sb_load_u32(src + 4 * i)};
        dst[i] = v.f;
    }
}

void sb_unpack_f16(const unsigned char *src, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        dst[i] = sb_load_f16(src + 2 * i);
    }
}

void sb_unpack_bf16(const unsigned char *src, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        dst[i] = sb_bf16_to_f32(sb_load_u16(src + 2 * i));
    }
}

void sb_unpack_q4_0(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 32, dst += 32, src += sizeof(sb_block_q4_0)) {
        sb_block_q4_0 b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)((b.qs[j] & 15) - 8);
            dst[j + 16] = d * (float)((b.qs[j] >> 4) - 8);
        }
    }
}

void sb_unpack_q4_1(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 32, dst += 32, src += sizeof(sb_block_q4_1)) {
        sb_block_q4_1 b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        const float m = sb_load_f16(b.m);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)(b.qs[j] & 15) + m;
            dst[j + 16] = d * (float)(b.qs[j] >> 4) + m;
        }
    }
}

void sb_unpack_q5_0(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 32, dst += 32, src += sizeof(sb_block_q5_0)) {
        sb_block_q5_0 b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        const uint32_t qh = sb_load_u32(b.qh); // bit i is the fifth bit of element i
        for (int j = 0; j < 16; j++) {
            const int lo = (b.qs[j] & 15) | (int)(qh >> j & 1u) << 4;
            const int hi = b.qs[j] >> 4 | (int)(qh >> (j + 16) & 1u) << 4;
            dst[j] = d * (float)(lo - 16);
            dst[j + 16] = d * (float)(hi - 16);
        }
    }
}

void sb_unpack_q5_1(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 32, dst += 32, src += sizeof(sb_block_q5_1)) {
        sb_block_q5_1 b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        const float m = sb_load_f16(b.m);
        const uint32_t qh = sb_load_u32(b.qh);
        for (int j = 0; j < 16; j++) {
            const int lo = (b.qs[j] & 15) | (int)(qh >> j & 1u) << 4;
            const int hi = b.qs[j] >> 4 | (int)(qh >> (j + 16) & 1u) << 4;
            dst[j] = d * (float)lo + m;
            dst[j + 16] = d * (float)hi + m;
        }
    }
}

void sb_unpack_q8_0(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 32, dst += 32, src += sizeof(sb_block_q8_0)) {
        sb_block_q8_0 b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        for (int j = 0; j < 32; j++) {
            dst[j] = d * (float)(int8_t)b.qs[j];
        }
    }
}

// Two halves of 128 elements; a half walks its 32 bytes four times, two bits each, 16 to a scale.
void sb_unpack_q2_k(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 256, dst += 256, src += sizeof(sb_block_q2_k)) {
        sb_block_q2_k b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        const float dmin = sb_load_f16(b.dmin);
        for (int g = 0; g < 16; g++) { // groups of 16 elements, in element order
            const unsigned char *qs = b.qs + 32 * (g / 8) + 16 * (g % 2);
            const int shift = 2 * (g % 8 / 2);
            const float scale = d * (float)(b.scales[g] & 15);
            const float min = dmin * (float)(b.scales[g] >> 4);
            for (int l = 0; l < 16; l++) {
                dst[16 * g + l] = scale * (float)(qs[l] >> shift & 3) - min;
            }
        }
    }
}

void sb_unpack_q3_k(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 256, dst += 256, src += sizeof(sb_block_q3_k)) {
        sb_block_q3_k b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        for (int g = 0; g < 16; g++) {
            const int half = g / 8;
            const unsigned char *qs = b.qs + 32 * half + 16 * (g % 2);
            const unsigned char *high = b.hmask + 16 * (g % 2);
            const int i_shift = g % 8 / 2;
            const int low4 = g < 8 ? b.scales[g] & 15 : b.scales[g - 8] >> 4;
            const int top2 = b.scales[8 + g % 4] >> (2 * (g / 4)) & 3;
            const float scale = d * (float)((low4 | top2 << 4) - 32);
            for (int l = 0; l < 16; l++) {
                const int below =
                    high[l] >> (4 * half + i_shift) & 1 ? 0 : 4; // a clear bit takes 4
                dst[16 * g + l] = scale * (float)((qs[l] >> (2 * i_shift) & 3) - below);
            }
        }
    }
}

void sb_unpack_q4_k(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 256, dst += 256, src += sizeof(sb_block_q4_k)) {
        sb_block_q4_k b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        const float dmin = sb_load_f16(b.dmin);
        for (int j = 0; j < 8; j++) { // sub-blocks of 32; 2k low and 2k+1 high share bytes
            int sc, mn;
            sb_q4_k_scale_min(b.scales, j, &sc, &mn);
            const float scale = d * (float)sc;
            const float min = dmin * (float)mn;
            const unsigned char *qs = b.qs + 32 * (j / 2);
            const int shift = 4 * (j % 2);
            for (int l = 0; l < 32; l++) {
                dst[32 * j + l] = scale * (float)(qs[l] >> shift & 15) - min;
            }
        }
    }
}

void sb_unpack_q5_k(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 256, dst += 256, src += sizeof(sb_block_q5_k)) {
        sb_block_q5_k b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        const float dmin = sb_load_f16(b.dmin);
        for (int j = 0; j < 8; j++) {
            int sc, mn;
            sb_q4_k_scale_min(b.scales, j, &sc, &mn);
            const float scale = d * (float)sc;
            const float min = dmin * (float)mn;
            const unsigned char *qs = b.qs + 32 * (j / 2);
            const int shift = 4 * (j % 2);
            for (int l = 0; l < 32; l++) {
                const int q = (qs[l] >> shift & 15) | (b.qh[l] >> j & 1) << 4;
                dst[32 * j + l] = scale * (float)q - min;
            }
        }
    }
}

void sb_unpack_q6_k(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 256, dst += 256, src += sizeof(sb_block_q6_k)) {
        sb_block_q6_k b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        for (int g = 0; g < 16; g++) { // groups of 16 elements; eight make a half
            const int half = g / 8, part = g % 8 / 2;
            const unsigned char *ql = b.ql + 64 * half + 32 * (part % 2) + 16 * (g % 2);
            const unsigned char *qh = b.qh + 32 * half + 16 * (g % 2);
            const int low_shift = 4 * (part / 2);
            const float scale = d * (float)(int8_t)b.scales[g];
            for (int l = 0; l < 16; l++) {
                const int q = (ql[l] >> low_shift & 15) | (qh[l] >> (2 * part) & 3) << 4;
                dst[16 * g + l] = scale * (float)(q - 32);
            }
        }
    }
}

void sb_unpack_iq4_nl(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 32, dst += 32, src += sizeof(sb_block_iq4_nl)) {
        sb_block_iq4_nl b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)sb_iq4_values[b.qs[j] & 15];
            dst[j + 16] = d * (float)sb_iq4_values[b.qs[j] >> 4];
        }
    }
}

void sb_unpack_iq4_xs(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 256, dst += 256, src += sizeof(sb_block_iq4_xs)) {
        sb_block_iq4_xs b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_load_f16(b.d);
        const unsigned scales_h = sb_load_u16(b.scales_h);
        for (int j = 0; j < 8; j++) {
            const int low4 = b.scales_l[j / 2] >> (4 * (j % 2)) & 15;
            const int top2 = (int)(scales_h >> (2 * j) & 3u);
            const float scale = d * (float)((low4 | top2 << 4) - 32);
            const unsigned char *qs = b.qs + 16 * j;
            for (int l = 0; l < 16; l++) {
                dst[32 * j + l] = scale * (float)sb_iq4_values[qs[l] & 15];
                dst[32 * j + l + 16] = scale * (float)sb_iq4_values[qs[l] >> 4];
            }
        }
    }
}

void sb_unpack_mxfp4(const unsigned char *src, float *dst, int64_t n)
{
    for (; n > 0; n -= 32, dst += 32, src += sizeof(sb_block_mxfp4)) {
        sb_block_mxfp4 b;
        memcpy(&b, src, sizeof(b));
        const float d = sb_e8m0_half(b.e);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)sb_mxfp4_values[b.qs[j] & 15];
            dst[j + 16] = d * (float)sb_mxfp4_values[b.qs[j] >> 4];
        }
    }
}
