/* SPDX-License-Identifier: Apache-2.0
 * mm_error.c - how far the fast product, and another program's, are from the exact one.
 *
 * mm_error FORMAT K N_COL N_ROW. Standard input: N_COL rows of K weights in FORMAT, N_ROW rows of K
 * activations, N_ROW rows of the N_COL products the other program made of them (floats both).
 * Prints "ours X theirs Y", relative errors: the root of the sum of (y - exact)^2 over the sum of
 * exact^2; exact is the product of unpacked weights and activations in double. Rounding of the
 * activations counts, as it does in a model. For tools/bench-quality. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/pack.h"

enum { MAX_SIDE = 1 << 16 };

typedef struct product {
    sb_format f;
    int32_t k, n_col, n_row;
    size_t row_bytes; /* of weights */
    unsigned char *w; /* [n_col] rows */
    float *x;         /* [n_row][k] */
    float *theirs;    /* [n_row][n_col] */
    float *ours;      /* [n_row][n_panel * SB_PANEL] */
} product;

/* Zeroed, with room for a vector load beyond the end. */
static void *get(size_t bytes)
{
    void *p = aligned_alloc(64, SB_ALIGN_UP(bytes + 64, (size_t)64));
    if (!p) exit(2);
    memset(p, 0, bytes + 64);
    return p;
}

static int32_t n_panel_of(const product *p)
{
    return (p->n_col + SB_PANEL - 1) / SB_PANEL;
}

static bool format_of(const char *name, sb_format *out)
{
    for (int f = 0; f < SB_FORMAT_COUNT; f++)
        if (strcmp(sb_format_get((sb_format)f)->name, name) == 0) return *out = (sb_format)f, true;
    return false;
}

static bool side_of(const char *word, int32_t *out)
{
    const long v = strtol(word, NULL, 10);
    *out = (int32_t)v;
    return v > 0 && v <= MAX_SIDE;
}

static bool product_read(product *p, char **words)
{
    if (!format_of(words[0], &p->f) || !side_of(words[1], &p->k) || !side_of(words[2], &p->n_col) ||
        !side_of(words[3], &p->n_row) || p->k % SB_ACT_BLOCK ||
        p->k % sb_format_get(p->f)->block_elems)
        return false;
    const size_t n_x = (size_t)p->n_row * (size_t)p->k, n_y = (size_t)p->n_row * (size_t)p->n_col;
    p->row_bytes = sb_format_row_bytes(p->f, p->k);
    p->w = get(p->row_bytes * (size_t)p->n_col);
    p->x = get(n_x * sizeof(float));
    p->theirs = get(n_y * sizeof(float));
    p->ours = get((size_t)p->n_row * (size_t)n_panel_of(p) * SB_PANEL * sizeof(float));
    return fread(p->w, p->row_bytes, (size_t)p->n_col, stdin) == (size_t)p->n_col &&
           fread(p->x, sizeof(float), n_x, stdin) == n_x &&
           fread(p->theirs, sizeof(float), n_y, stdin) == n_y && getchar() == EOF;
}

/* As the engine computes it: formats of codes with activations of codes, the others in float. */
static void multiply(const product *p)
{
    sb_kernels kernels;
    sb_kernels_init(&kernels, sb_level_best());
    const sb_act act = kernels.matmul[p->f][SB_ACT_A8] ? SB_ACT_A8 : SB_ACT_F32;
    const size_t stride = sb_act_row_bytes(act, p->k), panel = sb_pack_panel_bytes(p->f, p->k);
    const int32_t n_panel = n_panel_of(p);
    unsigned char *x = get(stride * (size_t)p->n_row), *w = get(panel * (size_t)n_panel);
    for (int32_t r = 0; r < p->n_row; r++) {
        const float *from = p->x + (size_t)r * (size_t)p->k;
        unsigned char *to = x + (size_t)r * stride;
        if (act == SB_ACT_F32)
            memcpy(to, from, (size_t)p->k * sizeof(float));
        else
            kernels.quant_a8(from, 0, p->k, p->k, to);
    }
    for (int32_t i = 0; i < n_panel; i++) {
        const int32_t left = p->n_col - i * SB_PANEL;
        sb_pack_panel(p->f, p->w + (size_t)(i * SB_PANEL) * p->row_bytes, p->row_bytes,
                      left < SB_PANEL ? left : SB_PANEL, p->k, w + (size_t)i * panel);
    }
    const sb_mm m = {.w = w,
                     .x = x,
                     .x_stride_bytes = stride,
                     .y = p->ours,
                     .y_stride = (size_t)n_panel * SB_PANEL,
                     .k = p->k,
                     .n_row = p->n_row,
                     .n_panel = n_panel};
    kernels.matmul[p->f][act](&m);
    free(x);
    free(w);
}

static void print_errors(const product *p)
{
    float *w = get((size_t)p->k * sizeof(float));
    double ours = 0, theirs = 0, size = 0;
    for (int32_t c = 0; c < p->n_col; c++) {
        sb_unpack_row(p->f, p->w + (size_t)c * p->row_bytes, w, p->k);
        for (int32_t r = 0; r < p->n_row; r++) {
            const float *x = p->x + (size_t)r * (size_t)p->k;
            double exact = 0;
            for (int32_t i = 0; i < p->k; i++)
                exact += (double)x[i] * (double)w[i];
            const double a = p->ours[(size_t)r * (size_t)n_panel_of(p) * SB_PANEL + (size_t)c];
            const double b = p->theirs[(size_t)r * (size_t)p->n_col + (size_t)c];
            ours += (a - exact) * (a - exact);
            theirs += (b - exact) * (b - exact);
            size += exact * exact;
        }
    }
    printf("ours %.3e theirs %.3e\n", sqrt(ours / size), sqrt(theirs / size));
    free(w);
}

int main(int argc, char **argv)
{
    product p = {0};
    const bool whole = argc == 5 && product_read(&p, argv + 1);
    if (whole) {
        multiply(&p);
        print_errors(&p);
    } else {
        fputs("usage: mm_error FORMAT K N_COL N_ROW, weights, activations and products on stdin\n",
              stderr);
    }
    free(p.w);
    free(p.x);
    free(p.theirs);
    free(p.ours);
    return whole ? 0 : 2;
}
