/* SPDX-License-Identifier: Apache-2.0
 * attn_body.h - attention over one segment at any vector width, for one level's file to include.
 *
 * How: rows go in groups that share every loaded and widened key and value. Scores: one lane is
 * one position, so a lane's sum runs over ascending dims whatever the width. P.V: one lane is one
 * dim and the sum runs over ascending positions; a slice of dims stays in registers through the
 * whole segment and is merged into the state at once. Blocks of 16 positions that no row of the
 * group sees are skipped; a row that sees only part of the rest has p = 0 there (ref_attn.c says
 * why that is equal). Codes of I8 pages are exact floats; their scales join each group's sums of
 * scores, and the probabilities before a slice of values. Refused: widening a segment to f32 once
 * for all groups: it doubles what comes from L2, and widening costs nothing beside the fmas. */
#ifndef SB_KERNELS_ATTN_BODY_H
#define SB_KERNELS_ATTN_BODY_H
#include "kernels/attn.h"
#include "kernels/kv_page.h"
#include "kernels/vec/vec_math.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    GROUP_ROWS = 6,
    TILE_VECS = 4,    /* most vectors of a row's tile; 6 x 2 or 3 x 4 sums fill 16 registers */
    FEW_ROWS = 3,     /* up to here the tile is 4 wide even with 16 registers */
    BLOCK = KV_BLOCK, /* positions of a key block */
    BLOCK_VECS = BLOCK / LANES,
    PAGE_BLOCKS = SB_KV_PAGE / BLOCK,
};

/* Up to GROUP_ROWS rows of one call, from `row` on. */
typedef struct group {
    const sb_attn *a;
    int32_t row, n_row;
    int32_t lo, hi; /* what any of the rows sees */
    float *p;       /* [n_row][SB_ATTN_STRIDE] scores, then probabilities, by position */
    float *ps;      /* I8: the same times the scales of one group of values */
    float *q;       /* [head_dim][n_row] the queries */
    float wa[GROUP_ROWS], wb[GROUP_ROWS]; /* weights of the old and the new sums in the merge */
} group;

/* Vectors of a row's tile with R rows. */
ALWAYS_INLINE int tile_vecs(const int R)
{
    return REGISTERS == 32 || R <= FEW_ROWS ? TILE_VECS : TILE_VECS / 2;
}

/* R, B, C, t below are constants wherever these are called: the loops over them unroll and the
 * sums live in registers. */

/* The byte of block `block` in its page. */
ALWAYS_INLINE size_t block_at(const group *g, int32_t block, const sb_kv_type t)
{
    const size_t n = (size_t)g->a->head_dim, i = (size_t)(block % PAGE_BLOCKS);
    return i * (t == SB_KV_I8 ? kv_i8_block_bytes(n) : BLOCK * n * kv_elem_bytes(t));
}

/* Adds q * key of the dims [d0, d1) for R rows and B blocks. k: the blocks' elements. Values are
 * asked for meanwhile where one group is all of the call's rows, for those wait for memory (six
 * rows: 99 and 120 GFLOPS). */
// NOLINTNEXTLINE(readability-function-size): inlined, most of them are constants then
ALWAYS_INLINE void add_dims(const group *g, const unsigned char *const *k,
                            const unsigned char *const *v, size_t d0, size_t d1, const int R,
                            const int B, const sb_kv_type t, vec sum[GROUP_ROWS][TILE_VECS])
{
    const size_t elem = kv_elem_bytes(t);
    for (size_t d = d0; d < d1; d += 2) {
        const float *q = g->q + d * (size_t)R;
        const size_t at = d * BLOCK;
#pragma GCC unroll 4
        for (int b = 0; b < B; b++) {
            if (g->a->n_row <= GROUP_ROWS) __builtin_prefetch(v[b] + at * elem, 0, 2);
        }
#pragma GCC unroll 2
        for (int second = 0; second < 2; second++) {
            vec key[TILE_VECS];
#pragma GCC unroll 4
            for (int j = 0; j < B * BLOCK_VECS; j++) {
                const size_t lane = (size_t)(j % BLOCK_VECS) * LANES;
                const unsigned char *block = k[j / BLOCK_VECS];
                key[j] = t == SB_KV_I8
                             ? v_codes((const signed char *)block + at + second * BLOCK + lane)
                             : v_half(block, at + 2 * lane, t == SB_KV_BF16, second);
            }
#pragma GCC unroll 8
            for (int r = 0; r < R; r++) {
                const vec qv = v_set(q[second * R + r]);
#pragma GCC unroll 4
                for (int j = 0; j < B * BLOCK_VECS; j++)
                    sum[r][j] = v_fma(qv, key[j], sum[r][j]);
            }
        }
    }
}

