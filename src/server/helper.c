/* SPDX-License-Identifier: Apache-2.0
 * helper.c - both ends of the socket to the helper, and what the helper does.
 *
 * The helper works at one thing at a time, as a pull may start a child and reaps what ends. What is
 * asked meanwhile waits in a short list. */
#include "server/helper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "server/child.h"
#include "store/catalog.h"
#include "store/db.h"
#include "store/keyring.h"
#include "store/store.h"

enum { MAX_WAITING = 16, STALL_S = 30, TELL_NS = 250000000 };

struct sb_helper {
    int fd;
    /* Of the helper: */
    sb_store *store;
    const char *home;
    bool (*arch_known)(void *ctx, const char *arch);
    const char *arch_list;
    sb_helper_ask waiting[MAX_WAITING];
    size_t n_waiting;
    uint64_t now_id; /* of the pull under way */
    bool stop, gone;
    uint64_t told_ns;
};

sb_status sb_helper_fork(sb_helper **out, bool *out_child, sb_error *err)
{
    static const sb_child helper = {"sobre-helper", "helper process", SOCK_SEQPACKET, SIGTERM};
    sb_helper *h = sb_calloc(1, sizeof *h);
    if (!h) return SB_FAIL(err, SB_NO_MEMORY, "helper: out of memory");
    const sb_status s = sb_child_fork(&helper, &h->fd, out_child, &h->gone, err);
    if (s == SB_OK)
        *out = h;
    else
        sb_free(h);
    return s;
}

void sb_helper_close(sb_helper *h)
{
    if (!h) return;
    (void)close(h->fd);
    sb_free(h);
}

/* ---- in the server ---- */

int sb_helper_fd(const sb_helper *h)
{
    return h->fd;
}

sb_status sb_helper_send(sb_helper *h, const sb_helper_ask *a, sb_error *err)
{
    const ssize_t n = send(h->fd, a, sizeof *a, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n == (ssize_t)sizeof *a) return SB_OK;
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return SB_FAIL(err, SB_BUSY, "too many models are being brought: try again later");
    return SB_FAIL(err, SB_IO, "the helper process has ended: restart the server");
}

