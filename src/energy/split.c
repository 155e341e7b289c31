/* SPDX-License-Identifier: Apache-2.0
 * split.c - closed forms of a fair split, in integers. */
#include "energy/split.h"

#include <stdlib.h>

__extension__ typedef unsigned __int128 wide;

/* Of a server processor with DDR5: 2 W a thread, 60 pJ a byte (7.5 pJ a bit), 1 pJ an 8-bit
 * multiply-add with what belongs to it, 25 ps a byte (40 GB/s). */
const sb_split_rates sb_split_usual = {
    .thread_mw = 2000, .pj_per_byte = 60, .fj_per_op = 1000, .ps_per_byte = 25};

static uint64_t part_of(uint64_t whole, uint64_t share, uint64_t all)
{
    return all ? (uint64_t)((wide)whole * share / all) : 0;
}

static bool has_tokens(const sb_work_part *p)
{
    return p->n_prefill > 0 || p->n_decode > 0 || p->n_recomputed > 0 || p->n_rejected > 0;
}

/* A step's nanoseconds by what they went for. */
typedef struct times {
    uint64_t weights_ns; /* reading those that all share */
    uint64_t rows_ns;    /* what computing takes beyond that, by multiply-adds */
    uint64_t n_ops, own_ns, n_sharer;
} times;

/* A step that lasts longer than its weights take to read computes for its many rows: that is
 * theirs, or a neighbour's long prompt would be paid by who adds a row. */
static times times_of(const sb_work_record *r, const sb_split_rates *c)
{
    times t = {0};
    for (int32_t i = 0; i < r->n_part; i++) {
        const sb_work_part *p = &r->parts[i];
        if (!has_tokens(p)) continue;
        t.n_sharer++;
        t.n_ops += p->n_ops;
        t.own_ns += p->own_ns;
    }
    const uint64_t n_thread = r->n_threads > 0 ? (uint64_t)r->n_threads : 1;
    const uint64_t step_ns = r->end_ns > r->begin_ns ? r->end_ns - r->begin_ns : 0;
    const uint64_t own_ns = t.own_ns / n_thread < step_ns ? t.own_ns / n_thread : step_ns;
    const uint64_t left_ns = step_ns - own_ns;
    const uint64_t read_ns = (uint64_t)((wide)sb_work_weight_bytes(r) * c->ps_per_byte / 1000);
    t.own_ns = own_ns * n_thread; /* no more than there was */
    t.weights_ns = t.n_ops && read_ns < left_ns ? read_ns : left_ns;
    t.rows_ns = left_ns - t.weights_ns;
    t.weights_ns *= n_thread;
    t.rows_ns *= n_thread;
    return t;
}

void sb_split_step(const sb_work_record *r, const sb_split_rates *c, uint64_t *out_pj)
{
    const times t = times_of(r, c);
    const uint64_t all_bytes = sb_work_weight_bytes(r);
    uint64_t all_own_ns = 0;
    for (int32_t i = 0; i < r->n_part; i++)
        if (has_tokens(&r->parts[i])) all_own_ns += r->parts[i].own_ns;
    const uint64_t weights_pj = t.weights_ns * c->thread_mw;
    /* Time goes with the bytes; without any, all share it. */
    const uint64_t dense_pj =
        all_bytes ? part_of(weights_pj, r->dense_bytes, all_bytes) : weights_pj;
    const uint64_t for_all = dense_pj + r->dense_bytes * c->pj_per_byte;
    for (int32_t i = 0; i < r->n_part; i++) {
        const sb_work_part *p = &r->parts[i];
        out_pj[i] = 0;
        if (!has_tokens(p)) continue;
        out_pj[i] = for_all / t.n_sharer + p->n_ops * c->fj_per_op / 1000 +
                    p->kv_bytes * c->pj_per_byte +
                    part_of(t.rows_ns, p->n_ops, t.n_ops) * c->thread_mw +
                    part_of(t.own_ns, p->own_ns, all_own_ns) * c->thread_mw;
    }
    for (int32_t i = 0; i < r->n_shared; i++) {
        const sb_work_shared *s = &r->shared[i];
        if (s->n_part <= 0) continue;
        const uint64_t pj = part_of(weights_pj, s->bytes, all_bytes) + s->bytes * c->pj_per_byte;
        for (int32_t j = 0; j < s->n_part; j++)
            out_pj[s->parts[j]] += pj / (uint64_t)s->n_part;
    }
}

/* Largest remainder first, then the older owner. */
static int by_remainder(const void *a, const void *b)
{
    const sb_split_item *x = a, *y = b;
    if (x->remainder != y->remainder) return x->remainder < y->remainder ? 1 : -1;
    return (x->owner > y->owner) - (x->owner < y->owner);
}

bool sb_split_whole(int64_t whole, sb_split_item *items, size_t n)
{
    wide sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += items[i].weight;
        items[i].uj = 0;
    }
    if (sum == 0 || whole < 0) return false;
    unsigned down = 0; /* weights are scaled until products fit: ratios change by less than 2^-63 */
    while (sum >> down > UINT64_MAX)
        down++;
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++)
        all += items[i].weight >> down;
    int64_t left = whole;
    for (size_t i = 0; i < n; i++) {
        const wide p = (wide)(uint64_t)whole * (items[i].weight >> down);
        items[i].uj = (int64_t)(p / all);
        items[i].remainder = (uint64_t)(p % all);
        left -= items[i].uj;
    }
    if (left > 0) qsort(items, n, sizeof *items, by_remainder);
    for (size_t i = 0; left > 0; i++, left--)
        items[i].uj++;
    return true;
}
