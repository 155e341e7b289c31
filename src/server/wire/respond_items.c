/* SPDX-License-Identifier: Apache-2.0
 * respond_items.c - items of the Responses API to messages.
 *
 * What a model said in one go is one message: its reasoning, its text and its calls, as templates
 * know it. System and developer texts at the front are one system message; one that comes later is
 * the user's side of the conversation, because most templates know one system prompt, at the
 * front. */
#include "server/wire/respond.h"

#include "base/limits.h"
#include "server/wire/chat_messages.h"

#include <stdio.h>
#include <string.h>

static bool is(sb_str s, const char *word)
{
    return s.n == strlen(word) && (s.n == 0 || memcmp(s.p, word, s.n) == 0);
}

static bool begins(sb_str s, const char *head)
{
    return s.n >= strlen(head) && memcmp(s.p, head, strlen(head)) == 0;
}

static bool ends(sb_str s, const char *tail)
{
    const size_t n = strlen(tail);
    return s.n >= n && memcmp(s.p + s.n - n, tail, n) == 0;
}

static bool last_is(const sb_dialog *d, const char *role)
{
    return d->n && is(d->m[d->n - 1].role, role);
}

static sb_status ensure(sb_dialog *d, const char *role)
{
    return last_is(d, role) ? SB_OK : sb_dialog_add(d, role);
}

static sb_status need_text(const sb_fields *f, const char *name, size_t max, sb_str *out)
{
    *out = (sb_str){0};
    SB_TRY(sb_field_text(f, name, max, out));
    return out->p ? SB_OK : sb_field_fail(f, name, SB_INVALID, "missing");
}

/* ---- messages ---- */

static bool at_front(const sb_dialog *d)
{
    return d->n == 0 || (d->n == 1 && last_is(d, "system"));
}

/* The last message takes the content of this role from now on. */
static sb_status open_role(sb_dialog *d, const sb_fields *f)
{
    sb_str role;
    SB_TRY(need_text(f, "role", SB_MAX_ID_BYTES, &role));
    if (is(role, "user")) return sb_dialog_add(d, "user");
    if (is(role, "assistant")) return ensure(d, "assistant");
    if (!is(role, "system") && !is(role, "developer"))
        return sb_field_fail(f, "role", SB_INVALID,
                             "one of user, assistant, system, developer is expected");
    return at_front(d) ? ensure(d, "system") : sb_dialog_add(d, "user");
}

static sb_status read_message(sb_dialog *d, const sb_fields *f)
{
    SB_TRY(open_role(d, f));
    if (!sb_field_find(f, "content")) return sb_field_fail(f, "content", SB_INVALID, "missing");
    return sb_content_read(d, f, "content");
}

/* ---- what a model does besides ---- */

static sb_status think_texts(sb_dialog *d, const json_t *parts)
{
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *text = json_object_get(json_array_get(parts, i), "text");
        if (json_string_length(text)) SB_TRY(sb_dialog_think(d, sb_json_str(text)));
    }
    return SB_OK;
}

/* Its content, or else its summary. What only another server could decrypt is nothing here. */
static sb_status read_reasoning(sb_dialog *d, const sb_fields *f)
{
    const json_t *content = NULL, *summary = NULL;
    SB_TRY(sb_field_list(f, "content", &content));
    SB_TRY(sb_field_list(f, "summary", &summary));
    const json_t *parts = json_array_size(content) ? content : summary;
    if (!json_array_size(parts)) return SB_OK;
    const sb_message *m = last_is(d, "assistant") ? sb_dialog_last(d) : NULL;
    if (!m || m->content.p || m->n_parts || m->n_calls) SB_TRY(sb_dialog_add(d, "assistant"));
    return think_texts(d, parts);
}

static sb_status read_call(sb_dialog *d, const sb_fields *f)
{
    sb_str id, name;
    SB_TRY(need_text(f, "call_id", SB_MAX_ID_BYTES, &id));
    SB_TRY(need_text(f, "name", SB_MAX_TOOL_NAME_BYTES, &name));
    SB_TRY(sb_tool_name_check(f, "name", name));
    const json_t *arguments = sb_field_find(f, "arguments");
    if (arguments && !json_is_string(arguments))
        return sb_field_fail(f, "arguments", SB_INVALID, "JSON text is expected");
    SB_TRY(ensure(d, "assistant"));
    return sb_dialog_call(d, id, name, arguments);
}

