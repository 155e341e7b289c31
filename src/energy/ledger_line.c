/* SPDX-License-Identifier: Apache-2.0
 * ledger_line.c - lines of the ledger to bytes and back.
 *
 * Ticks come often and are written straight, names in their order; a receipt is a tree anyway. What
 * is read is checked to the last member: the hash tells that nobody changed a line, not that it was
 * ever right. */
#include "energy/ledger_line.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"

static const char *const kinds[SB_LEDGER_KIND_COUNT] = {
    [SB_LEDGER_OPEN] = "open", [SB_LEDGER_TICK] = "tick", [SB_LEDGER_RECEIPT] = "receipt"};

static const char format[] = "sobre-ledger-1";

/* ---- writing ---- */

static sb_status add_raw(sb_buf *out, const sb_ledger_base *b, sb_error *err)
{
    SB_TRY(sb_buf_addf(out, err, "\"raw\":["));
    for (int i = 0; i < b->n; i++) {
        const sb_meter_raw_row *r = &b->rows[i];
        SB_TRY(sb_buf_addf(out, err, i ? ",[" : "["));
        SB_TRY(sb_canon_text(out, r->name, strnlen(r->name, sizeof r->name), err));
        SB_TRY(sb_buf_addf(out, err, ",%llu,%llu]", (unsigned long long)r->raw_uj,
                           (unsigned long long)r->range_uj));
    }
    return sb_buf_addf(out, err, "],");
}

static sb_status add_open(sb_buf *out, const sb_ledger_line *l, size_t *out_hash_at, sb_error *err)
{
    char gap[24] = "null";
    if (l->gap_known) (void)snprintf(gap, sizeof gap, "%lld", (long long)l->gap_uj);
    SB_TRY(sb_buf_addf(out, err,
                       "{\"boot\":\"%s\",\"format\":\"%s\",\"gap_ns\":%lld,\"gap_uj\":%s,",
                       l->base.boot, format, (long long)l->gap_ns, gap));
    *out_hash_at = out->n;
    SB_TRY(sb_buf_addf(out, err,
                       "\"kind\":\"open\",\"last_owner\":%lld,\"mono_ns\":%lld,\"prev\":\"%s\",",
                       (long long)l->last_owner, (long long)l->base.mono_ns, l->prev));
    SB_TRY(add_raw(out, &l->base, err));
    return sb_buf_addf(out, err, "\"sum_uj\":%lld,\"time_ms\":%lld}", (long long)l->sum_uj,
                       (long long)l->time_ms);
}

static sb_status add_tick(sb_buf *out, const sb_ledger_line *l, const sb_tick *t,
                          size_t *out_hash_at, sb_error *err)
{
    SB_TRY(sb_buf_addf(
        out, err, "{\"begin_ns\":%lld,\"boot\":\"%s\",\"end_ns\":%lld,\"gap_uj\":%lld,",
        (long long)l->begin_ns, l->base.boot, (long long)l->base.mono_ns, (long long)l->gap_uj));
    *out_hash_at = out->n;
    SB_TRY(sb_buf_addf(out, err,
                       "\"idle_uj\":%lld,\"kind\":\"tick\",\"last_owner\":%lld,\"lost_ns\":%lld,"
                       "\"lost_uj\":%lld,\"meter_uj\":%lld,\"other_uj\":%lld,\"parts\":[",
                       (long long)l->idle_uj, (long long)l->last_owner, (long long)l->lost_ns,
                       (long long)l->lost_uj, (long long)l->meter_uj, (long long)l->other_uj));
    for (size_t i = 0; i < t->n_part; i++)
        SB_TRY(sb_buf_addf(out, err, "%s[%llu,%lld]", i ? "," : "",
                           (unsigned long long)t->parts[i].owner, (long long)t->parts[i].uj));
    SB_TRY(sb_buf_addf(out, err, "],\"prev\":\"%s\",", l->prev));
    SB_TRY(add_raw(out, &l->base, err));
    return sb_buf_addf(
        out, err, "\"source\":\"%s\",\"sum_uj\":%lld,\"system_uj\":%lld,\"time_ms\":%lld}",
        sb_energy_source_name(l->measured ? SB_ENERGY_MEASURED : SB_ENERGY_ESTIMATED),
        (long long)l->sum_uj, (long long)l->system_uj, (long long)l->time_ms);
}

