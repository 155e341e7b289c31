/* SPDX-License-Identifier: Apache-2.0
 * gcc12_usdot.h - the loop that gcc 12 gets wrong, built with VNNI enabled.
 *
 * Purpose     For tests/checkkern/gcc12_usdot.c only. Call it only on CPUs of the avx512 level. */
#ifndef SB_TESTS_GCC12_USDOT_H
#define SB_TESTS_GCC12_USDOT_H
#include <stdint.h>

/* Sum of a[k] * (w[k] - 128) over 32 k, or what the compiler makes of it. */
int32_t usdot_natural(const int8_t *a, const uint8_t *w);
#endif
