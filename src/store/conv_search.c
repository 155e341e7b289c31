/* SPDX-License-Identifier: Apache-2.0
 * conv_search.c - words in titles and messages of one owner.
 *
 * The index (FTS5) knows all owners' words; the owner is asked of each hit's conversation before
 * anything of it is told. Where SQLite has no FTS5 the owner's messages are read one after the
 * other: slower, and then only A-Z and a-z are the same letter. Titles are always read: they are
 * few and short. */
#include <string.h>

#include "base/limits.h"
#include "store/conv_rows.h"

enum { AROUND_BYTES = 60, QUERY_BYTES = 16384, WORD_BYTES = 256 };

typedef struct search {
    sb_db *db;
    sb_owner owner;
    sb_str word[SB_MAX_SEARCH_WORDS];
    int n_words;
    int32_t skip, left; /* hits not to be told, then to be told */
    sb_conv_hit_row row;
    void *ctx;
} search;

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0;
}

static sb_status split(search *q, sb_str text, sb_error *err)
{
    SB_TRY(sb_check_text(text, QUERY_BYTES, "search", err));
    for (size_t i = 0; i < text.n;) {
        size_t n = 0;
        while (i < text.n && is_blank(text.p[i]))
            i++;
        while (i + n < text.n && !is_blank(text.p[i + n]))
            n++;
        if (n == 0) break;
        if (q->n_words == SB_MAX_SEARCH_WORDS)
            return SB_FAIL(err, SB_INVALID, "search: more than %d words", SB_MAX_SEARCH_WORDS);
        if (n > WORD_BYTES)
            return SB_FAIL(err, SB_INVALID, "search: a word of more than %d bytes", WORD_BYTES);
        q->word[q->n_words++] = (sb_str){text.p + i, n};
        i += n;
    }
    return SB_OK;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Where word stands in text, or text.n. */
static size_t find_word(sb_str text, sb_str word)
{
    for (size_t i = 0; i + word.n <= text.n; i++) {
        size_t k = 0;
        while (k < word.n && lower(text.p[i + k]) == lower(word.p[k]))
            k++;
        if (k == word.n) return i;
    }
    return text.n;
}

static bool has_all(const search *q, sb_str text)
{
    for (int i = 0; i < q->n_words; i++)
        if (find_word(text, q->word[i]) == text.n) return false;
    return true;
}

/* Counts a hit, and tells it if it is wanted. */
static sb_status hit(search *q, const sb_conv_hit *h, sb_error *err)
{
    if (q->skip > 0) {
        q->skip--;
        return SB_OK;
    }
    q->left--;
    return q->row(q->ctx, h, err);
}

static bool begins_char(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* The first word with what is around it, marked. */
static sb_status snippet(const search *q, sb_str text, sb_buf *out, sb_error *err)
{
    const size_t at = find_word(text, q->word[0]), n = q->word[0].n;
    size_t from = at > AROUND_BYTES ? at - AROUND_BYTES : 0;
    size_t to = text.n - at - n > AROUND_BYTES ? at + n + AROUND_BYTES : text.n;
    while (from < at && !begins_char(text.p[from]))
        from++;
    while (to > at + n && to < text.n && !begins_char(text.p[to]))
        to--;
    sb_buf_clear(out);
    if (from > 0) SB_TRY(sb_buf_add(out, "…", strlen("…"), err));
    SB_TRY(sb_buf_add(out, text.p + from, at - from, err));
    SB_TRY(sb_buf_add(out, "\x02", 1, err));
    SB_TRY(sb_buf_add(out, text.p + at, n, err));
    SB_TRY(sb_buf_add(out, "\x03", 1, err));
    SB_TRY(sb_buf_add(out, text.p + at + n, to - at - n, err));
    return to < text.n ? sb_buf_add(out, "…", strlen("…"), err) : SB_OK;
}

/* Columns: conversation's id, title, touched, message, role. */
static sb_conv_hit read_hit(sqlite3_stmt *st)
{
    return (sb_conv_hit){.conv = (const char *)sqlite3_column_text(st, 0),
                         .title = sb_sql_text(st, 1),
                         .order = sqlite3_column_int64(st, 2),
                         .msg = sqlite3_column_int64(st, 3),
                         .role = (sb_msg_role)sqlite3_column_int(st, 4)};
}

/* Hits in column `text_column` of a walk over the owner's rows. */
static sb_status scan(search *q, sqlite3_stmt *st, int text_column, sb_error *err)
{
    sb_buf out;
    sb_status s = SB_OK;
    sb_buf_init(&out, QUERY_BYTES, "search");
    for (bool there = true; s == SB_OK && q->left > 0;) {
        s = sb_sql_step(q->db, st, &there, err);
        if (s != SB_OK || !there) break;
        const sb_str text = sb_sql_text(st, text_column);
        if (!has_all(q, text)) continue;
        sb_conv_hit h = read_hit(st);
        s = snippet(q, text, &out, err);
        h.snippet = (sb_str){out.p, out.n};
        if (s == SB_OK) s = hit(q, &h, err);
    }
    sb_buf_deinit(&out);
    return s;
}

/* Has the index anything to look for in it? */
static bool is_word(sb_str w)
{
    for (size_t i = 0; i < w.n; i++) {
        const char c = lower(w.p[i]);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80)
            return true;
    }
    return false;
}

/* "word" AND "word" AND "wo"*, each as it stands: nothing in it is an operator. */
static sb_status match_text(const search *q, sb_buf *out, sb_error *err)
{
    for (int i = 0; i < q->n_words; i++) {
        if (!is_word(q->word[i])) continue;
        SB_TRY(sb_buf_addf(out, err, "%s\"", out->n ? " AND " : ""));
        for (size_t k = 0; k < q->word[i].n; k++) {
            const char c = q->word[i].p[k];
            SB_TRY(sb_buf_add(out, c == '"' ? "\"\"" : &c, c == '"' ? 2 : 1, err));
        }
        SB_TRY(sb_buf_addf(out, err, "\"%s", i + 1 == q->n_words ? " *" : ""));
    }
    return SB_OK;
}

static sb_status ask_index(search *q, sb_error *err)
{
    sb_buf match;
    sqlite3_stmt *st = NULL;
    sb_buf_init(&match, (size_t)4 * QUERY_BYTES, "search");
    sb_status s = match_text(q, &match, err);
    if (s != SB_OK || match.n == 0) {
        sb_buf_deinit(&match);
        return s;
    }
    s = SB_SQL(&st, q->db, err,
               "SELECT c.id, c.title, c.touched, m.id, m.role,"
               " snippet(msg_text, 0, char(2), char(3), '…', 20)"
               " FROM msg_text JOIN msg m ON m.seq = msg_text.rowid JOIN conv c ON c.seq = m.conv"
               " WHERE msg_text MATCH ? AND c.owner = ? ORDER BY msg_text.rowid DESC",
               sb_text((sb_str){match.p, match.n}), sb_int(q->owner));
    for (bool there = true; s == SB_OK && q->left > 0;) {
        s = sb_sql_step(q->db, st, &there, err);
        if (s != SB_OK || !there) break;
        sb_conv_hit h = read_hit(st);
        h.snippet = sb_sql_text(st, 5);
        s = hit(q, &h, err);
    }
    sb_buf_deinit(&match);
    return s;
}

static sb_status ask_titles(search *q, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    SB_TRY(SB_SQL(&st, q->db, err,
                  "SELECT id, title, touched, 0, 1 FROM conv WHERE owner = ? ORDER BY touched DESC",
                  sb_int(q->owner)));
    return scan(q, st, 1, err);
}

static sb_status ask_messages(search *q, sb_error *err)
{
    sqlite3_stmt *st = NULL;
    SB_TRY(SB_SQL(&st, q->db, err,
                  "SELECT c.id, c.title, c.touched, m.id, m.role, m.content"
                  " FROM conv c JOIN msg m ON m.conv = c.seq WHERE c.owner = ? ORDER BY m.seq DESC",
                  sb_int(q->owner)));
    return scan(q, st, 5, err);
}

// Whose, what, how many, to whom: NOLINTNEXTLINE(readability-function-size)
sb_status sb_conv_search(sb_db *db, sb_owner owner, sb_str text, int32_t skip, int32_t n,
                         sb_conv_hit_row row, void *ctx, sb_error *err)
{
    search q = {.db = db, .owner = owner, .skip = skip, .left = n, .row = row, .ctx = ctx};
    if (n < 0 || n > SB_MAX_LIST_ROWS || skip < 0)
        return SB_FAIL(err, SB_INVALID, "a search tells at most %d rows", SB_MAX_LIST_ROWS);
    SB_TRY(split(&q, text, err));
    if (q.n_words == 0 || n == 0) return SB_OK;
    SB_TRY(sb_turn_read(db, err));
    sb_status s = ask_titles(&q, err);
    if (s == SB_OK && q.left > 0) s = db->searchable ? ask_index(&q, err) : ask_messages(&q, err);
    return sb_turn_done(db, sb_row_status(s));
}
