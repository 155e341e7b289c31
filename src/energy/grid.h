/* SPDX-License-Identifier: Apache-2.0
 * grid.h - what joules stand for outside the machine: grams of CO2 equivalent, and money.
 *
 * Purpose     A factor and a tariff, each with where it comes from, and the two products. They are
 *             made after the ledger and stand beside the joules, never in them.
 * Sources     A zone of grid.def; a number the operator gives; or a file that something else keeps
 *             fresh: "GRAMS TIME [ZONE]", TIME in seconds since 1970 or as 2026-11-27T08:00:00Z. A
 *             file that is missing, wrong, or older than SB_GRID_STALE_S is not used: the zone's
 *             row is, and `note` says why.
 * Invariants  Whole numbers all through: milligrams a kilowatt-hour, 10^-9 of a currency a
 *             kilowatt-hour; products are rounded to nearest, and stop at the largest number.
 * Errors      SB_INVALID names the text and what would do. Outputs are untouched.
 * Threads     Pure functions, but for the file that is read. */
#ifndef SB_ENERGY_GRID_H
#define SB_ENERGY_GRID_H
#include "base/base.h"

enum {
    SB_GRID_STALE_S = 2 * 3600,
    SB_GRID_MAX_G = 5000,     /* a kilowatt-hour; the worst plants are near 1 500 */
    SB_TARIFF_MAX = 1000000,  /* of any currency, a kilowatt-hour */
    SB_FOOTPRINT_BYTES = 320, /* of a text */
};

typedef enum sb_grid_kind {
    SB_GRID_average,
    SB_GRID_marginal,
    SB_GRID_market,
    SB_GRID_given, /* the operator's number: of what kind, nobody said */
    SB_GRID_live   /* of the file, at its time */
} sb_grid_kind;

typedef struct sb_grid {
    int64_t mg_per_kwh;
    char zone[8];     /* "" when only a number was given */
    const char *name; /* of the zone, or "" */
    int year;         /* 0: not of one year */
    sb_grid_kind kind;
    int64_t time_s; /* of a live value, since 1970 */
    const char *source;
    const char *why; /* "is too old": why the operator's file was not used, or NULL */
    char note[160];  /* the same as a sentence that names the file, or "" */
} sb_grid;

typedef struct sb_tariff {
    int64_t nano_per_kwh;
    char currency[4]; /* "EUR", or "" when nobody said */
} sb_tariff;

/* The row of a zone, upper or lower case; false when there is none. */
bool sb_grid_find(const char *zone, sb_grid *out);
/* All zones, "CN DE ...", for messages. */
const char *sb_grid_zones(void);
bool sb_grid_is_path(const char *text);
/* "the operator's file is too old, so the table is used", or "": it does not name the file. */
void sb_grid_why_text(const sb_grid *g, char *out, size_t out_bytes);
/* A zone, a number of grams, or a path (it has a '/'). now_s: since 1970. */
sb_status sb_grid_parse(sb_grid *out, const char *text, int64_t now_s, sb_error *err) SB_MUST_USE;
/* What a file's text says; NULL, or why it is of no use. zone of *out is set where the text names
 * one that is known. */
const char *sb_grid_read(sb_grid *out, const char *text, int64_t now_s);
/* A live value that has grown too old by now_s becomes its zone's row; anything else stays. */
void sb_grid_age(sb_grid *g, int64_t now_s);
/* "0.25EUR", "0.25" and "0.25€" (also $ and £). */
sb_status sb_tariff_parse(sb_tariff *out, const char *text, sb_error *err) SB_MUST_USE;

const char *sb_grid_kind_name(sb_grid_kind k);
/* Micrograms of CO2 equivalent of uj microjoules (0 when negative). */
int64_t sb_grid_ug(const sb_grid *g, int64_t uj);
/* 10^-9 of the currency: an answer of some joules costs less than a millionth. */
int64_t sb_tariff_nano(const sb_tariff *t, int64_t uj);

/* "0.58 mg CO2e at 56 g/kWh (France, 2023 average; Our World in Data, ...)" with that many
 * significant digits. out, of SB_FOOTPRINT_BYTES, is always NUL-terminated. */
void sb_grid_text(const sb_grid *g, int64_t uj, int digits, char *out, size_t out_bytes);
/* "0.0000007 EUR at 0.25 EUR/kWh (given by the operator)". */
void sb_tariff_text(const sb_tariff *t, int64_t uj, int digits, char *out, size_t out_bytes);
/* v rounded to so many significant digits; v >= 0. */
int64_t sb_round_digits(int64_t v, int digits);
/* v units of 10^-places as a decimal without zeros at its end: 250, 3 -> "0.25". */
void sb_decimal_text(int64_t v, int places, char *out, size_t out_bytes);
#endif
