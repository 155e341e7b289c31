/* SPDX-License-Identifier: Apache-2.0
 * report_page.c - a report as a chart and as a page: no script, nothing fetched, colours of the
 * reader's light or dark.
 *
 * The chart is bars on their side, for names of models are long; what was estimated is hatched, so
 * that it differs without colour. */
#include <stdio.h>
#include <string.h>

#include "cli/french.h"
#include "cli/report.h"
#include "cli/xml_text.h"

__extension__ typedef unsigned __int128 wide;

enum { BARS = 60, LEFT = 190, LENGTH = 360, LINE = 24, WIDTH = 700, TOP = 60 };

#define LIGHT "--ink:#1b1f24;--soft:#57606a;--page:#ffffff;--bar:#1a7f37;--rule:#d0d7de"
#define DARK "--ink:#e6edf3;--soft:#9da7b3;--page:#0d1117;--bar:#3fb950;--rule:#30363d"
#define COLOURS "{" LIGHT "}@media(prefers-color-scheme:dark){"

static const char svg_style[] =
    "<style>svg.e" COLOURS "svg.e{" DARK "}}"
    "svg.e text{font:13px sans-serif;fill:var(--ink)}svg.e .b{fill:var(--bar)}"
    "svg.e .h{fill:url(#hatch);stroke:var(--bar)}svg.e .s{fill:var(--soft)}</style>"
    "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(45)\"><rect width=\"2\" height=\"6\" "
    "class=\"b\"/></pattern></defs>\n";

static const char page_style[] =
    ":root" COLOURS ":root{" DARK "}}"
    "body{margin:2rem auto;max-width:60rem;padding:0 1rem;font:1rem/1.5 sans-serif;"
    "color:var(--ink);background:var(--page)}"
    "table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--soft)}"
    "th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--rule)}"
    "th:first-child,td:first-child{text-align:left;white-space:nowrap}svg{max-width:100%;height:"
    "auto}"
    "div{overflow-x:auto}p.s{color:var(--soft)}";

/* The first row that the chart shows: of days the last ones, else what spent most. */
static size_t first_bar(const sb_report *r)
{
    return r->by == SB_BY_DAY && r->n > BARS ? r->n - BARS : 0;
}

static int64_t largest(const sb_report *r)
{
    int64_t most = 1;
    for (size_t i = 0; i < r->n; i++)
        if (r->rows[i].of[SB_REPORT_ALL].energy_uj > most)
            most = r->rows[i].of[SB_REPORT_ALL].energy_uj;
    return most;
}

static int length_of(int64_t uj, int64_t most)
{
    const int n = (int)((wide)(uint64_t)uj * LENGTH / (uint64_t)most);
    return uj > 0 && n == 0 ? 1 : n;
}

/* At most 24 characters of a label. */
static void shorten(const char *label, char out[SB_REPORT_CELL_BYTES])
{
    size_t n = 0, i = 0;
    for (; label[i] && n < 24; i++)
        n += ((unsigned char)label[i + 1] & 0xc0) != 0x80;
    (void)snprintf(out, SB_REPORT_CELL_BYTES, "%.*s%s", (int)i, label,
                   label[i] ? "\xe2\x80\xa6" : "");
}

static sb_status bar(const sb_report *r, const sb_report_row *row, int i, int64_t most, sb_buf *out,
                     sb_error *err)
{
    char kwh[40], label[SB_REPORT_CELL_BYTES];
    sb_report_cells c;
    const int64_t all_uj = row->of[SB_REPORT_ALL].energy_uj,
                  measured_uj = row->of[SB_SUM_MEASURED].energy_uj;
    const int y = TOP + i * LINE, solid = length_of(measured_uj, most),
              hatched = length_of(all_uj - measured_uj, most);
    sb_report_cells_of(r, row, &c);
    shorten(c.v[0], label);
    sb_report_kwh(all_uj, measured_uj == all_uj, kwh, sizeof kwh);
    SB_TRY(sb_xml_add(out, "<g><title>", c.v[0], ": ", err));
    SB_TRY(sb_buf_addf(out, err, "%s kWh</title><text x=\"%d\" y=\"%d\" text-anchor=\"end\">", kwh,
                       LEFT - 8, y + 15));
    SB_TRY(sb_xml_add(out, "", label, "</text>", err));
    if (solid)
        SB_TRY(sb_buf_addf(out, err,
                           "<rect class=\"b\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", LEFT,
                           y + 2, solid, LINE - 6));
    if (hatched)
        SB_TRY(sb_buf_addf(out, err,
                           "<rect class=\"h\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>",
                           LEFT + solid, y + 2, hatched, LINE - 6));
    return sb_buf_addf(out, err, "<text class=\"s\" x=\"%d\" y=\"%d\">%s kWh</text></g>\n",
                       LEFT + solid + hatched + 8, y + 15, kwh);
}

