/* SPDX-License-Identifier: Apache-2.0
 * gcc12_usdot_vnni.c - the natural loop of a zero-point dot product, compiled with VNNI enabled. */
#include "gcc12_usdot.h"

int32_t usdot_natural(const int8_t *a, const uint8_t *w)
{
    int32_t sum = 0;
    for (int k = 0; k < 32; k++)
        sum += a[k] * ((int32_t)w[k] - 128);
    return sum;
}
