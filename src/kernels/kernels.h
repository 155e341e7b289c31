/* SPDX-License-Identifier: Apache-2.0
 * kernels.h - the table of pure functions on arrays, its levels, and the packed layouts they read.
 *
 * Purpose     Everything that computes. A level (ref, neon, avx2, avxvnni, avx512) fills slots;
 *             nothing is called except through the table. ref.c is the specification: it fixes the
 *             order of additions, and every level gives the same bits unless its slot states a
 *             bound.
 * Invariants  No allocation, threads, globals or logs. An output element depends only on its own
 *             row and column: never on how many rows, columns or threads share the call. So one
 *             row alone and the same row in a crowd give the same bits.
 * Shapes      Row-major; [rows][columns]; strides in elements unless named _bytes.
 *
 * Activations (sb_act). A row of k values, k a multiple of 32, nb = k / 32 blocks:
 *   F32: float x[k].
 *   A8:  int8 q[k] | float d[nb] | float s[3][nb] | int32 zq[3][nb]; a value is d * (q + z), with
 *        an integer z for each block: 254 steps of d span the block's own range, not twice its
 *        greatest magnitude, and no q is -128, whose opposite is no byte. Per block: lo = min(0,
 *        min x), hi = max(0, max x), span = hi - lo, d = span / 253, t = 253 / span, z =
 *        round_half_even(lo * t) + 127, q = round_half_even(x * t) - z. s[0] = d * (float)(sum of q
 *        + z), s[1] and s[2] the same of the block's first and last 16; zq, in the same order, z as
 *        the low 16 bits and the sum of q as the high ones. A block with span < SB_ACT_TINY counts
 *        as zeros (253 / span would overflow): q, z, d, s are 0; one that holds a NaN or an
 *        infinity, or whose span overflows, gets q = z = 0 and d = s = NaN: it shows.
 * Weights are packed by panels of 32 output columns (kernels/pack.h gives the byte tables).
 * matmul, exactly, for each row r and column c, blocks b ascending, y starting at 0:
 *   F32 activations:  for k ascending: y = fma(x[k], w[c][k], y).
 *   A8:               isum = sum over the block of (q + z) * code, in integers;
 *                     y = fma((float)isum, ws * d, y); then, where the format has minima,
 *                     y = fma(wm, s[0], y), with ws, wm the block's weight scale and minimum as
 *                     exact f32 products (w = ws * code + wm).
 *                     Where the format's scales are per 16, the block has two halves h, each with
 *                     its own isum, ws, wm: first t = (float)isum[0] * ws[0], t =
 *                     fma((float)isum[1], ws[1], t), y = fma(t, d, y); then, where there are
 *                     minima, y = fma(wm[h], s[1 + h], y) for h = 0, 1. */
#ifndef SB_KERNELS_H
#define SB_KERNELS_H
#include "base/base.h"
#include "quant/quant.h"

enum {
    SB_PANEL = 32,
    SB_ACT_BLOCK = 32,
    SB_KV_PAGE = 64,     /* positions of a page */
    SB_KV_SEGMENT = 256, /* positions of one call of attention */
    SB_KV_GROUP = 64,    /* dims that share a scale in I8 pages */
};
#define SB_ACT_TINY 0x1p-100f

typedef enum sb_act { SB_ACT_F32, SB_ACT_A8, SB_ACT_COUNT } sb_act;
typedef enum sb_kv_type { SB_KV_F32, SB_KV_BF16, SB_KV_I8, SB_KV_TYPE_COUNT } sb_kv_type;

/* Bytes of one activation row of k values, a multiple of 64. k: multiple of 32. */
size_t sb_act_row_bytes(sb_act act, int64_t k);

/* One product: y[r][c] for r < n_row and c < 32 * n_panel. w: first panel; x: activation rows in
 * the slot's sb_act, x_stride_bytes apart; k: row length. y must have room for whole panels. next:
 * weights that the caller wants after these, which may be fetched meanwhile; NULL: those behind the
 * last panel, read or not. */
typedef struct sb_mm {
    const unsigned char *w;
    const unsigned char *x;
    size_t x_stride_bytes;
    float *y;
    size_t y_stride;
    int32_t k, n_row, n_panel;
    const unsigned char *next;
} sb_mm;
typedef void (*sb_mm_fn)(const sb_mm *m);

/* Attention of n_row query rows of one KV head over one segment of 256 absolute positions, merged
 * into the rows' running state. Positions [lo[r], hi[r]) of the segment (0..256) are seen by row
 * r; a row with lo >= hi is left untouched. k_page[i], v_page[i]: the four pages of the segment
 * for this layer and KV head (NULL where the span does not reach), layouts in kernels/pack.h.
 * Per row: score = softcap(scale * q.k) with q.k accumulated by fma over ascending d;
 * m = max; p = exp(score - m); l = sum of p in 16 lanes by position % 16, then halved 8,4,2,1;
 * acc[d] by fma over ascending position. I8 pages hold codes c[d] and, for each group g of 64 dims
 * (the last may be shorter), a scale s[g]: there q.k starts at 0 and is fma(sum_g, s[g], q.k) for g
 * ascending, sum_g by fma over the group's ascending d of q[d] * c[d]; and acc[d] is
 * fma(p * s[g], c[d], acc[d]), p * s[g] rounded. Then merge (state empty when l == 0): M =
 * max(m_run, m), a = exp(m_run - M), b = exp(m - M); l = fma(l_seg, b, l_run * a); acc =
 * fma(acc_seg, b, acc_run * a), where the old acc is not read when a is 0. Every zero in m and acc
 * is made +0. The segments of a row may be computed apart, each into an empty state, and joined in
 * order by attn_merge: same bits. The span of a call runs from the least lo to the greatest hi of
 * its rows. Positions outside may hold anything; inside they must be finite: a NaN or infinity
 * there may reach rows that do not see it. Where scores are not finite the call's rows are
 * unspecified; nothing else is touched. */
