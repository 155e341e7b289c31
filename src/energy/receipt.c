/* SPDX-License-Identifier: Apache-2.0
 * receipt.c - an energy and some facts to an object; an object to what it says.
 *
 * A receipt is read as strictly as it is written: whoever shows one that was made elsewhere gets to
 * know what is wrong with it, and nothing of it is believed before. */
#include "energy/receipt.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "energy/receipt_key.h"

static const char format[] = "sobre-receipt-1";

/* ---- several choices ---- */

sb_energy sb_energy_together(const sb_energy *v, size_t n)
{
    sb_energy all = {.source = SB_ENERGY_UNAVAILABLE, .settled = true, .method = ""};
    size_t n_known = 0;
    double concurrency = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i].source == SB_ENERGY_UNAVAILABLE) continue;
        const uint64_t longest_ns = all.duration_ns;
        if (n_known++)
            sb_energy_add(&all, &v[i]);
        else
            all = v[i];
        all.duration_ns = v[i].duration_ns > longest_ns ? v[i].duration_ns : longest_ns;
        concurrency += v[i].concurrency;
    }
    if (n_known) all.concurrency = concurrency / (double)n_known;
    return all;
}

/* ---- building ---- */

static json_t *text(const char *p, size_t n)
{
    return json_stringn(p && n ? p : "", p ? n : 0);
}

static json_t *word(const char *s)
{
    return text(s, s ? strlen(s) : 0);
}

static json_t *pair(int64_t lo, int64_t hi)
{
    return json_pack("[I, I]", (json_int_t)lo, (json_int_t)hi);
}

/* "...; not fans, disks" -> ["fans", "disks"]. */
static json_t *excludes_of(const char *scope)
{
    static const char mark[] = "; not ";
    const char *at = strstr(scope, mark);
    json_t *list = json_array();
    bool ok = list != NULL;
    at = at ? at + sizeof mark - 1 : "";
    while (ok && *at) {
        const size_t n = strcspn(at, ",;");
        ok = json_array_append_new(list, text(at, n)) == 0;
        at += n;
        at += strspn(at, ",; ");
    }
    if (ok) return list;
    json_decref(list);
    return NULL;
}

