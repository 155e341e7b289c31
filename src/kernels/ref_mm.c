/* SPDX-License-Identifier: Apache-2.0
 * ref_mm.c - matmul on packed panels as plain loops: the specification every level is held to.
 *
 * How: a column's block is decoded to integers once and met by every row. One element's additions
 * are those of kernels.h, in that order. Built for the baseline CPU on purpose: gcc 12 turns the
 * natural integer loop into a wrong unsigned dot product when VNNI is enabled
 * (tests/checkkern/gcc12_usdot.c). */
#include <math.h>
#include <string.h>

#include "kernels/internal.h"
#include "kernels/panel.h"

/* One block of one column: integer codes, zero taken off, and the scale and minimum of each half
 * (the same number twice where they are per 32). */
typedef struct block {
    int32_t code[32];
    float ws[2], wm[2];
} block;

static const unsigned char nl4_values[16] = {PANEL_NL4_VALUES};
static const unsigned char mx4_values[16] = {PANEL_MX4_VALUES};

static float half_get(const unsigned char *section, int32_t c)
{
    uint16_t h;
    memcpy(&h, section + 2 * c, sizeof h);
    return sb_f16_to_f32(h);
}

/* 2^(e - 128): values of MXFP4 are stored doubled. */
static float exponent_get(unsigned char e)
{
    return ldexpf(1.0f, e - 128);
}

/* The stored byte of column c, position k (0..31) of a block. */
static int32_t code_get(panel_codes kind, const unsigned char *codes, int32_t c, int32_t k)
{
    const int32_t j = k / 4, at = 4 * c + k % 4;
    const int32_t nibble_at = 128 * (j % 4) + at, nibble_shift = 4 * (j / 4);
    const int32_t pair_at = 128 * (j / 4) + at, pair_shift = 2 * (j % 4);
    switch (kind) {
    case CODES_N4:
        return codes[nibble_at] >> nibble_shift & 15;
    case CODES_N4P1:
        return (codes[nibble_at] >> nibble_shift & 15) | (codes[512 + at] >> j & 1) << 4;
    case CODES_N4P2:
        return (codes[nibble_at] >> nibble_shift & 15) | (codes[512 + pair_at] >> pair_shift & 3)
                                                             << 4;
    case CODES_P2:
        return codes[pair_at] >> pair_shift & 3;
    case CODES_P2P1:
        return (codes[pair_at] >> pair_shift & 3) | (codes[256 + at] >> j & 1) << 2;
    case CODES_P8:
        return codes[128 * j + at];
    case CODES_NL4:
        return nl4_values[codes[nibble_at] >> nibble_shift & 15];
    case CODES_MX4:
        return mx4_values[codes[nibble_at] >> nibble_shift & 15];
    }
    sb_unreachable("every kind of codes is listed");
}

/* Scales and minima of column c; head: the frame's first byte, sub: the block's own scales. */
static void scales_get(panel_scales kind, const unsigned char *head, const unsigned char *sub,
                       int32_t c, block *out)
{
    float ws[2] = {0, 0}, wm[2] = {0, 0};
    const float d = kind == SCALES_E8M0 ? exponent_get(sub[c]) : half_get(head, c);
    switch (kind) {
    case SCALES_F16:
    case SCALES_E8M0:
        ws[0] = ws[1] = d;
        break;
    case SCALES_F16M:
        ws[0] = ws[1] = d;
        wm[0] = wm[1] = half_get(head + 64, c);
        break;
    case SCALES_K32:
        ws[0] = ws[1] = d * (float)(int8_t)sub[c];
        break;
    case SCALES_K32M:
        ws[0] = ws[1] = d * (float)sub[c];
        wm[0] = wm[1] = -(half_get(head + 64, c) * (float)sub[32 + c]);
        break;
    case SCALES_K16:
        for (int32_t h = 0; h < 2; h++)
            ws[h] = d * (float)(int8_t)sub[32 * h + c];
        break;
    case SCALES_K16M:
        for (int32_t h = 0; h < 2; h++) {
            ws[h] = d * (float)(sub[32 * h + c] & 15);
            wm[h] = -(half_get(head + 64, c) * (float)(sub[32 * h + c] >> 4));
        }
        break;
    }
    memcpy(out->ws, ws, sizeof ws);
    memcpy(out->wm, wm, sizeof wm);
}

static void block_get(const panel_info *p, const unsigned char *w, int32_t b, int32_t c, block *out)
{
    const unsigned char *codes = panel_code(p, w, b);
    for (int32_t k = 0; k < 32; k++)
        out->code[k] = code_get(p->codes, codes, c, k) - p->zero;
    scales_get(p->scales, panel_frame(p, w, b), panel_scale(p, w, b), c, out);
}

