/* SPDX-License-Identifier: Apache-2.0
 * globals.c - the functions every template sees. The date is the caller's: a template has no clock,
 * and names of days and months are English whatever the locale. */
#include "template/tpl.h"

#include <stdio.h>
#include <string.h>

/* ---- strftime_now ---- */

typedef struct date {
    int64_t year;
    int month, day, weekday, year_day, hour, minute, second; /* month 1.., weekday 0 = Sunday */
} date;

/* Days since 1970 to a date, by eras of 400 years that begin in March. */
static void civil(int64_t days, date *d)
{
    const int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t doe = z - era * 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    d->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    d->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    d->year = yoe + era * 400 + (d->month <= 2);
    const bool leap = (d->year % 4 == 0 && d->year % 100 != 0) || d->year % 400 == 0;
    // doy counts from March: January and February come after it
    d->year_day = (int)(d->month > 2 ? doy + 60 + leap : doy - 305);
    d->weekday = (int)(((days % 7) + 11) % 7);
}

static date date_of(int64_t s)
{
    date d;
    int64_t days = s / 86400, rest = s % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    civil(days, &d);
    d.hour = (int)(rest / 3600);
    d.minute = (int)(rest / 60 % 60);
    d.second = (int)(rest % 60);
    return d;
}

/* One conversion into out; 0 when it is unknown. */
static int convert(const date *d, char c, char out[32])
{
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    const int hour12 = d->hour % 12 ? d->hour % 12 : 12;
    switch (c) {
    case 'Y':
        return snprintf(out, 32, "%lld", (long long)d->year);
    case 'y':
        return snprintf(out, 32, "%02d", (int)(d->year % 100));
    case 'm':
        return snprintf(out, 32, "%02d", d->month);
    case 'd':
        return snprintf(out, 32, "%02d", d->day);
    case 'e':
        return snprintf(out, 32, "%2d", d->day);
    case 'j':
        return snprintf(out, 32, "%03d", d->year_day);
    case 'H':
        return snprintf(out, 32, "%02d", d->hour);
    case 'I':
        return snprintf(out, 32, "%02d", hour12);
    case 'M':
        return snprintf(out, 32, "%02d", d->minute);
    case 'S':
        return snprintf(out, 32, "%02d", d->second);
    case 'p':
        return snprintf(out, 32, d->hour < 12 ? "AM" : "PM");
    case 'B':
        return snprintf(out, 32, "%s", months[d->month - 1]);
    case 'b':
        return snprintf(out, 32, "%.3s", months[d->month - 1]);
    case 'A':
        return snprintf(out, 32, "%s", days[d->weekday]);
    case 'a':
        return snprintf(out, 32, "%.3s", days[d->weekday]);
    case 'F':
        return snprintf(out, 32, "%lld-%02d-%02d", (long long)d->year, d->month, d->day);
    case 'T':
        return snprintf(out, 32, "%02d:%02d:%02d", d->hour, d->minute, d->second);
    case '%':
        return snprintf(out, 32, "%%");
    default:
        return 0;
    }
}

sb_status sb_tpl_strftime(sb_run *r, sb_val format, int64_t now_s, sb_val *out)
{
    const date d = date_of(now_s);
    sb_text b = {.r = r};
    for (size_t i = 0; i < format.as.s.n; i++) {
        char text[32];
        SB_TRY(sb_tpl_spend(r, 1));
        if (format.as.s.p[i] != '%' || i + 1 == format.as.s.n) {
            SB_TRY(sb_text_add(&b, sb_text_cut(format, i, 1)));
            continue;
        }
        const int n = convert(&d, format.as.s.p[++i], text);
        if (n <= 0)
            return sb_tpl_fail(r, SB_UNSUPPORTED, "date format '%%%c' is not supported",
                               format.as.s.p[i]);
        SB_TRY(sb_text_add_raw(&b, text, (size_t)n, false));
    }
    *out = sb_text_val(&b);
    return SB_OK;
}

/* ---- the others ---- */

static sb_status range(sb_run *r, const sb_args *a, sb_val *out)
{
    int64_t v[3] = {0, 0, 1}, n = 0;
    if (a->n_pos < 1 || a->n_pos > 3 || a->n != a->n_pos)
        return sb_tpl_fail(r, SB_CORRUPT, "range with %d arguments", a->n);
    for (int i = 0; i < a->n_pos; i++)
        if (!sb_val_whole(a->v[i], &v[a->n_pos == 1 ? 1 : i]))
            return sb_tpl_fail(r, SB_CORRUPT, "range by %s", sb_tpl_type_name(a->v[i]));
    const int64_t from = v[0], to = v[1], step = v[2];
    if (!step) return sb_tpl_fail(r, SB_CORRUPT, "range with step 0");
    if (step > 0 ? from < to : from > to) {
        // Unsigned: the distance of two int64 always fits.
        const uint64_t gap =
            step > 0 ? (uint64_t)to - (uint64_t)from : (uint64_t)from - (uint64_t)to;
        const uint64_t width = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
        const uint64_t count = (gap - 1) / width + 1;
        SB_TRY(sb_tpl_spend(r, count));
        n = (int64_t)count;
    }
    sb_list *l = sb_list_new(&r->mem, (size_t)n);
    if (!l) return sb_tpl_oom(r);
    for (int64_t i = 0; i < n; i++)
        l->v[i] = (sb_val){
            .type = SB_VAL_INT, .from_content = a->v[0].from_content, .as.i = from + i * step};
    l->n = (size_t)n;
    *out = sb_val_of_list(l, SB_VAL_LIST);
    return SB_OK;
}

static sb_status make_dict(sb_run *r, const sb_args *a, sb_val_type type, sb_val *out)
{
    sb_dict *d = sb_dict_new(&r->mem);
    if (!d) return sb_tpl_oom(r);
    *out = sb_val_of_dict(d, type);
    return sb_tpl_update(r, d, a);
}

static sb_status raise(sb_run *r, const sb_args *a)
{
    sb_val text = sb_val_literal("(no reason given)");
    if (a->n_pos) SB_TRY(sb_tpl_str(r, a->v[0], &text));
    return SB_FAIL(r->err, SB_INVALID, "the chat template refused the conversation: %.*s",
                   text.as.s.n > 180 ? 180 : (int)text.as.s.n, text.as.s.p);
}

sb_status sb_tpl_global(sb_run *r, unsigned id, const sb_args *a, sb_val *out)
{
    switch ((sb_global_id)id) {
    case SB_GLOBAL_dict:
        return make_dict(r, a, SB_VAL_DICT, out);
    case SB_GLOBAL_namespace:
        return make_dict(r, a, SB_VAL_NAMESPACE, out);
    case SB_GLOBAL_raise_exception:
        return raise(r, a);
    case SB_GLOBAL_range:
        return range(r, a, out);
    case SB_GLOBAL_strftime_now: {
        const sb_val *format = sb_tpl_arg(r, a, 0, NULL);
        SB_TRY(sb_tpl_arg_str(r, format, "the date's format"));
        if (!r->ctx->has_now)
            return sb_tpl_fail(r, SB_UNSUPPORTED, "no date was given to the template");
        return sb_tpl_strftime(r, *format, r->ctx->now_s, out);
    }
    case SB_GLOBAL_COUNT:
        break;
    }
    return sb_tpl_fail(r, SB_UNSUPPORTED, "unknown function");
}
