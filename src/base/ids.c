/* SPDX-License-Identifier: Apache-2.0
 * ids.c - the growing array of token ids; doubles like sb_buf. */
#include "base/ids.h"

#include "base/alloc.h"

enum { FIRST_CAP = 64 };

void sb_ids_init(sb_ids *a, size_t max)
{
    *a = (sb_ids){.max = max};
}

void sb_ids_deinit(sb_ids *a)
{
    if (!a) return;
    sb_free(a->v);
    a->v = NULL;
    a->n = a->cap = 0;
}

void sb_ids_clear(sb_ids *a)
{
    a->n = 0;
}

sb_status sb_ids_reserve(sb_ids *a, size_t n_more, sb_error *err)
{
    size_t want;
    if (ckd_add(&want, a->n, n_more) || want > a->max)
        return SB_FAIL(err, SB_LIMIT, "token ids: over the limit of %zu", a->max);
    if (want <= a->cap) return SB_OK;
    size_t cap = a->cap <= a->max / 2 ? a->cap * 2 : a->max;
    if (cap < FIRST_CAP && a->max >= FIRST_CAP) cap = FIRST_CAP;
    if (cap < want) cap = want;
    int32_t *v = sb_realloc(a->v, cap, sizeof *v);
    if (!v) return SB_FAIL(err, SB_NO_MEMORY, "token ids: no memory for %zu", cap);
    a->v = v;
    a->cap = cap;
    return SB_OK;
}

sb_status sb_ids_add(sb_ids *a, int32_t id, sb_error *err)
{
    SB_TRY(sb_ids_reserve(a, 1, err));
    a->v[a->n++] = id;
    return SB_OK;
}
