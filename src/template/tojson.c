/* SPDX-License-Identifier: Apache-2.0
 * tojson.c - values as JSON, to the byte as the reference's tojson writes them. */
#include "base/utf8.h"
#include "template/tpl.h"

#include <stdio.h>
#include <string.h>

typedef struct writer {
    sb_text b;
    const sb_json_options *o;
    int level;
} writer;

static sb_status write_val(writer *w, sb_val v);

static sb_status raw(writer *w, const char *s)
{
    return sb_text_add_raw(&w->b, s, strlen(s), true);
}

/* JSON escape of one character, or 0 when it stands for itself. */
static size_t escape(uint32_t cp, bool ensure_ascii, char out[16])
{
    static const char plain[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    for (size_t i = 0; plain[i]; i += 2)
        if (cp == (uint32_t)plain[i]) return (size_t)snprintf(out, 16, "\\%c", plain[i + 1]);
    if (cp >= 0x20 && (cp < 0x7F || !ensure_ascii)) return 0;
    if (cp < 0x10000) return (size_t)snprintf(out, 16, "\\u%04x", (unsigned)cp);
    cp -= 0x10000;
    return (size_t)snprintf(out, 16, "\\u%04x\\u%04x", 0xD800u + (unsigned)(cp >> 10),
                            0xDC00u + (unsigned)(cp & 0x3FF));
}

static sb_status write_str(writer *w, sb_val s)
{
    const char *p = s.as.s.p;
    const size_t n = s.as.s.n;
    SB_TRY(raw(w, "\""));
    SB_TRY(sb_tpl_spend(w->b.r, n / 8));
    size_t from = 0;
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t cp = 0;
        char text[16];
        len = sb_utf8_decode(p + i, n - i, &cp);
        if (!len) break;
        const size_t text_n = escape(cp, w->o->ensure_ascii, text);
        if (!text_n) continue;
        SB_TRY(sb_text_add(&w->b, sb_text_cut(s, from, i - from)));
        SB_TRY(sb_text_add_raw(&w->b, text, text_n, true));
        from = i + len;
    }
    SB_TRY(sb_text_add(&w->b, sb_text_cut(s, from, n - from)));
    return raw(w, "\"");
}

/* With an indent: a new line at the current level. */
static sb_status new_line(writer *w)
{
    if (w->o->indent < 0) return SB_OK;
    SB_TRY(raw(w, "\n"));
    for (int i = 0; i < w->level; i++) {
        char pad[64];
        memset(pad, ' ', sizeof pad);
        SB_TRY(sb_text_add_raw(&w->b, pad, (size_t)w->o->indent, true));
    }
    return SB_OK;
}

static sb_status write_list(writer *w, const sb_list *l)
{
    if (!l->n) return raw(w, "[]");
    SB_TRY(raw(w, "["));
    w->level++;
    for (size_t i = 0; i < l->n; i++) {
        if (i) SB_TRY(sb_text_add(&w->b, w->o->item_sep));
        SB_TRY(new_line(w));
        SB_TRY(write_val(w, l->v[i]));
    }
    w->level--;
    SB_TRY(new_line(w));
    return raw(w, "]");
}

static sb_status write_key(writer *w, sb_val k)
{
    if (k.type == SB_VAL_STR) return write_str(w, k);
    SB_TRY(raw(w, "\""));
    SB_TRY(write_val(w, k));
    return raw(w, "\"");
}

/* The k-th smallest key would cost a sort; dicts that are printed sorted are small: selection. */
static sb_status next_key(writer *w, const sb_dict *d, const sb_pair *last, const sb_pair **out)
{
    *out = NULL;
    SB_TRY(sb_tpl_spend(w->b.r, d->n));
    for (size_t i = 0; i < d->n; i++) {
        int order = 1;
        if (last) SB_TRY(sb_val_order(w->b.r, d->v[i].k, last->k, &order));
        if (order <= 0) continue;
        if (*out) SB_TRY(sb_val_order(w->b.r, (*out)->k, d->v[i].k, &order));
        if (order > 0) *out = &d->v[i];
    }
    return SB_OK;
}

static sb_status write_dict(writer *w, const sb_dict *d)
{
    if (!d->n) return raw(w, "{}");
    SB_TRY(raw(w, "{"));
    w->level++;
    const sb_pair *p = NULL;
    for (size_t i = 0; i < d->n; i++) {
        if (w->o->sort_keys)
            SB_TRY(next_key(w, d, p, &p));
        else
            p = &d->v[i];
        if (i) SB_TRY(sb_text_add(&w->b, w->o->item_sep));
        SB_TRY(new_line(w));
        SB_TRY(write_key(w, p->k));
        SB_TRY(sb_text_add(&w->b, w->o->key_sep));
        SB_TRY(write_val(w, p->v));
    }
    w->level--;
    SB_TRY(new_line(w));
    return raw(w, "}");
}

static sb_status write_scalar(writer *w, sb_val v)
{
    char text[40];
    size_t n;
    if (v.type == SB_VAL_NULL) return raw(w, "null");
    if (v.type == SB_VAL_BOOL) return raw(w, v.as.b ? "true" : "false");
    if (v.type == SB_VAL_INT) {
        n = (size_t)snprintf(text, sizeof text, "%lld", (long long)v.as.i);
    } else if (v.type == SB_VAL_FLOAT && v.id == SB_FLOAT_BIG_INT) {
        return sb_text_add_raw(&w->b, v.as.big.digits, v.as.big.n, v.from_content);
    } else if (v.type == SB_VAL_FLOAT) {
        if (v.as.f != v.as.f) return raw(w, "NaN");
        if (v.as.f > 1.7976931348623157e308) return raw(w, "Infinity");
        if (v.as.f < -1.7976931348623157e308) return raw(w, "-Infinity");
        n = sb_tpl_float_text(v.as.f, text);
    } else {
        return sb_tpl_fail(w->b.r, SB_CORRUPT, "%s cannot be written as JSON", sb_tpl_type_name(v));
    }
    return sb_text_add_raw(&w->b, text, n, v.from_content);
}

static sb_status write_val(writer *w, sb_val v)
{
    SB_TRY(sb_tpl_descend(w->b.r));
    SB_TRY(sb_val_settle(w->b.r, &v));
    sb_status s;
    if (v.type == SB_VAL_STR)
        s = write_str(w, v);
    else if (sb_val_is_seq(v))
        s = write_list(w, v.as.list);
    else if (v.type == SB_VAL_DICT)
        s = write_dict(w, v.as.dict);
    else
        s = write_scalar(w, v);
    w->b.r->depth--;
    return s;
}

sb_status sb_tpl_json(sb_run *r, sb_val v, const sb_json_options *o, sb_val *out)
{
    writer w = {.b = {.r = r}, .o = o};
    SB_TRY(write_val(&w, v));
    *out = sb_text_val(&w.b);
    return SB_OK;
}
