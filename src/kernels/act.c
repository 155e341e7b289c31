/* SPDX-License-Identifier: Apache-2.0
 * act.c - bytes of an activation row (layout in kernels.h). */
#include "kernels/kernels.h"

size_t sb_act_row_bytes(sb_act act, int64_t k)
{
    const size_t n = (size_t)k, n_block = n / SB_ACT_BLOCK;
    const size_t block_tail = 4 * sizeof(float) + 3 * sizeof(int32_t); /* d, s[3], zq[3] */
    size_t bytes = 0;
    switch (act) {
    case SB_ACT_F32:
        bytes = n * sizeof(float);
        break;
    case SB_ACT_A8:
        bytes = n * sizeof(int8_t) + n_block * block_tail;
        break;
    case SB_ACT_COUNT:
        sb_unreachable("not an activation type");
    }
    return SB_ALIGN_UP(bytes, (size_t)64);
}
