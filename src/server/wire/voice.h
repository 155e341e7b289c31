/* SPDX-License-Identifier: Apache-2.0
 * voice.h - what all voices do alike: their state, counting tokens by kind, words for an end.
 *
 * Purpose     For the dialects' own files. A dialect's state is a struct whose first member is
 *             sb_voice_head; it is zeroed, as is the state of each choice. */
#ifndef SB_SERVER_VOICE_H
#define SB_SERVER_VOICE_H
#include "server/wire/json_writer.h"
#include "server/wire/wire.h"

/* What one choice has said so far. */
typedef struct sb_tally {
    size_t n_seen;       /* of the turn's ids, up to the last event */
    size_t from;         /* the last event's ids: [from, n_seen) */
    int32_t n_reasoning; /* ids whose events were reasoning */
    bool any;            /* something was said */
    uint64_t first_ns;   /* when, if the ask wants timings of every piece */
} sb_tally;

typedef struct sb_voice_head {
    const sb_ask *ask;
    sb_voice_facts facts;
    sb_tally *tallies; /* [ask->n_turns] */
    void *choices;     /* [ask->n_turns][choice_bytes] */
} sb_voice_head;

static inline const sb_voice_head *sb_voice_head_of(const sb_voice *v)
{
    return (const sb_voice_head *)(const void *)v;
}
/* The dialect's own state of a choice. */
void *sb_voice_choice(sb_voice *v, int32_t i_choice);
/* Counts an event's tokens; call it once for each event, first thing. */
const sb_tally *sb_voice_count(sb_voice *v, int32_t i_choice, const sb_output_event *e,
                               const sb_turn *t);
const sb_tally *sb_voice_tally(const sb_voice *v, int32_t i_choice);
/* The calls of a turn that are told: all, or one (parallel calls not wanted). */
size_t sb_voice_n_calls(const sb_voice *v, const sb_turn *t);
/* An event of a call that is not told. */
bool sb_voice_skips(const sb_voice *v, const sb_output_event *e);

/* The stop string that ended a choice, as its index in the request's stops, or -1. */
int32_t sb_voice_stop(const sb_voice *v, int32_t i_choice, const sb_turn *t);
/* Whether a choice has the same prompt as the one before it (n > 1): its prompt counts once. */
bool sb_voice_same_prompt(const sb_voice *v, int32_t i_choice);

/* chat/finish.def: the dialect's word, and the detail where that word does not say all (NULL: it
 * does). */
const char *sb_finish_openai(sb_finish f);
const char *sb_finish_anthropic(sb_finish f);
const char *sb_finish_ollama(sb_finish f);
const char *sb_finish_detail(sb_finish f, const char *word);

/* The sum of the turns' energy: measured only when all are, unavailable when one is. */
sb_energy sb_voice_energy(const sb_turn *turns, size_t n);
/* The ask's warnings as a member, when there are any. */
void sb_jw_warnings(sb_jw *w, const sb_ask *a);
#endif
