/* SPDX-License-Identifier: Apache-2.0
 * conn.c - one connection: what comes in is read into requests, what exchanges have goes out.
 *
 * Every event tries all that can be done (handshake, read, send), so that plain and TLS are one
 * path. A connection between requests holds no buffer. Bytes of the next request that come while
 * one is answered wait in `in`; the request behind it is read only when its turn comes. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "server/http/internal.h"
#include "server/http/target.h"

enum {
    READS_PER_EVENT = 4,       /* others want their turn */
    MAX_AHEAD_BYTES = 65536,   /* pipelined bytes before reading pauses */
    MAX_PIPED_BYTES = 262144,  /* while somebody waits for the client's end: then it is dropped */
    MAX_SKIPPED_BYTES = 65536, /* body of a refused request that is read for the next one's sake */
    IDLE_PARTIES = 16,         /* times in idle_ms that idle connections are closed */
    LINGER_MS = 2000           /* for the last reply to be read before the socket is closed */
};

static uint64_t ms(int n)
{
    return (uint64_t)n * 1000000u;
}

static void conn_input(sb_conn *c);
static void input_ended(sb_conn *c);
static bool is_reading(const sb_conn *c);

/* ---- the end ---- */

static void unset_events(sb_conn *c)
{
    if (c->reads) (void)event_del(&c->ev_read);
    if (c->writes) (void)event_del(&c->ev_write);
    c->reads = c->writes = false;
}

static void end_exchange(sb_conn *c, bool gone)
{
    sb_x *x = c->x;
    if (!x) return;
    c->x = NULL;
    x->conn = NULL;
    if (gone) sb_x_tell_gone(x);
    if (x->is_announced) {
        (void)pthread_mutex_lock(&x->relay->mu);
        const sb_http_outcome o = {x->status, gone, x->sent_bytes, x->begin_ns};
        (void)pthread_mutex_unlock(&x->relay->mu);
        c->http->n_exchanges--;
        if (c->http->o.on_done) c->http->o.on_done(c->http->o.ctx, x, &o);
    }
    sb_x_release(x);
}

void sb_conn_drop(sb_conn *c)
{
    sb_http *h = c->http;
    if (c->phase == SB_PHASE_DEAD) return;
    c->phase = SB_PHASE_DEAD;
    unset_events(c);
    end_exchange(c, true);
    if (c->prev)
        c->prev->next = c->next;
    else
        h->conns = c->next;
    if (c->next) c->next->prev = c->prev;
    h->n_conns--;
    c->prev = NULL;
    c->next = h->dead;
    h->dead = c;
}

void sb_conn_free(sb_conn *c)
{
    sb_tls_close(c->ssl);
    (void)close(c->fd);
    sb_queue_deinit(&c->in);
    sb_queue_deinit(&c->out);
    sb_free(c);
}

/* So that the client sees a break and not an end. */
static void reset(sb_conn *c)
{
    static const struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    sb_conn_drop(c);
}

/* ---- out ---- */

static void begin_closing(sb_conn *c)
{
    c->phase = SB_PHASE_CLOSING;
    c->since_ns = sb_now_ns();
    sb_queue_deinit(&c->in);
}

static void shut_when_sent(sb_conn *c)
{
    if (c->phase != SB_PHASE_CLOSING || c->out.n) return;
    if (!c->is_shut) sb_link_shut(c->fd, c->ssl);
    if (!c->is_shut) c->since_ns = sb_now_ns();
    c->is_shut = true;
    if (c->is_eof) sb_conn_drop(c);
}

static void finish(sb_conn *c)
{
    sb_x *x = c->x;
    (void)pthread_mutex_lock(&x->relay->mu);
    const bool closes = x->closes;
    (void)pthread_mutex_unlock(&x->relay->mu);
    end_exchange(c, false);
    sb_queue_deinit(&c->out);
    if (closes || c->http->is_draining || (c->is_eof && !c->in.n)) {
        begin_closing(c);
        return;
    }
    c->phase = SB_PHASE_IDLE;
    c->since_ns = sb_now_ns();
    conn_input(c);
    if (c->is_eof && is_reading(c)) input_ended(c); // the rest of it will not come
}

