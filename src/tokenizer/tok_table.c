/* SPDX-License-Identifier: Apache-2.0
 * tok_table.c - bytes of a piece to its token: open addressing, linear probing, seeded hash.
 *
 * The table is the largest part of building a vocabulary, and nearly all of it is waiting for
 * memory: so slots are 8 bytes, at most half of them used, and filling hashes a batch ahead and
 * prefetches. The seed comes from the kernel, so that a file cannot choose its collisions. */
#include "base/alloc.h"
#include "base/limits.h"
#include "tokenizer/internal.h"

#include <string.h>
#include <sys/random.h>

__extension__ typedef unsigned __int128 u128;

static uint64_t mix(uint64_t a, uint64_t b)
{
    const u128 m = (u128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* The n <= 8 bytes at p, spread over 64 bits; different for different bytes of equal n. */
static uint64_t load_tail(const char *p, size_t n)
{
    if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        return (uint64_t)a << 32 | b;
    }
    if (n == 0) return 0;
    const uint8_t a = (uint8_t)p[0], b = (uint8_t)p[n / 2], c = (uint8_t)p[n - 1];
    return (uint64_t)a << 16 | (uint64_t)b << 8 | c;
}

static uint64_t hash(uint64_t seed, const char *p, size_t n)
{
    uint64_t h = seed ^ (uint64_t)n * 0x9E3779B97F4A7C15u;
    for (; n > 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        h = mix(h ^ v, 0xD6E8FEB86659FD93u);
    }
    return mix(h ^ load_tail(p, n), 0xA0761D6478BD642Fu ^ seed);
}

int32_t sb_tok_table_find(const sb_tokenizer *t, const char *p, size_t n)
{
    if (n > t->max_merge_bytes) return -1;
    const uint64_t h = hash(t->seed, p, n);
    const uint32_t tag = (uint32_t)(h >> 32);
    for (uint32_t i = (uint32_t)h & t->slot_mask; t->slots[i].id >= 0; i = (i + 1) & t->slot_mask) {
        if (t->slots[i].tag != tag) continue;
        const sb_str s = sb_tok_text(t, t->slots[i].id);
        if (s.n == n && !memcmp(s.p, p, n)) return t->slots[i].id;
    }
    return -1;
}

/* Puts id in the table; where an equal piece is there, id stops being mergeable. */
static void put(sb_tokenizer *t, uint64_t h, int32_t id)
{
    const uint32_t tag = (uint32_t)(h >> 32);
    uint32_t i = (uint32_t)h & t->slot_mask;
    for (; t->slots[i].id >= 0; i = (i + 1) & t->slot_mask) {
        if (t->slots[i].tag != tag) continue;
        const sb_str a = sb_tok_text(t, t->slots[i].id), b = sb_tok_text(t, id);
        if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0) continue;
        t->flags[id] &= (uint8_t)~SB_TOK_F_MERGE;
        return;
    }
    t->slots[i] = (sb_tok_slot){tag, id};
}

sb_status sb_tok_table_fill(sb_tokenizer *t, sb_error *err)
{
    enum { AHEAD = 32 };
    uint32_t n_slots = 64;
    while (n_slots / 2 < (uint32_t)t->n_tok)
        n_slots *= 2;
    t->slots = sb_alloc(n_slots, sizeof *t->slots);
    if (!t->slots) return SB_FAIL(err, SB_NO_MEMORY, "tokenizer: no memory for the piece table");
    memset(t->slots, 0xFF, n_slots * sizeof *t->slots); // id -1
    t->slot_mask = n_slots - 1;
    // Without kernel randomness (early boot) a fixed seed still gives right answers.
    if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) != (ssize_t)sizeof t->seed)
        t->seed = 0x2545F4914F6CDD1Du;
    uint64_t h[AHEAD];
    for (int32_t base = 0; base < t->n_tok; base += AHEAD) {
        const int32_t n = t->n_tok - base < AHEAD ? t->n_tok - base : AHEAD;
        for (int32_t k = 0; k < n; k++) {
            const sb_str s = sb_tok_text(t, base + k);
            h[k] = hash(t->seed, s.p, s.n);
            __builtin_prefetch(&t->slots[(uint32_t)h[k] & t->slot_mask], 1);
        }
        for (int32_t k = 0; k < n; k++)
            if (t->flags[base + k] & SB_TOK_F_MERGE) put(t, h[k], base + k);
    }
    return SB_OK;
}
