/* SPDX-License-Identifier: Apache-2.0
 * french_line_test.c - finished lines, back to their formats and into French. */
#include "cli/french.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <string.h>

static void is_said(const char *english, const char *french)
{
    sb_buf b;
    sb_buf_init(&b, 4096, "line");
    assert_int_equal(sb_french_line(&b, (sb_str){english, strlen(english)}, NULL), SB_OK);
    assert_string_equal(b.p ? b.p : "", french);
    sb_buf_deinit(&b);
}

static void lines_become_french(void **state)
{
    (void)state;
    is_said("interrupted", "interrompu");
    is_said("unknown command 'x'", "commande inconnue « x »");
    is_said("run: unknown option '--a' (see `sobre help run`)",
            "run : option inconnue « --a » (voir `sobre help run`)");
    is_said("--threads '7x': must be a whole number from 1 to 256",
            "--threads « 7x » : il faut un nombre entier de 1 à 256");
    is_said("context: 12 of 64 tokens (19%)", "contexte : 12 jetons sur 64 (19 %)");
    is_said("layer 12: out of memory", "layer 12 : mémoire insuffisante");
    is_said("history '/a': Permission denied", "historique « /a » : permission refusée");
}

static void what_is_unknown_stays(void **state)
{
    (void)state;
    is_said("", "");
    is_said("something else 12%", "something else 12%");
    is_said("unknown command 'x", "unknown command 'x");
    is_said("context: many of 64 tokens (19%)", "context: many of 64 tokens (19%)");
    is_said("%s %1 %d", "%s %1 %d"); /* of a value, not of a format */
    is_said("unknown command '%1 %s'", "commande inconnue « %1 %s »");
}

static void worst_lines_take_no_time(void **state)
{
    (void)state;
    static char line[60000];
    memset(line, ':', sizeof line - 1);
    for (size_t i = 0; i + 1 < sizeof line - 1; i += 2)
        line[i + 1] = ' ';
    sb_buf b;
    sb_buf_init(&b, 2 * sizeof line, "line");
    assert_int_equal(sb_french_line(&b, (sb_str){line, 1000}, NULL), SB_OK);
    assert_int_equal(b.n, 1000);
    sb_buf_deinit(&b);
    sb_buf_init(&b, 4, "line");
    assert_int_equal(sb_french_line(&b, (sb_str){"interrupted", 11}, NULL), SB_LIMIT);
    sb_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_become_french),
                                       cmocka_unit_test(what_is_unknown_stays),
                                       cmocka_unit_test(worst_lines_take_no_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
