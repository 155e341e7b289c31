/* SPDX-License-Identifier: Apache-2.0
 * options_test.c - the command line: numbers, every shape of an option, what must be refused, and
 * that the lists agree with themselves and with the rooms they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/options.h"
#include "kernels/kernels.h"

enum { WORDS = 12 };

/* Splits "a b c" at blanks into argv; a word "''" is empty. */
static sb_status parse(sb_args *a, const char *line, sb_error *err)
{
    static char text[512];
    char *argv[WORDS + 1];
    int argc = 0;
    assert_true(strlen(line) < sizeof text);
    memcpy(text, line, strlen(line) + 1);
    for (char *p = text; p && argc < WORDS;) {
        char *end = strchr(p, ' ');
        if (end) *end++ = 0;
        argv[argc++] = strcmp(p, "''") == 0 ? p + 2 : p;
        p = end;
    }
    return sb_args_parse(a, argc, argv, err);
}

static void whole_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "--1",
                                      "1_0",
                                      "٣",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "1\n"};
    int64_t v = 7;
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        assert_false(sb_parse_int(bad[i], &v));
    assert_int_equal(v, 7);
    assert_true(sb_parse_int("9223372036854775807", &v) && v == INT64_MAX);
    assert_true(sb_parse_int("-9223372036854775808", &v) && v == INT64_MIN);
    assert_true(sb_parse_int("007", &v) && v == 7);
}

static void real_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ".",    ".5",    "1.", "1,5", "nan",
                                      "inf", "-inf", "0x1p3", "1e", "1e+", "1e999",
                                      " 1",  "1 ",   "1.5.2", "-",  "+1",  "1f"};
    double v = 7;
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++)
        assert_false(sb_parse_real(bad[i], &v));
    assert_true(v == 7);
    assert_true(sb_parse_real("0.25", &v) && v == 0.25);
    assert_true(sb_parse_real("-3", &v) && v == -3);
    assert_true(sb_parse_real("25e-2", &v) && v == 0.25);
    assert_true(sb_parse_real("1E+2", &v) && v == 100);
}

static void every_shape(void **state)
{
    (void)state;
    static const char *const same[] = {"sobre run --tokens 5 hello", "sobre run --tokens=5 hello",
                                       "sobre run -n 5 hello",       "sobre run -n5 hello",
                                       "sobre run hello -n 9 -n 5",  "sobre run -n 5 -- hello"};
    sb_args a;
    for (size_t i = 0; i < SB_ARRAY_LEN(same); i++) {
        assert_int_equal(parse(&a, same[i], NULL), SB_OK);
        assert_int_equal(a.cmd, SB_CMD_run);
        assert_true(a.v[SB_OPT_n].set);
        assert_int_equal(a.v[SB_OPT_n].i, 5);
        assert_int_equal(a.n_words, 1);
        assert_string_equal(a.words[0], "hello");
    }
    assert_int_equal(parse(&a, "sobre run -- --raw", NULL), SB_OK);
    assert_string_equal(a.words[0], "--raw");
    assert_false(a.v[SB_OPT_raw].set);
    assert_int_equal(parse(&a, "sobre run --raw --temp 0 --stop a --stop b --kv f32 -", NULL),
                     SB_OK);
    assert_string_equal(a.words[0], "-");
    assert_true(a.v[SB_OPT_temp].set && a.v[SB_OPT_temp].f == 0);
    assert_int_equal(a.n_stops, 2);
    assert_string_equal(a.stops[1], "b");
    assert_int_equal(a.v[SB_OPT_kv].i, 1);
    assert_int_equal(parse(&a, "sobre run ''", NULL), SB_OK);
    assert_int_equal(parse(&a, "sobre run --system '' x", NULL), SB_OK);
}

static void names_that_two_commands_share(void **state)
{
    (void)state;
    sb_args a;
    assert_int_equal(parse(&a, "sobre bench -m f -p 512 -n 0 -t 2 -r 3 --json", NULL), SB_OK);
    assert_int_equal(a.v[SB_OPT_gen].i, 0);
    assert_false(a.v[SB_OPT_n].set);
    assert_int_equal(parse(&a, "sobre perplexity -m f --ctx 512 text", NULL), SB_OK);
    assert_int_equal(a.v[SB_OPT_window].i, 512);
    assert_false(a.v[SB_OPT_ctx].set);
    assert_int_equal(parse(&a, "sobre tokenize -m f --special --bos -", NULL), SB_OK);
    assert_true(a.v[SB_OPT_special].set);
    assert_false(a.v[SB_OPT_markers].set);
}

