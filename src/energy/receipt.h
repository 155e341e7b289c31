/* SPDX-License-Identifier: Apache-2.0
 * receipt.h - what one request cost, as an object that can be checked without us.
 *
 * Purpose     Built from what the ledger says of an answer and a few facts about it; written in
 *             canonical spelling (canon.h), hashed, chained to the ledger's lines, signed.
 * Honesty     What a figure is called follows from where it came from: sb_receipt_kind is computed
 *             from an sb_energy and nothing else, no function here takes a label, and a receipt
 *             that was read is refused when its label is not its kind's, or when its figure at the
 *             wall does not follow from its energy and its fit.
 * Format      accounting, co2e{mg, g_per_kwh, zone, year, kind, source, time (of a live value),
 *             note (why the table was used)} and cost{amount, currency, per_kwh} when given,
 *             concurrency_mean, energy_uj, estimated_uj (part that no meter counted), format, id,
 *             model, parts{prefill, decode, recompute} and split_range_uj [lo, hi] in microjoules,
 *             settled, source{kind, label, meter, method, scope, excludes}, time (RFC 3339),
 *             tokens{in, cached, out, rejected (guesses that were wrong)}, u95_uj [lo, hi],
 *             avoided_uj (estimate of what cached tokens spared; in no sum), and wall when a fit to
 *             a plug holds (wall.h): basis, kind, label, wall_uj, u95_uj [lo, hi] and what they
 *             follow from: base_mw, slope_permille, loads, mean_error_permille,
 *             worst_error_permille, share_ns. A settled one also has prev_hash (the ledger's line
 *             before it, "" when there is no ledger), hash: SHA-256 of the object without hash and
 *             sig, key_id, and sig: Ed25519 over the object without sig.
 * Ownership   A json_t that comes out is the caller's.
 * Errors      SB_CORRUPT (a receipt that does not hold), SB_NO_MEMORY, SB_LIMIT. */
#ifndef SB_ENERGY_RECEIPT_H
#define SB_ENERGY_RECEIPT_H
#include "energy/canon.h"
#include "energy/grid.h"
#include "energy/receipt_kind.h"

/* The choices of one request together; ranges add up at their ends. n 0: unavailable. */
sb_energy sb_energy_together(const sb_energy *v, size_t n);

/* What a receipt says beside the energy. Texts need not outlive the call. */
typedef struct sb_receipt_facts {
    sb_str id, model;
    int64_t time_ms; /* since 1970, when the answer ended; 0: now */
    int64_t n_in, n_cached, n_out;
    int64_t estimated_uj;    /* part of the energy that no meter counted */
    int64_t avoided_uj;      /* what computing the cached tokens might have taken; 0: not known */
    bool marginal;           /* idle power stays idle even while answers run */
    const sb_grid *grid;     /* or NULL */
    const sb_tariff *tariff; /* or NULL */
} sb_receipt_facts;

/* The receipt without its place in the chain: provisional unless e->settled. */
sb_status sb_receipt_new(json_t **out, const sb_energy *e, const sb_receipt_facts *f,
                         sb_error *err) SB_MUST_USE;
typedef struct sb_receipt_keys sb_receipt_keys;
/* Gives a settled receipt its place, hash and signature. keys NULL: hash alone. */
sb_status sb_receipt_seal(json_t *receipt, const char *prev_hash, sb_receipt_keys *keys,
                          sb_error *err) SB_MUST_USE;

/* A receipt that no ledger has: of an estimate all is estimated; once settled it is sealed, and
 * chained to nothing. */
sb_status sb_receipt_new_alone(json_t **out, const sb_energy *e, const sb_receipt_facts *f,
                               sb_receipt_keys *keys, sb_error *err) SB_MUST_USE;

/* What a receipt says, as far as programs need it; texts live as long as the receipt. */
typedef struct sb_receipt_view {
    const char *id, *prev_hash, *hash, *key_id, *sig; /* "" when it has none */
    int64_t energy_uj, lo_uj, hi_uj;
    bool settled, known; /* known: the energy */
    sb_receipt_kind kind;
    sb_wall wall; /* not known: it has none */
} sb_receipt_view;

/* Shape, label and, of a settled one, the hash; not the signature. */
sb_status sb_receipt_check(const json_t *receipt, sb_receipt_view *out, sb_error *err) SB_MUST_USE;
/* Appends the bytes that were signed. */
sb_status sb_receipt_signed_bytes(const json_t *receipt, sb_buf *out, sb_error *err) SB_MUST_USE;
/* "41.2 J (33.0 J to 51.0 J), measured" with no more digits than its kind has. */
void sb_receipt_text(const sb_receipt_view *v, char *out, size_t out_bytes);
#endif
