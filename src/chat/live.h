/* SPDX-License-Identifier: Apache-2.0
 * live.h - a turn that runs beside others: begun from any thread, told by hooks.
 *
 * Purpose     What the server runs for each answer: the same way from request to answer as
 *             sb_chat_turn(), through the chat's scheduler, without waiting for it.
 * Invariants  Hooks of one turn come one after the other: prefill*, event*, end. end comes exactly
 *             once. What events put together is what end's turn holds.
 * Threads     sb_live_begin, _cancel, _pause, _place, _release: any thread. Hooks run on the chat's
 *             stepper: they must be quick and may call anything here but sb_live_begin.
 * Ownership   The request and all it points to is borrowed until `end` has returned. The turn that
 *             `end` gets is borrowed, unless it takes it (sb_turn is plain: copy it, zero *t). A
 *             live turn is counted: release it once.
 * Errors      SB_BUSY: the queue is full. Else as sb_chat_turn(). After a failure no hook is
 *             called. */
#ifndef SB_CHAT_LIVE_H
#define SB_CHAT_LIVE_H
#include "chat/chat.h"

typedef struct sb_live sb_live;

typedef struct sb_live_hooks {
    /* Of the prompt's n_all tokens n_done are in, n_cached of them computed before. */
    void (*prefill)(void *ctx, int32_t n_cached, int32_t n_done, int32_t n_all);
    /* False: stop the turn (it ends as cancelled). t: the turn so far; its logprobs and ids reach
     * up to the token this event came from. */
    bool (*event)(void *ctx, const sb_output_event *e, const sb_turn *t);
    /* err NULL: t is the whole turn. Else it failed midway and t holds what there was. */
    void (*end)(void *ctx, sb_turn *t, const sb_error *err);
    void *ctx;
} sb_live_hooks;

/* Who asks, for caches, fairness and order. */
typedef struct sb_live_who {
    uint64_t scope; /* whose cached prefixes it shares */
    uint64_t share; /* fair shares are kept between values */
    int32_t priority;
} sb_live_who;

/* The chat's scheduler runs on a thread of its own from sb_chat_start() to sb_chat_stop(), which
 * ends the turns under way as cancelled. Without it only sb_chat_turn() works. */
sb_status sb_chat_start(sb_chat *c, sb_error *err) SB_MUST_USE;
void sb_chat_stop(sb_chat *c);

sb_status sb_live_begin(sb_live **out, sb_chat *c, const sb_turn_request *r, const sb_live_who *w,
                        const sb_live_hooks *h, sb_error *err) SB_MUST_USE;
void sb_live_cancel(sb_live *l);
void sb_live_pause(sb_live *l, bool paused);
/* Turns that go before this one; 0: it runs or is next. */
int32_t sb_live_place(const sb_live *l);
void sb_live_release(sb_live *l);
#endif
