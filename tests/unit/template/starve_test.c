/* SPDX-License-Identifier: Apache-2.0
 * starve_test.c - every allocation of a parse and a render fails in turn, once and for good: the
 * call says so, gives everything back, and works when there is memory again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "starve.h"
#include "template/template.h"

#include <stdbool.h>
#include <string.h>

/* A bit of everything that takes memory; "big" makes new chunks of the regions. */
static const char source[] =
    "{% set big = ('x' ~ c) * 9000 %}{% set ns = namespace(l=[]) %}"
    "{% macro m(a, b=1) %}<{{ a }}{{ b }}>{% endmacro %}{{ m(c, b=big | length) }}"
    "{% for x in tree recursive %}{{ x.n }}({{ loop(x.c) }}){% endfor %}"
    "{% for i in range(3000) %}{% set z = ns.l.append({'k': i ~ 'v'}) %}{% endfor %}"
    "{{ ns.l | map(attribute='k') | sort | unique | list | length }}{{ ns.l[:3] | tojson(indent=2) "
    "}}"
    "{% set t %}{{ big | upper | replace('X', 'yz') | length }}{% endset %}{{ t }}"
    "{% filter trim %} {{ '%s-%05d' % (c, 7) }} {% endfilter %}{% with q = c %}{{ q | e }}{% "
    "endwith %}"
    "{{ '[1, {\"a\": \"b\"}]' | from_json }}{{ big[::-1] | length }}{{ c.split('b') | join(',') }}";

static sb_status build(sb_val_ctx **out, sb_error *err)
{
    static const char json[] = "[{\"n\": \"a\", \"c\": [{\"n\": \"b\", \"c\": []}]}]";
    sb_val v;
    SB_TRY(sb_val_ctx_new(out, err));
    SB_TRY(sb_val_json(*out, (sb_str){json, sizeof json - 1}, &v, err));
    sb_val_ctx_set(*out, "tree", v);
    sb_val_ctx_set(*out, "c", sb_val_text(*out, (sb_str){"abc", 3}));
    return sb_val_ctx_status(*out, err);
}

static sb_status all_of_it(sb_rendered *r, sb_error *err)
{
    sb_template *t = NULL;
    sb_val_ctx *c = NULL;
    sb_status s = sb_template_new(&t, (sb_str){source, sizeof source - 1}, err);
    if (s == SB_OK) s = build(&c, err);
    if (s == SB_OK) s = sb_template_render(t, c, r, err);
    sb_val_ctx_free(c);
    sb_template_free(t);
    return s;
}

static long sweep(bool always)
{
    sb_rendered want = {0};
    sb_error err = {0};
    if (all_of_it(&want, &err) != SB_OK) fail_msg("%s", err.msg);
    const long held = starve_live();
    long n = 0;
    for (;; n++) {
        sb_rendered got = {0};
        err = (sb_error){0};
        starve_from(n, always);
        const sb_status s = all_of_it(&got, &err);
        if (!starve_end()) {
            assert_int_equal(s, SB_OK);
            assert_string_equal(got.text, want.text);
            sb_rendered_deinit(&got);
            break;
        }
        if (s != SB_NO_MEMORY || err.code != s || !err.msg[0])
            fail_msg("allocation %ld: %d %s", n, (int)s, err.msg);
        assert_null(got.text);
        assert_int_equal(starve_live(), held);
    }
    sb_rendered_deinit(&want);
    assert_int_equal(starve_live(), 0);
    return n;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(sweep(false) >= 15);
    assert_true(sweep(true) >= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
