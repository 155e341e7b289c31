/* SPDX-License-Identifier: Apache-2.0
 * calls.c - names checked, arguments collected, calls kept until the machine hands them out. */
#include "output/calls.h"

#include "base/alloc.h"
#include "output/json_scan.h"

#include <string.h>

#define LIT(text) ((sb_str){text, sizeof(text) - 1})

void sb_calls_init(sb_calls *c, sb_str tools)
{
    memset(c, 0, sizeof *c);
    c->tools = tools;
    sb_buf_init(&c->text, SB_MAX_CALL_BYTES, "tool calls");
    sb_buf_init(&c->name, SB_MAX_TOOL_NAME_BYTES, "name of a tool");
    sb_buf_init(&c->key, SB_MAX_CALL_BYTES, "name of an argument");
    sb_buf_init(&c->args, SB_MAX_CALL_BYTES, "arguments of a tool call");
}

void sb_calls_deinit(sb_calls *c)
{
    sb_free(c->v);
    sb_buf_deinit(&c->args);
    sb_buf_deinit(&c->key);
    sb_buf_deinit(&c->name);
    sb_buf_deinit(&c->text);
}

void sb_calls_clear(sb_calls *c)
{
    c->n = 0;
    c->n_args = 0;
    sb_buf_clear(&c->text);
    sb_buf_clear(&c->name);
    sb_buf_clear(&c->args);
}

static bool is_name(sb_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const char ch = s.p[i];
        const bool word = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                          (ch >= '0' && ch <= '9') || strchr("_-.:/", ch);
        if (!word || !ch) return false;
    }
    return s.n > 0;
}

sb_status sb_calls_name(sb_calls *c, sb_str name, sb_error *err)
{
    name = sb_json_trim(name);
    if (!is_name(name)) return SB_FAIL(err, SB_INVALID, "tool call: its name is none");
    sb_buf_clear(&c->name);
    sb_buf_clear(&c->args);
    c->n_args = 0;
    return sb_buf_add(&c->name, name.p, name.n, err);
}

/* ---- arguments, one by one ---- */

sb_status sb_calls_key(sb_calls *c, sb_str key, sb_error *err)
{
    key = sb_json_trim(key);
    if (key.n == 0) return SB_FAIL(err, SB_INVALID, "tool call: an argument has no name");
    if (c->n_args == SB_MAX_CALL_ARGS)
        return SB_FAIL(err, SB_LIMIT, "tool call: more than %d arguments", SB_MAX_CALL_ARGS);
    sb_buf_clear(&c->key);
    SB_TRY(sb_json_quote(&c->key, key, err));
    for (int32_t i = 0; i < c->n_args; i++) {
        const sb_key_span k = c->keys[i];
        if (k.n == c->key.n && memcmp(c->args.p + k.at, c->key.p, k.n) == 0)
            return SB_FAIL(err, SB_INVALID, "tool call: an argument is given twice");
    }
    SB_TRY(sb_buf_add(&c->args, c->n_args ? "," : "{", 1, err));
    c->keys[c->n_args++] = (sb_key_span){c->args.n, c->key.n};
    SB_TRY(sb_buf_add(&c->args, c->key.p, c->key.n, err));
    return sb_buf_add(&c->args, ":", 1, err);
}

sb_status sb_calls_text(sb_calls *c, sb_str text, sb_error *err)
{
    return sb_json_quote(&c->args, text, err);
}

sb_status sb_calls_json(sb_calls *c, sb_str json, sb_error *err)
{
    if (!sb_json_is_value(json)) return SB_FAIL(err, SB_INVALID, "tool call: not JSON");
    return sb_json_compact(&c->args, json, err);
}

/* ---- what the request says of its tools ---- */

static bool is_object(sb_str s)
{
    s = sb_json_trim(s);
    return s.n && s.p[0] == '{';
}

static bool is_string(sb_str s)
{
    return s.n && s.p[0] == '"';
}

/* True when the JSON string s says text; keys and names hold no escapes. */
static bool says(sb_str s, const char *p, size_t n)
{
    return is_string(s) && s.n == n + 2 && memcmp(s.p + 1, p, n) == 0;
}

/* The function of a tool on offer by name, or {NULL, 0}. */
static sb_str find_tool(const sb_calls *c, sb_str name)
{
    if (c->tools.n == 0 || is_object(c->tools)) return (sb_str){0};
    sb_json_iter it = {.rest = c->tools};
    while (sb_json_next(&it)) {
        const sb_str inner = sb_json_get(it.value, LIT("function"));
        const sb_str f = is_object(inner) ? inner : it.value;
        if (says(sb_json_get(f, LIT("name")), name.p, name.n)) return f;
    }
    return (sb_str){0};
}

static sb_str properties_of(const sb_calls *c, sb_str tool)
{
    const sb_str f = find_tool(c, tool);
    return f.n ? sb_json_get(sb_json_get(f, LIT("parameters")), LIT("properties")) : (sb_str){0};
}

sb_str sb_calls_param(const sb_calls *c, sb_str tool, int32_t i)
{
    const sb_str properties = properties_of(c, tool);
    if (!is_object(properties)) return (sb_str){0};
    sb_json_iter it = {.rest = properties};
    while (sb_json_next(&it))
        if (i-- == 0) return it.key;
    return (sb_str){0};
}

