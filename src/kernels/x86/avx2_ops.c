/* SPDX-License-Identifier: Apache-2.0
 * avx2_ops.c - norms, activations, rope and quantisation for the avx2 level. */
#include "kernels/internal.h"

void sb_kernels_fill_avx2_ops(sb_kernels *k)
{
    (void)k;
}
