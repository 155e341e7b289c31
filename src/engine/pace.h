/* SPDX-License-Identifier: Apache-2.0
 * pace.h - how long a step will take, learned from the steps before.
 *
 * Purpose     The scheduler asks how many prompt rows fit beside the decoding ones. A step costs
 *             what its rows cost together (they read the weights once) and, for each row, the keys
 *             and values it looks back at; the two are learned apart, because the engine measures
 *             attention by itself.
 * Invariants  More load never takes less time. Only when things happen depends on this: no number
 *             that is computed does. */
#ifndef SB_ENGINE_PACE_H
#define SB_ENGINE_PACE_H
#include "base/base.h"

enum { SB_PACE_KNOTS = 11 }; /* at 1, 2, 4 ... 1024 rows */

typedef struct sb_pace {
    /* Of that many rows without attention, 0: not known; [1]: of steps with prompt rows. */
    double knot_ns[2][SB_PACE_KNOTS];
    double ns_per_byte[2]; /* attention: prompt rows, decoding rows */
} sb_pace;

/* rows: a decoding row is 1, a row without logits a little less. kv_bytes: [0] of prompt rows, [1]
 * of decoding ones. */
typedef struct sb_load {
    double rows, kv_bytes[2];
} sb_load;

/* attend_ns: of it, spent on attention by prompt rows and by decoding ones. */
void sb_pace_learn(sb_pace *p, const sb_load *l, double step_ns, const double attend_ns[2]);
/* True when a step of this kind and about so many rows has been seen. */
bool sb_pace_knows(const sb_pace *p, const sb_load *l);
/* Nanoseconds, 0 when nothing is known. */
double sb_pace_predict(const sb_pace *p, const sb_load *l);
#endif