static bool is_reply_sent(sb_conn *c)
{
    if (!c->x || c->phase != SB_PHASE_REPLY || c->out.n) return false;
    (void)pthread_mutex_lock(&c->x->relay->mu);
    const bool all = c->x->stage == SB_X_ENDED && !c->x->out.n;
    (void)pthread_mutex_unlock(&c->x->relay->mu);
    return all;
}

static void send_out(sb_conn *c)
{
    while (c->out.n && c->phase != SB_PHASE_DEAD) {
        const ssize_t k = sb_link_send(c->fd, c->ssl, c->out.p + c->out.at, c->out.n);
        if (k == SB_LINK_BROKEN) sb_conn_drop(c);
        if (k <= 0) return;
        sb_queue_take(&c->out, (size_t)k);
        c->taken_ns = sb_now_ns();
        if (c->x) c->x->sent_bytes += (uint64_t)k;
    }
}

/* Adds to what goes out; the stall is counted from now when nothing waited. */
static bool put_out(sb_conn *c, const char *p, size_t n)
{
    if (!c->out.n) c->taken_ns = sb_now_ns();
    return sb_queue_add(&c->out, p, n);
}

/* ---- refusing ---- */

/* The path as far as it is known; for whoever words the refusal. */
static sb_str path_of(const sb_x *x, sb_buf *space)
{
    const sb_str target = x ? sb_head_target(&x->in.head) : (sb_str){0};
    sb_str query;
    sb_buf_init(space, SB_MAX_REQUEST_TARGET_BYTES, "path");
    if (!target.n || target.p[0] != '/') return (sb_str){"", 0};
    if (sb_target_parse(target, space, &query).status) return (sb_str){"", 0};
    return (sb_str){space->p, space->n};
}

static bool put_refusal(sb_conn *c, int status, const char *why)
{
    const sb_http_opts *o = &c->http->o;
    const bool has_id = c->x && c->x->id[0];
    sb_buf body, space;
    sb_buf_init(&body, SB_MAX_REFUSAL_BYTES, "refusal");
    const sb_str path = path_of(c->x, &space);
    const char *type = o->on_refused ? o->on_refused(o->ctx, status, why, path, &body) : NULL;
    if (!type) {
        type = "text/plain; charset=utf-8";
        sb_buf_clear(&body);
        if (sb_buf_addf(&body, NULL, "%s\n", why) != SB_OK) sb_buf_clear(&body);
    }
    const sb_str retry = {"Retry-After: 1\r\n", status == 503 ? 16 : 0};
    const sb_reply r = {.status = status,
                        .minor = 1,
                        .framing = SB_FRAMED_LENGTH,
                        .length = body.n,
                        .type = type,
                        .id = has_id ? c->x->id : NULL,
                        .own = retry,
                        .closes = true};
    const bool is_head = c->x && sb_head_method(&c->x->in.head).n == 4 &&
                         memcmp(sb_head_method(&c->x->in.head).p, "HEAD", 4) == 0;
    c->taken_ns = sb_now_ns();
    const bool ok =
        sb_reply_head(&c->out, &r) && (is_head || sb_queue_add(&c->out, body.p, body.n));
    sb_buf_deinit(&body);
    sb_buf_deinit(&space);
    return ok;
}

/* Says why and closes; when a reply is under way already, closes. */
static void refuse(sb_conn *c, int status, const char *why)
{
    c->http->stats.n_refused++;
    if ((c->x && !sb_x_claim(c->x, status)) || !put_refusal(c, status, why)) {
        sb_conn_drop(c);
        return;
    }
    end_exchange(c, true);
    begin_closing(c);
    send_out(c);
    shut_when_sent(c);
}

/* ---- in ---- */

static bool wants_input(const sb_conn *c)
{
    if (c->is_eof) return false;
    if (c->phase == SB_PHASE_DEAD) return false;
    if (c->phase != SB_PHASE_REPLY) return true;
    return c->in.n < MAX_AHEAD_BYTES || sb_x_is_watched(c->x);
}

/* Whether the connection ends with this request, as far as that is known. With a body to come, it
 * does if the handler replies without it: unless it is small enough to be read and thrown away. */
static bool ends_here(const sb_conn *c, bool is_whole)
{
    const sb_head *h = &c->x->in.head;
    if (!h->keep_alive || c->http->is_draining) return true;
    return !is_whole && (h->chunked || h->expects || h->length > MAX_SKIPPED_BYTES);
}

