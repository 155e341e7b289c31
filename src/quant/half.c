/* SPDX-License-Identifier: Apache-2.0
 * half.c - IEEE binary16 to and from binary32, in integers.
 *
 * Written on bit patterns rather than with the CPU's conversion so that every machine agrees, also
 * about subnormals, whatever its flush-to-zero mode. */
#include "quant/quant.h"

static float from_bits(uint32_t u)
{
    union {
        uint32_t u;
        float f;
    } v = {.u = u};
    return v.f;
}

float sb_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exp = (h >> 10) & 31u;
    const uint32_t man = h & 0x3ffu;
    if (exp == 31) return from_bits(sign | 0x7f800000u | man << 13);
    if (exp != 0) return from_bits(sign | (exp + 112) << 23 | man << 13);
    if (man == 0) return from_bits(sign);
    // Subnormal: man * 2^-24, whose leading bit becomes the implied one.
    const uint32_t top = 31u - (uint32_t)__builtin_clz(man);
    return from_bits(sign | (top + 103) << 23 | (man << (23 - top) & 0x7fffffu));
}

uint16_t sb_f32_to_f16(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = f};
    const uint32_t sign = v.u >> 16 & 0x8000u;
    const uint32_t abs = v.u & 0x7fffffffu;
    if (abs > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (abs >> 13 & 0x3ffu)); // quiet NaN
    if (abs >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); // 2^16 and more
    if (abs >= 0x38800000u) {
        // Normal: drop 13 bits; a carry out of the fraction rightly raises the exponent, up to Inf.
        const uint32_t r = abs - 0x38000000u;
        return (uint16_t)(sign | (r + 0xfffu + (r >> 13 & 1u)) >> 13);
    }
    const uint32_t exp = abs >> 23;
    if (exp < 102) return (uint16_t)sign; // below half of the least subnormal
    const uint32_t man = (abs & 0x7fffffu) | 0x800000u;
    const uint32_t shift = 126 - exp; // 14..24
    const uint32_t half = 1u << (shift - 1);
    const uint32_t q = man >> shift;
    const uint32_t rest = man & ((1u << shift) - 1);
    return (uint16_t)(sign | (q + (rest > half || (rest == half && (q & 1u)))));
}
