/* SPDX-License-Identifier: Apache-2.0
 * counters.c - the arithmetic of energy counters: differences, wraps, what is lost, what is twice.
 *
 * A reading is lost, never guessed, when the counter could have wrapped unseen, asks for more watts
 * than a package can draw, cannot be read (and the next one, which brings what came meanwhile), or
 * stood still although a package always draws something. Dies of one socket may show the socket's
 * one counter each: such copies agree in every reading to the last digit, which two real counters
 * do not, so a die counts from the first reading in which it differs.
 *
 * A sensor of watts is made a counter: the mean of two readings times the time between them, in
 * integers, the rest carried. Between readings further apart than SB_MAX_POWER_GAP_S nobody knows
 * what was drawn. Shown the same to the last digit for a minute while the process's load changed by
 * half a processor, it has frozen, as management controllers do. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "energy/internal.h"

enum { STILL_NS = 500000000, STILL_STEPS = 4, START_TRIES = 4 };
enum { FROZEN_LOAD = 500 /* thousandths of a processor */ };
static const uint64_t frozen_ns = 60000000000, load_window_ns = 5000000000, no_load = UINT64_MAX;

__extension__ typedef unsigned __int128 wide;

/* Whether asking again so soon is too dear: what was said a moment ago holds, also that there was
 * no answer, for which somebody may have waited. */
static bool too_soon(const sb_counters *c, const sb_counter *z, uint64_t now_ns)
{
    return c->dear_ns && z->asked_ns && now_ns - z->asked_ns < c->dear_ns;
}

/* A reading and the moment it is taken for. */
static bool read_at(const sb_counters *c, sb_counter *z, uint64_t *out_uj, uint64_t *out_ns)
{
    const uint64_t before_ns = sb_now_ns();
    *out_uj = z->prev_uj;
    *out_ns = before_ns;
    if (too_soon(c, z, before_ns)) return !z->missed;
    const bool ok = c->read(c, z, out_uj) && (!z->range_uj || *out_uj < z->range_uj);
    z->asked_ns = sb_now_ns();
    if (!ok) return false;
    *out_ns = before_ns + (z->asked_ns - before_ns) / 2;
    return true;
}

/* The earlier package of the same socket, or -1. */
static int elder_of(const sb_counters *c, int i)
{
    const sb_counter *z = &c->v[i];
    if (z->kind != SB_COUNTER_PACKAGE || z->socket < 0) return -1;
    for (int j = 0; j < i; j++)
        if (c->v[j].kind == SB_COUNTER_PACKAGE && c->v[j].socket == z->socket) return j;
    return -1;
}

/* Reads a die and its elder so that no update of the counter falls between them. */
static bool start_pair(sb_counters *c, sb_counter *elder, sb_counter *z)
{
    for (int i = 0; i < START_TRIES; i++) {
        uint64_t again_uj = 0, again_ns = 0;
        if (!read_at(c, elder, &elder->prev_uj, &elder->prev_ns) ||
            !read_at(c, z, &z->prev_uj, &z->prev_ns) || !read_at(c, elder, &again_uj, &again_ns))
            return false;
        if (again_uj == elder->prev_uj) break;
    }
    return true;
}

/* What a sensor of watts shows now, or showed a moment ago where asking is dear. */
static bool read_uw(const sb_counters *c, sb_counter *z, uint64_t *out_uw, uint64_t *out_ns)
{
    const uint64_t before_ns = sb_now_ns();
    *out_ns = before_ns;
    *out_uw = z->last_uw;
    if (too_soon(c, z, before_ns)) return z->known;
    const bool ok = c->read(c, z, out_uw) && *out_uw / 1000000 <= c->max_watts;
    z->asked_ns = sb_now_ns();
    if (!ok) return false;
    *out_ns = before_ns + (z->asked_ns - before_ns) / 2;
    return true;
}

static uint64_t process_cpu_ns(const sb_counters *c)
{
    return c->cpu_ns ? c->cpu_ns() : sb_process_cpu_ns();
}

