/* SPDX-License-Identifier: Apache-2.0
 * http_log.c - what a run of bytes means as requests, as one text. Each piece is a block of its own
 * size, so that a sanitizer sees what reads past it. */
#include "http_log.h"

#include <stdlib.h>
#include <string.h>

#include "server/http/intake.h"

typedef struct log {
    sb_buf *out;
    sb_intake in;
    uint64_t max_body;
    bool is_begun, is_over, failed;
} log;

static void put(log *l, sb_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const char c = (unsigned char)s.p[i] < ' ' || s.p[i] == 127 ? '.' : s.p[i];
        if (sb_buf_add(l->out, &c, 1, NULL) != SB_OK) l->failed = true;
    }
}

static void put_text(log *l, const char *s)
{
    if (sb_buf_add(l->out, s, strlen(s), NULL) != SB_OK) l->failed = true;
}

static void put_head(log *l)
{
    const sb_head *h = &l->in.head;
    put(l, sb_head_method(h));
    put_text(l, " ");
    put(l, (sb_str){l->in.path.p, l->in.path.n});
    put_text(l, "?");
    put(l, l->in.query);
    put_text(l, h->minor ? " 1.1" : " 1.0");
    put_text(l, h->keep_alive ? " keep" : " close");
    put_text(l, h->expects ? " expects\n" : "\n");
    for (size_t i = 0; i < sb_head_n_fields(h); i++) {
        put(l, sb_head_name(h, i));
        put_text(l, ": ");
        put(l, sb_head_value(h, i));
        put_text(l, "\n");
    }
}

static void put_end(log *l)
{
    if (sb_buf_addf(l->out, NULL, "body %zu ", l->in.body.n) != SB_OK) l->failed = true;
    put(l, (sb_str){l->in.body.p, l->in.body.n});
    put_text(l, "\n");
    sb_intake_deinit(&l->in);
    l->is_begun = false;
}

static void put_refusal(log *l)
{
    const sb_refusal *r = &l->in.refusal;
    if (sb_buf_addf(l->out, NULL, "refused %d %s\n", r->status, r->why) != SB_OK) l->failed = true;
    l->is_over = true;
}

static size_t feed(log *l, const char *p, size_t n)
{
    size_t used;
    if (!l->is_begun) sb_intake_init(&l->in);
    l->is_begun = true;
    sb_intake_got got = sb_intake_feed(&l->in, p, n, &used);
    if (got == SB_INTAKE_HEAD) {
        put_head(l);
        size_t none;
        got = SB_INTAKE_REFUSED;
        if (sb_intake_allow(&l->in, l->max_body)) got = sb_intake_feed(&l->in, "", 0, &none);
    }
    if (got == SB_INTAKE_WHOLE) put_end(l);
    if (got == SB_INTAKE_REFUSED) put_refusal(l);
    return used;
}

static void feed_piece(log *l, const char *p, size_t n)
{
    char *exact = malloc(n);
    l->failed = l->failed || !exact;
    if (!exact) return;
    memcpy(exact, p, n);
    for (size_t at = 0; at < n && !l->is_over && !l->failed;)
        at += feed(l, exact + at, n - at);
    free(exact);
}

bool http_log(sb_buf *out, const char *p, size_t n, uint64_t max_body, http_cut cut, void *ctx)
{
    log l = {.out = out, .max_body = max_body};
    for (size_t at = 0; at < n && !l.is_over && !l.failed;) {
        size_t k = cut(ctx, at, n);
        if (k > n - at) k = n - at;
        feed_piece(&l, p + at, k);
        at += k;
    }
    if (l.is_begun) {
        if (!l.is_over) put_text(&l, "more\n");
        sb_intake_deinit(&l.in);
    }
    return !l.failed;
}

size_t http_cut_every(void *length, size_t at, size_t n)
{
    (void)at;
    (void)n;
    return *(const size_t *)length;
}

size_t http_cut_once(void *place, size_t at, size_t n)
{
    const size_t k = *(const size_t *)place;
    return at < k ? k - at : n - at;
}
