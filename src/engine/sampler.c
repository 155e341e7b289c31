/* SPDX-License-Identifier: Apache-2.0
 * sampler.c - selection by a bounded heap and one pass, never by sorting the vocabulary.
 *
 * Candidates are the k largest logits (lower id first among equals). Without a top-k, top-p asks
 * for
 * 64 of them, then for more until their mass suffices. Masses are summed in double. */
#include "engine/sampler.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "engine/history.h"

#include <assert.h>
#include <math.h>
#include <string.h>

typedef struct candidate {
    float logit;
    int32_t id;
    double p; /* mass, not normalised */
} candidate;

struct sb_sampler {
    sb_sampling p;
    int32_t n_vocab;
    uint64_t state[4];   /* xoshiro256** */
    candidate *c;        /* [n_vocab] */
    sb_history *history; /* what was said, or NULL: no penalty asks for it */
    float *logits;       /* [n_vocab] changed by penalties and bias, or NULL: nothing changes any */
    sb_logit_bias *bias; /* [p.n_bias] */
};

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t next_u64(uint64_t s[4])
{
    const uint64_t r = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return r;
}

/* Uniform in [0, 1) with 53 bits. */
static double next_unit(sb_sampler *s)
{
    return (double)(next_u64(s->state) >> 11) * 0x1p-53;
}

static sb_status check_range(const char *name, float v, double lo, double hi, sb_error *err)
{
    if ((double)v >= lo && (double)v <= hi) return SB_OK;
    return SB_FAIL(err, SB_INVALID, "%s: %g is outside %g..%g", name, (double)v, lo, hi);
}

static sb_status check_bias(const sb_sampling *p, int32_t n_vocab, sb_error *err)
{
    if (p->n_bias < 0 || p->n_bias > SB_MAX_LOGIT_BIAS)
        return SB_FAIL(err, SB_LIMIT, "logit-bias: %d tokens (at most %d)", p->n_bias,
                       SB_MAX_LOGIT_BIAS);
    for (int32_t i = 0; i < p->n_bias; i++) {
        const sb_logit_bias b = p->bias[i];
        if (b.id < 0 || b.id >= n_vocab)
            return SB_FAIL(err, SB_INVALID, "logit-bias: token %d is outside 0..%d", b.id,
                           n_vocab - 1);
        if (b.bias != -INFINITY) SB_TRY(check_range("logit-bias", b.bias, -100, 100, err));
        for (int32_t k = 0; k < i; k++)
            if (p->bias[k].id == b.id)
                return SB_FAIL(err, SB_INVALID, "logit-bias: token %d is given twice", b.id);
    }
    return SB_OK;
}

static sb_status check_sampling(const sb_sampling *p, int32_t n_vocab, sb_error *err)
{
    SB_TRY(check_range("temperature", p->temp, 0, 100, err));
    if (p->top_k < 0) return SB_FAIL(err, SB_INVALID, "top-k: %d is negative", p->top_k);
    SB_TRY(check_range("typical-p", p->typical_p, 0, 1, err));
    if (!(p->top_p > 0 && p->top_p <= 1))
        return SB_FAIL(err, SB_INVALID, "top-p: %g is outside 0..1 (0 excluded)", (double)p->top_p);
    SB_TRY(check_range("min-p", p->min_p, 0, 1, err));
    if (p->repeat_last_n < 0 || p->repeat_last_n > SB_MAX_CTX)
        return SB_FAIL(err, SB_INVALID, "repeat-last-n: %d is outside 0..%d", p->repeat_last_n,
                       SB_MAX_CTX);
    SB_TRY(check_range("repeat-penalty", p->repeat_penalty, 0, 100, err));
    SB_TRY(check_range("presence-penalty", p->presence_penalty, -2, 2, err));
    SB_TRY(check_range("frequency-penalty", p->frequency_penalty, -2, 2, err));
    return check_bias(p, n_vocab, err);
}

