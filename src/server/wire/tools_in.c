/* SPDX-License-Identifier: Apache-2.0
 * tools_in.c - tools on offer as one JSON text, and the $ref of their parameters.
 *
 * The text is written anew rather than passed on: templates see the same keys in the same order,
 * whatever dialect the tool came in. */
#include "base/limits.h"
#include "server/wire/dialog.h"
#include "server/wire/json_writer.h"

#include <stdio.h>
#include <string.h>

sb_status sb_tool_name_check(const sb_fields *f, const char *field, sb_str name)
{
    if (name.n == 0 || name.n > SB_MAX_TOOL_NAME_BYTES)
        return sb_field_fail(f, field, SB_INVALID, "a name of 1 to %d bytes is expected",
                             SB_MAX_TOOL_NAME_BYTES);
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] <= ' ' || name.p[i] == 0x7f)
            return sb_field_fail(f, field, SB_INVALID,
                                 "a name has no blanks and no control characters");
    return SB_OK;
}

static sb_status write_tool(sb_tools *t, sb_str name, sb_str description, const json_t *parameters)
{
    sb_jw w;
    sb_jw_begin(&w, &t->text, &t->w->err);
    sb_jw_bytes(&w, t->n ? "," : "[");
    sb_jw_open(&w, '{');
    sb_jw_put_word(&w, "type", "function");
    sb_jw_put_open(&w, "function", '{');
    sb_jw_put_text(&w, "name", name);
    if (description.p) sb_jw_put_text(&w, "description", description);
    if (parameters) {
        sb_jw_key(&w, "parameters");
        sb_jw_json(&w, parameters);
    }
    sb_jw_close(&w, '}');
    sb_jw_close(&w, '}');
    return sb_jw_end(&w);
}

sb_status sb_tools_add(sb_tools *t, const sb_fields *f, sb_str name, sb_str description,
                       const json_t *parameters)
{
    const char *why = NULL;
    if (t->n == SB_MAX_TOOLS)
        return sb_field_fail(f, "", SB_LIMIT, "more than %d tools", SB_MAX_TOOLS);
    SB_TRY(sb_tool_name_check(f, "name", name));
    if (parameters && !json_is_object(parameters))
        return sb_field_fail(f, "parameters", SB_INVALID, "an object is expected");
    if (parameters) SB_TRY(sb_schema_refs(parameters, &t->n_refs, &why, &f->w->err));
    if (why) return sb_field_fail(f, "parameters", SB_INVALID, "%s", why);
    SB_TRY(write_tool(t, name, description, parameters));
    t->n++;
    return SB_OK;
}

static sb_status read_all(sb_tools *t, const json_t *tools, sb_tool_reader *read)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        char at[SB_PATH_ROOM];
        (void)snprintf(at, sizeof at, "tools[%zu].", i);
        const sb_fields f = {tool, at, t->w};
        if (!json_is_object(tool))
            return sb_field_fail(&f, "", SB_INVALID, "an object is expected");
        SB_TRY(read(t, &f));
    }
    return SB_OK;
}

static sb_status take_text(sb_tools *t, sb_str *out)
{
    if (!t->n) return SB_OK;
    SB_TRY(sb_buf_add(&t->text, "]", 1, &t->w->err));
    return sb_ask_copy(t->ask, (sb_str){t->text.p, t->text.n}, out, &t->w->err);
}

sb_status sb_tools_read(sb_ask *ask, sb_wire_error *w, const json_t *tools, sb_tool_reader *read,
                        bool offer, sb_str *out)
{
    sb_tools t = {.ask = ask, .w = w};
    sb_buf_init(&t.text, SB_MAX_TOOLS_BYTES, "tools");
    sb_status s = read_all(&t, tools, read);
    if (s == SB_OK && offer) s = take_text(&t, out);
    sb_buf_deinit(&t.text);
    return s;
}
