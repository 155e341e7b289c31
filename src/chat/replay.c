/* SPDX-License-Identifier: Apache-2.0
 * replay.c - a table by hash of the text, and a list by last use. */
#include "chat/replay.h"

#include "base/alloc.h"

#include <pthread.h>
#include <string.h>

enum { N_BUCKETS = 4096 };

typedef struct entry {
    struct entry *next;          /* in its bucket */
    struct entry *older, *newer; /* by last use */
    uint64_t scope, hash;
    sb_rendered whole; /* prompt and answer; the answer is content */
    size_t answer_at;  /* byte where the answer begins */
    int32_t *ids;      /* [n_ids] of prompt and answer */
    size_t n_ids;
    sb_tool_call *calls; /* [n_calls] */
    size_t n_calls;
    char *content; /* the answer without its calls */
    size_t n_content, bytes;
} entry;

struct sb_replay {
    pthread_mutex_t lock;
    size_t bytes, max_bytes;
    entry *oldest, *newest;
    entry *bucket[N_BUCKETS];
};

sb_status sb_replay_new(sb_replay **out, size_t max_bytes, sb_error *err)
{
    sb_replay *r = sb_calloc(1, sizeof *r);
    if (!r) return SB_FAIL(err, SB_NO_MEMORY, "replay: out of memory");
    (void)pthread_mutex_init(&r->lock, NULL);
    r->max_bytes = max_bytes;
    *out = r;
    return SB_OK;
}

static void free_entry(entry *e)
{
    if (!e) return;
    for (size_t i = 0; e->calls && i < e->n_calls; i++) {
        sb_free((char *)e->calls[i].id.p);
        sb_free((char *)e->calls[i].name.p);
        sb_free((char *)e->calls[i].arguments.p);
    }
    sb_free(e->calls);
    sb_free(e->content);
    sb_free(e->ids);
    sb_free(e->whole.segments);
    sb_free(e->whole.text);
    sb_free(e);
}

static void unlink_use(sb_replay *r, entry *e)
{
    *(e->older ? &e->older->newer : &r->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &r->newest) = e->older;
    e->older = e->newer = NULL;
}

static void link_newest(sb_replay *r, entry *e)
{
    e->older = r->newest;
    *(r->newest ? &r->newest->newer : &r->oldest) = e;
    r->newest = e;
}

static void drop(sb_replay *r, entry *e)
{
    entry **at = &r->bucket[e->hash % N_BUCKETS];
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    unlink_use(r, e);
    r->bytes -= e->bytes;
    free_entry(e);
}

void sb_replay_forget(sb_replay *r, uint64_t scope)
{
    (void)pthread_mutex_lock(&r->lock);
    for (entry *e = r->oldest, *next; e; e = next) {
        next = e->newer;
        if (!scope || e->scope == scope) drop(r, e);
    }
    (void)pthread_mutex_unlock(&r->lock);
}

void sb_replay_free(sb_replay *r)
{
    if (!r) return;
    sb_replay_forget(r, 0);
    (void)pthread_mutex_destroy(&r->lock);
    sb_free(r);
}

/* FNV-1a, carried on from h. */
static uint64_t hash_on(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    return h;
}

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

static bool copy(sb_str *to, sb_str from)
{
    to->p = sb_strdup_n(from.n ? from.p : "", from.n);
    to->n = to->p ? from.n : 0;
    return to->p != NULL;
}

static bool copy_calls(entry *e, const sb_turn *t)
{
    e->calls = sb_calloc(t->n_calls, sizeof *e->calls);
    bool ok = e->calls != NULL;
    for (; ok && e->n_calls < t->n_calls; e->n_calls++) {
        sb_tool_call *c = &e->calls[e->n_calls];
        const sb_tool_call *from = &t->calls[e->n_calls];
        ok = copy(&c->id, from->id);
        ok = copy(&c->name, from->name) && ok;
        ok = copy(&c->arguments, from->arguments) && ok;
    }
    e->n_content = t->content.n;
    e->content = sb_strdup_n(t->content.n ? t->content.p : "", t->content.n);
    return ok && e->content;
}

/* Prompt and answer as one rendered text. */
static bool join(entry *e, const sb_rendered *p, const sb_turn *t)
{
    sb_rendered *w = &e->whole;
    w->bytes = p->bytes + t->text.n;
    w->text = sb_alloc(w->bytes + 1, 1);
    w->segments = sb_alloc(p->n_segments + 1, sizeof *w->segments);
    if (!w->text || !w->segments) return false;
    if (p->bytes) memcpy(w->text, p->text, p->bytes);
    memcpy(w->text + p->bytes, t->text.p, t->text.n);
    w->text[w->bytes] = 0;
    w->n_segments = p->n_segments;
    if (p->n_segments) memcpy(w->segments, p->segments, p->n_segments * sizeof *w->segments);
    if (w->n_segments && w->segments[w->n_segments - 1].from_content)
        w->segments[w->n_segments - 1].bytes += t->text.n;
    else
        w->segments[w->n_segments++] =
            (sb_segment){.offset = p->bytes, .bytes = t->text.n, .from_content = true};
    e->answer_at = p->bytes;
    return true;
}

