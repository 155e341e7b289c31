/* SPDX-License-Identifier: Apache-2.0
 * footprint.c - options to factors; products to lines and members. */
#include "cli/footprint.h"

#include <time.h>

sb_status sb_footprint_read(sb_footprint *out, const sb_cli *c, sb_error *err)
{
    const char *grid = c->args->v[SB_OPT_grid].s, *tariff = c->args->v[SB_OPT_tariff].s;
    sb_footprint f = {.has_grid = grid != NULL, .has_tariff = tariff != NULL};
    sb_status s = grid ? sb_grid_parse(&f.grid, grid, (int64_t)time(NULL), err) : SB_OK;
    if (s == SB_OK && tariff) s = sb_tariff_parse(&f.tariff, tariff, err);
    if (s == SB_INVALID) *c->usage = true;
    SB_TRY(s);
    if (f.grid.note[0]) sb_term_say("--grid %s", f.grid.note);
    *out = f;
    return SB_OK;
}

void sb_footprint_freshen(sb_footprint *f, const sb_cli *c)
{
    const char *path = c->args->v[SB_OPT_grid].s;
    sb_grid g;
    if (!path || !sb_grid_is_path(path)) return;
    if (sb_grid_parse(&g, path, (int64_t)time(NULL), NULL) != SB_OK) return;
    if (g.why && !f->grid.why) sb_term_say("--grid %s", g.note);
    f->grid = g;
}

void sb_footprint_say(const sb_footprint *f, const sb_energy *e, sb_out *o)
{
    char carbon[SB_FOOTPRINT_BYTES], cost[SB_FOOTPRINT_BYTES];
    const int digits = sb_energy_digits(e);
    if (e->source == SB_ENERGY_UNAVAILABLE) return;
    if (f->has_grid) sb_grid_text(&f->grid, e->energy_uj, digits, carbon, sizeof carbon);
    if (f->has_tariff) sb_tariff_text(&f->tariff, e->energy_uj, digits, cost, sizeof cost);
    if (!o) {
        if (f->has_grid) sb_term_say("carbon: %s", carbon);
        if (f->has_tariff) sb_term_say("cost: %s", cost);
        return;
    }
    if (f->has_grid) {
        sb_out_say(o, "carbon: %s", carbon);
        sb_out_add(o, "\n", 1);
    }
    if (f->has_tariff) {
        sb_out_say(o, "cost: %s", cost);
        sb_out_add(o, "\n", 1);
    }
}

static json_t *grid_object(const sb_grid *g, int64_t uj)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_json_put(o, "ug", json_integer(sb_grid_ug(g, uj)), &ok);
    sb_json_put(o, "g_per_kwh", json_real((double)g->mg_per_kwh / 1e3), &ok);
    sb_json_put(o, "zone", json_string(g->zone), &ok);
    if (g->year > 0) sb_json_put(o, "year", json_integer(g->year), &ok);
    sb_json_put(o, "kind", json_string(sb_grid_kind_name(g->kind)), &ok);
    if (g->kind == SB_GRID_live) sb_json_put(o, "time_s", json_integer(g->time_s), &ok);
    sb_json_put(o, "source", json_string(g->source), &ok);
    if (g->note[0]) sb_json_put(o, "note", json_string(g->note), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static json_t *tariff_object(const sb_tariff *t, int64_t uj)
{
    char amount[40], rate[40];
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_decimal_text(sb_tariff_nano(t, uj), 9, amount, sizeof amount);
    sb_decimal_text(t->nano_per_kwh, 9, rate, sizeof rate);
    sb_json_put(o, "amount", json_string(amount), &ok);
    sb_json_put(o, "amount_nano", json_integer(sb_tariff_nano(t, uj)), &ok);
    sb_json_put(o, "currency", json_string(t->currency), &ok);
    sb_json_put(o, "tariff_per_kwh", json_string(rate), &ok);
    sb_json_put(o, "source", json_string("given by the operator"), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

void sb_footprint_put(const sb_footprint *f, int64_t uj, json_t *object, bool *ok)
{
    if (f->has_grid) sb_json_put(object, "co2e", grid_object(&f->grid, uj), ok);
    if (f->has_tariff) sb_json_put(object, "cost", tariff_object(&f->tariff, uj), ok);
}