/* True when the argument whose quoted key was just given may be something else than a text. */
static bool wants_json(const sb_calls *c)
{
    const sb_str key = {c->key.p + 1, c->key.n - 2};
    const sb_str declared = sb_json_get(properties_of(c, (sb_str){c->name.p, c->name.n}), key);
    if (!declared.n) return false;
    return !says(sb_json_get(declared, LIT("type")), "string", 6);
}

sb_status sb_calls_typed(sb_calls *c, sb_str value, sb_error *err)
{
    if (wants_json(c) && sb_json_is_value(value)) return sb_json_compact(&c->args, value, err);
    const sb_str word = sb_json_trim(value);
    const bool yes = word.n == 4 && memcmp(word.p, "True", 4) == 0;
    const bool no = word.n == 5 && memcmp(word.p, "False", 5) == 0;
    if ((yes || no) && wants_json(c))
        return sb_buf_add(&c->args, yes ? "true" : "false", yes ? 4 : 5, err);
    return sb_calls_text(c, value, err);
}

/* ---- whole calls ---- */

static sb_status grow(sb_calls *c, sb_error *err)
{
    if (c->n < c->cap) return SB_OK;
    const size_t cap = c->cap ? 2 * c->cap : 4;
    sb_call_span *v = sb_realloc(c->v, cap, sizeof *v);
    if (!v) return SB_FAIL(err, SB_NO_MEMORY, "tool call: out of memory");
    c->v = v;
    c->cap = cap;
    return SB_OK;
}

/* The name and the arguments in the builder become a call. */
static sb_status keep(sb_calls *c, bool known, sb_error *err)
{
    const sb_str name = {c->name.p, c->name.n};
    if (name.n == 0) return SB_FAIL(err, SB_INVALID, "tool call: it has no name");
    if (known && find_tool(c, name).n == 0)
        return SB_FAIL(err, SB_INVALID, "tool call: no such tool is on offer");
    SB_TRY(grow(c, err));
    const sb_call_span s = {
        .name_at = c->text.n, .name_n = name.n, .args_at = c->text.n + name.n, .args_n = c->args.n};
    SB_TRY(sb_buf_add(&c->text, name.p, name.n, err));
    SB_TRY(sb_buf_add(&c->text, c->args.p, c->args.n, err));
    c->v[c->n++] = s;
    sb_buf_clear(&c->name);
    return SB_OK;
}

sb_status sb_calls_end(sb_calls *c, bool known, sb_error *err)
{
    SB_TRY(sb_buf_add(&c->args, c->n_args ? "}" : "{}", c->n_args ? 1 : 2, err));
    return keep(c, known, err);
}

/* Arguments as a model writes them: an object, nothing, or a string that holds an object. */
static sb_status set_args(sb_calls *c, sb_str json, sb_error *err)
{
    json = sb_json_trim(json);
    if (json.n == 0 || (json.n == 4 && memcmp(json.p, "null", 4) == 0)) json = LIT("{}");
    if (is_object(json)) return sb_json_compact(&c->args, json, err);
    if (!is_string(json)) return SB_FAIL(err, SB_INVALID, "tool call: arguments are no object");
    sb_buf inner;
    sb_buf_init(&inner, SB_MAX_CALL_BYTES, "arguments of a tool call");
    sb_status s = sb_json_unquote(&inner, json, err);
    const sb_str text = sb_json_trim((sb_str){inner.p, inner.n});
    if (s == SB_OK && !(is_object(text) && sb_json_is_value(text)))
        s = SB_FAIL(err, SB_INVALID, "tool call: arguments are no object");
    if (s == SB_OK) s = sb_json_compact(&c->args, text, err);
    sb_buf_deinit(&inner);
    return s;
}

sb_status sb_calls_args(sb_calls *c, sb_str json, sb_error *err)
{
    SB_TRY(set_args(c, json, err));
    return keep(c, false, err);
}

static sb_status one_object(sb_calls *c, sb_str o, bool known, sb_error *err)
{
    const sb_str inner = sb_json_get(o, LIT("function"));
    if (is_object(inner)) o = inner;
    sb_str name = sb_json_get(o, LIT("name"));
    if (!name.n) name = inner;
    if (!is_string(name)) return SB_FAIL(err, SB_INVALID, "tool call: it has no name");
    SB_TRY(sb_calls_name(c, (sb_str){name.p + 1, name.n - 2}, err));
    sb_str args = sb_json_get(o, LIT("arguments"));
    if (!args.n) args = sb_json_get(o, LIT("parameters"));
    SB_TRY(set_args(c, args, err));
    return keep(c, known, err);
}

sb_status sb_calls_object(sb_calls *c, sb_str json, bool known, sb_error *err)
{
    json = sb_json_trim(json);
    if (is_object(json)) return one_object(c, json, known, err);
    sb_json_iter it = {.rest = json};
    while (sb_json_next(&it)) {
        if (!is_object(it.value)) return SB_FAIL(err, SB_INVALID, "tool call: not an object");
        SB_TRY(one_object(c, it.value, known, err));
    }
    return SB_OK;
}
