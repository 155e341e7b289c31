/* SPDX-License-Identifier: Apache-2.0
 * governor.c - the sweep, its lines in a file, and the choice.
 *
 * The file is only ever added to, a line a point, so that several processes and a server that may
 * open nothing any more can write it; what it holds of a key last is what counts. A model of
 * everything (idle power, stalls, voltage) was refused: a measurement of a second knows more. */
#include "chat/governor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/limits.h"
#include "energy/cpufreq.h"

enum {
    STEPS_LEAST = 6, /* of one point, after one that warms up */
    STEPS_MOST = 48,
    LINE_BYTES = 128,
    FILE_BYTES = 1 << 16, /* a longer one begins anew */
    IDENTITY_BYTES = 256,
    VERSION_BYTES = 40,
    FREQUENCIES = 4, /* limits tried, the whole range among them */
    FEW_ROWS = 4     /* what was measured is one row; many compute more than they wait for memory */
};
#define POINT_NS UINT64_C(120000000)

struct sb_governor {
    sb_governor_opts o;
    sb_meter *meter;
    sb_cpufreq *freq; /* or NULL */
    int fd;           /* of the file, or -1 */
    char cpu[IDENTITY_BYTES], version[VERSION_BYTES];
};

/* The processor's own name: a class of them is too little, for a sweep is of one machine. */
static void name_cpu(sb_governor *g)
{
    char path[512], text[4096];
    const char *proc = g->o.roots.proc ? g->o.roots.proc : "";
    (void)snprintf(path, sizeof path, "%s/proc/cpuinfo", proc);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) (void)close(fd);
    if (n <= 0) return;
    text[n] = 0;
    const char *line = strstr(text, "model name");
    if (!line) line = text;
    (void)snprintf(g->cpu, sizeof g->cpu, "%.*s", (int)strcspn(line, "\n"), line);
}

