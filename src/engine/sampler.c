/* SPDX-License-Identifier: Apache-2.0
 * sampler.c - selection by a bounded heap and few passes, never by sorting the vocabulary.
 *
 * Candidates are the k largest logits (lower id first among equals). Without a top-k, top-p asks
 * for 64 of them; where their mass does not suffice, ids are counted into classes of like mass, and
 * only the class where the cut falls is put in order. Without anything that needs an order the ids
 * are walked as they are. Masses are float32 exponentials, the kernels' own, so that they are the
 * same anywhere, summed in double. Many streams draw between two steps: 49 152 ids take 8 us
 * greedily, 60 to 80 us drawn, 240 us where more than 64 share top-p (a Xeon with AVX-512). */
#include "engine/sampler.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "engine/history.h"
#include "kernels/kernels.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    FIRST_K = 64,         /* candidates that mostly suffice */
    N_CLASSES = 32 * 128, /* of mass: 128 for each halving, all below 2^-31 in the last */
};

typedef struct candidate {
    float logit;
    int32_t id;
    double p; /* mass, not normalised */
} candidate;

struct sb_sampler_room {
    int32_t n_vocab;
    candidate *c;    /* [n_vocab] */
    float *logits;   /* [n_vocab] changed by penalties, bias and mask */
    float *mass;     /* [n_vocab] exponentials; also the largest logit of each block */
    double *classes; /* [N_CLASSES] their sums */
    void (*exp)(const float *x, float *y, int64_t n);
};

