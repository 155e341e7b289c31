/* SPDX-License-Identifier: Apache-2.0
 * avxvnni_mm.c - matmul on packed panels for CPUs with AVX2 and AVX-VNNI.
 *
 * How: as avx512_mm.c (vpdpbusd, every format as unsigned bytes and one integer correction), in
 * vectors of 256 bits and sixteen registers, so by tiles as avx2_mm.c. */
#include "kernels/x86/avx2_mm_words.h"

#define NV_OF(mr) ((mr) == 1 ? 4 : 2)
#define ROWS_DEAR_MORE(name)
#define ROWS_DEAR_NAMES(name)
#define ROWS_DIRECT_MORE(name)
#define ROWS_FIRST_NAMES(name)
#define ROWS_AGAIN_NAMES(name)
#define ROWS_TILED_MORE(name)
#define ROWS_TILED_NAMES(name)
#define CLASS_CHEAP(name) CLASS(name)

enum {
    DIRECT_IS_BEST = 0,
    GROUP_MOST = 2,
    SIGNED_BYTES = 0,
    MR_MAX = 4,
    MR_ELEMENTS = 6,
    NV_ELEMENTS = 2,
    Y_REGISTERS = 4,
    Y_HALVES = 4
};

#define v_dpbusd _mm256_dpbusd_avx_epi32
#define v_pair_add _mm256_dpwssd_avx_epi32

FLAT VI v_sum4(VI acc, VI w, bool is_signed)
{
    (void)is_signed; // never: SIGNED_BYTES
    return v_dpbusd(acc, w, v_set1_8(1));
}

#include "kernels/vec/mm_codes.h"
#include "kernels/vec/mm_dpbusd.h"
#include "kernels/vec/mm_body.h"

void sb_kernels_fill_avxvnni_mm(sb_kernels *k)
{
    slots_fill(k);
}
