/* SPDX-License-Identifier: Apache-2.0
 * cmd_list.c - `sobre list`: what is here, what is half here, what can be had.
 *
 * One row is made for each model first, then printed as text or JSON, so the two cannot differ. */
#include <stdio.h>
#include <string.h>

#include "cli/advice.h"
#include "cli/cli.h"
#include "cli/json_out.h"
#include "store/catalog.h"
#include "store/pin.h"
#include "store/store.h"

typedef struct list_row {
    const char *name;
    uint64_t bytes;
    bool exact, here, registered, missing;
    uint64_t partial_bytes;
    bool terms;
    char licence[129], source[SB_PIN_SOURCE_BYTES];
    sb_fit fit;
} list_row;

typedef struct listing {
    sb_store *store;
    sb_store_item *items, *partials;
    size_t n_items, n_partials;
    json_t *all; /* NULL: text */
    sb_out *out;
    bool ok;
} listing;

static void print_text(sb_out *o, const list_row *r)
{
    char size[32];
    (void)snprintf(size, sizeof size, r->exact ? "%.1f" : "~%.0f", (double)r->bytes / 1e6);
    const char *state = r->missing         ? "missing"
                        : r->registered    ? "registered"
                        : r->here          ? "here"
                        : r->partial_bytes ? "partial"
                                           : "not here";
    sb_out_addf(o, "%-24s %9s MB  %-10s %-9s  %s", r->name, size, state, sb_fit_word(r->fit),
                r->licence);
    if (r->missing)
        sb_out_addf(o, ": the file is gone: put it back, pull it, or sobre rm %s", r->name);
    else if (!r->here && r->source[0])
        sb_out_addf(o, ": sobre pull %s%s", r->name, r->terms ? " --accept-license" : "");
    if (r->partial_bytes) sb_out_addf(o, " (%.1f MB came)", (double)r->partial_bytes / 1e6);
    sb_out_add(o, "\n", 1);
}

static void print_row(listing *l, const list_row *r)
{
    if (!l->all) {
        print_text(l->out, r);
        return;
    }
    json_t *j = json_pack("{s:s, s:I, s:b, s:b, s:b, s:b, s:I, s:I, s:s}", "name", r->name, "bytes",
                          (json_int_t)r->bytes, "exact", (int)r->exact, "here", (int)r->here,
                          "registered", (int)r->registered, "missing", (int)r->missing,
                          "partial_bytes", (json_int_t)r->partial_bytes, "memory_bytes",
                          (json_int_t)sb_catalog_memory(r->bytes), "fits", sb_fit_word(r->fit));
    sb_json_put(j, "licence", r->licence[0] ? json_string(r->licence) : json_null(), &l->ok);
    sb_json_put(j, "source", r->source[0] ? json_string(r->source) : json_null(), &l->ok);
    l->ok &= json_array_append_new(l->all, j) == 0;
}

static uint64_t partial_of(const listing *l, const char *name)
{
    for (size_t i = 0; i < l->n_partials; i++)
        if (strcmp(l->partials[i].name, name) == 0) return l->partials[i].bytes;
    return 0;
}

static const sb_store_item *item_of(const listing *l, const char *name)
{
    for (size_t i = 0; i < l->n_items; i++)
        if (strcmp(l->items[i].name, name) == 0) return &l->items[i];
    return NULL;
}

static void take_catalog(list_row *r, const sb_catalog_row *row)
{
    (void)snprintf(r->licence, sizeof r->licence, "%s", row->licence);
    (void)snprintf(r->source, sizeof r->source, "%s",
                   row->source ? row->source : row->parts[0].source);
}

static void add_here(listing *l, const sb_store_item *item)
{
    list_row r = {.name = item->name,
                  .bytes = item->bytes,
                  .exact = true,
                  .here = !item->missing,
                  .registered = item->registered,
                  .missing = item->missing,
                  .partial_bytes = partial_of(l, item->name)};
    sb_pin pin;
    sb_catalog_row row;
    if (sb_pin_read(l->store, item->name, &pin, NULL) == SB_OK) {
        memcpy(r.licence, pin.licence, sizeof r.licence);
        memcpy(r.source, pin.source, sizeof r.source);
        if (item->missing) r.bytes = pin.bytes;
        sb_pin_deinit(&pin);
    } else if (sb_catalog_find(item->name, &row)) {
        take_catalog(&r, &row);
    }
    r.fit = sb_fit_of(sb_catalog_memory(r.bytes));
    print_row(l, &r);
}

static void add_catalog(listing *l, const sb_catalog_row *row)
{
    list_row r = {.name = row->name, .terms = row->terms != NULL};
    if (item_of(l, row->name)) return;
    r.bytes = sb_catalog_bytes(row, &r.exact);
    r.partial_bytes = partial_of(l, row->name);
    r.fit = sb_fit_of(sb_catalog_memory(r.bytes));
    take_catalog(&r, row);
    print_row(l, &r);
}

/* A pull of something that is neither here nor in the catalogue. */
static void add_partial(listing *l, const sb_store_item *item)
{
    sb_catalog_row row;
    const list_row r = {.name = item->name, .partial_bytes = item->bytes};
    if (!item_of(l, item->name) && !sb_catalog_find(item->name, &row)) print_row(l, &r);
}

static sb_status print_larger(const listing *l, sb_error *err)
{
    sb_buf line;
    sb_buf_init(&line, 512, "advice");
    sb_catalog_row row;
    const uint64_t beyond = sb_catalog_find("smollm2-135m", &row) ? row.bytes : 0;
    const sb_status s = sb_advice_larger(beyond, &line, err);
    if (s == SB_OK && line.n) {
        sb_out_say(l->out, "%s", line.p);
        sb_out_add(l->out, "\n", 1);
    }
    sb_buf_deinit(&line);
    return s;
}

static sb_status list_all(listing *l, sb_error *err)
{
    SB_TRY(sb_store_list(l->store, &l->items, &l->n_items, err));
    SB_TRY(sb_store_list_partial(l->store, &l->partials, &l->n_partials, err));
    for (size_t i = 0; i < l->n_items; i++)
        add_here(l, &l->items[i]);
    for (size_t i = 0; i < l->n_partials; i++)
        add_partial(l, &l->partials[i]);
    for (size_t i = 0; i < sb_catalog_n(); i++) {
        const sb_catalog_row row = sb_catalog_get(i);
        add_catalog(l, &row);
    }
    return SB_OK;
}

sb_status sb_cmd_list(const sb_cli *c, sb_error *err)
{
    const sb_opt_value *v = c->args->v;
    listing l = {.out = c->out, .ok = true};
    if (v[SB_OPT_larger].set) return print_larger(&l, err);
    SB_TRY(sb_store_open(&l.store, NULL, err));
    if (v[SB_OPT_json].set) {
        l.all = json_array();
        l.ok = l.all != NULL;
    }
    sb_status s = l.ok ? list_all(&l, err) : SB_OK;
    if (s == SB_OK && v[SB_OPT_json].set) {
        json_t *all = l.ok ? json_incref(l.all) : NULL;
        s = sb_json_print(c->out, all, err);
    }
    json_decref(l.all);
    sb_store_list_free(l.items, l.n_items);
    sb_store_list_free(l.partials, l.n_partials);
    sb_store_close(l.store);
    return s;
}
