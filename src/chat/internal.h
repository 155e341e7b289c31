/* SPDX-License-Identifier: Apache-2.0
 * internal.h - a chat and its turns under way, for this room's files only. */
#ifndef SB_CHAT_INTERNAL_H
#define SB_CHAT_INTERNAL_H
#include "chat/answer.h"
#include "chat/chat.h"
#include "chat/live.h"
#include "chat/replay.h"

#include <pthread.h>

struct sb_chat {
    sb_model *model;
    sb_engine *engine;
    sb_sched *sched;
    sb_prompter prompter;
    sb_replay *replay;
    sb_output_format format;
    sb_ledger *ledger; /* or NULL */
    int32_t n_ctx;
    atomic_ullong n_turns; /* owners of turns when there is no ledger */
    atomic_int n_budgets;  /* of the turns under way, those with a budget of energy */
    sb_chat_step_hooks hooks;
    uint64_t step_begin_ns; /* of the last step; the stepper's */
    pthread_t stepper;
    bool is_started;
    pthread_mutex_t lock; /* guards the list, and which sequence a turn of it has */
    sb_live *first;       /* turns under way */
};

struct sb_live {
    sb_chat *chat;
    sb_live *prev, *next; /* of those under way */
    atomic_int holds;
    sb_turn_request r;
    sb_live_hooks hooks;
    sb_live_who who;
    sb_rendered prompt; /* as the template printed it; without text for a raw one */
    sb_turn turn;
    sb_answer answer;
    sb_error err; /* why the answer broke off */
    sb_seq *seq;
    sb_ledger_account account;
    uint64_t begin_ns, prefilled_ns; /* prefilled_ns 0: not yet */
    bool prefilling;                 /* its first step was made */
    int64_t taken_uj;                /* out of the pot so far; the stepper's */
    bool is_spent;                   /* the budget of energy is used up; the stepper's */
};

/* turn_prompt.c: a request as ids. rendered: what the template printed, for sb_replay_keep. */
sb_status sb_turn_prompt(sb_chat *c, const sb_turn_request *r, uint64_t scope, sb_ids *out,
                         sb_rendered *rendered, sb_error *err) SB_MUST_USE;

/* turn.c */
void sb_turn_init(sb_turn *t);
/* After a step, and before its tokens are handed out: ends the turns whose budget it used up. */
void sb_turns_check_budgets(sb_chat *c, const sb_work_record *r);
#endif
