/* SPDX-License-Identifier: Apache-2.0
 * mm_body.h - the walk of matmul over panels, blocks and rows, in one level's vector words.
 *
 * Purpose     Included by avxNNN_mm.c after mm_codes.h and after its own dot(), pairs_put() and
 *             dot_is_signed(). All is static: nothing of a level leaks.
 * How         Directly: groups of a few rows read the panel, decode in registers and keep their
 *             outputs there; the panel stays in L1 or L2 for the next group, and each group fetches
 *             its share of the panel behind, or the products of few rows would wait for memory
 *             that nobody has asked for yet. Or by tiles: eight blocks are decoded once into L1
 *             (bytes, f32 scales) and all rows walk over them in groups, their outputs kept in y
 *             between tiles. Tiles pay where registers are few (AVX2: from the third row on) or
 *             decoding is dear (see direct_most). Both give the same bits: integers are exact, and
 *             an element's float steps keep their order.
 * Traps       Arrays have fixed sizes and every loop over them is unrolled, or gcc puts them on the
 *             stack; Y_IN_MEMORY keeps outputs out of registers that the dot product needs, and
 *             PAIRS_IN_MEMORY has gcc broadcast from memory where it would shuffle a register. */
#ifndef SB_KERNELS_X86_MM_BODY_H
#define SB_KERNELS_X86_MM_BODY_H

enum { TILE_BLOCKS = 8, ROW_BLOCK = 64 };

/* Eight blocks, decoded: [step][column][4 k] codes; scales and minima per half block. */
typedef struct mm_tile {
    _Alignas(64) unsigned char code[TILE_BLOCKS][8 * LINE];
    _Alignas(64) float ws[TILE_BLOCKS][2][SB_PANEL];
    _Alignas(64) float wm[TILE_BLOCKS][2][SB_PANEL];
} mm_tile;

/* What one micro-kernel call reads and writes: `blocks` blocks from block b0 of the rows. w is the
 * panel when reading directly. */
typedef struct mm_rows {
    const unsigned char *w;
    const mm_tile *tile;
    const unsigned char *x;
    size_t x_stride_bytes;
    float *y;
    size_t y_stride;
    int32_t k, b0, blocks;
    const unsigned char *ahead; /* bytes to fetch meanwhile, ahead_lines lines for each block */
    int32_t ahead_lines;
} mm_rows;

/* sum - zero * (the rows' sums of q): the integer correction of unsigned codes. */
FLAT VI zero_sub(VI sum, int32_t zero, VI q_sum)
{
    if (zero == 0) return sum;
    const bool power = (zero & (zero - 1)) == 0;
    return v_sub32(sum,
                   power ? v_sll32(q_sum, __builtin_ctz((unsigned)zero)) : v_mul32(q_sum, zero));
}

/* The float steps of the i-th block for the vectors from v0, half h. */
FLAT void scale_step(const mm_shape *o, const mm_rows *m, int32_t i, int v0, int h,
                     VI sum[MR_MAX][V_PER_LINE], float *y)
{
    const panel_info *p = o->p;
    const int32_t b = m->b0 + i;
    const unsigned char *head = panel_frame(p, m->w, b), *sub = panel_scale(p, m->w, b);
    const bool halves = has_halves(p);
    VF ws[V_PER_LINE];
    UNROLL
    for (int v = 0; v < o->nv; v++)
        ws[v] = o->tiled ? vf_load(&m->tile->ws[i][h][LANES * (v0 + v)])
                         : scale_get(p->scales, head, sub, h, v0 + v);
    UNROLL
    for (int r = 0; r < o->mr; r++) {
        const unsigned char *row = m->x + (size_t)r * m->x_stride_bytes;
        const VF d = vf_bcast(act_d(row, m->k, o->qb) + b);
        VI q_sum = v_bcast32(act_sum(row, m->k, o->qb) + b);
        if (halves) {
            const VI half = v_bcast32(act_half(row, m->k, o->qb) + b);
            q_sum = h == 0 ? half : v_sub32(q_sum, half);
        }
        UNROLL
        for (int v = 0; v < o->nv; v++) {
            float *at = y + SB_PANEL * r + LANES * (v0 + v);
            const VI s = dot_is_signed(p, o->qb) ? sum[r][v] : zero_sub(sum[r][v], p->zero, q_sum);
            vf_store(at, vf_fma(vf_from_i32(s), vf_mul(ws[v], d), vf_load(at)));
        }
    }
}

