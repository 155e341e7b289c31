/* SPDX-License-Identifier: Apache-2.0
 * emu.h - the AVX-512 level compiled without AVX-512, for tests.
 *
 * Purpose     The sources of the level are built a second time with this folder in front of the
 *             include path, so that <immintrin.h> is the one beside this file: every 512-bit
 *             intrinsic becomes plain C or AVX2 (SIMDe). So the code is proved on any machine.
 *             The build renames the level's functions avx512 -> avx512emu. */
#ifndef SB_CHECKKERN_EMU_H
#define SB_CHECKKERN_EMU_H
#include "kernels/kernels.h"

void sb_kernels_fill_avx512emu_ops(sb_kernels *k);
void sb_kernels_fill_avx512emu_mm(sb_kernels *k);
#endif
