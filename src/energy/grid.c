/* SPDX-License-Identifier: Apache-2.0
 * grid.c - factors and tariffs, read strictly, multiplied in 128 bits.
 *
 * A live factor is a file, not an address: whoever has a service to ask writes its answer down, and
 * computing needs no network. */
#include "energy/grid.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "energy/internal.h"

__extension__ typedef unsigned __int128 wide;

enum { FILE_BYTES = 128, SHOWN_BYTES = 64 };

static const sb_grid rows[] = {
#define X(zone_, name_, g_per_kwh, year_, kind_, source_)                                          \
    {.mg_per_kwh = (g_per_kwh)*INT64_C(1000),                                                      \
     .zone = zone_,                                                                                \
     .name = name_,                                                                                \
     .year = year_,                                                                                \
     .kind = SB_GRID_##kind_,                                                                      \
     .source = source_},
#include "energy/grid.def"
#undef X
};

const char *sb_grid_zones(void)
{
    static const char all[] =
#define X(zone, name, g_per_kwh, year, kind, source) zone " "
#include "energy/grid.def"
#undef X
        "";
    return all;
}

const char *sb_grid_kind_name(sb_grid_kind k)
{
    switch (k) {
    case SB_GRID_average:
        return "average";
    case SB_GRID_marginal:
        return "marginal";
    case SB_GRID_market:
        return "market";
    case SB_GRID_given:
        return "given";
    case SB_GRID_live:
        return "live";
    }
    sb_unreachable("every kind has its name");
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool same_zone(const char *zone, const char *text, size_t n)
{
    if (strlen(zone) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (upper(text[i]) != zone[i]) return false;
    return true;
}

static const char too_old[] = "is too old";

static bool find_zone(const char *text, size_t n, sb_grid *out)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        if (!same_zone(rows[i].zone, text, n)) continue;
        *out = rows[i];
        return true;
    }
    return false;
}

bool sb_grid_find(const char *zone, sb_grid *out)
{
    return find_zone(zone, strlen(zone), out);
}

/* Digits with at most `places` behind a point, as units of 10^-places; what is behind them. NULL
 * when there is no such number or it does not fit. */
static const char *take_decimal(const char *p, int places, int64_t *out)
{
    int64_t v = 0;
    int behind = -1, n = 0; /* digits behind the point; -1: before it */
    for (; (*p >= '0' && *p <= '9') || (*p == '.' && behind < 0 && n > 0); p++) {
        if (*p == '.') {
            behind = 0;
            continue;
        }
        if (behind >= 0 && ++behind > places) return NULL;
        if (ckd_mul(&v, v, INT64_C(10)) || ckd_add(&v, v, (int64_t)(*p - '0'))) return NULL;
        n++;
    }
    if (n == 0 || behind == 0) return NULL;
    for (int i = behind < 0 ? 0 : behind; i < places; i++)
        if (ckd_mul(&v, v, INT64_C(10))) return NULL;
    *out = v;
    return p;
}

/* "1732694400" or "2026-11-27T08:00:00Z". */
static bool take_time(const char *p, size_t n, int64_t *out)
{
    uint64_t s = 0;
    char text[32];
    struct tm t = {0};
    if (sb_energy_parse_u64(p, p + n, &s)) {
        *out = (int64_t)s;
        return s < (uint64_t)INT64_MAX / 2;
    }
    if (n >= sizeof text) return false;
    memcpy(text, p, n);
    text[n] = 0;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &t);
    if (!end || *end) return false;
    *out = (int64_t)timegm(&t);
    return true;
}

const char *sb_grid_read(sb_grid *out, const char *text, int64_t now_s)
{
    static const char blanks[] = " \t\r\n";
    sb_grid g = {.kind = SB_GRID_live, .name = "", .source = "the operator's file"};
    sb_grid row;
    const char *p = take_decimal(text + strspn(text, blanks), 3, &g.mg_per_kwh);
    if (!p || !*p || !strchr(blanks, *p) || g.mg_per_kwh > INT64_C(1000) * SB_GRID_MAX_G)
        return "does not begin with grams a kWh";
    p += strspn(p, blanks);
    size_t n = strcspn(p, blanks);
    const char *time = p;
    const size_t n_time = n;
    p += n;
    p += strspn(p, blanks);
    n = strcspn(p, blanks);
    if (n > 0 && find_zone(p, n, &row)) { /* kept for who falls back to the table */
        memcpy(g.zone, row.zone, sizeof g.zone);
        g.name = row.name;
        memcpy(out->zone, row.zone, sizeof out->zone);
    }
    if (!take_time(time, n_time, &g.time_s)) return "has no time that can be read";
    if (g.time_s > now_s + 300) return "is of the future";
    if (now_s - g.time_s > SB_GRID_STALE_S) return too_old;
    *out = g;
    return NULL;
}