bool sb_counters_start(sb_counters *c)
{
    c->tick_ns = sb_now_ns();
    c->cpu_prev_ns = process_cpu_ns(c);
    for (int i = 0; i < c->n; i++) {
        sb_counter *z = &c->v[i];
        if (z->watts) {
            c->watts = true;
            z->mirror_of = -1;
            z->load_lo = UINT64_MAX;
            z->known = read_uw(c, z, &z->last_uw, &z->prev_ns);
            if (!z->known) return false;
            continue;
        }
        z->mirror_of = elder_of(c, i);
        const bool ok = z->mirror_of < 0 ? read_at(c, z, &z->prev_uj, &z->prev_ns)
                                         : start_pair(c, &c->v[z->mirror_of], z);
        if (!ok) return false;
    }
    return true;
}

void sb_counters_close(sb_counters *c)
{
    for (int i = 0; i < c->n; i++) {
        if (c->v[i].fd >= 0) (void)close(c->v[i].fd);
        if (c->v[i].volts_fd >= 0) (void)close(c->v[i].volts_fd);
    }
    c->n = 0;
    if (c->close_ctx && c->ctx) c->close_ctx(c->ctx);
    c->ctx = NULL;
}

static uint64_t since(const sb_counter *z, uint64_t now_uj)
{
    return now_uj >= z->prev_uj ? now_uj - z->prev_uj : now_uj + (z->range_uj - z->prev_uj);
}

/* Whether this much in this time can be true. */
static bool plausible(const sb_counters *c, const sb_counter *z, uint64_t now_uj, uint64_t dt_ns)
{
    uint64_t most_uj;                                      /* watts * ns / 1000 = microjoules */
    if (now_uj < z->prev_uj && !z->range_uj) return false; /* went back */
    if (ckd_add(&dt_ns, dt_ns, c->step_ns) || ckd_mul(&most_uj, dt_ns, c->max_watts)) return false;
    most_uj /= 1000;
    return (!z->range_uj || most_uj < z->range_uj) && since(z, now_uj) <= most_uj;
}

/* Memory that draws nothing measurable is a counter that the board does not feed; a GPU board may
 * be off. */
static bool stuck(const sb_counters *c, const sb_counter *z)
{
    const uint64_t patience_ns =
        c->step_ns > STILL_NS / STILL_STEPS ? STILL_STEPS * c->step_ns : STILL_NS;
    return z->kind != SB_COUNTER_DRAM && z->kind != SB_COUNTER_GPU && z->still_ns >= patience_ns;
}

bool sb_counter_stands_still(const sb_counters *c, const sb_counter *z)
{
    const bool varied = z->load_hi > z->load_lo && z->load_hi - z->load_lo >= FROZEN_LOAD;
    return stuck(c, z) || (z->watts && z->same_ns >= frozen_ns && varied);
}

/* One counter since its last reading; false when it cannot be known. */
static bool advance(const sb_counters *c, sb_counter *z)
{
    uint64_t now_uj = 0, now_ns = 0;
    const bool missed = z->missed;
    z->tick_uj = 0;
    z->missed = !read_at(c, z, &now_uj, &now_ns);
    if (z->missed) return false;
    const uint64_t dt_ns = now_ns > z->prev_ns ? now_ns - z->prev_ns : 0;
    const bool ok = plausible(c, z, now_uj, dt_ns);
    const uint64_t d = ok ? since(z, now_uj) : 0;
    z->prev_uj = now_uj;
    z->prev_ns = now_ns;
    z->still_ns = ok && d == 0 ? z->still_ns + dt_ns : 0;
    if (!ok || stuck(c, z)) return false;
    z->tick_uj = d;
    if (d) z->moved = true;
    return !missed; /* else some of it belongs to a tick that is closed */
}

