/* SPDX-License-Identifier: Apache-2.0
 * nfc.c - decompose, order the marks, compose: Unicode's algorithm over the reference's tables.
 *
 * Not a library's: the one at hand knows Unicode 15, the reference's normaliser about 11, and a
 * newer library on another machine would give other ids for the same text; it also orders marks by
 * exchanging neighbours, which a megabyte of them in the wrong order turns into hours. Text is cut
 * before code points that start anew (nearly all), so most of it is only looked at. */
#include "tokenizer/nfc.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <string.h>

typedef struct row {
    uint32_t cp;
    uint8_t mark;     /* combining class; 0: starts a cluster */
    bool keeps;       /* composed text has it, and it joins nothing before it */
    uint32_t part[4]; /* full decomposition, 0 after its end */
} row;

static const row rows[] = {
#define X(cp, mark, keeps, ...) {cp, mark, keeps, __VA_ARGS__},
#include "tokenizer/nfc.def"
#undef X
};

static const uint32_t pairs[][3] = {
#define P(first, second, composed) {first, second, composed},
#include "tokenizer/nfc.def"
#undef P
};

// Hangul syllables are composed by arithmetic (The Unicode Standard, 3.12).
enum { S0 = 0xAC00, L0 = 0x1100, V0 = 0x1161, T0 = 0x11A7, N_L = 19, N_V = 21, N_T = 28 };

enum { MARK_SHIFT = 24, CP_MASK = 0xFFFFFF }; // an element of sb_nfc.v: class and code point

