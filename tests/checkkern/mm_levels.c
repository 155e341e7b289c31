/* SPDX-License-Identifier: Apache-2.0
 * mm_levels.c - the levels mm_check compares: those of this CPU, and AVX-512 emulated by SIMDe.
 *
 * The emulation (emu/emu.h) is the same source compiled against another header, so that a machine
 * without AVX-512 still proves its arithmetic; its speed says nothing. */
#include <string.h>

#include "emu/emu.h"
#include "kernels/internal.h"
#include "mm_check.h"

size_t mm_levels_get(mm_level *levels, const char *only)
{
    size_t n = 0;
    memset(levels, 0, 8 * sizeof *levels);
    levels[n].name = "ref";
    sb_kernels_init(&levels[n++].table, SB_LEVEL_ref);
    for (int l = 1; l <= (int)sb_level_best(); l++) {
        if (only && strcmp(only, sb_level_name((sb_level)l)) != 0) continue;
        levels[n].name = sb_level_name((sb_level)l);
        sb_kernels_init(&levels[n].table, (sb_level)l);
        n += levels[n].table.level == (sb_level)l; // else of another family of processors
    }
#if CK_EMU
    if (!only || strcmp(only, "avx512-emulated") == 0) {
        levels[n].name = "avx512-emulated";
        levels[n].emulated = true;
        sb_kernels_init(&levels[n].table, SB_LEVEL_ref);
        sb_kernels_fill_avx512emu_mm(&levels[n++].table);
    }
#endif
    return n;
}