static bool penalises(const sb_sampling *p)
{
    const bool repeats = p->repeat_penalty != 0 && p->repeat_penalty != 1;
    return repeats || p->presence_penalty != 0 || p->frequency_penalty != 0;
}

/* Takes everything that drawing needs. */
static bool take_memory(sb_sampler *s, const sb_sampling *p)
{
    const size_t n = (size_t)s->n_vocab;
    const bool changes = penalises(p) || p->n_bias > 0;
    s->c = sb_alloc(n, sizeof *s->c);
    s->bias = sb_alloc((size_t)p->n_bias, sizeof *s->bias);
    if (!s->c || !s->bias) return false;
    if (changes && !(s->logits = sb_alloc(n, sizeof *s->logits))) return false;
    return !penalises(p) || sb_history_new(&s->history, s->n_vocab, p->repeat_last_n);
}

sb_status sb_sampler_new(sb_sampler **out, int32_t n_vocab, const sb_sampling *p, sb_error *err)
{
    SB_TRY(check_sampling(p, n_vocab, err));
    sb_sampler *s = sb_calloc(1, sizeof *s);
    if (!s) return SB_FAIL(err, SB_NO_MEMORY, "sampler: out of memory");
    s->n_vocab = n_vocab;
    if (!take_memory(s, p)) {
        sb_sampler_free(s);
        return SB_FAIL(err, SB_NO_MEMORY, "sampler: out of memory");
    }
    s->p = *p;
    if (p->n_bias) memcpy(s->bias, p->bias, (size_t)p->n_bias * sizeof *s->bias);
    s->p.bias = s->bias;
    uint64_t x = p->seed;
    for (int i = 0; i < 4; i++)
        s->state[i] = splitmix(&x);
    *out = s;
    return SB_OK;
}

void sb_sampler_free(sb_sampler *s)
{
    if (!s) return;
    sb_history_free(s->history);
    sb_free(s->bias);
    sb_free(s->logits);
    sb_free(s->c);
    sb_free(s);
}

void sb_sampler_prompt(sb_sampler *s, const int32_t *ids, size_t n)
{
    for (size_t i = 0; s->history && i < n; i++)
        sb_history_add(s->history, ids[i], false);
}

void sb_sampler_accept(sb_sampler *s, int32_t id)
{
    if (s->history) sb_history_add(s->history, id, true);
}

static float penalised(const sb_sampling *p, float x, sb_history_count n)
{
    const float r = p->repeat_penalty;
    if (r != 0 && n.n_all > 0) x = x > 0 ? x / r : x * r;
    if (n.n_answer > 0) x -= p->presence_penalty + (float)n.n_answer * p->frequency_penalty;
    return x;
}

/* The logits that are drawn from: the model's own where nothing changes them. */
static const float *changed(sb_sampler *s, const float *logits)
{
    if (!s->logits) return logits;
    memcpy(s->logits, logits, (size_t)s->n_vocab * sizeof *logits);
    for (int32_t id = 0; s->history && id < s->n_vocab; id++) {
        const sb_history_count n = sb_history_get(s->history, id);
        if (n.n_all > 0) s->logits[id] = penalised(&s->p, logits[id], n);
    }
    for (int32_t i = 0; i < s->p.n_bias; i++)
        s->logits[s->bias[i].id] += s->bias[i].bias;
    return s->logits;
}

/* An id that the mask leaves, and no bias forbids. */
static bool allowed(const float *logits, const uint32_t *mask, int32_t id)
{
    return logits[id] != -INFINITY && (!mask || (mask[id / 32] >> (id % 32) & 1u));
}

