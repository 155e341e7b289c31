/* SPDX-License-Identifier: Apache-2.0
 * receipt_kind.h - where a figure came from, what it is therefore called, and how much of it people
 * are shown.
 *
 * Invariants  A kind is computed from an energy; a label and a number of digits from a kind. There
 *             is no way to hand in either, so no estimate can be called measured. The kind of a
 *             figure at the wall (wall.h) is a constant.
 * Threads     Pure functions. */
#ifndef SB_ENERGY_RECEIPT_KIND_H
#define SB_ENERGY_RECEIPT_KIND_H
#include "energy/meter.h"

typedef enum sb_receipt_kind {
    SB_RECEIPT_NONE,       /* nothing is known */
    SB_RECEIPT_MODEL,      /* an estimate nobody calibrated */
    SB_RECEIPT_CALIBRATED, /* an estimate by coefficients measured on such a machine */
    SB_RECEIPT_METER,
    SB_RECEIPT_KIND_COUNT
} sb_receipt_kind;

/* Of what a fit makes of an energy: whatever that was, no meter saw the wall. */
#define SB_RECEIPT_WALL SB_RECEIPT_CALIBRATED
_Static_assert(SB_RECEIPT_WALL != SB_RECEIPT_METER, "a fit measures nothing");

sb_receipt_kind sb_receipt_kind_of(const sb_energy *e);
/* "meter", "model", ...; what it is called: "measured", "estimated", ...; and its significant
 * digits. */
const char *sb_receipt_kind_name(sb_receipt_kind k);
const char *sb_receipt_label(sb_receipt_kind k);
int sb_receipt_digits(sb_receipt_kind k);

/* The same energy at the wall; not known without a fit to what counted it, nor of an estimate that
 * nobody calibrated. */
sb_wall sb_energy_wall(const sb_energy *e);
/* "about 31 J (27 J to 36 J), estimated: at the wall, by a fit of 18 loads against a plug, ..."; ""
 * when it is not known. out, of SB_ENERGY_TEXT_BYTES, is always NUL-terminated. */
void sb_wall_text(const sb_wall *w, char *out, size_t out_bytes);
void sb_energy_wall_text(const sb_energy *e, char *out, size_t out_bytes);

typedef enum sb_rounding { SB_ROUND_DOWN, SB_ROUND_NEAREST, SB_ROUND_UP } sb_rounding;
/* Microjoules as "12.3 J" with n significant digits; out is always NUL-terminated. */
void sb_energy_amount(char *out, size_t out_bytes, int64_t uj, int n, sb_rounding way);
#endif
