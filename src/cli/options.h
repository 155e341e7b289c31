/* SPDX-License-Identifier: Apache-2.0
 * options.h - the command line, parsed and checked against options.def and commands.def.
 *
 * Purpose     Turns words into values before anything else happens: whatever is wrong with a
 *             command line is said before a model is opened.
 * Syntax      `--name VALUE`, `--name=VALUE`, `-x VALUE`, `-xVALUE`; options and words in any
 *             order; `--` ends the options; `-` is a word. The last of two counts, except for
 *             TEXTS.
 * Ownership   Strings are borrowed from argv.
 * Errors      SB_INVALID with one line that names the option, the value and the range. */
#ifndef SB_CLI_OPTIONS_H
#define SB_CLI_OPTIONS_H
#include "base/base.h"
#include "base/limits.h"
#include "engine/sampler.h"

typedef enum sb_cmd {
#define X(name, n_min, n_max, args, what, more) SB_CMD_##name,
#include "cli/commands.def"
#undef X
    SB_CMD_COUNT
} sb_cmd;

typedef enum sb_opt {
#define X(id, long_name, short_name, type, dflt, lo, hi, commands, arg, help) SB_OPT_##id,
#include "cli/options.def"
#undef X
    SB_OPT_COUNT
} sb_opt;

typedef enum sb_opt_type {
    SB_OPT_FLAG,
    SB_OPT_INT,
    SB_OPT_REAL,
    SB_OPT_TEXT,
    SB_OPT_TEXTS,
    SB_OPT_CHOICE
} sb_opt_type;

typedef struct sb_command_row {
    const char *name;
    int n_min, n_max;
    const char *args, *what, *more;
} sb_command_row;

/* A word that says what a command does. */
typedef struct sb_verb_row {
    sb_cmd cmd;
    const char *name;
    int n_min, n_max; /* words behind it */
    const char *args, *what;
} sb_verb_row;

typedef enum sb_verb {
#define X(cmd, verb, n_min, n_max, args, what) SB_VERB_##cmd##_##verb,
#include "cli/verbs.def"
#undef X
#define X(word, n_min, n_max, args, what) SB_VERB_energy_##word,
#include "cli/energy-words.def"
#undef X
    SB_VERB_COUNT
} sb_verb;

typedef struct sb_option_row {
    const char *name;
    char letter; /* 0 = none */
    sb_opt_type type;
    double dflt, lo, hi;
    int64_t dflt_i, lo_i, hi_i; /* the same, exact */
    unsigned commands;          /* bit sb_cmd */
    const char *arg, *help;
} sb_option_row;

typedef struct sb_opt_value {
    bool set;
    int64_t i; /* INT, FLAG, CHOICE */
    double f;  /* REAL */
    const char *s;
} sb_opt_value;

typedef struct sb_args {
    sb_cmd cmd;
    sb_opt_value v[SB_OPT_COUNT];
    const char *stops[SB_MAX_STOPS]; /* of SB_OPT_stop */
    int n_stops;
    sb_logit_bias bias[SB_MAX_LOGIT_BIAS]; /* of SB_OPT_logit_bias */
    int32_t n_bias;
    struct {
        sb_opt opt;
        const char *s;
    } texts[SB_MAX_WORDS]; /* of the other TEXTS, in their order */
    int n_texts;
    const char *words[SB_MAX_WORDS];
    int n_words;
    sb_verb verb; /* of words[0], or SB_VERB_COUNT when the command has none */
} sb_args;

extern const sb_command_row sb_commands[SB_CMD_COUNT];
extern const sb_option_row sb_options[SB_OPT_COUNT];
extern const sb_verb_row sb_verbs[SB_VERB_COUNT];

/* argv[1] is the command. `sobre --help`, `-h` and `--version` mean the commands of that name. */
sb_status sb_args_parse(sb_args *out, int argc, char *const argv[], sb_error *err) SB_MUST_USE;
/* SB_CMD_COUNT when there is no such command. */
sb_cmd sb_command_find(const char *name);
bool sb_command_has_verbs(sb_cmd cmd);

/* What was given for a TEXTS option other than stop and logit_bias; out has room for
 * SB_MAX_WORDS. */
size_t sb_args_texts(const sb_args *a, sb_opt opt, const char **out);

/* Digits, and K, M, G or T for powers of 1024 ("3G"); false on anything else. */
bool sb_parse_bytes(const char *text, uint64_t *out);
/* Decimal digits with an optional '-', nothing else; false on overflow too. */
bool sb_parse_int(const char *text, int64_t *out);
/* [-]digits[.digits][e[+-]digits], finite; the decimal sign is a point in every locale. */
bool sb_parse_real(const char *text, double *out);
#endif