static const row *row_of(uint32_t cp)
{
    if (cp < rows[0].cp) return NULL;
    size_t lo = 0, hi = SB_ARRAY_LEN(rows);
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (rows[mid].cp == cp) return &rows[mid];
        if (rows[mid].cp < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool starts_anew(uint32_t cp)
{
    const row *r = row_of(cp);
    return !r || r->keeps;
}

/* a and b as one, or 0. */
static uint32_t composed(uint32_t a, uint32_t b)
{
    if (a >= L0 && a < L0 + N_L && b >= V0 && b < V0 + N_V)
        return S0 + ((a - L0) * N_V + (b - V0)) * N_T;
    if (a >= S0 && a < S0 + N_L * N_V * N_T && (a - S0) % N_T == 0 && b > T0 && b < T0 + N_T)
        return a + (b - T0);
    size_t lo = 0, hi = SB_ARRAY_LEN(pairs);
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const uint32_t *p = pairs[mid];
        if (p[0] == a && p[1] == b) return p[2];
        if (p[0] < a || (p[0] == a && p[1] < b))
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

void sb_nfc_deinit(sb_nfc *w)
{
    sb_free(w->out);
    sb_free(w->v);
    *w = (sb_nfc){0};
}

static sb_status write_bytes(sb_nfc *w, const char *p, size_t n, sb_error *err)
{
    if (n > w->cap_out - w->n_out) {
        const size_t cap = 2 * w->cap_out + n;
        char *out = sb_realloc(w->out, cap, 1);
        if (!out) return SB_FAIL(err, SB_NO_MEMORY, "text: no memory to compose %zu bytes", cap);
        w->out = out;
        w->cap_out = cap;
    }
    if (n) memcpy(w->out + w->n_out, p, n);
    w->n_out += n;
    return SB_OK;
}

/* Appends cp, decomposed, to the cluster. */
static sb_status decompose(sb_nfc *w, uint32_t cp, sb_error *err)
{
    if (w->cap_v - w->n_v < 4) {
        const size_t cap = 2 * w->cap_v + 64;
        uint32_t *v = sb_realloc(w->v, cap, 2 * sizeof *v);
        if (!v) return SB_FAIL(err, SB_NO_MEMORY, "text: no memory to compose %zu characters", cap);
        w->v = v;
        w->cap_v = cap;
    }
    uint32_t *v = w->v + w->n_v;
    if (cp >= S0 && cp < S0 + N_L * N_V * N_T) {
        const uint32_t s = cp - S0;
        size_t n = 0;
        v[n++] = L0 + s / (N_V * N_T);
        v[n++] = V0 + s % (N_V * N_T) / N_T;
        if (s % N_T) v[n++] = T0 + s % N_T;
        w->n_v += n;
        return SB_OK;
    }
    const row *r = row_of(cp);
    if (!r || r->part[0] == 0) {
        *v = (r ? (uint32_t)r->mark << MARK_SHIFT : 0) | cp;
        w->n_v++;
        return SB_OK;
    }
    for (size_t i = 0; i < 4 && r->part[i]; i++) {
        const row *p = row_of(r->part[i]);
        *v++ = (p ? (uint32_t)p->mark << MARK_SHIFT : 0) | r->part[i];
        w->n_v++;
    }
    return SB_OK;
}

/* Orders the marks v[n] by class; equal ones keep their order. spare holds n. */
static void order(uint32_t *v, uint32_t *spare, size_t n)
{
    enum { FEW = 16 };
    if (n <= FEW) {
        for (size_t i = 1; i < n; i++) {
            const uint32_t x = v[i];
            size_t k = i;
            for (; k > 0 && v[k - 1] >> MARK_SHIFT > x >> MARK_SHIFT; k--)
                v[k] = v[k - 1];
            v[k] = x;
        }
        return;
    }
    size_t start[256] = {0};
    for (size_t i = 0; i < n; i++)
        start[v[i] >> MARK_SHIFT]++;
    for (size_t k = 0, sum = 0; k < 256; k++) {
        const size_t count = start[k];
        start[k] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        spare[start[v[i] >> MARK_SHIFT]++] = v[i];
    memcpy(v, spare, n * sizeof *v);
}

static void order_runs(sb_nfc *w)
{
    for (size_t i = 0, end; i < w->n_v; i = end) {
        end = i + 1;
        if (w->v[i] >> MARK_SHIFT == 0) continue;
        while (end < w->n_v && w->v[end] >> MARK_SHIFT)
            end++;
        order(w->v + i, w->v + w->cap_v, end - i);
    }
}

/* Joins what can be joined to the last code point that starts a cluster: what is not kept from it
 * by a neighbour of the same or a higher class (or by another start). */
static void join(sb_nfc *w)
{
    uint32_t *v = w->v;
    size_t n = 0, first = SIZE_MAX;
    for (size_t i = 0; i < w->n_v; i++) {
        const uint32_t mark = v[i] >> MARK_SHIFT, cp = v[i] & CP_MASK;
        if (first < n) {
            const uint32_t before = n - 1 == first ? 0 : v[n - 1] >> MARK_SHIFT;
            const bool open = n - 1 == first || before < mark;
            const uint32_t one = open ? composed(v[first], cp) : 0;
            if (one) {
                v[first] = one;
                continue;
            }
        }
        if (mark == 0) first = n;
        v[n++] = v[i];
    }
    w->n_v = n;
}

static sb_status compose_cluster(sb_nfc *w, sb_str s, sb_error *err)
{
    w->n_v = 0;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp = 0;
        i += sb_utf8_decode(s.p + i, s.n - i, &cp);
        SB_TRY(decompose(w, cp, err));
    }
    order_runs(w);
    join(w);
    for (size_t i = 0; i < w->n_v; i++) {
        char c[4];
        SB_TRY(write_bytes(w, c, sb_utf8_encode(w->v[i] & CP_MASK, c), err));
    }
    return SB_OK;
}

/* Bytes of the cluster at p: to the next code point that starts anew. *one: it is only one, which
 * composed text has. */
static size_t cluster(const char *p, size_t n, bool *one)
{
    uint32_t cp = 0;
    size_t i = sb_utf8_decode(p, n, &cp);
    *one = starts_anew(cp);
    while (i < n) {
        const size_t len = sb_utf8_decode(p + i, n - i, &cp);
        if (starts_anew(cp)) break;
        *one = false;
        i += len;
    }
    return i;
}

sb_status sb_nfc_compose(sb_nfc *w, sb_str *text, sb_error *err)
{
    w->n_out = 0;
    size_t done = 0; // bytes of the text that are written
    bool one;
    for (size_t i = 0, n; i < text->n; i += n) {
        n = cluster(text->p + i, text->n - i, &one);
        if (one) continue;
        SB_TRY(write_bytes(w, text->p + done, i - done, err));
        SB_TRY(compose_cluster(w, (sb_str){text->p + i, n}, err));
        done = i + n;
    }
    if (done == 0) return SB_OK;
    SB_TRY(write_bytes(w, text->p + done, text->n - done, err));
    *text = (sb_str){w->out, w->n_out};
    return SB_OK;
}
