/* SPDX-License-Identifier: Apache-2.0
 * history.c - counts, and a ring of the ids that fall out of the window again. */
#include "engine/history.h"

#include "base/alloc.h"

struct sb_history {
    sb_history_count *count; /* [n_vocab] */
    int32_t n_vocab;
    int32_t window; /* 0 = no ring */
    int32_t *ring;  /* [window] id, or ~id when it is the answer's */
    int32_t n, next;
};

bool sb_history_new(sb_history **out, int32_t n_vocab, int32_t window)
{
    sb_history *h = sb_calloc(1, sizeof *h);
    if (!h) return false;
    *h = (sb_history){.n_vocab = n_vocab, .window = window};
    h->count = sb_calloc((size_t)n_vocab, sizeof *h->count);
    h->ring = sb_alloc((size_t)window, sizeof *h->ring);
    if (!h->count || !h->ring) {
        sb_history_free(h);
        return false;
    }
    *out = h;
    return true;
}

void sb_history_free(sb_history *h)
{
    if (!h) return;
    sb_free(h->ring);
    sb_free(h->count);
    sb_free(h);
}

static void count(sb_history *h, int32_t id, bool in_answer, int32_t n)
{
    h->count[id].n_all += n;
    if (in_answer) h->count[id].n_answer += n;
}

void sb_history_add(sb_history *h, int32_t id, bool in_answer)
{
    if (id < 0 || id >= h->n_vocab) return;
    count(h, id, in_answer, 1);
    if (!h->window) return;
    if (h->n == h->window) {
        const int32_t old = h->ring[h->next];
        count(h, old < 0 ? ~old : old, old < 0, -1);
    } else {
        h->n++;
    }
    h->ring[h->next] = in_answer ? ~id : id;
    h->next = (h->next + 1) % h->window;
}

sb_history_count sb_history_get(const sb_history *h, int32_t id)
{
    return h->count[id];
}
