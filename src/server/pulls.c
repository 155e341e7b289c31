/* SPDX-License-Identifier: Apache-2.0
 * pulls.c - who watches which pull; the server's end of the helper's news.
 *
 * All of it on the loop's thread. */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "server/pulls.h"
#include "server/server_in.h"
#include "store/catalog.h"

enum { MAX_PULLS = 16, MAX_WATCHERS = 64 };

typedef struct watcher {
    uint64_t id, pull;
    sb_pull_watch w;
} watcher;

typedef struct a_pull {
    uint64_t id;
    char word[SB_HELPER_WORD_BYTES];
    char name[65]; /* for news */
    bool remove;
} a_pull;

struct sb_pulls {
    uint64_t n_ids;
    a_pull pulls[MAX_PULLS];
    size_t n_pulls;
    watcher watchers[MAX_WATCHERS];
    size_t n_watchers;
};

sb_status sb_pulls_new(sb_pulls **out, sb_error *err)
{
    sb_pulls *p = sb_calloc(1, sizeof *p);
    if (!p) return SB_FAIL(err, SB_NO_MEMORY, "pulls: out of memory");
    *out = p;
    return SB_OK;
}

void sb_pulls_free(sb_pulls *p)
{
    sb_free(p);
}

static a_pull *find_word(sb_pulls *p, const char *word)
{
    for (size_t i = 0; i < p->n_pulls; i++)
        if (!p->pulls[i].remove && strcmp(p->pulls[i].word, word) == 0) return &p->pulls[i];
    return NULL;
}

static sb_status watch(sb_pulls *p, uint64_t pull, const sb_pull_watch *w, uint64_t *out_id,
                       sb_error *err)
{
    if (p->n_watchers == MAX_WATCHERS)
        return SB_FAIL(err, SB_BUSY, "too many are watching pulls: try again later");
    p->watchers[p->n_watchers++] = (watcher){.id = ++p->n_ids, .pull = pull, .w = *w};
    *out_id = p->n_ids;
    return SB_OK;
}

static sb_status begin(sb_server *sv, sb_helper_kind kind, const char *word, bool accept,
                       const sb_pull_watch *w, uint64_t *out_id, sb_error *err)
{
    sb_pulls *p = sv->pulls;
    sb_helper_ask ask = {.kind = kind, .accept_terms = accept};
    const size_t n = strlen(word);
    if (n == 0 || n >= sizeof ask.word)
        return SB_FAIL(err, SB_INVALID, "a name has 1 to %d bytes", (int)sizeof ask.word - 1);
    if (!sv->helper) return SB_FAIL(err, SB_UNSUPPORTED, "this server brings no models");
    if (p->n_pulls == MAX_PULLS)
        return SB_FAIL(err, SB_BUSY, "%d pulls are waiting: try again later", MAX_PULLS);
    memcpy(ask.word, word, n + 1);
    ask.id = ++p->n_ids;
    SB_TRY(watch(p, ask.id, w, out_id, err));
    const sb_status s = sb_helper_send(sv->helper, &ask, err);
    if (s != SB_OK) {
        p->n_watchers--;
        return s;
    }
    a_pull *a = &p->pulls[p->n_pulls++];
    *a = (a_pull){.id = ask.id, .remove = kind == SB_HELPER_REMOVE};
    memcpy(a->word, ask.word, sizeof a->word);
    (void)snprintf(a->name, sizeof a->name, "%.64s", word);
    return SB_OK;
}

sb_status sb_server_pull(sb_server *sv, const sb_caller *who, const char *what, bool accept_terms,
                         const sb_pull_watch *w, uint64_t *out_id, sb_error *err)
{
    char word[SB_HELPER_WORD_BYTES];
    sb_catalog_row row;
    const int n = snprintf(word, sizeof word, "%s", what);
    if (n > 7 && (size_t)n < sizeof word && strcmp(word + n - 7, ":latest") == 0) word[n - 7] = 0;
    if (!who->may_pull_any && !sb_catalog_find(word, &row))
        return SB_FAIL(err, SB_INVALID,
                       "only models of the catalogue can be pulled over HTTP: for another source "
                       "use an admin key, or `sobre pull` on the machine itself");
    const a_pull *same = find_word(sv->pulls, word);
    if (same) return watch(sv->pulls, same->id, w, out_id, err);
    return begin(sv, SB_HELPER_PULL, word, accept_terms, w, out_id, err);
}

