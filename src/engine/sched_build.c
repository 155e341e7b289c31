/* SPDX-License-Identifier: Apache-2.0
 * sched_build.c - what the next step computes: decoding rows first, then as many prompt rows as
 * its time allows.
 *
 * Time is what people notice, so chunks are cut by time and not by a number of tokens: a prompt row
 * far into a long prompt costs several early ones: whoever reads back thousands of positions reads
 * them for sixteen rows as fast as for one. So where a step's share no longer holds a tile of rows,
 * such a prompt waits, or a long one that is read sooner so, and once in STALL_STEPS a step takes
 * many rows: fewer people meet it than would notice a step of twice the time, always. Now and then
 * a step leaves prompts out although they wait: without it nobody would know any more what an
 * undisturbed step takes. */
#include "engine/sched_state.h"

#include <math.h>
#include <string.h>

enum {
    STALL_PCT = 180,      /* a step with prompts, of one without, when nobody says */
    FAIR_PCT = 103,       /* a step with those above their share, of one without them */
    ALONE_NS = 200000000, /* a step that only computes prompts: who comes then waits that long */
    LEAST_ALONE = 64,     /* and its rows at least: fewer would waste what reading weights costs */
    BLIND_ROWS = 64,      /* when no step has been seen yet */
    BURST_NS = 25000000,  /* what nobody notices now and then: enough to finish a short prompt, */
    CROWD_NS = 50000000,  /* a step with many prompts beside few who decode */
    BURST_STEPS = 8,      /* once in so many steps */
    STALL_NS = 50000000,  /* the most that others' tokens stand still for a long prompt, */
    STALL_STEPS = 25,     /* once in so many steps: one in twenty would be the 95th percentile */
    MIXED_STEPS = 64      /* with prompts, between two without */
};

int32_t sb_seq_left(const sb_seq *q)
{
    return q->n_all - q->session->n_pos;
}

bool sb_seq_decodes(const sb_seq *q)
{
    return q->n_all > q->o.n_ids && sb_seq_left(q) == 1;
}

static bool takes_part(const sb_seq *q)
{
    return !q->is_ending && !atomic_load(&q->paused) && !atomic_load(&q->cancelled);
}

/* Adds what n tokens of a sequence cost. */
static void add_load(const sb_sched *s, sb_load *l, const sb_seq *q, int32_t n, bool decodes)
{
    const bool last = n == sb_seq_left(q) && q->o.max_tokens != 0;
    l->rows += (double)n * (double)s->e->ops_per_row / s->row_ops +
               (last ? (double)s->e->head_ops / s->row_ops : 0);
    l->kv_bytes[decodes] += (double)sb_kv_bytes_read(s->e, q->session->n_pos, n);
}

/* ---- those that decode ---- */

/* Who took part longest ago first. */
static int32_t list_decoding(sb_sched *s)
{
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_run; i++) {
        sb_seq *q = s->run[i];
        if (!takes_part(q) || !sb_seq_decodes(q)) continue;
        int32_t at = n++;
        for (; at > 0 && s->order[at - 1]->last_step > q->last_step; at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = q;
    }
    return n;
}

/* Every share's turns: all share the least demand of any, by weight. Returns their sum. */
static int32_t equal_turns(sb_sched *s, int32_t n)
{
    double level = 0;
    int32_t sum = 0;
    for (int32_t i = 0; i < s->n_shares; i++)
        s->shares[i].demand = s->shares[i].turn = 0;
    for (int32_t i = 0; i < n; i++)
        s->order[i]->share->demand++;
    for (int32_t i = 0; i < s->n_shares; i++) {
        const sb_share *x = &s->shares[i];
        const double own = (double)x->demand / x->weight;
        if (x->demand && (level == 0 || own < level)) level = own;
    }
    for (int32_t i = 0; i < s->n_shares; i++) {
        sb_share *x = &s->shares[i];
        const double turn = level * x->weight;
        x->turn = turn < 1 && x->demand ? 1 : turn < x->demand ? (int32_t)turn : x->demand;
        sum += x->turn;
    }
    return sum;
}

