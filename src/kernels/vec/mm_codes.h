/* SPDX-License-Identifier: Apache-2.0
 * mm_codes.h - decoding of packed codes and scales, in one level's vector words.
 *
 * Purpose     Included by LEVEL_mm.c after its words: VI, VF vectors of LANES 32-bit lanes; KEEP,
 *             ASK, V_BYTES, V_PER_LINE (vectors of 32 columns), MR_MAX, FLAT, UNROLL; v_load,
 *             v_store, v_zero, v_set1_8, v_set1_32, v_bcast32, v_and, v_or, v_sll16, v_srl16,
 *             v_add8, v_sub8, v_add32, v_table, v_u8, v_s8; vf_load, vf_store, vf_bcast, vf_zero,
 *             vf_mul, vf_fma, vf_neg, vf_from_i32, vf_half, vf_bf16, vf_exp8. Two words are of our
 *             own: v_sum4(acc, w, is_signed) adds the four bytes of each lane of w, v_pair_add(acc,
 *             a, b) the products of two int16 of each lane. All is static: nothing leaks. */
#ifndef SB_KERNELS_MM_CODES_H
#define SB_KERNELS_MM_CODES_H
#include "kernels/internal.h"
#include "kernels/panel.h"

enum { LINE = 128, BLOCK_CODES = 8 * LINE }; /* bytes; the latter of a decoded block */

static const unsigned char nl4_values[16] = {PANEL_NL4_VALUES};
static const unsigned char mx4_values[16] = {PANEL_MX4_VALUES};

/* One block, as the products see it: its number in the call, codes, its frame and scales (not over
 * tiles), the rows' q, and the first vector of a line that is taken. */
typedef struct mm_block {
    int32_t i;
    const unsigned char *codes, *head, *sub;
    const unsigned char *const *row; /* the rows */
    const unsigned char *q[MR_MAX];  /* and their q of this block */
    int v0;
    const unsigned char *ahead; /* what to ask for meanwhile */
} mm_block;

/* Where a kernel finds codes and their sums: in the panel, adding them up, alone or as the first of
 * several groups of rows; in the panel and sums that the first group left; both in a tile. */
typedef enum mm_way { WAY_ALONE, WAY_FIRST, WAY_AGAIN, WAY_TILED } mm_way;

/* What a kernel is compiled for: the format, the way, rows, and vectors taken at a time. Always a
 * constant. */
typedef struct mm_shape {
    const panel_info *p;
    mm_way way;
    int mr, nv;
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

/* Whether a level takes these codes signed, their zero off, rather than as unsigned bytes. */
FLAT bool dot_is_signed(const panel_info *p)
{
    return SIGNED_BYTES && (p->codes == CODES_P8 || p->codes == CODES_NL4);
}

/* Whether eight codes of a kind that has no halves, or four of one that has, add up in a byte. */
FLAT bool sums_fit_bytes(panel_codes kind)
{
    return kind != CODES_P8 && kind != CODES_NL4;
}

/* The codes of step j, vector v of those taken: a tile has them decoded. */
FLAT VI code_step(const mm_shape *o, const mm_block *t, int j, int v)
{
    if (o->way == WAY_TILED) return v_load(t->codes + LINE * j + V_BYTES * (t->v0 + v));
    const VI u = code_get(o->p->codes, t->codes, j, t->v0 + v);
    return dot_is_signed(o->p) ? v_sub8(u, v_set1_8(o->p->zero)) : u;
}

/* The s-th step to take of half h, or of the whole block (h < 0): whole blocks take both nibbles of
 * a line together. */
FLAT int step_of(const mm_shape *o, int h, int s)
{
    if (h >= 0) return 4 * h + s;
    return o->way == WAY_TILED || o->p->codes == CODES_P8 ? s : 4 * (s % 2) + s / 2;
}

/* Adds the codes of the s-th of n steps, their zero off, to a vector's sums: as bytes while they
 * fit there. */
FLAT void code_sum_add(const panel_info *p, int s, int n, VI w, VI *bytes, VI *sum)
{
    const bool is_signed = dot_is_signed(p);
    const VI none = is_signed || p->zero == 0 ? v_zero() : v_set1_32(-4 * n * p->zero);
    if (!sums_fit_bytes(p->codes)) {
        *sum = v_sum4(s == 0 ? none : *sum, w, is_signed);
        return;
    }
    *bytes = s == 0 ? w : v_add8(*bytes, w);
    KEEP(*bytes); // in this order: a tree of additions keeps eight codes in registers
    if (s == n - 1) *sum = v_sum4(none, *bytes, is_signed);
}

/* What an activation's pair (z, sum of q) is multiplied with: the sum of codes as the low 16 bits,
 * and what is still to take off for each q as the high ones. */
FLAT VI code_pair(const panel_info *p, VI sum)
{
    if (p->zero == 0) return sum; // codes below 32: at most 992, and nothing to take off
    const VI low = v_and(sum, v_set1_32(0xffff));
    return dot_is_signed(p) ? low : v_or(low, v_set1_32(-p->zero * 65536));
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

/* What to ask for beside each block: its bytes, a share of the frame's head included, or half of
 * them where the next group of rows asks for the rest. */
FLAT int32_t ahead_bytes(const mm_shape *o)
{
    return o->p->frame_bytes / o->p->blocks / (o->way == WAY_ALONE ? 1 : 2);
}

/* Asks for the lines that go with step s of 8, into the first-level cache: with what is only in the
 * second one a row of Q6_K waits a fifth of its time. In a burst they wait for free fill buffers,
 * and the products with them (27 % of the time of eight rows of Q4_0 on two cores). In the order of
 * addresses: eight rows lose 9 % where one group asks for even lines and the next for odd ones.
 * Their number is known to the compiler: counting took a fifth of four rows' instructions. w: codes
 * of the step, which tie the request to it; the compiler would send all at once. */
FLAT void ask_ahead(const mm_shape *o, const mm_block *t, int s, VI *w)
{
    if (o->way == WAY_TILED || t->v0 > 0) return;
    const int n = (ahead_bytes(o) + 63) / 64;
    UNROLL
    for (int l = n * s / 8; l < n * (s + 1) / 8; l++)
        ASK(t->ahead + 64 * l, *w);
}
#endif