static void request_whole(sb_conn *c)
{
    sb_http *h = c->http;
    sb_x *x = c->x;
    c->phase = SB_PHASE_REPLY;
    if (sb_x_has_reply(x)) {
        sb_relay_poke(x);
        return;
    }
    sb_x_set_closes(x, ends_here(c, true));
    x->request.body = (sb_str){x->in.body.p ? x->in.body.p : "", x->in.body.n};
    h->stats.n_requests++;
    sb_x_hold(x);
    h->o.on_request(h->o.ctx, x, &x->request);
}

/* The handler has replied without the body: it is skipped, or the connection ends. */
static void skip_body(sb_conn *c)
{
    if (ends_here(c, false)) {
        c->phase = SB_PHASE_REPLY;
        return;
    }
    sb_intake_drop(&c->x->in);
    sb_x_set_closes(c->x, ends_here(c, true));
}

static void head_whole(sb_conn *c)
{
    sb_http *h = c->http;
    sb_x *x = c->x;
    c->phase = SB_PHASE_BODY;
    c->since_ns = sb_now_ns();
    const sb_refusal why = sb_x_prepare(x, &h->proxies, c->peer, c->ssl != NULL, c->is_unix);
    if (why.status) {
        refuse(c, why.status, why.why);
        return;
    }
    const bool has_body = x->in.head.chunked || x->in.head.length;
    sb_x_set_closes(x, ends_here(c, !has_body));
    x->is_announced = true;
    h->n_exchanges++;
    int64_t max = h->o.on_head(h->o.ctx, x, &x->request);
    const bool replied = sb_x_has_reply(x);
    if (max < 0 && !replied) {
        refuse(c, 500, "the request was refused without a word");
        return;
    }
    if (max < 0 || (uint64_t)max > h->o.max_body_bytes) max = (int64_t)h->o.max_body_bytes;
    if (!sb_intake_allow(&x->in, replied ? UINT64_MAX : (uint64_t)max)) {
        refuse(c, x->in.refusal.status, x->in.refusal.why);
        return;
    }
    if (replied && has_body) {
        skip_body(c);
        return;
    }
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (x->in.head.expects && has_body && !put_out(c, go_on, sizeof go_on - 1)) sb_conn_drop(c);
}

static void handle(sb_conn *c, sb_intake_got got)
{
    sb_x *x = c->x;
    switch (got) {
    case SB_INTAKE_MORE:
        if (c->phase == SB_PHASE_BODY && !sb_x_charge(x, c->http->o.max_bodies_bytes))
            refuse(c, 503, "too many bodies are under way");
        break;
    case SB_INTAKE_HEAD: {
        size_t used;
        head_whole(c);
        if (c->phase == SB_PHASE_BODY && !x->in.head.chunked && !x->in.head.length)
            handle(c, sb_intake_feed(&x->in, "", 0, &used));
        break;
    }
    case SB_INTAKE_WHOLE:
        if (sb_x_charge(x, c->http->o.max_bodies_bytes))
            request_whole(c);
        else
            refuse(c, 503, "too many bodies are under way");
        break;
    case SB_INTAKE_REFUSED:
        refuse(c, x->in.refusal.status, x->in.refusal.why);
        break;
    }
}

static bool is_reading(const sb_conn *c)
{
    return c->phase == SB_PHASE_IDLE || c->phase == SB_PHASE_HEAD || c->phase == SB_PHASE_BODY;
}

/* Reads requests out of p[n] until one is to be answered; bytes taken. */
static size_t consume(sb_conn *c, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && is_reading(c)) {
        if (!c->x) {
            if (c->phase == SB_PHASE_IDLE) c->since_ns = sb_now_ns();
            c->phase = SB_PHASE_HEAD;
            c->x = sb_x_new(c->http->relay);
            if (!c->x) {
                sb_conn_drop(c);
                return n;
            }
            c->x->conn = c;
        }
        size_t used;
        const sb_intake_got got = sb_intake_feed(&c->x->in, p + at, n - at, &used);
        at += used;
        handle(c, got);
    }
    return c->phase == SB_PHASE_CLOSING || c->phase == SB_PHASE_DEAD ? n : at;
}

