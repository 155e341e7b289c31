/* SPDX-License-Identifier: Apache-2.0
 * stops.c - compares at every start of the held text; texts between tokens are short, so the plain
 * way beats an automaton. */
#include "engine/stops.h"

#include "base/limits.h"

#include <string.h>

sb_status sb_stops_init(sb_stops *s, const sb_str *stop, int32_t n, sb_error *err)
{
    if (n > SB_MAX_STOPS)
        return SB_FAIL(err, SB_LIMIT, "stop: %d strings (at most %d)", n, SB_MAX_STOPS);
    for (int32_t i = 0; i < n; i++) {
        if (stop[i].n == 0) return SB_FAIL(err, SB_INVALID, "stop: a string is empty");
        if (stop[i].n > SB_MAX_STOP_BYTES)
            return SB_FAIL(err, SB_LIMIT, "stop: a string of %zu bytes (at most %d)", stop[i].n,
                           SB_MAX_STOP_BYTES);
    }
    *s = (sb_stops){.stop = stop, .n = n, .i_hit = -1};
    sb_buf_init(&s->held, SB_MAX_PROMPT_BYTES, "held back text");
    return SB_OK;
}

void sb_stops_deinit(sb_stops *s)
{
    sb_buf_deinit(&s->held);
}

/* At byte `at` of the held text: 1 a stop string is complete (its index in *hit), -1 one may still
 * be coming, 0 neither. */
static int look(const sb_stops *s, size_t at, int32_t *hit)
{
    const size_t left = s->held.n - at;
    int state = 0;
    for (int32_t i = 0; i < s->n; i++) {
        const size_t n = s->stop[i].n < left ? s->stop[i].n : left;
        if (memcmp(s->held.p + at, s->stop[i].p, n) != 0) continue;
        if (n == s->stop[i].n) {
            *hit = i;
            return 1;
        }
        state = -1;
    }
    return state;
}

sb_status sb_stops_push(sb_stops *s, sb_str text, sb_buf *out, sb_error *err)
{
    if (s->i_hit >= 0 || text.n == 0) return SB_OK;
    if (s->n == 0) return sb_buf_add(out, text.p, text.n, err);
    SB_TRY(sb_buf_add(&s->held, text.p, text.n, err));
    size_t at = 0;
    int state = 0;
    while (at < s->held.n && (state = look(s, at, &s->i_hit)) == 0)
        at++;
    SB_TRY(sb_buf_add(out, s->held.p, at, err));
    if (state == 1) at = s->held.n;
    const size_t left = s->held.n - at;
    memmove(s->held.p, s->held.p + at, left);
    s->held.n = left;
    s->held.p[left] = 0;
    return SB_OK;
}

sb_status sb_stops_finish(sb_stops *s, sb_buf *out, sb_error *err)
{
    if (s->i_hit < 0 && s->held.n) SB_TRY(sb_buf_add(out, s->held.p, s->held.n, err));
    sb_buf_clear(&s->held);
    return SB_OK;
}
