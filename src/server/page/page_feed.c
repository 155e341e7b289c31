/* SPDX-License-Identifier: Apache-2.0
 * page_feed.c - the feeds: what happens, told to every browser of its owner.
 *
 * A feed is one open event stream. It is told of the owner's conversations, and of all that an
 * answer says in the one it shows. Nothing is kept for a reader that is slow or away: its feed
 * ends, it comes back, says how much of the answer it has, and gets the rest. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/page/page_in.h"

enum { RETRY_MS = 500 }; /* after which a browser whose feed ended comes back */

static uint64_t *revision_of(sb_page *p, sb_owner owner)
{
    for (size_t i = 0; i < p->n_revisions; i++)
        if (p->revisions[i].owner == owner) return &p->revisions[i].n;
    sb_page_revision *more = sb_realloc(p->revisions, p->n_revisions + 1, sizeof p->revisions[0]);
    if (!more) return NULL;
    p->revisions = more;
    more[p->n_revisions] = (sb_page_revision){.owner = owner};
    return &more[p->n_revisions++].n;
}

/* A frame of the stream. */
static sb_status frame(sb_buf *b, const char *event, sb_str data)
{
    sb_buf_init(b, (size_t)SB_MAX_REPLY_BYTES, "event");
    SB_TRY(sb_buf_addf(b, NULL, "event: %s\n", event));
    SB_TRY(sb_buf_add(b, "data: ", 6, NULL));
    SB_TRY(sb_buf_add(b, data.p, data.n, NULL));
    return sb_buf_add(b, "\n\n", 2, NULL);
}

/* What cannot be said for want of memory is missed: the reader's feed ends, and it asks anew. */
static void write_to(sb_page_feed *f, const sb_buf *b, sb_status st)
{
    if (st == SB_OK)
        sb_x_write(f->x, (sb_str){b->p, b->n});
    else
        sb_x_end(f->x);
}

void sb_page_tell(sb_page *p, sb_owner owner, const char *conv, const char *event, sb_str data,
                  bool counts)
{
    if (counts) {
        uint64_t *n = revision_of(p, owner);
        if (n) (*n)++;
    }
    sb_buf b = {0};
    sb_status st = SB_OK;
    for (sb_page_feed *f = p->feeds; f; f = f->next) {
        if (f->owner != owner || (conv && strcmp(conv, f->conv) != 0)) continue;
        if (!b.p && st == SB_OK) st = frame(&b, event, data);
        write_to(f, &b, st);
    }
    sb_buf_deinit(&b);
}

void sb_page_tell_to(sb_page *p, sb_page_feed *only, sb_owner owner, const char *conv,
                     const char *event, sb_str data)
{
    if (!only) {
        sb_page_tell(p, owner, conv, event, data, false);
        return;
    }
    sb_buf b = {0};
    const sb_status st = frame(&b, event, data);
    write_to(only, &b, st);
    sb_buf_deinit(&b);
}

void sb_page_tell_all(sb_page *p, const char *event, sb_str data)
{
    sb_buf b = {0};
    const sb_status st = p->feeds ? frame(&b, event, data) : SB_OK;
    for (sb_page_feed *f = p->feeds; f; f = f->next)
        write_to(f, &b, st);
    sb_buf_deinit(&b);
}

/* ---- one feed ---- */

static void unlink_feed(sb_page_feed *f)
{
    pthread_mutex_lock(&f->page->lock);
    sb_page_feed **at = &f->page->feeds;
    while (*at && *at != f)
        at = &(*at)->next;
    if (*at) *at = f->next;
    pthread_mutex_unlock(&f->page->lock);
}

static void drop_feed(sb_page_feed *f)
{
    unlink_feed(f);
    sb_x_release(f->x);
    sb_free(f);
}

static void on_gone(void *ctx)
{
    drop_feed(ctx);
}

static void on_full(void *ctx, bool full)
{
    sb_page_feed *f = ctx;
    if (!full) return;
    sb_x_watch(f->x, NULL, NULL, NULL);
    sb_x_end(f->x); // what waits is still sent: a reset would take it, and show as a failure
    drop_feed(f);
}

void sb_page_stop(sb_page *p)
{
    for (;;) {
        pthread_mutex_lock(&p->lock);
        sb_page_feed *f = p->feeds;
        if (f) p->feeds = f->next;
        pthread_mutex_unlock(&p->lock);
        if (!f) return;
        sb_x_watch(f->x, NULL, NULL, NULL);
        sb_x_end(f->x);
        sb_x_release(f->x);
        sb_free(f);
    }
}

/* ---- what a new feed is told ---- */

/* "MESSAGE:REASONING:TEXT": an answer and how many bytes of it a browser has. */
typedef struct have {
    int64_t msg, reasoning, text;
} have;

static void read_have(sb_str s, have *out)
{
    int64_t *const fields[] = {&out->msg, &out->reasoning, &out->text};
    for (size_t i = 0; i < SB_ARRAY_LEN(fields); i++) {
        size_t n = 0;
        while (n < s.n && s.p[n] != ':')
            n++;
        if (!sb_page_digits((sb_str){s.p, n}, fields[i])) {
            *out = (have){0, 0, 0};
            return;
        }
        s = n < s.n ? (sb_str){s.p + n + 1, s.n - n - 1} : (sb_str){s.p + n, 0};
    }
}

