/* SPDX-License-Identifier: Apache-2.0
 * mm_body.h - the walk of matmul over panels, blocks and rows, in one level's vector words.
 *
 * Purpose     Included by LEVEL_mm.c after mm_codes.h and after its own dot(). All is static:
 *             nothing of a level leaks.
 * How         Directly: groups of a few rows read the panel, decode in registers and keep their
 *             outputs there; the panel stays in L1 or L2 for the next group, and what comes next is
 *             fetched meanwhile, or the products of few rows would wait for memory that nobody has
 *             asked for yet. Or by tiles: eight blocks are decoded once into L1
 *             (bytes, f32 scales) and all rows walk over them in groups, their outputs kept in y
 *             between tiles. Tiles pay where registers are few (AVX2: from the third row on) or
 *             decoding is dear (see direct_most). Both give the same bits: integers are exact, and
 *             an element's float steps keep their order. Sums of codes, which meet the z of each
 *             row's block, are made by the first group or with the tile, and read by all others.
 * Traps       Arrays have fixed sizes and every loop over them is unrolled, or gcc puts them on the
 *             stack; Y_IN_MEMORY keeps outputs out of registers that the dot product needs. */
#ifndef SB_KERNELS_MM_BODY_H
#define SB_KERNELS_MM_BODY_H

enum { TILE_BLOCKS = 8, ROW_BLOCK = 64, PAIR_BLOCKS = 256 };

/* Where a level multiplies magnitudes of signed codes it says v_size(w), and a tile has them behind
 * the codes. */
#ifdef v_size
enum { TILE_SIZES = 1 };
#else
enum { TILE_SIZES = 0 };
#define v_size(w) (w)
#endif

/* Eight blocks, decoded: [step][column][4 k] codes, and magnitudes likewise; scales, minima and
 * pairs per half block. */
typedef struct mm_tile {
    _Alignas(64) unsigned char code[TILE_BLOCKS][(1 + TILE_SIZES) * BLOCK_CODES];
    _Alignas(64) float ws[TILE_BLOCKS][2][SB_PANEL];
    _Alignas(64) float wm[TILE_BLOCKS][2][SB_PANEL];
    _Alignas(64) int32_t pairs[TILE_BLOCKS][2][SB_PANEL];
} mm_tile;

/* What one micro-kernel call reads and writes: `blocks` blocks from block b0 of the rows. w is the
 * panel when reading directly. */
typedef struct mm_rows {
    const unsigned char *w;
    const mm_tile *tile;
    const unsigned char *x;
    size_t x_stride_bytes;
    float *y, *y_0; /* of this group of rows, and of the first */
    size_t y_stride;
    int32_t k, b0, blocks;
    const unsigned char *ahead; /* what to fetch beside block 0 of the panel */
    const unsigned char *next;  /* the next panel */
    int32_t *pairs;             /* code_pair's of the blocks, pairs_step apart */
    int32_t pairs_step;
} mm_rows;

/* The pairs of the i-th block, half h (code_pair). */
FLAT int32_t *pairs_at(const mm_rows *m, int32_t i, int h)
{
    return m->pairs + (size_t)i * (size_t)m->pairs_step + SB_PANEL * h;
}

/* A number that the compiler takes for a new one: addresses made of it are made where they are
 * used, in the load itself. Else gcc 12 finds that the columns taken next need them as well, makes
 * each with two more instructions and keeps it on the stack: a fifth of all that were executed. */
FLAT int64_t apart(int64_t at)
{
    __asm__("" : "+r"(at));
    return at;
}

/* One vector's float steps: a first half begins `part`, the second brings both to y. */
FLAT void y_add(const panel_info *p, int h, VF sum, VF ws, VF d, VF *part, float *y)
{
    if (!has_halves(p))
        vf_store(y, vf_fma(sum, vf_mul(ws, d), vf_load(y)));
    else if (h == 0)
        *part = vf_mul(sum, ws);
    else
        vf_store(y, vf_fma(vf_fma(sum, ws, *part), d, vf_load(y)));
}