/* Whether the sensor has stood still longer than a live one would under such a load. */
static bool frozen(const sb_counters *c, sb_counter *z, uint64_t uw, uint64_t dt_ns, uint64_t load)
{
    if (uw != z->last_uw) {
        z->same_ns = 0;
        z->load_lo = UINT64_MAX;
        z->load_hi = 0;
        return false;
    }
    z->same_ns += dt_ns;
    if (load == no_load) return sb_counter_stands_still(c, z);
    if (load < z->load_lo) z->load_lo = load;
    if (load > z->load_hi) z->load_hi = load;
    return sb_counter_stands_still(c, z);
}

/* A sensor of watts since its last reading; false when that cannot be known. */
static bool integrate(const sb_counters *c, sb_counter *z, uint64_t load)
{
    uint64_t uw = 0, now_ns = 0;
    const bool was_known = z->known;
    z->tick_uj = 0;
    z->known = read_uw(c, z, &uw, &now_ns);
    if (!z->known) return false;
    const uint64_t dt_ns = now_ns > z->prev_ns ? now_ns - z->prev_ns : 0;
    const uint64_t before_uw = z->last_uw;
    const bool still = frozen(c, z, uw, dt_ns, load);
    z->prev_ns = now_ns;
    z->last_uw = uw;
    if (!was_known || dt_ns > SB_MAX_POWER_GAP_S * UINT64_C(1000000000) || still) return false;
    const wide twice = ((wide)before_uw + uw) * dt_ns + z->rest; /* 2e-15 J */
    z->tick_uj = (uint64_t)(twice / 2000000000u);
    z->rest = (uint64_t)(twice % 2000000000u);
    z->still_ns = uw == 0 && before_uw == 0 ? z->still_ns + dt_ns : 0;
    if (stuck(c, z)) return false;
    if (z->tick_uj) z->moved = true;
    return true;
}

/* Thousandths of a processor that the process kept busy in a window of some seconds (shorter ones
 * see one thread come and go), or no_load before it is full. */
static uint64_t load_since(sb_counters *c)
{
    const uint64_t now_ns = sb_now_ns(), dt_ns = now_ns - c->tick_ns;
    if (dt_ns < load_window_ns) return no_load;
    const uint64_t cpu_ns = process_cpu_ns(c), did_ns = cpu_ns - c->cpu_prev_ns;
    c->tick_ns = now_ns;
    c->cpu_prev_ns = cpu_ns;
    return (uint64_t)((wide)did_ns * 1000 / dt_ns);
}

/* Whether z still shows what its elder shows. The elder was read first: when the counter moved in
 * between, a second look at the elder tells. */
static bool still_mirrors(const sb_counters *c, sb_counter *elder, const sb_counter *z)
{
    uint64_t now_uj = 0, now_ns = 0;
    if (z->tick_uj == elder->tick_uj) return true;
    if (!read_at(c, elder, &now_uj, &now_ns)) return false;
    const uint64_t more = now_uj >= elder->prev_uj ? now_uj - elder->prev_uj : UINT64_MAX;
    if (more != z->tick_uj - elder->tick_uj) return false;
    elder->prev_uj = now_uj;
    elder->prev_ns = now_ns;
    elder->tick_uj += more;
    return true;
}

void sb_counters_tick(sb_counters *c)
{
    bool lost = false;
    const uint64_t load = c->watts ? load_since(c) : 0;
    for (int i = 0; i < c->n; i++) {
        sb_counter *z = &c->v[i];
        if (z->watts ? !integrate(c, z, load) : !advance(c, z)) lost = true;
        if (z->mirror_of >= 0 && !still_mirrors(c, &c->v[z->mirror_of], z)) z->mirror_of = -1;
    }
    for (int i = 0; i < c->n; i++)
        if (c->v[i].mirror_of < 0) c->sum_uj += c->v[i].tick_uj;
    if (lost) c->n_lost++;
}

bool sb_counters_have(const sb_counters *c, sb_counter_kind kind)
{
    for (int i = 0; i < c->n; i++)
        if (c->v[i].kind == kind) return true;
    return false;
}

bool sb_counters_moved(const sb_counters *c, sb_counter_kind kind)
{
    for (int i = 0; i < c->n; i++)
        if (c->v[i].kind == kind && c->v[i].moved) return true;
    return false;
}
