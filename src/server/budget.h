/* SPDX-License-Identifier: Apache-2.0
 * budget.h - what each key may use of energy a day, and what it has left.
 *
 * Purpose     One pot a key: filled with the day's limit less what the data base says was used
 *             since midnight, emptied by the answers under way, step by step. Who begins with an
 *             empty one is told to come again tomorrow; who runs when it empties ends with that
 *             step.
 * Day         Of UTC, as the hours of store/sums.h. Answers that go on over midnight take what
 *             they use then from the new day's pot, once somebody has begun in it.
 * Grams, cost Become joules by factors of the server; without a factor they limit nothing. A key's
 *             whole day follows the factor in force: when that changes, so does what is left, also
 *             for answers under way.
 * Ownership   A pot lives as long as the budgets.
 * Threads     Any; a lock inside. `read` is called under it.
 * Errors      SB_NO_MEMORY, and those of `read`. */
#ifndef SB_SERVER_BUDGET_H
#define SB_SERVER_BUDGET_H
#include "chat/chat.h"

typedef struct sb_budgets sb_budgets;

/* Of one key, a day; 0: none. */
typedef struct sb_budget_limits {
    int64_t uj, co2e_ug, cost_nano; /* 10^-9 of the tariff's currency */
} sb_budget_limits;

/* What a kilowatt-hour stands for; 0: not known. */
typedef struct sb_budget_rates {
    int64_t mg_per_kwh, nano_per_kwh;
} sb_budget_rates;

typedef struct sb_budget_state {
    int64_t limit_uj, left_uj; /* limit 0: none; left is not negative, and large then */
    int retry_s;               /* until the next day begins */
} sb_budget_state;

/* What a key used in a day before this process counted: its day's sum in the data base. */
typedef sb_status (*sb_budget_read)(void *ctx, int64_t key, int64_t day, int64_t *out_uj,
                                    sb_error *err);

sb_status sb_budgets_new(sb_budgets **out, const sb_budget_rates *rates, sb_budget_read read,
                         void *ctx, sb_error *err) SB_MUST_USE;
void sb_budgets_free(sb_budgets *b);
/* Other factors are in force from now on. */
void sb_budgets_set_rates(sb_budgets *b, const sb_budget_rates *rates);
/* The tightest of a key's limits in microjoules; 0: none of them limits. */
int64_t sb_budget_day_uj(const sb_budget_limits *l, const sb_budget_rates *rates);
/* *out_pot: for the turns of an answer, NULL when the key has no limit; one whose limit is without
 * its factor now has a pot that does not empty. now_s: since 1970. */
sb_status sb_budget_begin(sb_budgets *b, int64_t key, const sb_budget_limits *l, int64_t now_s,
                          sb_energy_pot **out_pot, sb_budget_state *out_state,
                          sb_error *err) SB_MUST_USE;
/* An answer of today turned out to have used so much more (less: negative) than its pot was told at
 * its end. Nothing for a key without a pot of this day. */
void sb_budget_settle(sb_budgets *b, int64_t key, int64_t more_uj, int64_t now_s);
/* What is left now, of a key that has begun an answer today; limit 0 otherwise. */
sb_budget_state sb_budget_look(sb_budgets *b, int64_t key, const sb_budget_limits *l,
                               int64_t now_s);
#endif
