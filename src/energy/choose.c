/* SPDX-License-Identifier: Apache-2.0
 * choose.c - which of the meters that are there answers are counted by.
 *
 * The first kind of meters.def that works. What overlaps it is never added to it; GPU boards are
 * outside of it, so they are. With roots.survey the others are opened as well, to be listed and
 * compared; else the search ends at the first. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "energy/internal.h"

static const struct {
    const char *id, *covers, *misses, *grant;
    uint64_t period_ms, max_watts, accuracy_permille;
} kinds[SB_METER_KIND_COUNT] = {
#define X(kind, id, period_ms, max_watts, accuracy, covers, misses, grant)                         \
    {id, covers, misses, grant, period_ms, max_watts, accuracy},
#include "energy/meters.def"
#undef X
};

static const struct {
    const char *id, *what;
} states[SB_METER_STATE_COUNT] = {
#define X(state, id, what) {id, what},
#include "energy/meter-states.def"
#undef X
};

const char *sb_meter_kind_id(sb_meter_kind k)
{
    return kinds[k].id;
}

const char *sb_meter_kind_covers(sb_meter_kind k)
{
    return kinds[k].covers;
}

const char *sb_meter_kind_misses(sb_meter_kind k)
{
    return kinds[k].misses;
}

const char *sb_meter_state_id(sb_meter_state s)
{
    return states[s].id;
}

const char *sb_meter_state_what(sb_meter_state s)
{
    return states[s].what;
}

void sb_counters_init(sb_counters *c, sb_meter_kind kind, const char *source, sb_counter_read read)
{
    *c = (sb_counters){.meter = kind,
                       .source = source,
                       .read = read,
                       .step_ns = kinds[kind].period_ms * 1000000,
                       .max_watts = kinds[kind].max_watts,
                       .accuracy_permille = kinds[kind].accuracy_permille};
}

void sb_look_text(char *out, size_t out_bytes, const char *text)
{
    size_t n = 0;
    for (; text[n] && n + 1 < out_bytes; n++)
        out[n] = text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?';
    out[n] = 0;
}

void sb_look_command(const char *sysfs, sb_meter_kind kind, char *out, size_t out_bytes)
{
    char self[128], *end = out + out_bytes - 1;
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    const bool known = n > 0 && (size_t)n < sizeof self - 1;
    self[known ? n : 0] = 0;
    for (const char *p = kinds[kind].grant; *p && out < end; p++) {
        const char *word = *p == '@' ? sysfs : *p == '%' && !known ? "PATH_OF_SOBRE" : self;
        const bool is_word = *p == '@' || *p == '%';
        if (!is_word) *out++ = *p;
        for (; is_word && *word && out < end; word++)
            *out++ = *word;
    }
    *out = 0;
}

sb_meter_row *sb_look_add(sb_look *l, sb_meter_kind kind, sb_meter_state state, const char *name)
{
    if (!l->rows || l->n_rows == SB_METER_MAX_ROWS) return NULL;
    sb_meter_row *r = &l->rows[l->n_rows++];
    *r = (sb_meter_row){
        .kind = kind, .state = state, .unit = "uJ", .period_ms = kinds[kind].period_ms};
    sb_look_text(r->name, sizeof r->name, name);
    return r;
}

sb_meter_row *sb_look_fail(sb_look *l, sb_meter_kind kind, int why, const char *name)
{
    const bool refused = why == EACCES || why == EPERM;
    sb_meter_row *r = sb_look_add(l, kind, refused ? SB_METER_REFUSED : SB_METER_NO_DATA, name);
    if (r && refused) sb_look_command(l->sysfs, kind, r->command, sizeof r->command);
    return r;
}

typedef void (*opener)(sb_counters *c, sb_look *l);

/* Best first, as meters.def. Where a kind has two, the one that costs less. */
static const struct {
    sb_meter_kind kind;
    opener open;
    bool dear; /* reading it waits, or wakes something up: roots.aside leaves it out */
} order[] = {
    {SB_METER_PERF, sb_find_perf, false},       {SB_METER_POWERCAP, sb_find_powercap, false},
    {SB_METER_GUEST, sb_find_guest, false},     {SB_METER_PSYS, sb_find_perf_psys, false},
    {SB_METER_PSYS, sb_find_psys, false},       {SB_METER_SERVER, sb_find_server, false},
    {SB_METER_RAIL, sb_find_rail, false},       {SB_METER_PLUG, sb_find_plug, false},
    {SB_METER_BATTERY, sb_find_battery, false}, {SB_METER_NODE, sb_find_node, false},
    {SB_METER_DCMI, sb_find_dcmi, true},        {SB_METER_GPU, sb_find_nvml, true},
    {SB_METER_GPU, sb_find_hwmon_gpu, false},
};

/* What became of a source decides what its rows say. */
static void settle_rows(sb_look *l, size_t from, sb_meter_state state, bool counted)
{
    for (size_t i = from; i < l->n_rows; i++)
        if (l->rows[i].state == SB_METER_CHECK) {
            l->rows[i].state = state;
            l->rows[i].counted = counted;
        }
}

