/* SPDX-License-Identifier: Apache-2.0
 * options.c - the tables, and one pass over the words of the command line. */
#include "cli/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

const sb_command_row sb_commands[SB_CMD_COUNT] = {
#define X(name, n_min, n_max, args, what, more) {#name, n_min, n_max, args, what, more},
#include "cli/commands.def"
#undef X
};

#define C(name) (1u << SB_CMD_##name)
const sb_option_row sb_options[SB_OPT_COUNT] = {
#define X(id, long_name, short_name, type, dflt, lo, hi, commands, arg, help)                      \
    {long_name,       short_name,    SB_OPT_##type, (double)(dflt), (double)(lo), (double)(hi),    \
     (int64_t)(dflt), (int64_t)(lo), (int64_t)(hi), (commands),     arg,          help},
#include "cli/options.def"
#undef X
};
#undef C

const sb_verb_row sb_verbs[SB_VERB_COUNT] = {
#define X(cmd, verb, n_min, n_max, args, what) {SB_CMD_##cmd, #verb, n_min, n_max, args, what},
#include "cli/verbs.def"
#undef X
#define X(word, n_min, n_max, args, what) {SB_CMD_energy, #word, n_min, n_max, args, what},
#include "cli/energy-words.def"
#undef X
};

enum { SHOWN_BYTES = 64, VERBS_BYTES = 128 };

bool sb_parse_int(const char *text, int64_t *out)
{
    const bool minus = *text == '-';
    const char *p = text + minus;
    int64_t v = 0;
    if (!*p) return false;
    for (; *p; p++) {
        if (*p < '0' || *p > '9') return false;
        const int64_t digit = *p - '0';
        if (ckd_mul(&v, v, (int64_t)10)) return false;
        if (minus ? ckd_sub(&v, v, digit) : ckd_add(&v, v, digit)) return false;
    }
    *out = v;
    return true;
}

static const char *skip_digits(const char *p)
{
    return p + strspn(p, "0123456789");
}

bool sb_parse_real(const char *text, double *out)
{
    const char *p = text + (*text == '-');
    const char *end = skip_digits(p);
    if (end == p) return false;
    if (*end == '.') {
        p = end + 1;
        end = skip_digits(p);
        if (end == p) return false;
    }
    if (*end == 'e' || *end == 'E') {
        p = end + 1 + (end[1] == '+' || end[1] == '-');
        end = skip_digits(p);
        if (end == p) return false;
    }
    if (*end) return false;
    const double v =
        strtod(text, NULL); /* the shape is checked; main() leaves the C locale alone */
    if (!isfinite(v)) return false;
    *out = v;
    return true;
}

bool sb_parse_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (ckd_mul(&v, v, (uint64_t)10) || ckd_add(&v, v, (uint64_t)(*p - '0'))) return false;
    if (p == text) return false;
    const char *unit = *p ? strchr(units, *p) : NULL;
    if (*p && (!unit || p[1])) return false;
    for (int i = 0; unit && i <= unit - units; i++)
        if (ckd_mul(&v, v, (uint64_t)1024)) return false;
    *out = v;
    return true;
}

sb_cmd sb_command_find(const char *name)
{
    for (int i = 0; i < SB_CMD_COUNT; i++)
        if (strcmp(sb_commands[i].name, name) == 0) return (sb_cmd)i;
    return SB_CMD_COUNT;
}

bool sb_command_has_verbs(sb_cmd cmd)
{
    for (int i = 0; i < SB_VERB_COUNT; i++)
        if (sb_verbs[i].cmd == cmd) return true;
    return false;
}

/* The option of this command whose name is name[0..n), or whose letter is `letter`. */
static int find_option(sb_cmd cmd, const char *name, size_t n, char letter)
{
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        const sb_option_row *o = &sb_options[i];
        if (!(o->commands & (1u << cmd))) continue;
        if (letter ? o->letter == letter : strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return i;
    }
    return -1;
}

