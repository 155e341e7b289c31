/* SPDX-License-Identifier: Apache-2.0
 * score.c - the sums of a score, and its label.
 *
 * The label has the shape of the European energy label and none of its letters: classes would be a
 * claim that nobody has defined. Its arrows are powers of ten of watt-hours. */
#include "cli/score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/xml_text.h"
#include "energy/grid.h"

/* uJ of one run to microwatt-hours for a thousand queries. */
static double uwh_of(double uj, int64_t n_queries)
{
    return uj * 1000.0 / 3600.0 / (double)n_queries;
}

static double spread_of(const sb_score *s, double mean_uj)
{
    double sum = 0;
    if (s->n_runs < 2) return 0;
    for (int i = 0; i < s->n_runs; i++) {
        const double d = (double)s->runs[i].energy.energy_uj - mean_uj;
        sum += d * d;
    }
    return sqrt(sum / (s->n_runs - 1) / s->n_runs);
}

sb_score_result sb_score_of(const sb_score *s)
{
    double mid = 0, lo = 0, hi = 0, prefill = 0, decode = 0, ns = 0, in = 0, out = 0, cached = 0;
    const double n = s->n_runs, all = n * (double)s->n_queries;
    bool measured = true;
    int digits = 3;
    for (int i = 0; i < s->n_runs; i++) {
        const sb_score_run *r = &s->runs[i];
        mid += (double)r->energy.energy_uj / n;
        lo += (double)r->energy.lo_uj / n;
        hi += (double)r->energy.hi_uj / n;
        prefill += (double)r->prefill_part;
        decode += (double)r->decode_part;
        ns += (double)r->energy.duration_ns;
        in += (double)r->n_in;
        out += (double)r->n_out;
        cached += (double)r->n_cached;
        measured = measured && r->energy.source == SB_ENERGY_MEASURED;
        if (sb_energy_digits(&r->energy) < digits) digits = sb_energy_digits(&r->energy);
    }
    const double spread = spread_of(s, mid), low = lo - 2 * spread > 0 ? lo - 2 * spread : 0;
    const double part = prefill + decode > 0 ? prefill / (prefill + decode) : 0;
    sb_score_result r = {.source = measured ? SB_ENERGY_MEASURED : SB_ENERGY_ESTIMATED,
                         .digits = digits,
                         .seconds = ns / 1e9 / all,
                         .n_in = in / all,
                         .n_out = out / all,
                         .n_cached = cached / all,
                         .last = &s->runs[s->n_runs - 1].energy};
    r.uwh = llround(uwh_of(mid, s->n_queries));
    r.lo_uwh = llround(uwh_of(low, s->n_queries));
    r.hi_uwh = llround(uwh_of(hi + 2 * spread, s->n_queries));
    r.spread_uwh = llround(uwh_of(spread, s->n_queries));
    r.prefill_uwh = llround(uwh_of(mid * part, s->n_queries));
    r.decode_uwh = r.uwh - r.prefill_uwh;
    return r;
}

void sb_score_wh(int64_t uwh, int digits, char *out, size_t out_bytes)
{
    sb_decimal_text(sb_round_digits(uwh > 0 ? uwh : 0, digits), 6, out, out_bytes);
}

/* ---- the label ---- */

enum { ARROWS = 7, ARROW_TOP = 170, ARROW_STEP = 44 };

static const struct {
    int64_t below_uwh; /* the last: more than that of the one before */
    const char *text, *colour;
} arrows[ARROWS] = {
    {100000, "up to 0.1", "#00963f"},       {1000000, "up to 1", "#51ae32"},
    {10000000, "up to 10", "#c8d200"},      {100000000, "up to 100", "#ffed00"},
    {1000000000, "up to 1 000", "#fbba00"}, {10000000000, "up to 10 000", "#ec6608"},
    {INT64_MAX, "more", "#e30613"}};

static int arrow_of(int64_t uwh)
{
    int i = 0;
    while (i + 1 < ARROWS && uwh > arrows[i].below_uwh)
        i++;
    return i;
}

static sb_status put_arrows(int64_t uwh, const char *value, sb_buf *out, sb_error *err)
{
    const int at = arrow_of(uwh), y_at = ARROW_TOP + at * ARROW_STEP;
    for (int i = 0; i < ARROWS; i++) {
        const int y = ARROW_TOP + i * ARROW_STEP, x = 130 + i * 22;
        SB_TRY(sb_buf_addf(out, err,
                           "<path d=\"M24 %d H%d l17 17 l-17 17 H24 Z\" fill=\"%s\"/>"
                           "<text x=\"32\" y=\"%d\" font-size=\"15\">%s</text>\n",
                           y, x, arrows[i].colour, y + 22, arrows[i].text));
    }
    SB_TRY(sb_buf_addf(out, err, "<path d=\"M396 %d H334 l-17 17 l17 17 H396 Z\" fill=\"#111\"/>",
                       y_at));
    return sb_buf_addf(out, err,
                       "<text x=\"390\" y=\"%d\" font-size=\"15\" font-weight=\"bold\" "
                       "text-anchor=\"end\" fill=\"#fff\">%.9s</text>\n",
                       y_at + 22, value);
}

