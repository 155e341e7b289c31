/* SPDX-License-Identifier: Apache-2.0
 * pack_cache.c - packed weights from their file: opening, looking at runs, mending them.
 *
 * A run is looked at by the thread that comes to it first, while others that need it wait: a third
 * of a megabyte is summed in some 20 us. Refused: summing all at the start (0.2 s for 4 GB, all of
 * it before the first word), in idle time alone (words of weights that nobody looked at), and
 * waiting by sched_yield(): beside other programs each one costs their whole turn, and a first step
 * took 7 s instead of 1.3. */
#include "engine/pack_cache.h"

#include "base/alloc.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/limits.h"
#include "engine/pack_head.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* MENDED lies in memory of our own: no change of the file reaches it. */
enum { UNSEEN, BUSY, SEEN, MENDED };

struct sb_pack_cache {
    sb_map map;
    sb_pack_head head;
    atomic_uchar *state;     /* [n_runs] */
    atomic_llong n_unseen;   /* runs */
    atomic_int n_bad;        /* damaged runs mended since the last note */
    bool gone;               /* the file changed under us: every run is packed anew */
    bool noted;              /* of damage */
    pthread_mutex_t mending; /* guards bench */
    sb_bench bench;
};

static bool is_trusted(const struct stat *st)
{
    const bool ours = st->st_uid == geteuid() || st->st_uid == 0;
    return S_ISREG(st->st_mode) && ours && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Maps the file when it is one we may believe; notes why not. */
static bool map_file(const sb_engine *e, sb_map *out)
{
    char path[SB_MAX_PATH_BYTES];
    struct stat st;
    if (!sb_pack_cache_path(e, "", path, sizeof path)) return false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (fd < 0) {
        if (errno != ENOENT)
            sb_pack_cache_note(e, "%s: cannot be opened: weights are packed again");
        return false;
    }
    const char *why = NULL;
    if (fstat(fd, &st) != 0 || !is_trusted(&st))
        why = "%s: not a file of this user's that only they may write: weights are packed again";
    else if (sb_map_open_fd(out, fd, path, NULL) != SB_OK)
        why = "%s: cannot be mapped: weights are packed again";
    if (!why) return true;
    (void)close(fd);
    sb_pack_cache_note(e, why);
    return false;
}

/* True when the head is whole: its size, its sum, and the file's size by it. */
static bool is_whole(const sb_map *m, const pack_head *h)
{
    return m->bytes == h->bytes && sb_pack_head_sum(h) == h->sum;
}

/* Takes the file's sums over when its head is the one that was made here; else why not. Nothing of
 * the file is believed before its size is known, and its fields are only ever compared. */
static const char *compare(const sb_map *m, sb_pack_head *mine, pack_head *theirs)
{
    static const char damaged[] = "%s: damaged: weights are packed again";
    static const char another[] =
        "%s: made of another file, or by another version: weights are packed again";
    pack_head *h = mine->h;
    if (!sb_map_read(m, 0, theirs, sizeof *theirs) ||
        memcmp(theirs->magic, h->magic, sizeof h->magic) != 0)
        return damaged;
    if (theirs->version != h->version || theirs->layout != h->layout ||
        theirs->head_bytes != h->head_bytes || theirs->bytes != h->bytes)
        return another;
    const size_t n = (size_t)h->head_bytes;
    const bool read = sb_map_read(m, 0, theirs, n) && theirs->head_bytes == h->head_bytes;
    if (!read || !is_whole(m, theirs)) return damaged;
    const size_t at = (size_t)((unsigned char *)mine->sums - (unsigned char *)h);
    h->sum = theirs->sum;
    if (memcmp(theirs, h, at) != 0) return another;
    memcpy(mine->sums, (unsigned char *)theirs + at, n - at);
    return NULL;
}

static const char *take_head(const sb_map *m, sb_pack_head *mine)
{
    pack_head *theirs = sb_alloc((size_t)mine->h->head_bytes, 1);
    if (!theirs) return "%s: no memory for its head: weights are packed again";
    const char *why = compare(m, mine, theirs);
    sb_free(theirs);
    return why;
}

static bool open_bench(const sb_engine *e, sb_pack_cache *c)
{
    const size_t n_runs = (size_t)c->head.h->n_runs;
    c->bench.rows = sb_alloc(sb_engine_row_bytes(e), SB_PANEL);
    c->state = sb_calloc(n_runs ? n_runs : 1, sizeof *c->state);
    atomic_store(&c->n_unseen, (long long)n_runs);
    return c->bench.rows && c->state;
}

void sb_pack_cache_close(sb_pack_cache *c)
{
    if (!c) return;
    (void)pthread_mutex_destroy(&c->mending);
    sb_map_close(&c->map);
    sb_pack_head_free(&c->head);
    sb_free(c->bench.rows);
    sb_free(c->state);
    sb_free(c);
}

void sb_pack_cache_open(sb_engine *e)
{
    if (e->opts.cache == SB_CACHE_NONE || e->opts.precision == SB_EXACT ||
        sysconf(_SC_PAGESIZE) > SB_PACK_PAGE)
        return;
    sb_pack_cache *c = sb_calloc(1, sizeof *c);
    if (!c) return;
    c->map.fd = -1;
    (void)pthread_mutex_init(&c->mending, NULL);
    const bool mapped = map_file(e, &c->map);
    const char *why = NULL;
    if (mapped && (!sb_pack_head_make(e, &c->head) || !open_bench(e, c)))
        why = "%s: no memory for its head: weights are packed again";
    if (mapped && !why) why = take_head(&c->map, &c->head);
    if (why) sb_pack_cache_note(e, why);
    if (!mapped || why) {
        sb_pack_cache_close(c);
        return;
    }
    for (int32_t i = 0; i < e->model->n_weights; i++)
        if (e->packed[i].is_matrix)
            e->packed[i].panels = (unsigned char *)(uintptr_t)c->map.p + c->head.weights[i].at;
    e->cache = c;
}

bool sb_pack_cache_all_seen(const sb_pack_cache *c)
{
    return atomic_load_explicit(&c->n_unseen, memory_order_acquire) == 0;
}

/* Packs panels [first, end) of weight w from the model, over the file's. */
static bool mend(sb_engine *e, int32_t w, int32_t first, int32_t end)
{
    sb_pack_cache *c = e->cache;
    const pack_weight *h = &c->head.weights[w];
    const size_t at = (size_t)(h->at + (uint64_t)first * h->panel_bytes);
    const size_t n = (size_t)(end - first) * (size_t)h->panel_bytes;
    (void)pthread_mutex_lock(&c->mending);
    unsigned char *p = sb_map_detach(&c->map, at, SB_ALIGN_UP(n, (size_t)SB_PACK_PAGE));
    bool ok = p != NULL;
    for (int32_t j = first; ok && j < end; j++)
        ok = sb_engine_pack_panel(e, w, j, &c->bench, p + (size_t)(j - first) * h->panel_bytes);
    (void)pthread_mutex_unlock(&c->mending);
    return ok;
}

/* The run is this thread's. */
static unsigned char look(sb_engine *e, int32_t w, uint64_t run)
{
    sb_pack_cache *c = e->cache;
    const pack_weight *h = &c->head.weights[w];
    int32_t first, end;
    sb_pack_run_panels(h, run, &first, &end);
    const size_t at = (size_t)(h->at + (uint64_t)first * h->panel_bytes);
    const size_t n = (size_t)(end - first) * (size_t)h->panel_bytes;
    if (!c->gone && sb_map_populate(&c->map, at, SB_ALIGN_UP(n, (size_t)SB_PACK_PAGE)) &&
        sb_checksum(c->map.p + at, n) == c->head.sums[run])
        return SEEN;
    if (!c->gone) atomic_fetch_add(&c->n_bad, 1);
    if (mend(e, w, first, end)) return MENDED;
    atomic_store(&e->unread, true);
    return UNSEEN;
}

int32_t sb_pack_cache_touch(sb_engine *e, int32_t w, int32_t panel)
{
    sb_pack_cache *c = e->cache;
    const pack_weight *h = &c->head.weights[w];
    const uint64_t run = h->first_run + (uint64_t)panel / h->run_panels;
    atomic_uchar *state = &c->state[run];
    int32_t first, end;
    sb_pack_run_panels(h, run, &first, &end);
    for (;;) {
        const uint32_t mark = sb_pool_mark(e->pool);
        unsigned char now = atomic_load_explicit(state, memory_order_acquire);
        if (now == SEEN || now == MENDED) return end;
        if (now == BUSY) {
            sb_pool_wait(e->pool, mark);
        } else if (atomic_compare_exchange_strong(state, &now, BUSY)) {
            const unsigned char is = look(e, w, run);
            if (is != UNSEEN) atomic_fetch_sub(&c->n_unseen, 1);
            atomic_store(state, is);
            sb_pool_signal(e->pool);
            return end;
        }
    }
}

/* A file that is of no use goes, so that the next start writes a new one. */
static void drop_file(const sb_engine *e)
{
    char path[SB_MAX_PATH_BYTES];
    struct stat st;
    if (e->opts.cache != SB_CACHE_WRITE || !sb_pack_cache_path(e, "", path, sizeof path)) return;
    if (lstat(path, &st) != 0 || (uint64_t)st.st_ino != e->cache->map.ino ||
        (uint64_t)st.st_dev != e->cache->map.dev)
        return; // somebody put a new one there
    (void)unlink(path);
}

bool sb_pack_cache_settle(sb_engine *e)
{
    sb_pack_cache *c = e->cache;
    if (atomic_exchange(&c->n_bad, 0) > 0 && !c->noted) {
        c->noted = true;
        sb_pack_cache_note(e, "%s: damaged: its broken parts were packed again");
        drop_file(e);
    }
    if (c->gone || sb_map_check(&c->map, "", NULL) == SB_OK) return false;
    c->gone = true;
    sb_pack_cache_note(e, "%s: changed while in use: weights are packed again");
    drop_file(e);
    const uint64_t n = c->head.h->n_runs;
    for (uint64_t i = 0; i < n; i++) {
        if (atomic_load(&c->state[i]) != SEEN) continue;
        atomic_store(&c->state[i], UNSEEN);
        atomic_fetch_add(&c->n_unseen, 1);
    }
    return true;
}
