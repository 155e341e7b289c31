/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy_calibrate.c - `sobre energy calibrate`: loads of known time and bytes beside the
 * meter, and the coefficients that follow.
 *
 * Products of bytes in registers, plain reads of memory, and both in turn, with one thread, half of
 * them and all: what answers are made of, by the same kernels and pool. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "cli/bench_limits.h"
#include "cli/cmd_energy.h"
#include "cli/json_out.h"
#include "cli/setup.h"
#include "cli/stop.h"
#include "energy/estimate.h"

typedef enum load { LOAD_IDLE, LOAD_PRODUCTS, LOAD_READS, LOAD_BOTH, LOAD_COUNT } load;
enum { ROUNDS = 2, NUMBER_BYTES = 32 };

typedef struct calibrating {
    const sb_cli *c;
    sb_meter *meter;
    char plug[SB_MAX_PATH_BYTES]; /* a counter of microjoules, or "" */
    sb_fit_point points[SB_FIT_MAX_POINTS];
    uint32_t counter_mw[SB_FIT_MAX_POINTS], wall_mw[SB_FIT_MAX_POINTS];
    int n, n_wall, n_lost;
    sb_calibration cal;
} calibrating;

/* The plug's counter; false when it cannot be read. */
static bool read_plug(const calibrating *k, uint64_t *out_uj)
{
    char text[NUMBER_BYTES];
    int64_t v = 0;
    const int fd = open(k->plug, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) (void)close(fd);
    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    if (!sb_parse_int(text, &v) || v < 0) return false;
    *out_uj = (uint64_t)v;
    return true;
}

/* Bytes that were read from memory. */
static uint64_t work(load what, const sb_bench_limits *l, uint64_t ns)
{
    uint64_t n_bytes = 0;
    const uint64_t begin_ns = sb_now_ns();
    if (what == LOAD_IDLE) {
        const struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
        (void)nanosleep(&t, NULL);
        return 0;
    }
    while (sb_now_ns() - begin_ns < ns && !sb_stop_asked(NULL)) {
        if (what != LOAD_READS) (void)sb_bench_int8_gops(l);
        if (what == LOAD_PRODUCTS) continue;
        (void)sb_bench_read_gbps(l);
        n_bytes += l->n_bytes;
    }
    return n_bytes;
}

static void keep_point(calibrating *k, const sb_stretch *t, uint64_t n_bytes)
{
    const int64_t own_uj = t->all_uj - t->other_uj;
    if (own_uj > 0 && t->cpu_ns > 0 && k->n < SB_FIT_MAX_POINTS)
        k->points[k->n++] = (sb_fit_point){t->cpu_ns, n_bytes, own_uj};
}

static void keep_wall(calibrating *k, const sb_stretch *t, uint64_t wall_uj)
{
    const double ns = (double)t->duration_ns;
    const double wall = (double)wall_uj * 1e6 / ns, counter = (double)t->all_uj * 1e6 / ns;
    if (!(wall >= 1 && wall < 1e8 && counter < 1e8) || k->n_wall == SB_FIT_MAX_POINTS) return;
    k->wall_mw[k->n_wall] = (uint32_t)wall;
    k->counter_mw[k->n_wall++] = (uint32_t)counter;
}

