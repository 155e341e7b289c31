/* SPDX-License-Identifier: Apache-2.0
 * fields.c - header lines as they come in.
 *
 * One state a byte, and no look ahead: that is what makes every way of cutting the bytes the same.
 * Reading whole lines out of a buffer was refused, as it needs a second rule for the line that is
 * not all there. */
#include "server/http/fields.h"

#include "base/limits.h"

#include <string.h>

enum { AT_LINE, IN_NAME, BEFORE_VALUE, IN_VALUE, AFTER_CR, AFTER_LAST_CR };

bool sb_http_is_token(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool sb_http_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

char sb_http_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool sb_http_equal(sb_str a, const char *lower)
{
    if (strlen(lower) != a.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (sb_http_lower(a.p[i]) != lower[i]) return false;
    return true;
}

int sb_http_hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = sb_http_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void sb_header_lines_init(sb_header_lines *f, sb_buf *text, sb_field *list)
{
    *f = (sb_header_lines){.text = text, .list = list};
}

static bool refuse(sb_header_lines *f, int status, const char *why)
{
    f->refusal = (sb_refusal){status, why};
    return false;
}

static bool keep(sb_header_lines *f, char c)
{
    if (!f->text) return true;
    return sb_buf_add(f->text, &c, 1, NULL) == SB_OK || refuse(f, 503, "no memory for the request");
}

static uint32_t here(const sb_header_lines *f)
{
    return f->text ? (uint32_t)f->text->n : 0;
}

static bool begin_line(sb_header_lines *f, char c)
{
    if (c == '\r') {
        f->state = AFTER_LAST_CR;
        return true;
    }
    if (sb_http_is_blank(c)) return refuse(f, 400, "a header line is folded");
    if (!sb_http_is_token(c)) return refuse(f, 400, "a header's name is not a token");
    if (f->n == SB_MAX_REQUEST_FIELDS) return refuse(f, 431, "too many header lines");
    f->now = (sb_field){.name = here(f)};
    f->state = IN_NAME;
    return keep(f, sb_http_lower(c));
}

static bool name_byte(sb_header_lines *f, char c)
{
    if (c == ':') {
        f->now.name_n = here(f) - f->now.name;
        f->now.value = here(f);
        f->state = BEFORE_VALUE;
        return true;
    }
    if (sb_http_is_blank(c)) return refuse(f, 400, "a space before a header's colon");
    if (!sb_http_is_token(c)) return refuse(f, 400, "a header's name is not a token");
    return keep(f, sb_http_lower(c));
}

static bool value_byte(sb_header_lines *f, char c)
{
    if (c == '\r') {
        f->state = AFTER_CR;
        return true;
    }
    if ((unsigned char)c < ' ' && c != '\t')
        return refuse(f, 400, c == '\n' ? "a line ends without CR" : "a control byte in a header");
    if (c == 127) return refuse(f, 400, "a control byte in a header");
    if (sb_http_is_blank(c)) return f->state == BEFORE_VALUE || keep(f, c);
    f->state = IN_VALUE;
    if (!keep(f, c)) return false;
    f->now.value_n = here(f) - f->now.value; // spaces that follow stay outside
    return true;
}

static bool end_line(sb_header_lines *f)
{
    if (f->list) f->list[f->n] = f->now;
    f->n++;
    f->n_line_bytes = 0;
    f->state = AT_LINE;
    return true;
}

static bool byte(sb_header_lines *f, char c)
{
    if (++f->n_bytes > SB_MAX_REQUEST_HEAD_BYTES)
        return refuse(f, 431, "the request's head is too large");
    if (c != '\r' && c != '\n' && ++f->n_line_bytes > SB_MAX_REQUEST_FIELD_BYTES)
        return refuse(f, 431, "a header line is too long");
    switch (f->state) {
    case AT_LINE:
        return begin_line(f, c);
    case IN_NAME:
        return name_byte(f, c);
    case AFTER_CR:
        return c == '\n' ? end_line(f) : refuse(f, 400, "a CR that does not end a line");
    case AFTER_LAST_CR:
        return c == '\n' || refuse(f, 400, "a CR that does not end a line");
    default:
        return value_byte(f, c); // BEFORE_VALUE, IN_VALUE
    }
}

sb_feed sb_header_lines_feed(sb_header_lines *f, const char *p, size_t n, size_t *used)
{
    *used = 0;
    while (*used < n) {
        const bool last = f->state == AFTER_LAST_CR;
        if (!byte(f, p[*used])) return SB_FEED_REFUSED;
        ++*used;
        if (last) return SB_FEED_DONE;
    }
    return SB_FEED_MORE;
}
