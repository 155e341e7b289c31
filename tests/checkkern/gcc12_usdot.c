/* SPDX-License-Identifier: Apache-2.0
 * gcc12_usdot.c - a compiler trap: shows whether it is there, and proves that ref does not fall in.
 *
 * gcc 12 turns the plain loop "sum += a[k] * (w[k] - 128)" (a signed, w unsigned bytes) into a dot
 * product that reads w - 128 as unsigned when VNNI is enabled: nearly every result is wrong. The
 * loop is built that way in gcc12_usdot_vnni.c and, where the CPU can run it, its errors are
 * counted, not judged. What must hold: the reference level, built without VNNI, is right. */
#include <stdio.h>
#include <string.h>

#include "gcc12_usdot.h"
#include "kernels/pack.h"

enum { N_CASE = 1000, BLOCK_BYTES = 34 };

static int32_t dot_slow(const int8_t *a, const uint8_t *w)
{
    volatile int32_t sum = 0;
    for (int k = 0; k < 32; k++)
        sum = sum + a[k] * ((int32_t)w[k] - 128);
    return sum;
}

/* The reference product of one Q8_0 block of scale 1 and an activation row of scale 1. */
static float dot_ref(const sb_kernels *ref, const int8_t *a, const uint8_t *w)
{
    _Alignas(64) unsigned char panel[1088], x[64] = {0};
    unsigned char block[BLOCK_BYTES] = {0x00, 0x3c};
    const float one = 1.0f;
    float y[SB_PANEL];
    for (int k = 0; k < 32; k++)
        block[2 + k] = (unsigned char)(w[k] ^ 0x80);
    memcpy(x, a, 32);
    memcpy(x + 32, &one, sizeof one);
    sb_pack_panel(SB_F_Q8_0, block, BLOCK_BYTES, 1, 32, panel);
    const sb_mm m = {panel, x, sizeof x, y, SB_PANEL, 32, 1, 1, NULL};
    // The row's sums are left zero: ref must not need them, its codes are signed already.
    ref->matmul[SB_F_Q8_0][SB_ACT_A8](&m);
    return y[0];
}

int main(void)
{
    sb_kernels ref;
    uint32_t state = 1;
    int wrong = 0, wrong_vnni = 0;
    const bool vnni = sb_level_best() >= SB_LEVEL_avx512;
    sb_kernels_init(&ref, SB_LEVEL_ref);
    for (int i = 0; i < N_CASE; i++) {
        int8_t a[32];
        uint8_t w[32];
        for (int k = 0; k < 32; k++) {
            state = state * 1664525u + 1013904223u;
            a[k] = (int8_t)((int32_t)(state >> 24) - 128);
            if (a[k] == -128) a[k] = 127;
            w[k] = (uint8_t)(state >> 16);
        }
        const int32_t want = dot_slow(a, w);
        if (dot_ref(&ref, a, w) != (float)want) wrong++;
        if (vnni && usdot_natural(a, w) != want) wrong_vnni++;
    }
    if (vnni) printf("natural loop with VNNI enabled: %d of %d wrong\n", wrong_vnni, N_CASE);
    printf("reference: %d of %d wrong\n", wrong, N_CASE);
    return wrong != 0;
}
