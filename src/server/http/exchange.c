/* SPDX-License-Identifier: Apache-2.0
 * exchange.c - one exchange: what any thread does to it is noted under the relay's lock, and the
 * loop sends it.
 *
 * A lock for each exchange was refused: the engine writes to all its streams in one step, and one
 * lock that is held for a copy of some bytes is cheaper than many. */
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "server/http/internal.h"

/* What a stream may leave unsent beyond its backlog before it is broken off: its writer was told
 * to stop and did not. */
enum { RUNAWAY_BYTES = 16 << 20 };

static void lock(const sb_x *x)
{
    (void)pthread_mutex_lock(&x->relay->mu);
}

static void unlock(const sb_x *x)
{
    (void)pthread_mutex_unlock(&x->relay->mu);
}

/* ---- life ---- */

sb_x *sb_x_new(sb_relay *relay)
{
    sb_x *x = sb_calloc(1, sizeof *x);
    if (!x) return NULL;
    x->relay = relay;
    x->begin_ns = sb_now_ns();
    atomic_fetch_add(&relay->refs, 1);
    atomic_init(&x->refs, 1);
    sb_intake_init(&x->in);
    sb_buf_init(&x->own, SB_MAX_REPLY_HEADER_BYTES, "headers of a reply");
    sb_buf_init(&x->keep_alive, SB_MAX_REFUSAL_BYTES, "keep-alive of a stream");
    return x;
}

void sb_x_hold(sb_x *x)
{
    atomic_fetch_add(&x->refs, 1);
}

void sb_x_release(sb_x *x)
{
    if (!x || atomic_fetch_sub(&x->refs, 1) != 1) return;
    sb_relay *relay = x->relay;
    atomic_fetch_sub(&relay->body_bytes, x->charged_bytes);
    sb_intake_deinit(&x->in);
    sb_free(x->headers);
    sb_free(x->joined);
    sb_buf_deinit(&x->own);
    sb_buf_deinit(&x->keep_alive);
    sb_queue_deinit(&x->out);
    sb_free(x);
    sb_relay_release(relay);
}

const sb_http_request *sb_x_request(const sb_x *x)
{
    return &x->request;
}

const char *sb_x_id(const sb_x *x)
{
    return x->id;
}

uint64_t sb_x_begin_ns(const sb_x *x)
{
    return x->begin_ns;
}

void sb_x_set_user(sb_x *x, void *user)
{
    atomic_store(&x->user, user);
}

void *sb_x_user(const sb_x *x)
{
    return atomic_load(&x->user);
}

bool sb_x_charge(sb_x *x, size_t max_bytes)
{
    const size_t more = x->in.body.n - x->charged_bytes; // a body only grows
    x->charged_bytes += more;
    return atomic_fetch_add(&x->relay->body_bytes, more) + more <= max_bytes || !more;
}

/* ---- the request ---- */

sb_str sb_http_header_find(const sb_http_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (sb_http_equal(r->headers[i].name, name)) return r->headers[i].value;
    return (sb_str){0};
}

static bool same_name(const sb_head *h, size_t i, size_t k)
{
    const sb_str a = sb_head_name(h, i), b = sb_head_name(h, k);
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* Puts ", value" of every later line of this name behind the first one's; at: room in joined. */
static char *join(const sb_head *h, size_t i, sb_http_header *out, char *at)
{
    char *const begin = at;
    for (size_t k = i; k < sb_head_n_fields(h); k++) {
        const sb_str v = sb_head_value(h, k);
        if (!same_name(h, i, k)) continue;
        if (k != i) {
            memcpy(at, ", ", 2);
            at += 2;
        }
        memcpy(at, v.p, v.n);
        at += v.n;
    }
    out->value = (sb_str){begin, (size_t)(at - begin)};
    return at;
}

static size_t n_named(const sb_head *h, size_t i, size_t begin, size_t end)
{
    size_t n = 0;
    for (size_t k = begin; k < end; k++)
        n += same_name(h, i, k);
    return n;
}

static bool gather_headers(sb_x *x)
{
    const sb_head *h = &x->in.head;
    const size_t n = sb_head_n_fields(h);
    x->headers = sb_alloc(n, sizeof *x->headers);
    if (!x->headers) return false;
    char *at = NULL;
    x->request.n_headers = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_named(h, i, 0, i)) continue; // joined with the first
        sb_http_header *out = &x->headers[x->request.n_headers++];
        *out = (sb_http_header){sb_head_name(h, i), sb_head_value(h, i)};
        if (!n_named(h, i, i + 1, n)) continue;
        if (!at) at = x->joined = sb_alloc(h->text.n + 2 * n, 1);
        if (!at) return false;
        at = join(h, i, out, at);
    }
    x->request.headers = x->headers;
    return true;
}

/* Ids go into logs and headers as they are. */
static bool id_ok(sb_str s)
{
    if (!s.n || s.n > SB_MAX_REQUEST_ID_BYTES) return false;
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        const bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
        if (!ok) return false;
    }
    return true;
}

