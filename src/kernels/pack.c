/* SPDX-License-Identifier: Apache-2.0
 * pack.c - turns rows of a weight matrix into panels of 32 columns, in the order kernels read them.
 *
 * How: a panel is a run of 32-k blocks; a block holds its scales and then its codes. Four
 * consecutive k of one column are one 32-bit word, so that a dot-product instruction eats a word
 * per column, and everything below moves and masks whole words. Refused: keeping the file's rows
 * and gathering in the kernel (a fifth to a half slower from memory), and widening codes to bytes
 * (more bytes to read).
 *
 * Codes. Step j (0..7) is the four k 4j..4j+3; column c's word lies at byte 4c of a 128-byte line.
 *   N4  512 B   line l (0..3): low nibbles are step l, high nibbles step l + 4
 *   P1  128 B   one line: bit j of column c's byte kk is the bit of k = 4j + kk
 *   P2  256 B   line h (0..1): bits 2i, 2i+1 of a byte are the two bits of step 4h + i
 *   P8 1024 B   line j: step j
 *   Q4_0 Q4_1 Q4_K: N4.  Q5_0 Q5_1 Q5_K: N4 then P1 (bit 4).  Q6_K: N4 then P2 (bits 4, 5).
 *   Q2_K: P2.  Q3_K: P2 then P1 (bit 2).  Q8_0: P8 with q + 128.
 *   IQ4_NL IQ4_XS MXFP4: N4 with the file's index into the table of values.
 *
 * Frames, bytes from the start; "x[32]" runs over the columns, f16 unless it says otherwise.
 *   Q4_0, IQ4_NL    576   0 d[32]   64 codes
 *   Q4_1            640   0 d[32]   64 m[32]     128 codes
 *   Q5_0            704   0 d[32]   64 codes
 *   Q5_1            768   0 d[32]   64 m[32]     128 codes
 *   Q8_0           1088   0 d[32]   64 codes
 *   MXFP4          1088   two blocks: 0 u8 e[32] of the first, 32 of the second, 64 codes, 576
 *                         codes; the second is zero in the last frame of an odd number of blocks
 *   Q2_K           2688   0 d[32]   64 dmin[32]  then 8 x 320:
 *                         u8 (scale | min << 4)[2 halves][32], codes
 *   Q3_K           3648   0 d[32]   then 8 x 448: s8 scale[2 halves][32], codes
 *   Q4_K           4736   0 d[32]   64 dmin[32]  then 8 x 576: u8 scale[32], u8 min[32], codes
 *   Q5_K           5760   0 d[32]   64 dmin[32]  then 8 x 704: u8 scale[32], u8 min[32], codes
 *   Q6_K           6720   0 d[32]   then 8 x 832: s8 scale[2 halves][32], codes
 *   IQ4_XS         4416   0 d[32]   64 s8 scale[8 blocks][32]   320 8 x 512 codes
 *   F32             128 per k: f32 w[32].   F16, BF16: 64 per k, the 16-bit elements of 32 columns.
 * The numbers are repeated for the compiler in panel.def. */
#include "kernels/pack.h"

#include <string.h>

#include "kernels/panel.h"

enum { LINE = 128, P1_AFTER_N4 = 512, P2_AFTER_N4 = 512, P1_AFTER_P2 = 256, SUPER = 256 };

static const uint64_t low_nibbles = 0x0f0f0f0f0f0f0f0fu, low_pairs = 0x0303030303030303u,
                      low_bits = 0x0101010101010101u;

