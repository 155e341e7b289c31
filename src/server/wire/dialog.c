/* SPDX-License-Identifier: Apache-2.0
 * dialog.c - messages in arrays of the ask that double as they grow. */
#include "server/wire/dialog.h"

#include "base/limits.h"
#include "server/wire/nonce.h"

#include <string.h>

enum { CALLS_LOOKED_AT = 64 }; /* of those before a tool's result */

void sb_dialog_init(sb_dialog *d, sb_ask *ask, sb_wire_error *w)
{
    *d = (sb_dialog){.ask = ask, .w = w};
}

/* A larger copy of p[n], or NULL. */
static void *grown(sb_ask *a, const void *p, size_t n, size_t cap, size_t size)
{
    void *q = sb_ask_take(a, cap, size);
    if (q && n) memcpy(q, p, n * size);
    return q;
}

static sb_status no_memory(sb_dialog *d)
{
    return SB_FAIL(&d->w->err, SB_NO_MEMORY, "messages: out of memory");
}

sb_status sb_dialog_add(sb_dialog *d, const char *role)
{
    if (d->n + 1 >= SB_MAX_MESSAGES)
        return SB_FAIL(&d->w->err, SB_LIMIT, "messages: %d or more", SB_MAX_MESSAGES);
    if (d->n == d->cap) {
        const size_t cap = d->cap ? 2 * d->cap : 16;
        sb_message *m = grown(d->ask, d->m, d->n, cap, sizeof *m);
        if (!m) return no_memory(d);
        d->m = m;
        d->cap = cap;
    }
    d->m[d->n++] = (sb_message){.role = {role, strlen(role)}};
    d->cap_parts = d->cap_calls = 0;
    return SB_OK;
}

static sb_status add_part(sb_dialog *d, sb_str text)
{
    sb_message *m = sb_dialog_last(d);
    if (m->n_parts == d->cap_parts) {
        const size_t cap = d->cap_parts ? 2 * d->cap_parts : 4;
        sb_part *p = grown(d->ask, m->parts, m->n_parts, cap, sizeof *p);
        if (!p) return no_memory(d);
        m->parts = p;
        d->cap_parts = cap;
    }
    ((sb_part *)m->parts)[m->n_parts++] = (sb_part){.kind = SB_PART_TEXT, .text = text};
    return SB_OK;
}

sb_status sb_dialog_text(sb_dialog *d, sb_str text)
{
    sb_message *m = sb_dialog_last(d);
    if (!text.p) text = (sb_str){"", 0};
    if (!m->n_parts && !m->content.p) {
        m->content = text;
        return SB_OK;
    }
    if (!m->n_parts) SB_TRY(add_part(d, m->content));
    m->content = (sb_str){NULL, 0};
    return add_part(d, text);
}

sb_status sb_dialog_think(sb_dialog *d, sb_str text)
{
    sb_message *m = sb_dialog_last(d);
    size_t n;
    if (!m->reasoning.n) {
        m->reasoning = text;
        return SB_OK;
    }
    char *p =
        ckd_add(&n, m->reasoning.n, text.n) || n == SIZE_MAX ? NULL : sb_ask_take(d->ask, n + 1, 1);
    if (!p) return no_memory(d);
    memcpy(p, m->reasoning.p, m->reasoning.n);
    if (text.n) memcpy(p + m->reasoning.n, text.p, text.n);
    m->reasoning = (sb_str){p, n};
    return SB_OK;
}

sb_status sb_dialog_call(sb_dialog *d, sb_str id, sb_str name, const json_t *arguments)
{
    sb_message *m = sb_dialog_last(d);
    sb_tool_call c = {.id = id, .name = name};
    if (json_is_string(arguments))
        c.arguments = sb_json_str(arguments);
    else if (arguments)
        SB_TRY(sb_ask_dump(d->ask, arguments, &c.arguments, &d->w->err));
    if (m->n_calls == d->cap_calls) {
        const size_t cap = d->cap_calls ? 2 * d->cap_calls : 4;
        sb_tool_call *p = grown(d->ask, m->calls, m->n_calls, cap, sizeof *p);
        if (!p) return no_memory(d);
        m->calls = p;
        d->cap_calls = cap;
    }
    ((sb_tool_call *)m->calls)[m->n_calls++] = c;
    return SB_OK;
}

/* ---- the whole ---- */

static bool is(sb_str s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

static bool same(sb_str a, sb_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Names the tools of results. Looking at few calls only keeps a hostile list linear. */
static void name_results(sb_dialog *d)
{
    const sb_message *caller = NULL;
    size_t next = 0;
    for (size_t i = 0; i < d->n; i++) {
        sb_message *m = &d->m[i];
        if (m->n_calls) {
            caller = m;
            next = 0;
        }
        if (!caller || !is(m->role, "tool") || m->name.n) continue;
        for (size_t k = 0; k < CALLS_LOOKED_AT && k < caller->n_calls; k++) {
            const sb_tool_call *c = &caller->calls[(next + k) % caller->n_calls];
            if (m->tool_call_id.n && !same(c->id, m->tool_call_id)) continue;
            m->name = c->name;
            next += k + 1;
            break;
        }
    }
}

/* Takes a first block away that was nothing but a nonce. */
static void drop_empty_front(sb_message *m)
{
    if (!m->n_parts || m->parts[0].text.n) return;
    m->parts++;
    m->n_parts--;
    if (m->n_parts != 1) return;
    m->content = m->parts[0].text;
    m->n_parts = 0;
}

static void take_nonces(sb_dialog *d)
{
    sb_message *m = &d->m[0];
    if (d->ask->opts.keep_nonces || !(is(m->role, "system") || is(m->role, "developer"))) return;
    sb_str *s = m->n_parts ? &((sb_part *)m->parts)[0].text : &m->content;
    if (!s->p) return;
    const char *name = sb_nonce_take(s);
    if (!name) return;
    d->ask->nonce_removed = name;
    drop_empty_front(m);
    if (m->n_parts || m->content.n) return;
    d->m++; // a system message of nothing else
    d->n--;
}

static sb_status check(const sb_dialog *d, const sb_fields *f)
{
    for (size_t i = 0; i < d->n; i++) {
        const sb_message *m = &d->m[i];
        if (m->content.p || m->n_parts || m->n_calls || m->reasoning.n) continue;
        return sb_field_fail(f, "", SB_INVALID, "message %zu has no content%s", i,
                             is(m->role, "assistant") ? " and calls no tool" : "");
    }
    return SB_OK;
}

sb_status sb_dialog_end(sb_dialog *d, const char *path, sb_prompt_request *out)
{
    const sb_fields f = {.path = path, .w = d->w};
    if (!d->n) return sb_field_fail(&f, "", SB_INVALID, "there is no message");
    SB_TRY(check(d, &f));
    take_nonces(d);
    if (!d->n) return sb_field_fail(&f, "", SB_INVALID, "there is no message");
    name_results(d);
    out->messages = d->m;
    out->n_messages = d->n;
    return SB_OK;
}