static void choose_id(sb_x *x)
{
    const sb_str given = sb_http_header_find(&x->request, "x-request-id");
    if (id_ok(given)) {
        memcpy(x->id, given.p, given.n);
        x->id[given.n] = 0;
        return;
    }
    unsigned char b[12];
    if (RAND_bytes(b, sizeof b) != 1) memset(b, 0, sizeof b); // an id is no secret
    memcpy(x->id, "req_", 4);
    for (size_t i = 0; i < sizeof b; i++)
        (void)snprintf(x->id + 4 + 2 * i, 3, "%02x", b[i]);
}

static void choose_peer(sb_x *x, const sb_proxies *proxies, const char *peer)
{
    memcpy(x->peer, peer, strlen(peer) + 1);
    if (!sb_proxies_trust(proxies, peer)) return;
    sb_proxies_client(proxies, sb_http_header_find(&x->request, "x-forwarded-for"), peer, x->peer);
    const sb_str proto = sb_http_header_find(&x->request, "x-forwarded-proto");
    if (proto.n) x->request.is_tls = sb_http_equal(proto, "https");
}

sb_refusal sb_x_prepare(sb_x *x, const sb_proxies *proxies, const char *peer, bool is_tls,
                        bool is_unix)
{
    sb_http_request *r = &x->request;
    if (!gather_headers(x)) return (sb_refusal){503, "no memory for the request"};
    r->method = sb_head_method(&x->in.head);
    r->path = (sb_str){x->in.path.p, x->in.path.n};
    r->query = x->in.query;
    r->is_tls = is_tls;
    r->is_unix = is_unix;
    choose_id(x);
    choose_peer(x, proxies, peer);
    r->peer = (sb_str){x->peer, strlen(x->peer)};
    return (sb_refusal){0};
}

/* ---- the reply ---- */

static bool is_head(const sb_x *x)
{
    return x->request.method.n == 4 && memcmp(x->request.method.p, "HEAD", 4) == 0;
}

void sb_x_header(sb_x *x, const char *name, const char *value)
{
    sb_reply_own(&x->own, name, value);
}

static sb_reply reply_of(const sb_x *x, int status, const char *type)
{
    return (sb_reply){.status = status,
                      .minor = x->in.head.minor,
                      .type = type,
                      .id = x->id,
                      .own = {x->own.p, x->own.n}};
}

/* False when it is too late for a reply. */
static bool may_reply(sb_x *x, bool *closes)
{
    lock(x);
    const bool may = x->stage == SB_X_NEW && !x->is_gone;
    *closes = x->closes;
    unlock(x);
    return may;
}

/* Moves a head (and body) that was built outside the lock into the exchange. */
static void publish(sb_x *x, sb_queue *q, bool ok, const sb_reply *r, sb_x_stage stage)
{
    lock(x);
    if (x->stage == SB_X_NEW && !x->is_gone) {
        x->stage = stage;
        x->status = r->status;
        x->framing = r->framing;
        x->closes = x->closes || r->closes;
        x->is_broken = !ok || !sb_queue_move(&x->out, q);
        x->write_ns = sb_now_ns();
        sb_relay_list(x);
    }
    unlock(x);
    sb_queue_deinit(q);
}

void sb_x_reply(sb_x *x, int status, const char *type, sb_str body)
{
    sb_reply r = reply_of(x, status, type);
    sb_queue q = {0};
    if (!may_reply(x, &r.closes)) return;
    r.length = body.n;
    r.framing = sb_reply_has_body(status) ? SB_FRAMED_LENGTH : SB_FRAMED_NONE;
    const bool with_body = r.framing == SB_FRAMED_LENGTH && !is_head(x);
    const bool ok = sb_reply_head(&q, &r) && (!with_body || sb_queue_add(&q, body.p, body.n));
    publish(x, &q, ok, &r, SB_X_ENDED);
}

void sb_x_begin(sb_x *x, int status, const char *type, sb_str keep_alive, int keep_alive_ms)
{
    sb_reply r = reply_of(x, status, type);
    sb_queue q = {0};
    if (!may_reply(x, &r.closes)) return;
    r.framing = r.minor ? SB_FRAMED_CHUNKED : SB_FRAMED_CLOSE;
    r.closes = r.closes || !r.minor;
    bool ok = sb_reply_head(&q, &r);
    if (is_head(x)) r.framing = SB_FRAMED_NONE; // the head alone, as it would be
    if (ok && keep_alive.n && keep_alive_ms > 0) {
        ok = sb_buf_add(&x->keep_alive, keep_alive.p, keep_alive.n, NULL) == SB_OK;
        x->keep_alive_ns = (uint64_t)keep_alive_ms * 1000000u;
    }
    publish(x, &q, ok, &r, SB_X_BEGUN);
}

