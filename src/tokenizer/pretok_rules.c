/* SPDX-License-Identifier: Apache-2.0
 * pretok_rules.c - the split rules of rules.def, scanned by hand.
 *
 * A rule is a matcher: how long is the match that begins at p, 0 when none does. What no match
 * covers is a piece of its own, as in the reference. For linear cost a matcher that fails must fail
 * after a few characters, because it is asked again at the next one; the one rule that cannot
 * (white space at the end) has a scan of its own. Regexes try their alternatives in order and take
 * back what a later part needs; where that matters the comment says what is left of it here. */
#include "base/utf8.h"
#include "tokenizer/pretok.h"
#include "tokenizer/unicode.h"

#include <string.h>

#define L SB_UC_SET_L
#define M SB_UC_SET_M
#define N SB_UC_SET_N
#define P SB_UC_SET_P
#define S SB_UC_SET_S
#define SPACE SB_UC_SET_SPACE
#define BREAK SB_UC_SET_BREAK
#define HAN SB_UC_SET_HAN
/* What a cased word begins with, and what it goes on with: letters without case are in both. */
#define UPPER (M | SB_UC_BIT(SB_UC_LU) | SB_UC_RANGE(SB_UC_LT, SB_UC_LO))
#define LOWER (M | SB_UC_BIT(SB_UC_LL) | SB_UC_RANGE(SB_UC_LM, SB_UC_LO))

/* The code point at p and its length. */
static uint32_t cp_at(const char *p, size_t n, size_t *len)
{
    uint32_t cp = 0;
    *len = sb_utf8_decode(p, n, &cp);
    if (*len == 0) *len = 1; // not reached on valid UTF-8; keeps the walk moving
    return cp;
}

/* Its classes; none at the end of the text. */
static uint64_t bits_at(const char *p, size_t n, size_t *len)
{
    if (n == 0) {
        *len = 0;
        return 0;
    }
    return sb_uc_bits(cp_at(p, n, len));
}

/* Bytes of the characters from p on that have a bit of set. */
static size_t run_of(const char *p, size_t n, uint64_t set)
{
    size_t i = 0, len;
    while (bits_at(p + i, n - i, &len) & set)
        i += len;
    return i;
}

/* 's 't 're 've 'm 'll 'd as written: length of the contraction at p, or 0. */
static size_t contraction(const char *p, size_t n)
{
    if (n < 2 || p[0] != '\'') return 0;
    if (strchr("stmd", p[1]) && p[1]) return 2;
    if (n < 3) return 0;
    const bool two = (p[1] == 'r' && p[2] == 'e') || (p[1] == 'v' && p[2] == 'e') ||
                     (p[1] == 'l' && p[2] == 'l');
    return two ? 3 : 0;
}