/* Reads on in what came early. */
static void conn_input(sb_conn *c)
{
    if (!c->in.n) return;
    sb_queue in = c->in; // refusing empties c->in
    c->in = (sb_queue){0};
    sb_queue_take(&in, consume(c, in.p + in.at, in.n));
    if (in.n)
        c->in = in;
    else
        sb_queue_deinit(&in);
}

static void take(sb_conn *c, const char *p, size_t n)
{
    if (c->phase == SB_PHASE_CLOSING) return;
    const size_t used = c->in.n ? 0 : consume(c, p, n);
    if (c->phase == SB_PHASE_DEAD || c->phase == SB_PHASE_CLOSING || used == n) return;
    if (!sb_queue_add(&c->in, p + used, n - used) || c->in.n > MAX_PIPED_BYTES) sb_conn_drop(c);
}

static void input_ended(sb_conn *c)
{
    c->is_eof = true;
    switch (c->phase) {
    case SB_PHASE_HANDSHAKE:
    case SB_PHASE_IDLE:
        sb_conn_drop(c);
        break;
    case SB_PHASE_HEAD:
    case SB_PHASE_BODY:
        if (c->x)
            refuse(c, 400, "the request ended early");
        else
            sb_conn_drop(c);
        break;
    case SB_PHASE_REPLY:
        if (sb_x_is_watched(c->x)) sb_conn_drop(c);
        break;
    case SB_PHASE_CLOSING:
        shut_when_sent(c);
        break;
    case SB_PHASE_DEAD:
        break;
    }
}

static void read_some(sb_conn *c, bool *wants_write)
{
    sb_http *h = c->http;
    for (int i = 0; i < READS_PER_EVENT && wants_input(c); i++) {
        const ssize_t k = sb_link_recv(c->fd, c->ssl, h->scratch, SB_SCRATCH_BYTES);
        if (k == SB_LINK_EOF) {
            input_ended(c);
            return;
        }
        if (k == SB_LINK_BROKEN) sb_conn_drop(c);
        *wants_write = k == SB_LINK_WANTS_WRITE;
        if (k < 0) return;
        take(c, h->scratch, (size_t)k);
        if (!c->ssl && k < SB_SCRATCH_BYTES) return; // that was all
    }
}

/* ---- events ---- */

static bool set_event(struct event *ev, bool *is_set, bool wanted)
{
    if (*is_set == wanted) return true;
    *is_set = wanted;
    return (wanted ? event_add(ev, NULL) : event_del(ev)) == 0;
}

/* Waits for what may happen next. */
static void await(sb_conn *c, bool wants_write)
{
    if (c->phase == SB_PHASE_DEAD) return;
    if (!set_event(&c->ev_read, &c->reads, wants_input(c)) ||
        !set_event(&c->ev_write, &c->writes, wants_write || c->out.n > 0)) {
        sb_conn_drop(c);
        return;
    }
    sb_deadline_want(c->http, sb_conn_deadline(c));
}

static bool shake_hands(sb_conn *c, bool *wants_write)
{
    if (c->phase != SB_PHASE_HANDSHAKE) return true;
    const int k = sb_link_handshake(c->ssl);
    *wants_write = k == SB_LINK_WANTS_WRITE;
    if (k == 1) c->phase = SB_PHASE_HEAD;
    if (k == SB_LINK_BROKEN || k == SB_LINK_EOF) sb_conn_drop(c);
    return k == 1;
}

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
    sb_conn *c = ctx;
    sb_http *h = c->http;
    bool wants_write = false;
    (void)fd;
    (void)what;
    sb_relay_enter(h->relay);
    if (shake_hands(c, &wants_write)) {
        read_some(c, &wants_write);
        if (c->phase != SB_PHASE_DEAD) sb_conn_serve(c);
    }
    await(c, wants_write);
    sb_http_settle(h);
    sb_relay_leave(h->relay);
}

void sb_conn_serve(sb_conn *c)
{
    if (c->x && !sb_x_take(c->x, &c->out, &c->taken_ns)) {
        if (c->x->is_slow) c->http->stats.n_dropped_slow++; // written under the lock, read after it
        reset(c);
        return;
    }
    send_out(c);
    if (c->phase == SB_PHASE_DEAD) return;
    if (c->x && c->is_eof && c->phase == SB_PHASE_REPLY && sb_x_is_watched(c->x)) {
        sb_conn_drop(c);
        return;
    }
    if (c->x) sb_x_tell_backlog(c->x, c->out.n);
    if (is_reply_sent(c)) finish(c);
    shut_when_sent(c);
    await(c, false);
}

