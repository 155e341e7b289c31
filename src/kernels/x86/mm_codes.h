/* SPDX-License-Identifier: Apache-2.0
 * mm_codes.h - decoding of packed codes and scales, in one level's vector words.
 *
 * Purpose     Included by avxNNN_mm.c after its words: VI, VF vectors of LANES 32-bit lanes;
 *             V_BYTES, V_PER_LINE (vectors of 32 columns), MR_MAX, FLAT, UNROLL; v_load, v_store,
 *             v_set1_8, v_bcast32, v_and, v_or, v_sll16, v_srl16, v_sll32, v_sub8, v_sub32,
 *             v_mul32, v_table, v_u8, v_s8; vf_load, vf_store, vf_bcast, vf_zero, vf_mul, vf_fma,
 *             vf_neg, vf_from_i32, vf_half, vf_bf16, vf_exp8. All is static: nothing leaks. */
#ifndef SB_KERNELS_X86_MM_CODES_H
#define SB_KERNELS_X86_MM_CODES_H
#include "kernels/internal.h"
#include "kernels/panel.h"

enum { LINE = 128 };

static const unsigned char nl4_values[16] = {PANEL_NL4_VALUES};
static const unsigned char mx4_values[16] = {PANEL_MX4_VALUES};

/* One block, as the dot products see it: codes, first vector of the line, and the rows' q. */
typedef struct mm_block {
    const unsigned char *codes;
    const unsigned char *q; /* row 0's; rows are q_stride apart */
    size_t q_stride;
    int v0;
} mm_block;

/* What a kernel is compiled for: the format, whether its codes come from a tile, bytes of an
 * activation, rows, and vectors taken at a time. Always a constant. */
typedef struct mm_shape {
    const panel_info *p;
    bool tiled;
    int qb, mr, nv;
} mm_shape;

FLAT bool has_halves(const panel_info *p)
{
    return p->scales == SCALES_K16 || p->scales == SCALES_K16M;
}

FLAT bool has_minima(const panel_info *p)
{
    return p->scales == SCALES_F16M || p->scales == SCALES_K32M || p->scales == SCALES_K16M;
}

/* Moves the bits at `from` of every byte to `to`; the caller masks what crossed bytes. */
FLAT VI bits_move(VI v, int from, int to)
{
    if (from == to) return v;
    return from < to ? v_sll16(v, to - from) : v_srl16(v, from - to);
}

/* The unsigned codes of step j, vector v of the line. */
FLAT VI code_get(panel_codes kind, const unsigned char *c, int j, int v)
{
    const unsigned char *at = c + V_BYTES * v;
    const VI bit = v_set1_8(kind == CODES_P2P1 ? 4 : 16);
    VI low;
    if (kind == CODES_P8) return v_load(at + LINE * j);
    if (kind == CODES_P2 || kind == CODES_P2P1)
        low = v_and(bits_move(v_load(at + LINE * (j / 4)), 2 * (j % 4), 0), v_set1_8(3));
    else
        low = v_and(bits_move(v_load(at + LINE * (j % 4)), 4 * (j / 4), 0), v_set1_8(15));
    switch (kind) {
    case CODES_N4P1:
        return v_or(low, v_and(bits_move(v_load(at + 4 * LINE), j, 4), bit));
    case CODES_P2P1:
        return v_or(low, v_and(bits_move(v_load(at + 2 * LINE), j, 2), bit));
    case CODES_N4P2:
        return v_or(
            low, v_and(bits_move(v_load(at + LINE * (4 + j / 4)), 2 * (j % 4), 4), v_set1_8(0x30)));
    case CODES_NL4:
        return v_table(nl4_values, low);
    case CODES_MX4:
        return v_table(mx4_values, low);
    default:
        return low;
    }
}

/* The scales of half h, vector v. head: the frame; sub: the block's own scales. */
FLAT VF scale_get(panel_scales kind, const unsigned char *head, const unsigned char *sub, int h,
                  int v)
{
    const unsigned char *s = sub + LANES * v;
    if (kind == SCALES_E8M0) return vf_exp8(s);
    const VF d = vf_half(head + 2 * LANES * v);
    switch (kind) {
    case SCALES_K32:
        return vf_mul(d, vf_from_i32(v_s8(s)));
    case SCALES_K32M:
        return vf_mul(d, vf_from_i32(v_u8(s)));
    case SCALES_K16:
        return vf_mul(d, vf_from_i32(v_s8(s + 32 * h)));
    case SCALES_K16M:
        return vf_mul(d, vf_from_i32(v_and(v_u8(s + 32 * h), v_set1_8(15))));
    default:
        return d;
    }
}

FLAT VF min_get(panel_scales kind, const unsigned char *head, const unsigned char *sub, int h,
                int v)
{
    const VF d = vf_half(head + 64 + 2 * LANES * v);
    switch (kind) {
    case SCALES_K32M:
        return vf_neg(vf_mul(d, vf_from_i32(v_u8(sub + 32 + LANES * v))));
    case SCALES_K16M:
        return vf_neg(vf_mul(d, vf_from_i32(v_srl16(v_u8(sub + 32 * h + LANES * v), 4))));
    default:
        return d;
    }
}
#endif