/* Index of word in "a|b|c", or -1. */
static int find_choice(const char *list, const char *word)
{
    const size_t n = strlen(word);
    int i = 0;
    for (const char *p = list; p; i++) {
        const size_t k = strcspn(p, "|");
        if (k == n && memcmp(p, word, n) == 0) return i;
        p = p[k] ? p + k + 1 : NULL;
    }
    return -1;
}

static sb_status bad_value(const sb_option_row *o, const char *text, sb_error *err)
{
    char shown[SHOWN_BYTES];
    sb_path_escape(shown, sizeof shown, text);
    switch (o->type) {
    case SB_OPT_INT:
        return SB_FAIL(err, SB_INVALID, "--%s '%s': must be a whole number from %lld to %lld",
                       o->name, shown, (long long)o->lo_i, (long long)o->hi_i);
    case SB_OPT_REAL:
        return SB_FAIL(err, SB_INVALID, "--%s '%s': must be a number from %g to %g", o->name, shown,
                       o->lo, o->hi);
    case SB_OPT_CHOICE:
        return SB_FAIL(err, SB_INVALID, "--%s '%s': must be one of %s", o->name, shown, o->arg);
    case SB_OPT_TEXT:
    case SB_OPT_TEXTS:
        return SB_FAIL(err, SB_INVALID, "--%s '%s': must not be empty", o->name, shown);
    case SB_OPT_FLAG:
        return SB_FAIL(err, SB_INVALID, "--%s takes no value", o->name);
    }
    sb_unreachable("every type has its message");
}

static sb_status add_stop(sb_args *a, const char *text, sb_error *err)
{
    if (a->n_stops == SB_MAX_STOPS)
        return SB_FAIL(err, SB_INVALID, "--stop: more than %d of them", SB_MAX_STOPS);
    if (strlen(text) > SB_MAX_STOP_BYTES)
        return SB_FAIL(err, SB_INVALID, "--stop: longer than %d bytes", SB_MAX_STOP_BYTES);
    a->stops[a->n_stops++] = text;
    return SB_OK;
}

/* "ID=BIAS"; whether the model has such a token is its sampler's word. */
static sb_status add_bias(sb_args *a, const char *text, sb_error *err)
{
    char id[24], shown[SHOWN_BYTES];
    int64_t n = -1;
    double bias = 0;
    const size_t n_id = strcspn(text, "=");
    if (a->n_bias == SB_MAX_LOGIT_BIAS)
        return SB_FAIL(err, SB_INVALID, "--logit-bias: more than %d of them", SB_MAX_LOGIT_BIAS);
    if (text[n_id] == '=' && n_id < sizeof id) {
        const char *value = text + n_id + 1;
        memcpy(id, text, n_id);
        id[n_id] = 0;
        const bool never = strcmp(value, "-inf") == 0;
        if (never) bias = -INFINITY;
        const bool known = never || (sb_parse_real(value, &bias) && bias >= -100 && bias <= 100);
        if (known && sb_parse_int(id, &n) && n >= 0 && n < SB_MAX_VOCAB) {
            a->bias[a->n_bias++] = (sb_logit_bias){(int32_t)n, (float)bias};
            return SB_OK;
        }
    }
    sb_path_escape(shown, sizeof shown, text);
    return SB_FAIL(
        err, SB_INVALID,
        "--logit-bias '%s': must be a token's number, '=', and a number from -100 to 100 "
        "or -inf",
        shown);
}

static sb_status add_text(sb_args *a, sb_opt opt, const char *text, sb_error *err)
{
    if (a->n_texts == SB_MAX_WORDS)
        return SB_FAIL(err, SB_INVALID, "--%s: more than %d of them", sb_options[opt].name,
                       SB_MAX_WORDS);
    a->texts[a->n_texts].opt = opt;
    a->texts[a->n_texts++].s = text;
    return SB_OK;
}