/* The minima of the i-th block, after its scales. */
FLAT void min_step(const mm_shape *o, const mm_rows *m, int32_t i, int v0, int h, float *y)
{
    const panel_info *p = o->p;
    const int32_t b = m->b0 + i;
    const unsigned char *head = panel_frame(p, m->w, b), *sub = panel_scale(p, m->w, b);
    VF wm[V_PER_LINE];
    UNROLL
    for (int v = 0; v < o->nv; v++)
        wm[v] = o->tiled ? vf_load(&m->tile->wm[i][h][LANES * (v0 + v)])
                         : min_get(p->scales, head, sub, h, v0 + v);
    UNROLL
    for (int r = 0; r < o->mr; r++) {
        const unsigned char *row = m->x + (size_t)r * m->x_stride_bytes;
        VF s = vf_bcast(act_s(row, m->k, o->qb) + b);
        if (has_halves(p)) {
            const VI half = v_bcast32(act_half(row, m->k, o->qb) + b);
            const VI all = v_bcast32(act_sum(row, m->k, o->qb) + b);
            s = vf_mul(vf_bcast(act_d(row, m->k, o->qb) + b),
                       vf_from_i32(h == 0 ? half : v_sub32(all, half)));
        }
        UNROLL
        for (int v = 0; v < o->nv; v++) {
            float *at = y + SB_PANEL * r + LANES * (v0 + v);
            vf_store(at, vf_fma(wm[v], s, vf_load(at)));
        }
    }
}

/* Puts zeroes (block 0) or what earlier blocks gave into y, or y back. */
FLAT void y_begin(int mr, const mm_rows *m, float *y)
{
    UNROLL
    for (int r = 0; r < mr; r++) {
        const float *from = m->y + (size_t)r * m->y_stride;
        UNROLL
        for (int v = 0; v < V_PER_LINE; v++)
            vf_store(y + SB_PANEL * r + LANES * v,
                     m->b0 == 0 ? vf_zero() : vf_load(from + LANES * v));
    }
}

FLAT void y_end(int mr, const mm_rows *m, const float *y)
{
    UNROLL
    for (int r = 0; r < mr; r++) {
        float *to = m->y + (size_t)r * m->y_stride;
        UNROLL
        for (int v = 0; v < V_PER_LINE; v++)
            vf_store(to + LANES * v, vf_load(y + SB_PANEL * r + LANES * v));
    }
}

/* The i-th block of the vectors from t->v0. */
FLAT void block_add(const mm_shape *o, const mm_rows *m, const mm_block *t, int32_t i, float *y)
{
    const bool halves = has_halves(o->p), minima = has_minima(o->p);
    VI sum[MR_MAX][V_PER_LINE];
    dot(o, t, halves ? 0 : -1, sum);
    scale_step(o, m, i, t->v0, 0, sum, y);
    if (halves) {
        dot(o, t, 1, sum);
        scale_step(o, m, i, t->v0, 1, sum, y);
    }
    if (minima) min_step(o, m, i, t->v0, 0, y);
    if (minima && halves) min_step(o, m, i, t->v0, 1, y);
}

/* Whether to ask for what comes next. One or two rows that read one plane of codes from end to end
 * are best left to the processor's own prefetcher; where bits lie in several planes it loses the
 * way, and 16-bit products leave it too little time (one core of Zen 5, GB/s without and with:
 * Q6_K, one row 20 and 28, two rows 19 and 33, 16-bit 27 and 37; Q4_0, one row 35 and 31, two rows
 * 16-bit 23 and 36). */
