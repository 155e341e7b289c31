/* SPDX-License-Identifier: Apache-2.0
 * sched.h - many sequences through one engine: who computes what in the next step.
 *
 * Purpose     Continuous batching: every running sequence decodes one token a step, and beside them
 *             prompts are prefilled in chunks that lengthen a step by a bounded time. Decides who
 *             is admitted, in which order, and who gives way; draws the tokens. It knows token ids,
 *             owners and shares; no text, no socket.
 * Invariants  The tokens of a sequence are those it would get alone: they never depend on who runs
 *             beside it, on chunks, on cached prefixes, on being preempted. Pages reserved by
 *             admitted sequences never exceed the pages there are, so none runs dry. A cancelled
 *             sequence is out within one step, whether it waits, prefills or decodes.
 * Order       Higher priority first; among equals the share that has had the least work for its
 *             weight; within a share first come, first served. A waiting sequence of higher
 *             priority that finds no place preempts the lowest one that runs: that one returns to
 *             the front of its queue with its tokens and is computed again later.
 * Guesses     Where one sequence decodes alone, tokens that followed the same ones before are
 *             computed with its next one (sched_guess.c). Each token is drawn from its own logits,
 *             so a guess saves steps and changes no word; its owner pays for the wrong ones.
 * Prefixes    What a sequence computed stays in a tree of pages, by scope, until pages are needed;
 *             a later one of the same scope starts where the tree ends. A sequence whose prefix
 *             another one of its scope is computing right now waits for it.
 * Threads     sb_sched_step and sb_sched_run belong to one thread at a time (the stepper); hooks
 *             are called there. All functions on sequences, and submit, forget, stop, list and the
 *             statistics, may be called from any thread, hooks included.
 * Ownership   The scheduler borrows the engine and takes all of its sessions. A sequence is
 *             counted: the caller's hold ends with sb_seq_release; the scheduler's own ends after
 *             on_end.
 * Errors      SB_BUSY (the queue is full: try later), SB_LIMIT (can never fit), SB_INVALID,
 *             SB_NO_MEMORY.
 * Cost        Nothing is allocated inside a step. Without work the stepper sleeps. */
#ifndef SB_ENGINE_SCHED_H
#define SB_ENGINE_SCHED_H
#include "engine/engine.h"
#include "engine/rest.h"
#include "engine/sampler.h"

typedef struct sb_sched sb_sched;
typedef struct sb_seq sb_seq;

typedef struct sb_sched_opts {
    int32_t max_queue; /* sequences that wait for a place, 1..SB_MAX_QUEUE */
    /* A step that also prefills may take about this much of one that only decodes, in percent:
     * 180 keeps the gap between tokens below twice the undisturbed one. 0: 180. Once in eight steps
     * one that finishes a prompt may take 25 ms instead; far into a long prompt steps are left
     * alone and one in 25 takes up to 50 ms; up to 50 ms may be taken where prompts outnumber the
     * sequences that draw. */
    int32_t stall_pct;
    /* Pages that cached prefixes may keep beyond those in use; 0: all that are free. */
    uint64_t cache_bytes;
    /* Of them, those of prefixes that take less than a tenth of a second to compute again; 0: no
     * limit of their own. */
    uint64_t quick_bytes;
    /* Where nobody computes, who comes first may wait this long for others, while as many come as
     * makes it likely that they will, and until there is one for every place. 0: never, at most
     * SB_MAX_BATCH_WAIT_MS. Higher priority than usual never waits. */
    uint64_t batch_wait_ns;
    /* After each step, before its tokens are handed out; the record lives until the return. */
    void (*on_step)(void *ctx, const sb_work_record *r);
    /* Around each step, so that several engines can share the processors; may be NULL. */
    void (*enter)(void *ctx);
    void (*leave)(void *ctx);
    /* Before a step the processors rest as it says, or NULL: never. Borrowed. */
    sb_rest *rest;
    void *ctx;
} sb_sched_opts;

/* Why a sequence ended. */
typedef enum sb_seq_end {
    SB_SEQ_END_TOKEN, /* the model drew a token that ends an answer (it is not handed out) */
    SB_SEQ_STOPPED,   /* on_token said so */
    SB_SEQ_LENGTH,    /* max_tokens, or the context is full */
    SB_SEQ_CANCELLED,
    SB_SEQ_FAILED, /* err says why: a numeric error, a changed file, no memory */
    SB_SEQ_END_COUNT
} sb_seq_end;