/* A block's integer products or those of its half, their pairs, and what its first half gave. */
typedef struct mm_sums {
    VI sum[MR_MAX][V_PER_LINE], pair[V_PER_LINE];
    VF part[MR_MAX][V_PER_LINE];
} mm_sums;

/* The float steps of block t, half h. */
FLAT void scale_step(const mm_shape *o, const mm_rows *m, const mm_block *t, int h, mm_sums *s,
                     float *y)
{
    const panel_info *p = o->p;
    const int32_t i = t->i, b = m->b0 + i, v0 = t->v0;
    VF ws[V_PER_LINE];
    UNROLL
    for (int v = 0; v < o->nv; v++)
        ws[v] = o->way == WAY_TILED ? vf_load(&m->tile->ws[i][h][LANES * (v0 + v)])
                                    : scale_get(p->scales, t->head, t->sub, h, v0 + v);
    const int64_t d_at = apart(act_at(m->k, ACT_D, b));
    const int64_t zq_at = apart(act_at(m->k, ACT_ZQ + (has_halves(p) ? 1 + h : 0), b));
    UNROLL
    for (int r = 0; r < o->mr; r++) {
        const VF d = vf_bcast((const float *)(const void *)(t->row[r] + d_at));
        const VI zq = v_bcast32(t->row[r] + zq_at);
        UNROLL
        for (int v = 0; v < o->nv; v++) {
            const VF sum = vf_from_i32(v_pair_add(s->sum[r][v], s->pair[v], zq));
            y_add(p, h, sum, ws[v], d, &s->part[r][v], y + SB_PANEL * r + LANES * (v0 + v));
        }
    }
}

