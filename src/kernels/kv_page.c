/* SPDX-License-Identifier: Apache-2.0
 * kv_page.c - pages of keys and values: where one position's numbers lie.
 *
 * Page bytes: one page holds 64 positions of one KV head in one layer, n = head_dim elements each
 * of e = 4 (f32) or 2 (bf16) bytes, 64 * n * e bytes in all.
 *   keys    element (position p, dim d) at ((p / 16) * (n / 2) + d / 2) * 32 + (p % 16) * 2 + d %
 *           2: one line holds a pair of dims of 16 positions, so 16 scores grow side by side.
 *   values  element (position p, dim d) at (p / 2) * 2 n + 2 d + p % 2:
 *           one word holds a pair of positions of one dim, so the dims grow side by side.
 * Row-major pages were refused: a score would need a horizontal sum, whose order of additions then
 * depends on the vector width. */
#include "kernels/pack.h"

#include <string.h>

size_t sb_kv_page_bytes(sb_kv_type t, int32_t head_dim)
{
    const size_t elem = t == SB_KV_F32 ? sizeof(float) : sizeof(uint16_t);
    return SB_KV_PAGE * (size_t)head_dim * elem;
}

/* Writes x[d] at elements first + (d / 2) * pair_step + (d % 2) * step. */
static void put(sb_kv_type t, void *page, size_t first, size_t pair_step, size_t step,
                const float *x, int32_t n)
{
    for (int32_t d = 0; d < n; d++) {
        const size_t at = first + (size_t)(d / 2) * pair_step + (size_t)(d % 2) * step;
        if (t == SB_KV_F32) {
            memcpy((unsigned char *)page + at * sizeof(float), &x[d], sizeof(float));
        } else {
            const uint16_t h = sb_f32_to_bf16(x[d]);
            memcpy((unsigned char *)page + at * sizeof h, &h, sizeof h);
        }
    }
}

void sb_kv_put_k(sb_kv_type t, void *page, int32_t pos, const float *x, int32_t head_dim)
{
    const size_t p = (size_t)pos;
    put(t, page, (p / 16) * 16 * (size_t)head_dim + (p % 16) * 2, 32, 1, x, head_dim);
}

void sb_kv_put_v(sb_kv_type t, void *page, int32_t pos, const float *x, int32_t head_dim)
{
    const size_t p = (size_t)pos;
    put(t, page, (p / 2) * 2 * (size_t)head_dim + p % 2, 4, 2, x, head_dim);
}