enum { SB_MAX_LOGPROBS = 20 };

/* Log probabilities of one generated token and of the best ones at its place. */
typedef struct sb_token_logprob {
    double logprob;
    int32_t n_top;
    int32_t top_ids[SB_MAX_LOGPROBS];
    double top[SB_MAX_LOGPROBS];
} sb_token_logprob;

typedef struct sb_seq_opts {
    const int32_t *ids;   /* [n_ids] the prompt, copied */
    int32_t n_ids;        /* 1..n_ctx - 1 */
    sb_sampling sampling; /* its bias is copied */
    int32_t max_tokens;   /* -1: until the context is full; 0: prefill only */
    int32_t n_logprobs;   /* -1: none; 0..SB_MAX_LOGPROBS alternatives */
    bool ignore_end;      /* tokens that end an answer are never drawn */
    uint64_t scope;       /* whose cached prefixes it may read, and who may read its own */
    uint64_t share;       /* fair shares are kept between different values */
    uint32_t weight;      /* of the share, 0: 1 */
    int32_t priority;     /* 0 usual; higher goes first */
    uint64_t owner;       /* in the work records, not 0 */
    /* Any of them may be NULL but on_end. */
    void (*on_prefill)(void *ctx, int32_t n_cached, int32_t n_done, int32_t n_all);
    /* lp: NULL without n_logprobs. False: the sequence ends with this token. */
    bool (*on_token)(void *ctx, int32_t id, const sb_token_logprob *lp);
    /* The last call for this sequence. err: only with SB_SEQ_FAILED. */
    void (*on_end)(void *ctx, sb_seq_end why, const sb_error *err);
    void *ctx;
} sb_seq_opts;

sb_status sb_sched_new(sb_sched **out, sb_engine *e, const sb_sched_opts *o,
                       sb_error *err) SB_MUST_USE;
/* No stepper may be inside. Sequences that have not ended end with SB_SEQ_CANCELLED. */
void sb_sched_free(sb_sched *s);

/* Runs one step if there is work: *out_did says so. Fails never: what fails ends its sequences.
 * With a rest to be had it sleeps for a part of that instead, at most SB_REST_LOOK_NS, and is to be
 * called again. */
void sb_sched_step(sb_sched *s, bool *out_did);
/* Steps until sb_sched_stop(), at least once. While there is no work it joins those of the weights'
 * pages that are due (pages.h), each within enter and leave, then sleeps. */
void sb_sched_run(sb_sched *s);
void sb_sched_stop(sb_sched *s);

/* on_end will be called exactly once after SB_OK, never after a failure. *out is set before the
 * first hook is called. */
sb_status sb_sched_submit(sb_sched *s, const sb_seq_opts *o, sb_seq **out,
                          sb_error *err) SB_MUST_USE;
void sb_seq_cancel(sb_seq *q);
/* A paused sequence draws no more tokens until it goes on. It keeps its place unless another one
 * that is no less urgent finds none: then it waits for one again. */
void sb_seq_pause(sb_seq *q, bool paused);
/* Sequences that would be admitted before this one, as things stand; 0: it is next, or runs. Looks
 * at all that wait. */
int32_t sb_seq_place(const sb_seq *q);
void sb_seq_release(sb_seq *q);

typedef struct sb_sched_stats {
    int32_t n_waiting, n_prefilling, n_decoding, n_paused;
    uint64_t n_steps, n_prefill_tok, n_decode_tok, n_cached_tok, n_recomputed_tok, n_preempted,
        n_cancelled, n_ended, n_held;         /* sleeps that waited for company */
    uint64_t pages, pages_held, pages_cached; /* of all groups: there are; of sequences; of the
                                                 tree alone */
    uint64_t cached_bytes;
} sb_sched_stats;
sb_sched_stats sb_sched_get_stats(const sb_sched *s);
/* One line for each running and waiting sequence, for operators: no content. */
typedef struct sb_seq_info {
    uint64_t owner;
    int32_t n_prompt, n_cached, n_done, n_drawn, priority, place;
    bool waiting, prefilling, paused;
} sb_seq_info;
/* Writes at most cap, those that run first; returns how many there are. */
size_t sb_sched_list(const sb_sched *s, sb_seq_info *out, size_t cap);

/* Forgets all cached prefixes (scope 0: of everyone) that no sequence uses, when the next step
 * begins. */
void sb_sched_forget(sb_sched *s, uint64_t scope);
#endif
