/* SPDX-License-Identifier: Apache-2.0
 * build.c - values from the caller: copied, checked, and with sticky errors, so that a conversation
 * of a hundred messages needs one check and not four hundred. */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "template/tpl.h"

#include <string.h>

sb_status sb_val_ctx_new(sb_val_ctx **out, sb_error *err)
{
    sb_val_ctx *c = sb_calloc(1, sizeof *c);
    if (!c) return SB_FAIL(err, SB_NO_MEMORY, "chat template: out of memory");
    sb_region_init(&c->mem, SB_MAX_TEMPLATE_MEMORY_BYTES);
    c->vars = sb_dict_new(&c->mem);
    if (!c->vars) {
        sb_val_ctx_free(c);
        return SB_FAIL(err, SB_NO_MEMORY, "chat template: out of memory");
    }
    *out = c;
    return SB_OK;
}

void sb_val_ctx_free(sb_val_ctx *c)
{
    if (!c) return;
    sb_region_deinit(&c->mem);
    sb_free(c);
}

sb_status sb_val_ctx_status(const sb_val_ctx *c, sb_error *err)
{
    if (c->status != SB_OK && err) *err = c->err;
    return c->status;
}

/* Keeps the first failure. */
static void keep(sb_val_ctx *c, sb_status code, const char *what)
{
    if (c->status != SB_OK) return;
    c->status = code == SB_NO_MEMORY ? sb_region_fail(&c->mem, &c->err)
                                     : SB_FAIL(&c->err, code, "chat template: %s", what);
}

sb_val sb_val_null(void)
{
    return (sb_val){.type = SB_VAL_NULL, .from_content = true};
}

sb_val sb_val_bool(bool b)
{
    return (sb_val){.type = SB_VAL_BOOL, .from_content = true, .as.b = b};
}

sb_val sb_val_int(int64_t i)
{
    return (sb_val){.type = SB_VAL_INT, .from_content = true, .as.i = i};
}

sb_val sb_val_float(double f)
{
    return (sb_val){.type = SB_VAL_FLOAT, .from_content = true, .as.f = f};
}

static sb_val text(sb_val_ctx *c, sb_str s, bool from_content)
{
    sb_val v = {.type = SB_VAL_STR, .from_content = from_content, .as.s = {.p = ""}};
    if (sb_utf8_valid(s.p, s.n) != s.n) {
        keep(c, SB_INVALID, "a text is not valid UTF-8");
        return v;
    }
    char *p = sb_region_bytes(&c->mem, &c->mem.text, s.n);
    if (!p) {
        keep(c, SB_NO_MEMORY, "");
        return v;
    }
    if (s.n) memcpy(p, s.p, s.n);
    v.as.s.p = p;
    v.as.s.n = s.n;
    return v;
}

sb_val sb_val_text(sb_val_ctx *c, sb_str s)
{
    return text(c, s, true);
}

sb_val sb_val_trusted(sb_val_ctx *c, sb_str s)
{
    return text(c, s, false);
}

sb_val sb_val_list(sb_val_ctx *c)
{
    sb_list *l = sb_list_new(&c->mem, 0);
    if (l) return sb_val_of_list(l, SB_VAL_LIST);
    keep(c, SB_NO_MEMORY, "");
    return (sb_val){0};
}

sb_val sb_val_dict(sb_val_ctx *c)
{
    sb_dict *d = sb_dict_new(&c->mem);
    if (d) return sb_val_of_dict(d, SB_VAL_DICT);
    keep(c, SB_NO_MEMORY, "");
    return (sb_val){0};
}

void sb_val_list_add(sb_val_ctx *c, sb_val list, sb_val item)
{
    if (list.type != SB_VAL_LIST)
        keep(c, SB_INVALID, "an item was added to what is no list");
    else if (!sb_list_push(&c->mem, list.as.list, item))
        keep(c, SB_NO_MEMORY, "");
}

static void put(sb_val_ctx *c, sb_val dict, sb_val key, sb_val v)
{
    if (dict.type != SB_VAL_DICT)
        keep(c, SB_INVALID, "a key was set in what is no dict");
    else if (!sb_dict_put(&c->mem, dict.as.dict, key, v))
        keep(c, SB_NO_MEMORY, "");
}

void sb_val_dict_set(sb_val_ctx *c, sb_val dict, sb_str key, sb_val v)
{
    put(c, dict, text(c, key, true), v);
}

void sb_val_dict_put(sb_val_ctx *c, sb_val dict, const char *key, sb_val v)
{
    put(c, dict, text(c, (sb_str){key, strlen(key)}, false), v);
}

sb_status sb_val_json(sb_val_ctx *c, sb_str json, sb_val *out, sb_error *err)
{
    return sb_tpl_json_read(&c->mem, json, out, err);
}

void sb_val_ctx_set_all(sb_val_ctx *c, sb_val dict)
{
    for (size_t i = 0; dict.type == SB_VAL_DICT && i < dict.as.dict->n; i++)
        put(c, sb_val_of_dict(c->vars, SB_VAL_DICT), dict.as.dict->v[i].k, dict.as.dict->v[i].v);
}

size_t sb_val_n_items(sb_val v)
{
    return v.type == SB_VAL_DICT ? v.as.dict->n : sb_val_is_seq(v) ? v.as.list->n : 0;
}

bool sb_val_dict_key(sb_val v, size_t i, sb_str *out)
{
    if (v.type != SB_VAL_DICT || i >= v.as.dict->n) return false;
    const sb_val *k = &v.as.dict->v[i].k;
    *out = (sb_str){k->as.s.p, k->as.s.n};
    return true;
}

void sb_val_ctx_set(sb_val_ctx *c, const char *name, sb_val v)
{
    sb_val_dict_put(c, sb_val_of_dict(c->vars, SB_VAL_DICT), name, v);
}

void sb_val_ctx_set_now(sb_val_ctx *c, int64_t local_s)
{
    c->now_s = local_s;
    c->has_now = true;
}
