/* SPDX-License-Identifier: Apache-2.0
 * mm_check.c - proves packing and matmul: ref against unpacked rows, every level against ref.
 *
 * How: random blocks of every format are packed; the reference product must agree with a product of
 * the unpackers' floats in double (so the packing is right), and each level with the reference bit
 * for bit, alone and in a crowd, with guard bytes around everything written. `--bench` measures.
 * mm_check [--bench] [--level NAME] [--best NAME] [FORMAT]: --best says which level must be the
 * strongest here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/internal.h"
#include "kernels/pack.h"
#include "mm_check.h"

enum { GUARD = 64, FEW_ROWS = 9, MANY_ROWS = 67 };
static const unsigned char guard_byte = 0xa5;

/* What the activations and the blocks of a case are made of. */
typedef enum mm_data { DATA_RANDOM, DATA_EXTREME, DATA_ZERO, DATA_TINY, DATA_COUNT } mm_data;
static const char *const data_names[] = {"random", "extreme", "zero", "tiny"};

/* Bytes of the largest codes (7 is the largest of MXFP4) and of none. */
static const unsigned char extremes[] = {0xff, 0x77, 0x00};

static uint64_t rng_state = 88172645463325252u;

static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32);
}

static void *get(size_t bytes)
{
    void *p = aligned_alloc(64, SB_ALIGN_UP(bytes + 64, (size_t)64));
    if (!p) exit(2);
    memset(p, 0, bytes + 64);
    return p;
}

/* Offsets of the f16 numbers of a block (-1: none) and of the exponent byte. */
static void f16_offsets(sb_format f, int at[2])
{
    at[0] = 0;
    at[1] = -1;
    switch (f) {
    case SB_F_Q4_1:
    case SB_F_Q5_1:
    case SB_F_Q4_K:
    case SB_F_Q5_K:
        at[1] = 2;
        break;
    case SB_F_Q2_K:
        at[0] = 80;
        at[1] = 82;
        break;
    case SB_F_Q3_K:
        at[0] = 108;
        break;
    case SB_F_Q6_K:
        at[0] = 208;
        break;
    case SB_F_MXFP4:
        at[0] = -1;
        break;
    default:
        break;
    }
}

static uint16_t f16_of(mm_data data)
{
    if (data == DATA_TINY) return (uint16_t)(rng() & 0x83ffu); // subnormal
    return sb_f32_to_f16(((float)(rng() % 2001) - 1000.0f) / 20000.0f);
}

/* One row of n elements in format f. */
static void row_fill(sb_format f, mm_data data, unsigned char *row, int64_t n)
{
    const sb_format_info *info = sb_format_get(f);
    int at[2];
    f16_offsets(f, at);
    for (int64_t b = 0; b < n / info->block_elems; b++, row += info->block_bytes) {
        if (f == SB_F_F32) {
            const float v = ((float)(rng() % 2001) - 1000.0f) / 500.0f;
            memcpy(row, &v, sizeof v);
            continue;
        }
        const unsigned char same = extremes[rng() % 3];
        const bool mixed = rng() % 2;
        for (int32_t i = 0; i < info->block_bytes; i++) {
            const unsigned char extreme = mixed ? extremes[rng() % 3] : same;
            row[i] = data == DATA_ZERO ? 0 : data == DATA_EXTREME ? extreme : (unsigned char)rng();
        }
        if (f == SB_F_BF16) {
            const uint16_t h = sb_f32_to_bf16(((float)(rng() % 2001) - 1000.0f) / 500.0f);
            memcpy(row, &h, sizeof h);
            continue;
        }
        if (f == SB_F_MXFP4)
            row[0] = (unsigned char)(data == DATA_TINY ? rng() % 4 : 110 + rng() % 20);
        for (int i = 0; i < 2; i++) {
            const uint16_t h = f16_of(data);
            if (at[i] >= 0) memcpy(row + at[i], &h, sizeof h);
        }
    }
}

/* One activation row, written here so that matmul is tested without the quantiser. */
static void act_fill(sb_act act, mm_data data, unsigned char *row, int64_t k)
{
    if (act == SB_ACT_F32) {
        for (int64_t i = 0; i < k; i++) {
            const float v = ((float)(rng() % 2001) - 1000.0f) / 300.0f;
            memcpy(row + 4 * i, &v, sizeof v);
        }
        return;
    }
    const int64_t nb = k / 32;
    float *d = (float *)(void *)(row + k), *s = d + nb;
    int32_t *zq = (int32_t *)(void *)(s + 3 * nb);
    const bool flat = rng() % 2;
    for (int64_t b = 0; b < nb; b++) {
        const int sign = rng() % 2 ? 1 : -1;
        int32_t sum[3] = {0, 0, 0}, z = (int32_t)(rng() % 254) - 126;
        if (data == DATA_EXTREME) z = rng() % 2 ? 127 : -126;
        if (data == DATA_ZERO) z = 0;
        for (int64_t i = 0; i < 32; i++) {
            int q = (int)(rng() % 255) - 127;
            if (data == DATA_EXTREME) q = flat ? sign * 127 : rng() % 2 ? 127 : -127;
            if (data == DATA_ZERO) q = 0;
            row[b * 32 + i] = (unsigned char)q;
            sum[0] += q;
            sum[1 + i / 16] += q;
        }
        d[b] = data == DATA_ZERO ? 0 : (float)(1 + rng() % 100) / 127.0f;
        for (int part = 0; part < 3; part++) {
            s[part * nb + b] = d[b] * (float)(sum[part] + (part == 0 ? 32 : 16) * z);
            zq[part * nb + b] = act_zq_of(z, sum[part]);
        }
    }
}

