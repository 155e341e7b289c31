/* SPDX-License-Identifier: Apache-2.0
 * utf8.c - strict UTF-8 by the table of well-formed sequences (Unicode 15, table 3-7). */
#include "base/utf8.h"

/* Length of the sequence that starts with byte c, and the range allowed for its second byte;
 * 0 when no sequence starts so. Later bytes are always 80..BF. */
static size_t lead(unsigned char c, unsigned char *lo, unsigned char *hi)
{
    *lo = 0x80;
    *hi = 0xBF;
    if (c < 0x80) return 1;
    if (c < 0xC2 || c > 0xF4) return 0;
    if (c < 0xE0) return 2;
    if (c < 0xF0) {
        if (c == 0xE0) *lo = 0xA0; // overlong
        if (c == 0xED) *hi = 0x9F; // surrogates
        return 3;
    }
    if (c == 0xF0) *lo = 0x90; // overlong
    if (c == 0xF4) *hi = 0x8F; // above U+10FFFF
    return 4;
}

/* Bytes of the sequence at p that are there and well-formed; *need is its full length, 0 when no
 * sequence begins so. */
static size_t good(const unsigned char *p, size_t n, size_t *need)
{
    unsigned char lo, hi;
    *need = lead(p[0], &lo, &hi);
    size_t i = 1;
    for (; i < *need && i < n; i++) {
        if (p[i] < lo || p[i] > hi) break;
        lo = 0x80;
        hi = 0xBF;
    }
    return i;
}

size_t sb_utf8_decode(const char *p, size_t n, uint32_t *cp)
{
    static const unsigned char first_bits[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *u = (const unsigned char *)p;
    size_t need;
    if (good(u, n, &need) != need) return 0; // also when need is 0: good() is at least 1
    uint32_t c = u[0] & first_bits[need];
    for (size_t i = 1; i < need; i++)
        c = c << 6 | (u[i] & 0x3Fu);
    *cp = c;
    return need;
}

size_t sb_utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    const size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const unsigned char mark[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(mark[n] | cp);
    return n;
}

size_t sb_utf8_valid(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t i = 0;
    while (i < n) {
        size_t need;
        if (good(u + i, n - i, &need) != need) return i;
        i += need;
    }
    return n;
}

size_t sb_utf8_whole(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    // An unfinished sequence is at most 3 bytes long and starts at its lead byte.
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const size_t at = n - back;
        if ((u[at] & 0xC0) == 0x80) continue;
        size_t need;
        return good(u + at, back, &need) == back && need > back ? at : n;
    }
    return n;
}
