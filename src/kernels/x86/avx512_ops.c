/* SPDX-License-Identifier: Apache-2.0
 * avx512_ops.c - norms, activations, rope and quantisation for the avx512 level. */
#include "kernels/internal.h"

void sb_kernels_fill_avx512_ops(sb_kernels *k)
{
    (void)k;
}