/* A matrix, its activations and its products; columns beyond n_col are padding. */
typedef struct mm_case {
    sb_format f;
    sb_act act;
    mm_data data;
    int32_t k, n_col, n_row, n_panel; /* n_row: FEW_ROWS, or MANY_ROWS for blocks of rows */
    size_t row_bytes, panel_bytes, x_stride;
    unsigned char *rows, *packed, *x;
    float *want;
} mm_case;

static sb_mm call_of(const mm_case *c, float *y)
{
    return (sb_mm){.w = c->packed,
                   .x = c->x,
                   .x_stride_bytes = c->x_stride,
                   .y = y,
                   .y_stride = (size_t)c->n_panel * SB_PANEL,
                   .k = c->k,
                   .n_row = c->n_row,
                   .n_panel = c->n_panel};
}

static bool guards_hold(const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        if (p[i] != guard_byte || p[GUARD + bytes + i] != guard_byte) return false;
    return true;
}

static bool case_new(mm_case *c, const sb_kernels *ref)
{
    c->n_panel = (c->n_col + SB_PANEL - 1) / SB_PANEL;
    c->row_bytes = sb_format_row_bytes(c->f, c->k);
    c->panel_bytes = sb_pack_panel_bytes(c->f, c->k);
    c->x_stride = sb_act_row_bytes(c->act, c->k);
    c->rows = get(c->row_bytes * (size_t)c->n_col);
    c->x = get(c->x_stride * (size_t)c->n_row);
    c->want = get(sizeof(float) * (size_t)c->n_row * SB_PANEL * (size_t)c->n_panel);
    for (int32_t i = 0; i < c->n_col; i++)
        row_fill(c->f, c->data, c->rows + (size_t)i * c->row_bytes, c->k);
    for (int32_t r = 0; r < c->n_row; r++)
        act_fill(c->act, c->data, c->x + (size_t)r * c->x_stride, c->k);
    const size_t bytes = c->panel_bytes * (size_t)c->n_panel;
    unsigned char *guarded = get(bytes + 2 * GUARD);
    memset(guarded, guard_byte, bytes + 2 * GUARD);
    for (int32_t i = 0; i < c->n_panel; i++) {
        const int32_t left = c->n_col - i * SB_PANEL;
        sb_pack_panel(c->f, c->rows + (size_t)(i * SB_PANEL) * c->row_bytes, c->row_bytes,
                      left < SB_PANEL ? left : SB_PANEL, c->k,
                      guarded + GUARD + (size_t)i * c->panel_bytes);
    }
    const bool ok = c->panel_bytes % 64 == 0 && guards_hold(guarded, bytes);
    c->packed = get(bytes);
    memcpy(c->packed, guarded + GUARD, bytes);
    free(guarded);
    sb_mm m = call_of(c, c->want);
    ref->matmul[c->f][c->act](&m);
    return ok;
}

static void case_free(mm_case *c)
{
    free(c->rows);
    free(c->packed);
    free(c->x);
    free(c->want);
}

static double act_get(const mm_case *c, const unsigned char *row, int32_t k)
{
    float v;
    if (c->act == SB_ACT_F32) {
        memcpy(&v, row + 4 * k, sizeof v);
        return v;
    }
    const int32_t z = act_z(act_zq(row, c->k, 0)[k / 32]);
    return act_d(row, c->k)[k / 32] * (double)((int8_t)row[k] + z);
}

/* The reference against the unpackers, in double. The bound: each of k products and 3 k / 32 float
 * steps is off by at most 2^-22 of the sum of magnitudes (of scale and minimum parts apart). */
static bool case_matches_unpacked(const mm_case *c)
{
    float *w = get(sizeof(float) * (size_t)c->k);
    bool ok = true;
    for (int32_t col = 0; col < c->n_panel * SB_PANEL; col++) {
        memset(w, 0, sizeof(float) * (size_t)c->k);
        if (col < c->n_col) sb_unpack_row(c->f, c->rows + (size_t)col * c->row_bytes, w, c->k);
        for (int32_t r = 0; r < c->n_row; r++) {
            const unsigned char *row = c->x + (size_t)r * c->x_stride;
            double sum = 0, size = 0;
            for (int32_t k = 0; k < c->k; k++) {
                const double x = act_get(c, row, k);
                sum += x * w[k];
                size += fabs(x) * (fabs((double)w[k]) + 0.1);
            }
            const double got = c->want[(size_t)r * (size_t)c->n_panel * SB_PANEL + (size_t)col];
            if (!(fabs(got - sum) <= size * 0x1p-20 + 1e-30)) ok = false;
        }
    }
    free(w);
    return ok;
}

