/* SPDX-License-Identifier: Apache-2.0
 * routes_receipts.c - the receipt of an answer, and the keys that sign them. */
#include "base/limits.h"
#include "server/look.h"
#include "server/receipts.h"
#include "server/router.h"
#include "server/server_in.h"

sb_status sb_server_receipt_find(sb_server *sv, const sb_caller *who, sb_str id, sb_buf *out,
                                 sb_error *err)
{
    return sb_receipts_find(sv->receipts, who->owner, id, out, err);
}

static void look_receipt(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_buf body;
    sb_error err;
    sb_buf_init(&body, SB_MAX_RECEIPT_BYTES, "receipt");
    const sb_str id = sb_path_segment(sb_x_request(x)->path, 2); /* /v1/receipts/ID */
    const sb_status s = sb_server_receipt_find(sv, who, id, &body, &err);
    sb_look_reply(x, &body, s, &err);
}

void sb_route_receipt_get(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_receipt);
}

static void look_keys(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_buf body;
    sb_error err;
    (void)who;
    sb_buf_init(&body, SB_MAX_REPLY_BYTES, "receipt keys");
    const sb_status s = sb_receipts_keys(sv->receipts, &body, &err);
    sb_look_reply(x, &body, s, &err);
}

void sb_route_receipt_key(sb_server *sv, sb_x *x, const sb_caller *who)
{
    sb_look_begin(sv, x, who, look_keys);
}

/* One receipt a request: its choices' energy together. */
void sb_server_receipt(sb_server *sv, int64_t owner, sb_str id, sb_str model, const sb_turn *turns,
                       size_t n)
{
    sb_energy energies[SB_MAX_CHOICES];
    uint64_t owners[SB_MAX_CHOICES];
    sb_receipts_answer a = {
        .key = owner, .id = id, .model = model, .energies = energies, .owners = owners};
    for (size_t i = 0; i < n && a.n_choices < SB_MAX_CHOICES; i++) {
        const sb_turn *t = &turns[i];
        if (t->prompt_ids.n == 0) continue; /* it never began */
        owners[a.n_choices] = t->owner;
        energies[a.n_choices++] = t->energy;
        a.n_in += (int64_t)t->prompt_ids.n;
        a.n_cached += t->n_cached;
        a.n_out += (int64_t)t->ids.n;
    }
    sb_receipts_end(sv->receipts, &a);
}