/* The same in any case. U+017F is an s then, as regexes fold it. */
static size_t contraction_any_case(const char *p, size_t n)
{
    if (n < 2 || p[0] != '\'') return 0;
    if (n > 2 && !memcmp(p + 1, "\xC5\xBF", 2)) return 3;
    char small[3] = {'\''};
    for (size_t i = 1; i < 3 && i < n; i++)
        small[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
    return contraction(small, n < 3 ? n : 3);
}

/* White space. A run that holds line breaks ends with the last of them; one before something else
 * leaves its last character to that, unless it is all there is. */
static size_t white_space(const char *p, size_t n)
{
    size_t i = 0, len, last = 0, to_break = 0;
    for (uint64_t b; (b = bits_at(p + i, n - i, &len)) & SPACE; i += len) {
        last = i;
        if (b & BREAK) to_break = i + len;
    }
    if (to_break) return to_break;
    return i < n && last > 0 ? last : i;
}

/* Words and what stands between them: the expressions that begin with LLAMA3's. */
typedef struct words {
    uint64_t not_before;   /* what may not stand as one character before a word */
    uint64_t upper, lower; /* a word is upper* lower+, or else upper+ lower* */
    uint64_t never;        /* what is in no word */
    uint64_t symbol, not_symbol;
    const char *behind; /* symbols take these along */
    int n_digit;        /* numbers to a piece; 0: none, -1: any */
    bool contraction_first, contraction_last, ascii_word, han;
} words;

static bool in_word(const words *w, uint64_t bits, uint64_t set)
{
    return (bits & set) && !(bits & w->never);
}

static size_t word_run(const words *w, const char *p, size_t n, uint64_t set)
{
    size_t i = 0, len;
    while (in_word(w, bits_at(p + i, n - i, &len), set))
        i += len;
    return i;
}

/* upper* lower+ : when no lower follows the run of upper, the regex takes the run back to the last
 * character that is both. */
static size_t lower_word(const words *w, const char *p, size_t n)
{
    size_t i = 0, len, both = 0;
    for (uint64_t b; in_word(w, b = bits_at(p + i, n - i, &len), w->upper);) {
        i += len;
        if (b & w->lower) both = i;
    }
    const size_t more = word_run(w, p + i, n - i, w->lower);
    return more ? i + more : both;
}

/* upper+ lower* : no lower follows, or lower_word() had matched. */
static size_t upper_word(const words *w, const char *p, size_t n)
{
    return word_run(w, p, n, w->upper);
}

/* A word, with one character before it if that may be, in the order the regex tries. */
static size_t word(const words *w, const char *p, size_t n)
{
    static size_t (*const ways[])(const words *, const char *, size_t) = {lower_word, upper_word};
    size_t len, k = 0;
    const bool before = !(bits_at(p, n, &len) & w->not_before);
    for (size_t i = 0; k == 0 && i < SB_ARRAY_LEN(ways); i++) {
        if (before) k = ways[i](w, p + len, n - len);
        k = k ? k + len : ways[i](w, p, n);
    }
    if (k && w->contraction_last) k += contraction_any_case(p + k, n - k);
    return k;
}

static size_t numbers(const char *p, size_t n, int max)
{
    size_t i = 0, len;
    for (int k = 0; k != max && (bits_at(p + i, n - i, &len) & N); k++)
        i += len;
    return i;
}

static size_t symbols(const words *w, const char *p, size_t n)
{
    size_t i = 0, len;
    uint64_t b = bits_at(p, n, &len);
    if (p[0] == ' ') b = bits_at(p + (i = 1), n - 1, &len);
    if (!(b & w->symbol) || (b & w->not_symbol)) return 0;
    for (; (b & w->symbol) && !(b & w->not_symbol); b = bits_at(p + i, n - i, &len))
        i += len;
    while (i < n && p[i] && strchr(w->behind, p[i]))
        i++;
    return i;
}

/* [!-/:-@[-`{-~][A-Za-z]+ */
static size_t ascii_word(const char *p, size_t n)
{
    const char c = p[0];
    const bool point = (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
                       (c >= '{' && c <= '~');
    size_t i = 1;
    while (point && i < n && ((p[i] | 32) >= 'a' && (p[i] | 32) <= 'z'))
        i++;
    return i > 1 ? i : 0;
}

static size_t match_words(const void *arg, const char *p, size_t n)
{
    const words *w = arg;
    size_t k;
    if (w->han && (k = run_of(p, n, HAN)) > 0) return k;
    if (w->contraction_first && (k = contraction_any_case(p, n)) > 0) return k;
    if (w->ascii_word && (k = ascii_word(p, n)) > 0) return k;
    if ((k = word(w, p, n)) > 0) return k;
    if ((k = numbers(p, n, w->n_digit)) > 0) return k;
    if ((k = symbols(w, p, n)) > 0) return k;
    return white_space(p, n);
}

typedef enum { LETTER, NUMBER, WHITE, OTHER, END } gpt2_class;

static gpt2_class gpt2_class_of(uint64_t bits)
{
    if (bits & L) return LETTER;
    if (bits & N) return NUMBER;
    if (bits & SPACE) return WHITE;
    return bits ? OTHER : END;
}

/* Contractions | ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ : a run of white space before
 * something else leaves its last character to that something (which takes it if it is U+0020). */
static size_t match_gpt2(const void *arg, const char *p, size_t n)
{
    (void)arg;
    size_t len = contraction(p, n), i = 0, last = 0;
    if (len) return len;
    uint64_t b = bits_at(p, n, &len);
    if (p[0] == ' ') {
        size_t len_next;
        const uint64_t next = bits_at(p + 1, n - 1, &len_next);
        if (gpt2_class_of(next) < WHITE || gpt2_class_of(next) == OTHER) {
            i = 1;
            b = next;
            len = len_next;
        }
    }
    const gpt2_class run = gpt2_class_of(b);
    for (; gpt2_class_of(b) == run; b = bits_at(p + i, n - i, &len)) {
        last = i;
        i += len;
    }
    return run == WHITE && i < n && last > 0 ? last : i;
}

typedef struct range {
    uint32_t first, last;
} range;

/* A run of characters of some classes or ranges. */
typedef struct runs {
    uint64_t set;
    const range *ranges; /* sorted */
    size_t n_ranges;
    int min, max;     /* characters; max 0: any */
    bool after_space; /* one white space may stand before it */
} runs;

static bool in_runs(const runs *r, uint32_t cp)
{
    if (sb_uc_bits(cp) & r->set) return true;
    size_t lo = 0, hi = r->n_ranges;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (r->ranges[mid].last < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < r->n_ranges && r->ranges[lo].first <= cp;
}

static size_t count_run(const runs *r, const char *p, size_t n)
{
    size_t i = 0, len;
    int k = 0;
    for (; i < n && (r->max == 0 || k < r->max) && in_runs(r, cp_at(p + i, n - i, &len)); k++)
        i += len;
    return k < r->min ? 0 : i;
}

static size_t match_run(const void *arg, const char *p, size_t n)
{
    const runs *r = arg;
    size_t len;
    if (r->after_space && (bits_at(p, n, &len) & SPACE)) {
        const size_t k = count_run(r, p + len, n - len);
        if (k) return len + k;
    }
    return count_run(r, p, n);
}

/* [^\n]+|[\n]+ */
static size_t match_lines(const void *arg, const char *p, size_t n)
{
    (void)arg;
    size_t i = 1;
    while (i < n && (p[i] == '\n') == (p[0] == '\n'))
        i++;
    return i;
}

/* \s+$ : what is not white space at the end of p[n], and then that white space. */
static size_t cut_end(const char *p, size_t n)
{
    size_t to = 0, len;
    for (size_t i = 0; i < n; i += len)
        if (!(bits_at(p + i, n - i, &len) & SPACE)) to = i + len;
    return to ? to : n;
}

static const range letters[] = {
#define X(first, last) {first, last},
#include "tokenizer/letters.def"
#undef X
};
static const range ascii_digit[] = {{'0', '9'}};
static const range line_break[] = {{'\n', '\n'}, {'\r', '\r'}};
static const range more_points[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'},
                                    {'`', '`'}, {'|', '|'}, {'~', '~'}};
static const range more_points_no_tick[] = {{'$', '$'}, {'+', '+'}, {'<', '>'},
                                            {'^', '^'}, {'|', '|'}, {'~', '~'}};
static const range deep_points[] = {{'!', '/'},       {':', '~'},       {0x2018, 0x201F},
                                    {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
static const range deep_cjk[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
static const range v3_cjk[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};

// Tables of arguments are spelled out: a designated initialiser may not be given twice.
#define PLAIN_BEFORE .not_before = BREAK | L | N
#define PLAIN_SYMBOL .symbol = ~(uint64_t)0, .not_symbol = SPACE | L | N
static const words llama3 = {PLAIN_BEFORE,     .lower = L,   PLAIN_SYMBOL,
                             .behind = "\r\n", .n_digit = 3, .contraction_first = true};
static const words llama3_numbers = {PLAIN_BEFORE,     .lower = L,    PLAIN_SYMBOL,
                                     .behind = "\r\n", .n_digit = -1, .contraction_first = true};
static const words qwen2 = {PLAIN_BEFORE,     .lower = L,   PLAIN_SYMBOL,
                            .behind = "\r\n", .n_digit = 1, .contraction_first = true};
static const words qwen35 = {
    PLAIN_BEFORE,     .lower = L | M, .symbol = ~(uint64_t)0,   .not_symbol = SPACE | L | M | N,
    .behind = "\r\n", .n_digit = 1,   .contraction_first = true};
static const words no_contractions = {PLAIN_BEFORE, .lower = L, PLAIN_SYMBOL, .behind = "\r\n",
                                      .n_digit = 1};
static const words seed = {
    PLAIN_BEFORE, .lower = L,   .symbol = ~(uint64_t)0,   .not_symbol = SPACE | L | N,
    .behind = "", .n_digit = 1, .contraction_first = true};
static const words v3 = {.not_before = BREAK | L | P | S,
                         .lower = L | M,
                         .symbol = P | S,
                         .behind = "\r\n",
                         .ascii_word = true};
static const words gpt4o = {
    PLAIN_BEFORE,      .upper = UPPER, .lower = LOWER,          PLAIN_SYMBOL,
    .behind = "\r\n/", .n_digit = 3,   .contraction_last = true};
static const words tekken = {PLAIN_BEFORE, .upper = UPPER,    .lower = LOWER,
                             PLAIN_SYMBOL, .behind = "\r\n/", .n_digit = 1};
static const words kimi = {PLAIN_BEFORE, .upper = UPPER,   .lower = LOWER, .never = HAN,
                           PLAIN_SYMBOL, .behind = "\r\n", .n_digit = 3,   .contraction_last = true,
                           .han = true};

#define RANGES(r) .ranges = (r), .n_ranges = SB_ARRAY_LEN(r)
static const runs digit = {.set = SB_UC_SET_DIGIT, .min = 1, .max = 1};
static const runs number = {.set = N, .min = 1, .max = 1};
static const runs number_run = {.set = N, .min = 1};
static const runs number_3 = {.set = N, .min = 1, .max = 3};
static const runs three = {RANGES(ascii_digit), .min = 3, .max = 3};
static const runs points = {.set = P, RANGES(more_points), .min = 1};
static const runs points_no_tick = {.set = P, RANGES(more_points_no_tick), .min = 1};
static const runs one_break = {RANGES(line_break), .min = 1, .max = 1};
static const runs letters_run = {RANGES(letters), .min = 1, .after_space = true};
static const runs deep_points_run = {RANGES(deep_points), .min = 1, .after_space = true};
static const runs deep_cjk_run = {RANGES(deep_cjk), .min = 1};
static const runs coder_letters = {.set = L, .min = 1, .after_space = true};
static const runs coder_points = {.set = P, .min = 1, .after_space = true};
static const runs v3_cjk_run = {RANGES(v3_cjk), .min = 1};

typedef struct matcher {
    size_t (*match)(const void *arg, const char *p, size_t n);
    const void *arg;
} matcher;

static const matcher matchers[SB_RULE_COUNT] = {
    [SB_RULE_GPT2] = {match_gpt2, NULL},
    [SB_RULE_DIGIT] = {match_run, &digit},
    [SB_RULE_NUMBERS] = {match_run, &number_run},
    [SB_RULE_NUMBERS3] = {match_run, &number_3},
    [SB_RULE_THREE] = {match_run, &three},
    [SB_RULE_POINTS] = {match_run, &points},
    [SB_RULE_POINTS_NO_TICK] = {match_run, &points_no_tick},
    [SB_RULE_BREAK] = {match_run, &one_break},
    [SB_RULE_LINES] = {match_lines, NULL},
    [SB_RULE_LLAMA3] = {match_words, &llama3},
    [SB_RULE_LLAMA3_NUMBERS] = {match_words, &llama3_numbers},
    [SB_RULE_QWEN2] = {match_words, &qwen2},
    [SB_RULE_QWEN35] = {match_words, &qwen35},
    [SB_RULE_NO_CONTRACTIONS] = {match_words, &no_contractions},
    [SB_RULE_SEED] = {match_words, &seed},
    [SB_RULE_BAILING] = {match_words, &qwen2}, // written otherwise, but it cuts the same
    [SB_RULE_DEEP_LETTERS] = {match_run, &letters_run},
    [SB_RULE_DEEP_POINTS] = {match_run, &deep_points_run},
    [SB_RULE_DEEP_CJK] = {match_run, &deep_cjk_run},
    [SB_RULE_CODER_LETTERS] = {match_run, &coder_letters},
    [SB_RULE_CODER_POINTS] = {match_run, &coder_points},
    [SB_RULE_NUMBER] = {match_run, &number},
    [SB_RULE_V3_CJK] = {match_run, &v3_cjk_run},
    [SB_RULE_V3] = {match_words, &v3},
    [SB_RULE_GPT4O] = {match_words, &gpt4o},
    [SB_RULE_TEKKEN] = {match_words, &tekken},
    [SB_RULE_KIMI] = {match_words, &kimi}};

size_t sb_pretok_cut(sb_pretok_rule rule, const char *p, size_t n)
{
    if (rule == SB_RULE_DEEP_END) return cut_end(p, n);
    const matcher *m = &matchers[rule];
    size_t len = m->match(m->arg, p, n), i = 0;
    if (len) return len;
    do {
        (void)cp_at(p + i, n - i, &len);
        i += len;
    } while (i < n && !m->match(m->arg, p + i, n - i));
    return i;
}
