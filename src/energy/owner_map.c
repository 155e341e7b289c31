/* SPDX-License-Identifier: Apache-2.0
 * owner_map.c - a table with linear probing; what is taken out closes its gap at once, so there are
 * no tombstones to collect. */
#include "energy/owner_map.h"

#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { FIRST_CAP = 64 };

void sb_owner_map_deinit(sb_owner_map *m)
{
    sb_free(m->v);
    *m = (sb_owner_map){0};
}

static size_t home_of(const sb_owner_map *m, uint64_t owner)
{
    return (size_t)(owner * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (m->cap - 1);
}

static size_t find(const sb_owner_map *m, uint64_t owner)
{
    size_t i = home_of(m, owner);
    while (m->v[i].owner && m->v[i].owner != owner)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static sb_status grow(sb_owner_map *m, sb_error *err)
{
    if (m->n >= SB_MAX_LEDGER_OWNERS)
        return SB_FAIL(err, SB_LIMIT, "more than %d answers without a receipt",
                       SB_MAX_LEDGER_OWNERS);
    if (m->cap && m->n < m->cap / 2) return SB_OK;
    sb_owner_map next = {.n = m->n, .cap = m->cap ? 2 * m->cap : FIRST_CAP};
    next.v = sb_calloc(next.cap, sizeof *next.v);
    if (!next.v) return SB_FAIL(err, SB_NO_MEMORY, "ledger: no memory");
    for (size_t i = 0; i < m->cap; i++)
        if (m->v[i].owner) next.v[find(&next, m->v[i].owner)] = m->v[i];
    sb_free(m->v);
    *m = next;
    return SB_OK;
}

sb_status sb_owner_map_add(sb_owner_map *m, uint64_t owner, int64_t uj, bool measured,
                           sb_error *err)
{
    SB_TRY(grow(m, err));
    sb_owner_sum *x = &m->v[find(m, owner)], next = *x;
    int64_t *sum = measured ? &next.measured_uj : &next.estimated_uj;
    if (ckd_add(sum, *sum, uj)) return SB_FAIL(err, SB_CORRUPT, "a sum beyond 63 bits");
    if (!x->owner) m->n++;
    next.owner = owner;
    *x = next;
    return SB_OK;
}

sb_owner_sum sb_owner_map_take(sb_owner_map *m, uint64_t owner)
{
    sb_owner_sum none = {0};
    if (!m->cap || !owner) return none;
    size_t hole = find(m, owner);
    const sb_owner_sum found = m->v[hole];
    if (!found.owner) return none;
    m->v[hole] = none;
    m->n--;
    for (size_t i = (hole + 1) & (m->cap - 1); m->v[i].owner; i = (i + 1) & (m->cap - 1)) {
        const size_t home = home_of(m, m->v[i].owner);
        const size_t from_home = (i - home) & (m->cap - 1), from_hole = (i - hole) & (m->cap - 1);
        if (from_home < from_hole) continue; /* its home lies behind the hole */
        m->v[hole] = m->v[i];
        m->v[i] = none;
        hole = i;
    }
    return found;
}

sb_owner_sum sb_owner_map_clear(sb_owner_map *m)
{
    sb_owner_sum all = {0};
    for (size_t i = 0; i < m->cap; i++) {
        if (ckd_add(&all.measured_uj, all.measured_uj, m->v[i].measured_uj))
            all.measured_uj = INT64_MAX;
        if (ckd_add(&all.estimated_uj, all.estimated_uj, m->v[i].estimated_uj))
            all.estimated_uj = INT64_MAX;
        m->v[i] = (sb_owner_sum){0};
    }
    m->n = 0;
    return all;
}
