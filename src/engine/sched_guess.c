/* SPDX-License-Identifier: Apache-2.0
 * sched_guess.c - tokens that may come next, taken from what stands before.
 *
 * A step of one row waits for the weights to come from memory; a few rows more cost little. So
 * where one sequence decodes alone, what followed the last place with the same tokens is computed
 * along with its next token, as if it were known. Every token is still drawn from its own logits,
 * in order, and the first one that was guessed wrong ends it: the words are those of one row at a
 * time, to the last bit. No second model is asked: text repeats itself (names, quotations, lists),
 * or nothing is guessed. How many guesses pay is decided by what steps took and how many came true.
 */
#include "engine/sched_state.h"

enum {
    LEAST_SAME = 2, /* tokens before the place, the same as the last ones */
    MOST_SAME = 8,  /* more of them make no better place */
    LOOK_BACK = 4096
};

static const float first_hope = 0.4F; /* of a guess, until some were seen */
static const float step_hope = 0.2F;  /* how far one that was seen moves it */
static const float least_gain = 1.05F;
static const float unseen_row = 0.1F; /* a row more, of one row's time, before any was tried */

void sb_guess_begin(sb_seq *q)
{
    q->hope = first_hope;
}

/* How many tokens before i are those before the end; at most MOST_SAME. */
static int32_t n_same(const sb_seq *q, int32_t i)
{
    int32_t n = 0;
    while (n < MOST_SAME && n < i && q->ids[i - 1 - n] == q->ids[q->n_all - 1 - n])
        n++;
    return n;
}

/* The place in what stands before whose tokens may come again; -1: none. Of equal ones the last. */
static int32_t find_place(const sb_seq *q)
{
    const int32_t first = q->n_all > LOOK_BACK ? q->n_all - LOOK_BACK : 1;
    int32_t best = -1, best_same = LEAST_SAME - 1;
    for (int32_t i = q->n_all - 1; i >= first && best_same < MOST_SAME; i--) {
        const int32_t n = n_same(q, i);
        if (n <= best_same) continue;
        best = i;
        best_same = n;
    }
    return best;
}

/* So many guesses give most tokens for their time; 0: none are worth it. */
static int32_t choose(const sb_sched *s, const sb_seq *q, int32_t most)
{
    const int32_t pos = q->session->n_pos;
    sb_load l = {.rows = 1, .kv_bytes = {0, (double)sb_kv_bytes_read(s->e, pos, 1)}};
    const double one = sb_pace_predict(&s->pace, &l);
    double tokens = 1, hope = 1, best_gain = least_gain;
    int32_t best = 0;
    for (int32_t k = 1; k <= most && one > 0; k++) {
        hope *= (double)q->hope;
        tokens += hope;
        l = (sb_load){.rows = 1 + k, .kv_bytes = {0, (double)sb_kv_bytes_read(s->e, pos, 1 + k)}};
        const double took = sb_pace_knows(&s->pace, &l) ? sb_pace_predict(&s->pace, &l)
                                                        : one * (1 + k * (double)unseen_row);
        if (tokens * one / took <= best_gain) continue;
        best_gain = tokens * one / took;
        best = k;
    }
    return best;
}

void sb_guess_add(sb_sched *s)
{
    sb_seq_part *t = &s->parts[0];
    sb_seq *q = t->q;
    if (s->e->opts.no_guess || s->n_parts != 1 || t->n != 1 || q->o.max_tokens == 0 ||
        q->o.n_logprobs >= 0)
        return;
    int32_t most = q->n_most - q->n_all - 1; /* the last token is drawn and not fed */
    if (most > SB_MOST_GUESSES) most = SB_MOST_GUESSES;
    if (most > s->e->opts.n_rows - 1) most = s->e->opts.n_rows - 1;
    const int32_t room = sb_session_room(q->session) - 1;
    if (most > room) most = room;
    if (most < 1) return;
    q->hope += (first_hope - q->hope) / 256; /* what was hopeless is tried again, much later */
    most = choose(s, q, most);
    const int32_t from = most > 0 ? find_place(q) : -1;
    if (from < 0) return;
    if (most > q->n_all - from) most = q->n_all - from;
    for (int32_t i = 0; i < most; i++)
        q->ids[q->n_all + i] = q->ids[from + i];
    t->n_guess = most;
    t->n += most;
}

void sb_guess_seen(sb_seq *q, int32_t n_guess, int32_t n_true)
{
    for (int32_t i = 0; i < n_true; i++)
        q->hope += step_hope * (1 - q->hope);
    if (n_true < n_guess) q->hope -= step_hope * q->hope;
}
