/* SPDX-License-Identifier: Apache-2.0
 * ledger_audit.h - a ledger's lines added up again by somebody who trusts none of them.
 *
 * Purpose     Takes the bytes of a ledger as they come and checks each line: the hash chain, that a
 *             tick's parts are the tick, that the counters' total goes on from line to line, that
 *             gaps are what the counters say, that a receipt is the sum of what ticks gave its
 *             owners, and that none calls an estimate measured.
 * Sums        Of measured ticks and known gaps; a gap is in meter_uj and in lost_uj. What estimated
 *             ticks gave stands beside them in estimated_uj. Where there is no measured tick the
 *             sums are those of the estimated ones.
 * Torn end    Bytes behind the last newline are a line that was being written when the power or the
 *             process went: told, and no error.
 * Ownership   The audit keeps one line and what has no receipt yet; bounded by limits.def.
 * Errors      What is wrong with the ledger is in the result: the first bad line ends the adding
 *             up. Functions fail for want of memory only. */
#ifndef SB_ENERGY_LEDGER_AUDIT_H
#define SB_ENERGY_LEDGER_AUDIT_H
#include "energy/ledger_line.h"
#include "energy/owner_map.h"

typedef struct sb_ledger_sums {
    int64_t meter_uj, requests_uj, idle_uj, other_uj, system_uj, lost_uj;
} sb_ledger_sums;

typedef struct sb_audit_result {
    sb_ledger_sums sums;
    sb_energy_source source; /* UNAVAILABLE: no tick at all */
    int64_t estimated_uj;    /* of requests, by estimated ticks; beside the sums where some are
                                measured */
    int64_t unreceipted_uj;  /* of requests: of answers that have no receipt */
    int64_t beside_uj;       /* of receipts: what no tick of this ledger shows */
    int64_t lost_ns;
    int64_t n_lines, n_ticks, n_receipts, n_opens, n_unknown_gaps;
    int64_t first_bad_line; /* from 1; 0: none */
    size_t torn_bytes;
    bool chain_ok, sums_ok;
    char why[160]; /* of the first bad line */
} sb_audit_result;

typedef struct sb_ledger_audit sb_ledger_audit;

sb_status sb_ledger_audit_new(sb_ledger_audit **out, sb_error *err) SB_MUST_USE;
void sb_ledger_audit_free(sb_ledger_audit *a);
/* The next n bytes, cut anywhere. */
sb_status sb_ledger_audit_add(sb_ledger_audit *a, const char *p, size_t n,
                              sb_error *err) SB_MUST_USE;
/* After the last byte. */
sb_audit_result sb_ledger_audit_end(sb_ledger_audit *a);
#endif
