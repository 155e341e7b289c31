/* SPDX-License-Identifier: Apache-2.0
 * receipts.c - a ring of texts, and what is not settled yet. */
#include "server/receipts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "energy/ledger_log.h"
#include "energy/receipt_key.h"
#include "server/spared.h"

/* Receipts have about 1 200 bytes, and most requests one choice; what is more takes memory of its
 * own. */
enum { ID_BYTES = 64, MODEL_BYTES = 128, TEXT_BYTES = 2048, FEW_CHOICES = 3 };

typedef struct choice {
    uint64_t owner;
    sb_energy energy;
} choice;

/* A request whose last tick is open. */
typedef struct pending {
    char model[MODEL_BYTES];
    int64_t n_in, n_cached, n_out;
    size_t n; /* choices */
    bool has_owners, has_grid;
    sb_grid grid; /* in force at the answer's end */
    choice few[FEW_CHOICES];
    choice *choices; /* few, or on the heap */
} pending;

typedef struct kept {
    int64_t key;
    char id[ID_BYTES];
    const char *text; /* canonical; NULL: there is none */
    pending *p;       /* not settled yet, or NULL */
    char *longer;     /* a text that does not fit here: */
    union {           /* of pages that nobody touched until there was a receipt */
        char text[TEXT_BYTES];
        pending p;
    } here;
} kept;

struct sb_receipts {
    pthread_mutex_t lock;
    sb_receipts_opts o;
    char home[SB_MAX_PATH_BYTES];
    sb_ledger_log *log; /* or NULL */
    sb_receipt_keys *keys;
    bool (*settled)(sb_ledger *l, uint64_t owner, sb_energy *out);
    sb_ledger *ledger;
    uint64_t n; /* so far; the newest is ring[(n - 1) % SB_MAX_RECEIPTS] */
    size_t n_pending;
    atomic_bool searching; /* the log, for an old one */
    atomic_bool failing;   /* the log took no line the last time */
    sb_spared spared;
    kept *ring;
};

/* ---- opening ---- */

static sb_status open_log(sb_receipts *r, sb_error *err)
{
    const sb_ledger_log_opts o = {.home = r->home};
    SB_TRY(sb_ledger_log_open(&r->log, &o, err));
    const sb_status s = sb_ledger_log_start(r->log, r->o.meter, err);
    if (s == SB_OK) return SB_OK;
    sb_ledger_log_close(r->log);
    r->log = NULL;
    return s;
}

sb_status sb_receipts_open(sb_receipts **out, const sb_receipts_opts *o, sb_error *out_note,
                           sb_error *err)
{
    sb_receipts *r = sb_calloc(1, sizeof *r);
    if (r) r->ring = sb_calloc(SB_MAX_RECEIPTS, sizeof *r->ring);
    if (!r || !r->ring) {
        sb_free(r);
        return SB_FAIL(err, SB_NO_MEMORY, "receipts: out of memory");
    }
    (void)pthread_mutex_init(&r->lock, NULL);
    r->o = *o;
    const int n = snprintf(r->home, sizeof r->home, "%s", o->home);
    sb_status s = n < 0 || n >= (int)sizeof r->home
                      ? SB_FAIL(err, SB_LIMIT, "receipts: the home's path is too long")
                      : SB_OK;
    *out_note = (sb_error){0};
    if (s == SB_OK) s = sb_receipt_keys_open(&r->keys, r->home, err);
    if (s == SB_OK && open_log(r, out_note) == SB_NO_MEMORY)
        s = SB_FAIL(err, SB_NO_MEMORY, "receipts: out of memory");
    if (s == SB_OK)
        *out = r;
    else
        sb_receipts_close(r);
    return s;
}

static void forget_pending(sb_receipts *r, kept *k)
{
    if (!k->p) return;
    if (k->p->choices != k->p->few) sb_free(k->p->choices);
    k->p = NULL;
    r->n_pending--;
}

static void clear(sb_receipts *r, kept *k)
{
    forget_pending(r, k);
    sb_free(k->longer);
    k->key = 0;
    k->id[0] = 0;
    k->text = k->longer = NULL;
}

