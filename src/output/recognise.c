/* SPDX-License-Identifier: Apache-2.0
 * recognise.c - which family a model belongs to: the first row of families.def whose markers it
 * has. */
#include "output/output.h"

#include <string.h>

typedef struct format_row {
    const char *word, *marker, *also;
} format_row;

static const format_row rows[SB_OUTPUT_FORMAT_COUNT] = {
    [SB_OUTPUT_AUTO] = {"auto", NULL, NULL},
#define X(name, word, marker, also) [SB_OUTPUT_##name] = {word, marker, also},
#include "output/families.def"
#undef X
};

const char *sb_output_format_word(sb_output_format f)
{
    return rows[f].word;
}

sb_output_format sb_output_format_find(sb_str word)
{
    int f = SB_OUTPUT_AUTO;
    while (f < SB_OUTPUT_FORMAT_COUNT &&
           !(strlen(rows[f].word) == word.n && memcmp(rows[f].word, word.p, word.n) == 0))
        f++;
    return (sb_output_format)f;
}

static bool has(sb_str text, const char *needle)
{
    const size_t n = strlen(needle);
    return n == 0 || (text.n >= n && memmem(text.p, text.n, needle, n));
}

sb_output_format sb_output_recognise(sb_str chat_template,
                                     bool (*has_token)(void *ctx, sb_str text), void *ctx)
{
    for (int f = SB_OUTPUT_AUTO + 1; f < SB_OUTPUT_PLAIN; f++) {
        const sb_str marker = {rows[f].marker, strlen(rows[f].marker)};
        const bool marked = has(chat_template, marker.p) || (has_token && has_token(ctx, marker));
        if (marked && has(chat_template, rows[f].also)) return (sb_output_format)f;
    }
    return SB_OUTPUT_PLAIN;
}
