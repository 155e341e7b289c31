/* SPDX-License-Identifier: Apache-2.0
 * chunked.c - a body that comes in chunks: sizes, data, trailers. */
#include "server/http/chunked.h"

enum { AT_SIZE, SIZE_LF, IN_DATA, DATA_CR, DATA_LF, IN_TRAILER };
enum { MAX_DIGITS = 8 }; /* 4 GiB in one chunk, leading zeros too */

void sb_chunked_init(sb_chunked *c, uint64_t max)
{
    *c = (sb_chunked){.max = max};
    sb_header_lines_init(&c->trailer, NULL, NULL);
}

static bool refuse(sb_chunked *c, int status, const char *why)
{
    c->refusal = (sb_refusal){status, why};
    return false;
}

static bool size_byte(sb_chunked *c, char ch)
{
    const int digit = sb_http_hex(ch);
    if (digit >= 0 && c->n_digits < MAX_DIGITS) {
        c->left = c->left * 16 + (uint64_t)digit;
        c->n_digits++;
        return true;
    }
    if (digit >= 0) return refuse(c, 400, "a chunk's size is too long");
    if (ch != '\r' || !c->n_digits) return refuse(c, 400, "a chunk's size is not a size");
    if (ckd_add(&c->total, c->total, c->left) || c->total > c->max)
        return refuse(c, 413, "the body is too large");
    c->state = SIZE_LF;
    return true;
}

static bool framing_byte(sb_chunked *c, char ch)
{
    switch (c->state) {
    case AT_SIZE:
        return size_byte(c, ch);
    case SIZE_LF:
        c->state = c->left ? IN_DATA : IN_TRAILER;
        return ch == '\n' || refuse(c, 400, "a CR that does not end a line");
    case DATA_CR:
        c->state = DATA_LF;
        return ch == '\r' || refuse(c, 400, "a chunk is longer than its size");
    default: // DATA_LF
        c->state = AT_SIZE;
        c->n_digits = 0;
        return ch == '\n' || refuse(c, 400, "a CR that does not end a line");
    }
}

sb_feed sb_chunked_feed(sb_chunked *c, const char *p, size_t n, size_t *used, sb_str *data)
{
    *used = 0;
    *data = (sb_str){p, 0};
    while (*used < n && c->state != IN_DATA && c->state != IN_TRAILER) {
        if (!framing_byte(c, p[*used])) return SB_FEED_REFUSED;
        ++*used;
    }
    const size_t rest = n - *used;
    if (c->state == IN_DATA) {
        data->p = p + *used;
        data->n = c->left < rest ? (size_t)c->left : rest;
        *used += data->n;
        c->left -= data->n;
        if (!c->left) c->state = DATA_CR;
        return SB_FEED_MORE;
    }
    if (c->state != IN_TRAILER) return SB_FEED_MORE;
    size_t k;
    const sb_feed got = sb_header_lines_feed(&c->trailer, p + *used, rest, &k);
    *used += k;
    if (got == SB_FEED_REFUSED) c->refusal = c->trailer.refusal;
    return got;
}
