/* SPDX-License-Identifier: Apache-2.0
 * intake.h - one whole request out of a run of bytes: head, then body.
 *
 * Purpose     Joins head.h, target.h and chunked.h. Between head and body the caller decides how
 *             large a body may be. No socket, no clock.
 * Invariants  Cut anywhere, the bytes give the same requests and refusals.
 * Ownership   Owns head, path and body until _deinit.
 * Errors      SB_INTAKE_REFUSED with `refusal`. */
#ifndef SB_SERVER_HTTP_INTAKE_H
#define SB_SERVER_HTTP_INTAKE_H
#include "server/http/chunked.h"
#include "server/http/head.h"

typedef enum sb_intake_got {
    SB_INTAKE_MORE,
    SB_INTAKE_HEAD,  /* said once, with the head's last byte: sb_intake_allow() comes next */
    SB_INTAKE_WHOLE, /* the request is there */
    SB_INTAKE_REFUSED
} sb_intake_got;

typedef struct sb_intake {
    sb_head head;
    sb_buf path;
    sb_str query;
    sb_buf body;
    sb_chunked chunked;
    uint64_t n_body; /* body bytes that came */
    bool in_body, drops;
    sb_refusal refusal;
} sb_intake;

void sb_intake_init(sb_intake *in);
void sb_intake_deinit(sb_intake *in);
/* After SB_INTAKE_HEAD: the greatest body. False: the head says already that it is larger (413). */
bool sb_intake_allow(sb_intake *in, uint64_t max_bytes);
/* The body is read on but not kept. */
void sb_intake_drop(sb_intake *in);
/* *used: bytes of p[n] taken. n may be 0: a request without a body is whole at once. */
sb_intake_got sb_intake_feed(sb_intake *in, const char *p, size_t n, size_t *used);
#endif