static void note_why_not(sb_sources *s, const sb_counters *c)
{
    if (c->meter == SB_METER_PERF)
        s->perf_refused = c->refused;
    else if (c->meter <= SB_METER_PSYS)
        s->refused = s->refused || c->refused;
    if (c->meter <= SB_METER_PSYS) s->broken = s->broken || c->broken;
}

/* Takes the source over, or gives it back empty. aside: what counts answers is chosen as if it were
 * not there. */
static bool place(sb_sources *s, sb_counters *c, size_t rows_from, bool aside)
{
    if (c->n == 0) return false;
    if (aside) settle_rows(&s->look, rows_from, SB_METER_ASIDE, false);
    if (aside && (c->meter == SB_METER_GPU || !s->main)) return false;
    if (c->meter == SB_METER_GPU) {
        if (!s->main) settle_rows(&s->look, rows_from, SB_METER_ALONE, false);
        if (!s->main || s->n_added == SB_METER_MAX_ADDED) return false;
        s->added[s->n_added++] = c;
        settle_rows(&s->look, rows_from, SB_METER_ADDED, true);
    } else if (!s->main) {
        s->main = c;
        settle_rows(&s->look, rows_from, SB_METER_CHOSEN, true);
    } else {
        if (s->n_checks == SB_METER_MAX_CHECKS) return false;
        s->checks[s->n_checks++] = c;
    }
    return true;
}

static void drop(sb_counters *c)
{
    if (!c) return;
    sb_counters_close(c);
    sb_free(c);
}

sb_status sb_sources_open(sb_sources *s, const sb_meter_roots *roots, sb_error *err)
{
    *s = (sb_sources){.look = {.sysfs = roots->sysfs ? roots->sysfs : "", .roots = roots}};
    if (roots->survey) {
        s->look.rows = sb_calloc(SB_METER_MAX_ROWS, sizeof *s->look.rows);
        if (!s->look.rows) return SB_FAIL(err, SB_NO_MEMORY, "energy meter: no memory");
    }
    sb_counters *c = NULL;
    for (size_t i = 0; i < SB_ARRAY_LEN(order); i++) {
        if (s->main && !roots->survey && order[i].kind != SB_METER_GPU) continue;
        const size_t rows_from = s->look.n_rows;
        const bool aside = roots->aside && order[i].dear;
        if (!c) c = sb_calloc(1, sizeof *c);
        if (c) order[i].open(c, &s->look);
        if (!c || c->no_memory) {
            drop(c);
            sb_sources_close(s);
            return SB_FAIL(err, SB_NO_MEMORY, "energy meter: no memory");
        }
        note_why_not(s, c);
        if (place(s, c, rows_from, aside))
            c = NULL;
        else
            sb_counters_close(c);
    }
    sb_free(c);
    s->look.roots = NULL; /* the caller's, and of no more use */
    return SB_OK;
}

void sb_sources_close(sb_sources *s)
{
    drop(s->main);
    for (int i = 0; i < s->n_added; i++)
        drop(s->added[i]);
    for (int i = 0; i < s->n_checks; i++)
        drop(s->checks[i]);
    sb_free(s->look.rows);
    *s = (sb_sources){0};
}

sb_counters *sb_sources_find(const sb_sources *s, sb_meter_kind k)
{
    if (s->main && s->main->meter == k) return s->main;
    for (int i = 0; i < s->n_checks; i++)
        if (s->checks[i]->meter == k) return s->checks[i];
    return NULL;
}

/* What readings have told since it was found: copies of one counter, and what stands still. */
static void update(const sb_sources *s, sb_meter_row *r)
{
    const sb_counters *c = sb_sources_find(s, r->kind);
    if (!c ||
        (r->state != SB_METER_CHOSEN && r->state != SB_METER_CHECK && r->state != SB_METER_ASIDE))
        return;
    for (int i = 0; i < c->n; i++) {
        const sb_counter *z = &c->v[i];
        if (strcmp(z->name, r->name) != 0) continue;
        if (sb_counter_stands_still(c, z)) r->state = SB_METER_FROZEN;
        if (z->mirror_of < 0 || z->prev_uj != c->v[z->mirror_of].prev_uj) continue;
        r->state = SB_METER_DUPLICATE;
        r->counted = false;
        memcpy(r->of, c->v[z->mirror_of].name, sizeof r->of);
    }
}

size_t sb_sources_list(const sb_sources *s, sb_meter_row *out, size_t n_max)
{
    size_t n = 0;
    for (int k = 0; k < SB_METER_KIND_COUNT; k++)
        for (size_t i = 0; i < s->look.n_rows && n < n_max; i++) {
            if ((int)s->look.rows[i].kind != k) continue;
            out[n] = s->look.rows[i];
            update(s, &out[n++]);
        }
    return n;
}