FLAT bool asks_ahead(const mm_shape *o)
{
    const panel_codes c = o->p->codes;
    if (o->tiled) return false;
    if (o->mr > 2) return true;
    if (c == CODES_P8 || c == CODES_MX4) return false;
    return (c != CODES_N4 && c != CODES_NL4) || o->qb == 2;
}

/* The micro-kernel: o->mr rows x 32 columns over m->blocks blocks, o->nv vectors at a time. */
FLAT void rows_add(const mm_shape *o, const mm_rows *m)
{
    _Alignas(64) float y[MR_MAX * SB_PANEL];
    y_begin(o->mr, m, y);
    for (int32_t i = 0; i < m->blocks; i++) {
        const int32_t b = m->b0 + i;
        const unsigned char *ahead = m->ahead + (size_t)i * 64 * (size_t)m->ahead_lines;
        for (int32_t l = 0; asks_ahead(o) && l < m->ahead_lines; l++)
            __builtin_prefetch(ahead + 64 * l, 0, 2);
        mm_block t = {.codes = o->tiled ? m->tile->code[i] : panel_code(o->p, m->w, b),
                      .q = m->x + (size_t)b * SB_ACT_BLOCK * (size_t)o->qb,
                      .q_stride = m->x_stride_bytes};
        _Alignas(64) unsigned char pairs[MR_MAX][64];
        if (o->qb == 2) {
            UNROLL
            for (int r = 0; r < o->mr; r++)
                pairs_put(pairs[r], t.q + (size_t)r * t.q_stride);
            if (o->mr > 2) PAIRS_IN_MEMORY(pairs);
            t.q = pairs[0];
            t.q_stride = sizeof pairs[0];
        }
        UNROLL
        for (int v0 = 0; v0 < V_PER_LINE; v0 += o->nv) {
            t.v0 = v0;
            block_add(o, m, &t, i, y);
            if (o->mr * V_PER_LINE > Y_REGISTERS) Y_IN_MEMORY(y);
        }
    }
    y_end(o->mr, m, y);
}

/* Decodes blocks b0 .. b0 + n of a panel. */
FLAT void tile_fill(const panel_info *p, int qb, const unsigned char *w, int32_t b0, int32_t n,
                    mm_tile *t)
{
    for (int32_t i = 0; i < n; i++) {
        const unsigned char *codes = panel_code(p, w, b0 + i);
        const unsigned char *head = panel_frame(p, w, b0 + i), *sub = panel_scale(p, w, b0 + i);
        UNROLL
        for (int v = 0; v < V_PER_LINE; v++) {
            UNROLL
            for (int j = 0; j < 8; j++) {
                const VI u = code_get(p->codes, codes, j, v);
                v_store(t->code[i] + LINE * j + V_BYTES * v,
                        dot_is_signed(p, qb) ? v_sub8(u, v_set1_8((char)p->zero)) : u);
            }
            for (int h = 0; h < (has_halves(p) ? 2 : 1); h++) {
                vf_store(&t->ws[i][h][LANES * v], scale_get(p->scales, head, sub, h, v));
                if (has_minima(p))
                    vf_store(&t->wm[i][h][LANES * v], min_get(p->scales, head, sub, h, v));
            }
        }
    }
}

/* The micro-kernels of one format and one kind of activations, by number of rows less one. */
typedef void (*mm_rows_fn)(const mm_rows *m);
typedef struct mm_kind {
    const panel_info *panel;
    const mm_rows_fn *direct, *tiled;
    int32_t n_direct, n_tiled;
    void (*fill)(const unsigned char *w, int32_t b0, int32_t n, mm_tile *t);
} mm_kind;