static sb_status read_result(sb_dialog *d, const sb_fields *f)
{
    sb_str id;
    SB_TRY(need_text(f, "call_id", SB_MAX_ID_BYTES, &id));
    SB_TRY(sb_dialog_add(d, "tool"));
    sb_dialog_last(d)->tool_call_id = id;
    SB_TRY(sb_content_read(d, f, "output"));
    const sb_message *m = sb_dialog_last(d);
    return m->content.p || m->n_parts ? SB_OK : sb_dialog_text(d, (sb_str){"", 0});
}

/* What tools that are not on offer here leave in a conversation. */
static bool is_foreign(sb_str type)
{
    return ends(type, "_call") || ends(type, "_call_output") || begins(type, "mcp_") ||
           begins(type, "program") || begins(type, "compaction") || is(type, "additional_tools");
}

/* ---- stored responses ---- */

/* What is read of stored responses; the trees live in the ask's kept list. */
typedef struct stored {
    sb_ask *ask;
    size_t first; /* of the list, in this call */
} stored;

/* A list of a stored response's JSON text, now the last of kept. member: of an object, or NULL. */
static sb_status keep_list(sb_ask *a, sb_str text, const char *member, sb_error *err)
{
    sb_wire_error w = {0};
    json_t *tree = NULL;
    if (sb_wire_json(&tree, text, &w) != SB_OK)
        return w.err.code == SB_NO_MEMORY
                   ? SB_FAIL(err, SB_NO_MEMORY, "stored response: out of memory")
                   : SB_FAIL(err, SB_CORRUPT, "stored response: %.160s", w.err.msg);
    json_t *list = json_incref(member ? json_object_get(tree, member) : tree);
    json_decref(tree);
    if (!json_is_array(list)) {
        json_decref(list);
        return SB_FAIL(err, SB_CORRUPT, "stored response: no list of items");
    }
    if (!a->kept) a->kept = json_array();
    if (!a->kept) json_decref(list);
    if (!a->kept || json_array_append_new(a->kept, list) != 0)
        return SB_FAIL(err, SB_NO_MEMORY, "stored response: out of memory");
    return SB_OK;
}

/* Output first, then the input before it: the list is walked from its end. */
static sb_status keep_row(void *ctx, sb_str object, sb_str items, sb_error *err)
{
    const stored *s = ctx;
    size_t *sum = &s->ask->kept_bytes;
    if (ckd_add(sum, *sum, object.n) || ckd_add(sum, *sum, items.n) || *sum > SB_MAX_CHAIN_BYTES)
        return SB_FAIL(err, SB_LIMIT, "the stored responses have more than %d bytes",
                       SB_MAX_CHAIN_BYTES);
    SB_TRY(keep_list(s->ask, object, "output", err));
    return keep_list(s->ask, items, NULL, err);
}

static sb_status fetch(sb_dialog *d, sb_str id, bool chain, stored *s)
{
    const sb_wire_opts *o = &d->ask->opts;
    *s = (stored){.ask = d->ask, .first = json_array_size(d->ask->kept)};
    if (!o->stored) return SB_FAIL(&d->w->err, SB_NOT_FOUND, "nothing is stored here");
    return o->stored(o->stored_ctx, id, chain, keep_row, s, &d->w->err);
}

sb_status sb_respond_chain(sb_dialog *d, sb_str id)
{
    static const char name[] = "previous_response_id";
    stored s;
    const sb_status status = fetch(d, id, true, &s);
    if (status == SB_NOT_FOUND) {
        d->w->status = 400; // the resource of this route is the new one
        d->w->code = "previous_response_not_found";
        const sb_fields f = {NULL, "", d->w};
        return sb_field_fail(&f, name, SB_NOT_FOUND, "no response '%.*s' is stored",
                             (int)(id.n < 80 ? id.n : 80), id.p);
    }
    if (status == SB_LIMIT) memcpy(d->w->param, name, sizeof name);
    SB_TRY(status);
    for (size_t i = json_array_size(d->ask->kept); i > s.first; i--)
        SB_TRY(sb_respond_items(d, json_array_get(d->ask->kept, i - 1), name));
    return SB_OK;
}