/* Dot products of R rows with B blocks of positions from `block` on, into g->p. */
// NOLINTNEXTLINE(readability-function-size): its loops are unrolled
ALWAYS_INLINE void dots(const group *g, int32_t block, const int R, const int B, const sb_kv_type t)
{
    const size_t n = (size_t)g->a->head_dim, step = t == SB_KV_I8 ? SB_KV_GROUP : n;
    const unsigned char *head[TILE_VECS], *k[TILE_VECS], *v[TILE_VECS];
    for (int b = 0; b < B; b++) {
        const size_t off = block_at(g, block + b, t);
        head[b] = (const unsigned char *)g->a->k_page[(block + b) / PAGE_BLOCKS] + off;
        k[b] = head[b] + (t == SB_KV_I8 ? kv_i8_scale_bytes(n) : 0);
        v[b] = (const unsigned char *)g->a->v_page[(block + b) / PAGE_BLOCKS] + off;
    }
    for (size_t d = 0; d < n; d += step) {
        vec sum[GROUP_ROWS][TILE_VECS];
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
            for (int j = 0; j < B * BLOCK_VECS; j++)
                sum[r][j] = v_zero();
        }
        add_dims(g, k, v, d, n - d < step ? n : d + step, R, B, t, sum);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
            for (int j = 0; j < B * BLOCK_VECS; j++) {
                float *p = g->p + r * SB_ATTN_STRIDE + block * BLOCK + j * LANES;
                vec y = sum[r][j];
                if (t == SB_KV_I8) {
                    const float *s = (const float *)(const void *)head[j / BLOCK_VECS];
                    s += d / SB_KV_GROUP * BLOCK + (size_t)(j % BLOCK_VECS) * LANES;
                    y = v_fma(y, v_load(s), d == 0 ? v_zero() : v_load(p));
                }
                v_store(p, y);
            }
        }
    }
}

ALWAYS_INLINE void dots_rows(const group *g, const int R, const sb_kv_type t)
{
    const int32_t end = (g->hi + BLOCK - 1) / BLOCK;
    int32_t b = g->lo / BLOCK;
    if (tile_vecs(R) / BLOCK_VECS >= 4) {
        for (; b + 4 <= end; b += 4)
            dots(g, b, R, 4, t);
    }
    if (tile_vecs(R) / BLOCK_VECS >= 2) {
        for (; b + 2 <= end; b += 2)
            dots(g, b, R, 2, t);
    }
    for (; b < end; b++)
        dots(g, b, R, 1, t);
}

/* A slice of C vectors of dims from `dim` on; n_tail: dims of the only, partial vector, or 0. */
typedef struct slice {
    const group *g;
    int32_t dim, n_tail;
} slice;

/* Adds p * value of one position, the `second` or first of its pair. */
ALWAYS_INLINE void add_position(const slice *s, vec sum[GROUP_ROWS][TILE_VECS], int32_t pos,
                                const int R, const int C, const sb_kv_type t, const bool second)
{
    const group *g = s->g;
    const size_t n = (size_t)g->a->head_dim, in_page = (size_t)pos % SB_KV_PAGE;
    const void *page = g->a->v_page[pos / SB_KV_PAGE];
    const float *ps = t == SB_KV_I8 ? g->ps : g->p;
    vec v[TILE_VECS];
    if (t == SB_KV_I8) {
        const signed char *c = (const signed char *)page;
        c += kv_i8_value_at(n, in_page, (size_t)s->dim);
#pragma GCC unroll 4
        for (int j = 0; j < C; j++)
            v[j] = s->n_tail ? v_codes_n(c, s->n_tail) : v_codes(c + j * LANES);
    } else {
        const size_t at = in_page / 2 * 2 * n + 2 * (size_t)s->dim;
#pragma GCC unroll 4
        for (int j = 0; j < C; j++)
            v[j] = s->n_tail ? v_half_n(page, at, t == SB_KV_BF16, second, s->n_tail)
                             : v_half(page, at + (size_t)j * 2 * LANES, t == SB_KV_BF16, second);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        const vec p = v_set(ps[r * SB_ATTN_STRIDE + pos]);
#pragma GCC unroll 4
        for (int j = 0; j < C; j++)
            sum[r][j] = v_fma(p, v[j], sum[r][j]);
    }
}