sb_status sb_governor_open(sb_governor **out, const sb_governor_opts *o, sb_error *err)
{
    sb_governor *g = sb_calloc(1, sizeof *g);
    if (!g) return SB_FAIL(err, SB_NO_MEMORY, "governor: out of memory");
    g->o = *o;
    g->o.path = g->o.version = NULL; /* borrowed until here */
    g->fd = -1;
    (void)snprintf(g->version, sizeof g->version, "%s", o->version);
    sb_status s = sb_meter_open(&g->meter, &o->roots, err);
    if (s == SB_OK) s = sb_cpufreq_open(&g->freq, o->roots.sysfs, err);
    if (s != SB_OK) {
        sb_governor_close(g);
        return s;
    }
    name_cpu(g);
    if (o->path)
        g->fd =
            open(o->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
    *out = g;
    return SB_OK;
}

void sb_governor_close(sb_governor *g)
{
    if (!g) return;
    sb_cpufreq_close(g->freq);
    sb_meter_close(g->meter);
    if (g->fd >= 0) (void)close(g->fd);
    sb_free(g);
}

void sb_governor_restore(const sb_governor *g)
{
    if (g) sb_cpufreq_restore(g->freq);
}

/* ---- what a sweep is of ---- */

static void add_identity(uint64_t *sum, const void *p, size_t n)
{
    const uint64_t two[2] = {*sum, sb_checksum(p, n)};
    *sum = sb_checksum(two, sizeof two);
}

/* Shapes and formats of all weights, the CPU, its threads, the kernels and the program. */
static uint64_t key_of(const sb_governor *g, const sb_engine *e, int n_threads)
{
    const sb_model *m = sb_engine_model(e);
    uint64_t sum = 0;
    const int64_t rest[] = {n_threads, sb_engine_level(e), sb_engine_kv(e), sb_engine_is_mapped(e)};
    add_identity(&sum, g->cpu, strlen(g->cpu));
    add_identity(&sum, g->version, strlen(g->version));
    add_identity(&sum, rest, sizeof rest);
    for (int32_t i = 0; i < m->n_weights; i++) {
        const sb_weight *w = &m->weights[i];
        const int64_t shape[] = {w->format, w->k, w->n_row};
        add_identity(&sum, shape, sizeof shape);
        add_identity(&sum, w->name.p, w->name.n);
    }
    return sum;
}

/* ---- the file ---- */

static bool take_number(const char **p, int64_t *out)
{
    int64_t v = 0;
    const char *at = *p;
    for (; *at >= '0' && *at <= '9'; at++)
        if (ckd_mul(&v, v, 10) || ckd_add(&v, v, *at - '0')) return false;
    if (at == *p || (*at != ' ' && *at != '\n')) return false;
    *p = at + 1;
    *out = v;
    return true;
}

/* "KEY THREADS KHZ NJ NS MEASURED" of this key; anything else is passed over. */
static bool read_line(const char *line, const char *key, sb_governor_point *out)
{
    const size_t n = strlen(key);
    int64_t v[5];
    if (strncmp(line, key, n) != 0 || line[n] != ' ') return false;
    const char *p = line + n + 1;
    for (size_t i = 0; i < SB_ARRAY_LEN(v); i++)
        if (!take_number(&p, &v[i])) return false;
    if (p[-1] != '\n' || v[0] < 1 || v[0] > SB_MAX_THREADS || v[3] < 1 || v[4] > 1) return false;
    *out = (sb_governor_point){
        .n_threads = (int32_t)v[0], .khz = v[1], .nj = v[2], .ns = v[3], .measured = v[4] == 1};
    return true;
}

static bool is_same(const sb_governor_point *a, const sb_governor_point *b)
{
    return a->n_threads == b->n_threads && a->khz == b->khz;
}

/* Puts a point in the place of the same choice of before, else at the end. */
static void put_point(sb_governor_point *points, int *n, const sb_governor_point *p)
{
    int i = 0;
    while (i < *n && !is_same(&points[i], p))
        i++;
    if (i == SB_GOVERNOR_POINTS) return;
    points[i] = *p;
    if (i == *n) ++*n;
}

static int load_points(const sb_governor *g, const char *key, sb_governor_point *points)
{
    int n = 0;
    char *text = g->fd >= 0 ? sb_calloc(1, FILE_BYTES + 1) : NULL;
    const ssize_t got = text ? pread(g->fd, text, FILE_BYTES, 0) : -1;
    if (got == FILE_BYTES && ftruncate(g->fd, 0) != 0) text[0] = 0;
    for (const char *line = text; got > 0 && *line; line = strchr(line, '\n') + 1) {
        sb_governor_point p;
        if (!strchr(line, '\n')) break; /* cut off while it was written */
        if (read_line(line, key, &p)) put_point(points, &n, &p);
    }
    sb_free(text);
    return n;
}

static void keep_point(const sb_governor *g, const char *key, const sb_governor_point *p)
{
    char line[LINE_BYTES];
    if (g->fd < 0) return;
    const int n = snprintf(line, sizeof line, "%s %d %" PRId64 " %" PRId64 " %" PRId64 " %d\n", key,
                           (int)p->n_threads, p->khz, p->nj, p->ns, p->measured);
    if (write(g->fd, line, (size_t)n) != n) return; /* it is measured anew the next time */
}

/* ---- the sweep ---- */

static sb_status step_once(sb_engine *e, sb_session *s, sb_error *err)
{
    const int32_t id = 0;
    const sb_span a = {
        .s = s, .ids = &id, .n = 1, .want = SB_WANT_LAST, .n_top = 1, .is_decode = true};
    if (sb_session_room(s) == 0) SB_TRY(sb_session_rewind(s, 0, err));
    return sb_engine_step(e, &a, 1, err);
}

static sb_status measure(const sb_governor *g, sb_engine *e, sb_session *s, sb_governor_point *p,
                         sb_error *err)
{
    int32_t n = 0;
    SB_TRY(step_once(e, s, err));
    const sb_meter_mark mark = sb_meter_begin(g->meter);
    const uint64_t begin_ns = sb_now_ns();
    for (; n < STEPS_LEAST || (n < STEPS_MOST && sb_now_ns() - begin_ns < POINT_NS); n++)
        SB_TRY(step_once(e, s, err));
    p->ns = (int64_t)(sb_now_ns() - begin_ns) / n;
    const sb_energy used = sb_meter_end(g->meter, &mark);
    p->nj = used.energy_uj * 1000 / n;
    p->measured = used.source == SB_ENERGY_MEASURED;
    if (p->ns < 1) p->ns = 1;
    return SB_OK;
}

/* A sweep under way. */
typedef struct sweeping {
    const sb_governor *g;
    sb_engine *e;
    sb_session *s;
    const sb_governor_turns *turns;
    sb_governor_point points[SB_GOVERNOR_POINTS];
    int n;
} sweeping;

static sb_status try_point(sweeping *w, int32_t n_threads, int64_t khz, sb_error *err)
{
    const sb_governor *g = w->g;
    sb_governor_point p = {.n_threads = n_threads, .khz = khz};
    if (w->turns->enter) w->turns->enter(w->turns->ctx);
    sb_engine_set_decode_threads(w->e, n_threads, 0);
    const bool set = khz == 0 || sb_cpufreq_set(g->freq, khz);
    const sb_status st = set ? measure(g, w->e, w->s, &p, err) : SB_OK;
    if (khz) sb_cpufreq_restore(g->freq);
    if (w->turns->leave) w->turns->leave(w->turns->ctx);
    if (st == SB_OK && set) put_point(w->points, &w->n, &p); /* one the kernel refuses is none */
    return st;
}

/* 1, 2, 3, 4, 6, 8, 12, 16 ... and all there are. */
static int next_count(int n, int n_threads)
{
    const int next = n < 4 ? n + 1 : (n & (n - 1)) == 0 ? n + n / 2 : n / 3 * 4;
    return n < n_threads && next > n_threads ? n_threads : next;
}

static sb_status try_points(sweeping *w, sb_error *err)
{
    const sb_governor *g = w->g;
    const int n_threads = sb_engine_n_threads(w->e);
    int64_t lo = 0, hi = 0;
    for (int k = 1; k <= n_threads; k = next_count(k, n_threads))
        SB_TRY(try_point(w, k, 0, err));
    if (!g->freq) return SB_OK;
    sb_cpufreq_range(g->freq, &lo, &hi);
    const int32_t best = sb_governor_pick(w->points, w->n, g->o.latency_ms)->n_threads;
    for (int i = 1; i < FREQUENCIES; i++)
        SB_TRY(try_point(w, best, hi - (hi - lo) * i / FREQUENCIES, err));
    return SB_OK;
}

static sb_status sweep(sweeping *w, const char *key, sb_error *err)
{
    SB_TRY(sb_session_open(&w->s, w->e, 1, err));
    const sb_status st = try_points(w, err);
    for (int i = 0; st == SB_OK && i < w->n; i++)
        keep_point(w->g, key, &w->points[i]);
    sb_session_close(w->s);
    return st;
}

/* ---- the choice ---- */

const sb_governor_point *sb_governor_pick(const sb_governor_point *points, int n, double latency_ms)
{
    const sb_governor_point *fast = points, *best = NULL;
    for (int i = 1; i < n; i++)
        if (points[i].ns < fast->ns) fast = &points[i];
    const double most_ns = latency_ms > 0 ? latency_ms * 1e6 : 2 * (double)fast->ns;
    for (int i = 0; i < n; i++) {
        const sb_governor_point *p = &points[i];
        if ((double)p->ns > most_ns) continue;
        if (!best || p->nj < best->nj || (p->nj == best->nj && p->ns < best->ns)) best = p;
    }
    return best ? best : fast;
}

static void say(const sb_governor *g, const sb_governor_point *p, int n_threads)
{
    char line[200], at[40] = "";
    if (!g->o.say) return;
    if (p->khz) (void)snprintf(at, sizeof at, " at %.1f GHz", (double)p->khz / 1e6);
    (void)snprintf(line, sizeof line,
                   "governor: %d of %d threads write answers%s: %.2g mJ (%s) and %.3g ms a token",
                   (int)p->n_threads, n_threads, at, (double)p->nj / 1e6,
                   p->measured ? "measured" : "estimated", (double)p->ns / 1e6);
    g->o.say(g->o.ctx, line);
}

sb_status sb_governor_choose(sb_governor *g, sb_engine *e, const sb_governor_turns *turns,
                             sb_error *err)
{
    sweeping w = {.g = g, .e = e, .turns = turns};
    char key[24];
    const int n_threads = sb_engine_n_threads(e);
    (void)snprintf(key, sizeof key, "%016" PRIx64, key_of(g, e, n_threads));
    w.n = load_points(g, key, w.points);
    if (w.n == 0) SB_TRY(sweep(&w, key, err));
    const sb_governor_point *p = sb_governor_pick(w.points, w.n, g->o.latency_ms);
    sb_engine_set_decode_threads(e, p->n_threads, FEW_ROWS);
    if (g->freq && p->khz && !sb_cpufreq_set(g->freq, p->khz)) sb_cpufreq_restore(g->freq);
    say(g, p, n_threads);
    return SB_OK;
}
