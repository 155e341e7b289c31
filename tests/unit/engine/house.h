/* SPDX-License-Identifier: Apache-2.0
 * house.h - a scheduler under test on a tiny model with windows, and an engine beside it that says
 * what each sequence would get alone. Failures end the test. */
#ifndef SB_TESTS_HOUSE_H
#define SB_TESTS_HOUSE_H
#include "seqs.h"

enum { HOUSE_VOCAB = 700, HOUSE_CTX = 460, HOUSE_OUT = 64 };

typedef struct house {
    sb_rig rig, solo;
    sb_sched *sched;
} house;

/* cmocka's group set-up and tear-down: the model's file. */
int house_make_model(void **state);
int house_drop_model(void **state);
const char *house_model(void);
/* bf16, HOUSE_CTX positions, steps of at most HOUSE_CTX rows. */
sb_engine_opts house_opts(int32_t n_sessions);
/* so.max_queue 0: 64. */
house house_open(const sb_engine_opts *eo, int n_threads, sb_sched_opts so);
void house_close(house *h);
void house_begin(house *h, sb_rig_seq *r, const sb_seq_opts *o);
/* One step; true when there was work. */
bool house_step(house *h);
void house_drain(house *h);
/* Ended once, with these tokens so far as it came: all of them unless it was stopped. */
void house_check_alone(house *h, const sb_rig_seq *r, const sb_seq_opts *o);
/* A prompt of n repeatable tokens. */
void house_ids(int32_t *ids, int32_t n, uint64_t seed);
/* Begins, drains, checks, ends; returns the cached tokens. */
int32_t house_once(house *h, const int32_t *ids, int32_t n, uint64_t scope);
/* A token that ends answers. */
int32_t house_end_id(const house *h);
#endif
