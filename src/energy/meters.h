/* SPDX-License-Identifier: Apache-2.0
 * meters.h - every meter that was found: what it covers, what it misses, what becomes of it.
 *
 * Purpose     For people and scripts who want to know where a figure comes from, and for comparing
 *             meters with one another. Asks for a meter that was opened with roots.survey.
 * Ownership   Rows are plain data; words are static.
 * Threads     As the meter. */
#ifndef SB_ENERGY_METERS_H
#define SB_ENERGY_METERS_H
#include "energy/meter.h"

enum { SB_METER_MAX_ROWS = 192, SB_METER_NAME_BYTES = 64, SB_METER_COMMAND_BYTES = 320 };

typedef enum sb_meter_kind {
#define X(kind, id, period_ms, max_watts, accuracy, covers, misses, grant) SB_METER_##kind,
#include "energy/meters.def"
#undef X
    SB_METER_KIND_COUNT
} sb_meter_kind;

typedef enum sb_meter_state {
#define X(state, id, what) SB_METER_##state,
#include "energy/meter-states.def"
#undef X
    SB_METER_STATE_COUNT
} sb_meter_state;

/* One counter or sensor that was found. */
typedef struct sb_meter_row {
    sb_meter_kind kind;
    sb_meter_state state;
    bool counted;                         /* in what answers are counted by */
    bool watts;                           /* shows watts, which are integrated here */
    uint64_t period_ms;                   /* renewed so often */
    const char *unit;                     /* as it is read */
    char name[SB_METER_NAME_BYTES];       /* printing ASCII, whatever the file held */
    char of[SB_METER_NAME_BYTES];         /* DUPLICATE, PART: of which */
    char command[SB_METER_COMMAND_BYTES]; /* REFUSED: grants access */
} sb_meter_row;

/* What was found, best kind first; how many there are. With roots.survey, everything. */
size_t sb_meter_list(const sb_meter *m, sb_meter_row *out, size_t n_max);
/* The meter that answers are counted by, for receipts. kind is SB_METER_ESTIMATE where there is
 * none. */
typedef struct sb_meter_facts {
    sb_meter_kind kind;
    bool watts;
    uint64_t period_ms;         /* renewed so often; 0 of the estimate */
    uint64_t accuracy_permille; /* what it states of itself, or its kind's */
    int n_gpus;                 /* boards that are added to it */
} sb_meter_facts;
sb_meter_facts sb_meter_chosen(const sb_meter *m);
/* Reads the source of a kind that was found, chosen or kept beside: what it has counted since the
 * meter was opened. False: there is none, or something of it was lost since the last reading. For
 * comparing a plug with the packages. */
bool sb_meter_sum(sb_meter *m, sb_meter_kind k, uint64_t *out_uj);
/* Words of a kind and of a state: static. */
const char *sb_meter_kind_id(sb_meter_kind k);
const char *sb_meter_kind_covers(sb_meter_kind k);
const char *sb_meter_kind_misses(sb_meter_kind k);
const char *sb_meter_state_id(sb_meter_state s);
const char *sb_meter_state_what(sb_meter_state s);
/* Compares the meters that are kept beside (roots.survey): what they have shown since
 * sb_meter_check_begin(). A line for people about the worst disagreement by more than what both
 * allow, or NULL; it lives until the next call. Those that show watts want a call every few
 * seconds. */
void sb_meter_check_begin(sb_meter *m);
const char *sb_meter_check(sb_meter *m);
#endif