size_t sb_args_texts(const sb_args *a, sb_opt opt, const char **out)
{
    size_t n = 0;
    for (int i = 0; i < a->n_texts; i++)
        if (a->texts[i].opt == opt) out[n++] = a->texts[i].s;
    return n;
}

static sb_status set_value(sb_args *a, int i_opt, const char *text, sb_error *err)
{
    const sb_option_row *o = &sb_options[i_opt];
    sb_opt_value *v = &a->v[i_opt];
    v->set = true;
    v->s = text;
    switch (o->type) {
    case SB_OPT_FLAG:
        v->i = 1;
        return SB_OK;
    case SB_OPT_INT:
        if (!sb_parse_int(text, &v->i) || v->i < o->lo_i || v->i > o->hi_i)
            return bad_value(o, text, err);
        return SB_OK;
    case SB_OPT_REAL:
        if (!sb_parse_real(text, &v->f) || v->f < o->lo || v->f > o->hi)
            return bad_value(o, text, err);
        return SB_OK;
    case SB_OPT_CHOICE:
        v->i = find_choice(o->arg, text);
        return v->i < 0 ? bad_value(o, text, err) : SB_OK;
    case SB_OPT_TEXT:
        return text[0] || i_opt == SB_OPT_system ? SB_OK : bad_value(o, text, err);
    case SB_OPT_TEXTS:
        if (i_opt == SB_OPT_logit_bias) return add_bias(a, text, err);
        if (!text[0]) return bad_value(o, text, err);
        return i_opt == SB_OPT_stop ? add_stop(a, text, err)
                                    : add_text(a, (sb_opt)i_opt, text, err);
    }
    sb_unreachable("every type is read");
}

/* argv[*i] is an option; *i moves on when its value is the next word. */
static sb_status take_option(sb_args *a, int argc, char *const argv[], int *i, sb_error *err)
{
    const char *word = argv[*i], *value = NULL;
    const bool is_long = word[1] == '-';
    const size_t n_name = is_long ? strcspn(word + 2, "=") : 1;
    const int i_opt =
        is_long ? find_option(a->cmd, word + 2, n_name, 0) : find_option(a->cmd, "", 0, word[1]);
    if (i_opt < 0) {
        char shown[SHOWN_BYTES];
        sb_path_escape(shown, sizeof shown, word);
        return SB_FAIL(err, SB_INVALID, "unknown option '%s'", shown);
    }
    const sb_option_row *o = &sb_options[i_opt];
    if (is_long && word[2 + n_name] == '=') value = word + 2 + n_name + 1;
    if (!is_long && word[2]) value = word + 2;
    if (o->type == SB_OPT_FLAG)
        return value ? bad_value(o, value, err) : set_value(a, i_opt, "", err);
    if (!value) {
        if (*i + 1 >= argc)
            return SB_FAIL(err, SB_INVALID, "--%s needs a value: %s", o->name, o->arg);
        value = argv[++*i];
    }
    return set_value(a, i_opt, value, err);
}

static sb_status take_command(sb_args *a, const char *word, sb_error *err)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) word = "help";
    if (strcmp(word, "--version") == 0) word = "version";
    a->cmd = sb_command_find(word);
    if (a->cmd != SB_CMD_COUNT) return SB_OK;
    char shown[SHOWN_BYTES];
    sb_path_escape(shown, sizeof shown, word);
    a->cmd = SB_CMD_help;
    return SB_FAIL(err, SB_INVALID, "unknown command '%s'", shown);
}

static sb_status check_words(const sb_args *a, int n_words, sb_error *err)
{
    const sb_command_row *c = &sb_commands[a->cmd];
    if (a->v[SB_OPT_help].set) return SB_OK;
    if (n_words < c->n_min) return SB_FAIL(err, SB_INVALID, "%s is missing", c->args);
    if (n_words > c->n_max)
        return SB_FAIL(err, SB_INVALID, "%d words where %s: quote what belongs together", n_words,
                       c->n_max ? "one is expected" : "none is expected");
    return SB_OK;
}

