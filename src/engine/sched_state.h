/* SPDX-License-Identifier: Apache-2.0
 * sched_state.h - what the scheduler's files share: its sequences, its shares, its step.
 *
 * Threads     `lock` guards the lists, the shares, the numbers that others read (info, stats) and
 *             what others ask (events, forget). All else is the stepper's. A sequence's cancelled
 *             and paused are set from anywhere and looked at when a step is made. */
#ifndef SB_ENGINE_SCHED_STATE_H
#define SB_ENGINE_SCHED_STATE_H
#include "engine/internal.h"
#include "engine/pace.h"
#include "engine/prefix.h"
#include "engine/sched.h"

#include <pthread.h>
#include <stdatomic.h>

/* Who keeps a fair share. Work is counted in rows that decode. */
typedef struct sb_share {
    uint64_t id;
    uint32_t weight;
    int32_t n_seqs;  /* waiting and running */
    double served;   /* work done, divided by the weight */
    double promised; /* by those that run, not done yet, divided by the weight */
    double tag;      /* scratch: when the next of its waiting ones is due */
    /* Scratch: sequences that decode, how many may in this step, and those with prompts. */
    int32_t demand, turn, n_prompts;
} sb_share;

typedef enum sb_seq_state { SB_SEQ_WAITS, SB_SEQ_RUNS, SB_SEQ_OVER } sb_seq_state;

struct sb_seq {
    sb_sched *sched;
    atomic_int n_holds; /* the caller's and the scheduler's */
    atomic_int state;   /* sb_seq_state; written under the lock */
    atomic_bool cancelled, paused;
    sb_seq_opts o;
    int32_t *ids; /* [n_most] the prompt, then what was drawn */
    int32_t n_all, n_most;
    sb_sampler *sampler;
    sb_share *share;
    sb_seq *prev, *next; /* of those that wait; next: of those that ended */
    uint64_t arrival;
    double tag;     /* scratch: when it is due */
    double work;    /* what it is expected to cost still */
    bool skip;      /* scratch: not in this round */
    bool is_wanted; /* another one waits for all of its prompt */
    int32_t n_high; /* positions computed once at least */
    int32_t n_cached;
    bool has_run;
    uint64_t last_step;
    sb_session *session; /* while it runs */
    sb_prefix_mark mark;
    sb_seq_end why; /* with SB_SEQ_OVER, or once ending */
    bool is_ending;
    sb_error err;
    int32_t drawn; /* in this step, or -1 */
    float hope;    /* that a guess comes true */
    sb_token_logprob lp;
    sb_seq_info info;
};

enum { SB_MAX_FORGET = 32, SB_MOST_GUESSES = 7 };

/* One sequence's part of a step. */
typedef struct sb_seq_part {
    sb_seq *q;
    int32_t n;
    int32_t n_guess; /* the last of them are guesses, behind q->n_all */
    int32_t n_true;  /* the first of these, which were drawn then */
} sb_seq_part;

struct sb_sched {
    sb_engine *e;
    sb_sched_opts o;
    sb_prefix *prefix;
    sb_sampler_room **rooms; /* [threads of the engine] to draw in */
    uint32_t *not_end;       /* [n_vocab / 32] mask of the ids that end no answer */
    int32_t n_end;           /* ids that do */
    sb_pace pace;
    double row_ops; /* multiply-adds of a row that decodes */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool has_lock, has_wake;
    uint64_t n_events; /* changes when a sleeper should look again */
    bool stop;
    /* Waiting: higher priority first, then by arrival. */
    sb_seq *first, *last;
    int32_t n_waiting;
    uint64_t n_arrived;
    /* Running, in order of admission. */
    sb_seq **run;
    int32_t n_run, n_slots;
    sb_session **idle; /* [n_slots] stack of sessions that nobody has */
    int32_t n_idle;
    int32_t reserved[SB_MAX_KV_GROUPS];
    sb_share *shares; /* [cap_shares] those in use and some of the past first */
    int32_t n_shares, cap_shares;
    uint64_t forget[SB_MAX_FORGET];
    int32_t n_forget;
    /* The step. */
    sb_seq_part *parts; /* [n_rows] */
    sb_span *spans;     /* [n_rows] */
    sb_seq **order;     /* [n_slots] scratch */
    int32_t n_parts, n_decode_parts, n_mixed, n_since_burst, n_since_stall;
    uint64_t rest_ns,
        rest_arrived; /* since when the processors rest, 0: they do not; who had come */
    /* Since when who came first waits for others, 0: nobody does; when somebody came last; the
     * usual time between two, at most batch_wait_ns. */
    uint64_t hold_ns, arrived_ns;
    double gap_ns;
    sb_seq *ended; /* to be told */
    sb_sched_stats stats;
};

/* sched_queue.c; all under the lock. */
sb_share *sb_sched_share(sb_sched *s, uint64_t id, uint32_t weight);
void sb_sched_enqueue(sb_sched *s, sb_seq *q);
void sb_sched_dequeue(sb_sched *s, sb_seq *q);
/* Sets every waiting sequence's tag. */
void sb_sched_tag(sb_sched *s);
bool sb_seq_before(const sb_seq *a, const sb_seq *b);
/* Work that was done for a sequence. */
void sb_sched_serve(sb_seq *q, double work);
/* Pages of each group that a sequence may come to hold. */
int32_t sb_seq_pages(const sb_seq *q, int32_t group);

/* sched_admit.c; all under the lock, the stepper only. */
void sb_sched_admit(sb_sched *s);
/* Takes a running sequence's place; what it computed stays in the tree. */
void sb_sched_take_place(sb_sched *s, sb_seq *q, bool keep);

/* sched_build.c: who takes part in the next step, and with how many tokens. */
void sb_sched_build(sb_sched *s);
/* Tokens that wait to be computed. */
int32_t sb_seq_left(const sb_seq *q);
bool sb_seq_decodes(const sb_seq *q);

/* sched_guess.c: tokens computed ahead of being drawn. */
void sb_guess_begin(sb_seq *q);
/* Adds some to a step that decodes one sequence and nothing else. */
void sb_guess_add(sb_sched *s);
/* The first n_true of n_guess were drawn. */
void sb_guess_seen(sb_seq *q, int32_t n_guess, int32_t n_true);

/* sched_hold.c: waiting for company; under the lock. */
void sb_hold_arrival(sb_sched *s, uint64_t now_ns);
/* Till when; 0 or past: no longer. */
uint64_t sb_hold_until_ns(const sb_sched *s);
/* True while no step may begin; some of that time is slept here. The stepper only. */
bool sb_sched_hold(sb_sched *s);

/* sched_draw.c: runs the step made and draws; marks what is over. */
void sb_sched_compute(sb_sched *s);

/* sched.c; the first under the lock: until then, or until something is new. */
void sb_sched_sleep(sb_sched *s, uint64_t until_ns);
void sb_sched_end(sb_sched *s, sb_seq *q, sb_seq_end why);
#endif
