/* SPDX-License-Identifier: Apache-2.0
 * name_index.c - the keyed hash table behind keys and tensor names. */
#include "gguf/name_index.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <string.h>
#include <sys/random.h>

static uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash with one round a word and three at the end; native byte order, as nothing is stored. */
static uint64_t hash_name(const uint64_t key[2], sb_str s)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t i = 0;
    for (; s.n - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        v[3] ^= w;
        sip_round(v);
        v[0] ^= w;
    }
    uint64_t last = (uint64_t)s.n << 56;
    for (size_t k = 0; i + k < s.n; k++) {
        last |= (uint64_t)(unsigned char)s.p[i + k] << (8 * k);
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int r = 0; r < 3; r++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static sb_str name_of(const void *records, size_t stride, size_t i)
{
    sb_str s;
    memcpy(&s, (const char *)records + i * stride, sizeof(s));
    return s;
}

/* The slot of `name`: the one that holds it, or the free one where it belongs. */
static size_t probe(const sb_name_index *x, const void *records, size_t stride, sb_str name)
{
    size_t at = (size_t)hash_name(x->key, name) & x->mask;
    while (x->slots[at] != 0) {
        const sb_str there = name_of(records, stride, x->slots[at] - 1);
        if (there.n == name.n && memcmp(there.p, name.p, name.n) == 0) break;
        at = (at + 1) & x->mask;
    }
    return at;
}

sb_status sb_name_index_init(sb_name_index *x, size_t n_max, sb_error *err)
{
    size_t n = 16;
    while (n < 2 * n_max) {
        n *= 2;
    }
    uint32_t *slots = sb_calloc(n, sizeof(*slots));
    if (!slots) return SB_FAIL(err, SB_NO_MEMORY, "name table: %zu slots", n);
    *x = (sb_name_index){.slots = slots, .mask = n - 1};
    if (getrandom(x->key, sizeof(x->key), GRND_NONBLOCK) != (ssize_t)sizeof(x->key)) {
        // Very early in boot, or the call is filtered: an unguessed address and time must do.
        x->key[0] = sb_now_ns();
        x->key[1] = (uint64_t)(uintptr_t)slots * 0x9e3779b97f4a7c15u;
    }
    return SB_OK;
}

void sb_name_index_deinit(sb_name_index *x)
{
    sb_free(x->slots);
    *x = (sb_name_index){0};
}

size_t sb_name_index_add(sb_name_index *x, const void *records, size_t stride, size_t i)
{
    const size_t at = probe(x, records, stride, name_of(records, stride, i));
    if (x->slots[at] != 0) return x->slots[at] - 1;
    x->slots[at] = (uint32_t)i + 1;
    return i;
}

size_t sb_name_index_find(const sb_name_index *x, const void *records, size_t stride, sb_str name)
{
    if (!x->slots) return SIZE_MAX;
    const size_t at = probe(x, records, stride, name);
    return x->slots[at] != 0 ? x->slots[at] - 1 : SIZE_MAX;
}
