/* SPDX-License-Identifier: Apache-2.0
 * cmd_key.c - `sobre key add|list|revoke`: the server's keys, also while it runs. */
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/french.h"
#include "cli/json_out.h"
#include "store/keyring.h"
#include "store/store.h"

typedef struct listing {
    sb_out *out;
    json_t *all; /* NULL: as a table */
    bool ok;
} listing;

/* "2026-11-26", or "-" for never. */
static void day_of(int64_t ms, char out[16])
{
    const time_t s = (time_t)(ms / 1000);
    struct tm t = {0};
    if (ms <= 0 || !gmtime_r(&s, &t) || strftime(out, 16, "%Y-%m-%d", &t) == 0) memcpy(out, "-", 2);
}

static json_t *json_of(const sb_key *k)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_json_put(o, "id", json_integer(k->id), &ok);
    sb_json_put(o, "name", sb_json_text((sb_str){k->name, strlen(k->name)}), &ok);
    sb_json_put(o, "admin", json_boolean(k->admin), &ok);
    sb_json_put(o, "revoked", json_boolean(k->revoked), &ok);
    sb_json_put(o, "rpm", json_integer(k->rpm), &ok);
    sb_json_put(o, "tpm", json_integer(k->tpm), &ok);
    sb_json_put(o, "concurrent", json_integer(k->concurrent), &ok);
    sb_json_put(o, "priority", json_integer(k->priority), &ok);
    sb_json_put(o, "max_energy_day_j", json_real((double)k->day_uj / 1e6), &ok);
    sb_json_put(o, "max_co2e_day_g", json_real((double)k->day_co2e_ug / 1e6), &ok);
    sb_json_put(o, "max_cost_day", json_real((double)k->day_cost_nano / 1e9), &ok);
    sb_json_put(o, "created_ms", json_integer(k->created_ms), &ok);
    sb_json_put(o, "used_ms", json_integer(k->used_ms), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static sb_status show_key(void *ctx, const sb_key *k, sb_error *err)
{
    listing *l = ctx;
    char made[16], used[16];
    (void)err;
    if (l->all) {
        json_t *o = json_of(k);
        l->ok = l->ok && o && json_array_append_new(l->all, o) == 0;
        return SB_OK;
    }
    day_of(k->created_ms, made);
    day_of(k->used_ms, used);
    sb_out_addf(
        l->out, "%4lld  %-20s  %-7s  rpm %lld  tpm %lld  concurrent %d  priority %d  %s  %s",
        (long long)k->id, k->name,
        k->revoked ? sb_tr("revoked")
        : k->admin ? sb_tr("admin")
                   : "",
        (long long)k->rpm, (long long)k->tpm, (int)k->concurrent, (int)k->priority, made, used);
    if (k->day_uj) sb_out_addf(l->out, "  %g J/d", (double)k->day_uj / 1e6);
    if (k->day_co2e_ug) sb_out_addf(l->out, "  %g gCO2e/d", (double)k->day_co2e_ug / 1e6);
    if (k->day_cost_nano) sb_out_addf(l->out, "  cost %g/d", (double)k->day_cost_nano / 1e9);
    sb_out_add(l->out, "\n", 1);
    return SB_OK;
}

static sb_status list(const sb_cli *c, const char *home, sb_error *err)
{
    sb_db *db = NULL;
    sb_error why = {0};
    const bool json = c->args->v[SB_OPT_json].set;
    listing l = {.out = c->out, .all = json ? json_array() : NULL, .ok = true};
    sb_status s = sb_db_open(&db, home, SB_DB_READ, &why);
    if (s == SB_OK) s = sb_key_list(db, show_key, &l, &why);
    if (s == SB_NOT_FOUND) s = SB_OK; // no data base: no keys
    if (s != SB_OK && err) *err = why;
    if (s == SB_OK && json) s = sb_json_print(c->out, l.ok ? json_incref(l.all) : NULL, err);
    json_decref(l.all);
    sb_db_close(db);
    return s;
}

static sb_status print_new(const sb_cli *c, const sb_key *k, const char *text, sb_error *err)
{
    if (c->args->v[SB_OPT_json].set) {
        json_t *o = json_of(k);
        bool ok = o != NULL;
        sb_json_put(o, "key", json_string(text), &ok);
        if (ok) return sb_json_print(c->out, o, err);
        json_decref(o);
        return SB_FAIL(err, SB_NO_MEMORY, "JSON: no memory");
    }
    sb_out_addf(c->out, "%s\n", text);
    sb_term_say("key '%s' is number %lld; this is the only time it is shown", k->name,
                (long long)k->id);
    return SB_OK;
}

/* Whole parts of a unit; a limit that was asked for is never none. */
static int64_t in_parts(double v, double parts)
{
    const int64_t n = (int64_t)(v * parts);
    return v > 0 && n == 0 ? 1 : n;
}

static sb_status add(const sb_cli *c, sb_db *db, sb_error *err)
{
    const sb_opt_value *v = c->args->v;
    const char *name = c->args->words[1];
    char text[SB_KEY_TEXT_BYTES];
    sb_key k = {.admin = v[SB_OPT_key_admin].set,
                .rpm = v[SB_OPT_key_rpm].i,
                .tpm = v[SB_OPT_key_tpm].i,
                .concurrent = (int32_t)v[SB_OPT_key_concurrent].i,
                .priority = (int32_t)v[SB_OPT_key_priority].i,
                .day_uj = in_parts(v[SB_OPT_key_day_energy].f, 1e6),
                .day_co2e_ug = in_parts(v[SB_OPT_key_day_co2e].f, 1e6),
                .day_cost_nano = in_parts(v[SB_OPT_key_day_cost].f, 1e9)};
    const size_t n = strlen(name);
    if (n >= sizeof k.name)
        return SB_FAIL(err, SB_INVALID, "a key's name has 1 to %d bytes", SB_KEY_NAME_BYTES - 1);
    memcpy(k.name, name, n);
    SB_TRY(sb_key_add(db, &k, text, &k, err));
    const sb_status s = print_new(c, &k, text, err);
    explicit_bzero(text, sizeof text);
    return s;
}

static sb_status revoke(const sb_cli *c, sb_db *db, sb_error *err)
{
    sb_key k;
    SB_TRY(sb_key_revoke(db, c->args->words[1], &k, err));
    if (c->args->v[SB_OPT_json].set) return sb_json_print(c->out, json_of(&k), err);
    sb_term_say("key '%s', number %lld: revoked", k.name, (long long)k.id);
    return SB_OK;
}

sb_status sb_cmd_key(const sb_cli *c, sb_error *err)
{
    sb_store *store = NULL;
    sb_db *db = NULL;
    SB_TRY(sb_store_open(&store, NULL, err));
    const char *home = sb_store_home(store);
    sb_status s = SB_OK;
    if (c->args->verb == SB_VERB_key_list)
        s = list(c, home, err);
    else
        s = sb_db_open(&db, home, SB_DB_VISIT, err);
    if (s == SB_OK && c->args->verb == SB_VERB_key_add) s = add(c, db, err);
    if (s == SB_OK && c->args->verb == SB_VERB_key_revoke) s = revoke(c, db, err);
    sb_db_close(db);
    sb_store_close(store);
    return s;
}