static const char *title_of(const sb_report *r)
{
    switch (r->by) {
    case SB_BY_DAY:
        return sb_tr("Energy of answers by day");
    case SB_BY_KEY:
        return sb_tr("Energy of answers by key");
    case SB_BY_MODEL:
        return sb_tr("Energy of answers by model");
    }
    sb_unreachable("every kind of row has its title");
}

sb_status sb_report_svg(const sb_report *r, sb_buf *out, sb_error *err)
{
    const size_t first = first_bar(r), n = r->n - first < BARS ? r->n - first : BARS;
    const int height = TOP + (int)n * LINE + 10;
    SB_TRY(
        sb_buf_addf(out, err,
                    "<svg class=\"e\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" "
                    "aria-labelledby=\"et ed\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n",
                    WIDTH, height, WIDTH, height));
    SB_TRY(sb_xml_add(out, "<title id=\"et\">", title_of(r), "</title>\n", err));
    SB_TRY(sb_xml_add(out, "<desc id=\"ed\">",
                      sb_tr("Bars of kilowatt-hours: full what was measured, hatched what was "
                            "estimated or whose source is not known."),
                      "</desc>\n", err));
    SB_TRY(sb_buf_add(out, svg_style, sizeof svg_style - 1, err));
    SB_TRY(sb_xml_add(out, "<text x=\"10\" y=\"20\" font-weight=\"bold\">", title_of(r), "</text>",
                      err));
    SB_TRY(sb_xml_add(out,
                      "<rect class=\"b\" x=\"10\" y=\"31\" width=\"14\" height=\"14\"/>"
                      "<text x=\"30\" y=\"43\">",
                      sb_tr("measured"), "</text>", err));
    SB_TRY(sb_xml_add(out,
                      "<rect class=\"h\" x=\"190\" y=\"31\" width=\"14\" height=\"14\"/>"
                      "<text x=\"210\" y=\"43\">",
                      sb_tr("estimated, or of unknown source"), "</text>\n", err));
    const int64_t most = largest(r);
    for (size_t i = 0; i < n; i++)
        SB_TRY(bar(r, &r->rows[first + i], (int)i, most, out, err));
    return sb_buf_addf(out, err, "</svg>\n");
}

static sb_status table_row(const sb_report_cells *c, bool head, sb_buf *out, sb_error *err)
{
    SB_TRY(sb_buf_addf(out, err, "<tr>"));
    for (int i = 0; i < c->n; i++)
        SB_TRY(sb_xml_add(out,
                          head     ? "<th scope=\"col\">"
                          : i == 0 ? "<th scope=\"row\">"
                                   : "<td>",
                          c->v[i], head || i == 0 ? "</th>" : "</td>", err));
    return sb_buf_addf(out, err, "</tr>\n");
}

static sb_status table(const sb_report *r, sb_buf *out, sb_error *err)
{
    sb_report_cells c;
    SB_TRY(sb_xml_add(out, "<div><table>\n<caption>", title_of(r), "</caption>\n<thead>", err));
    sb_report_heads(r, &c);
    SB_TRY(table_row(&c, true, out, err));
    SB_TRY(sb_buf_addf(out, err, "</thead>\n<tbody>\n"));
    for (size_t i = 0; i < r->n; i++) {
        sb_report_cells_of(r, &r->rows[i], &c);
        SB_TRY(table_row(&c, false, out, err));
    }
    SB_TRY(sb_buf_addf(out, err, "</tbody>\n<tfoot>"));
    sb_report_cells_of(r, &r->total, &c);
    SB_TRY(table_row(&c, false, out, err));
    return sb_buf_addf(out, err, "</tfoot>\n</table></div>\n");
}

sb_status sb_report_html(const sb_report *r, sb_buf *out, sb_error *err)
{
    char room[SB_FOOTPRINT_BYTES + 32];
    const char *note;
    SB_TRY(sb_buf_addf(out, err,
                       "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\"/>\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                       "<meta name=\"color-scheme\" content=\"light dark\"/>\n",
                       sb_french_wanted() ? "fr" : "en"));
    SB_TRY(sb_xml_add(out, "<title>", title_of(r), "</title>\n", err));
    SB_TRY(sb_buf_addf(out, err, "<style>%s</style></head>\n<body><main>\n", page_style));
    SB_TRY(sb_xml_add(out, "<h1>", title_of(r), "</h1>\n", err));
    SB_TRY(sb_report_svg(r, out, err));
    SB_TRY(table(r, out, err));
    for (int i = 0; (note = sb_report_note(r, i, room, sizeof room)); i++)
        SB_TRY(sb_xml_add(out, "<p class=\"s\">", note, "</p>\n", err));
    return sb_buf_addf(out, err, "</main></body></html>\n");
}