void sb_receipts_close(sb_receipts *r)
{
    if (!r) return;
    for (size_t i = 0; i < r->n && i < SB_MAX_RECEIPTS; i++)
        clear(r, &r->ring[i]);
    sb_ledger_log_close(r->log);
    sb_receipt_keys_close(r->keys);
    (void)pthread_mutex_destroy(&r->lock);
    sb_free(r->ring);
    sb_free(r);
}

const char *sb_receipts_log_dir(const sb_receipts *r)
{
    return r->log ? sb_ledger_log_dir(r->log) : NULL;
}

const char *sb_receipts_key_dir(const sb_receipts *r)
{
    return sb_receipt_keys_dir(r->keys);
}

uint64_t sb_receipts_first_owner(const sb_receipts *r)
{
    return r->log ? sb_ledger_log_last_owner(r->log) : 0;
}

void sb_receipts_set_ledger(sb_receipts *r,
                            bool (*settled)(sb_ledger *l, uint64_t owner, sb_energy *out),
                            sb_ledger *l)
{
    r->settled = settled;
    r->ledger = l;
}

void sb_receipts_on_tick(void *receipts, const sb_tick *t)
{
    sb_receipts *r = receipts;
    sb_error err;
    if (!r->log) return;
    const bool failed = sb_ledger_log_tick(r->log, t, &err) != SB_OK; /* lost: the next tick says */
    if (failed != atomic_exchange(&r->failing, failed) && r->o.on_log)
        r->o.on_log(r->o.ctx, failed ? &err : NULL);
}

/* ---- making a receipt; with the lock held ---- */

static kept *newest(sb_receipts *r, uint64_t i)
{
    return &r->ring[(r->n + SB_MAX_RECEIPTS - 1 - i) % SB_MAX_RECEIPTS];
}

static bool is_settled(const pending *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->has_owners && !p->choices[i].energy.settled) return false;
    return true;
}

static sb_receipt_facts facts_of(const sb_receipts *r, const kept *k)
{
    return (sb_receipt_facts){.id = {k->id, strlen(k->id)},
                              .model = {k->p->model, strlen(k->p->model)},
                              .time_ms = 0,
                              .n_in = k->p->n_in,
                              .n_cached = k->p->n_cached,
                              .n_out = k->p->n_out,
                              .avoided_uj = sb_spared_uj(&r->spared, k->p->model, k->p->n_cached),
                              .marginal = r->o.marginal,
                              .grid = k->p->has_grid ? &k->p->grid : NULL,
                              .tariff = r->o.tariff};
}

static sb_status make(sb_receipts *r, const kept *k, bool settled, json_t **out, sb_error *err)
{
    const pending *p = k->p;
    sb_energy energies[SB_MAX_CHOICES];
    uint64_t owners[SB_MAX_CHOICES];
    for (size_t i = 0; i < p->n; i++) {
        energies[i] = p->choices[i].energy;
        owners[i] = p->choices[i].owner;
    }
    const sb_receipt_facts f = facts_of(r, k);
    sb_energy e = sb_energy_together(energies, p->n);
    e.settled = settled;
    if (!settled || !r->log || e.source == SB_ENERGY_UNAVAILABLE)
        return sb_receipt_new_alone(out, &e, &f, r->keys, err);
    const sb_ledger_receipt x = {.energy = e,
                                 .facts = f,
                                 .owners = owners,
                                 .n_owners = p->has_owners ? p->n : 0,
                                 .key = k->key,
                                 .keys = r->keys};
    if (sb_ledger_log_receipt(r->log, &x, out, err) == SB_OK) return SB_OK;
    return sb_receipt_new_alone(out, &e, &f, r->keys,
                                err); /* the disk is full: it is not in the ledger */
}

/* What this answer's prompt tells of later ones. */
static void learn(sb_receipts *r, const pending *p)
{
    int64_t uj = 0;
    for (size_t i = 0; i < p->n; i++)
        uj = sb_add_capped(uj, p->choices[i].energy.prefill_uj);
    sb_spared_learn(&r->spared, p->model, uj, p->n_in - p->n_cached);
}