/* old * a + new * b as ref_attn.c merges: a zero a does not look at old, a zero result is +0. */
ALWAYS_INLINE vec merged(vec old, vec new, float a, float b)
{
    const vec kept = a == 0.0f ? v_zero() : v_mul(old, v_set(a));
    return v_add(v_fma(new, v_set(b), kept), v_zero());
}

/* I8: the rows' probabilities times the scales of the slice's group, into g->ps. */
ALWAYS_INLINE void scale_p(const slice *s, const int R)
{
    const group *g = s->g;
    const size_t n = (size_t)g->a->head_dim, i_group = (size_t)s->dim / SB_KV_GROUP;
    for (int32_t pos = g->lo / BLOCK * BLOCK; pos < g->hi; pos += LANES) {
        const unsigned char *page = g->a->v_page[pos / SB_KV_PAGE];
        const size_t at = kv_i8_scale_at(n, (size_t)pos % SB_KV_PAGE, i_group);
        const vec scale = v_load((const float *)(const void *)(page + at));
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const vec p = v_load(g->p + r * SB_ATTN_STRIDE + pos);
            v_store(g->ps + r * SB_ATTN_STRIDE + pos, v_mul(p, scale));
        }
    }
}

/* The slice's outputs of R rows: P.V over the segment, then the merge into the state. */
ALWAYS_INLINE void values(const slice *s, const int R, const int C, const sb_kv_type t)
{
    const group *g = s->g;
    vec sum[GROUP_ROWS][TILE_VECS];
    int32_t pos = g->lo;
    if (t == SB_KV_I8) scale_p(s, R);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int j = 0; j < C; j++)
            sum[r][j] = v_zero();
    }
    if (pos % 2 == 1) add_position(s, sum, pos++, R, C, t, true);
    for (; pos + 2 <= g->hi; pos += 2) {
        add_position(s, sum, pos, R, C, t, false);
        add_position(s, sum, pos + 1, R, C, t, true);
    }
    if (pos < g->hi) add_position(s, sum, pos, R, C, t, false);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        const int32_t row = g->row + r;
        float *acc = g->a->acc + (size_t)row * (size_t)g->a->head_dim + s->dim;
        if (g->a->lo[row] >= g->a->hi[row]) continue;
#pragma GCC unroll 4
        for (int j = 0; j < C; j++) {
            const int64_t n = s->n_tail ? s->n_tail : LANES;
            const vec old = s->n_tail ? v_load_n(acc, n) : v_load(acc + j * LANES);
            const vec y = merged(old, sum[r][j], g->wa[r], g->wb[r]);
            if (s->n_tail) {
                v_store_n(acc, y, n);
            } else {
                v_store(acc + j * LANES, y);
            }
        }
    }
}

ALWAYS_INLINE void values_rows(const group *g, const int R, const sb_kv_type t)
{
    const int32_t n = g->a->head_dim;
    int32_t d = 0;
    if (tile_vecs(R) == 4) {
        for (; d + 4 * LANES <= n; d += 4 * LANES)
            values(&(slice){g, d, 0}, R, 4, t);
    }
    for (; d + 2 * LANES <= n; d += 2 * LANES)
        values(&(slice){g, d, 0}, R, 2, t);
    for (; d + LANES <= n; d += LANES)
        values(&(slice){g, d, 0}, R, 1, t);
    if (LANES == 16 && d < n) values(&(slice){g, d, 8}, R, 1, t);
}

/* Merges a segment's (m2, l2) into a row's, and gives the weights of both accumulators. */
static void merge_weights(float *m, float *l, float m2, float l2, float w[2])
{
    if (*l == 0.0f) {
        *m = m2;
        *l = l2;
        w[0] = 0.0f;
        w[1] = 1.0f;
        return;
    }
    const float top = *m > m2 ? *m : m2;
    w[0] = sb_ref_exp(*m - top);
    w[1] = sb_ref_exp(m2 - top);
    *l = fmaf(l2, w[1], *l * w[0]);
    *m = top;
}

/* Row r of the group: scale, cap, hide what it does not see, softmax; then the weights of the
 * merge. */
