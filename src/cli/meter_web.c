/* SPDX-License-Identifier: Apache-2.0
 * meter_web.c - addresses to texts, for meters in the network. */
#include "cli/meter_web.h"

#include <stdlib.h>
#include <string.h>

/* A plug that hangs holds up an answer so long, once a second; a server's, nobody. */
enum { STALL_S = 1, STALL_BESIDE_S = 2 };

/* The text of one answer, as far as there is room. */
typedef struct page {
    char *out;
    size_t n, room;
} page;

static sb_status take(void *ctx, const unsigned char *p, size_t n, bool *out_enough, sb_error *err)
{
    page *g = ctx;
    (void)out_enough;
    if (n >= g->room - g->n) return SB_FAIL(err, SB_LIMIT, "a meter's answer is too long");
    memcpy(g->out + g->n, p, n);
    g->n += n;
    return SB_OK;
}

static bool get(void *ctx, const char *url, char *out, size_t out_bytes)
{
    sb_meter_web *w = ctx;
    page g = {.out = out, .room = out_bytes};
    sb_transfer_head head;
    sb_error err;
    const sb_transfer_request rq = {
        .url = url, .shown = "meter", .last_byte = UINT64_MAX, .ctx = &g, .body = take};
    if (sb_transfer_get(w->transfer, &rq, &head, &err) != SB_OK) return false;
    out[g.n] = 0;
    return head.status == 200;
}

size_t sb_meter_web_urls(const sb_args *a, const char **out)
{
    const char *sysfs = getenv("SOBRE_SYSFS_ROOT"), *url = getenv("SOBRE_METER_URL");
    if (sysfs && sysfs[0]) return 0;
    const size_t n = sb_args_texts(a, SB_OPT_meter_url, out);
    if (n > 0 || !url || !url[0]) return n;
    out[0] = url;
    return 1;
}

sb_status sb_meter_web_open(sb_meter_web *w, const sb_args *a, sb_meter_roots *out, sb_error *err)
{
    *w = (sb_meter_web){.fetch = {get, w}};
    *out = (sb_meter_roots){.sysfs = getenv("SOBRE_SYSFS_ROOT")};
    out->n_urls = sb_meter_web_urls(a, w->urls);
    if (out->n_urls == 0) return SB_OK;
    const sb_transfer_opts o = {.stall_s = a->cmd == SB_CMD_serve ? STALL_BESIDE_S : STALL_S};
    SB_TRY(sb_transfer_new(&w->transfer, &o, err));
    out->fetch = &w->fetch;
    out->urls = w->urls;
    return SB_OK;
}

void sb_meter_web_close(sb_meter_web *w)
{
    sb_transfer_free(w->transfer);
    w->transfer = NULL;
}