static void settle(sb_receipts *r, kept *k)
{
    learn(r, k->p);
    json_t *receipt = NULL;
    sb_buf text;
    sb_buf_init(&text, SB_MAX_RECEIPT_BYTES, "receipt");
    const bool ok =
        make(r, k, true, &receipt, NULL) == SB_OK && sb_canon_add(&text, receipt, NULL) == SB_OK;
    json_decref(receipt);
    forget_pending(r, k);
    if (ok && text.n < sizeof k->here.text)
        k->text = memcpy(k->here.text, text.p, text.n + 1);
    else if (ok)
        k->text = k->longer = sb_strdup_n(text.p, text.n);
    sb_buf_deinit(&text);
    if (!k->text) clear(r, k);
}

/* ---- the ledger and the answers ---- */

void sb_receipts_on_settled(void *receipts, uint64_t owner, const sb_energy *e)
{
    sb_receipts *r = receipts;
    (void)pthread_mutex_lock(&r->lock);
    size_t left = r->n_pending;
    bool found = false;
    for (uint64_t i = 0; left > 0 && !found && i < r->n && i < SB_MAX_RECEIPTS; i++) {
        kept *k = newest(r, i);
        if (!k->p) continue;
        left--;
        for (size_t c = 0; k->p->has_owners && c < k->p->n && !found; c++) {
            choice *x = &k->p->choices[c];
            found = x->owner == owner && !x->energy.settled;
            if (!found) continue;
            const sb_energy was = x->energy;
            x->energy = *e;
            x->energy.settled = true;
            if (r->o.on_settled) r->o.on_settled(r->o.ctx, k->key, k->p->model, &was, &x->energy);
        }
        if (found && is_settled(k->p)) settle(r, k);
    }
    (void)pthread_mutex_unlock(&r->lock);
}

static void copy(char *out, size_t out_bytes, sb_str s)
{
    (void)snprintf(out, out_bytes, "%.*s", (int)(s.n < out_bytes ? s.n : out_bytes - 1), s.p);
}

/* Asks for what was settled between the answer's end and its being noted here. */
static void catch_up(sb_receipts *r, const sb_receipts_answer *a)
{
    for (size_t i = 0; r->settled && a->owners && i < a->n_choices; i++) {
        sb_energy e;
        if (!a->energies[i].settled && r->settled(r->ledger, a->owners[i], &e))
            sb_receipts_on_settled(r, a->owners[i], &e);
    }
}

/* Makes room for an answer in the oldest one's place; NULL: no memory. With the lock held. */
static kept *begin(sb_receipts *r, const sb_receipts_answer *a)
{
    kept *k = newest(r, SB_MAX_RECEIPTS - 1);
    choice *many = NULL;
    if (a->n_choices > FEW_CHOICES) {
        many = sb_calloc(a->n_choices, sizeof *many);
        if (!many) return NULL;
    }
    clear(r, k);
    r->n++;
    r->n_pending++;
    k->key = a->key;
    copy(k->id, sizeof k->id, a->id);
    k->p = &k->here.p;
    *k->p = (pending){.n_in = a->n_in,
                      .n_cached = a->n_cached,
                      .n_out = a->n_out,
                      .n = a->n_choices,
                      .has_owners = a->owners != NULL};
    k->p->choices = many ? many : k->p->few;
    k->p->has_grid = sb_grid_watch_get(r->o.grid, (int64_t)time(NULL), &k->p->grid);
    copy(k->p->model, sizeof k->p->model, a->model);
    for (size_t i = 0; i < a->n_choices; i++)
        k->p->choices[i] = (choice){a->owners ? a->owners[i] : 0, a->energies[i]};
    return k;
}

void sb_receipts_end(sb_receipts *r, const sb_receipts_answer *a)
{
    if (a->n_choices == 0 || a->n_choices > SB_MAX_CHOICES) return;
    (void)pthread_mutex_lock(&r->lock);
    kept *k = begin(r, a);
    const bool settled = k && is_settled(k->p);
    if (settled) settle(r, k);
    (void)pthread_mutex_unlock(&r->lock);
    if (!settled) catch_up(r, a);
    if (r->log) sb_ledger_log_flush(r->log); /* here, where nobody's step waits for the disk */
}

/* ---- asking ---- */

/* "chatcmpl-ID" -> "ID": ids of ours hold neither dash nor line. */
static sb_str bare_id(sb_str id)
{
    size_t from = 0;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] == '-' || id.p[i] == '_') from = i + 1;
    return (sb_str){id.p + from, id.n - from};
}

