/* SPDX-License-Identifier: Apache-2.0
 * json_scan.c - one byte, one transition; the nesting is a bit for each depth. */
#include "output/json_scan.h"

#include "base/limits.h"

#include <string.h>

_Static_assert(SB_MAX_JSON_DEPTH <= 64, "a depth is a bit of `lists`");

enum {
    TOP,          /* the first bracket */
    VALUE,        /* a value must come */
    VALUE_OR_END, /* behind '[' */
    KEY_OR_END,   /* behind '{' */
    KEY,          /* behind ',' in an object */
    COLON,
    AFTER, /* behind a value */
    STRING,
    ESCAPE,
    HEX,
    LOW_SLASH, /* the escape of a low surrogate must come */
    LOW_U,
    WORD,
    MINUS,
    ZERO, /* a number may end here, and in the states of digits */
    DIGITS,
    POINT,
    FRACTION,
    EXP,
    EXP_SIGN,
    EXP_DIGITS,
    OVER
};

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static sb_json_result go(sb_json_scan *s, uint8_t state)
{
    s->state = state;
    return SB_JSON_MORE;
}

static sb_json_result open_bracket(sb_json_scan *s, char c)
{
    if (s->depth == SB_MAX_JSON_DEPTH) return SB_JSON_BAD;
    const uint64_t bit = (uint64_t)1 << s->depth++;
    s->lists = c == '[' ? s->lists | bit : s->lists & ~bit;
    return go(s, c == '[' ? VALUE_OR_END : KEY_OR_END);
}

static bool in_list(const sb_json_scan *s)
{
    return s->lists >> (s->depth - 1) & 1u;
}

static sb_json_result close_bracket(sb_json_scan *s, char c)
{
    if (in_list(s) != (c == ']')) return SB_JSON_BAD;
    if (--s->depth > 0) return go(s, AFTER);
    s->state = OVER;
    return SB_JSON_DONE;
}

static sb_json_result begin_value(sb_json_scan *s, char c)
{
    if (c == '[' || c == '{') return open_bracket(s, c);
    if (c == '"') {
        s->is_key = false;
        return go(s, STRING);
    }
    if (c == '-') return go(s, MINUS);
    if (is_digit(c)) return go(s, c == '0' ? ZERO : DIGITS);
    s->word = c == 't' ? "rue" : c == 'f' ? "alse" : c == 'n' ? "ull" : NULL;
    return s->word ? go(s, WORD) : SB_JSON_BAD;
}

static sb_json_result after_value(sb_json_scan *s, char c)
{
    if (c == ',') return go(s, in_list(s) ? VALUE : KEY);
    if (c == ']' || c == '}') return close_bracket(s, c);
    return is_space(c) ? go(s, AFTER) : SB_JSON_BAD;
}

static sb_json_result take_hex(sb_json_scan *s, char c)
{
    const int v = is_digit(c)            ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
    if (v < 0) return SB_JSON_BAD;
    s->unit = (uint16_t)(s->unit << 4 | v);
    if (--s->n_hex) return SB_JSON_MORE;
    const bool high = s->unit >= 0xd800 && s->unit < 0xdc00;
    const bool low = s->unit >= 0xdc00 && s->unit < 0xe000;
    if (low != s->wants_low) return SB_JSON_BAD;
    s->wants_low = high;
    return go(s, high ? LOW_SLASH : STRING);
}

static sb_json_result in_string(sb_json_scan *s, char c)
{
    switch (s->state) {
    case STRING:
        if ((unsigned char)c < 0x20) return SB_JSON_BAD;
        if (c == '\\') return go(s, ESCAPE);
        return c == '"' ? go(s, s->is_key ? COLON : AFTER) : SB_JSON_MORE;
    case LOW_SLASH:
        return c == '\\' ? go(s, LOW_U) : SB_JSON_BAD;
    case ESCAPE:
    case LOW_U:
        if (c == 'u') {
            s->n_hex = 4, s->unit = 0;
            return go(s, HEX);
        }
        return s->state == ESCAPE && c && strchr("\"\\/bfnrt", c) ? go(s, STRING) : SB_JSON_BAD;
    default:
        return take_hex(s, c);
    }
}

static sb_json_result in_number(sb_json_scan *s, char c)
{
    const bool digit = is_digit(c);
    switch (s->state) {
    case MINUS:
        return digit ? go(s, c == '0' ? ZERO : DIGITS) : SB_JSON_BAD;
    case POINT:
        return digit ? go(s, FRACTION) : SB_JSON_BAD;
    case EXP:
        if (c == '+' || c == '-') return go(s, EXP_SIGN);
        return digit ? go(s, EXP_DIGITS) : SB_JSON_BAD;
    case EXP_SIGN:
        return digit ? go(s, EXP_DIGITS) : SB_JSON_BAD;
    case ZERO:
    case DIGITS:
        if (c == '.') return go(s, POINT);
        break;
    default:
        break;
    }
    if (digit && s->state != ZERO) return SB_JSON_MORE;
    if ((c == 'e' || c == 'E') && s->state != EXP_DIGITS) return go(s, EXP);
    return after_value(s, c);
}

sb_json_result sb_json_scan_byte(sb_json_scan *s, char c)
{
    if (s->state >= STRING && s->state <= LOW_U) return in_string(s, c);
    if (s->state >= MINUS && s->state <= EXP_DIGITS) return in_number(s, c);
    if (s->state == WORD) {
        if (*s->word != c) return SB_JSON_BAD;
        return *++s->word ? SB_JSON_MORE : go(s, AFTER);
    }
    if (is_space(c)) return s->state == OVER ? SB_JSON_BAD : SB_JSON_MORE;
    switch (s->state) {
    case TOP:
        return c == '{' || c == '[' ? open_bracket(s, c) : SB_JSON_BAD;
    case VALUE_OR_END:
        return c == ']' ? close_bracket(s, c) : begin_value(s, c);
    case VALUE:
        return begin_value(s, c);
    case KEY_OR_END:
        if (c == '}') return close_bracket(s, c);
        s->is_key = true;
        return c == '"' ? go(s, STRING) : SB_JSON_BAD;
    case KEY:
        s->is_key = true;
        return c == '"' ? go(s, STRING) : SB_JSON_BAD;
    case COLON:
        return c == ':' ? go(s, VALUE) : SB_JSON_BAD;
    case AFTER:
        return after_value(s, c);
    default:
        return SB_JSON_BAD;
    }
}

bool sb_json_is_value(sb_str s)
{
    sb_json_scan scan = {.state = VALUE, .depth = 1, .lists = 1}; /* as the element of a list */
    bool began = false;
    for (size_t i = 0; i < s.n; i++) {
        if (sb_json_scan_byte(&scan, s.p[i]) != SB_JSON_MORE) return false;
        if (began && scan.depth == 1 && scan.state == VALUE) return false; /* a comma */
        began = scan.state != VALUE;
    }
    return began && sb_json_scan_byte(&scan, ' ') == SB_JSON_MORE && scan.depth == 1 &&
           scan.state == AFTER;
}