/* ---- time ---- */

uint64_t sb_conn_deadline(const sb_conn *c)
{
    const sb_http_opts *o = &c->http->o;
    const uint64_t stall = c->taken_ns + ms(o->stall_ms);
    switch (c->phase) {
    case SB_PHASE_HANDSHAKE:
    case SB_PHASE_HEAD:
        return c->since_ns + ms(o->head_ms);
    case SB_PHASE_IDLE: { // so that a crowd that falls idle leaves in a few parties
        const uint64_t grid = ms(o->idle_ms) / IDLE_PARTIES + 1;
        return (c->since_ns + ms(o->idle_ms) + grid - 1) / grid * grid;
    }
    case SB_PHASE_BODY:
        return c->since_ns + ms(o->head_ms) +
               (uint64_t)((double)c->x->in.n_body / 1048576.0 * (double)ms(o->body_ms_per_mib));
    case SB_PHASE_REPLY: {
        const uint64_t ping = sb_x_ping_at(c->x);
        if (!c->out.n) return ping;
        return ping && ping < stall ? ping : stall;
    }
    case SB_PHASE_CLOSING:
        return c->is_shut ? c->since_ns + ms(LINGER_MS) : stall;
    case SB_PHASE_DEAD:
        break;
    }
    return 0;
}

void sb_conn_expire(sb_conn *c)
{
    sb_http_stats *s = &c->http->stats;
    switch (c->phase) {
    case SB_PHASE_HEAD:
    case SB_PHASE_BODY:
        s->n_timed_out++;
        s->n_refused--; // counted once
        refuse(c, 408, "the request took too long to come");
        await(c, false);
        break;
    case SB_PHASE_REPLY:
        if (c->out.n && c->taken_ns + ms(c->http->o.stall_ms) <= sb_now_ns()) {
            s->n_dropped_slow++;
            reset(c);
        } else {
            sb_x_ping(c->x);
        }
        break;
    case SB_PHASE_CLOSING:
        if (!c->is_shut) s->n_dropped_slow++;
        sb_conn_drop(c);
        break;
    case SB_PHASE_HANDSHAKE:
        s->n_timed_out++;
        sb_conn_drop(c);
        break;
    case SB_PHASE_IDLE:
        sb_conn_drop(c);
        break;
    case SB_PHASE_DEAD:
        break;
    }
}

void sb_conn_drain(sb_conn *c)
{
    if (c->phase == SB_PHASE_HANDSHAKE) {
        sb_conn_drop(c);
    } else if (c->phase == SB_PHASE_IDLE || (c->phase == SB_PHASE_HEAD && !c->x)) {
        begin_closing(c);
        shut_when_sent(c);
        await(c, false);
    } else if (c->x) {
        sb_x_set_closes(c->x, true);
    }
}

/* ---- the beginning ---- */

void sb_conn_new(sb_http *h, int fd, const char *peer, bool is_unix, bool is_over)
{
    sb_conn *c = sb_calloc(1, sizeof *c);
    struct ssl_st *ssl = c && h->tls ? sb_tls_accept(h->tls, fd) : NULL;
    if (!c || (h->tls && !ssl)) {
        sb_free(c);
        (void)close(fd);
        return;
    }
    *c = (sb_conn){.http = h, .fd = fd, .ssl = ssl, .is_unix = is_unix, .next = h->conns};
    memcpy(c->peer, peer, strlen(peer) + 1);
    c->phase = ssl ? SB_PHASE_HANDSHAKE : SB_PHASE_HEAD;
    c->since_ns = sb_now_ns();
    if (h->conns) h->conns->prev = c;
    h->conns = c;
    h->n_conns++;
    event_assign(&c->ev_read, h->base, fd, EV_READ | EV_PERSIST, on_event, c);
    event_assign(&c->ev_write, h->base, fd, EV_WRITE | EV_PERSIST, on_event, c);
    if (is_over && ssl) {
        h->stats.n_refused++;
        sb_conn_drop(c); // a handshake only to say no is what an attacker wants
    } else if (is_over) {
        refuse(c, 503, "too many connections");
    }
    await(c, false);
}
