/* SPDX-License-Identifier: Apache-2.0
 * avx2_mm.c - matmul on packed panels for the avx2 level. */
#include "kernels/internal.h"

void sb_kernels_fill_avx2_mm(sb_kernels *k)
{
    (void)k;
}