/* The minima of block t, after its scales. */
FLAT void min_step(const mm_shape *o, const mm_rows *m, const mm_block *t, int h, float *y)
{
    const panel_info *p = o->p;
    const int32_t i = t->i, b = m->b0 + i, v0 = t->v0;
    VF wm[V_PER_LINE];
    UNROLL
    for (int v = 0; v < o->nv; v++)
        wm[v] = o->way == WAY_TILED ? vf_load(&m->tile->wm[i][h][LANES * (v0 + v)])
                                    : min_get(p->scales, t->head, t->sub, h, v0 + v);
    const int64_t s_at = apart(act_at(m->k, ACT_S + (has_halves(p) ? 1 + h : 0), b));
    UNROLL
    for (int r = 0; r < o->mr; r++) {
        const VF s = vf_bcast((const float *)(const void *)(t->row[r] + s_at));
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

/* Products and pairs of half h (or of all, h < 0) of block t. */
FLAT void products(const mm_shape *o, const mm_rows *m, const mm_block *t, int h, mm_sums *s)
{
    // Alone there are no pairs to keep, and no place for them.
    int32_t *at = o->way == WAY_ALONE ? NULL : pairs_at(m, t->i, h < 0 ? 0 : h) + LANES * t->v0;
    if (o->way == WAY_AGAIN || o->way == WAY_TILED) {
        dot(o, t, h, false, s->sum, s->pair);
        UNROLL
        for (int v = 0; v < o->nv; v++)
            s->pair[v] = v_load(at + LANES * v);
        return;
    }
    dot(o, t, h, true, s->sum, s->pair);
    UNROLL
    for (int v = 0; v < o->nv; v++) {
        s->pair[v] = code_pair(o->p, s->pair[v]);
        if (o->way == WAY_FIRST) v_store(at + LANES * v, s->pair[v]);
    }
}

/* Whether registers hold no outputs beside the sums: then no sooner than they are made are outputs
 * loaded, or the compiler takes them out early and puts them aside in memory again. */
FLAT void y_keep_out(const mm_shape *o, float *y)
{
    if (o->mr * V_PER_LINE > (has_halves(o->p) ? Y_HALVES : Y_REGISTERS)) Y_IN_MEMORY(y);
}

FLAT void block_add(const mm_shape *o, const mm_rows *m, const mm_block *t, float *y)
{
    const bool halves = has_halves(o->p), minima = has_minima(o->p);
    mm_sums s;
    products(o, m, t, halves ? 0 : -1, &s);
    if (!halves) y_keep_out(o, y);
    scale_step(o, m, t, 0, &s, y);
    if (halves) {
        products(o, m, t, 1, &s);
        y_keep_out(o, y);
        scale_step(o, m, t, 1, &s, y);
    }
    if (minima) min_step(o, m, t, 0, y);
    if (minima && halves) min_step(o, m, t, 1, y);
}

/* The micro-kernel: o->mr rows x 32 columns over m->blocks blocks, o->nv vectors at a time. */
FLAT void rows_add(const mm_shape *o, const mm_rows *m)
{
    _Alignas(64) float y[MR_MAX * SB_PANEL];
    const unsigned char *row[MR_MAX];
    UNROLL
    for (int r = 0; r < o->mr; r++) {
        row[r] = m->x + (size_t)r * m->x_stride_bytes;
        __asm__("" : "+r"(row[r])); // a register each
    }
    y_begin(o->mr, m, y);
    // Counted through: with a division and two products for each block one row took 2 % longer.
    const panel_info *p = o->p;
    const unsigned char *head = panel_frame(p, m->w, m->b0);
    int32_t in_frame = m->b0 % p->blocks;
    for (int32_t i = 0; i < m->blocks; i++) {
        const int32_t b = m->b0 + i;
        const unsigned char *codes = head + p->code_off + in_frame * p->code_step;
        const size_t ahead_at = o->way == WAY_TILED ? 0 : (size_t)b * (size_t)ahead_bytes(o);
        mm_block t = {.i = i,
                      .codes = o->way == WAY_TILED ? m->tile->code[i] : codes,
                      .head = head,
                      .sub = head + p->scale_off + in_frame * p->scale_step,
                      .row = row,
                      .ahead = m->ahead + ahead_at};
        UNROLL
        for (int v0 = 0; v0 < V_PER_LINE; v0 += o->nv) {
            const int64_t q_at = apart((int64_t)b * SB_ACT_BLOCK);
            t.v0 = v0;
            UNROLL
            for (int r = 0; r < o->mr; r++)
                t.q[r] = row[r] + q_at;
            block_add(o, m, &t, y);
            y_keep_out(o, y);
        }
        if (++in_frame < p->blocks) continue;
        in_frame = 0;
        head += p->frame_bytes;
    }
    y_end(o->mr, m, y);
}

/* The codes and pairs of one block, for a tile. */
FLAT void tile_codes(const panel_info *p, const unsigned char *from, int v, unsigned char *to,
                     int32_t pairs[2][SB_PANEL])
{
    const bool is_signed = dot_is_signed(p), halves = has_halves(p);
    const int n = halves ? 4 : 8;
    VI bytes = v_zero(), sum = v_zero();
    UNROLL
    for (int j = 0; j < 8; j++) {
        const VI u = code_get(p->codes, from, j, v);
        const VI w = is_signed ? v_sub8(u, v_set1_8((char)p->zero)) : u;
        v_store(to + LINE * j + V_BYTES * v, w);
        if (is_signed && TILE_SIZES) v_store(to + BLOCK_CODES + LINE * j + V_BYTES * v, v_size(w));
        code_sum_add(p, j % n, n, w, &bytes, &sum);
        if (j % n == n - 1) v_store(&pairs[j / n][LANES * v], code_pair(p, sum));
    }
}

/* Decodes blocks b0 .. b0 + n of a panel. */
FLAT void tile_fill(const panel_info *p, const unsigned char *w, int32_t b0, int32_t n, mm_tile *t)
{
    for (int32_t i = 0; i < n; i++) {
        const unsigned char *codes = panel_code(p, w, b0 + i);
        const unsigned char *head = panel_frame(p, w, b0 + i), *sub = panel_scale(p, w, b0 + i);
        UNROLL
        for (int v = 0; v < V_PER_LINE; v++) {
            tile_codes(p, codes, v, t->code[i], t->pairs[i]);
            for (int h = 0; h < (has_halves(p) ? 2 : 1); h++) {
                vf_store(&t->ws[i][h][LANES * v], scale_get(p->scales, head, sub, h, v));
                if (has_minima(p))
                    vf_store(&t->wm[i][h][LANES * v], min_get(p->scales, head, sub, h, v));
            }
        }
    }
}

/* The micro-kernels of one format, by number of rows less one. */
typedef void (*mm_rows_fn)(const mm_rows *m);
typedef struct mm_kind {
    const panel_info *panel;
    const mm_rows_fn *alone;         /* all rows at once, n_alone at most */
    const mm_rows_fn *first, *again; /* the first of several groups of rows, and the others */
    const mm_rows_fn *tiled;         /* over tiles, n_tiled at most */
    int32_t n_alone, n_tiled;
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

/* The rows in groups as equal as can be, over rows->blocks blocks. The first two ask for half of
 * the next panel each. */
static void groups_run(const mm_kind *kind, const sb_mm *m, mm_rows *rows, size_t panel_bytes)
{
    const int32_t n_group = (m->n_row + GROUP_MOST - 1) / GROUP_MOST;
    for (int32_t i = 0, r = 0, n; i < n_group; i++, r += n) {
        n = (m->n_row - r + n_group - i - 1) / (n_group - i);
        rows->x = m->x + (size_t)r * m->x_stride_bytes;
        rows->y = rows->y_0 + (size_t)r * m->y_stride;
        rows->ahead = rows->next + (i == 0 ? 0 : panel_bytes / 2);
        (i == 0 ? kind->first : kind->again)[n - 1](rows);
    }
}

/* All rows over one panel: as one group where a kernel takes so many, or in groups of GROUP_MOST,
 * whose outputs stay in registers. AVX-512, eight rows in one group and in two: Q6_K 447 and 390
 * GOPS, for its scales are dear to decode; Q4_0 668 and 668, but 361 and 380 tokens/s of eight
 * streams (1B, two cores). One group asks a few KB ahead, several for the next panel. One core's
 * half of 215 MB, percent of a plain read at 70 GB/s (two cores of Zen 5), one row, 0, 2, 4, 6 and
 * 8 KB ahead: Q4_0 98, 94, 104, 108, 105; Q6_K 71, 85, 97, 102, 99. What the caller
 * reads next, or what lies behind the last panel, is fetched as well: a fetch never faults. */
static void direct_run(const mm_kind *kind, const sb_mm *m, mm_rows *rows, size_t panel_bytes)
{
    enum { AHEAD_OF_ONE = 6 * 1024, AHEAD = 8 * 1024 }; /* bytes */
    _Alignas(64) int32_t pairs[PAIR_BLOCKS * SB_PANEL];
    const int32_t nb = rows->blocks;
    if (m->n_row <= kind->n_alone) {
        rows->ahead = rows->w + (m->n_row == 1 ? AHEAD_OF_ONE : AHEAD);
        kind->alone[m->n_row - 1](rows);
        return;
    }
    rows->pairs = pairs;
    rows->pairs_step = SB_PANEL; // formats of halves go by tiles
    for (; rows->b0 < nb; rows->b0 += PAIR_BLOCKS) {
        rows->blocks = nb - rows->b0 < PAIR_BLOCKS ? nb - rows->b0 : PAIR_BLOCKS;
        groups_run(kind, m, rows, panel_bytes);
    }
}

/* Rows up to which the direct way is at least as fast. With 32 registers it always is (Q4_1, 8
 * rows: 730 against 570 GOPS, 512 rows: 750 against 680, Zen 5), but for scales that are dear to
 * decode. */
static int32_t direct_most(const mm_kind *kind)
{
    if (!DIRECT_IS_BEST) return kind->n_alone;
    return has_halves(kind->panel) || kind->panel->scales == SCALES_E8M0 ? kind->n_alone
                                                                         : ROW_BLOCK;
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
                        .y_0 = m->y + (size_t)i * SB_PANEL,
                        .y_stride = m->y_stride,
                        .k = m->k,
                        .blocks = nb};
        if (m->n_row <= direct_most(kind)) {
            const bool last = i + 1 == m->n_panel;
            rows.next = last && m->next ? m->next : rows.w + panel_bytes;
            direct_run(kind, m, &rows, panel_bytes);
            continue;
        }
        rows.pairs = tile.pairs[0][0];
        rows.pairs_step = 2 * SB_PANEL;
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

/* What formats have whose scales are dear to decode, and what the others have. */
#define DEAR_F16(x)
#define DEAR_F16M(x)
#define DEAR_E8M0(x) x
#define DEAR_K32(x)
#define DEAR_K32M(x)
#define DEAR_K16(x) x
#define DEAR_K16M(x) x
#define CHEAP_F16(x) x
#define CHEAP_F16M(x) x
#define CHEAP_E8M0(x)
#define CHEAP_K32(x) x
#define CHEAP_K32M(x) x
#define CHEAP_K16(x)
#define CHEAP_K16M(x)

/* The functions of every format. Tiles of one class share their kernels. */
#define ROWS(name, panel, way, mr)                                                                 \
    static void name(const mm_rows *m)                                                             \
    {                                                                                              \
        rows_add(&(const mm_shape){&panel_##panel, way, mr, NV_OF(mr)}, m);                        \
    }
#define X(name, tile, codes, scales, zero, blocks, so, ss, co, cs, bytes)                          \
    ROWS(name##_alone1, name, WAY_ALONE, 1)                                                        \
    ROWS(name##_alone2, name, WAY_ALONE, 2)                                                        \
    ROWS_ALONE_MORE(name)                                                                          \
    DEAR_##scales(ROWS_DEAR_MORE(name)) CHEAP_##scales(                                            \
        ROWS_GROUPS(name)) static const mm_rows_fn name##_alone[] = {                              \
        name##_alone1, name##_alone2 ROWS_ALONE_NAMES(name) DEAR_##scales(ROWS_DEAR_NAMES(name))}; \
    static const mm_rows_fn name##_first[] = {NULL, NULL CHEAP_##scales(ROWS_FIRST_NAMES(name))};  \
    static const mm_rows_fn name##_again[] = {NULL, NULL CHEAP_##scales(ROWS_AGAIN_NAMES(name))};  \
    static void name##_fill(const unsigned char *w, int32_t b0, int32_t n, mm_tile *t)             \
    {                                                                                              \
        tile_fill(&panel_##name, w, b0, n, t);                                                     \
    }
#include "kernels/panel.def"
#undef X

/* Kernels over tiles, one set for each class of tiles; none for the cheap ones where those always
 * go directly. */
#define CLASS(name)                                                                                \
    ROWS(name##_tiled1, name, WAY_TILED, 1)                                                        \
    ROWS(name##_tiled2, name, WAY_TILED, 2)                                                        \
    ROWS(name##_tiled3, name, WAY_TILED, 3)                                                        \
    ROWS(name##_tiled4, name, WAY_TILED, 4)                                                        \
    ROWS_TILED_MORE(name)                                                                          \
    static const mm_rows_fn name##_tiled[] = {name##_tiled1, name##_tiled2, name##_tiled3,         \
                                              name##_tiled4 ROWS_TILED_NAMES(name)};
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

#define X(name, tile, codes, scales, zero, blocks, so, ss, co, cs, bytes)                          \
    static void name##_a8(const sb_mm *m)                                                          \
    {                                                                                              \
        static const mm_kind kind = {&panel_##name,                                                \
                                     name##_alone,                                                 \
                                     name##_first,                                                 \
                                     name##_again,                                                 \
                                     tile##_tiled,                                                 \
                                     (int32_t)SB_ARRAY_LEN(name##_alone),                          \
                                     (int32_t)SB_ARRAY_LEN(tile##_tiled),                          \
                                     name##_fill};                                                 \
        mm_run(m, &kind);                                                                          \
    }
#include "kernels/panel.def"
#undef X

static void slots_fill(sb_kernels *k)
{
#define X(name, tile, codes, scales, zero, blocks, so, ss, co, cs, bytes)                          \
    k->matmul[SB_F_##name][SB_ACT_A8] = name##_a8;
#include "kernels/panel.def"
#undef X
    k->matmul[SB_F_F32][SB_ACT_F32] = mm_f32;
    k->matmul[SB_F_F16][SB_ACT_F32] = mm_f16;
    k->matmul[SB_F_BF16][SB_ACT_F32] = mm_bf16;
}
#endif