/* All rows over one tile. */
static void tile_run(const mm_kind *kind, const sb_mm *m, mm_rows *rows)
{
    for (int32_t r = 0, n; r < m->n_row; r += n) {
        const int32_t left = m->n_row - r, max = kind->n_tiled;
        // A group of one costs almost as much as a group of two: split the last two groups fairly.
        n = left < max ? left : left == max + 1 && max > 2 ? max - 1 : max;
        mm_rows group = *rows;
        group.x += (size_t)r * m->x_stride_bytes;
        group.y += (size_t)r * m->y_stride;
        kind->tiled[n - 1](&group);
    }
}

/* All rows over one panel, in groups as equal as can be. What lies behind the last panel of a call
 * is fetched as well: it is the start of somebody's next piece, and a fetch never faults. */
static void direct_run(const mm_kind *kind, const sb_mm *m, mm_rows *rows, size_t panel_bytes)
{
    const int32_t n_group = (m->n_row + kind->n_direct - 1) / kind->n_direct;
    const int32_t lines = (int32_t)(panel_bytes / 64), n_step = n_group * rows->blocks;
    rows->ahead = rows->w + panel_bytes;
    rows->ahead_lines = (lines + n_step - 1) / n_step;
    for (int32_t i = 0, r = 0, n; i < n_group; i++, r += n) {
        n = (m->n_row - r + n_group - i - 1) / (n_group - i);
        kind->direct[n - 1](rows);
        rows->x += (size_t)n * m->x_stride_bytes;
        rows->y += (size_t)n * m->y_stride;
        rows->ahead += (size_t)rows->blocks * 64 * (size_t)rows->ahead_lines;
    }
}

/* Rows up to which the direct way is at least as fast. With 32 registers it always is (Q4_1, 8
 * rows: 730 against 570 GOPS, 512 rows: 750 against 680, Zen 5), but for scales that are dear to
 * decode. */
static int32_t direct_most(const mm_kind *kind)
{
    if (!DIRECT_IS_BEST) return kind->n_direct;
    return has_halves(kind->panel) || kind->panel->scales == SCALES_E8M0 ? 8 : ROW_BLOCK;
}

static void panels_run(const sb_mm *m, const mm_kind *kind)
{
    const int32_t nb = m->k / SB_ACT_BLOCK, per_frame = kind->panel->blocks;
    const size_t panel_bytes =
        (size_t)((nb + per_frame - 1) / per_frame) * (size_t)kind->panel->frame_bytes;
    mm_tile tile;
    for (int32_t i = 0; i < m->n_panel; i++) {
        mm_rows rows = {.w = m->w + (size_t)i * panel_bytes,
                        .tile = &tile,
                        .x = m->x,
                        .x_stride_bytes = m->x_stride_bytes,
                        .y = m->y + (size_t)i * SB_PANEL,
                        .y_stride = m->y_stride,
                        .k = m->k,
                        .blocks = nb};
        if (m->n_row <= direct_most(kind)) {
            direct_run(kind, m, &rows, panel_bytes);
            continue;
        }
        for (int32_t b = 0; b < nb; b += TILE_BLOCKS) {
            rows.b0 = b;
            rows.blocks = nb - b < TILE_BLOCKS ? nb - b : TILE_BLOCKS;
            kind->fill(rows.w, b, rows.blocks, &tile);
            tile_run(kind, m, &rows);
        }
    }
}

/* Rows go in blocks, so that a tile and what they bring to it stay in L1 (Q4_1, M = 512: 5 % faster
 * on Zen 3). */
static void mm_run(const sb_mm *m, const mm_kind *kind)
{
    for (int32_t r = 0; r < m->n_row; r += ROW_BLOCK) {
        sb_mm part = *m;
        part.x += (size_t)r * m->x_stride_bytes;
        part.y += (size_t)r * m->y_stride;
        part.n_row = m->n_row - r < ROW_BLOCK ? m->n_row - r : ROW_BLOCK;
        panels_run(&part, kind);
    }
}

