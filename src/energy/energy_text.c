/* SPDX-License-Identifier: Apache-2.0
 * energy_text.c - energy for people: no more digits than are known. */
#include <stdio.h>

#include "energy/internal.h"
#include "energy/receipt_kind.h"

/* v rounded to n significant digits; *out_unit: the power of ten of the last of them. */
static uint64_t round_to(uint64_t v, int n, sb_rounding way, uint64_t *out_unit)
{
    uint64_t unit = 1, most = 10;
    for (int i = 1; i < n; i++)
        most *= 10;
    while (v / unit >= most)
        unit *= 10;
    const uint64_t up = way == SB_ROUND_UP ? unit - 1 : way == SB_ROUND_NEAREST ? unit / 2 : 0;
    const uint64_t r = (v + up) / unit * unit;
    while (r / unit >= most)
        unit *= 10; /* 9.99 became 10.0 */
    *out_unit = unit;
    return r;
}

void sb_energy_amount(char *out, size_t out_bytes, int64_t uj, int n, sb_rounding way)
{
    static const struct {
        uint64_t uj;
        const char *name;
    } scale[] = {{1000000000, "kJ"}, {1000000, "J"}, {1000, "mJ"}, {1, "uJ"}};
    uint64_t unit = 1;
    const uint64_t v = round_to(uj > 0 ? (uint64_t)uj : 0, n, way, &unit);
    size_t i = 0;
    while (i + 1 < SB_ARRAY_LEN(scale) && v < scale[i].uj)
        i++;
    char point[16];
    size_t n_point = 0;
    point[n_point++] = '.';
    for (uint64_t u = scale[i].uj / 10; u > 0 && u >= unit && n_point + 1 < sizeof point; u /= 10)
        point[n_point++] = (char)('0' + v / u % 10);
    point[n_point > 1 ? n_point : 0] = 0; /* no digits, no point */
    (void)snprintf(out, out_bytes, "%llu%s %s", (unsigned long long)(v / scale[i].uj), point,
                   scale[i].name);
}

int sb_energy_digits(const sb_energy *e)
{
    return sb_receipt_digits(sb_receipt_kind_of(e));
}

sb_wall sb_energy_wall(const sb_energy *e)
{
    const sb_receipt_kind kind = sb_receipt_kind_of(e);
    if (kind != SB_RECEIPT_METER && kind != SB_RECEIPT_CALIBRATED) return (sb_wall){0};
    return sb_wall_apply(&e->wall, e->energy_uj, e->lo_uj, e->hi_uj, e->share_ns);
}

void sb_wall_text(const sb_wall *w, char *out, size_t out_bytes)
{
    char mid[32], lo[32], hi[32];
    const int digits = sb_receipt_digits(SB_RECEIPT_WALL);
    out[0] = 0;
    if (!w->known) return;
    sb_energy_amount(mid, sizeof mid, w->uj, digits, SB_ROUND_NEAREST);
    sb_energy_amount(lo, sizeof lo, w->lo_uj, digits, SB_ROUND_DOWN);
    sb_energy_amount(hi, sizeof hi, w->hi_uj, digits, SB_ROUND_UP);
    (void)snprintf(out, out_bytes, "about %s (%s to %s), %s: %s", mid, lo, hi,
                   sb_receipt_label(SB_RECEIPT_WALL), w->words);
}

void sb_energy_wall_text(const sb_energy *e, char *out, size_t out_bytes)
{
    const sb_wall w = sb_energy_wall(e);
    sb_wall_text(&w, out, out_bytes);
}

void sb_energy_text(const sb_energy *e, char *out, size_t out_bytes)
{
    if (e->source == SB_ENERGY_UNAVAILABLE) {
        (void)snprintf(out, out_bytes, "energy not available");
        return;
    }
    const sb_receipt_kind kind = sb_receipt_kind_of(e);
    const bool measured = kind == SB_RECEIPT_METER;
    const int digits = sb_receipt_digits(kind);
    char mid[32], lo[32], hi[32];
    sb_energy_amount(mid, sizeof mid, e->energy_uj, digits, SB_ROUND_NEAREST);
    sb_energy_amount(lo, sizeof lo, e->lo_uj, digits, SB_ROUND_DOWN);
    sb_energy_amount(hi, sizeof hi, e->hi_uj, digits, SB_ROUND_UP);
    (void)snprintf(out, out_bytes, "%s%s (%s to %s), %s: %s (%s)", measured ? "" : "about ", mid,
                   lo, hi, sb_receipt_label(kind), e->meter, e->scope);
}
