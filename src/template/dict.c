/* SPDX-License-Identifier: Apache-2.0
 * dict.c - dicts in the order of insertion, with an index once they are large.
 *
 * Most dicts of a conversation hold two keys, so a scan is the rule. The index exists because
 * clients may send objects of a hundred thousand keys, which scanning would make quadratic; its
 * hash starts from an address, so that they cannot choose keys that collide. */
#include "template/tpl.h"

#include <string.h>

enum { SCAN_MAX = 16 }; /* entries that are scanned, not hashed */

sb_dict *sb_dict_new(sb_region *m)
{
    return sb_region_take(m, 1, sizeof(sb_dict));
}

size_t sb_dict_cost(const sb_dict *d)
{
    return d->index ? 1 : d->n / 16;
}

/* Keys are strings, numbers, booleans or none; numbers are equal as in Python, and "not a number"
 * to itself, or a dict of those would be one long scan. */
static bool same_key(sb_val a, sb_val b)
{
    double x, y;
    if (a.type == SB_VAL_STR)
        return b.type == SB_VAL_STR && a.as.s.n == b.as.s.n &&
               (!a.as.s.n || memcmp(a.as.s.p, b.as.s.p, a.as.s.n) == 0);
    if (sb_val_number(a, &x)) return sb_val_number(b, &y) && (x == y || (x != x && y != y));
    return a.type == b.type;
}

/* Equal keys have equal hashes: 1, 1.0 and true are one key. */
static uint64_t hash(const sb_dict *d, sb_val key)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ (uintptr_t)d->index;
    double number = 0;
    const char *p = key.as.s.p;
    size_t n = key.as.s.n;
    if (key.type != SB_VAL_STR) {
        if (!sb_val_number(key, &number)) return h;
        number += 0.0; // -0 is 0
        p = (const char *)&number;
        n = sizeof number;
    }
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

/* Slot of a key or of the empty place for it. Slots hold position + 1; 0 is empty. */
static uint32_t *slot(const sb_dict *d, sb_val key)
{
    for (size_t i = (size_t)hash(d, key) & (d->index_size - 1);; i = (i + 1) & (d->index_size - 1))
        if (!d->index[i] || same_key(key, d->v[d->index[i] - 1].k)) return &d->index[i];
}

bool sb_dict_index(sb_region *m, sb_dict *d)
{
    d->index = NULL;
    d->index_size = 0;
    if (d->n <= SCAN_MAX) return true;
    size_t size = 64;
    while (size < d->n * 4)
        size *= 2; // at most half full until the next doubling
    uint32_t *index = sb_region_take(m, size, sizeof *index);
    if (!index || d->n > UINT32_MAX / 8) return false;
    d->index = index;
    d->index_size = size;
    for (size_t i = 0; i < d->n; i++)
        *slot(d, d->v[i].k) = (uint32_t)i + 1;
    return true;
}

size_t sb_dict_seek(const sb_dict *d, sb_val key)
{
    if (d->index) return (size_t)*slot(d, key) - 1; // 0 - 1 is SIZE_MAX
    for (size_t i = 0; i < d->n; i++)
        if (same_key(d->v[i].k, key)) return i;
    return SIZE_MAX;
}

const sb_val *sb_dict_find(const sb_dict *d, const char *key, size_t n)
{
    const size_t at = sb_dict_seek(d, (sb_val){.type = SB_VAL_STR, .as.s = {.p = key, .n = n}});
    return at == SIZE_MAX ? NULL : &d->v[at].v;
}

bool sb_dict_put(sb_region *m, sb_dict *d, sb_val k, sb_val v)
{
    const size_t at = sb_dict_seek(d, k);
    if (at != SIZE_MAX) {
        d->v[at].v = v;
        return true;
    }
    if (d->n == d->cap) {
        sb_pair *p = sb_tpl_grow(m, d->v, d->n, &d->cap, sizeof *p);
        if (!p) return false;
        d->v = p;
    }
    d->v[d->n++] = (sb_pair){k, v};
    if (d->n > SCAN_MAX && d->n * 2 > d->index_size) return sb_dict_index(m, d);
    if (d->index) *slot(d, k) = (uint32_t)d->n;
    return true;
}

void sb_dict_remove(sb_dict *d, size_t at)
{
    memmove(d->v + at, d->v + at + 1, (d->n - at - 1) * sizeof *d->v);
    d->n--;
    d->index = NULL; // positions moved: scan until the next insertion makes a new one
    d->index_size = 0;
}