/* The row of a zone that is known, or of the world; its note is the caller's to write. */
static void use_table(sb_grid *out, const char *zone, const char *why)
{
    sb_grid row;
    if (!sb_grid_find(zone, &row)) row = rows[SB_ARRAY_LEN(rows) - 1];
    row.why = why;
    *out = row;
}

void sb_grid_why_text(const sb_grid *g, char *out, size_t out_bytes)
{
    out[0] = 0;
    if (g->why)
        (void)snprintf(out, out_bytes, "the operator's file %s, so the table is used", g->why);
}

void sb_grid_age(sb_grid *g, int64_t now_s)
{
    char zone[sizeof g->zone];
    if (g->kind != SB_GRID_live || now_s - g->time_s <= SB_GRID_STALE_S) return;
    memcpy(zone, g->zone, sizeof zone);
    use_table(g, zone, too_old);
    sb_grid_why_text(g, g->note, sizeof g->note);
}

/* A path: what it holds, or the table and a note. */
static void read_file(sb_grid *out, const char *path, int64_t now_s)
{
    char text[FILE_BYTES], shown[SHOWN_BYTES];
    sb_grid g = {.zone = "WORLD"};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const int n = fd >= 0 ? sb_energy_pread(fd, text, sizeof text) : -1;
    if (fd >= 0) (void)close(fd);
    const char *why = n < 0 ? "cannot be read" : sb_grid_read(&g, text, now_s);
    if (!why) {
        *out = g;
        return;
    }
    sb_path_escape(shown, sizeof shown, path);
    use_table(out, g.zone, why);
    (void)snprintf(out->note, sizeof out->note, "'%s' %s, so the table is used", shown, why);
}

bool sb_grid_is_path(const char *text)
{
    return strchr(text, '/') != NULL;
}

sb_status sb_grid_parse(sb_grid *out, const char *text, int64_t now_s, sb_error *err)
{
    char shown[SHOWN_BYTES];
    sb_grid g = {.kind = SB_GRID_given, .name = "", .source = "given by the operator"};
    if (sb_grid_is_path(text)) {
        read_file(out, text, now_s);
        return SB_OK;
    }
    if (sb_grid_find(text, out)) return SB_OK;
    const char *end = take_decimal(text, 3, &g.mg_per_kwh);
    if (end && !*end && g.mg_per_kwh <= INT64_C(1000) * SB_GRID_MAX_G) {
        *out = g;
        return SB_OK;
    }
    sb_path_escape(shown, sizeof shown, text);
    return SB_FAIL(err, SB_INVALID,
                   "--grid '%s': must be grams a kWh up to %d, a path with a '/', or one of %s",
                   shown, SB_GRID_MAX_G, sb_grid_zones());
}

/* The three letters of what follows the amount. */
static bool take_currency(const char *p, char out[4])
{
    static const struct {
        const char *sign, *code;
    } signs[] = {{"\xe2\x82\xac", "EUR"}, {"$", "USD"}, {"\xc2\xa3", "GBP"}, {"", ""}};
    for (size_t i = 0; i < SB_ARRAY_LEN(signs); i++) {
        if (strcmp(p, signs[i].sign) != 0) continue;
        (void)snprintf(out, 4, "%s", signs[i].code);
        return true;
    }
    if (strlen(p) != 3) return false;
    for (int i = 0; i < 3; i++) {
        out[i] = upper(p[i]);
        if (out[i] < 'A' || out[i] > 'Z') return false;
    }
    out[3] = 0;
    return true;
}

