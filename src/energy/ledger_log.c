/* SPDX-License-Identifier: Apache-2.0
 * ledger_log.c - lines onto the end of a file, and a start where the last one ended.
 *
 * A data base was refused: a row there is a transaction, and a tick may not wait for the disk. */
#include "energy/ledger_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "energy/data_folder.h"

/* A start looks so far back for the last tick; receipts may stand behind it. */
enum { TAIL_BYTES = 4 * SB_MAX_LEDGER_LINE_BYTES };

struct sb_ledger_log {
    char dir[SB_MAX_PATH_BYTES];
    pthread_mutex_t lock;      /* of all below but synced_ns */
    pthread_mutex_t sync_lock; /* of flushing, and of closing what is being flushed */
    int dir_fd, lock_fd, fd;
    uint64_t bytes, max_bytes;
    uint64_t synced_ns;
    int n_files; /* numbered ones */
    char boot[SB_BOOT_BYTES];
    char last[SB_HASH_BYTES];
    sb_ledger_base base; /* of the last open or tick */
    int64_t sum_uj;      /* the counters' total at it */
    uint64_t last_owner;
    sb_meter *meter;
    sb_owner_map owners;
    sb_buf line;
};

static const char file_name[] = "ledger.jsonl";

static sb_status fail(const sb_ledger_log *l, sb_error *err, const char *verb, int why)
{
    sb_error e;
    const sb_status s = sb_data_fail(&e, verb, l->dir, why);
    (void)s;
    return SB_FAIL(err, SB_IO, "energy ledger: %s", e.msg);
}

static int64_t now_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- opening ---- */

static void read_boot(sb_ledger_log *l, const char *proc)
{
    char path[SB_MAX_PATH_BYTES], text[SB_BOOT_BYTES] = "";
    const int n =
        snprintf(path, sizeof path, "%s/sys/kernel/random/boot_id", proc && *proc ? proc : "/proc");
    const int fd = n > 0 && n < (int)sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    const ssize_t got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    const size_t len = got > 0 ? strspn(text, "0123456789abcdef-") : 0;
    memcpy(l->boot, text, len);
    l->boot[len] = 0;
}

static sb_status take_lock(sb_ledger_log *l, sb_error *err)
{
    l->lock_fd = openat(l->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->lock_fd < 0) return fail(l, err, "cannot lock", errno);
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) == 0) return SB_OK;
    if (errno != EWOULDBLOCK) return fail(l, err, "cannot lock", errno);
    return SB_FAIL(err, SB_BUSY, "energy ledger: another process writes it");
}

static void name_of(int i, char out[32])
{
    (void)snprintf(out, 32, "ledger-%06d.jsonl", i);
}

