/* SPDX-License-Identifier: Apache-2.0
 * avxvnni_mm.c - matmul on packed panels for CPUs with AVX2 and AVX-VNNI.
 *
 * How: as avx512_mm.c (vpdpbusd, every format as unsigned bytes and one integer correction), in
 * vectors of 256 bits and sixteen registers, so by tiles as avx2_mm.c. */
#include "kernels/x86/avx2_mm_words.h"

enum { SIGNED_BYTES = 0 };

/* One or two rows: the instruction takes four cycles. */
#define CHAINS(mr) ((mr) <= 2 ? 2 : 1)
#define v_dot _mm256_dpbusd_avx_epi32
#define v_pair_add _mm256_dpwssd_avx_epi32

FLAT VI v_sum4(VI acc, VI w, bool is_signed)
{
    (void)is_signed; // never: SIGNED_BYTES
    return v_dot(acc, w, v_set1_8(1));
}

#include "kernels/vec/mm_codes.h"
#include "kernels/vec/mm_dot.h"
#include "kernels/vec/mm_body.h"

void sb_kernels_fill_avxvnni_mm(sb_kernels *k)
{
    slots_fill(k);
}
