/* SPDX-License-Identifier: Apache-2.0
 * ledger_audit.c - line by line; whatever does not hold is said once, of the first line. */
#include "energy/ledger_audit.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "energy/receipt.h"

struct sb_ledger_audit {
    sb_audit_result r;
    sb_ledger_sums measured, estimated;
    int64_t n_measured;
    char prev[SB_HASH_BYTES];
    sb_ledger_base base; /* of the last open or tick */
    int64_t sum_uj;      /* the counters' total at it */
    sb_owner_map owners;
    sb_buf line; /* so far */
    bool ended;  /* at a bad line */
};

sb_status sb_ledger_audit_new(sb_ledger_audit **out, sb_error *err)
{
    sb_ledger_audit *a = sb_calloc(1, sizeof *a);
    if (!a) return SB_FAIL(err, SB_NO_MEMORY, "audit: no memory");
    a->r.chain_ok = a->r.sums_ok = true;
    memset(a->prev, '0', SB_HASH_BYTES - 1);
    sb_buf_init(&a->line, SB_MAX_LEDGER_LINE_BYTES, "line of a ledger");
    *out = a;
    return SB_OK;
}

void sb_ledger_audit_free(sb_ledger_audit *a)
{
    if (!a) return;
    sb_owner_map_deinit(&a->owners);
    sb_buf_deinit(&a->line);
    sb_free(a);
}

static sb_status wrong(const char *what, sb_error *err)
{
    return SB_FAIL(err, SB_CORRUPT, "%s", what);
}

/* *sum += v; both are not negative. */
static sb_status plus(int64_t *sum, int64_t v, sb_error *err)
{
    return ckd_add(sum, *sum, v) ? wrong("sums beyond 63 bits", err) : SB_OK;
}

static sb_status add_gap(sb_ledger_audit *a, int64_t uj, sb_error *err)
{
    SB_TRY(plus(&a->measured.meter_uj, uj, err));
    return plus(&a->measured.lost_uj, uj, err);
}

static sb_status add_open(sb_ledger_audit *a, const sb_ledger_line *l, sb_error *err)
{
    int64_t gap_uj = 0;
    const bool known = sb_ledger_gap(&a->base, &l->base, &gap_uj);
    if (l->gap_known && (!known || gap_uj != l->gap_uj))
        return wrong("a gap that the counters do not show", err);
    a->r.n_opens++;
    if (l->gap_known)
        SB_TRY(add_gap(a, gap_uj, err));
    else if (a->r.n_opens > 1 && (a->base.n > 0 || l->base.n > 0)) /* else nothing counts */
        a->r.n_unknown_gaps++;
    SB_TRY(plus(&a->r.lost_ns, l->gap_ns, err));
    const sb_owner_sum left = sb_owner_map_clear(&a->owners); /* nobody goes on after a start */
    SB_TRY(plus(&a->r.unreceipted_uj, left.measured_uj, err));
    SB_TRY(plus(&a->r.unreceipted_uj, left.estimated_uj, err));
    a->base = l->base;
    a->sum_uj = l->sum_uj;
    return SB_OK;
}

/* The parts of a tick, each to its owner; their sum. */
static sb_status add_parts(sb_ledger_audit *a, const sb_ledger_line *l, int64_t *out_uj,
                           sb_error *err)
{
    *out_uj = 0;
    for (size_t i = 0; i < json_array_size(l->parts); i++) {
        const json_t *p = json_array_get(l->parts, i);
        const int64_t owner = json_integer_value(json_array_get(p, 0));
        const int64_t uj = json_integer_value(json_array_get(p, 1));
        if (owner > l->last_owner) return wrong("a part of nobody", err);
        SB_TRY(plus(out_uj, uj, err));
        SB_TRY(sb_owner_map_add(&a->owners, (uint64_t)owner, uj, l->measured, err));
    }
    return SB_OK;
}

/* A measured tick goes on where the counters' total was left; an estimated one counts none of it.
 */
static sb_status check_total(const sb_ledger_audit *a, const sb_ledger_line *l, sb_error *err)
{
    int64_t at = a->sum_uj;
    SB_TRY(plus(&at, l->gap_uj, err));
    if (l->measured) SB_TRY(plus(&at, l->meter_uj, err));
    return at == l->sum_uj ? SB_OK : wrong("a tick that does not follow from the one before", err);
}

static sb_status add_tick(sb_ledger_audit *a, const sb_ledger_line *l, sb_error *err)
{
    int64_t parts_uj = 0, all_uj = 0;
    sb_ledger_sums *s = l->measured ? &a->measured : &a->estimated;
    if (a->r.n_opens == 0) return wrong("a tick before any start", err);
    if (strcmp(l->base.boot, a->base.boot) != 0 || l->base.mono_ns < l->begin_ns)
        return wrong("a tick of another time", err);
    SB_TRY(check_total(a, l, err));
    SB_TRY(add_gap(a, l->gap_uj, err));
    SB_TRY(add_parts(a, l, &parts_uj, err));
    const struct {
        int64_t uj, *sum;
    } all[] = {{l->idle_uj, &s->idle_uj},
               {l->other_uj, &s->other_uj},
               {l->system_uj, &s->system_uj},
               {l->lost_uj, &s->lost_uj},
               {parts_uj, &s->requests_uj}};
    for (size_t i = 0; i < SB_ARRAY_LEN(all); i++) {
        SB_TRY(plus(&all_uj, all[i].uj, err));
        SB_TRY(plus(all[i].sum, all[i].uj, err));
    }
    if (all_uj != l->meter_uj) return wrong("a tick that is not the sum of its parts", err);
    SB_TRY(plus(&s->meter_uj, all_uj, err));
    SB_TRY(plus(&a->r.lost_ns, l->lost_ns, err));
    a->r.n_ticks++;
    a->n_measured += l->measured;
    a->base = l->base;
    a->sum_uj = l->sum_uj;
    return SB_OK;
}

