/* SPDX-License-Identifier: Apache-2.0
 * avx512_mm.c - matmul on packed panels for the avx512 level. */
#include "kernels/internal.h"

void sb_kernels_fill_avx512_mm(sb_kernels *k)
{
    (void)k;
}