/* "add|list|revoke", cut where there is no more room. */
static void list_verbs(sb_cmd cmd, char out[VERBS_BYTES])
{
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < SB_VERB_COUNT && n < VERBS_BYTES; i++)
        if (sb_verbs[i].cmd == cmd)
            n += (size_t)snprintf(out + n, VERBS_BYTES - n, "%s%s", n ? "|" : "", sb_verbs[i].name);
}

/* The first word of a command that has verbs, and how many follow. */
static sb_status check_verb(sb_args *a, int n_words, sb_error *err)
{
    char shown[SHOWN_BYTES];
    if (a->v[SB_OPT_help].set || !sb_command_has_verbs(a->cmd)) return SB_OK;
    if (n_words == 0) return SB_OK; /* a command that does something without one, too */
    for (int i = 0; i < SB_VERB_COUNT; i++) {
        const sb_verb_row *r = &sb_verbs[i];
        if (r->cmd != a->cmd || strcmp(r->name, a->words[0]) != 0) continue;
        a->verb = (sb_verb)i;
        if (n_words - 1 < r->n_min)
            return SB_FAIL(err, SB_INVALID, "%s: %s is missing", r->name, r->args);
        if (n_words - 1 > r->n_max)
            return SB_FAIL(err, SB_INVALID, "%s takes nothing more", r->name);
        return SB_OK;
    }
    char verbs[VERBS_BYTES];
    sb_path_escape(shown, sizeof shown, a->words[0]);
    list_verbs(a->cmd, verbs);
    return SB_FAIL(err, SB_INVALID, "'%s': must be one of %s", shown, verbs);
}

/* Options that only one word of their command takes. */
static sb_status check_verb_options(const sb_args *a, sb_error *err)
{
    static const struct {
        sb_opt opt;
        sb_verb verb;
    } only[] = {{SB_OPT_key_admin, SB_VERB_key_add},
                {SB_OPT_key_rpm, SB_VERB_key_add},
                {SB_OPT_key_tpm, SB_VERB_key_add},
                {SB_OPT_key_concurrent, SB_VERB_key_add},
                {SB_OPT_key_priority, SB_VERB_key_add},
                {SB_OPT_key_day_energy, SB_VERB_key_add},
                {SB_OPT_key_day_co2e, SB_VERB_key_add},
                {SB_OPT_key_day_cost, SB_VERB_key_add},
                {SB_OPT_watch, SB_VERB_energy_meters},
                {SB_OPT_meter_url, SB_VERB_energy_meters},
                {SB_OPT_receipt_key, SB_VERB_energy_verify},
                {SB_OPT_peer, SB_VERB_bench_trace},
                {SB_OPT_levers, SB_VERB_bench_trace},
                {SB_OPT_chats, SB_VERB_bench_trace},
                {SB_OPT_fixed_answers, SB_VERB_bench_trace},
                {SB_OPT_with, SB_VERB_bench_trace},
                {SB_OPT_most, SB_VERB_bench_trace},
                {SB_OPT_by, SB_VERB_energy_report},
                {SB_OPT_from, SB_VERB_energy_report},
                {SB_OPT_to, SB_VERB_energy_report},
                {SB_OPT_csv, SB_VERB_energy_report},
                {SB_OPT_html, SB_VERB_energy_report},
                {SB_OPT_svg, SB_VERB_energy_report},
                {SB_OPT_score_n, SB_VERB_energy_score},
                {SB_OPT_score_runs, SB_VERB_energy_score},
                {SB_OPT_score_tokens, SB_VERB_energy_score},
                {SB_OPT_score_prompts, SB_VERB_energy_score},
                {SB_OPT_score_label, SB_VERB_energy_score},
                {SB_OPT_cal_seconds, SB_VERB_energy_calibrate},
                {SB_OPT_cal_plug, SB_VERB_energy_calibrate}};
    for (size_t i = 0; i < SB_ARRAY_LEN(only); i++)
        if (a->v[only[i].opt].set && a->cmd == sb_verbs[only[i].verb].cmd &&
            a->verb != only[i].verb)
            return SB_FAIL(err, SB_INVALID, "--%s: only with `sobre %s %s`",
                           sb_options[only[i].opt].name, sb_commands[a->cmd].name,
                           sb_verbs[only[i].verb].name);
    return SB_OK;
}

