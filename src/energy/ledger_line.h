/* SPDX-License-Identifier: Apache-2.0
 * ledger_line.h - one line of the energy ledger's file: how it is written and how it is read.
 *
 * Format      A line is a JSON object in canonical spelling (canon.h) and a newline. All numbers
 *             are whole. `hash` is the SHA-256 of the line without its newline and without that
 *             member; `prev` is the hash of the line before, 64 zeros in the first one. Kinds:
 *               open     a start. boot, mono_ns, raw [[name, uj, range], ...] as the meter read
 *                        then, sum_uj, gap_uj: what the counters counted since the line before,
 *                        null when that cannot be known; gap_ns.
 *               tick     a closed tick: begin_ns and end_ns (monotonic), boot, source (measured or
 *                        estimated), meter_uj = idle_uj + other_uj + system_uj + lost_uj + the
 *                        parts [[owner, uj], ...], lost_ns; sum_uj of the counters since the start;
 *                        gap_uj: what they counted between the line before and this tick; raw.
 *               receipt  owners [n, ...], parts_uj: what ticks gave them; estimated_uj: of it, by
 *                        estimated ticks; beside_uj: what the receipt has beyond that; key: of the
 *                        client; receipt: the whole object (receipt.h).
 *             All have time_ms (since 1970) and last_owner: the greatest owner so far.
 * Ownership   A line owns its tree until _deinit; what it points to lives as long.
 * Errors      SB_CORRUPT says what is wrong with a line; SB_NO_MEMORY.
 * Threads     Pure functions. */
#ifndef SB_ENERGY_LEDGER_LINE_H
#define SB_ENERGY_LEDGER_LINE_H
#include "energy/canon.h"
#include "energy/ledger.h"

enum { SB_BOOT_BYTES = 40 };

typedef enum sb_ledger_kind {
    SB_LEDGER_OPEN,
    SB_LEDGER_TICK,
    SB_LEDGER_RECEIPT,
    SB_LEDGER_KIND_COUNT
} sb_ledger_kind;

/* What the counters showed at a moment of a boot. */
typedef struct sb_ledger_base {
    char boot[SB_BOOT_BYTES]; /* "": not known */
    int64_t mono_ns;
    int n; /* of rows; 0: counters that cannot be compared */
    sb_meter_raw_row rows[SB_METER_MAX_ZONES];
} sb_ledger_base;

typedef struct sb_ledger_line {
    sb_ledger_kind kind;
    char prev[SB_HASH_BYTES], hash[SB_HASH_BYTES];
    int64_t time_ms, last_owner;
    /* open and tick: */
    sb_ledger_base base; /* at mono_ns or end_ns */
    int64_t sum_uj, gap_uj, gap_ns;
    bool gap_known;
    /* tick: */
    int64_t begin_ns, meter_uj, idle_uj, other_uj, system_uj, lost_uj, lost_ns;
    bool measured;
    const json_t *parts; /* [[owner, uj], ...], all whole numbers, none negative */
    /* receipt: */
    const json_t *owners; /* [owner, ...] likewise */
    const json_t *receipt;
    int64_t parts_uj, estimated_uj, beside_uj, key;
    json_t *root;
} sb_ledger_line;

/* Checks shape and hash of a line without its newline; prev is not looked at. */
sb_status sb_ledger_line_read(sb_ledger_line *out, const char *p, size_t n,
                              sb_error *err) SB_MUST_USE;
void sb_ledger_line_deinit(sb_ledger_line *l);

/* Writes the line of l, newline and all, in place of what is in out, and fills l->hash. Of a
 * receipt, owners and receipt are borrowed; of a tick, t's parts are taken and not l->parts. */
sb_status sb_ledger_line_write(sb_buf *out, sb_ledger_line *l, const sb_tick *t,
                               sb_error *err) SB_MUST_USE;

/* What the counters counted from a to b; false when that is not certain: another boot or other
 * counters, more than they can have drawn, time enough to wrap unseen. Copies that agree at both
 * ends count once. */
bool sb_ledger_gap(const sb_ledger_base *a, const sb_ledger_base *b, int64_t *out_uj);
#endif
