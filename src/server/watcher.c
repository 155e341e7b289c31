/* SPDX-License-Identifier: Apache-2.0
 * watcher.c - both ends of the hand-over, and what the watcher does.
 *
 * Texts go through memory, the socket only wakes: a byte to the watcher says that something was
 * read; a byte back, that something new is there, which the server waits for while it opens its
 * meter and never after. */
#include "server/watcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "energy/netmeter.h"
#include "server/child.h"
#include "server/letters.h"

static const uint64_t ms_ns = 1000000, s_ns = 1000000000;
enum { READY_S = 10, WAKES = 4 /* of one pause, at most */ };

const sb_watcher_pace sb_watcher_usual = {
    .again_ns = 1 * UINT64_C(1000000000),
    .rest_ns = 4 * UINT64_C(1000000000),
    .old_ns = 6 * UINT64_C(1000000000),
    .wait_ns = 6 * UINT64_C(1000000000),
    .forget_ns = 60 * UINT64_C(1000000000),
};

/* What was given as one address. */
typedef struct slot {
    atomic_uint what;             /* the server asks for its address number what - 1; 0: nothing */
    atomic_uint_fast64_t read_ns; /* when the server last read it */
    sb_letters letters;
} slot;

typedef enum { STARTING, READY, FAILED } state;

/* The memory that both see. */
typedef struct shared {
    atomic_int state;    /* of the watcher */
    atomic_bool waiting; /* the server opens its meter: wake it */
    sb_error why;        /* FAILED */
    slot slots[];
} shared;

struct sb_watcher {
    int fd;
    const char *const *urls;
    size_t n_urls;
    sb_watcher_pace pace;
    shared *page;
    size_t page_bytes;
    sb_letters_side writer[SB_MAX_METER_URLS], reader[SB_MAX_METER_URLS];
    bool gone; /* the other side */
    /* Of the server: */
    sb_meter_fetch fetch;
    bool opening;
    uint64_t woke_ns;
    bool silent[SB_MAX_METER_URLS][SB_NET_PATHS]; /* there was no answer while opening */
    /* Of the watcher: */
    uint64_t begin_ns[SB_MAX_METER_URLS]; /* when it last asked, */
    uint32_t what[SB_MAX_METER_URLS];     /* and for what */
};

static bool get(void *ctx, const char *url, char *out, size_t out_bytes);

/* ---- both ---- */

static sb_status make(sb_watcher **out, const char *const *urls, size_t n_urls,
                      const sb_watcher_pace *pace, sb_error *err)
{
    if (n_urls > SB_MAX_METER_URLS)
        return SB_FAIL(err, SB_INVALID, "--meter-url: more than %d of them", SB_MAX_METER_URLS);
    sb_watcher *w = sb_calloc(1, sizeof *w);
    if (!w) return SB_FAIL(err, SB_NO_MEMORY, "watcher process: no memory");
    *w = (sb_watcher){.fd = -1, .urls = urls, .n_urls = n_urls, .pace = *pace, .fetch = {get, w}};
    w->page_bytes = sizeof *w->page + n_urls * sizeof *w->page->slots;
    w->page = mmap(NULL, w->page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w->page == MAP_FAILED) {
        sb_free(w);
        return SB_FAIL(err, SB_NO_MEMORY, "watcher process: no memory");
    }
    for (size_t i = 0; i < n_urls; i++)
        sb_letters_init(&w->page->slots[i].letters, &w->writer[i], &w->reader[i]);
    *out = w;
    return SB_OK;
}

sb_status sb_watcher_fork(sb_watcher **out, const char *const *urls, size_t n_urls,
                          const sb_watcher_pace *pace, bool *out_child, sb_error *err)
{
    static const sb_child watcher = {"sobre-watcher", "watcher process", SOCK_STREAM, SIGKILL};
    sb_watcher *w = NULL;
    SB_TRY(make(&w, urls, n_urls, pace, err));
    const sb_status s = sb_child_fork(&watcher, &w->fd, out_child, &w->gone, err);
    if (s == SB_OK)
        *out = w;
    else
        sb_watcher_close(w);
    return s;
}