static void defaults(void **state)
{
    (void)state;
    sb_args a;
    assert_int_equal(parse(&a, "sobre run x", NULL), SB_OK);
    assert_int_equal(a.v[SB_OPT_seed].i, -1);
    assert_false(a.v[SB_OPT_kv].set); /* the engine chooses */
    assert_int_equal(parse(&a, "sobre serve --kv f32", NULL), SB_OK);
    assert_true(a.v[SB_OPT_kv].set && a.v[SB_OPT_kv].i == 1);
    assert_int_equal(parse(&a, "sobre serve --meter-url plug", NULL), SB_OK);
    assert_int_equal(parse(&a, "sobre energy meters --meter-url plug", NULL), SB_OK);
    assert_int_equal(parse(&a, "sobre energy report --meter-url plug", NULL), SB_INVALID);
    assert_int_equal(a.v[SB_OPT_logprobs].i, -1);
    assert_true(a.v[SB_OPT_top_p].f == 0.95);
    assert_int_equal(parse(&a, "sobre --help", NULL), SB_OK);
    assert_int_equal(a.cmd, SB_CMD_help);
    assert_int_equal(parse(&a, "sobre --version", NULL), SB_OK);
    assert_int_equal(a.cmd, SB_CMD_version);
    assert_int_equal(parse(&a, "sobre tokenize -h", NULL), SB_OK); /* nothing else is asked for */
    assert_true(a.v[SB_OPT_help].set);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"sobre", "command is missing"},
        {"sobre fly", "unknown command 'fly'"},
        {"sobre --raw", "unknown command '--raw'"},
        {"sobre run", "PROMPT|- is missing"},
        {"sobre run a b", "quote"},
        {"sobre list x", "none is expected"},
        {"sobre run --wings x", "unknown option '--wings'"},
        {"sobre run -z x", "unknown option '-z'"},
        {"sobre run --tok 5 x", "unknown option '--tok'"}, /* no abbreviations */
        {"sobre list --temp 0", "unknown option '--temp'"},
        {"sobre run x --ctx", "--ctx needs a value"},
        {"sobre run x --ctx 0", "whole number from 2 to"},
        {"sobre run x --ctx 1", "whole number from 2 to"},
        {"sobre run x --ctx -1", "whole number from 2 to"},
        {"sobre run x --ctx 2147483648", "whole number from 2 to"},
        {"sobre run x --threads 0", "from 1 to 256"},
        {"sobre run x --threads 1000000", "from 1 to 256"},
        {"sobre run x --threads x", "from 1 to 256"},
        {"sobre run x -t 2x", "from 1 to 256"},
        {"sobre run x -n 0", "whole number from 1"},
        {"sobre run x --temp -1", "number from 0 to 100"},
        {"sobre run x --temp nan", "number from 0 to 100"},
        {"sobre run x --top-p 1.1", "number from 0 to 1"},
        {"sobre run x --min-p -0.1", "number from 0 to 1"},
        {"sobre run x --seed 18446744073709551616", "whole number from -1"},
        {"sobre run x --seed -2", "whole number from -1"},
        {"sobre run x --logprobs 21", "from 0 to 20"},
        {"sobre run x --kv f16", "one of bf16|f32"},
        {"sobre run x --kv bf", "one of bf16|f32"},
        {"sobre run x --precision bf16|f32", "one of fast|exact"},
        {"sobre run x --cpu sse", "one of ref|neon|avx2|avxvnni|avx512"},
        {"sobre run x --raw=1", "takes no value"},
        {"sobre run x --stop ''", "must not be empty"},
        {"sobre run x --model ''", "must not be empty"},
        {"sobre run x --raw --system s", "--system needs the chat template"},
        {"sobre run x --special", "--special needs --raw"},
        {"sobre bench -m f -p 0 -n 0", "nothing to measure"},
        {"sobre bench", "--model is missing"},
        {"sobre tokenize -", "--model is missing"},
        {"sobre perplexity t", "--model is missing"},
        {"sobre perplexity t -m f --chunks 0", "whole number from 1"},
        {"sobre perplexity t -m f --against fast", "one of exact"},
        {"sobre help fly", "no command 'fly'"},
        {"sobre run \x1b[31m --x\x1b", "unknown option '--x\\x"},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_args a;
        sb_error err = {0};
        if (parse(&a, cases[i].line, &err) != SB_INVALID || !strstr(err.msg, cases[i].says))
            fail_msg("`%s` says '%s', not '%s'", cases[i].line, err.msg, cases[i].says);
    }
}

