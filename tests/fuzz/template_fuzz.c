/* SPDX-License-Identifier: Apache-2.0
 * template_fuzz.c - libFuzzer entry: a template and the variables it is rendered with.
 *
 * Input: the template's source, a NUL, then JSON text that becomes the variable `c` and, where it
 * is an object, every variable it names. Checked: segments touch and cover the text; the text is
 * UTF-8; a second render gives the same; and no byte that only the variables hold is literal. */
#include "base/alloc.h"
#include "base/utf8.h"
#include "template/template.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok) abort();
}

/* Bytes 1..8 of content are foreign to a template that does not hold them, nor a way to make them:
 * no escapes, no numbers, no case or filter turns anything else into them. */
static bool is_foreign(char c)
{
    return c >= 1 && c <= 8;
}

static void check_origin(const sb_rendered *r, bool foreign_in_source)
{
    size_t at = 0;
    for (size_t i = 0; i < r->n_segments; i++) {
        const sb_segment *s = &r->segments[i];
        check(s->offset == at && s->bytes > 0);
        check(!i || s->from_content != s[-1].from_content);
        at += s->bytes;
        if (s->from_content || foreign_in_source) continue;
        for (size_t k = 0; k < s->bytes; k++)
            check(!is_foreign(r->text[s->offset + k]));
    }
    check(at == r->bytes && r->text[r->bytes] == 0);
    check(sb_utf8_valid(r->text, r->bytes) == r->bytes);
}

/* A foreign byte in the source, or a backslash or a format's "%" that could make one. */
static bool has_foreign(sb_str source)
{
    for (size_t i = 0; i < source.n; i++) {
        const char c = source.p[i], before = i ? source.p[i - 1] : 0;
        const char next = i + 1 < source.n ? source.p[i + 1] : 0;
        const bool mark = before == '{' || next == '}';
        if (is_foreign(c) || c == '\\' || (c == '%' && !mark)) return true;
    }
    return false;
}

static sb_val_ctx *variables(sb_str json)
{
    sb_val_ctx *c = NULL;
    sb_error err = {0};
    sb_val v;
    if (sb_val_ctx_new(&c, &err) != SB_OK) return NULL;
    if (sb_val_json(c, json, &v, &err) != SB_OK) v = sb_val_text(c, json);
    sb_val_ctx_set_all(c, v);
    sb_val_ctx_set(c, "c", v);
    sb_val_ctx_set(c, "bos_token", sb_val_trusted(c, (sb_str){"<s>", 3}));
    sb_val_ctx_set_now(c, 1709211909);
    return c;
}

static void render_twice(const sb_template *t, const sb_val_ctx *c, bool foreign_in_source)
{
    sb_rendered a = {0}, b = {0};
    sb_error err = {0};
    const sb_status s = sb_template_render(t, c, &a, &err);
    check(s == SB_OK || (err.msg[0] && !a.text));
    if (s == SB_OK) {
        check_origin(&a, foreign_in_source);
        check(sb_template_render(t, c, &b, &err) == SB_OK);
        check(a.bytes == b.bytes && memcmp(a.text, b.text, a.bytes) == 0);
        check(a.n_segments == b.n_segments);
    }
    sb_rendered_deinit(&a);
    sb_rendered_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *p = (const char *)data, *nul = n ? memchr(p, 0, n) : NULL;
    const size_t source_n = nul ? (size_t)(nul - p) : n;
    const sb_str source = {p, source_n};
    const sb_str json = nul ? (sb_str){nul + 1, n - source_n - 1} : (sb_str){"\"\\u0001x\"", 9};
    sb_template *t = NULL;
    sb_error err = {0};
    if (sb_template_new(&t, source, &err) != SB_OK) {
        check(!t && err.msg[0]);
        return 0;
    }
    sb_val_ctx *c = variables(json);
    if (c) render_twice(t, c, has_foreign(source));
    sb_val_ctx_free(c);
    sb_template_free(t);
    return 0;
}
