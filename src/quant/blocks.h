/* SPDX-License-Identifier: Apache-2.0
 * blocks.h - the byte layout of one stored block of every quantised format.
 *
 * Purpose     Names the bytes once for whoever reads or writes blocks: unpackers, packers, tests.
 *             Every field is bytes, so a block has no padding and may lie at any address.
 * Invariants  sizeof each struct equals its row in formats.def (asserted in formats.c).
 *             Halves (d, m, dmin) are IEEE binary16, little-endian; read them with sb_load_f16. */
#ifndef SB_QUANT_BLOCKS_H
#define SB_QUANT_BLOCKS_H
#include "quant/quant.h"

typedef struct sb_block_q4_0 {
    unsigned char d[2], qs[16];
} sb_block_q4_0;
typedef struct sb_block_q4_1 {
    unsigned char d[2], m[2], qs[16];
} sb_block_q4_1;
typedef struct sb_block_q5_0 {
    unsigned char d[2], qh[4], qs[16];
} sb_block_q5_0;
typedef struct sb_block_q5_1 {
    unsigned char d[2], m[2], qh[4], qs[16];
} sb_block_q5_1;
typedef struct sb_block_q8_0 {
    unsigned char d[2], qs[32];
} sb_block_q8_0;
typedef struct sb_block_q2_k {
    unsigned char scales[16], qs[64], d[2], dmin[2];
} sb_block_q2_k;
typedef struct sb_block_q3_k {
    unsigned char hmask[32], qs[64], scales[12], d[2];
} sb_block_q3_k;
typedef struct sb_block_q4_k {
    unsigned char d[2], dmin[2], scales[12], qs[128];
} sb_block_q4_k;
typedef struct sb_block_q5_k {
    unsigned char d[2], dmin[2], scales[12], qh[32], qs[128];
} sb_block_q5_k;
typedef struct sb_block_q6_k {
    unsigned char ql[128], qh[64], scales[16], d[2];
} sb_block_q6_k;
typedef struct sb_block_iq4_nl {
    unsigned char d[2], qs[16];
} sb_block_iq4_nl;
typedef struct sb_block_iq4_xs {
    unsigned char d[2], scales_h[2], scales_l[4], qs[128];
} sb_block_iq4_xs;
typedef struct sb_block_mxfp4 {
    unsigned char e, qs[16];
} sb_block_mxfp4;

static inline uint16_t sb_load_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}
static inline uint32_t sb_load_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline float sb_load_f16(const unsigned char *p)
{
    return sb_f16_to_f32(sb_load_u16(p));
}

/* The 16 values of IQ4_NL and IQ4_XS, and of MXFP4 (E2M1, doubled). */
extern const int8_t sb_iq4_values[16];
extern const int8_t sb_mxfp4_values[16];
/* 2^(e-128): half of the E8M0 scale, since sb_mxfp4_values are doubled. e < 2 gives subnormals. */
float sb_e8m0_half(unsigned char e);
/* 6-bit scale and minimum of sub-block j (0..7) of Q4_K and Q5_K. */
void sb_q4_k_scale_min(const unsigned char scales[12], int j, int *scale, int *min);

#define X(name, id, elems, bytes, unpack)                                                          \
    void unpack(const unsigned char *src, float *dst, int64_t n);
#include "quant/formats.def"
#undef X
#endif
