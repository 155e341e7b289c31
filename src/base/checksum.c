/* SPDX-License-Identifier: Apache-2.0
 * checksum.c - eight lanes of xor, multiply, rotate.
 *
 * Each step of a lane is a bijection of the word it takes, and of the lane, so one word that
 * differs leaves a lane that differs, whatever comes behind it. Eight lanes hide the multiplier's
 * latency. The rotation carries the upper bits down: without it two flips of the top bit would
 * cancel. */
#include "base/checksum.h"

#include <string.h>

enum { LANES = 8, BLOCK = 8 * LANES };

static const uint64_t odd1 = 0x9e3779b97f4a7c15u, odd2 = 0xd6e8feb86659fd93u;

static uint64_t step(uint64_t lane, uint64_t word)
{
    const uint64_t x = (lane ^ word) * odd1;
    return x << 31 | x >> 33;
}

/* A bijection in which every bit of x reaches every bit. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * odd2;
    x = (x ^ x >> 32) * odd2;
    return x ^ x >> 32;
}

static void take_block(uint64_t lane[LANES], const unsigned char *p)
{
    uint64_t w[LANES];
    memcpy(w, p, sizeof w);
    for (int i = 0; i < LANES; i++)
        lane[i] = step(lane[i], w[i]);
}

uint64_t sb_checksum(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t lane[LANES];
    for (int i = 0; i < LANES; i++)
        lane[i] = mix(odd1 + (uint64_t)i);
    size_t at = 0;
    for (; n - at >= BLOCK; at += BLOCK)
        take_block(lane, p + at);
    unsigned char tail[BLOCK] = {0};
    if (n > at) {
        memcpy(tail, p + at, n - at);
        take_block(lane, tail);
    }
    uint64_t sum = mix((uint64_t)n + odd2);
    for (int i = 0; i < LANES; i++)
        sum = mix(sum ^ lane[i]);
    return sum;
}
