/* SPDX-License-Identifier: Apache-2.0
 * sums.h - tokens, answers and energy of each owner by the hour, model and source.
 *
 * Purpose     The day's chart, the quotas and the reports; no text but the model's name. Rows stay
 *             when a conversation is deleted. What was measured and what was estimated is never
 *             one row, and what it comes to at the wall is beside it, never in it.
 * Units       An hour is the count of whole hours since 1970 in UTC; the reader groups them into
 *             its own days.
 * Threads, ownership, errors as in db.h. */
#ifndef SB_STORE_SUMS_H
#define SB_STORE_SUMS_H
#include "store/db.h"

#define SB_OWNER_ALL ((sb_owner)-1) /* only here: the sum over all owners */

enum { SB_SUM_MODEL_BYTES = 128 }; /* at most, of a model's name */

/* How the energy of a sum is known. UNKNOWN: written before that was asked, or not at all. */
typedef enum sb_sum_source {
    SB_SUM_UNKNOWN,
    SB_SUM_MEASURED,
    SB_SUM_ESTIMATED,
    SB_SUM_SOURCE_COUNT
} sb_sum_source;

typedef struct sb_sum {
    int64_t hour;
    int64_t n_answers, n_in, n_cached, n_out; /* n_cached of n_in came from the cache */
    int64_t energy_uj;
    int64_t n_wall, wall_uj; /* answers with a figure at the wall, and those figures' sum */
    sb_str model;            /* "": not known, or of several */
    sb_sum_source source;
} sb_sum;
typedef sb_status (*sb_sum_row)(void *ctx, const sb_sum *s, sb_error *err);
typedef sb_status (*sb_sum_part)(void *ctx, sb_owner owner, const sb_sum *s, sb_error *err);

int64_t sb_sum_hour(int64_t now_ms);
/* Adds the counts and the energy of s, up to the largest number. */
void sb_sum_join(sb_sum *sum, const sb_sum *s);
/* Adds s to the hour, model and source it names. Energy, and what is at the wall, may be below 0, a
 * correction; the sum is not. Counts are >= 0, the name is UTF-8 of at most
 * SB_SUM_MODEL_BYTES (SB_INVALID); sums stop at the largest number. */
sb_status sb_sum_add(sb_db *db, sb_owner owner, const sb_sum *s, sb_error *err) SB_MUST_USE;
/* Hours from <= hour < to that have something, in order; models and sources as one. */
sb_status sb_sum_list(sb_db *db, sb_owner owner, int64_t from, int64_t to, sb_sum_row row,
                      void *ctx, sb_error *err) SB_MUST_USE;
/* Every row of those hours, in order of the hour. */
sb_status sb_sum_each(sb_db *db, sb_owner owner, int64_t from, int64_t to, sb_sum_part part,
                      void *ctx, sb_error *err) SB_MUST_USE;
/* The sum of those hours; its hour is `from`. */
sb_status sb_sum_total(sb_db *db, sb_owner owner, int64_t from, int64_t to, sb_sum *out,
                       sb_error *err) SB_MUST_USE;
#endif