/* mr rows from r0 x nv vectors of one panel of elements, k ascending. */
FLAT void elements_add(sb_format f, int mr, int nv, const unsigned char *w, const sb_mm *m,
                       int32_t r0, float *y)
{
    const unsigned char *x = m->x + (size_t)r0 * m->x_stride_bytes;
    const size_t step = f == SB_F_F32 ? 128 : 64;
    VF acc[MR_ELEMENTS][V_PER_LINE];
    UNROLL
    for (int i = 0; i < mr * nv; i++)
        acc[i / nv][i % nv] = vf_zero();
    for (int32_t k = 0; k < m->k; k++, w += step, x += sizeof(float)) {
        VF e[V_PER_LINE];
        UNROLL
        for (int v = 0; v < nv; v++)
            e[v] = f == SB_F_F32   ? vf_load((const float *)(const void *)(w + V_BYTES * v))
                   : f == SB_F_F16 ? vf_half(w + V_BYTES / 2 * v)
                                   : vf_bf16(w + V_BYTES / 2 * v);
        UNROLL
        for (int r = 0; r < mr; r++) {
            const unsigned char *at = x + (size_t)r * m->x_stride_bytes;
            const VF a = vf_bcast((const float *)(const void *)at);
            UNROLL
            for (int v = 0; v < nv; v++)
                acc[r][v] = vf_fma(a, e[v], acc[r][v]);
        }
    }
    UNROLL
    for (int i = 0; i < mr * nv; i++)
        vf_store(y + (size_t)(i / nv) * m->y_stride + LANES * (i % nv), acc[i / nv][i % nv]);
}

/* Single rows take a whole line at a time (one stream); groups half a line where registers ask. */
FLAT void elements_run(const sb_mm *m, sb_format f)
{
    const size_t bytes = f == SB_F_F32 ? 4 : 2, panel_bytes = (size_t)m->k * SB_PANEL * bytes;
    for (int32_t i = 0; i < m->n_panel; i++) {
        const unsigned char *w = m->w + (size_t)i * panel_bytes;
        float *y = m->y + (size_t)i * SB_PANEL;
        int32_t r = 0;
        for (; r + MR_ELEMENTS <= m->n_row; r += MR_ELEMENTS) {
            float *at = y + (size_t)r * m->y_stride;
            for (int v = 0; v < V_PER_LINE; v += NV_ELEMENTS)
                elements_add(f, MR_ELEMENTS, NV_ELEMENTS, w + bytes * (size_t)(LANES * v), m, r,
                             at + LANES * v);
        }
        for (; r + 2 <= m->n_row; r += 2)
            elements_add(f, 2, V_PER_LINE, w, m, r, y + (size_t)r * m->y_stride);
        for (; r < m->n_row; r++)
            elements_add(f, 1, V_PER_LINE, w, m, r, y + (size_t)r * m->y_stride);
    }
}

static void mm_f32(const sb_mm *m)
{
    elements_run(m, SB_F_F32);
}

static void mm_f16(const sb_mm *m)
{
    elements_run(m, SB_F_F16);
}

static void mm_bf16(const sb_mm *m)
{
    elements_run(m, SB_F_BF16);
}