typedef struct sb_attn {
    const float *q; /* [n_row] rows, q_stride apart, head_dim values, rotated, not scaled */
    size_t q_stride;
    const void *k_page[SB_KV_SEGMENT / SB_KV_PAGE], *v_page[SB_KV_SEGMENT / SB_KV_PAGE];
    const int32_t *lo, *hi;  /* [n_row] */
    int32_t n_row, head_dim; /* head_dim even, multiple of 8 */
    float scale, softcap;    /* softcap 0 = none: else c * tanh(x / c) */
    float *m, *l, *acc;      /* state: [n_row], [n_row], [n_row][head_dim] */
    float *scratch;          /* sb_attn_scratch_floats() */
} sb_attn;
typedef void (*sb_attn_fn)(const sb_attn *a);
/* Floats of scratch one call needs. */
size_t sb_attn_scratch_floats(int32_t n_row, int32_t head_dim);

/* The slots other than matmul and attn.
 *   quant_a8      x[k] -> one activation row at dst. Ranges may be quantised piecewise: k_total
 *                 is the row's full length, and x holds the values [k0, k0 + n) (multiples of 32).
 *   rms_norm      y = x * (1 / sqrtf(mean(x^2) + eps)) * w; sum of squares in 16 lanes by i % 16
 *                 (fma), halved 8,4,2,1; y may be x.
 *   rope          rotates n_pair pairs of one head in place: interleaved (2i, 2i+1) or half-split
 *                 (i, i + n_pair); cos, sin: [n_pair]. a' = fma(a, c, -(b * s));
 *                 b' = fma(a, s, b * c).
 *   add           y += x.   scale: y *= s.   softcap: y = c * tanh(y / c).
 *   silu_mul      y = g / (1 + exp(-g)) * u.     gelu_mul: tanh form, * u.
 *   exp_f32       y = exp(x), the one polynomial everything here uses (below 1 ulp; what would be
 *                 denormal is 0). Formulas of exp, tanh, silu, gelu, operation by operation:
 *                 ref_math.h.
 *   greatest      of n; NaN where one is not finite.
 *   hadamard      in place, each run of b values, b the greatest power of two that divides n: for
 *                 h = 1, 2, .. b / 2, (a, c) at distance h become (a + c, a - c); then
 *                 *= 1 / sqrtf(b). Of both factors it leaves a dot product as it is.
 *   attn_merge    joins the state (m2, l2, acc2[n]) of later positions into (*m, *l, acc[n]).
 *   int8_peak     n rounds of the level's plainest dot product of bytes, on registers alone: what
 *                 matmul's speed is measured against. Returns the multiply-adds done, n times those
 *                 of one round.
 * x, y, g, u may be the same array, not overlap otherwise. NaN comes out as some NaN. */
#define SB_KERNEL_SLOTS(X)                                                                         \
    X(quant_a8, void,                                                                              \
      (const float *x, int64_t k0, int64_t n, int64_t k_total, unsigned char *dst))                \
    X(rms_norm, void, (const float *x, const float *w, int64_t n, float eps, float *y))            \
    X(rope_pairs, void, (float *x, const float *cos, const float *sin, int64_t n_pair))            \
    X(rope_halves, void, (float *x, const float *cos, const float *sin, int64_t n_pair))           \
    X(add, void, (float *y, const float *x, int64_t n))                                            \
    X(scale, void, (float *y, float s, int64_t n))                                                 \
    X(softcap, void, (float *y, float c, int64_t n))                                               \
    X(silu_mul, void, (const float *g, const float *u, float *y, int64_t n))                       \
    X(gelu_mul, void, (const float *g, const float *u, float *y, int64_t n))                       \
    X(exp_f32, void, (const float *x, float *y, int64_t n))                                        \
    X(greatest, float, (const float *x, int64_t n))                                                \
    X(hadamard, void, (float *x, int64_t n))                                                       \
    X(attn_merge, void,                                                                            \
      (float *m, float *l, float *acc, float m2, float l2, const float *acc2, int64_t n))          \
    X(int8_peak, uint64_t, (int64_t n))

/* Levels, weakest first of a family of processors: X(name). A CPU need not have those below its
 * strongest. neon: 64-bit ARM with dot products of bytes (FEAT_DotProd); avxvnni: avx2, with dot
 * products of bytes in 256 bits; avx512 has its own, in 512. */
#define SB_KERNEL_LEVELS(X) X(ref) X(neon) X(avx2) X(avxvnni) X(avx512)

typedef enum sb_level {
#define X(name) SB_LEVEL_##name,
    SB_KERNEL_LEVELS(X)
#undef X
        SB_LEVEL_COUNT
} sb_level;

typedef struct sb_kernels {
#define X(name, ret, params) ret(*name) params;
    SB_KERNEL_SLOTS(X)
#undef X
    sb_mm_fn matmul[SB_FORMAT_COUNT][SB_ACT_COUNT]; /* NULL where a pair makes no sense */
    sb_attn_fn attn[SB_KV_TYPE_COUNT];
    sb_level level; /* the strongest level that filled a slot */
} sb_kernels;

const char *sb_kv_name(sb_kv_type t); /* "f32", "bf16", "int8" */
const char *sb_level_name(sb_level l);
/* The strongest level this CPU (and this build) supports. */
sb_level sb_level_best(void);
/* Fills the table with ref, then each level up to `cap` that the CPU supports. */
void sb_kernels_init(sb_kernels *k, sb_level cap);
#endif
