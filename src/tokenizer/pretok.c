/* SPDX-License-Identifier: Apache-2.0
 * pretok.c - the split rules, as table-driven scanners.
 *
 * The reference states these rules as regular expressions. They are scanned by hand here, over
 * class tables taken from the reference, for three reasons: a regex library brings its own Unicode
 * (PCRE2 10.42 knows 14, the reference 16, and \p{L} decides tokens); its match limits would turn
 * long runs of one class into errors or stack; and compiling costs more of the start-up budget than
 * the whole scan of a prompt. Each rule is a function from the text left to the length of its next
 * piece, so rules nest without storing pieces. Equality with the reference is a test
 * (tools/check-tokenizer.py), not an argument. */
#include "tokenizer/pretok.h"

#include "base/utf8.h"
#include "tokenizer/unicode.h"

#include <string.h>

/* Class of the code point at p and its length. */
static uint8_t class_at(const char *p, size_t n, size_t *len)
{
    uint32_t cp = 0;
    *len = sb_utf8_decode(p, n, &cp);
    if (*len == 0) *len = 1; // not reached on valid UTF-8; keeps the walk moving
    return sb_uc_class(cp);
}

/* \p{N} on its own, and what lies between. */
static size_t split_digit(const char *p, size_t n)
{
    size_t len;
    if (class_at(p, n, &len) & SB_UC_DIGIT) return len;
    size_t i = len;
    while (i < n && !(class_at(p + i, n - i, &len) & SB_UC_DIGIT))
        i += len;
    return i;
}

typedef enum { LETTER, NUMBER, SPACE, OTHER } gpt2_class;

static gpt2_class gpt2_class_at(const char *p, size_t n, size_t *len)
{
    const uint8_t c = class_at(p, n, len);
    if (sb_uc_is_letter(c)) return LETTER;
    if (sb_uc_is_number(c)) return NUMBER;
    return c & SB_UC_SPACE ? SPACE : OTHER;
}

/* 's|'t|'re|'ve|'m|'ll|'d: length of the contraction at p, or 0. */
static size_t contraction(const char *p, size_t n)
{
    if (n < 2 || p[0] != '\'') return 0;
    if (strchr("stmd", p[1]) && p[1]) return 2;
    if (n < 3) return 0;
    const bool two = (p[1] == 'r' && p[2] == 'e') || (p[1] == 'v' && p[2] == 'e') ||
                     (p[1] == 'l' && p[2] == 'l');
    return two ? 3 : 0;
}

/* Contractions | ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ : a run of white space before
 * something else leaves its last character to that something (which takes it if it is U+0020). */
static size_t split_gpt2(const char *p, size_t n)
{
    size_t len = contraction(p, n);
    if (len) return len;
    size_t i = 0, last = 0;
    gpt2_class c = gpt2_class_at(p, n, &len);
    if (p[0] == ' ' && n > 1) {
        size_t len_next;
        const gpt2_class next = gpt2_class_at(p + 1, n - 1, &len_next);
        if (next != SPACE) {
            i = 1;
            c = next;
            len = len_next;
        }
    }
    const gpt2_class run = c;
    while (c == run) {
        i += len;
        last = len;
        if (i >= n) return i;
        c = gpt2_class_at(p + i, n - i, &len);
    }
    return run == SPACE && i > last ? i - last : i;
}

typedef size_t (*split_fn)(const char *p, size_t n);

typedef enum rule { NONE, DIGIT, GPT2 } rule;

static const split_fn split_of[] = {[DIGIT] = split_digit, [GPT2] = split_gpt2};

struct sb_pretok {
    const char *name;
    rule rules[SB_PRETOK_RULES]; /* NONE after the last */
};

static const sb_pretok rows[] = {
#define X(name, ...) {name, {__VA_ARGS__}},
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

void sb_pretok_begin(sb_pretok_walk *w, const sb_pretok *rules, sb_str text)
{
    *w = (sb_pretok_walk){.rules = rules, .text = text};
}

bool sb_pretok_next(sb_pretok_walk *w, sb_str *out_piece)
{
    if (w->at >= w->text.n) return false;
    size_t end = w->text.n; // of the piece around the one being cut
    for (int i = 0; i < SB_PRETOK_RULES && w->rules->rules[i] != NONE; i++) {
        if (w->end[i] <= w->at)
            w->end[i] = w->at + split_of[w->rules->rules[i]](w->text.p + w->at, end - w->at);
        end = w->end[i];
    }
    *out_piece = (sb_str){w->text.p + w->at, end - w->at};
    w->at = end;
    return true;
}