/* True when a stands before b: larger logit, then lower id. */
static bool before(const candidate *a, const candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

/* Restores the heap (root = last in order) below i. */
static void sift_down(candidate *c, int32_t n, int32_t i)
{
    for (;;) {
        int32_t last = i;
        for (int32_t k = 2 * i + 1; k <= 2 * i + 2 && k < n; k++)
            if (before(&c[last], &c[k])) last = k;
        if (last == i) return;
        const candidate t = c[i];
        c[i] = c[last];
        c[last] = t;
        i = last;
    }
}

/* The k first candidates in order, at c[0..]; returns how many there are. */
static int32_t select_top(candidate *c, int32_t k, const float *logits, int32_t n_vocab,
                          const uint32_t *mask)
{
    int32_t n = 0;
    assert(k > 0);
    c[0] = (candidate){.logit = logits[0]};
    for (int32_t id = 0; id < n_vocab; id++) {
        const candidate x = {.logit = logits[id], .id = id};
        if (n == k && !before(&x, &c[0])) continue;
        if (!allowed(logits, mask, id)) continue;
        if (n < k) {
            c[n++] = x;
            if (n == k)
                for (int32_t i = n / 2 - 1; i >= 0; i--)
                    sift_down(c, n, i);
            continue;
        }
        c[0] = x;
        sift_down(c, n, 0);
    }
    if (n < k)
        for (int32_t i = n / 2 - 1; i >= 0; i--)
            sift_down(c, n, i);
    for (int32_t i = n - 1; i > 0; i--) { /* heap sort: the root is the last in order */
        const candidate t = c[0];
        c[0] = c[i];
        c[i] = t;
        sift_down(c, i, 0);
    }
    return n;
}

/* Largest of n values; lanes so that the compiler may use vectors. */
static float max_of(const float *x, int32_t n)
{
    enum { LANES = 16 };
    float best[LANES];
    for (int32_t l = 0; l < LANES; l++)
        best[l] = x[0];
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int32_t l = 0; l < LANES; l++)
            best[l] = x[i + l] > best[l] ? x[i + l] : best[l];
    for (; i < n; i++)
        best[0] = x[i] > best[0] ? x[i] : best[0];
    for (int32_t l = 1; l < LANES; l++)
        best[0] = best[l] > best[0] ? best[l] : best[0];
    return best[0];
}

/* The first block with the largest maximum holds the answer: one fast pass, then a short one. */
int32_t sb_argmax(const float *logits, int32_t n_vocab)
{
    enum { BLOCK = 1024 };
    int32_t block = 0;
    float best = logits[0];
    for (int32_t b = 0; b < n_vocab; b += BLOCK) {
        const float m = max_of(logits + b, n_vocab - b < BLOCK ? n_vocab - b : BLOCK);
        if (m > best) best = m, block = b;
    }
    for (int32_t i = block; i < n_vocab; i++)
        if (logits[i] == best) return i;
    return 0;
}

/* Sum of exp((l - max) / temp) over the allowed ids. */
static double mass_of(const float *logits, int32_t n_vocab, const uint32_t *mask, double max,
                      double temp)
{
    double sum = 0;
    for (int32_t i = 0; i < n_vocab; i++)
        if (allowed(logits, mask, i)) sum += exp(((double)logits[i] - max) / temp);
    return sum;
}

/* Of n candidates, likeliest first, those whose surprise -ln p is nearest to the expected one, till
 * they hold the share typical_p of the mass. Surprise rises along the list, so they are a run: it
 * grows from where the list crosses the expected one, the likelier side first on a tie. Returns the
 * run's length and moves *c to its start. */
static int32_t keep_typical(const sb_sampler *s, candidate **c, int32_t n)
{
    double total = 0, expected = 0, sum = 0;
    for (int32_t i = 0; i < n; i++)
        total += (*c)[i].p;
    for (int32_t i = 0; i < n; i++)
        if ((*c)[i].p > 0) expected -= (*c)[i].p / total * log((*c)[i].p / total);
    int32_t lo = 0;
    while (lo < n && -log((*c)[lo].p / total) < expected)
        lo++;
    int32_t hi = lo;
    while (sum < (double)s->p.typical_p * total && (lo > 0 || hi < n)) {
        const double below = lo > 0 ? expected + log((*c)[lo - 1].p / total) : INFINITY;
        const double above = hi < n ? -log((*c)[hi].p / total) - expected : INFINITY;
        sum += below <= above ? (*c)[--lo].p : (*c)[hi++].p;
    }
    *c += lo;
    return hi - lo;
}