static void word_put(unsigned char *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static uint64_t words_get(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Two words, of lines l and l + 1. */
static void words_put(unsigned char *p, uint64_t v)
{
    word_put(p, (uint32_t)v);
    word_put(p + LINE, (uint32_t)(v >> 32));
}

/* Eight bits to two bits of four bytes: bit i to bit i / 4 of byte i % 4. */
#define S1(b)                                                                                      \
    (((b)&15u) * 0x00204081u & 0x01010101u) | (((b) >> 4) * 0x00204081u & 0x01010101u) << 1
#define S4(b) S1(b), S1((b) + 1), S1((b) + 2), S1((b) + 3)
#define S16(b) S4(b), S4((b) + 4), S4((b) + 8), S4((b) + 12)
#define S64(b) S16(b), S16((b) + 16), S16((b) + 32), S16((b) + 48)
static const uint32_t spread_bits[256] = {S64(0u), S64(64u), S64(128u), S64(192u)};
#undef S1
#undef S4
#undef S16
#undef S64

static void put_half(unsigned char *section, int32_t c, const unsigned char *f16)
{
    memcpy(section + 2 * c, f16, 2);
}

/* 16 bytes of nibbles; byte i holds k = i (low) and k = i + 16 (high): steps l and l + 4. */
static void put_nibbles(unsigned char *codes, int32_t c, const unsigned char *qs)
{
    for (int32_t l = 0; l < 4; l++)
        memcpy(codes + l * LINE + 4 * c, qs + 4 * l, 4);
}

/* 32 fifth bits, bit k of one little-endian word. */
static void put_fifth_bits(unsigned char *codes, int32_t c, const unsigned char *qh)
{
    word_put(codes + P1_AFTER_N4 + 4 * c, spread_bits[qh[0]] | spread_bits[qh[1]] << 2 |
                                              spread_bits[qh[2]] << 4 | spread_bits[qh[3]] << 6);
}

static void put_q4_0(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    put_half(frame, c, src);
    put_nibbles(frame + 64, c, src + 2);
}

static void put_q4_1(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    put_half(frame, c, src);
    put_half(frame + 64, c, src + 2);
    put_nibbles(frame + 128, c, src + 4);
}

static void put_q5_0(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    put_half(frame, c, src);
    put_nibbles(frame + 64, c, src + 6);
    put_fifth_bits(frame + 64, c, src + 2);
}

static void put_q5_1(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    put_half(frame, c, src);
    put_half(frame + 64, c, src + 2);
    put_nibbles(frame + 128, c, src + 8);
    put_fifth_bits(frame + 128, c, src + 4);
}

static void put_q8_0(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    put_half(frame, c, src);
    for (int32_t j = 0; j < 8; j += 2)
        words_put(frame + 64 + j * LINE + 4 * c, words_get(src + 2 + 4 * j) ^ 0x8080808080808080u);
}

static void put_mxfp4(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    frame[32 * i + c] = src[0];
    put_nibbles(frame + panel_MXFP4.code_off + i * panel_MXFP4.code_step, c, src + 1);
}

/* The two-bit plane of block b (0..7) of a K format: 32 bytes serve 128 k, two bits per block. */
static void put_pairs(unsigned char *plane, int32_t c, const unsigned char *qs, int32_t b)
{
    const unsigned char *q = qs + 32 * (b / 4);
    const int32_t shift = 2 * (b % 4);
    for (int32_t h = 0; h < 2; h++, q += 16) {
        const uint64_t steps =
            (words_get(q) >> shift & low_pairs) | (words_get(q + 8) >> shift & low_pairs) << 4;
        word_put(plane + h * LINE + 4 * c, (uint32_t)steps | (uint32_t)(steps >> 32) << 2);
    }
}

/* The one-bit plane of block b: bit b of each of 32 bytes. */
static void put_bits(unsigned char *plane, int32_t c, const unsigned char *qh, int32_t b)
{
    uint64_t v = 0; // even steps below, odd steps above
    for (int32_t j = 0; j < 4; j++)
        v |= (words_get(qh + 8 * j) >> b & low_bits) << (2 * j);
    word_put(plane + 4 * c, (uint32_t)v | (uint32_t)(v >> 32) << 1);
}

/* The nibble plane of a block whose nibbles are the low (high = 0) or high halves of 32 bytes. */
static void put_nibbles_of(unsigned char *codes, int32_t c, const unsigned char *ql, int32_t high)
{
    for (int32_t l = 0; l < 4; l += 2) {
        const uint64_t lo = words_get(ql + 4 * l) >> (4 * high) & low_nibbles;
        const uint64_t hi = words_get(ql + 16 + 4 * l) >> (4 * high) & low_nibbles;
        words_put(codes + l * LINE + 4 * c, lo | hi << 4);
    }
}

static void put_q2_k(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    const unsigned char *scales = src, *qs = src + 16;
    put_half(frame, c, src + 80);
    put_half(frame + 64, c, src + 82);
    for (int32_t b = 0; b < 8; b++) {
        unsigned char *sub = frame + panel_Q2_K.scale_off + b * panel_Q2_K.scale_step;
        sub[c] = scales[2 * b];
        sub[32 + c] = scales[2 * b + 1];
        put_pairs(sub + 64, c, qs, b);
    }
}

/* Sixteen 6-bit scales, kept as 4 low bits in 8 bytes and 2 high bits in the last 4; minus 32. */
static unsigned char scale_q3_k(const unsigned char *packed, int32_t i)
{
    const int32_t low = packed[i % 8] >> (4 * (i / 8)) & 15;
    const int32_t high = packed[8 + i % 4] >> (2 * (i / 4)) & 3;
    return (unsigned char)((low | high << 4) - 32);
}

static void put_q3_k(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    const unsigned char *hmask = src, *qs = src + 32, *scales = src + 96;
    put_half(frame, c, src + 108);
    for (int32_t b = 0; b < 8; b++) {
        unsigned char *sub = frame + panel_Q3_K.scale_off + b * panel_Q3_K.scale_step;
        sub[c] = scale_q3_k(scales, 2 * b);
        sub[32 + c] = scale_q3_k(scales, 2 * b + 1);
        put_pairs(sub + 64, c, qs, b);
        put_bits(sub + 64 + P1_AFTER_P2, c, hmask, b);
    }
}

/* Eight 6-bit scales and minima in 12 bytes; two bits of blocks 4..7 sit above those of 0..3. */
static void scale_min_q4_k(const unsigned char *p, int32_t b, unsigned char *scale,
                           unsigned char *min)
{
    if (b < 4) {
        *scale = p[b] & 63;
        *min = p[b + 4] & 63;
    } else {
        *scale = (unsigned char)((p[b + 4] & 15) | (p[b - 4] >> 6) << 4);
        *min = (unsigned char)(p[b + 4] >> 4 | (p[b] >> 6) << 4);
    }
}

static void put_q4_k(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    put_half(frame, c, src);
    put_half(frame + 64, c, src + 2);
    for (int32_t b = 0; b < 8; b++) {
        unsigned char *sub = frame + panel_Q4_K.scale_off + b * panel_Q4_K.scale_step;
        scale_min_q4_k(src + 4, b, &sub[c], &sub[32 + c]);
        put_nibbles_of(sub + 64, c, src + 16 + 32 * (b / 2), b % 2);
    }
}

static void put_q5_k(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    put_half(frame, c, src);
    put_half(frame + 64, c, src + 2);
    for (int32_t b = 0; b < 8; b++) {
        unsigned char *sub = frame + panel_Q5_K.scale_off + b * panel_Q5_K.scale_step;
        scale_min_q4_k(src + 4, b, &sub[c], &sub[32 + c]);
        put_nibbles_of(sub + 64, c, src + 48 + 32 * (b / 2), b % 2);
        put_bits(sub + 64 + P1_AFTER_N4, c, src + 16, b);
    }
}

static void put_q6_k(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    const unsigned char *ql = src, *qh = src + 128, *scales = src + 192;
    put_half(frame, c, src + 208);
    for (int32_t b = 0; b < 8; b++) {
        unsigned char *sub = frame + panel_Q6_K.scale_off + b * panel_Q6_K.scale_step;
        sub[c] = scales[2 * b];
        sub[32 + c] = scales[2 * b + 1];
        put_nibbles_of(sub + 64, c, ql + 64 * (b / 4) + 32 * (b % 2), b / 2 % 2);
        put_pairs(sub + 64 + P2_AFTER_N4, c, qh, b);
    }
}

static void put_iq4_xs(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    const uint32_t high = (uint32_t)src[2] | (uint32_t)src[3] << 8;
    put_half(frame, c, src);
    for (int32_t b = 0; b < 8; b++) {
        const uint32_t low = (uint32_t)src[4 + b / 2] >> (4 * (b % 2)) & 15u;
        const int32_t scale = (int32_t)(low | (high >> (2 * b) & 3u) << 4) - 32;
        frame[panel_IQ4_XS.scale_off + 32 * b + c] = (unsigned char)scale;
        put_nibbles(frame + panel_IQ4_XS.code_off + b * panel_IQ4_XS.code_step, c,
                    src + 8 + 16 * b);
    }
}

/* Element formats: a "source block" is 32 elements, its frame 32 k of 32 columns. */
static void put_2_bytes(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    for (int32_t k = 0; k < 32; k++)
        memcpy(frame + 64 * k + 2 * c, src + 2 * k, 2);
}

static void put_4_bytes(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c)
{
    (void)i;
    for (int32_t k = 0; k < 32; k++)
        memcpy(frame + 128 * k + 4 * c, src + 4 * k, 4);
}

/* Puts the src block of column c into its frame, as the frame's i-th block. */
typedef void (*put_fn)(const unsigned char *src, unsigned char *frame, int32_t i, int32_t c);

typedef struct packer {
    put_fn put;
    int32_t src_elems, src_bytes; /* of one source block */
    int32_t src_per_frame, frame_bytes;
} packer;

/* The packer of a quantised format whose source blocks have `elems` elements. */
static packer packer_of(put_fn put, const panel_info *p, int32_t elems, int32_t bytes)
{
    return (packer){put, elems, bytes, p->blocks * 32 / elems, p->frame_bytes};
}

static packer packer_get(sb_format f)
{
    switch (f) {
    case SB_F_F32:
        return (packer){put_4_bytes, 32, 128, 1, 4096};
    case SB_F_F16:
    case SB_F_BF16:
        return (packer){put_2_bytes, 32, 64, 1, 2048};
    case SB_F_Q4_0:
        return packer_of(put_q4_0, &panel_Q4_0, 32, 18);
    case SB_F_Q4_1:
        return packer_of(put_q4_1, &panel_Q4_1, 32, 20);
    case SB_F_Q5_0:
        return packer_of(put_q5_0, &panel_Q5_0, 32, 22);
    case SB_F_Q5_1:
        return packer_of(put_q5_1, &panel_Q5_1, 32, 24);
    case SB_F_Q8_0:
        return packer_of(put_q8_0, &panel_Q8_0, 32, 34);
    case SB_F_Q2_K:
        return packer_of(put_q2_k, &panel_Q2_K, SUPER, 84);
    case SB_F_Q3_K:
        return packer_of(put_q3_k, &panel_Q3_K, SUPER, 110);
    case SB_F_Q4_K:
        return packer_of(put_q4_k, &panel_Q4_K, SUPER, 144);
    case SB_F_Q5_K:
        return packer_of(put_q5_k, &panel_Q5_K, SUPER, 176);
    case SB_F_Q6_K:
        return packer_of(put_q6_k, &panel_Q6_K, SUPER, 210);
    case SB_F_IQ4_NL:
        return packer_of(put_q4_0, &panel_IQ4_NL, 32, 18);
    case SB_F_IQ4_XS:
        return packer_of(put_iq4_xs, &panel_IQ4_XS, SUPER, 136);
    case SB_F_MXFP4:
        return packer_of(put_mxfp4, &panel_MXFP4, 32, 17);
    case SB_FORMAT_COUNT:
        break;
    }
    sb_unreachable("every format has a packer");
}

size_t sb_pack_panel_bytes(sb_format f, int64_t k)
{
    const packer p = packer_get(f);
    const int64_t per_frame = (int64_t)p.src_elems * p.src_per_frame;
    return (size_t)((k + per_frame - 1) / per_frame) * (size_t)p.frame_bytes;
}

void sb_pack_panel(sb_format f, const unsigned char *rows, size_t row_bytes, int32_t n_row,
                   int64_t k, unsigned char *dst)
{
    const packer p = packer_get(f);
    const int64_t n_src = k / p.src_elems;
    // Some blocks of one column, then the next column: reads stay in a few lines, writes in L1.
    const int64_t run = p.src_elems == SUPER ? 1 : 8;
    if (n_row < SB_PANEL || n_src % p.src_per_frame != 0) memset(dst, 0, sb_pack_panel_bytes(f, k));
    for (int64_t s0 = 0; s0 < n_src; s0 += run) {
        const int64_t s1 = s0 + run < n_src ? s0 + run : n_src;
        for (int32_t c = 0; c < n_row; c++) {
            const unsigned char *row = rows + (size_t)c * row_bytes;
            for (int64_t s = s0; s < s1; s++)
                p.put(row + s * p.src_bytes, dst + s / p.src_per_frame * p.frame_bytes,
                      (int32_t)(s % p.src_per_frame), c);
        }
    }
}