static void biases(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "5",      "=1",    "5=",    "x=1",        "-1=1",  "5=101",
        "5=-1e9", "5=nan", "5=inf", "99999999=1", "5=1=2", "55555555555555555555555555=1"};
    char line[80];
    sb_args a;
    sb_error err = {0};
    for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
        (void)snprintf(line, sizeof line, "sobre run --logit-bias %s hi", bad[i]);
        assert_int_equal(parse(&a, line, &err), SB_INVALID);
        assert_non_null(strstr(err.msg, bad[i]));
    }
    assert_int_equal(parse(&a, "sobre run --logit-bias 5=-1.5 --logit-bias 0=-inf hi", &err),
                     SB_OK);
    assert_int_equal(a.n_bias, 2);
    assert_int_equal(a.bias[0].id, 5);
    assert_true(a.bias[0].bias == -1.5f && a.bias[1].bias < -1e30f);
    assert_int_equal(a.n_stops, 0);
}

static void too_many_stops(void **state)
{
    (void)state;
    static char *argv[2 * SB_MAX_STOPS + 5];
    static char program[] = "sobre", run[] = "run", stop[] = "--stop", x[] = "x";
    int argc = 0;
    argv[argc++] = program;
    argv[argc++] = run;
    argv[argc++] = x;
    for (int i = 0; i < SB_MAX_STOPS; i++) {
        argv[argc++] = stop;
        argv[argc++] = x;
    }
    sb_args a;
    assert_int_equal(sb_args_parse(&a, argc, argv, NULL), SB_OK);
    assert_int_equal(a.n_stops, SB_MAX_STOPS);
    argv[argc++] = stop;
    argv[argc++] = x;
    assert_int_equal(sb_args_parse(&a, argc, argv, NULL), SB_INVALID);
}

/* Words of "a|b|c". */
static int n_choices(const char *list)
{
    int n = 1;
    for (; *list; list++)
        n += *list == '|';
    return n;
}

static void the_lists_agree(void **state)
{
    (void)state;
    for (int i = 0; i < SB_OPT_COUNT; i++) {
        const sb_option_row *o = &sb_options[i];
        assert_true(o->commands != 0 && strlen(o->help) > 0 && strlen(o->name) > 1);
        assert_true((o->type == SB_OPT_FLAG) == (o->arg[0] == 0));
        for (int k = 0; k < i; k++) { /* one command, one meaning */
            if (!(sb_options[k].commands & o->commands)) continue;
            assert_string_not_equal(sb_options[k].name, o->name);
            if (o->letter) assert_int_not_equal(sb_options[k].letter, o->letter);
        }
        if (o->type == SB_OPT_CHOICE) assert_true(o->dflt_i < n_choices(o->arg));
    }
    char levels[64] = "";
    for (int l = 0; l < SB_LEVEL_COUNT; l++) {
        if (l) strncat(levels, "|", 2);
        strncat(levels, sb_level_name((sb_level)l), 16);
    }
    assert_string_equal(sb_options[SB_OPT_cpu].arg, levels);
    for (int c = 0; c < SB_CMD_COUNT; c++)
        assert_int_equal(sb_command_find(sb_commands[c].name), c);
    assert_int_equal(sb_command_find("ru"), SB_CMD_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),   cmocka_unit_test(real_numbers),
        cmocka_unit_test(every_shape),     cmocka_unit_test(names_that_two_commands_share),
        cmocka_unit_test(defaults),        cmocka_unit_test(refused),
        cmocka_unit_test(biases),          cmocka_unit_test(too_many_stops),
        cmocka_unit_test(the_lists_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
