/* SPDX-License-Identifier: Apache-2.0
 * grid_watch.c - one factor, handed out as a copy; accounts that are closed when it changes.
 *
 * Grams are not added up answer by answer, each rounded: of the joules since the last change there
 * is one product. */
#include "server/grid_watch.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

/* Of a file: each zone and none of them live, each zone of the table. */
enum {
    N_ZONES = 0
#define X(zone, name, g_per_kwh, year, kind, source) +1
#include "energy/grid.def"
#undef X
};
_Static_assert(2 * N_ZONES + 1 <= SB_GRID_ACCOUNTS, "an account for whatever a file may say");

struct sb_grid_watch {
    pthread_mutex_t lock;
    const char *path; /* or NULL */
    sb_grid now;      /* as it was read; a live one may have aged since */
    int64_t from_uj;  /* used when it came into force */
    size_t n;
    sb_grid_account accounts[SB_GRID_ACCOUNTS]; /* of what was used before */
};

sb_status sb_grid_watch_new(sb_grid_watch **out, const sb_grid *first, const char *path,
                            sb_error *err)
{
    sb_grid_watch *w = sb_calloc(1, sizeof *w);
    if (!w) return SB_FAIL(err, SB_NO_MEMORY, "grid: out of memory");
    (void)pthread_mutex_init(&w->lock, NULL);
    w->now = *first;
    w->path = path;
    *out = w;
    return SB_OK;
}

void sb_grid_watch_free(sb_grid_watch *w)
{
    if (!w) return;
    (void)pthread_mutex_destroy(&w->lock);
    sb_free(w);
}

bool sb_grid_watch_get(sb_grid_watch *w, int64_t now_s, sb_grid *out)
{
    if (!w) return false;
    (void)pthread_mutex_lock(&w->lock);
    *out = w->now;
    (void)pthread_mutex_unlock(&w->lock);
    sb_grid_age(out, now_s);
    return true;
}

/* The account of a factor, made when it is new. */
static sb_grid_account *account_of(sb_grid_account *v, size_t *n, const sb_grid *g)
{
    size_t i = 0;
    while (i < *n &&
           (v[i].kind != g->kind || v[i].year != g->year || strcmp(v[i].zone, g->zone) != 0))
        i++;
    if (i == *n) {
        v[(*n)++] = (sb_grid_account){.kind = g->kind, .year = g->year};
        memcpy(v[i].zone, g->zone, sizeof v[i].zone);
    }
    return &v[i];
}

/* Lock held. */
static void count(const sb_grid_watch *w, int64_t used_uj, sb_grid_account *v, size_t *n)
{
    sb_grid_account *a = account_of(v, n, &w->now);
    a->ug = sb_add_capped(a->ug, sb_grid_ug(&w->now, used_uj - w->from_uj));
}

void sb_grid_watch_read(sb_grid_watch *w, int64_t now_s, int64_t used_uj, sb_grid *was,
                        sb_grid *now)
{
    sb_grid read = w->now; /* nobody else writes it */
    *was = *now = read;
    if (!w->path || sb_grid_parse(&read, w->path, now_s, NULL) != SB_OK) return;
    (void)pthread_mutex_lock(&w->lock);
    if (read.mg_per_kwh != w->now.mg_per_kwh || read.kind != w->now.kind ||
        strcmp(read.zone, w->now.zone) != 0) {
        count(w, used_uj, w->accounts, &w->n);
        w->from_uj = used_uj;
    }
    w->now = read;
    (void)pthread_mutex_unlock(&w->lock);
    *now = read;
}

size_t sb_grid_watch_sums(sb_grid_watch *w, int64_t used_uj, sb_grid_account out[SB_GRID_ACCOUNTS])
{
    if (!w) return 0;
    (void)pthread_mutex_lock(&w->lock);
    size_t n = w->n;
    memcpy(out, w->accounts, n * sizeof *out);
    count(w, used_uj, out, &n);
    (void)pthread_mutex_unlock(&w->lock);
    return n;
}
