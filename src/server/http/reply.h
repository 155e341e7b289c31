/* SPDX-License-Identifier: Apache-2.0
 * reply.h - the head of a reply as text.
 *
 * Purpose     Status line, framing, the headers every reply carries, the handler's own.
 * Errors      false without memory; nothing was added then. */
#ifndef SB_SERVER_HTTP_REPLY_H
#define SB_SERVER_HTTP_REPLY_H
#include "base/buf.h"
#include "server/http/queue.h"

typedef enum sb_framing {
    SB_FRAMED_LENGTH,  /* Content-Length: length */
    SB_FRAMED_CHUNKED, /* a stream */
    SB_FRAMED_CLOSE,   /* a stream to HTTP/1.0: ends with the connection */
    SB_FRAMED_NONE     /* no body, and no length of one */
} sb_framing;

typedef struct sb_reply {
    int status, minor; /* minor: of the request's version */
    sb_framing framing;
    size_t length;
    const char *type; /* content type or NULL */
    const char *id;   /* the request's, or NULL */
    sb_str own;       /* the handler's headers, as sb_reply_own() made them */
    bool closes;      /* the connection ends with this reply */
} sb_reply;

bool sb_reply_head(sb_queue *out, const sb_reply *r) SB_MUST_USE;
/* Adds a handler's header to `own`; what cannot stand in one, or is ours to say, is dropped. */
void sb_reply_own(sb_buf *own, const char *name, const char *value);
/* Whether a reply of this status has a body at all. */
bool sb_reply_has_body(int status);
#endif