/* Gives more turns while the step takes hardly longer, so that many sequences of one share cost
 * the others little. */
static void add_turns(sb_sched *s, int32_t n, int32_t sum, const sb_load *all)
{
    sb_load l = {.rows = all->rows * sum / n, .kv_bytes = {0, all->kv_bytes[1] * sum / n}};
    if (!sb_pace_knows(&s->pace, &l)) return;
    const double limit = sb_pace_predict(&s->pace, &l) * FAIR_PCT / 100;
    while (sum < n) {
        sb_share *next = NULL;
        for (int32_t i = 0; i < s->n_shares; i++) {
            sb_share *x = &s->shares[i];
            if (x->turn >= x->demand) continue;
            if (!next || (double)x->turn / x->weight < (double)next->turn / next->weight) next = x;
        }
        l.rows += all->rows / n;
        l.kv_bytes[1] += all->kv_bytes[1] / n;
        if (!next || sb_pace_predict(&s->pace, &l) > limit) return;
        next->turn++;
        sum++;
    }
}

static void add_part(sb_sched *s, sb_seq *q, int32_t n)
{
    s->parts[s->n_parts++] = (sb_seq_part){.q = q, .n = n};
}

/* Adds the decoding rows; at most `most` of them. */
static void add_decoding(sb_sched *s, int32_t most, sb_load *load)
{
    const int32_t n = list_decoding(s);
    sb_load all = {0};
    for (int32_t i = 0; i < n; i++)
        add_load(s, &all, s->order[i], 1, true);
    const int32_t sum = equal_turns(s, n);
    if (sum < n) add_turns(s, n, sum, &all);
    for (int32_t i = 0; i < n && s->n_parts < most; i++) {
        sb_seq *q = s->order[i];
        if (q->share->turn-- <= 0) continue;
        add_part(s, q, 1);
        add_load(s, load, q, 1, true);
    }
    s->n_decode_parts = s->n_parts;
}

/* ---- prompts ---- */

static bool more_urgent(const sb_seq *a, const sb_seq *b)
{
    const double sa = a->share->served, sb = b->share->served;
    if (a->o.priority != b->o.priority) return a->o.priority > b->o.priority;
    if (sa != sb) return sa < sb;
    return a->arrival < b->arrival;
}

/* Lists those with a prompt to compute, the most urgent first. */
static int32_t list_prompts(sb_sched *s)
{
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_run; i++) {
        sb_seq *q = s->run[i];
        if (!takes_part(q) || sb_seq_decodes(q)) continue;
        int32_t at = n++;
        for (; at > 0 && more_urgent(q, s->order[at - 1]); at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = q;
    }
    return n;
}

/* Whether n more of a sequence's tokens keep the step below limit_ns. */
static bool keeps_below(const sb_sched *s, const sb_load *load, const sb_seq *q, int32_t n,
                        double limit_ns)
{
    sb_load l = *load;
    add_load(s, &l, q, n, false);
    return sb_pace_predict(&s->pace, &l) <= limit_ns;
}