static void softmax(group *g, int32_t r)
{
    const sb_attn *a = g->a;
    const int32_t row = g->row + r, lo = a->lo[row], hi = a->hi[row];
    const int32_t first = g->lo / BLOCK * BLOCK, last = (g->hi + BLOCK - 1) / BLOCK * BLOCK;
    const vec hidden = v_set(sb_bits_float(0xff800000u));
    float *p = g->p + r * SB_ATTN_STRIDE, lane[BLOCK], w[2];
    vec top = hidden, sum[BLOCK_VECS];
    if (lo >= hi) {
        memset(p + first, 0, (size_t)(last - first) * sizeof *p);
        return;
    }
    for (int32_t pos = first; pos < last; pos += LANES) {
        vec s = v_mul(v_set(a->scale), v_load(p + pos));
        if (a->softcap != 0.0f) s = v_softcap(s, a->softcap);
        if (pos < lo || pos + LANES > hi) s = v_inside(s, pos, lo, hi, hidden);
        v_store(p + pos, s);
        top = v_max(s, top);
    }
    const float m = v_greatest(top) + 0.0f;
    for (int j = 0; j < BLOCK_VECS; j++)
        sum[j] = v_zero();
    for (int32_t pos = first; pos < last; pos += BLOCK) {
#pragma GCC unroll 2
        for (int j = 0; j < BLOCK_VECS; j++) {
            const vec e = v_exp_down(v_sub(v_load(p + pos + j * LANES), v_set(m)));
            v_store(p + pos + j * LANES, e);
            sum[j] = v_add(sum[j], e);
        }
    }
    for (int j = 0; j < BLOCK_VECS; j++)
        v_store(lane + j * LANES, sum[j]);
    for (int half = BLOCK / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++)
            lane[i] = lane[i] + lane[i + half];
    }
    merge_weights(&a->m[row], &a->l[row], m, lane[0], w);
    g->wa[r] = w[0];
    g->wb[r] = w[1];
}

/* One group's whole work; R == g->n_row. */
ALWAYS_INLINE void group_rows(group *g, const int R, const sb_kv_type t)
{
    dots_rows(g, R, t);
    for (int r = 0; r < R; r++)
        softmax(g, r);
    values_rows(g, R, t);
}

ALWAYS_INLINE void group_any(group *g, const sb_kv_type t)
{
    switch (g->n_row) {
    case 1:
        group_rows(g, 1, t);
        break;
    case 2:
        group_rows(g, 2, t);
        break;
    case 3:
        group_rows(g, 3, t);
        break;
    case 4:
        group_rows(g, 4, t);
        break;
    case 5:
        group_rows(g, 5, t);
        break;
    default:
        group_rows(g, GROUP_ROWS, t);
        break;
    }
}

/* Plain functions, so that the pieces above are compiled once for each type. */
static void group_bf16(group *g)
{
    group_any(g, SB_KV_BF16);
}

static void group_f32(group *g)
{
    group_any(g, SB_KV_F32);
}

static void group_i8(group *g)
{
    group_any(g, SB_KV_I8);
}

/* Prepares the group of rows [row, row + n_row); false when none of them sees anything. */
static bool group_init(group *g, const sb_attn *a, int32_t row, int32_t n_row)
{
    *g = (group){.a = a, .row = row, .n_row = n_row, .lo = SB_KV_SEGMENT, .p = a->scratch};
    g->ps = g->p + n_row * SB_ATTN_STRIDE;
    g->q = g->ps + n_row * SB_ATTN_STRIDE;
    for (int32_t r = 0; r < n_row; r++) {
        const int32_t lo = a->lo[row + r], hi = a->hi[row + r];
        if (lo >= hi) continue;
        g->lo = lo < g->lo ? lo : g->lo;
        g->hi = hi > g->hi ? hi : g->hi;
    }
    if (g->lo >= g->hi) return false;
    for (int32_t r = 0; r < n_row; r++) {
        const float *q = a->q + (size_t)(row + r) * a->q_stride;
        for (int32_t d = 0; d < a->head_dim; d++)
            g->q[d * n_row + r] = q[d];
    }
    return true;
}

static void attn_segment(const sb_attn *a, void (*run)(group *g))
{
    const int32_t n_group = (a->n_row + GROUP_ROWS - 1) / GROUP_ROWS;
    int32_t row = 0;
    for (int32_t i = 0; i < n_group; i++) { // groups as equal as can be
        const int32_t n = (a->n_row - row + n_group - i - 1) / (n_group - i);
        group g;
        if (group_init(&g, a, row, n)) run(&g);
        row += n;
    }
}

static void attn_join(float *m, float *l, float *acc, float m2, float l2, const float *acc2,
                      int64_t n)
{
    float w[2];
    if (l2 == 0.0f) return;
    merge_weights(m, l, m2, l2, w);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        v_store(acc + i, merged(v_load(acc + i), v_load(acc2 + i), w[0], w[1]));
    }
    if (i < n)
        v_store_n(acc + i, merged(v_load_n(acc + i, n - i), v_load_n(acc2 + i, n - i), w[0], w[1]),
                  n - i);
}
#endif
