/* SPDX-License-Identifier: Apache-2.0
 * mm_bench.c - times matmul and packing on one core, beside a plain read of the same bytes.
 *
 * Few rows read 160 MB of weights once (GB/s, and the share of a plain read in the same second);
 * then one matrix of 1536 columns for several M (GOPS, 2 per multiply-add, thread CPU time), the
 * last as a share of the peak of byte products, taken between the runs: of the strongest level
 * here, and of 256-bit products where the strongest has 512. Best of a few runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/internal.h"
#include "kernels/pack.h"
#include "mm_check.h"

enum { N_COL = 1536, N_REPEAT = 5, MAX_M = 512, PEAK_ROUNDS = 1000000 };
static const size_t stream_bytes = (size_t)160 << 20;

static double now_s(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t read_all(const unsigned char *p, size_t n)
{
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 64 <= n; i += 64)
        for (size_t j = 0; j < 8; j++) {
            uint64_t v;
            memcpy(&v, p + i + 8 * j, sizeof v);
            sum[j] += v;
        }
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

static const int32_t few_rows[] = {1, 2, 4, 8, 16};

typedef struct bench {
    const mm_level *level;
    sb_format f;
    sb_act act;
    int32_t k;
    unsigned char *w, *x;
    float *y;
} bench;

static void bench_stream(const bench *b, int32_t n_row, volatile uint64_t *sink)
{
    const size_t panel = sb_pack_panel_bytes(b->f, b->k);
    const int32_t n_panel = (int32_t)(stream_bytes / panel);
    double best = 1e9, best_read = 1e9;
    for (int i = 0; i < N_REPEAT; i++) {
        sb_mm m = {b->w, b->x, sb_act_row_bytes(b->act, b->k), b->y, N_COL, b->k, n_row, 1, NULL};
        double t = now_s(CLOCK_MONOTONIC);
        *sink += read_all(b->w, panel * (size_t)n_panel);
        double dt = now_s(CLOCK_MONOTONIC) - t;
        if (dt < best_read) best_read = dt;
        t = now_s(CLOCK_MONOTONIC);
        m.n_panel = 8; // as an engine's tile; outputs are overwritten
        for (int32_t p = 0; p + 8 <= n_panel; p += 8, m.w += 8 * panel)
            b->level->table.matmul[b->f][b->act](&m);
        dt = now_s(CLOCK_MONOTONIC) - t;
        if (dt < best) best = dt;
    }
    const double bytes = (double)(panel * (size_t)n_panel) * 1e-9;
    printf("  M=%d %5.1f GB/s (%3.0f%% of read %4.1f)", n_row, bytes / best, 100 * best_read / best,
           bytes / best_read);
}

/* GOPS of int8_peak of one level. */
static double peak_gops(sb_level level)
{
    sb_kernels k;
    sb_kernels_init(&k, level);
    const double t = now_s(CLOCK_THREAD_CPUTIME_ID);
    const uint64_t n = k.int8_peak(PEAK_ROUNDS);
    return 2e-9 * (double)n / (now_s(CLOCK_THREAD_CPUTIME_ID) - t);
}

/* The levels whose peak a product is a share of. */
static int peak_levels(sb_level out[2])
{
    sb_kernels k;
    sb_kernels_init(&k, SB_LEVEL_avxvnni);
    out[0] = sb_level_best();
    out[1] = SB_LEVEL_avxvnni;
    return out[0] == SB_LEVEL_avx512 && k.level == SB_LEVEL_avxvnni ? 2 : 1;
}

static void bench_rows(const bench *b, int32_t n_row)
{
    const double ops = 2.0 * n_row * N_COL * b->k;
    const int repeat = 1 + (int)(4e8 / ops);
    double best = 1e9, peak[2] = {0};
    sb_level levels[2];
    const int n_peak = n_row == MAX_M ? peak_levels(levels) : 0;
    for (int i = 0; i < N_REPEAT * (n_row == MAX_M ? 2 : 1); i++) {
        for (int p = 0; p < n_peak; p++) {
            const double now = peak_gops(levels[p]);
            if (now > peak[p]) peak[p] = now;
        }
        const sb_mm m = {
            b->w, b->x, sb_act_row_bytes(b->act, b->k), b->y, N_COL, b->k, n_row, N_COL / SB_PANEL,
            NULL};
        const double t = now_s(CLOCK_THREAD_CPUTIME_ID);
        for (int j = 0; j < repeat; j++)
            b->level->table.matmul[b->f][b->act](&m);
        const double dt = (now_s(CLOCK_THREAD_CPUTIME_ID) - t) / repeat;
        if (dt < best) best = dt;
    }
    printf("  M=%d %4.0f", n_row, ops * 1e-9 / best);
    for (int p = 0; p < n_peak; p++)
        printf(" (%.1f%% of the %s peak %.0f)", 100 * ops * 1e-9 / best / peak[p],
               sb_level_name(levels[p]), peak[p]);
}