/* The bytes a browser lacks; all of them when what it claims cannot be. */
static sb_status tell_rest(sb_page_feed *f, const sb_page_answer *a, const char *kind,
                           const sb_buf *all, int64_t known)
{
    size_t at = known >= 0 && (uint64_t)known <= all->n ? (size_t)known : 0;
    if (at < all->n && ((unsigned char)all->p[at] & 0xC0) == 0x80) at = 0;
    if (at == all->n) return SB_OK;
    sb_buf data, out = {0};
    sb_buf_init(&data, (size_t)SB_MAX_REPLY_BYTES, "event");
    sb_jw w;
    sb_jw_begin(&w, &data, NULL);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "conversation", a->conv);
    char id[SB_PAGE_ID_TEXT_BYTES];
    (void)snprintf(id, sizeof id, "%lld", (long long)a->msg);
    sb_jw_put_word(&w, "message", id);
    sb_jw_put_word(&w, "kind", kind);
    sb_jw_put_int(&w, "at", (int64_t)at);
    sb_jw_put_text(&w, "text", (sb_str){all->p + at, all->n - at});
    sb_jw_close(&w, '}');
    sb_status st = sb_jw_end(&w);
    if (st == SB_OK) st = frame(&out, "delta", (sb_str){data.p, data.n});
    write_to(f, &out, st);
    sb_buf_deinit(&out);
    sb_buf_deinit(&data);
    return st;
}

/* The state of things: the revision, and the rest of every answer that grows in what is shown. */
static void greet(sb_page_feed *f, const have *h)
{
    sb_page *p = f->page;
    char text[128];
    const uint64_t *n = revision_of(p, f->owner);
    (void)snprintf(text, sizeof text, "retry: %d\n\n", RETRY_MS);
    sb_x_write(f->x, (sb_str){text, strlen(text)});
    (void)snprintf(text, sizeof text, "{\"revision\":\"%s-%llu\"}", p->boot,
                   (unsigned long long)(n ? *n : 0));
    sb_buf b = {0};
    sb_status st = frame(&b, "hello", (sb_str){text, strlen(text)});
    write_to(f, &b, st);
    sb_buf_deinit(&b);
    bool met = h->msg == 0;
    for (sb_page_answer *a = p->answers; a; a = a->next) {
        if (a->who.owner != f->owner || strcmp(a->conv, f->conv) != 0) continue;
        const bool same = a->msg == h->msg;
        met = met || same;
        const bool known = a->phase != SB_PAGE_QUEUED || a->place >= 0;
        if (known && a->phase != SB_PAGE_ANSWER) sb_page_tell_phase(a, f);
        if (tell_rest(f, a, "reasoning", &a->reasoning, same ? h->reasoning : 0) != SB_OK ||
            tell_rest(f, a, "text", &a->text, same ? h->text : 0) != SB_OK)
            return;
    }
    if (met) return;
    // The answer it saw growing is over: it is in the data base.
    (void)snprintf(text, sizeof text, "{\"conversation\":\"%s\",\"message\":\"%lld\"}", f->conv,
                   (long long)h->msg);
    b = (sb_buf){0};
    st = frame(&b, "ended", (sb_str){text, strlen(text)});
    write_to(f, &b, st);
    sb_buf_deinit(&b);
}

static void query(const sb_page_call *c, const char *key, char *out, size_t out_bytes)
{
    sb_buf b;
    sb_buf_init(&b, out_bytes, "query");
    if (sb_http_query_find(sb_x_request(c->x)->query, key, &b) && b.n < out_bytes &&
        !memchr(b.p, 0, b.n))
        memcpy(out, b.p, b.n + 1);
    sb_buf_deinit(&b);
}

sb_status sb_page_events(sb_page_call *c)
{
    if (!sb_server_is_open(c->page->sv))
        return sb_page_fail(c, SB_BUSY, "", "the server is going down");
    sb_page_feed *f = sb_calloc(1, sizeof *f);
    if (!f) return sb_page_fail(c, SB_NO_MEMORY, "", "no memory");
    f->page = c->page;
    f->x = c->x;
    f->owner = c->who.owner;
    query(c, "c", f->conv, sizeof f->conv);
    char text[3 * SB_PAGE_ID_TEXT_BYTES] = "";
    query(c, "have", text, sizeof text);
    have h = {0, 0, 0};
    read_have((sb_str){text, strlen(text)}, &h);
    sb_x_hold(f->x);
    c->replied = true;
    sb_x_begin(f->x, 200, "text/event-stream", (sb_str){NULL, 0}, 0);
    pthread_mutex_lock(&c->page->lock);
    greet(f, &h);
    f->next = c->page->feeds;
    c->page->feeds = f;
    pthread_mutex_unlock(&c->page->lock);
    sb_x_watch(f->x, on_full, on_gone, f);
    return SB_OK;
}