/* Lines of at most 56 characters, cut at blanks; as many as there is room for. */
static sb_status put_text(const char *text, int *y, int y_end, sb_buf *out, sb_error *err)
{
    char piece[64];
    while (*text && *y <= y_end) {
        size_t n = strlen(text);
        if (n > 56) {
            n = 56;
            while (n > 20 && text[n] != ' ')
                n--;
        }
        (void)snprintf(piece, sizeof piece, "%.*s", (int)n, text);
        SB_TRY(sb_buf_addf(out, err, "<text x=\"24\" y=\"%d\" font-size=\"12\">", *y));
        SB_TRY(sb_xml_add(out, "", piece, "</text>\n", err));
        text += n + (text[n] == ' ');
        *y += 16;
    }
    return SB_OK;
}

static sb_status put_head(const sb_score *s, const char *wh, const char *range, sb_buf *out,
                          sb_error *err)
{
    SB_TRY(sb_buf_addf(
        out, err,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"lt ld\" "
        "viewBox=\"0 0 420 760\" width=\"420\" height=\"760\" font-family=\"sans-serif\">\n"));
    SB_TRY(sb_xml_add(out, "<title id=\"lt\">Energy of ", s->model,
                      " (unofficial, not on an H100)</title>\n", err));
    SB_TRY(sb_buf_addf(out, err,
                       "<desc id=\"ld\">%s watt-hours for 1 000 queries, %s. A label of this "
                       "program's own; no authority issued it.</desc>\n",
                       wh, range));
    return sb_buf_addf(out, err,
                       "<rect x=\"2\" y=\"2\" width=\"416\" height=\"756\" fill=\"#fff\" "
                       "stroke=\"#003399\" stroke-width=\"4\"/>\n"
                       "<rect x=\"2\" y=\"2\" width=\"416\" height=\"66\" fill=\"#003399\"/>\n"
                       "<text x=\"24\" y=\"46\" font-size=\"30\" font-weight=\"bold\" "
                       "fill=\"#fff\">ENERGY</text>\n"
                       "<text x=\"396\" y=\"32\" font-size=\"13\" font-weight=\"bold\" "
                       "text-anchor=\"end\" fill=\"#fff\">unofficial</text>\n"
                       "<text x=\"396\" y=\"52\" font-size=\"13\" font-weight=\"bold\" "
                       "text-anchor=\"end\" fill=\"#fff\">non-H100</text>\n");
}

sb_status sb_score_label(const sb_score *s, sb_buf *out, sb_error *err)
{
    const sb_score_result r = sb_score_of(s);
    const bool measured = r.source == SB_ENERGY_MEASURED;
    char wh[40], lo[40], hi[40], prefill[40], decode[40], range[160], line[420];
    int y = 560;
    sb_score_wh(r.uwh, r.digits, wh, sizeof wh);
    sb_score_wh(r.lo_uwh, r.digits, lo, sizeof lo);
    sb_score_wh(r.hi_uwh, r.digits, hi, sizeof hi);
    sb_score_wh(r.prefill_uwh, r.digits, prefill, sizeof prefill);
    sb_score_wh(r.decode_uwh, r.digits, decode, sizeof decode);
    (void)snprintf(range, sizeof range, "%s to %s, %s", lo, hi,
                   measured ? "MEASURED" : "ESTIMATED, no measurement");
    SB_TRY(put_head(s, wh, range, out, err));
    (void)snprintf(line, sizeof line, "%.36s%s", s->model, strlen(s->model) > 36 ? "..." : "");
    SB_TRY(sb_xml_add(out, "<text x=\"24\" y=\"98\" font-size=\"17\" font-weight=\"bold\">", line,
                      "</text>\n", err));
    SB_TRY(
        sb_xml_add(out, "<text x=\"24\" y=\"120\" font-size=\"13\">", s->file, "</text>\n", err));
    SB_TRY(sb_buf_addf(out, err,
                       "<text x=\"24\" y=\"152\" font-size=\"13\">watt-hours for 1 000 queries"
                       "</text>\n"));
    SB_TRY(put_arrows(r.uwh, wh, out, err));
    SB_TRY(sb_buf_addf(out, err,
                       "<text x=\"24\" y=\"506\" font-size=\"24\" font-weight=\"bold\">%s%s Wh"
                       "</text>\n<text x=\"24\" y=\"530\" font-size=\"13\">%s</text>\n",
                       measured ? "" : "about ", wh, range));
    (void)snprintf(line, sizeof line, "%s: %s", r.last->meter, r.last->scope);
    SB_TRY(put_text(line, &y, 632, out, err));
    (void)snprintf(
        line, sizeof line,
        "prefill %s Wh, decode %s Wh; %lld queries x %d runs, one at a time, at most %lld "
        "tokens each; %.1f tokens read and %.1f written a query; %d threads; %s",
        prefill, decode, (long long)s->n_queries, s->n_runs, (long long)s->max_tokens, r.n_in,
        r.n_out, s->n_threads, s->date);
    SB_TRY(put_text(line, &y, 712, out, err));
    return sb_buf_addf(out, err,
                       "<text x=\"24\" y=\"730\" font-size=\"11\">Task shape of AI Energy Score "
                       "(text generation); unofficial, not on</text>\n<text x=\"24\" y=\"746\" "
                       "font-size=\"11\">an H100, other prompts and scope: not comparable with its "
                       "board.</text>\n</svg>\n");
}
