/* SPDX-License-Identifier: Apache-2.0
 * quant_test.c - the unpackers against golden vectors, halves exhaustively, the format table. */
#include "quant/blocks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GOLDEN_MAX_BYTES = 65536 };

static uint32_t bits_of(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = f};
    return v.u;
}

static float of_bits(uint32_t u)
{
    union {
        uint32_t u;
        float f;
    } v = {.u = u};
    return v.f;
}

static size_t read_golden(const char *name, unsigned char *buf)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s.bin", SB_TEST_GOLDEN_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t n = fread(buf, 1, GOLDEN_MAX_BYTES, f);
    fclose(f);
    return n;
}

static void check_golden(sb_format format, const unsigned char *buf, size_t n_bytes)
{
    const sb_format_info *info = sb_format_get(format);
    const uint32_t n_blocks = sb_load_u32(buf);
    assert_int_equal(sb_load_u32(buf + 4), info->block_bytes);
    assert_int_equal(sb_load_u32(buf + 8), info->block_elems);
    const size_t in_bytes = (size_t)n_blocks * (size_t)info->block_bytes;
    const int64_t n = (int64_t)n_blocks * info->block_elems;
    assert_int_equal(n_bytes, 12 + in_bytes + 4 * (size_t)n);
    assert_int_equal(sb_format_row_bytes(format, n), in_bytes);

    // An odd source address: no alignment may be assumed. Canaries behind the output.
    unsigned char *src = malloc(in_bytes + 1);
    float *dst = malloc(((size_t)n + 1) * sizeof(float));
    assert_non_null(src);
    assert_non_null(dst);
    memcpy(src + 1, buf + 12, in_bytes);
    dst[n] = 12345.0f;
    sb_unpack_row(format, src + 1, dst, n);
    const unsigned char *want = buf + 12 + in_bytes;
    for (int64_t i = 0; i < n; i++) {
        if (bits_of(dst[i]) != sb_load_u32(want + 4 * i)) {
            fail_msg("%s element %d: %a, expected %a", info->name, (int)i, (double)dst[i],
                     (double)of_bits(sb_load_u32(want + 4 * i)));
        }
    }
    assert_true(dst[n] == 12345.0f);
    free(src);
    free(dst);
}

static void unpackers_equal_golden_bits(void **state)
{
    (void)state;
    unsigned char *buf = malloc(GOLDEN_MAX_BYTES);
    assert_non_null(buf);
    for (int f = 0; f < SB_FORMAT_COUNT; f++) {
        const size_t n = read_golden(sb_format_get((sb_format)f)->name, buf);
        check_golden((sb_format)f, buf, n);
    }
    free(buf);
}

// The value of a finite half by its definition, in double.
static double half_value(uint32_t h)
{
    const int exp = (int)(h >> 10 & 31u);
    const int man = (int)(h & 0x3ffu);
    const double v = exp == 0 ? ldexp(man, -24) : ldexp(1024 + man, exp - 25);
    return h & 0x8000u ? -v : v;
}

static void every_half_converts(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = sb_f16_to_f32((uint16_t)h);
        if ((h & 0x7fffu) > 0x7c00u) {
            assert_true(isnan(f));
            assert_true(isnan(sb_f16_to_f32(sb_f32_to_f16(f))));
            continue;
        }
        if ((h & 0x7fffu) == 0x7c00u) {
            assert_true(isinf(f) && !!signbit(f) == (h >> 15));
        } else {
            assert_true((double)f == half_value(h));
            assert_int_equal(!!signbit(f), h >> 15);
        }
        assert_int_equal(sb_f32_to_f16(f), h);
    }
}

// Between every two neighbouring halves: the midpoint goes to the even one, its float neighbours
// to the nearer one.
static void half_rounding_is_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00u; h++) {
        const double above = h == 0x7bffu ? 65536.0 : half_value(h + 1);
        const float mid = (float)((half_value(h) + above) / 2); // exact
        const uint32_t even = h & 1u ? h + 1 : h;
        for (uint32_t sign = 0; sign <= 0x8000u; sign += 0x8000u) {
            const uint32_t s = sign << 16;
            assert_int_equal(sb_f32_to_f16(of_bits(bits_of(mid) | s)), even | sign);
            assert_int_equal(sb_f32_to_f16(of_bits((bits_of(mid) - 1) | s)), h | sign);
            assert_int_equal(sb_f32_to_f16(of_bits((bits_of(mid) + 1) | s)), (h + 1) | sign);
        }
    }
    assert_int_equal(sb_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(sb_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(sb_f32_to_f16(of_bits(1)), 0);
}

static void every_bf16_converts(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = sb_bf16_to_f32((uint16_t)h);
        assert_int_equal(bits_of(f), h << 16);
        if (isnan(f)) {
            assert_int_equal(sb_f32_to_bf16(f), h | 0x40u);
            continue;
        }
        assert_int_equal(sb_f32_to_bf16(f), h);
        if ((h & 0x7f80u) == 0x7f80u) continue;
        const uint32_t even = h & 1u ? h + 1 : h;
        assert_int_equal(sb_f32_to_bf16(of_bits(h << 16 | 0x8000u)), even);
        assert_int_equal(sb_f32_to_bf16(of_bits(h << 16 | 0x7fffu)), h);
        assert_int_equal(sb_f32_to_bf16(of_bits(h << 16 | 0x8001u)), h + 1);
    }
    assert_true(isnan(sb_bf16_to_f32(sb_f32_to_bf16(of_bits(0x7f800001u)))));
}

static void ids_are_found_and_named(void **state)
{
    (void)state;
    int n_known = 0;
    for (uint32_t id = 0; id < 1000; id++) {
        sb_format f = SB_FORMAT_COUNT;
        if (!sb_format_find(id, &f)) {
            assert_int_equal(f, SB_FORMAT_COUNT);
            continue;
        }
        n_known++;
        assert_int_equal(sb_format_get(f)->id, id);
        assert_string_equal(sb_format_id_name(id), sb_format_get(f)->name);
    }
    assert_int_equal(n_known, SB_FORMAT_COUNT);
    assert_string_equal(sb_format_id_name(4), "Q4_2 (removed)");
    assert_string_equal(sb_format_id_name(16), "IQ2_XXS");
    assert_string_equal(sb_format_id_name(137), "IQ2_K (ik_llama.cpp only)");
    assert_null(sb_format_id_name(43));
    assert_null(sb_format_id_name(0x80000000u));
}

static void row_bytes_count_blocks(void **state)
{
    (void)state;
    assert_int_equal(sb_format_row_bytes(SB_F_Q4_1, 576), 18 * 20);
    assert_int_equal(sb_format_row_bytes(SB_F_Q6_K, 2048), 8 * 210);
    assert_int_equal(sb_format_row_bytes(SB_F_F16, 7), 14);
    assert_int_equal(sb_format_row_bytes(SB_F_MXFP4, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpackers_equal_golden_bits),   cmocka_unit_test(every_half_converts),
        cmocka_unit_test(half_rounding_is_nearest_even), cmocka_unit_test(every_bf16_converts),
        cmocka_unit_test(ids_are_found_and_named),       cmocka_unit_test(row_bytes_count_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