/* What is right word by word and wrong together. */
static sb_status check_together(const sb_args *a, sb_error *err)
{
    const sb_opt_value *v = a->v;
    if (v[SB_OPT_help].set) return SB_OK;
    if (a->cmd == SB_CMD_help && a->n_words && sb_command_find(a->words[0]) == SB_CMD_COUNT) {
        char shown[SHOWN_BYTES];
        sb_path_escape(shown, sizeof shown, a->words[0]);
        return SB_FAIL(err, SB_INVALID, "no command '%s'", shown);
    }
    if (v[SB_OPT_raw].set && v[SB_OPT_system].set)
        return SB_FAIL(err, SB_INVALID, "--system needs the chat template, which --raw leaves out");
    if (v[SB_OPT_raw].set && v[SB_OPT_template].set)
        return SB_FAIL(err, SB_INVALID, "--raw leaves out what --template gives: take one of them");
    if (v[SB_OPT_think].set && v[SB_OPT_no_think].set)
        return SB_FAIL(err, SB_INVALID, "--think and --no-think: take one of them");
    if (v[SB_OPT_markers].set && !v[SB_OPT_raw].set)
        return SB_FAIL(err, SB_INVALID,
                       "--special needs --raw: messages never become control tokens");
    SB_TRY(check_verb_options(a, err));
    if (a->verb == SB_VERB_bench_trace && v[SB_OPT_gen].i == 0)
        return SB_FAIL(err, SB_INVALID, "-n 0: an answer has a token at least");
    if (a->cmd == SB_CMD_bench && v[SB_OPT_prompt].i == 0 && v[SB_OPT_gen].i == 0)
        return SB_FAIL(err, SB_INVALID, "-p 0 -n 0 leaves nothing to measure");
    const bool needs_model =
        a->cmd == SB_CMD_tokenize || a->cmd == SB_CMD_perplexity || a->cmd == SB_CMD_bench;
    if (needs_model && !v[SB_OPT_model].set)
        return SB_FAIL(err, SB_INVALID, "--model is missing: %s", sb_options[SB_OPT_model].arg);
    return SB_OK;
}

sb_status sb_args_parse(sb_args *out, int argc, char *const argv[], sb_error *err)
{
    memset(out, 0, sizeof *out);
    out->cmd = SB_CMD_help;
    out->verb = SB_VERB_COUNT;
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        out->v[i].i = sb_options[i].dflt_i;
        out->v[i].f = sb_options[i].dflt;
    }
    if (argc < 2) return SB_FAIL(err, SB_INVALID, "a command is missing");
    SB_TRY(take_command(out, argv[1], err));
    bool options = true;
    int n_words = 0;
    for (int i = 2; i < argc; i++) {
        const char *w = argv[i];
        if (options && strcmp(w, "--") == 0) {
            options = false;
        } else if (options && w[0] == '-' && w[1]) {
            SB_TRY(take_option(out, argc, argv, &i, err));
        } else if (n_words++ < (int)SB_ARRAY_LEN(out->words)) {
            out->words[out->n_words++] = w;
        }
    }
    SB_TRY(check_words(out, n_words, err));
    SB_TRY(check_verb(out, n_words, err));
    return check_together(out, err);
}
