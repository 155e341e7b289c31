/* SPDX-License-Identifier: Apache-2.0
 * netmeter.c - smart plugs, and programs that publish what they read of the processor.
 *
 * Which it is, what it answers tells. Units are theirs: Shelly's second generation counts watt
 * hours, its first watt minutes (its three-phase meters watt hours), Tasmota kilowatt hours,
 * Kepler joules, Scaphandre microjoules. Totals of plugs move in steps of 3.6 J to 3.6 kJ, so their
 * watts are integrated; the totals are for whoever wants to compare. Whatever comes over the
 * network is read without trust: a number that is none is no reading. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "energy/internal.h"
#include "energy/netmeter.h"

__extension__ typedef unsigned __int128 wide;

enum { MAX_DIGITS = 20, MAX_TENS = 60 };

/* Digits with a point somewhere, as one whole number; *tens: the power of ten it is off by. */
static const char *read_mantissa(const char *p, const char *end, wide *out, int *tens)
{
    bool point = false;
    int n = 0;
    *out = 0;
    *tens = 0;
    const char *from = p;
    for (; p < end && ((*p >= '0' && *p <= '9') || (*p == '.' && !point && p > from)); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (*out == 0 || n < MAX_DIGITS) {
            *out = *out * 10 + (unsigned)(*p - '0');
            n += *out > 0;
            *tens -= point;
        } else if (!point) {
            return NULL;
        }
    }
    return p > from && p[-1] != '.' ? p : NULL;
}

bool sb_energy_parse_micro(const char *p, const char *end, uint64_t unit, uint64_t *out)
{
    wide v = 0;
    int tens = 0;
    p = read_mantissa(p, end, &v, &tens);
    if (!p) return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        uint64_t e = 0;
        const bool minus = p + 1 < end && p[1] == '-';
        p += minus || (p + 1 < end && p[1] == '+') ? 2 : 1;
        const char *digits = p;
        for (; p < end && *p >= '0' && *p <= '9' && e <= MAX_TENS; p++)
            e = e * 10 + (uint64_t)(*p - '0');
        if (p == digits || e > MAX_TENS) return false;
        tens += minus ? -(int)e : (int)e;
    }
    if (p < end || ckd_mul(&v, v, (wide)unit)) return false;
    for (tens += 6; tens > 0 && v; tens--)
        if (ckd_mul(&v, v, (wide)10)) return false;
    for (; tens < 0 && v; tens++)
        v /= 10;
    *out = (uint64_t)v;
    return v <= UINT64_MAX;
}