/* How many of a sequence's tokens, up to `most`, keep the step below limit_ns. */
static int32_t fitting(const sb_sched *s, const sb_load *load, const sb_seq *q, int32_t most,
                       double limit_ns)
{
    int32_t lo = 0, hi = most;
    while (lo < hi) {
        const int32_t mid = (lo + hi + 1) / 2;
        if (keeps_below(s, load, q, mid, limit_ns))
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

/* Adds n rows of a prompt to its part, which may be there already. */
static void grow_part(sb_sched *s, sb_seq *q, int32_t n)
{
    for (int32_t i = s->n_decode_parts; i < s->n_parts; i++)
        if (s->parts[i].q == q) {
            s->parts[i].n += n;
            return;
        }
    add_part(s, q, n);
}

/* The shortest prompt of the first ones that are equally urgent: half of the rows are for it, so
 * that a question does not stand behind a book. */
static int32_t shortest(const sb_sched *s, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n && s->order[i]->o.priority == s->order[0]->o.priority; i++)
        if (sb_seq_left(s->order[i]) < sb_seq_left(s->order[best])) best = i;
    return best;
}

/* What is left of a step for prompts. */
typedef struct step_rest {
    int32_t rows, least;    /* rows at most; rows whatever they take */
    double limit_ns, burst; /* how long the step may take; and to finish a prompt */
    bool is_blind;          /* nothing is known of time */
} step_rest;

/* How many prompts there are for each sequence that decodes. Of a share no more count than the
 * least of those that decode has of both, so that many prompts do not push others aside. */
static double crowding(sb_sched *s, int32_t n_prompts)
{
    int32_t least = INT32_MAX, n = 0;
    for (int32_t i = 0; i < s->n_shares; i++)
        s->shares[i].n_prompts = 0;
    for (int32_t i = 0; i < n_prompts; i++)
        s->order[i]->share->n_prompts++;
    for (int32_t i = 0; i < s->n_shares; i++) {
        const sb_share *x = &s->shares[i];
        if (x->demand && x->demand + x->n_prompts < least) least = x->demand + x->n_prompts;
    }
    for (int32_t i = 0; i < s->n_shares; i++)
        n += s->shares[i].n_prompts < least ? s->shares[i].n_prompts : least;
    return (double)n / s->n_decode_parts;
}

/* Beside others a step may take its share more; where prompts outnumber those who decode, more by
 * as much, or the many would wait for the few. */
static double limit_beside(sb_sched *s, int32_t n_prompts, double base_ns)
{
    const int32_t pct = s->o.stall_pct ? s->o.stall_pct : STALL_PCT;
    const double more = base_ns * (pct - 100) / 100, crowd = crowding(s, n_prompts);
    if (crowd <= 1) return base_ns + more;
    const double limit = base_ns + more * crowd;
    if (limit < CROWD_NS) return limit;
    return base_ns + more > CROWD_NS ? base_ns + more : CROWD_NS;
}

static step_rest measure_rest(sb_sched *s, int32_t n_prompts, double base_ns)
{
    const bool decodes = s->n_decode_parts > 0;
    step_rest m = {.rows = s->e->opts.n_rows - s->n_parts,
                   .least = decodes ? 1 : LEAST_ALONE,
                   .limit_ns = decodes ? limit_beside(s, n_prompts, base_ns) : ALONE_NS,
                   .is_blind = s->pace.ns_per_byte[0] == 0};
    m.burst = m.limit_ns;
    if (s->n_since_burst >= BURST_STEPS && m.burst < BURST_NS) m.burst = BURST_NS;
    if (m.is_blind && m.rows > BLIND_ROWS) m.rows = BLIND_ROWS;
    return m;
}

/* Gives a prompt rows of the step: at most `most`, while it takes at most limit_ns. */
static void take_rows(sb_sched *s, sb_seq *q, sb_load *load, step_rest *m, int32_t most,
                      double limit_ns)
{
    int32_t left = sb_seq_left(q);
    for (int32_t i = s->n_decode_parts; i < s->n_parts; i++)
        if (s->parts[i].q == q) left -= s->parts[i].n;
    int32_t want = left < most ? left : most;
    if (want > m->rows) want = m->rows;
    int32_t k = m->is_blind ? want : fitting(s, load, q, want, limit_ns);
    if (k < want && left <= m->rows && keeps_below(s, load, q, left, m->burst)) {
        k = left;
        s->n_since_burst = 0;
    }
    if (k < want && k < m->least) k = m->least < want ? m->least : want;
    if (k <= 0) return;
    grow_part(s, q, k);
    add_load(s, load, q, k, false);
    m->rows -= k;
    m->least -= k;
}

/* True when a row of this prompt costs more for what it looks back at than for all else, which is
 * what one of n costs: behind those that decode, a first one may well be free. */
static bool looks_far(const sb_sched *s, const sb_load *load, const sb_seq *q, int32_t n)
{
    const double one = (double)sb_kv_bytes_read(s->e, q->session->n_pos, 1);
    sb_load l = *load;
    add_load(s, &l, q, n, false);
    l.kv_bytes[0] = load->kv_bytes[0] + one;
    const double look_ns = s->pace.ns_per_byte[0] * one;
    return look_ns >
           (sb_pace_predict(&s->pace, &l) - look_ns - sb_pace_predict(&s->pace, load)) / n;
}

/* True when a prompt is so long that its share of each step, few rows, reads it later than many
 * rows now and then, and that the waits between do not matter. */
static bool is_sooner_apart(const sb_sched *s, const sb_load *load, const sb_seq *q,
                            const step_rest *m, double base_ns)
{
    enum { LONG = 4 };
    const int32_t left = sb_seq_left(q), most = left < m->rows ? left : m->rows;
    const int32_t n = fitting(s, load, q, most, m->limit_ns);
    const int32_t n_stall = fitting(s, load, q, most, STALL_NS);
    const double stall_ns = base_ns * (STALL_STEPS - 1) + STALL_NS;
    const double share_ns = n > 0 ? m->limit_ns * left / n : INFINITY;
    return n_stall > n && share_ns > LONG * stall_ns && share_ns > stall_ns * left / n_stall;
}

/* True when a prompt had better sit this step out. */
static bool sits_out(const sb_sched *s, const sb_load *load, const sb_seq *q, const step_rest *m,
                     double base_ns)
{
    const int32_t left = sb_seq_left(q), tile = s->e->tile_rows, few = left < tile ? left : tile;
    if (keeps_below(s, load, q, few, m->limit_ns)) return false;
    if (left <= m->rows && keeps_below(s, load, q, left, m->burst)) return false;
    return looks_far(s, load, q, few) || is_sooner_apart(s, load, q, m, base_ns);
}

/* Takes those off the list of n prompts that sit this step out, unless it is the one in STALL_STEPS
 * for which they wait. Returns how many are left. */
static int32_t leave_out(sb_sched *s, int32_t n, const sb_load *load, step_rest *m, double base_ns)
{
    const bool is_due = ++s->n_since_stall >= STALL_STEPS;
    if (!s->n_decode_parts || m->is_blind) return n;
    int32_t n_left = 0, n_out = 0;
    for (int32_t i = 0; i < n; i++) {
        const bool is_out = sits_out(s, load, s->order[i], m, base_ns);
        n_out += is_out;
        if (!is_out || is_due) s->order[n_left++] = s->order[i];
    }
    if (is_due && n_out) {
        s->n_since_stall = 0;
        if (m->limit_ns < STALL_NS) m->limit_ns = STALL_NS;
        if (m->burst < STALL_NS) m->burst = STALL_NS;
    }
    return n_left;
}

static void add_prompts(sb_sched *s, int32_t n, sb_load *load)
{
    const double base = s->n_decode_parts ? sb_pace_predict(&s->pace, load) : 0;
    step_rest m = measure_rest(s, n, base);
    s->n_since_burst++;
    n = leave_out(s, n, load, &m, base);
    const int32_t i_short = shortest(s, n);
    if (i_short > 0)
        take_rows(s, s->order[i_short], load, &m, m.rows / 2, base + (m.limit_ns - base) / 2);
    for (int32_t i = 0; i < n && m.rows > 0; i++)
        take_rows(s, s->order[i], load, &m, m.rows, m.limit_ns);
}

void sb_sched_build(sb_sched *s)
{
    sb_load load = {0};
    s->n_parts = s->n_decode_parts = 0;
    bool prompts = false;
    for (int32_t i = 0; i < s->n_run && !prompts; i++)
        prompts = takes_part(s->run[i]) && !sb_seq_decodes(s->run[i]);
    add_decoding(s, s->e->opts.n_rows - (prompts && s->e->opts.n_rows > 1), &load);
    if (!prompts) {
        s->n_mixed = 0;
        if (s->n_decode_parts == 1) sb_guess_add(s);
        return;
    }
    if (s->n_decode_parts) {
        if (s->n_mixed >= MIXED_STEPS || !sb_pace_knows(&s->pace, &load)) {
            s->n_mixed = 0;
            return;
        }
        s->n_mixed++;
    }
    add_prompts(s, list_prompts(s), &load);
}
