/* SPDX-License-Identifier: Apache-2.0
 * pace.c - a line through points at powers of two, moved a little by each step.
 *
 * A formula (so much for the weights, so much for each row) was refused: where products stop being
 * bound by memory differs with format and machine, and the bend is just where chunks end. Steps
 * with prompts have a line of their own: what those without take is the measure of all others, and
 * must not be moved by them. */
#include "engine/pace.h"

/* How far a step moves what is known, down and up. What undisturbed steps take is believed slowly
 * when it rises: one that was held up would let all chunks grow till the next one comes. */
static const double rates[2][2] = {{0.4, 0.1}, {0.25, 0.25}};
static const double most_times[2] = {1.5, 3}; /* of what is known: the rest was something else */

static double at_knot(int k)
{
    return (double)(1 << k);
}

/* The knot at or below `rows`. */
static int knot_below(double rows)
{
    int k = 0;
    while (k + 1 < SB_PACE_KNOTS && at_knot(k + 1) <= rows)
        k++;
    return k;
}

/* Between what is known on both sides; above it every row costs as much as the mean one below. */
static double dense_ns(const double *knot_ns, double rows)
{
    int lo = knot_below(rows), hi = lo + 1;
    while (lo >= 0 && knot_ns[lo] == 0)
        lo--;
    while (hi < SB_PACE_KNOTS && knot_ns[hi] == 0)
        hi++;
    if (lo < 0) return hi < SB_PACE_KNOTS ? knot_ns[hi] : 0;
    if (rows < at_knot(lo)) return knot_ns[lo];
    if (hi == SB_PACE_KNOTS) return knot_ns[lo] * rows / at_knot(lo);
    const double w = (rows - at_knot(lo)) / (at_knot(hi) - at_knot(lo));
    return knot_ns[lo] + w * (knot_ns[hi] - knot_ns[lo]);
}

/* From one that has moved, outwards: none below is above the next, none above is below it. */
static void keep_rising(double *knot_ns, int k)
{
    double next = knot_ns[k];
    for (int i = k - 1; i >= 0; i--) {
        if (knot_ns[i] > next) knot_ns[i] = next;
        if (knot_ns[i] != 0) next = knot_ns[i];
    }
    next = knot_ns[k];
    for (int i = k + 1; i < SB_PACE_KNOTS; i++) {
        if (knot_ns[i] != 0 && knot_ns[i] < next) knot_ns[i] = next;
        if (knot_ns[i] != 0) next = knot_ns[i];
    }
}

/* First values for the knots on both sides of what was seen, the one that is known kept. */
static void guess(double *knot_ns, int lo, int hi, double w, double ns)
{
    double *a = &knot_ns[lo], *b = &knot_ns[hi];
    const double rows = at_knot(lo) + w * (at_knot(hi) - at_knot(lo));
    if (*a == 0) *a = *b != 0 && *b < ns ? *b : ns; /* few rows are bound by memory: no cheaper */
    if (*b != 0) return;
    const double line = w > 0.1 && ns > *a ? *a + (ns - *a) / w : ns;
    const double most = ns * at_knot(hi) / rows;
    *b = line < most && w > 0.1 ? line : most;
}

static void learn_dense(double *knot_ns, double rows, double ns, const double *rate)
{
    const int lo = knot_below(rows), hi = lo + 1 < SB_PACE_KNOTS ? lo + 1 : lo;
    double w = hi > lo ? (rows - at_knot(lo)) / (at_knot(hi) - at_knot(lo)) : 0;
    if (w < 0) w = 0;
    if (knot_ns[lo] == 0 || (knot_ns[hi] == 0 && w > 0.1)) {
        guess(knot_ns, lo, hi, w, ns);
    } else {
        const double miss = ns - dense_ns(knot_ns, rows);
        const double off = rate[miss > 0] * miss / (w * w + (1 - w) * (1 - w));
        knot_ns[lo] += (1 - w) * off;
        if (knot_ns[hi] != 0 && hi > lo) knot_ns[hi] += w * off;
        if (knot_ns[lo] < 1) knot_ns[lo] = 1;
    }
    keep_rising(knot_ns, w < 0.5 || knot_ns[hi] == 0 ? lo : hi);
}

/* The table for a load: with prompts or without. */
static int kind_of(const sb_load *l)
{
    return l->kv_bytes[0] > 0;
}

void sb_pace_learn(sb_pace *p, const sb_load *l, double step_ns, const double attend_ns[2])
{
    const int kind = kind_of(l);
    double *knot_ns = p->knot_ns[kind], dense = step_ns;
    for (int i = 0; i < 2; i++) {
        dense -= attend_ns[i];
        if (l->kv_bytes[i] <= 0) continue;
        const double now = attend_ns[i] / l->kv_bytes[i];
        p->ns_per_byte[i] += (p->ns_per_byte[i] == 0 ? 1 : 0.25) * (now - p->ns_per_byte[i]);
    }
    if (dense < 1) dense = 1;
    const double most = most_times[kind] * dense_ns(knot_ns, l->rows);
    if (knot_ns[knot_below(l->rows)] != 0 && dense > most) dense = most;
    learn_dense(knot_ns, l->rows, dense, rates[kind]);
}

bool sb_pace_knows(const sb_pace *p, const sb_load *l)
{
    return p->knot_ns[kind_of(l)][knot_below(l->rows)] != 0;
}

double sb_pace_predict(const sb_pace *p, const sb_load *l)
{
    return dense_ns(p->knot_ns[kind_of(l)], l->rows) + p->ns_per_byte[0] * l->kv_bytes[0] +
           p->ns_per_byte[1] * l->kv_bytes[1];
}