/* One piece of a stream, framed; under the lock. */
static bool put_piece(sb_x *x, sb_str s)
{
    if (x->framing == SB_FRAMED_NONE || !s.n) return true;
    if (x->framing == SB_FRAMED_CLOSE) return sb_queue_add(&x->out, s.p, s.n);
    char size[24];
    const int n = snprintf(size, sizeof size, "%zx\r\n", s.n);
    size_t all;
    return !ckd_add(&all, s.n, (size_t)n + 2) && sb_queue_reserve(&x->out, all) &&
           sb_queue_add(&x->out, size, (size_t)n) && sb_queue_add(&x->out, s.p, s.n) &&
           sb_queue_add(&x->out, "\r\n", 2);
}

void sb_x_write(sb_x *x, sb_str bytes)
{
    lock(x);
    if (x->stage == SB_X_BEGUN && !x->is_gone && !x->is_broken) {
        if (!put_piece(x, bytes)) x->is_broken = true; // a stream with a hole is worse than none
        if (x->out.n + x->n_unsent > x->relay->backlog_bytes + RUNAWAY_BYTES)
            x->is_broken = x->is_slow = true;
        x->write_ns = sb_now_ns();
        sb_relay_list(x);
    }
    unlock(x);
}

void sb_x_end(sb_x *x)
{
    lock(x);
    if (x->stage == SB_X_BEGUN && !x->is_gone) {
        x->stage = SB_X_ENDED;
        if (x->framing == SB_FRAMED_CHUNKED && !sb_queue_add(&x->out, "0\r\n\r\n", 5))
            x->is_broken = true;
        sb_relay_list(x);
    }
    unlock(x);
}

void sb_x_abort(sb_x *x)
{
    lock(x);
    if (!x->is_gone) {
        x->stage = SB_X_ENDED;
        x->is_broken = true;
        sb_relay_list(x);
    }
    unlock(x);
}

void sb_x_watch(sb_x *x, void (*on_full)(void *ctx, bool full), void (*on_gone)(void *ctx),
                void *ctx)
{
    lock(x);
    x->on_full = on_full;
    x->on_gone = on_gone;
    x->watch_ctx = ctx;
    x->is_full = false;
    if (on_gone || on_full) sb_relay_list(x); // what has happened already is told by the loop
    unlock(x);
}

bool sb_x_is_gone(const sb_x *x)
{
    lock(x);
    const bool gone = x->is_gone;
    unlock(x);
    return gone;
}

/* ---- the loop's side ---- */

void sb_x_set_closes(sb_x *x, bool c)
{
    lock(x);
    x->closes = c;
    unlock(x);
}

bool sb_x_has_reply(sb_x *x)
{
    lock(x);
    const bool has = x->stage != SB_X_NEW;
    unlock(x);
    return has;
}

bool sb_x_claim(sb_x *x, int status)
{
    lock(x);
    const bool ours = x->stage == SB_X_NEW && !x->is_gone;
    if (ours) {
        x->is_gone = true; // whatever the handler does from now on comes too late
        x->status = status;
    }
    unlock(x);
    return ours;
}

uint64_t sb_x_ping_at(sb_x *x)
{
    lock(x);
    const bool runs = x->stage == SB_X_BEGUN && x->keep_alive_ns;
    const uint64_t at = runs ? x->write_ns + x->keep_alive_ns : 0;
    unlock(x);
    return at;
}

void sb_x_ping(sb_x *x)
{
    lock(x);
    if (x->stage == SB_X_BEGUN && !x->is_broken) {
        const bool waits = x->out.n || x->n_unsent; // a slow reader needs no ping
        if (!waits && !put_piece(x, (sb_str){x->keep_alive.p, x->keep_alive.n}))
            x->is_broken = true;
        x->write_ns = sb_now_ns();
        sb_relay_list(x);
    }
    unlock(x);
}

bool sb_x_is_watched(sb_x *x)
{
    lock(x);
    const bool watched = x->on_gone && x->stage != SB_X_ENDED;
    unlock(x);
    return watched;
}

bool sb_x_take(sb_x *x, sb_queue *to, uint64_t *taken_ns)
{
    lock(x);
    if (!to->n && x->out.n) *taken_ns = sb_now_ns();
    const bool ok = !x->is_broken && sb_queue_move(to, &x->out);
    x->n_unsent = to->n;
    unlock(x);
    return ok;
}

void sb_x_tell_gone(sb_x *x)
{
    lock(x);
    x->is_gone = true;
    void (*tell)(void *ctx) = x->is_gone_told || x->stage == SB_X_ENDED ? NULL : x->on_gone;
    void *ctx = x->watch_ctx;
    if (tell) x->is_gone_told = true;
    sb_queue_deinit(&x->out);
    unlock(x);
    if (tell) tell(ctx);
}

void sb_x_tell_backlog(sb_x *x, size_t n_unsent)
{
    lock(x);
    x->n_unsent = n_unsent;
    const size_t n = x->out.n + n_unsent, max = x->relay->backlog_bytes;
    const bool full = x->is_full ? n > max / 2 : n > max;
    void (*tell)(void *ctx, bool full) =
        full != x->is_full && x->stage == SB_X_BEGUN ? x->on_full : NULL;
    void *ctx = x->watch_ctx;
    if (x->stage == SB_X_BEGUN) x->is_full = full;
    unlock(x);
    if (tell) tell(ctx, full);
}
