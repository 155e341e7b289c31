/* SPDX-License-Identifier: Apache-2.0
 * chat.h - one turn of a conversation: messages to text, to tokens, through the engine, to an
 * answer with its timings and its energy.
 *
 * Purpose     What the command and the server share. It knows no terminal and no socket.
 * Invariants  Text of messages never becomes a control token. An answer is whole UTF-8, and no part
 *             of a stop string is ever handed out. Events put together are content, reasoning and
 *             calls of the result. A raw prompt's answer is content, whatever it looks like.
 * Reuse       A chat keeps what its turns computed while there is room: a prompt that begins with
 *             the same tokens as one before is prefilled from there on only, and gives the same
 *             words, to the last bit, as one that starts afresh. An answer that comes back as
 *             history keeps the ids it was sampled as (replay.h).
 * Ownership   sb_chat owns model and engine and borrows pool and ledger. A result is released with
 *             sb_turn_deinit().
 * Errors      As the rooms below; a failed turn leaves the chat usable. A cancelled turn is no
 *             failure: it ends with SB_FINISH_CANCELLED.
 * Threads     One caller at a time. `cancel` may be set from anywhere, a signal handler
 *             included. */
#ifndef SB_CHAT_H
#define SB_CHAT_H
#include "base/buf.h"
#include "base/ids.h"
#include "base/pool.h"
#include "chat/governor.h"
#include "energy/ledger.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine/sched.h"
#include "output/output.h"
#include "prompt/prompt.h"

#include <stdatomic.h>

typedef enum sb_finish {
#define X(name, ...) SB_FINISH_##name,
#include "chat/finish.def"
#undef X
    SB_FINISH_COUNT
} sb_finish;
const char *sb_finish_word(sb_finish f);

typedef struct sb_chat sb_chat;

/* Around and after the steps of a chat, on the thread that makes them; each may be NULL. */
typedef struct sb_chat_step_hooks {
    void (*enter)(void *ctx); /* waits until the processors are free */
    void (*leave)(void *ctx);
    void (*on_step)(void *ctx, const sb_work_record *r);
    void *ctx;
} sb_chat_step_hooks;

typedef struct sb_chat_opts {
    sb_engine_opts engine; /* n_ctx 0: the model's own, at most SB_CHAT_CTX */
    sb_pool *pool;
    sb_ledger *ledger; /* or NULL: no energy */
    sb_rest *rest;     /* or NULL: none; borrowed */
    sb_governor
        *governor; /* chooses the threads that decode, unless the engine's options do; or NULL */
    int32_t max_queue;     /* turns that may wait; 0: 1 */
    int32_t batch_wait_ms; /* that the first of several may wait for the others; 0: never */
    sb_chat_step_hooks hooks;
    sb_str template_text;    /* a chat template to use instead of the model's own, or empty */
    sb_output_format format; /* how answers are read; 0: as the template tells */
} sb_chat_opts;

enum { SB_CHAT_CTX = 8192 }; /* positions when nobody says */

sb_status sb_chat_open(sb_chat **out, const char *path, const sb_chat_opts *o,
                       sb_error *err) SB_MUST_USE;
void sb_chat_close(sb_chat *c);
const sb_model *sb_chat_model(const sb_chat *c);
sb_engine *sb_chat_engine(const sb_chat *c);
/* For its statistics. */
sb_sched *sb_chat_sched(const sb_chat *c);
const sb_prompter *sb_chat_prompter(const sb_chat *c);
/* Positions of a turn, prompt and answer together. */
int32_t sb_chat_n_ctx(const sb_chat *c);
bool sb_chat_has_template(const sb_chat *c);

/* Energy that turns take from together: a day of a key. All of them end with the step that empties
 * it. */
typedef struct sb_energy_pot {
    atomic_llong left_uj; /* may become negative, by one step */
} sb_energy_pot;

typedef struct sb_turn_request {
    sb_prompt_request prompt; /* through the template; its messages NULL: raw */
    sb_str raw;               /* the prompt as it stands, when there are no messages */
    bool raw_control;         /* control tokens in raw match */
    const int32_t *raw_ids;   /* [n_raw_ids] the prompt as ids instead of raw, or NULL */
    size_t n_raw_ids;
    sb_sampling sampling;
    int32_t max_tokens; /* -1: until the context is full */
    /* It ends with the step in which it comes to have used so much: SB_FINISH_ENERGY_BUDGET. 0: no
     * limit. Needs a ledger. */
    int64_t max_energy_uj;
    sb_energy_pot *pot; /* the same of what several turns share, or NULL; borrowed until it ends */
    bool ignore_end;    /* tokens that end an answer are never drawn */
    bool no_cache;      /* all of the prompt is computed, and nothing of the turn is kept */
    const sb_str *stops;
    int32_t n_stops;
    int32_t n_logprobs;        /* alternatives kept per token, -1 = none at all, at most 20 */
    const atomic_bool *cancel; /* or NULL */
    /* Content, reasoning and tool calls as they become certain; returning false cancels. May be
     * NULL. */
    bool (*on_event)(void *ctx, const sb_output_event *e);
    /* Prompt tokens done of all, those kept from the turn before included; called after each chunk.
     * May be NULL. */
    void (*on_prefill)(void *ctx, int32_t n_done, int32_t n_all);
    void *ctx;
} sb_turn_request;

typedef struct sb_turn {
    sb_buf text;               /* all of the answer, its markers included */
    sb_buf content, reasoning; /* its parts */
    sb_tool_call *calls;       /* [n_calls] or NULL; every text ends with a NUL, too; ids are unique
                                  in a conversation that only grows */
    size_t n_calls;
    int32_t n_cached;           /* of the prompt, computed before */
    sb_ids prompt_ids, ids;     /* ids: what was generated, the end token excluded */
    sb_token_logprob *logprobs; /* [ids.n] or NULL */
    size_t cap_logprobs;
    sb_finish finish;
    int32_t i_stop;      /* the stop string that ended it, of the request's; -1: none */
    const sb_str *stop;  /* the one of the request's stop strings that ended it, or NULL */
    uint64_t started_ns; /* how long it waited for its turn */
    uint64_t prefill_ns, decode_ns; /* from there on; decode: from the first token on */
    int32_t n_decoded;              /* tokens that took a decode step */
    sb_energy energy;
    uint64_t owner; /* whose energy that is, in the ledger; 0: there is none */
} sb_turn;

/* Makes the steps itself, so not between sb_chat_start() and _stop() (live.h). Fills out; on
 * failure out holds nothing to release. */
sb_status sb_chat_turn(sb_chat *c, const sb_turn_request *r, sb_turn *out,
                       sb_error *err) SB_MUST_USE;
void sb_turn_deinit(sb_turn *t);

/* Forgets what turns of a scope computed and said (0: of all): the next one starts afresh. */
void sb_chat_forget(sb_chat *c, uint64_t scope);

/* The prompt of a request as ids, without running it, as a turn of this scope (sb_live_who; 1 is
 * sb_chat_turn's) would have it. */
sb_status sb_chat_prompt_ids(sb_chat *c, const sb_turn_request *r, uint64_t scope, sb_ids *out,
                             sb_error *err) SB_MUST_USE;
#endif