struct sb_sampler {
    sb_sampling p;
    int32_t n_vocab;
    uint64_t state[4];    /* xoshiro256** */
    sb_sampler_room *own; /* to draw in, or NULL */
    sb_history *history;  /* what was said, or NULL: no penalty asks for it */
    sb_logit_bias *bias;  /* [p.n_bias] */
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

sb_status sb_sampler_room_new(sb_sampler_room **out, int32_t n_vocab, sb_error *err)
{
    sb_sampler_room *r = sb_calloc(1, sizeof *r);
    if (r) {
        r->n_vocab = n_vocab;
        r->c = sb_alloc((size_t)n_vocab, sizeof *r->c);
        r->logits = sb_alloc((size_t)n_vocab, sizeof *r->logits);
        r->mass = sb_alloc((size_t)n_vocab, sizeof *r->mass);
        r->classes = sb_alloc(N_CLASSES, sizeof *r->classes);
    }
    if (!r || !r->c || !r->logits || !r->mass || !r->classes) {
        sb_sampler_room_free(r);
        return SB_FAIL(err, SB_NO_MEMORY, "sampler: out of memory");
    }
    sb_kernels k;
    sb_kernels_init(&k, sb_level_best());
    r->exp = k.exp_f32;
    *out = r;
    return SB_OK;
}

void sb_sampler_room_free(sb_sampler_room *r)
{
    if (!r) return;
    sb_free(r->classes);
    sb_free(r->mass);
    sb_free(r->logits);
    sb_free(r->c);
    sb_free(r);
}

sb_status sb_sampler_new_bare(sb_sampler **out, int32_t n_vocab, const sb_sampling *p,
                              sb_error *err)
{
    SB_TRY(check_sampling(p, n_vocab, err));
    sb_sampler *s = sb_calloc(1, sizeof *s);
    if (!s) return SB_FAIL(err, SB_NO_MEMORY, "sampler: out of memory");
    s->n_vocab = n_vocab;
    s->p = *p;
    s->p.bias = s->bias = sb_alloc((size_t)p->n_bias, sizeof *s->bias);
    const bool remembers =
        !penalises(p) || sb_history_new(&s->history, s->n_vocab, p->repeat_last_n);
    if (!s->bias || !remembers) {
        sb_sampler_free(s);
        return SB_FAIL(err, SB_NO_MEMORY, "sampler: out of memory");
    }
    if (p->n_bias) memcpy(s->bias, p->bias, (size_t)p->n_bias * sizeof *s->bias);
    uint64_t x = p->seed;
    for (int i = 0; i < 4; i++)
        s->state[i] = splitmix(&x);
    *out = s;
    return SB_OK;
}

sb_status sb_sampler_new(sb_sampler **out, int32_t n_vocab, const sb_sampling *p, sb_error *err)
{
    sb_sampler_room *own = NULL;
    SB_TRY(sb_sampler_room_new(&own, n_vocab, err));
    const sb_status st = sb_sampler_new_bare(out, n_vocab, p, err);
    if (st == SB_OK)
        (*out)->own = own;
    else
        sb_sampler_room_free(own);
    return st;
}

void sb_sampler_free(sb_sampler *s)
{
    if (!s) return;
    sb_history_free(s->history);
    sb_free(s->bias);
    sb_sampler_room_free(s->own);
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

/* Forbids what the mask leaves out. */
static void apply_mask(float *logits, int32_t n, const uint32_t *mask)
{
    for (int32_t i = 0; i < n; i += 32) {
        if (mask[i / 32] == UINT32_MAX) continue;
        for (int32_t k = i; k < n && k < i + 32; k++)
            if (!(mask[k / 32] >> (k % 32) & 1u)) logits[k] = -INFINITY;
    }
}

/* The logits that are drawn from, -INFINITY: never; the model's own where nothing changes them. */
static const float *changed(const sb_sampler *s, sb_sampler_room *r, const float *logits,
                            const uint32_t *mask)
{
    float *to = r->logits;
    if (!s->history && s->p.n_bias == 0 && !mask) return logits;
    memcpy(to, logits, (size_t)s->n_vocab * sizeof *logits);
    for (int32_t id = 0; s->history && id < s->n_vocab; id++) {
        const sb_history_count n = sb_history_get(s->history, id);
        if (n.n_all > 0) to[id] = penalised(&s->p, logits[id], n);
    }
    for (int32_t i = 0; i < s->p.n_bias; i++)
        to[s->bias[i].id] += s->bias[i].bias;
    if (mask) apply_mask(to, s->n_vocab, mask);
    return to;
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

/* Puts a heap of n in order. */
static void sort_heap(candidate *c, int32_t n)
{
    for (int32_t i = n - 1; i > 0; i--) { /* the root is the last in order */
        const candidate t = c[0];
        c[0] = c[i];
        c[i] = t;
        sift_down(c, i, 0);
    }
}

static void make_heap(candidate *c, int32_t n)
{
    for (int32_t i = n / 2 - 1; i >= 0; i--)
        sift_down(c, n, i);
}

/* The k first candidates in order, at c[0..]; returns how many there are. */
static int32_t select_top(candidate *c, int32_t k, const float *logits, int32_t n_vocab)
{
    int32_t n = 0;
    assert(k > 0);
    c[0] = (candidate){.logit = logits[0]};
    for (int32_t id = 0; id < n_vocab; id++) {
        const candidate x = {.logit = logits[id], .id = id};
        if (n == k && !before(&x, &c[0])) continue;
        if (logits[id] == -INFINITY) continue;
        if (n < k) {
            c[n++] = x;
            if (n == k) make_heap(c, n);
            continue;
        }
        c[0] = x;
        sift_down(c, n, 0);
    }
    if (n < k) make_heap(c, n);
    sort_heap(c, n);
    return n;
}

/* The first block with the largest maximum holds the answer: one fast pass, then a short one. */
int32_t sb_argmax(const float *logits, int32_t n_vocab)
{
    enum { BLOCK = 1024 };
    int32_t block = 0;
    float best = logits[0];
    for (int32_t b = 0; b < n_vocab; b += BLOCK) {
        const float m = sb_max_of(logits + b, n_vocab - b < BLOCK ? n_vocab - b : BLOCK);
        if (m > best) best = m, block = b;
    }
    for (int32_t i = block; i < n_vocab; i++)
        if (logits[i] == best) return i;
    return 0;
}

/* The same as select_top(): only blocks whose largest logit is among the k largest of all blocks
 * can hold one of the k first. */
static int32_t select_blocks(sb_sampler_room *r, int32_t k, const float *logits)
{
    enum { BLOCK = 32, LEAST_BLOCKS = 4 };
    const int32_t n_blocks = (r->n_vocab + BLOCK - 1) / BLOCK;
    candidate *c = r->c;
    if (k > n_blocks / LEAST_BLOCKS) return select_top(c, k, logits, r->n_vocab);
    for (int32_t b = 0; b < n_blocks; b++) {
        const int32_t left = r->n_vocab - b * BLOCK;
        r->mass[b] = sb_max_of(logits + b * BLOCK, left < BLOCK ? left : BLOCK);
    }
    if (select_top(c, k, r->mass, n_blocks) < k) return select_top(c, k, logits, r->n_vocab);
    const float least = c[k - 1].logit;
    int32_t n = 0;
    for (int32_t b = 0; b < n_blocks; b++) {
        if (r->mass[b] < least) continue;
        for (int32_t id = b * BLOCK; id < r->n_vocab && id < (b + 1) * BLOCK; id++)
            if (logits[id] >= least) c[n++] = (candidate){.logit = logits[id], .id = id};
    }
    make_heap(c, n);
    sort_heap(c, n);
    return k;
}

/* Sum of exp(l - max) over all ids. */
static double mass_of(const float *logits, int32_t n_vocab, double max)
{
    double sum = 0;
    for (int32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - max);
    return sum;
}

enum { MASS_BLOCK = 256 };

static double sum_block(const float *x, int32_t n)
{
    enum { LANES = 8 };
    double lane[LANES] = {0}, sum = 0;
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int32_t l = 0; l < LANES; l++)
            lane[l] += (double)x[i + l];
    for (int32_t l = 0; l < LANES; l++)
        sum += lane[l];
    for (; i < n; i++)
        sum += (double)x[i];
    return sum;
}

/* Fills r->mass with exp((l - max) / temp), 0 where no float is as small. Returns the sum. */
static double fill_mass(sb_sampler_room *r, const float *logits, float max, float temp)
{
    const float nothing = -200;
    for (int32_t i = 0; i < r->n_vocab; i++) {
        const float x = (logits[i] - max) / temp;
        r->mass[i] = x > nothing ? x : nothing;
    }
    r->exp(r->mass, r->mass, r->n_vocab);
    double sum = 0;
    for (int32_t i = 0; i < r->n_vocab; i += MASS_BLOCK)
        sum += sum_block(r->mass + i, r->n_vocab - i < MASS_BLOCK ? r->n_vocab - i : MASS_BLOCK);
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

/* One of all ids: they are walked in their own order. */
static int32_t draw_any(sb_sampler *s, sb_sampler_room *r, const float *logits, float max)
{
    double left = next_unit(s) * fill_mass(r, logits, max, s->p.temp);
    int32_t last = -1;
    for (int32_t i = 0; i < r->n_vocab; i += MASS_BLOCK) {
        const int32_t n = r->n_vocab - i < MASS_BLOCK ? r->n_vocab - i : MASS_BLOCK;
        const double sum = sum_block(r->mass + i, n);
        if (left >= sum && i + n < r->n_vocab) {
            left -= sum;
            continue;
        }
        for (int32_t k = i; k < i + n; k++) {
            left -= (double)r->mass[k];
            if (r->mass[k] > 0) last = k;
            if (left < 0 && last == k) return k;
        }
    }
    return last >= 0 ? last : sb_argmax(logits, r->n_vocab); /* rounding left nothing */
}

/* The class of a mass in (0, 1]: the first bits of a float order as floats do. */
static int32_t class_of(float mass)
{
    uint32_t bits = 0;
    memcpy(&bits, &mass, sizeof bits);
    const int32_t c = 0x3f80 - (int32_t)(bits >> 16);
    return c < N_CLASSES - 1 ? c : N_CLASSES - 1;
}

/* The last id that top-p keeps, found through the sums of classes; r->mass holds `total`. */
static candidate find_cut(const sb_sampler *s, sb_sampler_room *r, const float *logits,
                          double total)
{
    memset(r->classes, 0, N_CLASSES * sizeof *r->classes);
    for (int32_t id = 0; id < r->n_vocab; id++)
        r->classes[class_of(r->mass[id])] += (double)r->mass[id];
    const double want = (double)s->p.top_p * total;
    double sum = 0;
    int32_t at = 0, n = 0;
    while (at < N_CLASSES - 1 && sum + r->classes[at] < want)
        sum += r->classes[at++];
    for (int32_t id = 0; id < r->n_vocab; id++)
        if (class_of(r->mass[id]) == at && logits[id] != -INFINITY)
            r->c[n++] = (candidate){.logit = logits[id], .id = id, .p = (double)r->mass[id]};
    make_heap(r->c, n);
    sort_heap(r->c, n);
    int32_t i = 0;
    while (i + 1 < n && (sum += r->c[i].p) < want)
        i++;
    return n ? r->c[i] : (candidate){.logit = -INFINITY, .id = INT32_MAX};
}

/* One of many: those that top-p and min-p keep are walked in their own order. */
static int32_t draw_wide(sb_sampler *s, sb_sampler_room *r, const float *logits, double total)
{
    const candidate cut = find_cut(s, r, logits, total);
    double kept = 0;
    int32_t last = -1;
    for (int32_t id = 0; id < r->n_vocab; id++) {
        const candidate x = {.logit = logits[id], .id = id};
        if (before(&cut, &x) || r->mass[id] < s->p.min_p || logits[id] == -INFINITY)
            r->mass[id] = 0;
        kept += (double)r->mass[id];
        if (r->mass[id] > 0) last = id;
    }
    double left = next_unit(s) * kept;
    for (int32_t id = 0; id < last; id++) {
        left -= (double)r->mass[id];
        if (left < 0 && r->mass[id] > 0) return id;
    }
    return last;
}

/* One of the n first, which are all there are to draw from. */
static int32_t draw_listed(sb_sampler *s, candidate *c, int32_t n, float max)
{
    for (int32_t i = 0; i < n; i++)
        c[i].p = exp(((double)c[i].logit - (double)max) / (double)s->p.temp);
    if (s->p.typical_p > 0 && s->p.typical_p < 1) n = keep_typical(s, &c, n);
    const int32_t kept = keep_top_p(s, c, n, mass_among(c, n));
    return draw_among(s, c, keep_min_p(s, c, kept < 0 ? n : kept));
}

/* One of the likeliest, as the parameters cut them. */
static int32_t draw_cut(sb_sampler *s, sb_sampler_room *r, const float *logits, float max)
{
    const bool bounded = s->p.top_k > 0 && s->p.top_k < s->n_vocab;
    const bool typical = s->p.typical_p > 0 && s->p.typical_p < 1;
    int32_t k = bounded ? s->p.top_k : typical ? s->n_vocab : FIRST_K;
    if (k > s->n_vocab) k = s->n_vocab;
    candidate *c = r->c;
    int32_t n = select_blocks(r, k, logits);
    if (bounded || n < k || k == s->n_vocab) return draw_listed(s, c, n, max);
    const double mass = fill_mass(r, logits, max, s->p.temp);
    for (int32_t i = 0; i < n; i++)
        c[i].p = (double)r->mass[c[i].id];
    const int32_t kept = keep_top_p(s, c, n, mass);
    if (kept >= 0) n = kept;
    const int32_t above = keep_min_p(s, c, n);
    /* A tail cut by min-p needs no more candidates; an open one does. */
    if (kept >= 0 || (s->p.min_p > 0 && above < n)) return draw_among(s, c, above);
    return draw_wide(s, r, logits, mass);
}

int32_t sb_sampler_draw(sb_sampler *s, const float *logits, const uint32_t *mask)
{
    return sb_sampler_draw_in(s, s->own, logits, mask);
}

int32_t sb_sampler_draw_in(sb_sampler *s, sb_sampler_room *r, const float *given,
                           const uint32_t *mask)
{
    const float *logits = changed(s, r, given, mask);
    const int32_t best = sb_argmax(logits, s->n_vocab);
    const float max = logits[best];
    if (max == -INFINITY) return sb_argmax(given, s->n_vocab); /* nothing is left */
    if (s->p.temp == 0) return best;
    const bool cut = s->p.top_k > 0 || s->p.top_p < 1 || s->p.min_p > 0 ||
                     (s->p.typical_p > 0 && s->p.typical_p < 1);
    return cut ? draw_cut(s, r, logits, max) : draw_any(s, r, logits, max);
}

static int32_t n_listed(const sb_sampler *s)
{
    return s->p.temp == 0 ? 1 : s->p.top_k;
}

int32_t sb_sampler_n_top(const sb_sampler *s, int32_t n_barred)
{
    const int32_t k = n_listed(s), n = k + n_barred;
    return s->history || s->p.n_bias || k < 1 || n >= s->n_vocab || n > SB_TOP_MOST ? 0 : n;
}

int32_t sb_sampler_draw_top(sb_sampler *s, const sb_top *top, const uint32_t *mask)
{
    candidate c[SB_TOP_MOST];
    const int32_t k = n_listed(s);
    int32_t n = 0;
    assert(top->n > 0);
    for (int32_t i = 0; i < top->n && n < k; i++) {
        const int32_t id = top->at[i].id;
        if (mask && !(mask[id / 32] >> id % 32 & 1)) continue;
        c[n++] = (candidate){.logit = top->at[i].logit, .id = id};
    }
    if (n == 0) return top->at[0].id;
    return s->p.temp == 0 ? c[0].id : draw_listed(s, c, n, c[0].logit);
}

double sb_logprob(const float *logits, int32_t n_vocab, int32_t id)
{
    const double max = logits[sb_argmax(logits, n_vocab)];
    return (double)logits[id] - max - log(mass_of(logits, n_vocab, max));
}

void sb_top_logprobs(const float *logits, int32_t n_vocab, int32_t n, int32_t *ids,
                     double *logprobs)
{
    candidate c[64];
    if (n < 1) return;
    if (n > (int32_t)SB_ARRAY_LEN(c)) n = (int32_t)SB_ARRAY_LEN(c);
    const int32_t found = select_top(c, n, logits, n_vocab);
    const double max = c[0].logit, log_mass = log(mass_of(logits, n_vocab, max));
    for (int32_t i = 0; i < found; i++) {
        ids[i] = c[i].id;
        logprobs[i] = (double)c[i].logit - max - log_mass;
    }
}
