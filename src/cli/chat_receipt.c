/* SPDX-License-Identifier: Apache-2.0
 * chat_receipt.c - the receipt of a chat's last answer: made here, or the server's.
 *
 * Nothing is opened before somebody asks. Asked for twice it is the same receipt, with one id. */
#include <string.h>

#include "base/limits.h"
#include "cli/chat_room.h"
#include "energy/receipt_key.h"

void sb_chat_receipt_drop(sb_chat_room *r)
{
    json_decref(r->last.receipt);
    r->last = (sb_chat_last){0};
}

void sb_chat_receipt_keep(sb_chat_room *r, const sb_turn *t)
{
    sb_chat_receipt_drop(r);
    r->last.any = true;
    r->last.answer = sb_receipt_answer_of(t, sb_chat_room_model(r), &r->host.footprint);
}

static sb_status ask_server(sb_chat_room *r, json_t **out, sb_error *err)
{
    sb_buf b;
    sb_buf_init(&b, SB_MAX_RECEIPT_BYTES, "receipt");
    sb_status s = sb_remote_receipt(r->remote, &b, err);
    if (s == SB_OK) s = sb_canon_read(out, b.p ? b.p : "", b.n, "the server's receipt", err);
    sb_buf_deinit(&b);
    return s;
}

static sb_status make(sb_chat_room *r, json_t **out, sb_error *err)
{
    sb_host *h = &r->host;
    if (r->remote) return ask_server(r, out, err);
    SB_TRY(sb_receipt_out_open_keys(&h->receipt, err));
    return sb_receipt_out_make(&h->receipt, h->ledger, &r->last.answer, out, err);
}

static void print(const sb_chat_room *r, const sb_receipt_view *v)
{
    sb_out *o = r->c->out;
    char line[SB_ENERGY_TEXT_BYTES], key[SB_RECEIPT_KEY_ID_BYTES];
    sb_energy e = r->last.answer.energy;
    sb_receipt_text(v, line, sizeof line);
    sb_out_addf(o, "%s\n", line);
    e.energy_uj = v->energy_uj;
    if (v->known) sb_footprint_say(&r->last.answer.footprint, &e, o);
    sb_path_escape(key, sizeof key, v->key_id);
    if (v->prev_hash[0])
        sb_out_say(o, "signed by key %s; in the ledger of the server", key);
    else
        sb_out_say(o, "signed by key %s; part of no chain", key);
    sb_out_add(o, "\n", 1);
}

sb_status sb_chat_receipt_show(sb_chat_room *r, const char *path, sb_error *err)
{
    sb_receipt_view v;
    if (!r->last.any) return SB_FAIL(err, SB_INVALID, "there is no answer yet");
    if (!r->last.receipt) SB_TRY(make(r, &r->last.receipt, err));
    SB_TRY(sb_receipt_check(r->last.receipt, &v, err)); /* a server may send anything */
    if (!v.sig[0]) return SB_FAIL(err, SB_CORRUPT, "this receipt is not signed");
    if (path) return sb_receipt_write(path, r->last.receipt, err);
    print(r, &v);
    return SB_OK;
}
