/* SPDX-License-Identifier: Apache-2.0
 * kv_page_test.c - what pages of keys and values keep, at every width of head a model has. */
#include "kernels/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIM = 256 };

static const int32_t dims[] = {64, 80, 96, 112, 128, 192, 256};

/* What attention reads of one position: the value rows of a page, seen with weight 1. */
static void read_back(sb_kv_type t, const void *v_page, int32_t pos, int32_t n, float *out)
{
    static float zero[MAX_DIM];
    sb_kernels k;
    sb_kernels_init(&k, SB_LEVEL_ref);
    float m = 0, l = 0, *scratch = malloc(sb_attn_scratch_floats(1, n) * sizeof *scratch);
    const int32_t lo = pos, hi = pos + 1;
    void *keys = calloc(1, sb_kv_page_bytes(t, n));
    assert_non_null(scratch);
    assert_non_null(keys);
    const sb_attn a = {.q = zero,
                       .q_stride = (size_t)n,
                       .k_page = {keys},
                       .v_page = {v_page},
                       .lo = &lo,
                       .hi = &hi,
                       .n_row = 1,
                       .head_dim = n,
                       .scale = 1,
                       .m = &m,
                       .l = &l,
                       .acc = out,
                       .scratch = scratch};
    k.attn[t](&a);
    assert_true(l == 1.0f);
    free(keys);
    free(scratch);
}

static void pages_have_the_bytes_they_say(void **state)
{
    (void)state;
    assert_int_equal(sb_kv_page_bytes(SB_KV_F32, 64), 64 * 64 * 4);
    assert_int_equal(sb_kv_page_bytes(SB_KV_BF16, 64), 64 * 64 * 2);
    assert_int_equal(sb_kv_page_bytes(SB_KV_I8, 64), 64 * (64 + 4));
    assert_int_equal(sb_kv_page_bytes(SB_KV_I8, 80), 64 * (80 + 8));
    assert_int_equal(sb_kv_page_bytes(SB_KV_I8, 256), 64 * (256 + 16));
}

/* Whatever order positions are written in, each keeps its own, within half a step of its group. */
static void every_position_keeps_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < SB_ARRAY_LEN(dims); i++) {
        const int32_t n = dims[i];
        float x[SB_KV_PAGE][MAX_DIM], y[MAX_DIM];
        void *page = calloc(1, sb_kv_page_bytes(SB_KV_I8, n));
        assert_non_null(page);
        for (int32_t p = 0; p < SB_KV_PAGE; p++)
            for (int32_t d = 0; d < n; d++)
                x[p][d] = ldexpf((float)((p * 37 + d * 101) % 255 - 127), p % 40 - 20);
        for (int32_t p = SB_KV_PAGE - 1; p >= 0; p--)
            sb_kv_put_v(SB_KV_I8, page, p, x[p], n);
        for (int32_t p = 0; p < SB_KV_PAGE; p++) {
            read_back(SB_KV_I8, page, p, n, y);
            for (int32_t d = 0; d < n; d++) {
                const float step = ldexpf(1, p % 40 - 20);
                if (!(fabsf(y[d] - x[p][d]) <= 0.501f * step))
                    fail_msg("width %d, position %d, dim %d: %a became %a", n, p, d,
                             (double)x[p][d], (double)y[d]);
            }
        }
        free(page);
    }
}

/* The rounding of pages is sb_f32_to_bf16's, and a position leaves its neighbours alone. */
static void bf16_pages_round_as_bf16_does(void **state)
{
    (void)state;
    static const float odd[] = {0,       -0.0f,        1.00390625f, 1.01171875f, -FLT_MAX,
                                FLT_MIN, FLT_TRUE_MIN, INFINITY,    NAN,         0x1.fefffep0f};
    for (size_t i = 0; i < SB_ARRAY_LEN(dims); i++) {
        const int32_t n = dims[i];
        float x[MAX_DIM], y[MAX_DIM];
        void *page = calloc(1, sb_kv_page_bytes(SB_KV_BF16, n));
        assert_non_null(page);
        for (int32_t p = 0; p < SB_KV_PAGE; p++) {
            for (int32_t d = 0; d < n; d++)
                x[d] = odd[(size_t)(d + 3 * p) % SB_ARRAY_LEN(odd)];
            sb_kv_put_v(SB_KV_BF16, page, p, x, n);
        }
        for (int32_t p = 0; p < SB_KV_PAGE; p++) {
            read_back(SB_KV_BF16, page, p, n, y);
            for (int32_t d = 0; d < n; d++) {
                const float in = odd[(size_t)(d + 3 * p) % SB_ARRAY_LEN(odd)];
                const float want = sb_bf16_to_f32(sb_f32_to_bf16(in));
                if (isnan(want) ? !isnan(y[d]) : y[d] != want)
                    fail_msg("width %d, position %d, dim %d: %a became %a", n, p, d, (double)in,
                             (double)y[d]);
            }
        }
        free(page);
    }
}

/* Each value alone in a group of zeros. */
static void extremes_stay_finite_or_show(void **state)
{
    (void)state;
    static const struct {
        float in, out;
    } cases[] = {{0, 0},       {-0.0f, 0},        {FLT_MAX, FLT_MAX}, {-FLT_MAX, -FLT_MAX},
                 {FLT_MIN, 0}, {FLT_TRUE_MIN, 0}, {0x1p-101f, 0},     {0x1p-99f, 0x1p-99f},
                 {1, 1},       {NAN, NAN},        {INFINITY, NAN},    {-INFINITY, NAN}};
    unsigned char page[64 * (80 + 8)];
    float x[80], y[80];
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        memset(x, 0, sizeof x);
        memset(page, 0xff, sizeof page); /* what was there before does not matter */
        x[5] = cases[i].in;
        sb_kv_put_v(SB_KV_I8, page, 17, x, 80);
        read_back(SB_KV_I8, page, 17, 80, y);
        if (isnan(cases[i].out) ? !isnan(y[5]) : fabsf(y[5] - cases[i].out) > 1e-6f * fabsf(y[5]))
            fail_msg("%a became %a", (double)cases[i].in, (double)y[5]);
        assert_true(y[70] == 0); /* the other group is not touched by it */
    }
}

static void halves_go_to_the_even_code(void **state)
{
    (void)state;
    unsigned char page[64 * (64 + 4)];
    float x[64], y[64];
    memset(page, 0, sizeof page);
    for (int d = 0; d < 64; d++)
        x[d] = (float)d - 31.5f;
    x[0] = 127;
    sb_kv_put_v(SB_KV_I8, page, 63, x, 64);
    read_back(SB_KV_I8, page, 63, 64, y);
    for (int d = 0; d < 64; d++)
        assert_true(y[d] == nearbyintf(x[d]));
}

static void pages_of_zeros_hold_zeros(void **state)
{
    (void)state;
    static unsigned char page[64 * 256 * 4];
    float y[MAX_DIM];
    for (int t = 0; t < SB_KV_TYPE_COUNT; t++)
        for (size_t i = 0; i < SB_ARRAY_LEN(dims); i++) {
            read_back((sb_kv_type)t, page, 33, dims[i], y);
            for (int32_t d = 0; d < dims[i]; d++)
                assert_true(y[d] == 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_have_the_bytes_they_say),
        cmocka_unit_test(every_position_keeps_its_own),
        cmocka_unit_test(bf16_pages_round_as_bf16_does),
        cmocka_unit_test(extremes_stay_finite_or_show),
        cmocka_unit_test(halves_go_to_the_even_code),
        cmocka_unit_test(pages_of_zeros_hold_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
