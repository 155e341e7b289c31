/* SPDX-License-Identifier: Apache-2.0
 * xml_text_test.c - whatever a name holds, it stays text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/xml_text.h"

#define BAD "\xef\xbf\xbd"

static void names_stay_text(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {{"plain", "plain"},
                 {"<a href=\"x\">&'", "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"},
                 {"\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac"},
                 {"a\tb\nc", "a\tb\nc"},
                 {"\x1b[0m\x01\x7f", BAD "[0m" BAD BAD},
                 {"\xff\xc3", BAD BAD},
                 {"\xe2\x80\xae x", BAD " x"}, /* turns the direction */
                 {"\xef\xbf\xbf", BAD},
                 {"", ""}};
    for (size_t i = 0; i < SB_ARRAY_LEN(cases); i++) {
        sb_buf b;
        sb_buf_init(&b, 4096, "text");
        assert_int_equal(sb_xml_add(&b, "[", cases[i].in, "]", NULL), SB_OK);
        assert_int_equal(b.n, strlen(cases[i].out) + 2);
        if (memcmp(b.p + 1, cases[i].out, b.n - 2) != 0) fail_msg("%zu: %s", i, b.p);
        sb_buf_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_stay_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