static sb_status add_receipt(sb_buf *out, const sb_ledger_line *l, size_t *out_hash_at,
                             sb_error *err)
{
    SB_TRY(sb_buf_addf(out, err, "{\"beside_uj\":%lld,\"estimated_uj\":%lld,",
                       (long long)l->beside_uj, (long long)l->estimated_uj));
    *out_hash_at = out->n;
    SB_TRY(sb_buf_addf(out, err,
                       "\"key\":%lld,\"kind\":\"receipt\",\"last_owner\":%lld,\"owners\":",
                       (long long)l->key, (long long)l->last_owner));
    SB_TRY(sb_canon_add(out, l->owners, err));
    SB_TRY(sb_buf_addf(out, err, ",\"parts_uj\":%lld,\"prev\":\"%s\",\"receipt\":",
                       (long long)l->parts_uj, l->prev));
    SB_TRY(sb_canon_add(out, l->receipt, err));
    return sb_buf_addf(out, err, ",\"time_ms\":%lld}", (long long)l->time_ms);
}

enum { HASH_MEMBER = 8 + SB_HASH_BYTES - 1 + 2 }; /* "hash":"...", */

sb_status sb_ledger_line_write(sb_buf *out, sb_ledger_line *l, const sb_tick *t, sb_error *err)
{
    size_t at = 0;
    char member[HASH_MEMBER + 1];
    sb_buf_clear(out);
    SB_TRY(l->kind == SB_LEDGER_OPEN   ? add_open(out, l, &at, err)
           : l->kind == SB_LEDGER_TICK ? add_tick(out, l, t, &at, err)
                                       : add_receipt(out, l, &at, err));
    SB_TRY(sb_hash_hex(l->hash, &(sb_str){out->p, out->n}, 1, err));
    (void)snprintf(member, sizeof member, "\"hash\":\"%s\",", l->hash);
    SB_TRY(sb_buf_add(out, member, HASH_MEMBER, err)); /* room first, then into its place */
    memmove(out->p + at + HASH_MEMBER, out->p + at, out->n - HASH_MEMBER - at);
    memcpy(out->p + at, member, HASH_MEMBER);
    return sb_buf_add(out, "\n", 1, err);
}

/* ---- reading ---- */

static sb_status wrong(const char *what, sb_error *err)
{
    return SB_FAIL(err, SB_CORRUPT, "%s", what);
}

/* A whole number that is not negative. */
static bool count_of(const json_t *o, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0) return false;
    *out = json_integer_value(v);
    return true;
}

static bool hash_of(const json_t *o, const char *key, char out[SB_HASH_BYTES])
{
    const json_t *v = json_object_get(o, key);
    const size_t n = json_is_string(v) ? json_string_length(v) : 0;
    if (!sb_hash_is(n ? json_string_value(v) : "", n)) return false;
    memcpy(out, json_string_value(v), n + 1);
    return true;
}

static bool text_of(const json_t *v, char *out, size_t out_bytes)
{
    const size_t n = json_is_string(v) ? json_string_length(v) : out_bytes;
    if (n >= out_bytes) return false;
    memcpy(out, json_string_value(v), n + 1);
    return true;
}

static bool read_raw(const json_t *root, sb_ledger_base *b)
{
    const json_t *raw = json_object_get(root, "raw");
    if (!json_is_array(raw) || json_array_size(raw) > SB_METER_MAX_ZONES) return false;
    for (size_t i = 0; i < json_array_size(raw); i++) {
        const json_t *row = json_array_get(raw, i), *v = json_array_get(row, 1),
                     *range = json_array_get(row, 2);
        sb_meter_raw_row *r = &b->rows[i];
        if (!json_is_array(row) || json_array_size(row) != 3 ||
            !text_of(json_array_get(row, 0), r->name, sizeof r->name) || !json_is_integer(v) ||
            json_integer_value(v) < 0 || !json_is_integer(range) || json_integer_value(range) < 0)
            return false;
        r->raw_uj = (uint64_t)json_integer_value(v);
        r->range_uj = (uint64_t)json_integer_value(range);
    }
    b->n = (int)json_array_size(raw);
    return text_of(json_object_get(root, "boot"), b->boot, sizeof b->boot);
}