bool sb_helper_receive(sb_helper *h, sb_helper_news *out, bool *out_gone)
{
    sb_helper_news n;
    *out_gone = false;
    for (;;) {
        const ssize_t got = recv(h->fd, &n, sizeof n, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return false;
        if (got <= 0) {
            *out_gone = true;
            return false;
        }
        if (got != (ssize_t)sizeof n) continue; /* not one of ours */
        if (n.kind != SB_HELPER_PROGRESS && n.kind != SB_HELPER_DONE) continue;
        n.name[sizeof n.name - 1] = 0;
        n.msg[sizeof n.msg - 1] = 0;
        if (n.status >= SB_STATUS_COUNT) n.status = SB_IO;
        if (n.phase > SB_PULL_WRITE) n.phase = SB_PULL_CHECK;
        *out = n;
        return true;
    }
}

/* ---- in the helper ---- */

/* Takes one message; false: there is none (without `wait`), or nobody asks any more. */
static bool take(sb_helper *h, bool wait, sb_helper_ask *out)
{
    for (;;) {
        const ssize_t n = recv(h->fd, out, sizeof *out, wait ? 0 : MSG_DONTWAIT);
        if (n < 0 && errno == EINTR && !wait) return false;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return false;
        if (n <= 0) {
            h->gone = true;
            return false;
        }
        if (n != (ssize_t)sizeof *out) continue;
        out->word[sizeof out->word - 1] = 0;
        return true;
    }
}

static void send_news(const sb_helper *h, const sb_helper_news *n)
{
    (void)send(h->fd, n, sizeof *n, MSG_NOSIGNAL);
}

static void send_done(const sb_helper *h, uint64_t id, sb_status s, const char *name,
                      const sb_error *err)
{
    sb_helper_news n = {.kind = SB_HELPER_DONE, .id = id, .status = s};
    (void)snprintf(n.name, sizeof n.name, "%s", name);
    (void)snprintf(n.msg, sizeof n.msg, "%s", s == SB_OK ? "" : err->msg);
    send_news(h, &n);
}

/* Looks at what came meanwhile. */
static void look(sb_helper *h)
{
    sb_helper_ask a;
    while (take(h, false, &a)) {
        if (a.kind == SB_HELPER_CANCEL) {
            if (a.id == h->now_id) h->stop = true;
            for (size_t i = 0; i < h->n_waiting; i++)
                if (h->waiting[i].id == a.id) h->waiting[i].kind = SB_HELPER_CANCEL;
        } else if (h->n_waiting < MAX_WAITING) {
            h->waiting[h->n_waiting++] = a;
        } else {
            sb_error err;
            const sb_status s = SB_FAIL(&err, SB_BUSY, "too many models are being brought");
            send_done(h, a.id, s, "", &err);
        }
    }
}

static bool is_cancelled(void *ctx)
{
    sb_helper *h = ctx;
    look(h);
    return h->stop || h->gone;
}

static void on_progress(void *ctx, const sb_pull_progress *p)
{
    sb_helper *h = ctx;
    const uint64_t now = sb_now_ns();
    if (now - h->told_ns < TELL_NS) return;
    h->told_ns = now;
    const sb_helper_news n = {.kind = SB_HELPER_PROGRESS,
                              .phase = p->phase,
                              .id = h->now_id,
                              .done_bytes = p->done_bytes,
                              .total_bytes = p->total_bytes,
                              .i_part = (uint32_t)p->i_part,
                              .n_part = (uint32_t)p->n_part};
    send_news(h, &n);
}

static sb_status find_admin(void *ctx, const sb_key *k, sb_error *err)
{
    (void)err;
    if (k->admin && !k->revoked) *(bool *)ctx = true;
    return SB_OK;
}

static bool has_admin(const sb_helper *h)
{
    sb_db *db = NULL;
    bool any = false;
    if (sb_db_open(&db, sb_store_home(h->store), SB_DB_READ, NULL) != SB_OK) return false;
    if (sb_key_list(db, find_admin, &any, NULL) != SB_OK) any = false;
    sb_db_close(db);
    return any;
}

static sb_status check_word(const sb_helper *h, const char *word, sb_error *err)
{
    sb_catalog_row row;
    if (sb_catalog_find(word, &row) || has_admin(h)) return SB_OK;
    return SB_FAIL(
        err, SB_INVALID,
        "only models of the catalogue can be pulled over HTTP: for another source use an "
        "admin key, or `sobre pull` on the machine itself");
}

static void pull(sb_helper *h, const sb_helper_ask *a)
{
    sb_error err;
    sb_pull_result got = {0};
    const sb_pull_request rq = {.what = a->word,
                                .accept_terms = a->accept_terms == 1,
                                .stall_s = STALL_S,
                                .hooks = {.ctx = h,
                                          .cancelled = is_cancelled,
                                          .progress = on_progress,
                                          .arch_known = h->arch_known,
                                          .arch_list = h->arch_list}};
    h->now_id = a->id;
    h->stop = false;
    h->told_ns = 0;
    sb_status s = check_word(h, a->word, &err);
    if (s == SB_OK) s = sb_store_pull(h->store, &rq, &got, &err);
    send_done(h, a->id, s, s == SB_OK ? got.pin.name : "", &err);
    sb_pin_deinit(&got.pin);
    h->now_id = 0;
}

static void do_one(sb_helper *h, const sb_helper_ask *a)
{
    sb_error err;
    if (a->kind == SB_HELPER_PULL) {
        pull(h, a);
    } else if (a->kind == SB_HELPER_REMOVE) {
        const sb_status s = sb_store_name_ok(a->word)
                                ? sb_store_remove(h->store, a->word, false, &err)
                                : SB_FAIL(&err, SB_NOT_FOUND, "there is no such model");
        send_done(h, a->id, s, a->word, &err);
    } else { /* cancelled while it waited */
        const sb_status s = SB_FAIL(&err, SB_CANCELLED, "cancelled");
        if (a->id) send_done(h, a->id, s, "", &err);
    }
}

void sb_helper_work(sb_helper *h, const char *home, bool (*arch_known)(void *ctx, const char *arch),
                    const char *arch_list)
{
    h->home = home;
    h->arch_known = arch_known;
    h->arch_list = arch_list;
    if (sb_store_open(&h->store, home, NULL) != SB_OK) return;
    while (!h->gone) {
        sb_helper_ask a;
        if (h->n_waiting > 0) {
            a = h->waiting[0];
            h->n_waiting--;
            memmove(h->waiting, h->waiting + 1, h->n_waiting * sizeof a);
        } else if (!take(h, true, &a)) {
            break;
        } else if (a.kind == SB_HELPER_CANCEL) {
            continue; /* of something that has ended */
        }
        do_one(h, &a);
    }
    sb_store_close(h->store);
}