static const char *skip_blank(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* What stands behind "key": in the text, or NULL. */
static const char *value_of(const char *text, const char *key)
{
    const size_t n = strlen(key);
    for (const char *p = text; p && (p = strchr(p, '"')); p++) {
        if (strncmp(p + 1, key, n) != 0 || p[1 + n] != '"') continue;
        const char *colon = skip_blank(p + n + 2);
        if (*colon == ':') return skip_blank(colon + 1);
    }
    return NULL;
}

/* The number there, or the sum of an array of them. */
static bool number_at(const char *p, uint64_t unit, uint64_t *out)
{
    static const char ends[] = ",]} \t\r\n";
    const bool array = p && *p == '[';
    uint64_t sum = 0;
    if (!p) return false;
    p += array;
    for (;;) {
        uint64_t v = 0;
        p = skip_blank(p);
        const size_t n = strcspn(p, ends);
        if (!p[n] || !sb_energy_parse_micro(p, p + n, unit, &v) || ckd_add(&sum, sum, v))
            return false;
        p = skip_blank(p + n);
        if (!array || *p != ',') break;
        p++;
    }
    *out = sum;
    return !array || *p == ']';
}

static bool parse_shelly2(const char *text, sb_net_reading *r)
{
    const char *watts = value_of(text, "apower");
    const char *energy = value_of(text, "aenergy");
    if (!watts) return false;
    r->kind = SB_NET_SHELLY2;
    r->has_power = number_at(watts, 1, &r->uw);
    r->has_total =
        energy && *energy == '{' && number_at(value_of(energy, "total"), 3600, &r->total_uj);
    return true;
}

static bool parse_shelly1(const char *text, sb_net_reading *r)
{
    const char *valid = value_of(text, "is_valid");
    if (!valid || !value_of(text, "power")) return false;
    const bool hours = value_of(text, "total_returned") != NULL;
    const bool good = strncmp(valid, "true", 4) == 0;
    r->kind = SB_NET_SHELLY1;
    r->has_power = good && number_at(value_of(text, "power"), 1, &r->uw);
    r->has_total = good && number_at(value_of(text, "total"), hours ? 3600 : 60, &r->total_uj);
    return true;
}

static bool parse_tasmota(const char *text, sb_net_reading *r)
{
    const char *sensors = value_of(text, "StatusSNS");
    const char *energy = sensors ? value_of(sensors, "ENERGY") : NULL;
    if (!energy) return false;
    r->kind = SB_NET_TASMOTA;
    r->has_power = number_at(value_of(energy, "Power"), 1, &r->uw);
    r->has_total = number_at(value_of(energy, "Total"), 3600000, &r->total_uj);
    return true;
}

/* One line of a metrics page: what stands in the braces, and the number. */
typedef struct sample {
    const char *labels, *number;
    size_t n_labels, n_number;
} sample;

/* The next line with that metric at or after *at, which moves behind it. */
static bool next_sample(const char **at, const char *metric, sample *out)
{
    const size_t n = strlen(metric);
    for (const char *line = *at; line && *line; line = *at) {
        const char *end = line + strcspn(line, "\n"), *p = line + n;
        *at = *end ? end + 1 : end;
        if (strncmp(line, metric, n) != 0 || (*p != '{' && *p != ' ')) continue;
        bool quoted = false;
        *out = (sample){.labels = p};
        if (*p == '{')
            for (; p < end && (*p != '}' || quoted); p++) {
                if (*p == '\\' && p + 1 < end)
                    p++;
                else if (*p == '"')
                    quoted = !quoted;
            }
        out->n_labels = (size_t)(p - out->labels);
        p += p < end && *p == '}';
        while (p < end && *p == ' ')
            p++;
        out->number = p;
        while (p < end && *p != ' ' && *p != '\r')
            p++;
        out->n_number = (size_t)(p - out->number);
        return true;
    }
    return false;
}

static bool has_label(const sample *s, const char *label)
{
    const size_t n = strlen(label);
    for (size_t i = 0; i + n <= s->n_labels; i++)
        if (memcmp(s->labels + i, label, n) == 0) return true;
    return false;
}

/* Sums the zones of that name; false when there is none, or one is no number. */
static bool sum_zones(const char *text, const char *label, uint64_t *sum)
{
    sample s;
    bool any = false;
    for (const char *at = text; next_sample(&at, "kepler_node_cpu_joules_total", &s);) {
        uint64_t v = 0;
        if (!has_label(&s, label)) continue;
        if (!sb_energy_parse_micro(s.number, s.number + s.n_number, 1, &v) || ckd_add(sum, *sum, v))
            return false;
        any = true;
    }
    return any;
}

static bool parse_kepler(const char *text, sb_net_reading *r)
{
    uint64_t all = 0, memory = 0;
    if (!strstr(text, "kepler_node_cpu_joules_total")) return false;
    r->kind = SB_NET_KEPLER;
    r->has_total = sum_zones(text, "zone=\"package\"", &all);
    if (r->has_total && sum_zones(text, "zone=\"dram\"", &memory))
        r->has_total = !ckd_add(&all, all, memory);
    if (!r->has_total) {
        all = 0;
        r->has_total = sum_zones(text, "zone=\"psys\"", &all);
    }
    r->total_uj = all;
    return true;
}

static bool first_whole(const char *text, const char *metric, uint64_t *out)
{
    sample s;
    uint64_t millionths = 0;
    if (!next_sample(&text, metric, &s)) return false;
    if (!sb_energy_parse_micro(s.number, s.number + s.n_number, 1, &millionths)) return false;
    *out = millionths / 1000000;
    return true;
}

static bool parse_scaphandre(const char *text, sb_net_reading *r)
{
    if (!strstr(text, "scaph_host_")) return false;
    r->kind = SB_NET_SCAPHANDRE;
    r->has_total = first_whole(text, "scaph_host_energy_microjoules", &r->total_uj);
    r->has_power = first_whole(text, "scaph_host_power_microwatts", &r->uw);
    return true;
}

bool sb_net_parse(const char *text, sb_net_reading *out)
{
    static bool (*const parsers[])(const char *, sb_net_reading *) = {
        parse_kepler, parse_scaphandre, parse_tasmota, parse_shelly2, parse_shelly1};
    for (size_t i = 0; i < SB_ARRAY_LEN(parsers); i++) {
        sb_net_reading r = {0};
        if (!parsers[i](text, &r)) continue;
        *out = r;
        return r.has_power || r.has_total;
    }
    return false;
}

const char *sb_net_name(sb_net_kind k)
{
    static const char *const names[SB_NET_KIND_COUNT] = {[SB_NET_SHELLY2] = "Shelly",
                                                         [SB_NET_SHELLY1] =
                                                             "Shelly, 1st generation",
                                                         [SB_NET_TASMOTA] = "Tasmota",
                                                         [SB_NET_KEPLER] = "Kepler",
                                                         [SB_NET_SCAPHANDRE] = "Scaphandre"};
    return names[k];
}

/* Where each counter of a source is asked. */
typedef struct net {
    const sb_meter_fetch *fetch;
    char url[SB_MAX_METER_URLS][SB_MAX_URL_BYTES];
    sb_net_kind kind[SB_MAX_METER_URLS];
    char *text; /* SB_MAX_METER_TEXT_BYTES */
} net;

static void close_net(void *ctx)
{
    net *x = ctx;
    sb_free(x->text);
    sb_free(x);
}

static bool ask(const net *x, const char *url, sb_net_reading *out)
{
    errno = EIO;
    if (!x->fetch->get(x->fetch->ctx, url, x->text, SB_MAX_METER_TEXT_BYTES)) return false;
    x->text[SB_MAX_METER_TEXT_BYTES - 1] = 0;
    errno = ENODATA;
    return sb_net_parse(x->text, out);
}

static bool read_net(const sb_counters *c, const sb_counter *z, uint64_t *out)
{
    const net *x = c->ctx;
    sb_net_reading r;
    if (!ask(x, x->url[z->i], &r) || r.kind != x->kind[z->i]) return false;
    *out = z->watts ? r.uw : r.total_uj;
    return z->watts ? r.has_power : r.has_total;
}

bool sb_net_address(const char *url, size_t i, char *out, size_t out_bytes)
{
    static const char *const paths[SB_NET_PATHS] = {"/rpc/Switch.GetStatus?id=0",
                                                    "/cm?cmnd=Status%2010", "/meter/0", "/metrics"};
    const char *host = strstr(url, "://");
    const char *scheme = host ? "" : "http://";
    host = host ? host + 3 : url;
    const bool bare = !host[strcspn(host, "/")] || !host[strcspn(host, "/") + 1];
    if (i >= (bare ? SB_NET_PATHS : 1)) return false;
    const size_t n_url = strlen(url), n_base = n_url - (bare && url[0] && url[n_url - 1] == '/');
    const int n = snprintf(out, out_bytes, "%s%.*s%s", scheme, n_base < out_bytes ? (int)n_base : 0,
                           url, bare ? paths[i] : "");
    return n_base < out_bytes && n > 0 && (size_t)n < out_bytes;
}

/* Finds what answers at an address. */
static bool find(net *x, const char *url, char *out, sb_net_reading *r)
{
    for (size_t i = 0; i < SB_NET_PATHS; i++)
        if (sb_net_address(url, i, out, SB_MAX_URL_BYTES) && ask(x, out, r)) return true;
    return false;
}

static void add(sb_counters *c, sb_look *l, net *x, const char *url)
{
    sb_net_reading r;
    char name[SB_COUNTER_NAME_BYTES], *at = x->url[c->n];
    const bool node = c->meter == SB_METER_NODE;
    if (!find(x, url, at, &r)) {
        (void)snprintf(name, sizeof name, "%.63s", url);
        if (!node) (void)sb_look_fail(l, c->meter, ENODATA, name); /* of no kind: said once */
        return;
    }
    if ((r.kind == SB_NET_KEPLER || r.kind == SB_NET_SCAPHANDRE) != node) return;
    if (node && c->n > 0) { /* the same packages again */
        sb_meter_row *dup = sb_look_add(l, c->meter, SB_METER_DUPLICATE, sb_net_name(r.kind));
        if (dup) memcpy(dup->of, c->v[0].name, sizeof dup->of);
        return;
    }
    sb_counter z = {.fd = -1, .volts_fd = -1, .i = c->n, .socket = -1, .mirror_of = -1};
    z.kind = node ? SB_COUNTER_NODE : SB_COUNTER_PLUG;
    z.watts = node ? !r.has_total : true;
    x->kind[c->n] = r.kind;
    (void)snprintf(z.name, sizeof z.name, "%s", sb_net_name(r.kind));
    const bool can = z.watts ? r.has_power : r.has_total;
    sb_meter_row *row = can ? sb_look_add(l, c->meter, SB_METER_CHECK, z.name)
                            : sb_look_fail(l, c->meter, ENODATA, z.name);
    if (row)
        row->watts = z.watts,
        row->unit = z.watts ? (node ? "uW" : "W") : (node && r.kind == SB_NET_KEPLER ? "J" : "uJ");
    if (can) c->v[c->n++] = z;
}

static void open_net(sb_counters *c, sb_look *l, sb_meter_kind kind)
{
    const sb_meter_roots *roots = l->roots;
    sb_counters_init(c, kind, kind == SB_METER_NODE ? "endpoint" : "plug", read_net);
    if (!roots->fetch || roots->n_urls == 0) return;
    net *x = sb_calloc(1, sizeof *x);
    c->no_memory = !x;
    if (!x) return;
    c->ctx = x;
    c->close_ctx = close_net;
    c->dear_ns = 1000000000;
    x->fetch = roots->fetch;
    x->text = sb_calloc(1, SB_MAX_METER_TEXT_BYTES);
    c->no_memory = !x->text;
    for (size_t i = 0; x->text && i < roots->n_urls && c->n < SB_MAX_METER_URLS; i++)
        add(c, l, x, roots->urls[i]);
    if (c->n > 0 && !sb_counters_start(c)) sb_counters_close(c);
}

void sb_find_plug(sb_counters *c, sb_look *l)
{
    open_net(c, l, SB_METER_PLUG);
}

void sb_find_node(sb_counters *c, sb_look *l)
{
    open_net(c, l, SB_METER_NODE);
}
