/* SPDX-License-Identifier: Apache-2.0
 * session.c - one conversation's place in the engine: its positions and its page tables. */
#include "base/alloc.h"
#include "engine/internal.h"

#include <string.h>

sb_status sb_session_open(sb_session **out, sb_engine *e, uint64_t owner, sb_error *err)
{
    if (e->n_open == e->opts.n_sessions)
        return SB_FAIL(err, SB_LIMIT, "sessions: all %d are open", e->opts.n_sessions);
    sb_session *s = sb_calloc(1, sizeof *s);
    bool ok = s != NULL;
    for (int32_t g = 0; ok && g < e->n_groups; g++) {
        s->pages[g] = sb_alloc((size_t)e->groups[g].n_blocks, sizeof *s->pages[g]);
        ok = s->pages[g] != NULL;
        if (ok) memset(s->pages[g], 0xff, (size_t)e->groups[g].n_blocks * sizeof *s->pages[g]);
    }
    if (!ok) {
        for (int32_t g = 0; s && g < e->n_groups; g++)
            sb_free(s->pages[g]);
        sb_free(s);
        return SB_FAIL(err, SB_NO_MEMORY, "session: out of memory");
    }
    s->e = e;
    s->owner = owner;
    e->n_open++;
    *out = s;
    return SB_OK;
}

void sb_session_close(sb_session *s)
{
    if (!s) return;
    sb_kv_drop_from(s, 0);
    for (int32_t g = 0; g < s->e->n_groups; g++)
        sb_free(s->pages[g]);
    s->e->n_open--;
    sb_free(s);
}

void sb_session_set_owner(sb_session *s, uint64_t owner)
{
    s->owner = owner;
}

int32_t sb_session_n_pos(const sb_session *s)
{
    return s->n_pos;
}

int32_t sb_session_room(const sb_session *s)
{
    return s->e->opts.n_ctx - s->n_pos;
}

void sb_session_reset(sb_session *s)
{
    sb_kv_drop_from(s, 0);
    memset(s->first, 0, sizeof s->first);
    s->n_pos = 0;
}

sb_status sb_session_rewind(sb_session *s, int32_t n_pos, sb_error *err)
{
    if (n_pos < 0 || n_pos > s->n_pos)
        return SB_FAIL(err, SB_INVALID, "rewind: position %d of %d", n_pos, s->n_pos);
    for (int32_t g = 0; g < s->e->n_groups; g++) {
        const int32_t window = s->e->groups[g].window;
        const int32_t need = window && n_pos - window + 1 > 0 ? n_pos - window + 1 : 0;
        if (n_pos && s->first[g] > need / SB_KV_PAGE)
            return SB_FAIL(err, SB_INVALID, "rewind: the window before position %d is gone", n_pos);
    }
    if (n_pos == 0) sb_session_reset(s);
    sb_kv_drop_from(s, n_pos);
    s->n_pos = n_pos;
    return SB_OK;
}
