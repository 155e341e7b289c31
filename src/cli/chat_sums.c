/* SPDX-License-Identifier: Apache-2.0
 * chat_sums.c - what a chat has cost so far. */
#include <string.h>

#include "cli/chat_room.h"
#include "energy/receipt_kind.h"

static void add_energy(sb_chat_sums *s, const sb_energy *e)
{
    s->mixed_energy |= s->n_turns > 0 && s->energy.source != e->source;
    if (s->n_turns == 0) {
        s->energy = *e;
        return;
    }
    const uint64_t before_ns = s->energy.duration_ns;
    sb_energy_add(&s->energy, e);
    s->energy.duration_ns = before_ns + e->duration_ns;
}

void sb_chat_sums_add(sb_chat_sums *s, const sb_turn *t)
{
    add_energy(s, &t->energy);
    s->n_turns++;
    s->n_prompt += t->prompt_ids.n;
    s->n_cached += (uint64_t)t->n_cached;
    s->n_ids += t->ids.n;
    s->n_decoded += (uint64_t)t->n_decoded;
    s->prefill_ns += t->prefill_ns;
    s->decode_ns += t->decode_ns;
    s->n_context = (int32_t)(t->prompt_ids.n + t->ids.n);
}

static double per_second(uint64_t n, uint64_t ns)
{
    return ns > 0 ? (double)n * 1e9 / (double)ns : 0;
}

void sb_chat_sums_show(const sb_chat_room *r)
{
    const sb_chat_sums *s = &r->sums;
    const int32_t n_ctx = sb_chat_room_n_ctx(r);
    sb_out *o = r->c->out;
    char energy[SB_ENERGY_TEXT_BYTES], wall[SB_ENERGY_TEXT_BYTES];
    sb_energy_text(&s->energy, energy, sizeof energy);
    sb_energy_wall_text(&s->energy, wall, sizeof wall);
    sb_out_say(o, "model: %s", sb_chat_room_model(r));
    sb_out_add(o, "\n", 1);
    sb_out_say(o, "messages: %zu, answers: %llu", r->talk.n, (unsigned long long)s->n_turns);
    sb_out_add(o, "\n", 1);
    sb_out_say(o, "tokens read: %llu (%llu of them kept from before), %.1f tokens/s",
               (unsigned long long)s->n_prompt, (unsigned long long)s->n_cached,
               per_second(s->n_prompt - s->n_cached, s->prefill_ns));
    sb_out_add(o, "\n", 1);
    sb_out_say(o, "tokens written: %llu, %.1f tokens/s", (unsigned long long)s->n_ids,
               per_second(s->n_decoded, s->decode_ns));
    sb_out_add(o, "\n", 1);
    if (n_ctx > 0) {
        sb_out_say(o, "context: %d of %d tokens (%.0f%%)", (int)s->n_context, (int)n_ctx,
                   100.0 * (double)s->n_context / (double)n_ctx);
        sb_out_add(o, "\n", 1);
    }
    if (s->n_turns > 0) {
        sb_out_say(o, "energy: %s", energy);
        sb_out_add(o, "\n", 1);
        if (wall[0]) {
            sb_out_say(o, "wall: %s", wall);
            sb_out_add(o, "\n", 1);
        }
        sb_footprint_say(&r->host.footprint, &s->energy, o);
        const char *hint = r->host.meter ? sb_meter_hint(r->host.meter) : NULL;
        if (hint) {
            sb_out_say(o, "%s", hint);
            sb_out_add(o, "\n", 1);
        }
    }
    sb_out_flush(o);
}