/* One level against the reference, for n_row rows from row r0. */
static bool rows_match(const mm_case *all, const sb_kernels *k, int32_t r0, int32_t n_row)
{
    mm_case c = *all;
    c.x = all->x + (size_t)r0 * all->x_stride;
    c.n_row = n_row;
    const size_t n = (size_t)n_row * (size_t)c.n_panel * SB_PANEL, bytes = n * sizeof(float);
    unsigned char *guarded = get(bytes + 2 * GUARD);
    memset(guarded, guard_byte, bytes + 2 * GUARD);
    sb_mm m = call_of(&c, (float *)(void *)(guarded + GUARD));
    k->matmul[c.f][c.act](&m);
    const bool ok =
        guards_hold(guarded, bytes) &&
        memcmp(guarded + GUARD, all->want + (size_t)r0 * (size_t)c.n_panel * SB_PANEL, bytes) == 0;
    free(guarded);
    return ok;
}

static bool level_matches(const mm_case *c, const sb_kernels *k)
{
    bool ok = rows_match(c, k, 0, c->n_row) && rows_match(c, k, c->n_row - 3, 3);
    for (int32_t n = 1; n <= FEW_ROWS; n++)
        ok = ok && rows_match(c, k, 0, n);
    for (int32_t r = 0; r < c->n_row; r++)
        ok = ok && rows_match(c, k, r, 1); // alone = in a crowd
    return ok && rows_match(c, k, 1, 7) && rows_match(c, k, 0, 0);
}

static int n_passed, n_failed;

static void report(const mm_case *c, const char *what, bool ok)
{
    static const char *const acts[] = {"f32", "a8"};
    if (ok)
        n_passed++;
    else
        n_failed++;
    if (!ok)
        printf("not ok: matmul %s %s k=%d columns=%d %s: %s\n", sb_format_get(c->f)->name,
               acts[c->act], c->k, c->n_col, data_names[c->data], what);
}

static void check_case(mm_case c, const mm_level *levels, size_t n_level)
{
    const bool packed = case_new(&c, &levels[0].table);
    report(&c, "packing writes its panel only", packed);
    report(&c, "reference equals unpacked product", case_matches_unpacked(&c));
    for (size_t i = 0; i < n_level; i++)
        report(&c, levels[i].name, level_matches(&c, &levels[i].table));
    case_free(&c);
}

static void check_pair(sb_format f, sb_act act, const mm_level *levels, size_t n_level)
{
    static const int32_t ks[2][4] = {{32, 64, 576, 8224}, {256, 512, 1536, 8448}};
    static const int32_t cols[4] = {32, 64, 7, 33};
    const int32_t *k = ks[sb_format_get(f)->block_elems == 256];
    const int before = n_failed;
    for (int i = 0; i < 4; i++)
        for (int data = 0; data < DATA_COUNT; data++)
            check_case((mm_case){.f = f,
                                 .act = act,
                                 .data = (mm_data)data,
                                 .k = k[i],
                                 .n_col = cols[(i + data) % 4],
                                 .n_row = FEW_ROWS},
                       levels, n_level);
    check_case((mm_case){.f = f, .act = act, .k = k[0], .n_col = 32, .n_row = MANY_ROWS}, levels,
               n_level);
    printf("%s: matmul %s x %s\n", n_failed == before ? "ok" : "NOT OK", sb_format_get(f)->name,
           act == SB_ACT_F32 ? "f32" : "a8");
}

int main(int argc, char **argv)
{
    const char *level = NULL, *format = NULL, *best = sb_level_name(sb_level_best());
    bool bench = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            bench = true;
        else if (strcmp(argv[i], "--level") == 0 && i + 1 < argc)
            level = argv[++i];
        else if (strcmp(argv[i], "--best") == 0 && i + 1 < argc)
            best = argv[++i];
        else
            format = argv[i];
    }
    if (strcmp(best, sb_level_name(sb_level_best())) != 0) {
        printf("the strongest level here is %s, not %s\n", sb_level_name(sb_level_best()), best);
        return 1;
    }
    mm_level levels[8];
    const size_t n_level = mm_levels_get(levels, level);
    if (bench) return mm_bench(levels, n_level, format);
    for (size_t i = 0; i < n_level; i++)
        printf("level: %s\n", levels[i].name);
    for (int f = 0; f < SB_FORMAT_COUNT; f++)
        for (int act = 0; act < SB_ACT_COUNT; act++) {
            if (format && strcmp(format, sb_format_get((sb_format)f)->name) != 0) continue;
            if (levels[0].table.matmul[f][act])
                check_pair((sb_format)f, (sb_act)act, levels, n_level);
        }
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed ? 1 : 0;
}