static int count_files(const sb_ledger_log *l)
{
    char name[32];
    struct stat st;
    int n = 0;
    for (; n < SB_MAX_LEDGER_FILES; n++) {
        name_of(n + 1, name);
        if (fstatat(l->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) break;
    }
    return n;
}

/* The last bytes of a file; *out_torn: how many of them are behind its last newline. */
static sb_status read_tail(const sb_ledger_log *l, int fd, sb_buf *out, uint64_t *out_bytes,
                           size_t *out_torn, sb_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return fail(l, err, "cannot read", errno);
    const uint64_t all = (uint64_t)st.st_size;
    uint64_t at = all > TAIL_BYTES ? all - TAIL_BYTES : 0;
    char piece[16384];
    while (at < all) {
        const ssize_t n = pread(fd, piece, sizeof piece, (off_t)at);
        if (n <= 0) return fail(l, err, "cannot read", n ? errno : EIO);
        SB_TRY(sb_buf_add(out, piece, (size_t)n, err));
        at += (uint64_t)n;
    }
    const char *end = out->n ? memrchr(out->p, '\n', out->n) : NULL;
    *out_bytes = all;
    *out_torn = end ? out->n - (size_t)(end + 1 - out->p) : out->n;
    return SB_OK;
}

/* Takes over what the last lines of a tail say. A last line that is damaged is left as it is: the
 * chain goes on from the hash it names, or from nothing, and the audit tells. */
static void go_on_from(sb_ledger_log *l, const char *p, size_t n)
{
    bool any = false;
    while (n > 1) {
        const char *begin = memrchr(p, '\n', n - 1);
        begin = begin ? begin + 1 : p;
        sb_ledger_line x;
        if (sb_ledger_line_read(&x, begin, (size_t)(p + n - 1 - begin), NULL) != SB_OK) return;
        if (!any) memcpy(l->last, x.hash, sizeof l->last);
        if (!any) l->last_owner = (uint64_t)x.last_owner;
        any = true;
        const bool enough = x.kind != SB_LEDGER_RECEIPT;
        if (enough) {
            l->base = x.base;
            l->sum_uj = x.sum_uj;
        }
        sb_ledger_line_deinit(&x);
        if (enough) return;
        n = (size_t)(begin - p);
    }
}

static sb_status read_end(sb_ledger_log *l, int fd, bool cut, sb_error *err)
{
    sb_buf tail;
    size_t torn = 0;
    uint64_t all = 0;
    sb_buf_init(&tail, TAIL_BYTES + 16384, "end of the energy ledger");
    sb_status s = read_tail(l, fd, &tail, &all, &torn, err);
    if (s == SB_OK && torn == tail.n && torn >= TAIL_BYTES)
        s = SB_FAIL(err, SB_CORRUPT, "energy ledger: %s is no ledger", file_name);
    if (s == SB_OK && cut && torn && ftruncate(fd, (off_t)(all - torn)) != 0)
        s = fail(l, err, "cannot cut a torn line in", errno);
    if (s == SB_OK && tail.n > torn) go_on_from(l, tail.p, tail.n - torn);
    if (s == SB_OK && cut) l->bytes = all - torn;
    sb_buf_deinit(&tail);
    return s;
}

/* A rotation that was killed, or has just been, leaves an empty file: the one before has the end.
 */
static sb_status read_older_end(sb_ledger_log *l, sb_error *err)
{
    char name[32];
    if (l->n_files == 0) return SB_OK;
    name_of(l->n_files, name);
    const int fd = openat(l->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return fail(l, err, "cannot read", errno);
    const sb_status s = read_end(l, fd, false, err);
    (void)close(fd);
    return s;
}

static int open_file(const sb_ledger_log *l)
{
    return openat(l->dir_fd, file_name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static sb_status open_parts(sb_ledger_log *l, const sb_ledger_log_opts *o, sb_error *err)
{
    SB_TRY(sb_data_folder(l->dir, o->home, "ledger", err));
    l->dir_fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->dir_fd < 0) return fail(l, err, "cannot open", errno);
    SB_TRY(take_lock(l, err));
    read_boot(l, o->proc);
    l->n_files = count_files(l);
    l->fd = open_file(l);
    if (l->fd < 0) return fail(l, err, "cannot open", errno);
    SB_TRY(read_end(l, l->fd, true, err));
    return l->bytes ? SB_OK : read_older_end(l, err);
}

sb_status sb_ledger_log_open(sb_ledger_log **out, const sb_ledger_log_opts *o, sb_error *err)
{
    sb_ledger_log *l = sb_calloc(1, sizeof *l);
    if (!l) return SB_FAIL(err, SB_NO_MEMORY, "energy ledger: no memory");
    l->dir_fd = l->lock_fd = l->fd = -1;
    l->max_bytes = o->max_file_bytes ? o->max_file_bytes : SB_MAX_LEDGER_FILE_BYTES;
    l->synced_ns = sb_now_ns();
    memset(l->last, '0', sizeof l->last - 1);
    sb_buf_init(&l->line, SB_MAX_LEDGER_LINE_BYTES + 1, "line of the energy ledger");
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_mutex_init(&l->sync_lock, NULL);
    const sb_status s = open_parts(l, o, err);
    if (s == SB_OK)
        *out = l;
    else
        sb_ledger_log_close(l);
    return s;
}

void sb_ledger_log_close(sb_ledger_log *l)
{
    if (!l) return;
    const int fds[] = {l->fd, l->dir_fd, l->lock_fd};
    if (l->fd >= 0 && fdatasync(l->fd) != 0) errno = 0; /* nobody is left to be told */
    for (size_t i = 0; i < SB_ARRAY_LEN(fds); i++)
        if (fds[i] >= 0) (void)close(fds[i]);
    sb_owner_map_deinit(&l->owners);
    sb_buf_deinit(&l->line);
    (void)pthread_mutex_destroy(&l->sync_lock);
    (void)pthread_mutex_destroy(&l->lock);
    sb_free(l);
}

const char *sb_ledger_log_dir(const sb_ledger_log *l)
{
    return l->dir;
}

uint64_t sb_ledger_log_last_owner(const sb_ledger_log *l)
{
    return l->last_owner;
}

/* ---- writing; with the lock held ---- */

static sb_status rotate(sb_ledger_log *l, sb_error *err)
{
    char name[32];
    if (l->n_files == SB_MAX_LEDGER_FILES)
        return SB_FAIL(err, SB_LIMIT, "energy ledger: more than %d files", SB_MAX_LEDGER_FILES);
    name_of(l->n_files + 1, name);
    if (fdatasync(l->fd) != 0) return fail(l, err, "cannot flush", errno);
    if (renameat(l->dir_fd, file_name, l->dir_fd, name) != 0)
        return fail(l, err, "cannot move a full file in", errno);
    l->n_files++;
    const int fd = open_file(l);
    if (fd < 0) return fail(l, err, "cannot open", errno); /* the old one goes on being written */
    (void)pthread_mutex_lock(&l->sync_lock);
    (void)close(l->fd);
    l->fd = fd;
    (void)pthread_mutex_unlock(&l->sync_lock);
    l->bytes = 0;
    return SB_OK;
}

/* Writes l->line, all of it or nothing, and makes x the chain's end. */
static sb_status append(sb_ledger_log *l, const sb_ledger_line *x, sb_error *err)
{
    const bool full = l->bytes > 0 && l->bytes + l->line.n > l->max_bytes;
    if (full && x->kind != SB_LEDGER_RECEIPT)
        SB_TRY(rotate(l, err)); /* a file begins with a base */
    ssize_t n;
    do
        n = write(l->fd, l->line.p, l->line.n);
    while (n < 0 && errno == EINTR);
    const int why = n < 0 ? errno : ENOSPC;
    if (n != (ssize_t)l->line.n) {
        if (n > 0 && ftruncate(l->fd, (off_t)l->bytes) != 0) l->bytes += (uint64_t)n;
        return fail(l, err, "cannot write to", why);
    }
    l->bytes += l->line.n;
    memcpy(l->last, x->hash, sizeof l->last);
    l->last_owner = (uint64_t)x->last_owner;
    if (x->kind != SB_LEDGER_RECEIPT) {
        l->base = x->base;
        l->sum_uj = x->sum_uj;
    }
    return SB_OK;
}

static void begin_line(const sb_ledger_log *l, sb_ledger_line *x, sb_ledger_kind kind)
{
    *x = (sb_ledger_line){
        .kind = kind, .time_ms = now_ms(), .last_owner = (int64_t)l->last_owner, .gap_known = true};
    memcpy(x->prev, l->last, sizeof x->prev);
}

static void read_base(const sb_ledger_log *l, sb_ledger_base *b, uint64_t mono_ns)
{
    memcpy(b->boot, l->boot, sizeof b->boot);
    b->mono_ns = (int64_t)mono_ns;
    b->n = l->meter ? sb_meter_raw(l->meter, b->rows, SB_METER_MAX_ZONES) : 0;
    for (int i = 0; i < b->n; i++)
        if (b->rows[i].raw_uj > INT64_MAX || b->rows[i].range_uj > INT64_MAX) b->n = 0;
}

sb_status sb_ledger_log_start(sb_ledger_log *l, sb_meter *m, sb_error *err)
{
    sb_ledger_line x;
    (void)pthread_mutex_lock(&l->lock);
    const sb_meter_mark mark = sb_meter_begin(m);
    l->meter = m;
    begin_line(l, &x, SB_LEDGER_OPEN);
    read_base(l, &x.base, mark.now_ns);
    x.sum_uj = (int64_t)mark.sum_uj;
    x.gap_known = sb_ledger_gap(&l->base, &x.base, &x.gap_uj);
    if (l->base.boot[0] && strcmp(l->base.boot, x.base.boot) == 0)
        x.gap_ns = x.base.mono_ns > l->base.mono_ns ? x.base.mono_ns - l->base.mono_ns : 0;
    sb_status s = sb_ledger_line_write(&l->line, &x, NULL, err);
    if (s == SB_OK) s = append(l, &x, err);
    (void)pthread_mutex_unlock(&l->lock);
    return s;
}

static void take_tick(sb_ledger_line *x, const sb_tick *t, int64_t last_sum_uj)
{
    x->begin_ns = (int64_t)t->begin_ns;
    x->measured = t->source == SB_ENERGY_MEASURED;
    x->meter_uj = t->meter_uj;
    x->idle_uj = t->idle_uj;
    x->other_uj = t->other_uj;
    x->system_uj = t->system_uj;
    x->lost_uj = t->lost_uj;
    x->lost_ns = (int64_t)t->lost_ns;
    x->sum_uj = (int64_t)t->sum_uj;
    const int64_t counted_uj = x->sum_uj - last_sum_uj - (x->measured ? t->meter_uj : 0);
    x->gap_uj = counted_uj > 0 ? counted_uj : 0;
    for (size_t i = 0; i < t->n_part; i++)
        if ((int64_t)t->parts[i].owner > x->last_owner) x->last_owner = (int64_t)t->parts[i].owner;
}

sb_status sb_ledger_log_tick(sb_ledger_log *l, const sb_tick *t, sb_error *err)
{
    sb_ledger_line x;
    (void)pthread_mutex_lock(&l->lock);
    begin_line(l, &x, SB_LEDGER_TICK);
    read_base(l, &x.base, t->end_ns);
    take_tick(&x, t, l->sum_uj);
    sb_status s = sb_ledger_line_write(&l->line, &x, t, err);
    if (s == SB_OK) s = append(l, &x, err);
    for (size_t i = 0; s == SB_OK && i < t->n_part; i++)
        s = sb_owner_map_add(&l->owners, t->parts[i].owner, t->parts[i].uj, x.measured, err);
    (void)pthread_mutex_unlock(&l->lock);
    return s;
}

/* ---- receipts ---- */

/* What ticks gave the owners. An energy below that is raised to it: the ticks are written. One that
 * holds estimated parts is an estimate. */
static void settle(sb_ledger_log *l, const sb_ledger_receipt *r, sb_energy *e, sb_ledger_line *x)
{
    for (size_t i = 0; i < r->n_owners; i++) {
        const sb_owner_sum s = sb_owner_map_take(&l->owners, r->owners[i]);
        x->parts_uj += s.measured_uj + s.estimated_uj;
        x->estimated_uj += s.estimated_uj;
        if ((int64_t)r->owners[i] > x->last_owner) x->last_owner = (int64_t)r->owners[i];
    }
    if (e->energy_uj < x->parts_uj) e->energy_uj = x->parts_uj;
    if (e->lo_uj > e->energy_uj) e->lo_uj = e->energy_uj;
    if (e->hi_uj < e->energy_uj) e->hi_uj = e->energy_uj;
    x->beside_uj = e->energy_uj - x->parts_uj;
    if (x->estimated_uj && e->source == SB_ENERGY_MEASURED) e->source = SB_ENERGY_ESTIMATED;
}

static json_t *owners_of(const sb_ledger_receipt *r)
{
    json_t *a = json_array();
    bool ok = a != NULL;
    for (size_t i = 0; ok && i < r->n_owners; i++)
        ok = json_array_append_new(a, json_integer((json_int_t)r->owners[i])) == 0;
    if (ok) return a;
    json_decref(a);
    return NULL;
}

/* The receipt and its line; with the lock held. */
static sb_status write_receipt(sb_ledger_log *l, const sb_ledger_receipt *r, json_t **out,
                               sb_error *err)
{
    sb_ledger_line x;
    sb_energy e = r->energy;
    sb_receipt_facts f = r->facts;
    json_t *receipt = NULL, *owners = owners_of(r);
    if (!owners) return SB_FAIL(err, SB_NO_MEMORY, "receipt: no memory");
    begin_line(l, &x, SB_LEDGER_RECEIPT);
    settle(l, r, &e, &x);
    e.settled = true;
    f.time_ms = f.time_ms ? f.time_ms : x.time_ms;
    f.estimated_uj = x.estimated_uj + (e.source == SB_ENERGY_ESTIMATED ? x.beside_uj : 0);
    sb_status s = sb_receipt_new(&receipt, &e, &f, err);
    if (s == SB_OK) s = sb_receipt_seal(receipt, l->last, r->keys, err);
    x.key = r->key;
    x.owners = owners;
    x.receipt = receipt;
    if (s == SB_OK) s = sb_ledger_line_write(&l->line, &x, NULL, err);
    if (s == SB_OK) s = append(l, &x, err);
    json_decref(owners);
    if (s == SB_OK)
        *out = receipt;
    else
        json_decref(receipt);
    return s;
}

sb_status sb_ledger_log_receipt(sb_ledger_log *l, const sb_ledger_receipt *r, json_t **out,
                                sb_error *err)
{
    if (r->n_owners > SB_MAX_CHOICES)
        return SB_FAIL(err, SB_LIMIT, "receipt: more than %d answers", SB_MAX_CHOICES);
    if (r->energy.source == SB_ENERGY_UNAVAILABLE)
        return SB_FAIL(err, SB_INVALID, "receipt: no energy is known");
    (void)pthread_mutex_lock(&l->lock);
    const sb_status s = write_receipt(l, r, out, err);
    (void)pthread_mutex_unlock(&l->lock);
    return s;
}

void sb_ledger_log_flush(sb_ledger_log *l)
{
    (void)pthread_mutex_lock(&l->sync_lock);
    if (sb_now_ns() - l->synced_ns > UINT64_C(1000000000) * SB_LEDGER_SYNC_S) {
        l->synced_ns = sb_now_ns();
        if (fdatasync(l->fd) != 0) errno = 0; /* the lines are there unless the power goes */
    }
    (void)pthread_mutex_unlock(&l->sync_lock);
}
