/* SPDX-License-Identifier: Apache-2.0
 * grid_watch.h - the grams of CO2 equivalent a kilowatt-hour in force, while a server runs.
 *
 * Purpose     What --grid said at the start; where it names a file, what that says since. One copy
 *             under a lock for receipts, metrics and budgets, so that none of them goes on calling
 *             a value live that is not.
 * Age         A live value ends by the clock alone: who asks later gets its zone's row, whether or
 *             not somebody has read the file since (a machine slept, a disk hangs).
 * Grams       Of what was used are counted by the factor of its time: an account for each zone,
 *             kind and year, as metrics tell them apart.
 * Ownership   The path is borrowed. NULL is a watch of nothing: nobody asked for grams.
 * Threads     Any; a lock inside. Only _read waits for the disk, without it. One reads at a time.
 * Errors      SB_NO_MEMORY. A file of no use is none: see energy/grid.h. */
#ifndef SB_SERVER_GRID_WATCH_H
#define SB_SERVER_GRID_WATCH_H
#include "energy/grid.h"

enum { SB_GRID_ACCOUNTS = 32 };

typedef struct sb_grid_watch sb_grid_watch;

/* Grams of one zone, kind and year. */
typedef struct sb_grid_account {
    char zone[8];
    sb_grid_kind kind;
    int year;
    int64_t ug;
} sb_grid_account;

/* path NULL: the factor stays. */
sb_status sb_grid_watch_new(sb_grid_watch **out, const sb_grid *first, const char *path,
                            sb_error *err) SB_MUST_USE;
void sb_grid_watch_free(sb_grid_watch *w);
/* What is in force at now_s, since 1970; false, and *out untouched: nobody asked. */
bool sb_grid_watch_get(sb_grid_watch *w, int64_t now_s, sb_grid *out);
/* Reads the file, if there is one. used_uj: all that answers have used so far; what is new of it
 * counts by the factor that was in force. *was, *now: before and after. */
void sb_grid_watch_read(sb_grid_watch *w, int64_t now_s, int64_t used_uj, sb_grid *was,
                        sb_grid *now);
/* Grams of used_uj by account; how many. */
size_t sb_grid_watch_sums(sb_grid_watch *w, int64_t used_uj, sb_grid_account out[SB_GRID_ACCOUNTS]);
#endif