/* "resp_ID" of an item's id "msg_ID_N"; false: it has not that shape. */
static bool response_of(sb_str item, char out[SB_CALL_ID_BYTES], sb_str *out_id)
{
    const char *from = memchr(item.p, '_', item.n);
    size_t end = item.n;
    while (end && item.p[end - 1] != '_')
        end--;
    const size_t begin = from ? (size_t)(from - item.p) + 1 : item.n;
    if (end < begin + 2 || end - begin > SB_CALL_ID_BYTES - 8) return false;
    const int n =
        snprintf(out, SB_CALL_ID_BYTES, "resp_%.*s", (int)(end - begin - 1), item.p + begin);
    *out_id = (sb_str){out, (size_t)n};
    return true;
}

static bool is_reference(const json_t *item)
{
    const json_t *type = json_object_get(item, "type");
    if (!type) return !json_object_get(item, "role") && json_object_get(item, "id");
    return json_is_string(type) && is(sb_json_str(type), "item_reference");
}

static const json_t *find_item(const sb_ask *a, size_t first, sb_str id)
{
    for (size_t i = first; i < json_array_size(a->kept); i++) {
        const json_t *list = json_array_get(a->kept, i);
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *item = json_array_get(list, k), *own = json_object_get(item, "id");
            const bool same = json_string_length(own) == id.n && id.n &&
                              memcmp(json_string_value(own), id.p, id.n) == 0;
            if (same && !is_reference(item)) return item;
        }
    }
    return NULL;
}

static sb_status read_item(sb_dialog *d, const sb_fields *f, bool is_stored);

/* An item that is named instead of sent. A stored reference to a reference would be a circle. */
static sb_status read_reference(sb_dialog *d, const sb_fields *f, bool is_stored)
{
    sb_str id, response;
    char name[SB_CALL_ID_BYTES];
    stored s;
    SB_TRY(need_text(f, "id", SB_MAX_ID_BYTES, &id));
    const json_t *item = find_item(d->ask, 0, id);
    if (!item && !is_stored && response_of(id, name, &response)) {
        const sb_status status = fetch(d, response, false, &s);
        if (status != SB_NOT_FOUND) SB_TRY(status);
        if (status == SB_OK) item = find_item(d->ask, s.first, id);
    }
    if (!item || is_stored) {
        d->w->status = 400;
        return sb_field_fail(f, "id", SB_NOT_FOUND, "no item '%.*s' is stored",
                             (int)(id.n < 80 ? id.n : 80), id.p);
    }
    const sb_fields named = {item, f->path, f->w};
    return read_item(d, &named, true);
}

/* ---- items ---- */

static sb_status read_item(sb_dialog *d, const sb_fields *f, bool is_stored)
{
    sb_str type = {0};
    SB_TRY(sb_field_text(f, "type", SB_MAX_ID_BYTES, &type));
    if (is_reference(f->o)) return read_reference(d, f, is_stored);
    if (!type.p || is(type, "message")) return read_message(d, f);
    if (is(type, "reasoning")) return read_reasoning(d, f);
    if (is(type, "function_call")) return read_call(d, f);
    if (is(type, "function_call_output")) return read_result(d, f);
    if (is_foreign(type))
        return sb_ask_warn(d->ask, &f->w->err,
                           "%stype: '%.*s' of a tool that is not here, left out", f->path,
                           (int)(type.n < 60 ? type.n : 60), type.p);
    return sb_field_fail(f, "type", SB_INVALID, "unknown kind of item");
}

sb_status sb_respond_items(sb_dialog *d, const json_t *items, const char *path)
{
    size_t n_named = 0;
    for (size_t i = 0; i < json_array_size(items); i++) {
        char at[SB_PATH_ROOM];
        (void)snprintf(at, sizeof at, "%s[%zu].", path, i);
        const sb_fields f = {json_array_get(items, i), at, d->w};
        n_named += is_reference(f.o);
        if (n_named > SB_MAX_ITEM_REFERENCES)
            return sb_field_fail(&f, "", SB_LIMIT, "more than %d items are named",
                                 SB_MAX_ITEM_REFERENCES);
        if (!json_is_object(f.o)) return sb_field_fail(&f, "", SB_INVALID, "an object is expected");
        SB_TRY(read_item(d, &f, false));
    }
    return SB_OK;
}
