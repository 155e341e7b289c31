/* SPDX-License-Identifier: Apache-2.0
 * checksum_test.c - what a sum must notice. */
#include "base/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <string.h>

enum { N = 1000 };

static unsigned char data[N];

static int fill(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        data[i] = (unsigned char)(i * 37 >> 3);
    return 0;
}

static void every_flipped_bit(void **state)
{
    (void)state;
    const uint64_t right = sb_checksum(data, N);
    for (int bit = 0; bit < 8 * N; bit++) {
        data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_true(sb_checksum(data, N) != right);
        data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_true(sb_checksum(data, N) == right);
}

/* Two flips of the same bit, one or more blocks apart: they would cancel without a rotation. */
static void flips_do_not_cancel(void **state)
{
    (void)state;
    const uint64_t right = sb_checksum(data, N);
    for (int bit = 0; bit < 64; bit++)
        for (int apart = 64; apart < N - 8; apart += 64) {
            unsigned char *a = &data[bit / 8], *b = &data[bit / 8 + apart];
            *a ^= (unsigned char)(1 << bit % 8), *b ^= (unsigned char)(1 << bit % 8);
            assert_true(sb_checksum(data, N) != right);
            *a ^= (unsigned char)(1 << bit % 8), *b ^= (unsigned char)(1 << bit % 8);
        }
}

static void lengths_and_places_count(void **state)
{
    (void)state;
    static const unsigned char zeros[N];
    uint64_t seen[N];
    for (size_t n = 0; n < N; n++) {
        seen[n] = sb_checksum(zeros, n);
        for (size_t i = 0; i < n; i++)
            assert_true(seen[i] != seen[n]);
    }
    unsigned char swapped[N];
    memcpy(swapped, data + 64, 64);
    memcpy(swapped + 64, data, 64);
    memcpy(swapped + 128, data + 128, N - 128);
    assert_true(sb_checksum(swapped, N) != sb_checksum(data, N));
}

/* Files hold these: a change of the function is a change of their format. */
static void values_stay(void **state)
{
    (void)state;
    assert_int_equal(sb_checksum("", 0), 0x613848980f5d7eu);
    assert_int_equal(sb_checksum(data, N), 0xaa7f2ffa9451a6ebu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit), cmocka_unit_test(flips_do_not_cancel),
        cmocka_unit_test(lengths_and_places_count), cmocka_unit_test(values_stay)};
    return cmocka_run_group_tests(tests, fill, NULL);
}
