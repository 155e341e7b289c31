/* SPDX-License-Identifier: Apache-2.0
 * voice.c - the state of an answer on its way, in one block. */
#include "server/wire/voice.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"

#include <stdalign.h>
#include <string.h>

struct sb_voice {
    sb_voice_head head;
};

sb_voice *sb_voice_new(const sb_ask *ask, const sb_voice_facts *facts)
{
    const sb_dialect *d = ask->dialect;
    const size_t align = alignof(max_align_t);
    const size_t own = SB_ALIGN_UP(d->voice_bytes, align);
    const size_t tallies = SB_ALIGN_UP(ask->n_turns * sizeof(sb_tally), align);
    const size_t all = own + tallies + ask->n_turns * d->choice_bytes;
    unsigned char *p = sb_calloc(all, 1);
    if (!p) return NULL;
    sb_voice *v = (sb_voice *)(void *)p;
    v->head = (sb_voice_head){.ask = ask,
                              .facts = *facts,
                              .tallies = (sb_tally *)(void *)(p + own),
                              .choices = p + own + tallies};
    return v;
}

void sb_voice_free(sb_voice *v, const sb_dialect *d)
{
    if (v && d->deinit) d->deinit(v);
    sb_free(v);
}

void *sb_voice_choice(sb_voice *v, int32_t i_choice)
{
    return (unsigned char *)v->head.choices + (size_t)i_choice * v->head.ask->dialect->choice_bytes;
}

const sb_tally *sb_voice_count(sb_voice *v, int32_t i_choice, const sb_output_event *e,
                               const sb_turn *t)
{
    sb_tally *y = &v->head.tallies[i_choice];
    y->from = y->n_seen;
    if (t->ids.n > y->n_seen) y->n_seen = t->ids.n;
    if (e->kind == SB_OUTPUT_REASONING) y->n_reasoning += (int32_t)(y->n_seen - y->from);
    if (!y->any && v->head.ask->timings) y->first_ns = sb_now_ns();
    y->any = true;
    return y;
}

const sb_tally *sb_voice_tally(const sb_voice *v, int32_t i_choice)
{
    return &v->head.tallies[i_choice];
}

size_t sb_voice_n_calls(const sb_voice *v, const sb_turn *t)
{
    return v->head.ask->one_call && t->n_calls > 1 ? 1 : t->n_calls;
}

bool sb_voice_skips(const sb_voice *v, const sb_output_event *e)
{
    const bool call = e->kind != SB_OUTPUT_CONTENT && e->kind != SB_OUTPUT_REASONING;
    return call && e->i_call > 0 && v->head.ask->one_call;
}

bool sb_voice_same_prompt(const sb_voice *v, int32_t i_choice)
{
    const sb_turn_request *r = v->head.ask->turns + i_choice;
    return i_choice > 0 && r[0].prompt.messages == r[-1].prompt.messages &&
           r[0].raw.p == r[-1].raw.p && r[0].raw_ids == r[-1].raw_ids;
}

/* ---- how it ended ---- */

int32_t sb_voice_stop(const sb_voice *v, int32_t i_choice, const sb_turn *t)
{
    const sb_turn_request *r = &v->head.ask->turns[i_choice];
    return t->finish == SB_FINISH_STOP && t->i_stop < r->n_stops ? t->i_stop : -1;
}

const char *sb_finish_openai(sb_finish f)
{
    static const char *const word[SB_FINISH_COUNT] = {
#define X(name, own, openai, ...) [SB_FINISH_##name] = openai,
#include "chat/finish.def"
#undef X
    };
    return word[f];
}

const char *sb_finish_anthropic(sb_finish f)
{
    static const char *const word[SB_FINISH_COUNT] = {
#define X(name, own, openai, anthropic, ...) [SB_FINISH_##name] = anthropic,
#include "chat/finish.def"
#undef X
    };
    return word[f];
}

const char *sb_finish_ollama(sb_finish f)
{
    static const char *const word[SB_FINISH_COUNT] = {
#define X(name, own, openai, anthropic, ollama) [SB_FINISH_##name] = ollama,
#include "chat/finish.def"
#undef X
    };
    return word[f];
}

/* Only ends that no client knows need more than their word. */
const char *sb_finish_detail(sb_finish f, const char *word)
{
    switch (f) {
    case SB_FINISH_STOP:
    case SB_FINISH_LENGTH:
    case SB_FINISH_TOOL_CALLS:
    case SB_FINISH_COUNT:
        return NULL;
    case SB_FINISH_CANCELLED:
    case SB_FINISH_ENERGY_BUDGET:
    case SB_FINISH_ERROR:
    case SB_FINISH_NUMERIC_ERROR:
        break;
    }
    return strcmp(word, sb_finish_word(f)) == 0 ? NULL : sb_finish_word(f);
}

/* ---- sums ---- */

sb_energy sb_voice_energy(const sb_turn *turns, size_t n)
{
    sb_energy sum = n ? turns[0].energy : (sb_energy){0};
    for (size_t i = 1; i < n; i++) {
        sb_energy_add(&sum, &turns[i].energy);
        if (turns[i].energy.duration_ns > sum.duration_ns)
            sum.duration_ns = turns[i].energy.duration_ns;
    }
    return sum;
}

void sb_jw_warnings(sb_jw *w, const sb_ask *a)
{
    if (!json_array_size(a->warnings)) return;
    sb_jw_key(w, "warnings");
    sb_jw_json(w, a->warnings);
}
