/* SPDX-License-Identifier: Apache-2.0
 * respond_body.c - bodies of the Responses routes that are no answers. */
#include "server/wire/respond.h"

#include <stdio.h>
#include <string.h>

void sb_respond_id(char out[SB_CALL_ID_BYTES * 2], const char *prefix, const char *id,
                   const char *mark, int64_t i)
{
    const size_t room = (size_t)SB_CALL_ID_BYTES * 2;
    if (i < 0)
        (void)snprintf(out, room, "%s%.80s", prefix, id);
    else
        (void)snprintf(out, room, "%s%.80s_%s%lld", prefix, id, mark, (long long)i);
}

/* ---- stored items ---- */

static size_t place_of(const json_t *list, sb_str id)
{
    size_t i = 0;
    for (; i < json_array_size(list); i++) {
        const json_t *own = json_object_get(json_array_get(list, i), "id");
        if (json_string_length(own) == id.n && id.n &&
            memcmp(json_string_value(own), id.p, id.n) == 0)
            break;
    }
    return i;
}

static void put_id_of(sb_jw *w, const char *key, const json_t *item)
{
    const char *id = json_string_value(json_object_get(item, "id"));
    sb_jw_put_word(w, key, id ? id : "");
}

static sb_status write_list(sb_buf *out, const json_t *list, const sb_respond_page *p, size_t first,
                            sb_error *err)
{
    const size_t n = json_array_size(list), limit = p->limit > 0 ? (size_t)p->limit : 20;
    const size_t end = n - first > limit ? first + limit : n;
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "object", "list");
    sb_jw_put_open(&w, "data", '[');
    for (size_t i = first; i < end; i++)
        sb_jw_json(&w, json_array_get(list, p->ascending ? i : n - 1 - i));
    sb_jw_close(&w, ']');
    const size_t last = end > first ? end - 1 : n;
    put_id_of(&w, "first_id", json_array_get(list, p->ascending ? first : n - 1 - first));
    put_id_of(&w, "last_id", json_array_get(list, p->ascending ? last : n - 1 - last));
    sb_jw_put_bool(&w, "has_more", end < n);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

sb_status sb_respond_item_list(sb_buf *out, sb_str items, const sb_respond_page *p, sb_error *err)
{
    sb_wire_error why = {0};
    json_t *list = NULL;
    size_t first = 0;
    if (sb_wire_json(&list, items, &why) != SB_OK)
        return SB_FAIL(err, why.err.code == SB_NO_MEMORY ? SB_NO_MEMORY : SB_CORRUPT,
                       "stored response: %.160s", why.err.msg);
    sb_status s = SB_OK;
    if (p->after.n) {
        const size_t at = place_of(list, p->after), n = json_array_size(list);
        if (at == n)
            s = SB_FAIL(err, SB_NOT_FOUND, "after: no such item");
        else
            first = p->ascending ? at + 1 : n - at;
    }
    if (s == SB_OK) s = write_list(out, list, p, first, err);
    json_decref(list);
    return s;
}

/* ---- small ones ---- */

sb_status sb_respond_deleted(sb_buf *out, sb_str id, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_text(&w, "id", id);
    sb_jw_put_word(&w, "object", "response");
    sb_jw_put_bool(&w, "deleted", true);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

sb_status sb_respond_tokens(sb_buf *out, int64_t n_tok, sb_error *err)
{
    sb_jw w;
    sb_jw_begin(&w, out, err);
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "object", "response.input_tokens");
    sb_jw_put_int(&w, "input_tokens", n_tok);
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}