/* How many of the first n candidates top-p keeps; -1 when their mass is not enough. */
static int32_t keep_top_p(const sb_sampler *s, const candidate *c, int32_t n, double total)
{
    const double want = (double)s->p.top_p * total;
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += c[i].p;
        if (sum >= want) return i + 1;
    }
    return -1;
}

static int32_t keep_min_p(const sb_sampler *s, const candidate *c, int32_t n)
{
    const double floor_p = (double)s->p.min_p * c[0].p;
    while (n > 1 && c[n - 1].p < floor_p)
        n--;
    return n;
}

static double mass_among(const candidate *c, int32_t n)
{
    double total = 0;
    for (int32_t i = 0; i < n; i++)
        total += c[i].p;
    return total;
}

static int32_t draw_among(sb_sampler *s, const candidate *c, int32_t n)
{
    double left = next_unit(s) * mass_among(c, n);
    for (int32_t i = 0; i < n; i++) {
        left -= c[i].p;
        if (left < 0) return c[i].id;
    }
    return c[n - 1].id;
}

int32_t sb_sampler_draw(sb_sampler *s, const float *given, const uint32_t *mask)
{
    const float *logits = changed(s, given);
    const bool greedy = s->p.temp == 0;
    const bool bounded = s->p.top_k > 0 && s->p.top_k < s->n_vocab;
    const bool typical = s->p.typical_p > 0 && s->p.typical_p < 1;
    int32_t k = greedy ? 1 : bounded ? s->p.top_k : typical ? s->n_vocab : 64;
    for (;;) {
        if (k > s->n_vocab) k = s->n_vocab;
        candidate *c = s->c;
        int32_t n = select_top(c, k, logits, s->n_vocab, mask);
        if (greedy || n <= 1) return n ? c[0].id : sb_argmax(given, s->n_vocab);
        const double max = c[0].logit, temp = s->p.temp;
        for (int32_t i = 0; i < n; i++)
            c[i].p = exp(((double)c[i].logit - max) / temp);
        const bool all = bounded || n < k || k == s->n_vocab;
        if (typical) n = keep_typical(s, &c, n);
        const double total = all ? mass_among(c, n) : mass_of(logits, s->n_vocab, mask, max, temp);
        int32_t kept = keep_top_p(s, c, n, total);
        if (kept < 0 && all) kept = n;
        if (kept >= 0) n = kept;
        const int32_t above = keep_min_p(s, c, n);
        /* A tail cut by min-p needs no more candidates; an open one does. */
        if (kept >= 0 || (s->p.min_p > 0 && above < n)) return draw_among(s, c, above);
        k *= 16;
    }
}

double sb_logprob(const float *logits, int32_t n_vocab, int32_t id)
{
    const double max = logits[sb_argmax(logits, n_vocab)];
    return (double)logits[id] - max - log(mass_of(logits, n_vocab, NULL, max, 1));
}

void sb_top_logprobs(const float *logits, int32_t n_vocab, int32_t n, int32_t *ids,
                     double *logprobs)
{
    candidate c[64];
    if (n < 1) return;
    if (n > (int32_t)SB_ARRAY_LEN(c)) n = (int32_t)SB_ARRAY_LEN(c);
    const int32_t found = select_top(c, n, logits, n_vocab, NULL);
    const double max = c[0].logit, log_mass = log(mass_of(logits, n_vocab, NULL, max, 1));
    for (int32_t i = 0; i < found; i++) {
        ids[i] = c[i].id;
        logprobs[i] = (double)c[i].logit - max - log_mass;
    }
}
