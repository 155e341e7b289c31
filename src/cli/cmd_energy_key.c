/* SPDX-License-Identifier: Apache-2.0
 * cmd_energy_key.c - `sobre energy key` and `sobre energy verify`: who signs receipts, and whether
 * one is right. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/cmd_energy.h"
#include "cli/json_out.h"
#include "energy/receipt.h"
#include "energy/receipt_key.h"
#include "store/store.h"

/* ---- keys ---- */

static sb_status show(const sb_cli *c, sb_receipt_keys *k, sb_error *err)
{
    sb_buf b;
    json_t *o = NULL;
    sb_buf_init(&b, SB_MAX_PIN_BYTES, "receipt keys");
    sb_status s = sb_receipt_keys_json(k, &b, err);
    if (s == SB_OK && c->args->v[SB_OPT_json].set) {
        sb_out_addf(c->out, "%.*s\n", (int)b.n, b.p);
    } else if (s == SB_OK && (s = sb_canon_read(&o, b.p, b.n, "receipt keys", err)) == SB_OK) {
        sb_out_addf(c->out, "%s  %s\n", json_string_value(json_object_get(o, "key_id")),
                    json_string_value(json_object_get(o, "public_key")));
        const size_t n_old = json_array_size(json_object_get(o, "keys")) - 1;
        sb_term_say("signs receipts now; public keys of before that are kept: %zu", n_old);
    }
    json_decref(o);
    sb_buf_deinit(&b);
    return s;
}

sb_status sb_cmd_energy_key(const sb_cli *c, sb_error *err)
{
    sb_store *store = NULL;
    sb_receipt_keys *k = NULL;
    const char *what = c->args->n_words > 1 ? c->args->words[1] : "show";
    const bool rotate = strcmp(what, "rotate") == 0;
    if (!rotate && strcmp(what, "show") != 0) {
        *c->usage = true;
        return SB_FAIL(err, SB_INVALID, "energy key: show or rotate");
    }
    SB_TRY(sb_store_open(&store, NULL, err));
    sb_status s = sb_receipt_keys_open(&k, sb_store_home(store), err);
    if (s == SB_OK && rotate) s = sb_receipt_keys_rotate(k, err);
    if (s == SB_OK) s = show(c, k, err);
    sb_receipt_keys_close(k);
    sb_store_close(store);
    return s;
}

/* ---- one receipt ---- */

/* Standard input for "-"; at most max bytes. */
static sb_status read_small(const char *path, size_t max, sb_buf *out, sb_error *err)
{
    char piece[4096], shown[96];
    const bool is_in = strcmp(path, "-") == 0;
    sb_path_escape(shown, sizeof shown, path);
    const int fd = is_in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return SB_FAIL(err, SB_NOT_FOUND, "cannot open '%s': %s", shown, strerror(errno));
    sb_buf_init(out, max, "receipt");
    sb_status s = SB_OK;
    ssize_t n = 0;
    while (s == SB_OK && (n = read(fd, piece, sizeof piece)) > 0)
        s = sb_buf_add(out, piece, (size_t)n, err);
    if (n < 0) s = SB_FAIL(err, SB_IO, "cannot read '%s': %s", shown, strerror(errno));
    if (!is_in) (void)close(fd);
    return s;
}

static sb_status find_key(const sb_cli *c, const char *id, unsigned char *out, sb_error *err)
{
    const char *file = c->args->v[SB_OPT_receipt_key].s;
    sb_store *store = NULL;
    sb_buf text = {0};
    if (!file) {
        SB_TRY(sb_store_open(&store, NULL, err));
        const sb_status s = sb_receipt_key_find(sb_store_home(store), id, out, err);
        sb_store_close(store);
        return s;
    }
    sb_status s = read_small(file, SB_MAX_PIN_BYTES, &text, err);
    if (s == SB_OK) s = sb_receipt_key_read((sb_str){text.p ? text.p : "", text.n}, id, out, err);
    sb_buf_deinit(&text);
    return s;
}

/* Hash, label and signature. */
static sb_status verify(const sb_cli *c, const json_t *receipt, sb_receipt_view *v, sb_error *err)
{
    unsigned char key[SB_RECEIPT_KEY_BYTES];
    sb_buf b;
    SB_TRY(sb_receipt_check(receipt, v, err));
    if (!v->settled)
        return SB_FAIL(err, SB_INVALID,
                       "this receipt is provisional: ask the server for the settled one");
    if (!v->sig[0]) return SB_FAIL(err, SB_CORRUPT, "this receipt is not signed");
    SB_TRY(find_key(c, v->key_id, key, err));
    sb_buf_init(&b, SB_MAX_RECEIPT_BYTES, "receipt");
    sb_status s = sb_receipt_signed_bytes(receipt, &b, err);
    if (s == SB_OK && !sb_receipt_sig_ok(key, (sb_str){b.p, b.n}, v->sig))
        s = SB_FAIL(err, SB_CORRUPT, "the signature is not that of key %s", v->key_id);
    sb_buf_deinit(&b);
    return s;
}

static void put_wall(json_t *o, const sb_wall *w, bool *ok)
{
    sb_json_put(o, "wall_uj", json_integer(w->uj), ok);
    sb_json_put(o, "wall_uj_low", json_integer(w->lo_uj), ok);
    sb_json_put(o, "wall_uj_high", json_integer(w->hi_uj), ok);
    sb_json_put(o, "wall_basis", json_string(w->words), ok);
}

static sb_status print(const sb_cli *c, const sb_receipt_view *v, bool valid, const char *why,
                       sb_error *err)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    sb_json_put(o, "valid", json_boolean(valid), &ok);
    sb_json_put(o, "why", valid ? json_null() : sb_json_text((sb_str){why, strlen(why)}), &ok);
    if (valid) {
        sb_json_put(o, "id", json_string(v->id), &ok);
        sb_json_put(o, "energy_uj", v->known ? json_integer(v->energy_uj) : json_null(), &ok);
        sb_json_put(o, "label", json_string(sb_receipt_label(v->kind)), &ok);
        if (v->wall.known) put_wall(o, &v->wall, &ok);
        sb_json_put(o, "key_id", json_string(v->key_id), &ok);
    }
    if (ok) return sb_json_print(c->out, o, err);
    json_decref(o);
    return SB_FAIL(err, SB_NO_MEMORY, "JSON: no memory");
}

sb_status sb_cmd_energy_verify(const sb_cli *c, sb_error *err)
{
    sb_buf text = {0};
    json_t *receipt = NULL;
    sb_receipt_view v = {0};
    sb_error why = {0};
    char line[SB_ENERGY_TEXT_BYTES];
    sb_status s = read_small(c->args->words[1], SB_MAX_RECEIPT_BYTES, &text, &why);
    if (s == SB_OK) s = sb_canon_read(&receipt, text.p ? text.p : "", text.n, "receipt", &why);
    if (s == SB_OK) s = verify(c, receipt, &v, &why);
    if (c->args->v[SB_OPT_json].set) {
        const sb_status printed = print(c, &v, s == SB_OK, why.msg, err);
        if (s == SB_OK) s = printed;
    } else if (s == SB_OK) {
        sb_receipt_text(&v, line, sizeof line);
        sb_out_addf(c->out, "%s\n", line);
        sb_wall_text(&v.wall, line, sizeof line);
        if (line[0]) sb_out_addf(c->out, "%s\n", line);
        sb_term_say("the receipt is right: signed by key %s", v.key_id);
    }
    if (s != SB_OK && why.msg[0] && err) *err = why;
    json_decref(receipt);
    sb_buf_deinit(&text);
    return s;
}
