/* SPDX-License-Identifier: Apache-2.0
 * mm_check.h - what mm_check.c and its parts share: the levels under test and the benchmark.
 *
 * Purpose     A level here is a table; the emulated AVX-512 one runs on any CPU. Tests only.
 * Errors      Programs end with status 1 when a case failed, 2 when memory is gone. */
#ifndef SB_TESTS_MM_CHECK_H
#define SB_TESTS_MM_CHECK_H
#include "kernels/kernels.h"

typedef struct mm_level {
    const char *name;
    bool emulated; /* correct, but not worth timing */
    sb_kernels table;
} mm_level;

/* Fills levels[0] with ref and the rest with what this machine runs; only: one name, or NULL. At
 * most 8. Returns how many. */
size_t mm_levels_get(mm_level *levels, const char *only);

/* Prints GB/s and GOPS per format and level; format: one name, or NULL. Returns an exit status. */
int mm_bench(const mm_level *levels, size_t n_level, const char *format);
#endif