static sb_status add_receipt(sb_ledger_audit *a, const sb_ledger_line *l, sb_error *err)
{
    int64_t parts_uj = 0, estimated_uj = 0, energy_uj = 0;
    sb_receipt_view v;
    for (size_t i = 0; i < json_array_size(l->owners); i++) {
        const json_t *o = json_array_get(l->owners, i);
        const sb_owner_sum x = sb_owner_map_take(&a->owners, (uint64_t)json_integer_value(o));
        SB_TRY(plus(&parts_uj, x.measured_uj, err));
        SB_TRY(plus(&parts_uj, x.estimated_uj, err));
        SB_TRY(plus(&estimated_uj, x.estimated_uj, err));
    }
    SB_TRY(sb_receipt_check(l->receipt, &v, err));
    if (!v.settled || strcmp(v.prev_hash, l->prev) != 0)
        return wrong("a receipt of another place", err);
    energy_uj = parts_uj;
    SB_TRY(plus(&energy_uj, l->beside_uj, err));
    if (parts_uj != l->parts_uj || estimated_uj != l->estimated_uj || energy_uj != v.energy_uj)
        return wrong("a receipt that is not the sum of its parts", err);
    if (v.kind == SB_RECEIPT_METER && estimated_uj)
        return wrong("a receipt that calls an estimate measured", err);
    a->r.n_receipts++;
    return plus(&a->r.beside_uj, l->beside_uj, err);
}

/* Anything but a want of memory is the ledger's fault, and is noted. */
static sb_status note(sb_ledger_audit *a, sb_status s, const sb_error *why, bool *ok, sb_error *err)
{
    if (s == SB_OK) return SB_OK;
    if (s == SB_NO_MEMORY) {
        if (err) *err = *why;
        return s;
    }
    *ok = false;
    a->ended = true;
    a->r.first_bad_line = a->r.n_lines;
    (void)snprintf(a->r.why, sizeof a->r.why, "%.*s", (int)sizeof a->r.why - 1, why->msg);
    return SB_OK;
}

static sb_status add_line(sb_ledger_audit *a, const char *p, size_t n, sb_error *err)
{
    sb_ledger_line l;
    sb_error why = {0};
    a->r.n_lines++;
    sb_status s = sb_ledger_line_read(&l, p, n, &why);
    if (s != SB_OK) return note(a, s, &why, &a->r.chain_ok, err);
    if (strcmp(l.prev, a->prev) != 0) {
        s = wrong("does not follow the line before: lines are missing or were changed", &why);
        s = note(a, s, &why, &a->r.chain_ok, err);
    } else {
        s = l.kind == SB_LEDGER_OPEN   ? add_open(a, &l, &why)
            : l.kind == SB_LEDGER_TICK ? add_tick(a, &l, &why)
                                       : add_receipt(a, &l, &why);
        s = note(a, s, &why, &a->r.sums_ok, err);
        memcpy(a->prev, l.hash, sizeof a->prev);
    }
    sb_ledger_line_deinit(&l);
    return s;
}

/* A line that is longer than any may be. */
static sb_status too_long(sb_ledger_audit *a, sb_error *err)
{
    sb_error why = {0};
    a->r.n_lines++;
    return note(a, wrong("longer than any line", &why), &why, &a->r.chain_ok, err);
}

sb_status sb_ledger_audit_add(sb_ledger_audit *a, const char *p, size_t n, sb_error *err)
{
    while (n > 0 && !a->ended) {
        const char *end = memchr(p, '\n', n);
        const size_t here = end ? (size_t)(end - p) : n;
        if (here > SB_MAX_LEDGER_LINE_BYTES - a->line.n) return too_long(a, err);
        if (a->line.n || !end) SB_TRY(sb_buf_add(&a->line, p, here, err));
        if (!end) return SB_OK;
        SB_TRY(a->line.n ? add_line(a, a->line.p, a->line.n, err) : add_line(a, p, here, err));
        sb_buf_clear(&a->line);
        p += here + 1;
        n -= here + 1;
    }
    return SB_OK;
}

sb_audit_result sb_ledger_audit_end(sb_ledger_audit *a)
{
    sb_error err;
    sb_audit_result r = a->r;
    const sb_owner_sum left = sb_owner_map_clear(&a->owners);
    const bool any = a->n_measured > 0 || a->measured.meter_uj > 0;
    r.torn_bytes = a->ended ? 0 : a->line.n;
    if (plus(&r.unreceipted_uj, left.measured_uj, &err) != SB_OK ||
        plus(&r.unreceipted_uj, left.estimated_uj, &err) != SB_OK)
        r.sums_ok = false;
    r.sums = any ? a->measured : a->estimated;
    r.estimated_uj = a->estimated.requests_uj;
    r.source = a->n_measured > 0 ? SB_ENERGY_MEASURED
               : r.n_ticks > 0   ? SB_ENERGY_ESTIMATED
               : any             ? SB_ENERGY_MEASURED
                                 : SB_ENERGY_UNAVAILABLE;
    return r;
}