sb_status sb_tariff_parse(sb_tariff *out, const char *text, sb_error *err)
{
    char shown[SHOWN_BYTES];
    sb_tariff t = {0};
    const char *end = take_decimal(text, 9, &t.nano_per_kwh);
    if (end && take_currency(end, t.currency) &&
        t.nano_per_kwh <= INT64_C(1000000000) * SB_TARIFF_MAX) {
        *out = t;
        return SB_OK;
    }
    sb_path_escape(shown, sizeof shown, text);
    return SB_FAIL(err, SB_INVALID,
                   "--tariff '%s': must be an amount a kWh up to %d and a currency of three "
                   "letters, as 0.25EUR",
                   shown, SB_TARIFF_MAX);
}

/* a * b / d to nearest. */
static int64_t product(int64_t a, int64_t b, uint64_t d)
{
    if (a <= 0 || b <= 0) return 0;
    const wide v = ((wide)(uint64_t)a * (uint64_t)b + d / 2) / d;
    return v > (wide)INT64_MAX ? INT64_MAX : (int64_t)v;
}

int64_t sb_grid_ug(const sb_grid *g, int64_t uj)
{
    return product(uj, g->mg_per_kwh, UINT64_C(3600000000)); /* 3.6e12 uJ a kWh, 1000 ug a mg */
}

int64_t sb_tariff_nano(const sb_tariff *t, int64_t uj)
{
    return product(uj, t->nano_per_kwh, UINT64_C(3600000000000));
}

int64_t sb_round_digits(int64_t v, int digits)
{
    int64_t unit = 1, most = 10;
    for (int i = 1; i < digits; i++)
        most *= 10;
    while (v / unit >= most)
        unit *= 10;
    return unit == 1 || v > INT64_MAX - unit ? v : (v + unit / 2) / unit * unit;
}

void sb_decimal_text(int64_t v, int places, char *out, size_t out_bytes)
{
    char behind[20] = "";
    size_t n = places > 0 && places < (int)sizeof behind ? (size_t)places : 0;
    for (size_t i = n; i-- > 0; v /= 10)
        behind[i] = (char)('0' + v % 10);
    while (n > 0 && behind[n - 1] == '0')
        behind[--n] = 0;
    (void)snprintf(out, out_bytes, "%lld%s%s", (long long)v, n ? "." : "", behind);
}

void sb_grid_text(const sb_grid *g, int64_t uj, int digits, char *out, size_t out_bytes)
{
    static const struct {
        int places;
        int64_t ug;
        const char *name;
    } scale[] = {{9, 1000000000, "kg"}, {6, 1000000, "g"}, {3, 1000, "mg"}, {0, 0, "ug"}};
    char number[32], amount[40], factor[32], when[64] = "";
    const int64_t ug = sb_round_digits(sb_grid_ug(g, uj), digits);
    size_t i = 0;
    while (i + 1 < SB_ARRAY_LEN(scale) && ug < scale[i].ug)
        i++;
    sb_decimal_text(ug, scale[i].places, number, sizeof number);
    (void)snprintf(amount, sizeof amount, "%s %s", number, scale[i].name);
    sb_decimal_text(g->mg_per_kwh, 3, factor, sizeof factor);
    const time_t t = (time_t)g->time_s;
    struct tm tm = {0};
    if (g->kind == SB_GRID_live && gmtime_r(&t, &tm))
        (void)strftime(when, sizeof when, "live, of %Y-%m-%d %H:%M UTC; ", &tm);
    else if (g->year > 0)
        (void)snprintf(when, sizeof when, "%d %s; ", g->year, sb_grid_kind_name(g->kind));
    else if (g->kind != SB_GRID_given)
        (void)snprintf(when, sizeof when, "%s; ", sb_grid_kind_name(g->kind));
    (void)snprintf(out, out_bytes, "%s CO2e at %s g/kWh (%s%s%s%s)", amount, factor, g->name,
                   g->name[0] ? ", " : "", when, g->source);
}

void sb_tariff_text(const sb_tariff *t, int64_t uj, int digits, char *out, size_t out_bytes)
{
    char amount[40], rate[40];
    const char *gap = t->currency[0] ? " " : "";
    sb_decimal_text(sb_round_digits(sb_tariff_nano(t, uj), digits), 9, amount, sizeof amount);
    sb_decimal_text(t->nano_per_kwh, 9, rate, sizeof rate);
    (void)snprintf(out, out_bytes, "%s%s%s at %s%s%s/kWh (given by the operator)", amount, gap,
                   t->currency, rate, gap, t->currency);
}
