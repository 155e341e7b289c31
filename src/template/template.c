/* SPDX-License-Identifier: Apache-2.0
 * template.c - the room's door: source in, tree kept; variables in, text and segments out. */
#include "template/template.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "template/parser.h"
#include "template/tpl.h"

#include <string.h>

enum { BYTES_PER_EXTRA_STEP = 2 }; /* some 200 steps for a short message */

/* Copies the source with every newline made \n and one newline at its end dropped. */
static sb_status take_source(sb_template *t, sb_str s, sb_error *err)
{
    char *p = sb_region_bytes(&t->mem, &t->mem.text, s.n + 1);
    if (!p) return sb_region_fail(&t->mem, err);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') continue;
        p[n++] = s.p[i] == '\r' ? '\n' : s.p[i];
    }
    if (n && p[n - 1] == '\n') n--;
    p[n] = 0;
    t->source = p;
    t->source_bytes = n;
    return SB_OK;
}

sb_status sb_template_new(sb_template **out, sb_str source, sb_error *err)
{
    if (source.n > SB_MAX_TEMPLATE_BYTES)
        return SB_FAIL(err, SB_LIMIT, "chat template: %zu bytes, the limit is %d", source.n,
                       SB_MAX_TEMPLATE_BYTES);
    const size_t bad = sb_utf8_valid(source.p, source.n);
    if (bad != source.n)
        return SB_FAIL(err, SB_INVALID, "chat template: not UTF-8 at byte %zu", bad);
    sb_template *t = sb_calloc(1, sizeof *t);
    if (!t) return SB_FAIL(err, SB_NO_MEMORY, "chat template: out of memory");
    sb_region_init(&t->mem, SB_MAX_TEMPLATE_MEMORY_BYTES);
    sb_status s = take_source(t, source, err);
    if (s == SB_OK) s = sb_tpl_parse(t, err);
    if (s != SB_OK) {
        sb_template_free(t);
        return s;
    }
    *out = t;
    return SB_OK;
}

void sb_template_free(sb_template *t)
{
    if (!t) return;
    sb_region_deinit(&t->mem);
    sb_free(t);
}

sb_status sb_template_literals(const sb_template *t, sb_template_literal_fn fn, void *ctx,
                               sb_error *err)
{
    for (const sb_node *n = t->literals; n; n = n->all)
        SB_TRY(fn(ctx, (sb_str){n->val.as.s.p, n->val.as.s.n}, err));
    return SB_OK;
}

/* Copies the variables that the template mentions into the first scope, containers and all. */
static sb_status take_vars(sb_run *r, const sb_dict *vars)
{
    for (size_t i = 0; i < vars->n; i++) {
        const sb_val *k = &vars->v[i].k;
        sb_val v;
        const int32_t sym = sb_tpl_find_sym(r->t, k->as.s.p, k->as.s.n);
        if (sym <= SB_SYM_BLOCK) continue;
        SB_TRY(sb_val_clone(r, vars->v[i].v, &v));
        SB_TRY(sb_tpl_set(r, sym, v));
    }
    return SB_OK;
}

/* Runs of equal marks as segments. */
static sb_status make_segments(const sb_sink *k, sb_rendered *out, sb_error *err)
{
    const char *m = k->marks.p;
    size_t n = k->marks.n ? 1 : 0;
    for (size_t i = 1; i < k->marks.n; i++)
        n += m[i] != m[i - 1];
    out->segments = sb_alloc(n, sizeof *out->segments);
    if (!out->segments) return SB_FAIL(err, SB_NO_MEMORY, "chat template: out of memory");
    for (size_t i = 0; i < k->marks.n; i++) {
        if (i && m[i] == m[i - 1]) {
            out->segments[out->n_segments - 1].bytes++;
            continue;
        }
        out->segments[out->n_segments++] =
            (sb_segment){.offset = i, .bytes = 1, .from_content = m[i] != 0};
    }
    return SB_OK;
}

static sb_status render(sb_run *r, sb_sink *k, sb_rendered *out)
{
    sb_flow flow = SB_FLOW_ON;
    sb_rendered made = {0};
    r->sink = k;
    r->scope = sb_region_take(&r->mem, 1, sizeof *r->scope);
    if (!r->scope) return sb_tpl_oom(r);
    SB_TRY(take_vars(r, r->ctx->vars));
    SB_TRY(sb_tpl_exec(r, r->t->body, &flow));
    SB_TRY(sb_buf_add(&k->text, "", 0, r->err)); // an empty render has a text too
    SB_TRY(make_segments(k, &made, r->err));
    made.text = k->text.p;
    made.bytes = k->text.n;
    k->text.p = NULL; // handed over
    *out = made;
    return SB_OK;
}

sb_status sb_template_render(const sb_template *t, const sb_val_ctx *c, sb_rendered *out,
                             sb_error *err)
{
    SB_TRY(sb_val_ctx_status(c, err));
    sb_sink k;
    sb_run r = {.t = t, .ctx = c, .err = err};
    // A long conversation is work asked for: the budget grows with the memory its values take.
    r.budget = SB_MAX_TEMPLATE_STEPS + c->mem.used / BYTES_PER_EXTRA_STEP;
    r.steps_left = r.budget;
    sb_region_init(&r.mem, SB_MAX_TEMPLATE_MEMORY_BYTES);
    sb_buf_init(&k.text, SB_MAX_TEMPLATE_OUTPUT_BYTES, "chat template output");
    sb_buf_init(&k.marks, SB_MAX_TEMPLATE_OUTPUT_BYTES, "chat template output");
    const sb_status s = render(&r, &k, out);
    sb_buf_deinit(&k.text);
    sb_buf_deinit(&k.marks);
    sb_region_deinit(&r.mem);
    return s;
}

void sb_rendered_deinit(sb_rendered *r)
{
    if (!r) return;
    sb_free(r->text);
    sb_free(r->segments);
    *r = (sb_rendered){0};
}