static sb_status one_load(calibrating *k, load what, const sb_bench_limits *l, sb_error *err)
{
    const uint64_t ns = (uint64_t)(k->c->args->v[SB_OPT_cal_seconds].f * 1e9);
    uint64_t before_uj = 0, after_uj = 0;
    const bool plug = k->plug[0] && read_plug(k, &before_uj);
    sb_meter_mark mark = sb_meter_begin(k->meter);
    const uint64_t n_bytes = work(what, l, ns);
    const sb_stretch t = sb_meter_stretch(k->meter, &mark);
    const bool metered = t.source == SB_ENERGY_MEASURED;
    if (sb_stop_asked(NULL)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
    if (!metered) k->n_lost++;
    if (metered && what != LOAD_IDLE) keep_point(k, &t, n_bytes);
    if (metered) (void)snprintf(k->cal.meter, sizeof k->cal.meter, "%s", t.meter);
    if (metered && plug && read_plug(k, &after_uj) && after_uj > before_uj)
        keep_wall(k, &t, after_uj - before_uj);
    return SB_OK;
}

static sb_status all_loads(calibrating *k, int n_threads, sb_error *err)
{
    sb_pool *pool = NULL;
    sb_bench_limits l = {0};
    SB_TRY(sb_pool_new(&pool, n_threads, err));
    sb_status s = sb_bench_limits_init(&l, pool, err);
    for (int round = 0; s == SB_OK && round < ROUNDS; round++)
        for (int what = LOAD_IDLE; s == SB_OK && what < LOAD_COUNT; what++)
            s = one_load(k, (load)what, &l, err);
    sb_bench_limits_deinit(&l);
    sb_pool_free(pool);
    return s;
}

static sb_status measure(calibrating *k, sb_error *err)
{
    const int most = sb_cli_threads(k->c->args), counts[] = {1, (most + 1) / 2, most};
    const double seconds = k->c->args->v[SB_OPT_cal_seconds].f;
    k->cal.n_threads = most;
    sb_term_say("calibrating: %d loads of %.2f s each", 3 * ROUNDS * LOAD_COUNT, seconds);
    for (size_t i = 0; i < SB_ARRAY_LEN(counts); i++)
        SB_TRY(all_loads(k, counts[i], err));
    if (k->n == 0)
        return SB_FAIL(err, SB_UNSUPPORTED,
                       "no meter that can be read here, so nothing to calibrate against: `sobre "
                       "energy meters` shows what there is (%s)",
                       sb_meter_name(k->meter));
    if (k->n_lost > 0) sb_term_say("%d loads were not measured, and left out", k->n_lost);
    SB_TRY(sb_fit_points(k->points, k->n, &k->cal.fit, err));
    if (!k->plug[0]) return SB_OK;
    return sb_fit_wall(k->counter_mw, k->wall_mw, k->n_wall, &k->cal.wall, err);
}

static sb_status prepare(calibrating *k, sb_error *err)
{
    const char *root = getenv("SOBRE_SYSFS_ROOT"), *plug = k->c->args->v[SB_OPT_cal_plug].s;
    const time_t now = time(NULL);
    struct tm tm = {0};
    uint64_t uj = 0;
    k->cal.cpu = sb_cpu_id_read("");
    if (k->cal.cpu.family < 0 || k->cal.cpu.model < 0 || !k->cal.cpu.vendor[0])
        return SB_FAIL(err, SB_UNSUPPORTED,
                       "/proc/cpuinfo does not say which processor this is, so a calibration could "
                       "not be told from another machine's");
    if (!gmtime_r(&now, &tm) || strftime(k->cal.date, sizeof k->cal.date, "%Y-%m-%d", &tm) == 0)
        return SB_FAIL(err, SB_IO, "the clock does not say the day");
    if (plug) {
        const int n =
            snprintf(k->plug, sizeof k->plug, "%s%s%s", root ? root : "", root ? "/" : "", plug);
        if (n < 0 || (size_t)n >= sizeof k->plug || !read_plug(k, &uj)) {
            char shown[64];
            sb_path_escape(shown, sizeof shown, plug);
            return SB_FAIL(err, SB_INVALID, "--plug '%s': must hold a number of microjoules",
                           shown);
        }
    }
    sb_meter_roots roots = {.sysfs = getenv("SOBRE_SYSFS_ROOT")};
    return sb_cli_meter(&k->meter, &roots, err);
}

static json_t *object_of(const calibrating *k, const char *path)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    const sb_calibration *c = &k->cal;
#define PUT_text(v) json_string(v)
#define PUT_number(v) json_integer((json_int_t)(v))
#define X(key, kind, member, lo, hi) sb_json_put(o, key, PUT_##kind(c->member), &ok);
#include "energy/calibration.def"
#undef X
    sb_json_put(o, "file", sb_json_text((sb_str){path, strlen(path)}), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static void show(const calibrating *k, const char *path)
{
    const sb_fit *f = &k->cal.fit;
    const sb_wall_fit *w = &k->cal.wall;
    sb_out *o = k->c->out;
    sb_out_say(
        o, "%u mW a busy thread and %u pJ a byte, from %d loads: mean error %.1f %%, worst %.1f %%",
        f->c.milliwatts, f->c.pj_per_byte, f->n, f->mape_permille / 10.0, f->worst_permille / 10.0);
    sb_out_add(o, "\n", 1);
    if (w->n > 0) {
        sb_out_say(
            o,
            "wall: %.1f W + %.2f x the counters, from %d loads: mean error %.1f %%, worst %.1f %%",
            w->base_mw / 1e3, w->slope_permille / 1e3, w->n, w->mape_permille / 10.0,
            w->worst_permille / 10.0);
        sb_out_add(o, "\n", 1);
        sb_out_say(o,
                   "the wall stands beside what these counters count, from the next start on: %s",
                   k->cal.meter);
        sb_out_add(o, "\n", 1);
    }
    sb_out_say(
        o,
        "errors are of each load by a fit to the others; kept in %s for when the meter may not be "
        "read",
        path);
    sb_out_add(o, "\n", 1);
}

sb_status sb_cmd_energy_calibrate(const sb_cli *c, sb_error *err)
{
    calibrating k = {.c = c};
    sb_buf path;
    sb_buf_init(&path, SB_MAX_PATH_BYTES, "path of the calibration");
    sb_status s = prepare(&k, err);
    if (s == SB_OK) s = measure(&k, err);
    if (s == SB_OK) s = sb_cli_calibration_path(&path, err);
    if (s == SB_OK) s = sb_calibration_save(&k.cal, path.p, err);
    if (s == SB_OK && c->args->v[SB_OPT_json].set)
        s = sb_json_print(c->out, object_of(&k, path.p), err);
    else if (s == SB_OK)
        show(&k, path.p);
    sb_buf_deinit(&path);
    sb_meter_close(k.meter);
    return s;
}
