/* SPDX-License-Identifier: Apache-2.0
 * pretok.c - the rows of pre-tokenizers, and the walk that nests their rules.
 *
 * The reference states these rules as regular expressions. They are scanned by hand here
 * (pretok_rules.c), over class tables taken from the reference, for three reasons: a regex library
 * brings its own Unicode (PCRE2 10.42 knows 14, the reference 16, and \p{L} decides tokens); its
 * match limits would turn long runs of one class into errors or stack; and compiling costs more of
 * the start-up budget than the whole scan of a prompt. Each rule is a function from the text left
 * to the length of its next piece, so rules nest without storing pieces. Equality with the
 * reference is a test (tools/check-tokenizers), not an argument. */
#include "tokenizer/pretok.h"

#include <stdio.h>
#include <string.h>

enum { // short names for the columns of pretok.def
#define X(name, ...) name = SB_RULE_##name,
#include "tokenizer/rules.def"
#undef X
    NONE = 0,
    WHOLE = SB_PRE_WHOLE,
    BOS = SB_PRE_BOS,
    NFC = SB_PRE_NFC,
    MASK = SB_PRE_MASK,
    CHARS = SB_PRE_CHARS
};

static const sb_pretok rows[] = {
#define X(name, flags, ...) {name, flags, {__VA_ARGS__}},
#include "tokenizer/pretok.def"
#undef X
};

const sb_pretok *sb_pretok_find(sb_str name)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        if (strlen(rows[i].name) == name.n && !memcmp(rows[i].name, name.p, name.n))
            return &rows[i];
    return NULL;
}

const sb_pretok *sb_pretok_at(size_t i)
{
    return i < SB_ARRAY_LEN(rows) ? &rows[i] : NULL;
}

void sb_pretok_families(char *out, size_t n)
{
    static const char more[] = " ...";
    size_t at = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        size_t k = 0;
        while (k < i && memcmp(rows[k].rules, rows[i].rules, sizeof rows[i].rules) != 0)
            k++;
        if (k < i) continue;
        const bool fits = at + strlen(rows[i].name) + 2 + sizeof more <= n;
        const int len =
            snprintf(out + at, n - at, "%s%s", at && fits ? ", " : "", fits ? rows[i].name : more);
        if (!fits || len < 0) return;
        at += (size_t)len;
    }
}

void sb_pretok_begin(sb_pretok_walk *w, const sb_pretok *rules, sb_str text)
{
    *w = (sb_pretok_walk){.rules = rules, .text = text};
}

bool sb_pretok_next(sb_pretok_walk *w, sb_str *out_piece)
{
    if (w->at >= w->text.n) return false;
    size_t end = w->text.n; // of the piece around the one being cut
    for (int i = 0; i < SB_PRETOK_RULES && w->rules->rules[i] != SB_RULE_NONE; i++) {
        if (w->end[i] <= w->at)
            w->end[i] = w->at + sb_pretok_cut((sb_pretok_rule)w->rules->rules[i], w->text.p + w->at,
                                              end - w->at);
        end = w->end[i];
    }
    *out_piece = (sb_str){w->text.p + w->at, end - w->at};
    w->at = end;
    return true;
}