static entry *make(uint64_t scope, const sb_rendered *p, const sb_turn *t)
{
    entry *e = sb_calloc(1, sizeof *e);
    if (!e) return NULL;
    e->scope = scope;
    e->n_ids = t->prompt_ids.n + t->ids.n;
    e->ids = sb_alloc(e->n_ids, sizeof *e->ids);
    if (!join(e, p, t) || !e->ids || !copy_calls(e, t)) {
        free_entry(e);
        return NULL;
    }
    memcpy(e->ids, t->prompt_ids.v, t->prompt_ids.n * sizeof *e->ids);
    memcpy(e->ids + t->prompt_ids.n, t->ids.v, t->ids.n * sizeof *e->ids);
    e->hash = hash_on(HASH_BEGIN, e->whole.text, e->whole.bytes);
    e->bytes = sizeof *e + e->whole.bytes + e->whole.n_segments * sizeof *e->whole.segments +
               e->n_ids * sizeof *e->ids + e->n_content;
    for (size_t i = 0; i < e->n_calls; i++)
        e->bytes += sizeof *e->calls + e->calls[i].arguments.n + e->calls[i].name.n;
    return e;
}

/* True when the prompt begins with the entry, byte for byte and origin for origin, and a segment of
 * the prompt ends where the entry does. */
static bool begins_with(const sb_rendered *p, const entry *e)
{
    const sb_rendered *w = &e->whole;
    if (w->bytes > p->bytes || w->n_segments > p->n_segments) return false;
    for (size_t i = 0; i < w->n_segments; i++)
        if (w->segments[i].bytes != p->segments[i].bytes ||
            w->segments[i].from_content != p->segments[i].from_content)
            return false;
    return memcmp(w->text, p->text, w->bytes) == 0;
}

static entry *find(const sb_replay *r, uint64_t scope, uint64_t hash, const sb_rendered *p,
                   size_t bytes)
{
    entry *e = r->bucket[hash % N_BUCKETS];
    while (e &&
           (e->hash != hash || e->scope != scope || e->whole.bytes != bytes || !begins_with(p, e)))
        e = e->next;
    return e;
}

void sb_replay_keep(sb_replay *r, uint64_t scope, const sb_rendered *prompt, const sb_turn *t)
{
    entry *e = t->text.n ? make(scope, prompt, t) : NULL;
    if (!e) return;
    (void)pthread_mutex_lock(&r->lock);
    entry *same = find(r, scope, e->hash, &e->whole, e->whole.bytes);
    if (same) drop(r, same);
    if (e->bytes <= r->max_bytes) {
        while (r->bytes + e->bytes > r->max_bytes)
            drop(r, r->oldest);
        r->bytes += e->bytes;
        e->next = r->bucket[e->hash % N_BUCKETS];
        r->bucket[e->hash % N_BUCKETS] = e;
        link_newest(r, e);
        e = NULL;
    }
    (void)pthread_mutex_unlock(&r->lock);
    free_entry(e);
}

sb_status sb_replay_find(sb_replay *r, uint64_t scope, const sb_rendered *prompt, sb_ids *out,
                         size_t *out_at, sb_error *err)
{
    sb_status s = SB_OK;
    entry *best = NULL;
    uint64_t hash = HASH_BEGIN;
    *out_at = 0;
    (void)pthread_mutex_lock(&r->lock);
    for (size_t i = 0; r->oldest && i < prompt->n_segments; i++) {
        const sb_segment *g = &prompt->segments[i];
        hash = hash_on(hash, prompt->text + g->offset, g->bytes);
        entry *e = g->from_content ? find(r, scope, hash, prompt, g->offset + g->bytes) : NULL;
        if (e) best = e;
    }
    if (best) {
        s = sb_ids_reserve(out, best->n_ids, err);
        for (size_t i = 0; s == SB_OK && i < best->n_ids; i++)
            s = sb_ids_add(out, best->ids[i], err);
        if (s == SB_OK) *out_at = best->whole.bytes;
        unlink_use(r, best);
        link_newest(r, best);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return s;
}

/* ---- tool calls in a client's own spelling ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next byte of JSON that counts, blanks outside of strings passed over; -1 at the end. */
static int next_byte(sb_str s, size_t *at, bool *in_text)
{
    while (*at < s.n && !*in_text && is_space(s.p[*at]))
        ++*at;
    if (*at == s.n) return -1;
    const char c = s.p[(*at)++];
    if (c == '"') *in_text = !*in_text;
    return (unsigned char)c;
}

/* The same JSON, but for blanks. */
static bool same_json(sb_str a, sb_str b)
{
    size_t i = 0, k = 0;
    bool in_a = false, in_b = false;
    for (;;) {
        const int x = next_byte(a, &i, &in_a), y = next_byte(b, &k, &in_b);
        if (x != y) return false;
        if (x < 0) return true;
        if (x != '\\') continue;
        if (i == a.n || k == b.n || a.p[i] != b.p[k]) return false;
        i++, k++; /* an escaped quote ends nothing */
    }
}

static bool same_text(sb_str a, sb_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static sb_str trim(sb_str s)
{
    while (s.n && is_space(s.p[0]))
        s.p++, s.n--;
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool is_same_answer(const entry *e, const sb_message *m)
{
    const sb_str content = {e->content, e->n_content};
    if (e->n_calls != m->n_calls || m->n_parts || !same_text(trim(content), trim(m->content)))
        return false;
    for (size_t i = 0; i < e->n_calls; i++)
        if (!same_text(e->calls[i].id, m->calls[i].id) ||
            !same_text(e->calls[i].name, m->calls[i].name) ||
            !same_json(e->calls[i].arguments, m->calls[i].arguments))
            return false;
    return true;
}

sb_str sb_replay_text(sb_replay *r, uint64_t scope, const sb_message *m)
{
    sb_str out = {NULL, 0};
    (void)pthread_mutex_lock(&r->lock);
    for (const entry *e = r->newest; e && m->n_calls && !out.p; e = e->older) {
        if (e->scope != scope || !is_same_answer(e, m)) continue;
        (void)copy(&out, (sb_str){e->whole.text + e->answer_at, e->whole.bytes - e->answer_at});
    }
    (void)pthread_mutex_unlock(&r->lock);
    return out;
}