static void bench_one(bench b, volatile uint64_t *sink)
{
    static const int32_t rows[] = {1, 2, 3, 4, 6, 8, 16, 64, 512};
    printf("%-7s %-6s %-3s K=%-4d", b.level->name, sb_format_get(b.f)->name,
           b.act == SB_ACT_F32 ? "f32" : "a8", b.k);
    for (size_t i = 0; i < SB_ARRAY_LEN(few_rows); i++)
        bench_stream(&b, few_rows[i], sink);
    printf("  GOPS:");
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        bench_rows(&b, rows[i]);
    printf("\n");
    fflush(stdout);
}

static void bench_pack(sb_format f, int32_t k, unsigned char *rows, unsigned char *w)
{
    const size_t row = sb_format_row_bytes(f, k), panel = sb_pack_panel_bytes(f, k);
    double best = 1e9;
    for (int i = 0; i < N_REPEAT; i++) {
        const double t = now_s(CLOCK_THREAD_CPUTIME_ID);
        for (size_t p = 0; p < N_COL / SB_PANEL; p++)
            sb_pack_panel(f, rows + p * SB_PANEL * row, row, SB_PANEL, k, w + p * panel);
        const double dt = now_s(CLOCK_THREAD_CPUTIME_ID) - t;
        if (dt < best) best = dt;
    }
    printf("pack    %-6s K=%-4d %5.2f GB/s\n", sb_format_get(f)->name, k,
           (double)(row * N_COL) * 1e-9 / best);
}

int mm_bench(const mm_level *levels, size_t n_level, const char *format)
{
    static const int32_t ks[] = {576, 640, 1536, 2048};
    volatile uint64_t sink = 0;
    const size_t x_bytes = sb_act_row_bytes(SB_ACT_F32, 2048) * MAX_M;
    bench b = {.w = aligned_alloc(64, stream_bytes + (1 << 20)),
               .x = aligned_alloc(64, x_bytes),
               .y = aligned_alloc(64, sizeof(float) * N_COL * MAX_M)};
    unsigned char *rows = aligned_alloc(64, (size_t)4 * N_COL * 2048);
    if (!b.w || !b.x || !b.y || !rows) return 2;
    // Every byte 0x1c: f16 and f32 scales are small normal numbers, codes are neither 0 nor full.
    // Activations 0x3c: the product of their scales and MXFP4's 2^-100 is no denormal.
    memset(b.w, 0x1c, stream_bytes + (1 << 20));
    memset(b.x, 0x3c, x_bytes);
    memset(rows, 0x1c, (size_t)4 * N_COL * 2048);
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        b.f = (sb_format)f;
        const int32_t unit = sb_format_get(b.f)->block_elems == 256 ? 256 : 32;
        if (format && strcmp(format, sb_format_get(b.f)->name) != 0) continue;
        for (size_t i = 0; i < SB_ARRAY_LEN(ks); i++)
            if (ks[i] % unit == 0) bench_pack(b.f, ks[i], rows, b.w);
        memset(b.w, 0x1c, stream_bytes);
        for (size_t l = 1; l < n_level; l++)
            for (int act = 0; act < SB_ACT_COUNT; act++)
                for (size_t i = 0; i < SB_ARRAY_LEN(ks); i++) {
                    b.level = &levels[l];
                    b.act = (sb_act)act;
                    b.k = ks[i];
                    if (b.level->emulated || b.k % unit || !b.level->table.matmul[f][act]) continue;
                    bench_one(b, &sink);
                }
    }
    free(b.w);
    free(b.x);
    free(b.y);
    free(rows);
    return 0;
}