static sb_status read_open(sb_ledger_line *l, sb_error *err)
{
    char text[sizeof format];
    const json_t *gap = json_object_get(l->root, "gap_uj");
    if (!text_of(json_object_get(l->root, "format"), text, sizeof text) ||
        strcmp(text, format) != 0)
        return wrong("of another format", err);
    l->gap_known = !json_is_null(gap);
    if (!read_raw(l->root, &l->base) || !count_of(l->root, "mono_ns", &l->base.mono_ns) ||
        !count_of(l->root, "sum_uj", &l->sum_uj) || !count_of(l->root, "gap_ns", &l->gap_ns) ||
        (l->gap_known && !count_of(l->root, "gap_uj", &l->gap_uj)))
        return wrong("a start without its counters", err);
    return SB_OK;
}

/* [[owner, uj], ...] */
static bool parts_are_whole(const json_t *parts)
{
    if (!json_is_array(parts)) return false;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *p = json_array_get(parts, i);
        const json_t *owner = json_array_get(p, 0), *uj = json_array_get(p, 1);
        if (!json_is_array(p) || json_array_size(p) != 2 || !json_is_integer(owner) ||
            json_integer_value(owner) <= 0 || !json_is_integer(uj) || json_integer_value(uj) < 0)
            return false;
    }
    return true;
}

static sb_status read_tick(sb_ledger_line *l, sb_error *err)
{
    static const struct {
        const char *name;
        size_t at;
    } counts[] = {{"begin_ns", offsetof(sb_ledger_line, begin_ns)},
                  {"end_ns", offsetof(sb_ledger_line, base.mono_ns)},
                  {"gap_uj", offsetof(sb_ledger_line, gap_uj)},
                  {"meter_uj", offsetof(sb_ledger_line, meter_uj)},
                  {"idle_uj", offsetof(sb_ledger_line, idle_uj)},
                  {"other_uj", offsetof(sb_ledger_line, other_uj)},
                  {"system_uj", offsetof(sb_ledger_line, system_uj)},
                  {"lost_uj", offsetof(sb_ledger_line, lost_uj)},
                  {"lost_ns", offsetof(sb_ledger_line, lost_ns)},
                  {"sum_uj", offsetof(sb_ledger_line, sum_uj)}};
    char source[16];
    for (size_t i = 0; i < SB_ARRAY_LEN(counts); i++) {
        int64_t *out = (int64_t *)(void *)((char *)l + counts[i].at);
        if (!count_of(l->root, counts[i].name, out)) return wrong("a tick without its sums", err);
    }
    if (!text_of(json_object_get(l->root, "source"), source, sizeof source))
        return wrong("a tick without its source", err);
    l->gap_known = true;
    l->measured = strcmp(source, sb_energy_source_name(SB_ENERGY_MEASURED)) == 0;
    if (!l->measured && strcmp(source, sb_energy_source_name(SB_ENERGY_ESTIMATED)) != 0)
        return wrong("a tick of an unknown source", err);
    l->parts = json_object_get(l->root, "parts");
    if (!parts_are_whole(l->parts)) return wrong("a tick with broken parts", err);
    if (!read_raw(l->root, &l->base)) return wrong("a tick without its counters", err);
    return SB_OK;
}

static sb_status read_receipt(sb_ledger_line *l, sb_error *err)
{
    l->owners = json_object_get(l->root, "owners");
    l->receipt = json_object_get(l->root, "receipt");
    bool ok = json_is_array(l->owners) && json_array_size(l->owners) <= SB_MAX_CHOICES &&
              json_is_object(l->receipt) && count_of(l->root, "parts_uj", &l->parts_uj) &&
              count_of(l->root, "estimated_uj", &l->estimated_uj) &&
              count_of(l->root, "beside_uj", &l->beside_uj) && count_of(l->root, "key", &l->key);
    for (size_t i = 0; ok && i < json_array_size(l->owners); i++) {
        const json_t *o = json_array_get(l->owners, i);
        ok = json_is_integer(o) && json_integer_value(o) > 0;
    }
    return ok ? SB_OK : wrong("a receipt without its sums", err);
}

/* The hash member is the first text of that name: what comes before it in a line holds no quotes.
 * */
