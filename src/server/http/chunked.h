/* SPDX-License-Identifier: Apache-2.0
 * chunked.h - a body that comes in chunks.
 *
 * Purpose     The framing alone: which bytes are the body's. Chunk extensions are refused (nobody
 *             sends them, and readers disagree about them); trailers are checked and dropped.
 * Invariants  Cut anywhere, the bytes give the same body.
 * Errors      400; 413 as soon as a chunk's size shows that the body passes `max`; 431 trailers. */
#ifndef SB_SERVER_HTTP_CHUNKED_H
#define SB_SERVER_HTTP_CHUNKED_H
#include "server/http/fields.h"

typedef struct sb_chunked {
    uint64_t max, total, left; /* bytes: allowed, announced so far, still to come of this chunk */
    int state, n_digits;
    sb_header_lines trailer;
    sb_refusal refusal;
} sb_chunked;

void sb_chunked_init(sb_chunked *c, uint64_t max);
/* Takes *used bytes; *data is the run of the body among them, of p[n], maybe empty. To be called
 * again while it says SB_FEED_MORE and bytes are left. */
sb_feed sb_chunked_feed(sb_chunked *c, const char *p, size_t n, size_t *used, sb_str *data);
#endif