void sb_watcher_close(sb_watcher *w)
{
    if (!w) return;
    if (w->fd >= 0) (void)close(w->fd);
    (void)munmap(w->page, w->page_bytes);
    sb_free(w);
}

/* Never waits. */
static void wake(sb_watcher *w)
{
    if (send(w->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINTR)
        w->gone = true; /* full: it is awake */
}

/* Waits for a byte, or so long; -1: for ever. */
static void wait_ms(sb_watcher *w, int most_ms)
{
    char bytes[64];
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    if (poll(&p, 1, most_ms) <= 0) return;
    const ssize_t n = recv(w->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) w->gone = true;
}

static int to_ms(uint64_t ns)
{
    return (int)(ns / ms_ns) + 1;
}

/* ---- in the server ---- */

sb_status sb_watcher_ready(sb_watcher *w, sb_meter_roots *out, sb_error *err)
{
    const uint64_t begin_ns = sb_now_ns();
    w->opening = true;
    atomic_store(&w->page->waiting, true);
    while (atomic_load(&w->page->state) == STARTING && !w->gone &&
           sb_now_ns() - begin_ns < READY_S * s_ns)
        wait_ms(w, to_ms(READY_S * s_ns));
    if (atomic_load(&w->page->state) == FAILED) {
        *err = w->page->why;
        err->msg[sizeof err->msg - 1] = 0;
        return err->code == SB_OK || err->code >= SB_STATUS_COUNT ? SB_IO : err->code;
    }
    if (atomic_load(&w->page->state) != READY)
        return SB_FAIL(err, SB_IO, "watcher process: it did not start");
    out->fetch = &w->fetch;
    out->urls = w->urls;
    out->n_urls = w->n_urls;
    return SB_OK;
}

void sb_watcher_opened(sb_watcher *w)
{
    w->opening = false;
    atomic_store(&w->page->waiting, false);
}

/* Which slot is asked for that address: the one it was given for as it stands, else one whose host
 * has it. So an address has one slot, and a slot in use one address. */
static bool find_slot(const sb_watcher *w, const char *url, size_t *out_slot, uint32_t *out_what)
{
    char address[SB_MAX_URL_BYTES];
    bool found = false;
    for (size_t i = w->n_urls; i-- > 0;) {
        const bool whole = !sb_net_address(w->urls[i], 1, address, sizeof address);
        for (uint32_t k = 0; k < SB_NET_PATHS && (whole || !found); k++) {
            if (!sb_net_address(w->urls[i], k, address, sizeof address)) break;
            if (strcmp(address, url) != 0) continue;
            *out_slot = i;
            *out_what = k + 1;
            found = true;
        }
        if (found && whole) return true;
    }
    return found;
}

/* Tells the watcher that something was read. */
static void ask_for(sb_watcher *w, slot *x, uint32_t what)
{
    const uint64_t now_ns = sb_now_ns();
    atomic_store(&x->what, what);
    atomic_store(&x->read_ns, now_ns);
    if (now_ns - w->woke_ns < w->pace.again_ns / WAKES) return;
    w->woke_ns = now_ns;
    wake(w);
}

/* Whether it answers that question, asked no longer ago than so. */
static bool is_new(const sb_letter *x, uint32_t what, uint64_t most_ns)
{
    const uint64_t begin_ns = x->begin_ns, now_ns = sb_now_ns();
    return x->what == what && begin_ns <= now_ns && now_ns - begin_ns <= most_ns;
}

static bool look(sb_watcher *w, size_t i, uint32_t what, char *out, size_t out_bytes)
{
    slot *x = &w->page->slots[i];
    ask_for(w, x, what);
    const sb_letter *l = sb_letters_newest(&x->letters, &w->reader[i]);
    return !w->gone && is_new(l, what, w->pace.old_ns) && l->good &&
           sb_letter_copy(l, out, out_bytes);
}

/* The same while the meter is opened: waits for an answer to a question that was put now, or just
 * before. */
static bool wait_for(sb_watcher *w, size_t i, uint32_t what, char *out, size_t out_bytes)
{
    slot *x = &w->page->slots[i];
    bool *silent = &w->silent[i][what - 1];
    const uint64_t begin_ns = sb_now_ns();
    uint64_t spent_ns = 0;
    if (*silent) return false;
    atomic_store(&x->what, what);
    const sb_letter *l = sb_letters_newest(&x->letters, &w->reader[i]);
    bool there = is_new(l, what, w->pace.again_ns);
    while (!there && !w->gone && spent_ns < w->pace.wait_ns) {
        w->woke_ns = 0;
        ask_for(w, x, what);
        wait_ms(w, to_ms(w->pace.wait_ns - spent_ns));
        l = sb_letters_newest(&x->letters, &w->reader[i]);
        spent_ns = sb_now_ns() - begin_ns;
        there = is_new(l, what, w->pace.again_ns + spent_ns);
    }
    *silent = !there || !l->good;
    if (*silent) atomic_store(&x->what, 0); /* is not asked again */
    return !*silent && sb_letter_copy(l, out, out_bytes);
}

/* The shape of sb_meter_fetch. */
static bool get(void *ctx, const char *url, char *out, size_t out_bytes)
{
    sb_watcher *w = ctx;
    size_t i = 0;
    uint32_t what = 0;
    if (w->gone || !find_slot(w, url, &i, &what)) return false;
    return w->opening ? wait_for(w, i, what, out, out_bytes) : look(w, i, what, out, out_bytes);
}

/* ---- in the watcher ---- */

/* When a slot is to be asked for next; UINT64_MAX: not before the server says something. */
static uint64_t due_ns(const sb_watcher *w, size_t i)
{
    const slot *x = &w->page->slots[i];
    const uint32_t what = atomic_load(&x->what);
    const uint64_t read_ns = atomic_load(&x->read_ns);
    uint64_t newest_ns = 0;
    if (what == 0) return UINT64_MAX;
    if (what != w->what[i]) return 0;
    for (size_t k = 0; k < w->n_urls; k++) {
        const uint64_t ns = atomic_load(&w->page->slots[k].read_ns);
        if (ns > newest_ns) newest_ns = ns;
    }
    if (newest_ns - read_ns > w->pace.forget_ns)
        return UINT64_MAX; /* others are read, this is not */
    return w->begin_ns[i] + (read_ns > w->begin_ns[i] ? w->pace.again_ns : w->pace.rest_ns);
}

static void ask_slot(sb_watcher *w, const sb_meter_fetch *ask, size_t i)
{
    slot *x = &w->page->slots[i];
    char address[SB_MAX_URL_BYTES];
    sb_letter *l = sb_letters_blank(&x->letters, w->writer[i]);
    const uint32_t what = atomic_load(&x->what);
    w->what[i] = what;
    w->begin_ns[i] = sb_now_ns();
    l->what = what;
    l->begin_ns = w->begin_ns[i];
    l->good = what > 0 && sb_net_address(w->urls[i], what - 1, address, sizeof address) &&
              ask->get(ask->ctx, address, l->text, sizeof l->text);
    l->n_bytes = l->good ? (uint32_t)strnlen(l->text, sizeof l->text) : 0;
    sb_letters_post(&x->letters, &w->writer[i]);
    if (atomic_load(&w->page->waiting)) wake(w);
}

void sb_watcher_work(sb_watcher *w, const sb_meter_fetch *ask, const sb_error *why)
{
    if (!ask) w->page->why = *why;
    atomic_store(&w->page->state, ask ? READY : FAILED);
    wake(w);
    while (ask && !w->gone) {
        uint64_t next_ns = UINT64_MAX;
        for (size_t i = 0; i < w->n_urls; i++) {
            const uint64_t ns = due_ns(w, i);
            if (ns < next_ns) next_ns = ns;
        }
        const uint64_t now_ns = sb_now_ns();
        const int pause_ms = next_ns <= now_ns       ? 0
                             : next_ns == UINT64_MAX ? -1
                                                     : to_ms(next_ns - now_ns);
        wait_ms(w, pause_ms); /* also sees whether anybody is there */
        for (size_t i = 0; i < w->n_urls && !w->gone; i++)
            if (due_ns(w, i) <= sb_now_ns()) ask_slot(w, ask, i);
    }
}
