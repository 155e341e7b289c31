/* SPDX-License-Identifier: Apache-2.0
 * stops.h - ends a streamed text at a stop string without ever showing part of it.
 *
 * Purpose     Text goes in as it is decoded and comes out as soon as it cannot be the beginning of
 *             a stop string any more.
 * Invariants  Held back text is a proper prefix of some stop string. After a hit nothing comes out.
 * Ownership   The stop strings are borrowed until sb_stops_deinit().
 * Errors      SB_LIMIT (too many, too long), SB_INVALID (empty stop string), SB_NO_MEMORY. */
#ifndef SB_ENGINE_STOPS_H
#define SB_ENGINE_STOPS_H
#include "base/base.h"
#include "base/buf.h"

typedef struct sb_stops {
    const sb_str *stop; /* [n] */
    int32_t n;
    int32_t i_hit; /* index of the stop string met, or -1 */
    sb_buf held;
} sb_stops;

sb_status sb_stops_init(sb_stops *s, const sb_str *stop, int32_t n, sb_error *err) SB_MUST_USE;
void sb_stops_deinit(sb_stops *s);
/* Appends to out what may be shown of the text so far. Sets i_hit when a stop string is
 * complete. */
sb_status sb_stops_push(sb_stops *s, sb_str text, sb_buf *out, sb_error *err) SB_MUST_USE;
/* The text ends without a hit: what was held back is text after all. */
sb_status sb_stops_finish(sb_stops *s, sb_buf *out, sb_error *err) SB_MUST_USE;
#endif