sb_status sb_server_remove(sb_server *sv, const char *name, const sb_pull_watch *w,
                           uint64_t *out_id, sb_error *err)
{
    sb_model_info info;
    if (!sb_store_name_ok(name) || !sb_models_find(sv->models, name, &info))
        return SB_FAIL(err, SB_NOT_FOUND, "model '%.64s' not found",
                       sb_store_name_ok(name) ? name : "?");
    if (info.state != SB_MODEL_ABSENT && info.n_used > 0)
        return SB_FAIL(err, SB_BUSY, "model '%.64s' is in use: try again later", name);
    return begin(sv, SB_HELPER_REMOVE, name, false, w, out_id, err);
}

void sb_server_unwatch(sb_server *sv, uint64_t id, bool stop)
{
    sb_pulls *p = sv->pulls;
    uint64_t pull = 0;
    bool others = false;
    for (size_t i = 0; i < p->n_watchers; i++) {
        if (p->watchers[i].id != id) continue;
        pull = p->watchers[i].pull;
        p->watchers[i] = p->watchers[--p->n_watchers];
        break;
    }
    for (size_t i = 0; i < p->n_watchers; i++)
        others |= p->watchers[i].pull == pull;
    if (!pull || !stop || others || !sv->helper) return;
    const sb_helper_ask ask = {.kind = SB_HELPER_CANCEL, .id = pull};
    if (sb_helper_send(sv->helper, &ask, NULL) != SB_OK) return; /* it goes on, and ends */
}

static void tell_progress(sb_pulls *p, const a_pull *a, const sb_helper_news *n)
{
    static const char *const words[] = {"checking", "fetching", "unpacking"};
    const sb_pull_news news = {.name = a->name,
                               .phase = words[n->phase],
                               .i_part = n->i_part,
                               .n_part = n->n_part,
                               .done_bytes = n->done_bytes,
                               .total_bytes = n->total_bytes};
    for (size_t i = p->n_watchers; i-- > 0;) /* one may go while it is told */
        if (i < p->n_watchers && p->watchers[i].pull == a->id && p->watchers[i].w.progress)
            p->watchers[i].w.progress(p->watchers[i].w.ctx, &news);
}

static void tell_end(sb_pulls *p, size_t i_pull, const char *name, const sb_error *err)
{
    const a_pull a = p->pulls[i_pull];
    p->pulls[i_pull] = p->pulls[--p->n_pulls];
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < p->n_watchers; i++) {
            if (p->watchers[i].pull != a.id) continue;
            const sb_pull_watch w = p->watchers[i].w;
            p->watchers[i] = p->watchers[--p->n_watchers];
            w.end(w.ctx, name[0] ? name : a.name, err);
            again = true;
            break;
        }
    }
}

static void take_news(sb_server *sv, const sb_helper_news *n)
{
    sb_pulls *p = sv->pulls;
    sb_error err;
    for (size_t i = 0; i < p->n_pulls; i++) {
        if (p->pulls[i].id != n->id) continue;
        if (n->kind == SB_HELPER_PROGRESS) {
            tell_progress(p, &p->pulls[i], n);
        } else {
            if (n->status != SB_OK) (void)SB_FAIL(&err, (sb_status)n->status, "%s", n->msg);
            tell_end(p, i, n->name, n->status == SB_OK ? NULL : &err);
        }
        return;
    }
}

void sb_pulls_on_news(int fd, short what, void *server)
{
    sb_server *sv = server;
    sb_helper_news n;
    bool gone = false;
    (void)fd;
    (void)what;
    while (sb_helper_receive(sv->helper, &n, &gone))
        take_news(sv, &n);
    if (!gone) return;
    sb_error err;
    (void)SB_FAIL(&err, SB_IO, "the helper process has ended: restart the server");
    (void)event_del(sv->helper_event);
    while (sv->pulls->n_pulls > 0)
        tell_end(sv->pulls, 0, "", &err);
    sb_helper_close(sv->helper);
    sv->helper = NULL;
}
