/* SPDX-License-Identifier: Apache-2.0
 * head.h - the head of a request: request line, header lines, what they say about the body.
 *
 * Purpose     RFC 9112 without its tolerances: where two readers could differ the request is
 *             refused. No socket, no decoding of the target (target.h).
 * Invariants  Cut anywhere, the bytes give the same. A refusal comes with the first byte that
 *             cannot be right. Body: `chunked`, or `length` bytes, or none.
 * Errors      400; 414, 431 over a limit; 415 an encoded body; 417 an unknown expectation; 501 an
 *             unknown method; 503 without memory. */
#ifndef SB_SERVER_HTTP_HEAD_H
#define SB_SERVER_HTTP_HEAD_H
#include "base/limits.h"
#include "server/http/fields.h"

typedef struct sb_head {
    sb_buf text; /* method, target, then names and values, one behind the other */
    size_t method_n, target_n, n_version; /* bytes read of each; the version is not kept */
    sb_field list[SB_MAX_REQUEST_FIELDS];
    sb_header_lines fields;
    int state;
    int minor; /* HTTP/1.minor: 0 or 1 */
    bool chunked, expects, keep_alive;
    uint64_t length;
    sb_refusal refusal;
} sb_head;

void sb_head_init(sb_head *h);
void sb_head_deinit(sb_head *h);
/* As sb_header_lines_feed. */
sb_feed sb_head_feed(sb_head *h, const char *p, size_t n, size_t *used);

/* Valid once the part has been read. */
sb_str sb_head_method(const sb_head *h);
sb_str sb_head_target(const sb_head *h);
size_t sb_head_n_fields(const sb_head *h);
sb_str sb_head_name(const sb_head *h, size_t i);
sb_str sb_head_value(const sb_head *h, size_t i);
/* Whether the comma-separated list holds the (lower case) word; case is ignored. */
bool sb_http_list_has(sb_str list, const char *word);
#endif