static kept *find(sb_receipts *r, int64_t key, sb_str id)
{
    for (uint64_t i = 0; i < r->n && i < SB_MAX_RECEIPTS; i++) {
        kept *k = newest(r, i);
        if (k->key == key && (k->text || k->p) && strlen(k->id) == id.n &&
            memcmp(k->id, id.p, id.n) == 0)
            return k;
    }
    return NULL;
}

/* The owners of a request that are not settled; how many. With the lock held. */
static size_t open_owners(const kept *k, uint64_t out[SB_MAX_CHOICES])
{
    size_t n = 0;
    for (size_t i = 0; k && k->p && k->p->has_owners && i < k->p->n; i++)
        if (!k->p->choices[i].energy.settled) out[n++] = k->p->choices[i].owner;
    return n;
}

/* The tick that is open may close now, if somebody asks. */
static void ask_ledger(sb_receipts *r, const uint64_t *owners, size_t n)
{
    for (size_t i = 0; r->settled && i < n; i++) {
        sb_energy e;
        if (r->settled(r->ledger, owners[i], &e)) sb_receipts_on_settled(r, owners[i], &e);
    }
}

size_t sb_receipts_poll(sb_receipts *r)
{
    uint64_t owners[SB_MAX_CHOICES];
    size_t n_open = 0, n = 0;
    (void)pthread_mutex_lock(&r->lock);
    for (uint64_t i = 0; r->n_pending > 0 && n == 0 && i < r->n && i < SB_MAX_RECEIPTS; i++)
        n = open_owners(newest(r, i), owners);
    (void)pthread_mutex_unlock(&r->lock);
    ask_ledger(r, owners, n); /* a tick that closes settles the others as well */
    (void)pthread_mutex_lock(&r->lock);
    n_open = r->n_pending;
    (void)pthread_mutex_unlock(&r->lock);
    return n_open;
}

static sb_status find_here(sb_receipts *r, int64_t key, sb_str id, sb_buf *out, bool *found,
                           sb_error *err)
{
    json_t *receipt = NULL;
    sb_status s = SB_OK;
    (void)pthread_mutex_lock(&r->lock);
    const kept *k = find(r, key, id);
    *found = k != NULL;
    if (k && k->text) s = sb_buf_add(out, k->text, strlen(k->text), err);
    if (k && k->p) {
        s = make(r, k, false, &receipt, err);
        if (s == SB_OK) s = sb_canon_add(out, receipt, err);
        json_decref(receipt);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return s;
}

sb_status sb_receipts_find(sb_receipts *r, int64_t key, sb_str id, sb_buf *out, sb_error *err)
{
    bool found = false;
    uint64_t owners[SB_MAX_CHOICES];
    json_t *receipt = NULL;
    id = bare_id(id);
    if (id.n == 0 || id.n >= ID_BYTES)
        return SB_FAIL(err, SB_NOT_FOUND, "there is no receipt of this id");
    (void)pthread_mutex_lock(&r->lock);
    const size_t n = open_owners(find(r, key, id), owners);
    (void)pthread_mutex_unlock(&r->lock);
    ask_ledger(r, owners, n);
    SB_TRY(find_here(r, key, id, out, &found, err));
    if (found) return SB_OK;
    if (!r->log) return SB_FAIL(err, SB_NOT_FOUND, "there is no receipt of this id");
    if (atomic_exchange(&r->searching, true)) /* never all workers: it may be gigabytes */
        return SB_FAIL(err, SB_BUSY, "an old receipt is being looked for: try again in a second");
    sb_status s = sb_ledger_find_receipt(r->home, id, key, &receipt, err);
    atomic_store(&r->searching, false);
    if (s == SB_OK) s = sb_canon_add(out, receipt, err);
    json_decref(receipt);
    return s;
}

sb_status sb_receipts_keys(sb_receipts *r, sb_buf *out, sb_error *err)
{
    (void)pthread_mutex_lock(&r->lock);
    const sb_status s = sb_receipt_keys_json(r->keys, out, err);
    (void)pthread_mutex_unlock(&r->lock);
    return s;
}
