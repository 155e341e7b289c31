/* SPDX-License-Identifier: Apache-2.0
 * detok.c - ids to text as they come: only whole code points leave, broken bytes become U+FFFD.
 *
 * What is held back is the start of one code point, at most three bytes. Each longest start of a
 * valid sequence that turns out broken is one U+FFFD, as browsers and the reference's byte-level
 * decoder have it. */
#include "base/utf8.h"
#include "tokenizer/internal.h"

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

/* Takes one byte behind what is held; a code point that is complete, or broken, leaves. */
static sb_status take_byte(sb_detok *d, char byte, sb_buf *out, sb_error *err)
{
    d->held[d->n_held++] = byte;
    while (d->n_held > 0) {
        uint32_t cp;
        const size_t n = d->n_held;
        if (sb_utf8_decode(d->held, n, &cp) == n) {
            d->n_held = 0;
            return sb_buf_add(out, d->held, n, err);
        }
        if (sb_utf8_whole(d->held, n) == 0) return SB_OK; // so far the start of one
        // Without its last byte it was such a start (or empty): that much is broken.
        d->n_held = n > 1;
        d->held[0] = d->held[n - 1];
        SB_TRY(sb_buf_add(out, REPLACEMENT, 3, err));
    }
    return SB_OK;
}

static sb_status push_bytes(sb_detok *d, sb_str s, sb_buf *out, sb_error *err)
{
    for (size_t i = 0; i < s.n;) {
        const size_t good = d->n_held ? 0 : sb_utf8_valid(s.p + i, s.n - i);
        SB_TRY(sb_buf_add(out, s.p + i, good, err));
        i += good;
        if (i < s.n) SB_TRY(take_byte(d, s.p[i++], out, err));
    }
    return SB_OK;
}

sb_status sb_detok_push(sb_detok *d, const sb_tokenizer *t, int32_t id, bool with_control,
                        sb_buf *out, sb_error *err)
{
    sb_str s = sb_tokenizer_piece(t, id, with_control);
    if (s.n == 0) return SB_OK;
    const sb_detok before = *d;
    const size_t n_before = out->n;
    if (!d->started && t->space_prefix && !sb_tokenizer_is_control(t, id)) {
        if (s.p[0] == ' ') s = (sb_str){s.p + 1, s.n - 1};
    }
    d->started = d->started || !sb_tokenizer_is_control(t, id);
    const sb_status status = push_bytes(d, s, out, err);
    if (status != SB_OK) {
        *d = before;
        out->n = n_before;
        if (out->p) out->p[out->n] = 0;
    }
    return status;
}

sb_status sb_detok_finish(sb_detok *d, bool drop, sb_buf *out, sb_error *err)
{
    if (d->n_held > 0 && !drop) SB_TRY(sb_buf_add(out, REPLACEMENT, 3, err));
    d->n_held = 0;
    return SB_OK;
}