/* The functions of every format. Tiles of one class share their kernels. */
#define ROWS(name, panel, tiled, qb, mr)                                                           \
    static void name(const mm_rows *m)                                                             \
    {                                                                                              \
        rows_add(&(const mm_shape){&panel_##panel, tiled, qb, mr, NV_OF(mr)}, m);                  \
    }
#define FILL(name, qb)                                                                             \
    static void name##_fill_a##qb(const unsigned char *w, int32_t b0, int32_t n, mm_tile *t)       \
    {                                                                                              \
        tile_fill(&panel_##name, qb, w, b0, n, t);                                                 \
    }
#define X(name, tile, codes, scales, zero, blocks, so, ss, co, cs, bytes)                          \
    ROWS(name##_a8_direct1, name, false, 1, 1)                                                     \
    ROWS(name##_a8_direct2, name, false, 1, 2)                                                     \
    ROWS(name##_a16_direct1, name, false, 2, 1)                                                    \
    ROWS_DIRECT_MORE(name)                                                                         \
    static const mm_rows_fn name##_a8_direct[] = {name##_a8_direct1,                               \
                                                  name##_a8_direct2 ROWS_A8_DIRECT_NAMES(name)};   \
    static const mm_rows_fn name##_a16_direct[] = {                                                \
        name##_a16_direct1 ROWS_A16_DIRECT_NAMES(name)};                                           \
    FILL(name, 1)                                                                                  \
    FILL(name, 2)
#include "kernels/panel.def"
#undef X

/* Kernels over tiles, one set for each class of tiles; none for the cheap ones where those always
 * go directly. */
#define CLASS(name)                                                                                \
    ROWS(name##_a8_tiled1, name, true, 1, 1)                                                       \
    ROWS(name##_a8_tiled2, name, true, 1, 2)                                                       \
    ROWS(name##_a8_tiled3, name, true, 1, 3)                                                       \
    ROWS(name##_a8_tiled4, name, true, 1, 4)                                                       \
    ROWS_A8_MORE(name)                                                                             \
    ROWS(name##_a16_tiled1, name, true, 2, 1)                                                      \
    ROWS(name##_a16_tiled2, name, true, 2, 2)                                                      \
    static const mm_rows_fn name##_a8_tiled[] = {name##_a8_tiled1, name##_a8_tiled2,               \
                                                 name##_a8_tiled3,                                 \
                                                 name##_a8_tiled4 ROWS_A8_MORE_NAMES(name)};       \
    static const mm_rows_fn name##_a16_tiled[] = {name##_a16_tiled1, name##_a16_tiled2};
CLASS_CHEAP(Q4_0)
CLASS_CHEAP(Q4_1)
CLASS_CHEAP(Q5_0)
CLASS_CHEAP(Q5_1)
CLASS_CHEAP(Q8_0)
CLASS_CHEAP(IQ4_NL)
CLASS(Q2_K)
CLASS(Q3_K)
CLASS(Q6_K)
CLASS(MXFP4)

#define KIND(name, tile, act, qb)                                                                  \
    {                                                                                              \
        &panel_##name, name##_##act##_direct, tile##_##act##_tiled,                                \
            (int32_t)SB_ARRAY_LEN(name##_##act##_direct),                                          \
            (int32_t)SB_ARRAY_LEN(tile##_##act##_tiled), name##_fill_a##qb                         \
    }
#define X(name, tile, codes, scales, zero, blocks, so, ss, co, cs, bytes)                          \
    static void name##_a8(const sb_mm *m)                                                          \
    {                                                                                              \
        static const mm_kind kind = KIND(name, tile, a8, 1);                                       \
        mm_run(m, &kind);                                                                          \
    }                                                                                              \
    static void name##_a16(const sb_mm *m)                                                         \
    {                                                                                              \
        static const mm_kind kind = KIND(name, tile, a16, 2);                                      \
        mm_run(m, &kind);                                                                          \
    }
#include "kernels/panel.def"
#undef X

static void slots_fill(sb_kernels *k)
{
#define X(name, tile, codes, scales, zero, blocks, so, ss, co, cs, bytes)                          \
    k->matmul[SB_F_##name][SB_ACT_A8] = name##_a8;                                                 \
    k->matmul[SB_F_##name][SB_ACT_A16] = name##_a16;
#include "kernels/panel.def"
#undef X
    k->matmul[SB_F_F32][SB_ACT_F32] = mm_f32;
    k->matmul[SB_F_F16][SB_ACT_F32] = mm_f16;
    k->matmul[SB_F_BF16][SB_ACT_F32] = mm_bf16;
}
#endif
