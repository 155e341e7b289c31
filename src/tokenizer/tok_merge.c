/* SPDX-License-Identifier: Apache-2.0
 * tok_merge.c - merges the symbols of one piece until no merge is left.
 *
 * Symbols are a linked list over the bytes of the piece; a heap holds the merges that are possible
 * now, best first. A popped entry is stale, and skipped, when the two symbols it speaks of are no
 * longer exactly its bytes: boundaries only vanish, so comparing the length is enough. Rescanning
 * for the best pair would be shorter and quadratic: one megabyte of one letter must not take
 * hours. */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "tokenizer/internal.h"

#include <string.h>

void sb_tok_work_deinit(sb_tok_work *w)
{
    sb_free(w->symbols);
    sb_free(w->heap);
    sb_free(w->copy);
    sb_nfc_deinit(&w->nfc);
    *w = (sb_tok_work){0};
}

static sb_status reserve(sb_tok_work *w, size_t n, sb_error *err)
{
    if (n > SB_MAX_PIECE_BYTES)
        return SB_FAIL(err, SB_LIMIT, "text: an unbroken run of %zu bytes (at most %d)", n,
                       SB_MAX_PIECE_BYTES);
    if (n < w->cap_symbols) return SB_OK; // one more for the end
    const size_t cap = n < 512 ? 1024 : n * 2;
    sb_free(w->symbols);
    sb_free(w->heap);
    w->cap_symbols = 0;
    w->symbols = sb_alloc(cap, sizeof *w->symbols);
    w->heap = sb_alloc(cap, 2 * sizeof *w->heap);
    if (!w->symbols || !w->heap)
        return SB_FAIL(err, SB_NO_MEMORY, "text: no memory to merge %zu bytes", n);
    w->cap_symbols = cap;
    return SB_OK;
}

/* Fills the list with one symbol per byte (bpe) or character (spm); returns how many. The symbol
 * after the last only says where the piece ends. */
static uint32_t split_symbols(const sb_tokenizer *t, sb_tok_symbol *v, sb_str piece)
{
    uint32_t n = 0;
    for (size_t i = 0; i < piece.n; n++) {
        size_t len = 1;
        uint32_t cp;
        if (t->spm) len = sb_utf8_decode(piece.p + i, piece.n - i, &cp);
        if (len == 0) len = 1; // not reached on valid UTF-8
        const int32_t id =
            t->spm ? sb_tok_table_find(t, piece.p + i, len) : t->byte_id[(uint8_t)piece.p[i]];
        v[n] = (sb_tok_symbol){(uint32_t)i, n - 1, n + 1, id};
        i += len;
    }
    v[n] = (sb_tok_symbol){(uint32_t)piece.n, n - 1, n, -1};
    return n;
}

/* The merge of symbol left with its neighbour, if there is one. */
static bool pair_at(const sb_tokenizer *t, const sb_tok_symbol *v, const char *p, uint32_t left,
                    sb_tok_pair *out)
{
    const sb_tok_symbol *a = &v[left], *b = &v[a->next];
    if (a->id < 0 || b->id < 0) return false;
    const uint32_t left_n = b->start - a->start;
    const int32_t id = sb_tok_table_find(t, p + a->start, v[b->next].start - a->start);
    if (id < 0) return false;
    if (t->scored) { // by score; of two ways to one piece the reference takes the longer left part
        *out = (sb_tok_pair){(uint64_t)t->prio[id] << 16 | (UINT16_MAX - left_n), left, id};
        return true;
    }
    int32_t i = t->first_merge[id];
    while (i >= 0 && t->left_bytes[i] != left_n)
        i = t->next_merge[i];
    *out = (sb_tok_pair){(uint64_t)i, left, id};
    return i >= 0;
}

static bool before(const sb_tok_pair *a, const sb_tok_pair *b)
{
    return a->key != b->key ? a->key < b->key : a->left < b->left;
}

/* The heap has four children to a node: half the depth, and the four are compared in one or two
 * lines of cache, which is what a pop of a large heap waits for (12 % of a megabyte of one
 * letter). */
