/* SPDX-License-Identifier: Apache-2.0
 * cross.c - meters that are kept beside the chosen one, compared with it and with each other.
 *
 * Two that cover the same must agree within what both allow; one that covers a part must not show
 * more than one that covers the whole. Sums are taken between two calls, so that both have seen the
 * same time; a source that lost something in it says nothing. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "energy/internal.h"

/* How much of the machine a kind covers: the packages, the board, all of it. */
static int reach_of(sb_meter_kind k)
{
    switch (k) {
    case SB_METER_PERF:
    case SB_METER_POWERCAP:
    case SB_METER_NODE:
        return 1;
    case SB_METER_PSYS:
    case SB_METER_RAIL:
        return 2;
    case SB_METER_SERVER:
    case SB_METER_BATTERY:
    case SB_METER_DCMI:
        return 3;
    case SB_METER_PLUG:
        return 4;
    default: /* of a guest its host knows only a part; a GPU board is outside */
        return 0;
    }
}

/* What a source may be off by in a time of that length: its accuracy, and a step at each end. */
static uint64_t slack_uj(const sb_counters *c, uint64_t uj, uint64_t ns)
{
    const double part = (double)c->accuracy_permille / 1000 + 2 * (double)c->step_ns / (double)ns;
    return (uint64_t)((double)uj * part) + 1;
}

typedef struct view {
    const sb_counters *c;
    uint64_t uj, slack_uj;
    int reach;
} view;

/* By how much two disagree beyond what both allow; 0 when they do not. */
static uint64_t quarrel(const view *a, const view *b)
{
    const uint64_t allow = a->slack_uj + b->slack_uj;
    if (!a->reach || !b->reach) return 0;
    if (a->reach == b->reach) {
        const uint64_t d = a->uj > b->uj ? a->uj - b->uj : b->uj - a->uj;
        return d > allow ? d - allow : 0;
    }
    const view *part = a->reach < b->reach ? a : b, *whole = part == a ? b : a;
    return part->uj > whole->uj + allow ? part->uj - whole->uj - allow : 0;
}

static void say(sb_check_state *t, const view *a, const view *b, uint64_t ns)
{
    const bool same = a->reach == b->reach;
    const double s = (double)ns / 1e9;
    const view *first = same || a->reach < b->reach ? a : b, *second = first == a ? b : a;
    (void)snprintf(t->line, sizeof t->line,
                   same
                       ? "meters disagree: %s shows %.1f W, %s %.1f W for the same; more than both "
                         "allow"
                       : "meters disagree: %s shows %.1f W for a part, %s %.1f W for the whole",
                   sb_meter_kind_id(first->c->meter), (double)first->uj / 1e6 / s,
                   sb_meter_kind_id(second->c->meter), (double)second->uj / 1e6 / s);
}

static int n_sources(const sb_sources *s)
{
    return s->main ? 1 + s->n_checks : 0;
}

static sb_counters *source_at(const sb_sources *s, int i)
{
    return i == 0 ? s->main : s->checks[i - 1];
}

void sb_sources_check_begin(sb_sources *s, sb_check_state *t)
{
    t->begin_ns = sb_now_ns();
    for (int i = 0; i < n_sources(s); i++) {
        sb_counters *c = source_at(s, i);
        sb_counters_tick(c); /* sums go on: whoever marks the meter sees the same */
        t->sum_uj[i] = c->sum_uj;
        t->n_lost[i] = c->n_lost;
    }
}

const char *sb_sources_check(sb_sources *s, sb_check_state *t)
{
    view v[1 + SB_METER_MAX_CHECKS];
    uint64_t worst = 0;
    int n = 0;
    const uint64_t now_ns = sb_now_ns();
    if (t->begin_ns == 0 || now_ns <= t->begin_ns) return NULL;
    const uint64_t ns = now_ns - t->begin_ns;
    for (int i = 0; i < n_sources(s); i++) {
        sb_counters *c = source_at(s, i);
        sb_counters_tick(c);
        const uint64_t d = c->sum_uj - t->sum_uj[i];
        if (d > 0 && c->n_lost == t->n_lost[i])
            v[n++] = (view){c, d, slack_uj(c, d, ns), reach_of(c->meter)};
    }
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            const uint64_t q = quarrel(&v[i], &v[j]);
            if (q <= worst) continue;
            worst = q;
            say(t, &v[i], &v[j], ns);
        }
    return worst ? t->line : NULL;
}
