/* SPDX-License-Identifier: Apache-2.0
 * xml_text.c - one pass, a character at a time. */
#include "cli/xml_text.h"

#include <string.h>

#include "base/utf8.h"

/* Char of XML 1.0, without the characters that turn the direction of text. */
static bool is_allowed(uint32_t c)
{
    if (c < 0x20) return c == '\n' || c == '\t';
    if (c >= 0x7f && c < 0xa0) return false;
    if (c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
        return false;
    return c != 0xfffe && c != 0xffff;
}

static const char *reference(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

sb_status sb_xml_text(sb_buf *out, sb_str s, sb_error *err)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t c = 0;
        const size_t n = sb_utf8_decode(s.p + i, s.n - i, &c);
        const char *ref = n == 1 ? reference(s.p[i]) : NULL;
        if (ref)
            SB_TRY(sb_buf_add(out, ref, strlen(ref), err));
        else if (n > 0 && is_allowed(c))
            SB_TRY(sb_buf_add(out, s.p + i, n, err));
        else
            SB_TRY(sb_buf_add(out, "\xef\xbf\xbd", 3, err));
        i += n ? n : 1;
    }
    return SB_OK;
}

sb_status sb_xml_add(sb_buf *out, const char *before, const char *text, const char *after,
                     sb_error *err)
{
    SB_TRY(sb_buf_add(out, before, strlen(before), err));
    SB_TRY(sb_xml_text(out, (sb_str){text, strlen(text)}, err));
    return sb_buf_add(out, after, strlen(after), err);
}