static int32_t dot(const unsigned char *q, int32_t z, const int32_t *code, int32_t n)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < n; k++)
        sum += ((int8_t)q[k] + z) * code[k];
    return sum;
}

/* y after block b of activation row x. */
static float block_add(const panel_info *p, const block *w, const unsigned char *x, int64_t k,
                       int32_t b, float y)
{
    const unsigned char *q = x + (size_t)b * 32;
    const float d = act_d(x, k)[b];
    const int32_t z = act_z(act_zq(x, k, 0)[b]);
    const bool halves = p->scales == SCALES_K16 || p->scales == SCALES_K16M;
    if (!halves) {
        y = fmaf((float)dot(q, z, w->code, 32), w->ws[0] * d, y);
        const bool minima = p->scales == SCALES_F16M || p->scales == SCALES_K32M;
        return minima ? fmaf(w->wm[0], act_s(x, k, 0)[b], y) : y;
    }
    const float first = (float)dot(q, z, w->code, 16) * w->ws[0];
    y = fmaf(fmaf((float)dot(q + 16, z, w->code + 16, 16), w->ws[1], first), d, y);
    for (int32_t h = 0; h < 2 && p->scales == SCALES_K16M; h++)
        y = fmaf(w->wm[h], act_s(x, k, 1 + h)[b], y);
    return y;
}

static void mm_quantised(const sb_mm *m, const panel_info *p)
{
    const int32_t nb = m->k / 32;
    const size_t panel_bytes = (size_t)((nb + p->blocks - 1) / p->blocks) * (size_t)p->frame_bytes;
    for (int32_t i = 0; i < m->n_panel; i++)
        for (int32_t c = 0; c < SB_PANEL; c++) {
            float *y = m->y + (size_t)i * SB_PANEL + c;
            for (int32_t r = 0; r < m->n_row; r++)
                y[(size_t)r * m->y_stride] = 0;
            for (int32_t b = 0; b < nb; b++) {
                block w;
                block_get(p, m->w + (size_t)i * panel_bytes, b, c, &w);
                for (int32_t r = 0; r < m->n_row; r++) {
                    float *at = &y[(size_t)r * m->y_stride];
                    *at = block_add(p, &w, m->x + (size_t)r * m->x_stride_bytes, m->k, b, *at);
                }
            }
        }
}

static float element_get(sb_format f, const unsigned char *p)
{
    uint16_t h;
    float v;
    if (f == SB_F_F32) {
        memcpy(&v, p, sizeof v);
        return v;
    }
    memcpy(&h, p, sizeof h);
    return f == SB_F_F16 ? sb_f16_to_f32(h) : sb_bf16_to_f32(h);
}

static void mm_elements(const sb_mm *m, sb_format f)
{
    const size_t bytes = f == SB_F_F32 ? 4 : 2;
    for (int32_t i = 0; i < m->n_panel; i++) {
        const unsigned char *panel = m->w + (size_t)i * SB_PANEL * (size_t)m->k * bytes;
        for (int32_t r = 0; r < m->n_row; r++) {
            const float *x = (const float *)(const void *)(m->x + (size_t)r * m->x_stride_bytes);
            float *y = m->y + (size_t)r * m->y_stride + (size_t)i * SB_PANEL;
            memset(y, 0, SB_PANEL * sizeof *y);
            for (int32_t k = 0; k < m->k; k++)
                for (int32_t c = 0; c < SB_PANEL; c++)
                    y[c] = fmaf(x[k], element_get(f, panel + bytes * (size_t)(k * SB_PANEL + c)),
                                y[c]);
        }
    }
}

#define X(name, tile, codes, scales, zero, blocks, so, ss, co, cs, bytes)                          \
    static void mm_##name##_a8(const sb_mm *m)                                                     \
    {                                                                                              \
        mm_quantised(m, &panel_##name);                                                            \
    }
#include "kernels/panel.def"
#undef X

static void mm_f32(const sb_mm *m)
{
    mm_elements(m, SB_F_F32);
}
static void mm_f16(const sb_mm *m)
{
    mm_elements(m, SB_F_F16);
}
static void mm_bf16(const sb_mm *m)
{
    mm_elements(m, SB_F_BF16);
}

void sb_kernels_fill_ref_mm(sb_kernels *k)
{
#define X(name, tile, codes, scales, zero, blocks, so, ss, co, cs, bytes)                          \
    k->matmul[SB_F_##name][SB_ACT_A8] = mm_##name##_a8;
#include "kernels/panel.def"
#undef X
    k->matmul[SB_F_F32][SB_ACT_F32] = mm_f32;
    k->matmul[SB_F_F16][SB_ACT_F32] = mm_f16;
    k->matmul[SB_F_BF16][SB_ACT_F32] = mm_bf16;
}