static void sift_down(sb_tok_pair *h, size_t n, size_t i)
{
    const sb_tok_pair x = h[i];
    for (size_t c = 4 * i + 1; c < n; c = 4 * i + 1) {
        const size_t end = c + 4 < n ? c + 4 : n;
        size_t best = c;
        for (size_t k = c + 1; k < end; k++)
            if (before(&h[k], &h[best])) best = k;
        if (!before(&h[best], &x)) break;
        h[i] = h[best];
        i = best;
    }
    h[i] = x;
}

static void push(sb_tok_work *w, sb_tok_pair x)
{
    size_t i = w->n_heap++;
    for (; i > 0 && before(&x, &w->heap[(i - 1) / 4]); i = (i - 1) / 4)
        w->heap[i] = w->heap[(i - 1) / 4];
    w->heap[i] = x;
}

/* Joins x.left with its neighbour and offers the two merges this makes possible. A merge takes one
 * entry and adds at most two, and there are fewer merges than symbols: 2 * cap_symbols is room. */
static void merge(const sb_tokenizer *t, sb_tok_work *w, const char *p, sb_tok_pair x)
{
    sb_tok_symbol *v = w->symbols, *a = &v[x.left];
    const uint32_t gone = a->next;
    a->id = x.id;
    a->next = v[gone].next;
    v[a->next].prev = x.left;
    v[gone].id = -1;
    sb_tok_pair y;
    if (pair_at(t, v, p, x.left, &y)) push(w, y);
    if (x.left > 0 && pair_at(t, v, p, a->prev, &y)) push(w, y);
}

static void merge_all(const sb_tokenizer *t, sb_tok_work *w, const char *p, uint32_t n)
{
    sb_tok_symbol *v = w->symbols;
    w->n_heap = 0;
    for (uint32_t i = 0; i + 1 < n; i++)
        if (pair_at(t, v, p, i, &w->heap[w->n_heap])) w->n_heap++;
    for (size_t i = (w->n_heap + 2) / 4; i-- > 0;) // nodes with children
        sift_down(w->heap, w->n_heap, i);
    while (w->n_heap > 0) {
        const sb_tok_pair x = w->heap[0];
        w->heap[0] = w->heap[--w->n_heap];
        sift_down(w->heap, w->n_heap, 0);
        const sb_tok_symbol *a = &v[x.left];
        const uint32_t len = t->off[x.id + 1] - t->off[x.id];
        if (a->id >= 0 && v[v[a->next].next].start - a->start == len) merge(t, w, p, x);
    }
}

/* Bytes no token holds: byte tokens where the model has them, else its unknown token. */
static sb_status add_bytes(const sb_tokenizer *t, const char *p, size_t n, sb_ids *out,
                           sb_error *err)
{
    if (t->byte_id[0] < 0) { // one unknown token for a run of such bytes, as the reference has it
        const bool again = out->n > 0 && out->v[out->n - 1] == t->unk;
        return t->unk < 0 || again ? SB_OK : sb_ids_add(out, t->unk, err);
    }
    for (size_t i = 0; i < n; i++)
        SB_TRY(sb_ids_add(out, t->byte_id[(uint8_t)p[i]], err));
    return SB_OK;
}

sb_status sb_tok_merge(const sb_tokenizer *t, sb_tok_work *w, sb_str piece, sb_ids *out,
                       sb_error *err)
{
    SB_TRY(reserve(w, piece.n, err));
    const uint32_t n = split_symbols(t, w->symbols, piece);
    merge_all(t, w, piece.p, n);
    const sb_tok_symbol *v = w->symbols;
    for (uint32_t i = 0; i < n; i = v[i].next) {
        if (v[i].id >= 0)
            SB_TRY(sb_ids_add(out, v[i].id, err));
        else
            SB_TRY(add_bytes(t, piece.p + v[i].start, v[v[i].next].start - v[i].start, out, err));
    }
    return SB_OK;
}
