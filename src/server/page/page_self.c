/* SPDX-License-Identifier: Apache-2.0
 * page_self.c - who is here, what this server is, and what the hours took. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "server/page/page_in.h"
#include "sobre.h"
#include "store/sums.h"

enum { FILE_BYTES = 1000000, MAX_HOURS = 24 * 31 };

sb_status sb_page_hello(sb_page_call *c)
{
    sb_jw w;
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", SOBRE_VERSION_MAJOR, SOBRE_VERSION_MINOR,
                   SOBRE_VERSION_PATCH);
    sb_jw_begin(&w, &c->out, &c->w.err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "version", version);
    sb_jw_put_word(&w, "auth", sb_server_has_keys(c->page->sv) ? "key" : "none");
    sb_jw_put_word(&w, "owner", c->who.name);
    sb_jw_put_bool(&w, "may_manage", c->who.may_manage);
    sb_jw_put_open(&w, "limits", '{');
    sb_jw_put_int(&w, "file_bytes", FILE_BYTES);
    sb_jw_put_int(&w, "message_bytes", SB_MAX_MESSAGE_BYTES);
    sb_jw_close(&w, '}');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* The key comes once; from then on the browser shows a cookie that no script can read. */
sb_status sb_page_sign_in(sb_page_call *c)
{
    sb_str key;
    char cookie[SB_COOKIE_BYTES];
    sb_caller who;
    SB_TRY(sb_page_text(c, "key", &key));
    const sb_status st =
        sb_server_sign_in(c->page->sv, key, sb_x_request(c->x)->is_tls, cookie, &who, &c->w.err);
    if (st == SB_INVALID || st == SB_NOT_FOUND) {
        c->w.status = 401;
        c->w.code = "invalid_api_key";
        return st;
    }
    SB_TRY(st);
    sb_x_header(c->x, "set-cookie", cookie);
    return SB_OK;
}

sb_status sb_page_sign_out(sb_page_call *c)
{
    char cookie[SB_COOKIE_BYTES];
    sb_server_sign_out(sb_x_request(c->x)->is_tls, cookie);
    sb_x_header(c->x, "set-cookie", cookie);
    return SB_OK;
}

/* ---- energy by the hour ---- */

typedef struct hours {
    int64_t from, n;
    sb_sum *v; /* [n] */
    sb_sum sum;
} hours;

static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum = 0;
    return ckd_add(&sum, a, b) ? INT64_MAX : sum;
}

static sb_status take_hour(void *ctx, const sb_sum *s, sb_error *err)
{
    (void)err;
    hours *h = ctx;
    if (s->hour < h->from || s->hour - h->from >= h->n) return SB_OK;
    h->v[s->hour - h->from] = *s;
    h->sum.n_answers = plus(h->sum.n_answers, s->n_answers);
    h->sum.n_out = plus(h->sum.n_out, s->n_out);
    h->sum.energy_uj = plus(h->sum.energy_uj, s->energy_uj);
    return SB_OK;
}

static void put_hour(sb_jw *w, const sb_sum *s, const char *source)
{
    sb_jw_open(w, '{');
    sb_jw_put_int(w, "answers", s->n_answers);
    sb_jw_put_int(w, "tokens", s->n_out);
    sb_jw_put_open(w, "energy", '{');
    sb_jw_put_word(w, "source", s->energy_uj ? source : "unavailable");
    if (s->energy_uj) sb_jw_put_int(w, "energy_uj", s->energy_uj);
    sb_jw_close(w, '}');
    sb_jw_close(w, '}');
}

static sb_status put_hours(sb_page_call *c, hours *h)
{
    SB_TRY(sb_sum_list(sb_server_db(c->page->sv), c->who.owner, h->from, h->from + h->n, take_hour,
                       h, &c->w.err));
    sb_jw w;
    sb_jw_begin(&w, &c->out, &c->w.err);
    sb_jw_open(&w, '{');
    sb_jw_put_open(&w, "hours", '[');
    // Sums do not say how they were found: they promise no more than an estimate.
    for (int64_t i = 0; i < h->n; i++)
        put_hour(&w, &h->v[i], "estimated");
    sb_jw_close(&w, ']');
    sb_jw_key(&w, "sum");
    put_hour(&w, &h->sum, "estimated");
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

/* ?from=SECONDS&hours=N: whole hours from that moment's on. */
sb_status sb_page_energy(sb_page_call *c)
{
    hours h = {.from = sb_page_number(c, "from", 0) / 3600, .n = sb_page_number(c, "hours", 24)};
    if (h.n < 1 || h.n > MAX_HOURS) h.n = 24;
    h.v = sb_calloc((size_t)h.n, sizeof *h.v);
    if (!h.v) return sb_page_fail(c, SB_NO_MEMORY, "", "no memory");
    const sb_status st = put_hours(c, &h);
    sb_free(h.v);
    return st;
}