static sb_status check_hash(const char *p, size_t n, sb_error *err)
{
    static const char name[] = "\"hash\":\"";
    char is[SB_HASH_BYTES];
    const char *at = memmem(p, n, name, sizeof name - 1);
    const size_t left = at ? n - (size_t)(at - p) : 0;
    if (left < HASH_MEMBER || !sb_hash_is(at + 8, SB_HASH_BYTES - 1) ||
        memcmp(at + HASH_MEMBER - 2, "\",", 2) != 0)
        return wrong("no hash", err);
    const sb_str pieces[] = {{p, (size_t)(at - p)}, {at + HASH_MEMBER, left - HASH_MEMBER}};
    SB_TRY(sb_hash_hex(is, pieces, 2, err));
    return memcmp(is, at + 8, SB_HASH_BYTES - 1) == 0 ? SB_OK : wrong("was changed", err);
}

static sb_status read_kind(sb_ledger_line *l, sb_error *err)
{
    const char *kind = json_string_value(json_object_get(l->root, "kind"));
    int i = 0;
    while (kind && i < SB_LEDGER_KIND_COUNT && strcmp(kind, kinds[i]) != 0)
        i++;
    if (!kind || i == SB_LEDGER_KIND_COUNT) return wrong("of an unknown kind", err);
    l->kind = (sb_ledger_kind)i;
    if (!hash_of(l->root, "prev", l->prev) || !hash_of(l->root, "hash", l->hash) ||
        !count_of(l->root, "time_ms", &l->time_ms) ||
        !count_of(l->root, "last_owner", &l->last_owner))
        return wrong("without its place in the chain", err);
    return l->kind == SB_LEDGER_OPEN   ? read_open(l, err)
           : l->kind == SB_LEDGER_TICK ? read_tick(l, err)
                                       : read_receipt(l, err);
}

sb_status sb_ledger_line_read(sb_ledger_line *out, const char *p, size_t n, sb_error *err)
{
    sb_ledger_line l = {.root = NULL};
    if (n > SB_MAX_LEDGER_LINE_BYTES) return wrong("longer than any line", err);
    SB_TRY(check_hash(p, n, err));
    SB_TRY(sb_canon_read(&l.root, p, n, "line", err));
    const sb_status s = read_kind(&l, err);
    if (s == SB_OK)
        *out = l;
    else
        json_decref(l.root);
    return s;
}

void sb_ledger_line_deinit(sb_ledger_line *l)
{
    json_decref(l->root);
    l->root = NULL;
}

/* ---- gaps ---- */

static bool same(const sb_meter_raw_row *x, const sb_meter_raw_row *y)
{
    return x->raw_uj == y->raw_uj && x->range_uj == y->range_uj;
}

/* Whether row i shows what an earlier one shows, at both ends. */
static bool is_copy(const sb_ledger_base *a, const sb_ledger_base *b, int i)
{
    for (int k = 0; k < i; k++)
        if (same(&a->rows[i], &a->rows[k]) && same(&b->rows[i], &b->rows[k])) return true;
    return false;
}

bool sb_ledger_gap(const sb_ledger_base *a, const sb_ledger_base *b, int64_t *out_uj)
{
    const int64_t second_ns = 1000000000;
    int64_t sum_uj = 0, dt_ns = 0;
    uint64_t most_uj = 0;
    if (a->n == 0 || a->n != b->n || !a->boot[0] || strcmp(a->boot, b->boot) != 0) return false;
    if (b->mono_ns < a->mono_ns || ckd_sub(&dt_ns, b->mono_ns, a->mono_ns) ||
        ckd_add(&dt_ns, dt_ns, second_ns) ||
        ckd_mul(&most_uj, (uint64_t)dt_ns, (uint64_t)SB_MAX_PACKAGE_WATTS))
        return false;
    most_uj /= 1000; /* watts * ns */
    for (int i = 0; i < a->n; i++) {
        const sb_meter_raw_row *x = &a->rows[i], *y = &b->rows[i];
        if (strcmp(x->name, y->name) != 0 || x->range_uj != y->range_uj) return false;
        const bool back = y->raw_uj < x->raw_uj;
        if (back && x->raw_uj > x->range_uj) return false;
        const uint64_t d = y->raw_uj - x->raw_uj + (back ? x->range_uj : 0);
        if (d > most_uj || (x->range_uj && most_uj >= x->range_uj)) return false;
        if (!is_copy(a, b, i) && ckd_add(&sum_uj, sum_uj, (int64_t)d)) return false;
    }
    *out_uj = sum_uj;
    return true;
}