static json_t *source_of(const sb_energy *e)
{
    const sb_receipt_kind k = sb_receipt_kind_of(e);
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_canon_put(o, "kind", word(sb_receipt_kind_name(k)), &ok);
    sb_canon_put(o, "label", word(sb_receipt_label(k)), &ok);
    sb_canon_put(o, "meter", word(e->meter), &ok);
    sb_canon_put(o, "method", word(e->method), &ok);
    sb_canon_put(o, "scope", word(e->scope), &ok);
    sb_canon_put(o, "excludes", excludes_of(e->scope), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static json_t *parts_of(const sb_energy *e)
{
    const int64_t all = e->energy_uj;
    const int64_t again = e->recompute_uj < all ? e->recompute_uj : all;
    const int64_t prefill = e->prefill_uj < all - again ? e->prefill_uj : all - again;
    return json_pack("{s:I, s:I, s:I}", "prefill", (json_int_t)prefill, "decode",
                     (json_int_t)(all - again - prefill), "recompute", (json_int_t)again);
}

/* 2026-11-27T08:00:00Z */
static json_t *second_of(time_t t)
{
    char s[32] = "";
    struct tm tm = {0};
    if (gmtime_r(&t, &tm) && strftime(s, sizeof s, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) s[0] = 0;
    return json_string(s);
}

static json_t *time_of(int64_t ms)
{
    return second_of(ms ? (time_t)(ms / 1000) : time(NULL));
}

/* A client learns why its operator's file was not used, and not where it lies. */
static json_t *co2e_of(const sb_grid *g, int64_t uj)
{
    char note[96];
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_canon_put(o, "mg", sb_canon_milli(sb_grid_ug(g, uj)), &ok);
    sb_canon_put(o, "g_per_kwh", sb_canon_milli(g->mg_per_kwh), &ok);
    sb_canon_put(o, "zone", word(g->zone), &ok);
    sb_canon_put(o, "year", g->year ? json_integer(g->year) : json_null(), &ok);
    sb_canon_put(o, "kind", word(sb_grid_kind_name(g->kind)), &ok);
    sb_canon_put(o, "source", word(g->source), &ok);
    if (g->kind == SB_GRID_live) sb_canon_put(o, "time", second_of((time_t)g->time_s), &ok);
    sb_grid_why_text(g, note, sizeof note);
    if (note[0]) sb_canon_put(o, "note", json_string(note), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

/* Money is text: an answer costs less than a millionth, and no reader shall round it. */
static json_t *cost_of(const sb_tariff *t, int64_t uj)
{
    char amount[32], per_kwh[32];
    sb_decimal_text(sb_tariff_nano(t, uj), 9, amount, sizeof amount);
    sb_decimal_text(t->nano_per_kwh, 9, per_kwh, sizeof per_kwh);
    return json_pack("{s:s, s:s, s:s}", "amount", amount, "currency", t->currency, "per_kwh",
                     per_kwh);
}

static json_t *wall_of(const sb_energy *e, const sb_wall *w)
{
    const sb_wall_fit *f = &e->wall;
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_canon_put(o, "kind", word(sb_receipt_kind_name(SB_RECEIPT_WALL)), &ok);
    sb_canon_put(o, "label", word(sb_receipt_label(SB_RECEIPT_WALL)), &ok);
    sb_canon_put(o, "basis", word(w->words), &ok);
    sb_canon_put(o, "wall_uj", json_integer(w->uj), &ok);
    sb_canon_put(o, "u95_uj", pair(w->lo_uj, w->hi_uj), &ok);
    sb_canon_put(o, "base_mw", json_integer(f->base_mw), &ok);
    sb_canon_put(o, "slope_permille", json_integer(f->slope_permille), &ok);
    sb_canon_put(o, "loads", json_integer(f->n), &ok);
    sb_canon_put(o, "mean_error_permille", json_integer(f->mape_permille), &ok);
    sb_canon_put(o, "worst_error_permille", json_integer(f->worst_permille), &ok);
    sb_canon_put(o, "share_ns", json_integer((json_int_t)e->share_ns), &ok);
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static void put_energy(json_t *o, const sb_energy *e, const sb_receipt_facts *f, bool *ok)
{
    sb_canon_put(o, "energy_uj", json_integer(e->energy_uj), ok);
    sb_canon_put(o, "estimated_uj", json_integer(f->estimated_uj), ok);
    if (f->avoided_uj > 0) sb_canon_put(o, "avoided_uj", json_integer(f->avoided_uj), ok);
    sb_canon_put(o, "u95_uj", pair(e->lo_uj, e->hi_uj), ok);
    sb_canon_put(o, "split_range_uj", pair(e->split_lo_uj, e->split_hi_uj), ok);
    sb_canon_put(o, "parts", parts_of(e), ok);
    if (f->grid) sb_canon_put(o, "co2e", co2e_of(f->grid, e->energy_uj), ok);
    if (f->tariff) sb_canon_put(o, "cost", cost_of(f->tariff, e->energy_uj), ok);
    const sb_wall w = sb_energy_wall(e);
    if (w.known) sb_canon_put(o, "wall", wall_of(e, &w), ok);
}

sb_status sb_receipt_new(json_t **out, const sb_energy *e, const sb_receipt_facts *f, sb_error *err)
{
    const double most = 1e6; /* of answers at once */
    const double mean = e->concurrency > 0 && e->concurrency < most ? e->concurrency : 0;
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_canon_put(o, "format", json_string(format), &ok);
    sb_canon_put(o, "id", text(f->id.p, f->id.n), &ok);
    sb_canon_put(o, "model", text(f->model.p, f->model.n), &ok);
    sb_canon_put(o, "time", time_of(f->time_ms), &ok);
    sb_canon_put(o, "settled", json_boolean(e->settled), &ok);
    sb_canon_put(o, "source", source_of(e), &ok);
    if (e->source == SB_ENERGY_UNAVAILABLE)
        sb_canon_put(o, "energy_uj", json_null(), &ok);
    else
        put_energy(o, e, f, &ok);
    sb_canon_put(o, "accounting", json_string(f->marginal ? "marginal" : "full"), &ok);
    sb_canon_put(o, "concurrency_mean", sb_canon_milli((int64_t)(mean * 1e3 + 0.5)), &ok);
    sb_canon_put(o, "tokens",
                 json_pack("{s:I, s:I, s:I, s:I}", "in", (json_int_t)f->n_in, "cached",
                           (json_int_t)f->n_cached, "out", (json_int_t)f->n_out, "rejected",
                           (json_int_t)e->n_rejected_tok),
                 &ok);
    if (!ok) {
        json_decref(o);
        return SB_FAIL(err, SB_NO_MEMORY, "receipt: no memory");
    }
    *out = o;
    return SB_OK;
}

/* ---- sealing ---- */

/* The object in canonical spelling without one or two of its members. */
static sb_status bytes_without(const json_t *receipt, const char *one, const char *other,
                               sb_buf *out, sb_error *err)
{
    json_t *o = json_copy((json_t *)(uintptr_t)receipt); // shallow; the original stays as it is
    if (!o) return SB_FAIL(err, SB_NO_MEMORY, "receipt: no memory");
    (void)json_object_del(o, one);
    if (other) (void)json_object_del(o, other);
    const sb_status s = sb_canon_add(out, o, err);
    json_decref(o);
    return s;
}

static sb_status hash_of(const json_t *receipt, char out[SB_HASH_BYTES], sb_error *err)
{
    sb_buf b;
    sb_buf_init(&b, SB_MAX_RECEIPT_BYTES, "receipt");
    sb_status s = bytes_without(receipt, "hash", "sig", &b, err);
    if (s == SB_OK) s = sb_hash_hex(out, &(sb_str){b.p, b.n}, 1, err);
    sb_buf_deinit(&b);
    return s;
}

sb_status sb_receipt_signed_bytes(const json_t *receipt, sb_buf *out, sb_error *err)
{
    return bytes_without(receipt, "sig", NULL, out, err);
}

static sb_status sign(json_t *receipt, sb_receipt_keys *keys, sb_error *err)
{
    char sig[SB_RECEIPT_SIG_BYTES];
    bool ok = true;
    sb_buf b;
    sb_buf_init(&b, SB_MAX_RECEIPT_BYTES, "receipt");
    sb_status s = sb_receipt_signed_bytes(receipt, &b, err);
    if (s == SB_OK) s = sb_receipt_keys_sign(keys, (sb_str){b.p, b.n}, sig, err);
    sb_buf_deinit(&b);
    if (s != SB_OK) return s;
    sb_canon_put(receipt, "sig", json_string(sig), &ok);
    return ok ? SB_OK : SB_FAIL(err, SB_NO_MEMORY, "receipt: no memory");
}

sb_status sb_receipt_seal(json_t *receipt, const char *prev_hash, sb_receipt_keys *keys,
                          sb_error *err)
{
    char hash[SB_HASH_BYTES];
    bool ok = true;
    sb_canon_put(receipt, "prev_hash", json_string(prev_hash), &ok);
    if (keys) sb_canon_put(receipt, "key_id", json_string(sb_receipt_keys_id(keys)), &ok);
    if (!ok) return SB_FAIL(err, SB_NO_MEMORY, "receipt: no memory");
    SB_TRY(hash_of(receipt, hash, err));
    sb_canon_put(receipt, "hash", json_string(hash), &ok);
    if (!ok) return SB_FAIL(err, SB_NO_MEMORY, "receipt: no memory");
    return keys ? sign(receipt, keys, err) : SB_OK;
}

sb_status sb_receipt_new_alone(json_t **out, const sb_energy *e, const sb_receipt_facts *f,
                               sb_receipt_keys *keys, sb_error *err)
{
    sb_receipt_facts facts = *f;
    json_t *receipt = NULL;
    facts.estimated_uj = e->source == SB_ENERGY_ESTIMATED ? e->energy_uj : 0;
    SB_TRY(sb_receipt_new(&receipt, e, &facts, err));
    const sb_status s = e->settled ? sb_receipt_seal(receipt, "", keys, err) : SB_OK;
    if (s == SB_OK)
        *out = receipt;
    else
        json_decref(receipt);
    return s;
}

/* ---- reading ---- */

static const char *text_in(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static bool pair_in(const json_t *o, const char *key, int64_t *lo, int64_t *hi)
{
    const json_t *v = json_object_get(o, key), *a = json_array_get(v, 0), *b = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(a) || !json_is_integer(b)) return false;
    *lo = json_integer_value(a);
    *hi = json_integer_value(b);
    return true;
}

static bool kind_in(const json_t *source, sb_receipt_kind *out)
{
    const char *name = text_in(source, "kind");
    int k = 0;
    while (k < SB_RECEIPT_KIND_COUNT && strcmp(name, sb_receipt_kind_name((sb_receipt_kind)k)) != 0)
        k++;
    *out = (sb_receipt_kind)k;
    return k < SB_RECEIPT_KIND_COUNT;
}

static bool energy_in(const json_t *receipt, sb_receipt_view *v)
{
    const json_t *uj = json_object_get(receipt, "energy_uj");
    v->known = v->kind != SB_RECEIPT_NONE;
    if (!v->known) return json_is_null(uj);
    const json_t *part = json_object_get(receipt, "estimated_uj");
    if (!json_is_integer(uj) || json_integer_value(uj) < 0 || !json_is_integer(part)) return false;
    v->energy_uj = json_integer_value(uj);
    const int64_t estimated = json_integer_value(part);
    return pair_in(receipt, "u95_uj", &v->lo_uj, &v->hi_uj) && estimated >= 0 &&
           estimated <= v->energy_uj && (v->kind != SB_RECEIPT_METER || estimated == 0);
}

static bool whole_in(const json_t *o, const char *key, int64_t most, int64_t *out)
{
    const json_t *v = json_object_get(o, key);
    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= 0 && *out <= most;
}

/* A figure at the wall says only what follows from the energy beside it and the fit within it. */
static bool wall_in(const json_t *receipt, sb_receipt_view *v)
{
    const json_t *o = json_object_get(receipt, "wall");
    int64_t base = 0, slope = 0, loads = 0, mean = 0, worst = 0, ns = 0, uj = 0, lo = 0, hi = 0;
    if (!o) return true;
    if ((v->kind != SB_RECEIPT_METER && v->kind != SB_RECEIPT_CALIBRATED) ||
        !whole_in(o, "base_mw", SB_WALL_MAX_BASE_MW, &base) ||
        !whole_in(o, "slope_permille", SB_WALL_MAX_SLOPE, &slope) ||
        !whole_in(o, "loads", SB_WALL_MAX_LOADS, &loads) ||
        !whole_in(o, "mean_error_permille", SB_WALL_MAX_ERROR, &mean) ||
        !whole_in(o, "worst_error_permille", SB_WALL_MAX_ERROR, &worst) ||
        !whole_in(o, "share_ns", INT64_MAX, &ns) || !whole_in(o, "wall_uj", INT64_MAX, &uj) ||
        !pair_in(o, "u95_uj", &lo, &hi))
        return false;
    const sb_wall_fit f = {(int32_t)base, (uint32_t)slope, (uint32_t)mean, (uint32_t)worst,
                           (int)loads};
    v->wall = sb_wall_apply(&f, v->energy_uj, v->lo_uj, v->hi_uj, (uint64_t)ns);
    return v->wall.known && v->wall.uj == uj && v->wall.lo_uj == lo && v->wall.hi_uj == hi &&
           strcmp(text_in(o, "kind"), sb_receipt_kind_name(SB_RECEIPT_WALL)) == 0 &&
           strcmp(text_in(o, "label"), sb_receipt_label(SB_RECEIPT_WALL)) == 0 &&
           strcmp(text_in(o, "basis"), v->wall.words) == 0;
}

sb_status sb_receipt_check(const json_t *receipt, sb_receipt_view *out, sb_error *err)
{
    char hash[SB_HASH_BYTES];
    const json_t *source = json_object_get(receipt, "source"),
                 *settled = json_object_get(receipt, "settled");
    sb_receipt_view v = {.id = text_in(receipt, "id"),
                         .prev_hash = text_in(receipt, "prev_hash"),
                         .hash = text_in(receipt, "hash"),
                         .key_id = text_in(receipt, "key_id"),
                         .sig = text_in(receipt, "sig"),
                         .settled = json_is_true(settled)};
    if (strcmp(text_in(receipt, "format"), format) != 0 || !json_is_boolean(settled) || !v.id[0])
        return SB_FAIL(err, SB_CORRUPT, "not a receipt of this format (%s)", format);
    if (!kind_in(source, &v.kind))
        return SB_FAIL(err, SB_CORRUPT, "a receipt without a source of its figure");
    if (strcmp(text_in(source, "label"), sb_receipt_label(v.kind)) != 0)
        return SB_FAIL(err, SB_CORRUPT, "a receipt whose label is not that of its source");
    if (!energy_in(receipt, &v))
        return SB_FAIL(err, SB_CORRUPT, "a receipt without its energy and range");
    if (!wall_in(receipt, &v))
        return SB_FAIL(err, SB_CORRUPT,
                       "a receipt whose figure at the wall does not follow from its energy");
    if (v.settled) {
        SB_TRY(hash_of(receipt, hash, err));
        if (strcmp(hash, v.hash) != 0)
            return SB_FAIL(err, SB_CORRUPT, "was changed: its hash is another");
    }
    *out = v;
    return SB_OK;
}

void sb_receipt_text(const sb_receipt_view *v, char *out, size_t out_bytes)
{
    char mid[32], lo[32], hi[32];
    const int n = sb_receipt_digits(v->kind);
    if (!v->known) {
        (void)snprintf(out, out_bytes, "energy not available");
        return;
    }
    sb_energy_amount(mid, sizeof mid, v->energy_uj, n, SB_ROUND_NEAREST);
    sb_energy_amount(lo, sizeof lo, v->lo_uj, n, SB_ROUND_DOWN);
    sb_energy_amount(hi, sizeof hi, v->hi_uj, n, SB_ROUND_UP);
    (void)snprintf(out, out_bytes, "%s%s (%s to %s), %s",
                   v->kind == SB_RECEIPT_METER ? "" : "about ", mid, lo, hi,
                   sb_receipt_label(v->kind));
}
