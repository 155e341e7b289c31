/* SPDX-License-Identifier: Apache-2.0
 * golden_test.c - renders equal to the reference implementation's, byte for byte.
 * argv: the conversations, then files made by tools/make-template-golden.py, which states their
 * form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    const char *p, *end;
} reader;

/* The next record when it is of this kind; notes are passed over. */
static bool record(reader *r, char key, sb_str *out)
{
    while (r->p < r->end && r->p[0] == '#') {
        r->p = memchr(r->p, '\n', (size_t)(r->end - r->p));
        assert_non_null(r->p++);
    }
    if (r->p == r->end || r->p[0] != key) return false;
    const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));
    assert_non_null(nl);
    out->n = (size_t)strtoull(r->p + 2, NULL, 10);
    out->p = nl + 1;
    assert_true(out->n < (size_t)(r->end - out->p));
    r->p = out->p + out->n + 1;
    return true;
}

/* want NULL: the reference refuses, and so must the render (t NULL: so did the parser). */
static bool check_case(const sb_template *t, sb_str vars, const sb_str *want)
{
    sb_val_ctx *c = NULL;
    sb_error err = {0};
    sb_rendered got = {0};
    sb_val v;
    if (!t) return want == NULL;
    assert_int_equal(sb_val_ctx_new(&c, &err), SB_OK);
    if (sb_val_json(c, vars, &v, &err) != SB_OK) fail_msg("%s", err.msg);
    sb_val_ctx_set_all(c, v);
    sb_val_ctx_set_now(c, 1709211909);
    const sb_status s = sb_template_render(t, c, &got, &err);
    const bool same =
        want ? s == SB_OK && got.bytes == want->n && memcmp(got.text, want->p, want->n) == 0
             : s != SB_OK;
    if (!same)
        print_message("%.*s\ngot %s\nwanted %.*s\n", (int)vars.n, vars.p,
                      s == SB_OK ? got.text : err.msg, want ? (int)want->n : 7,
                      want ? want->p : "failure");
    sb_rendered_deinit(&got);
    sb_val_ctx_free(c);
    return same;
}

static char **paths;
static int n_cases, n_bad;

/* One file against the conversations, or against variables of its own. */
static void check_file(reader r, reader conversations)
{
    sb_str source, vars = {0}, own = {0}, want;
    while (record(&r, 'T', &source)) {
        sb_template *t = NULL;
        sb_error err = {0};
        reader next = conversations;
        (void)!sb_template_new(&t, source, &err);
        (void)record(&r, 'V', &own);
        for (;; n_cases++) {
            const bool refused = record(&r, 'F', &want);
            if (!refused && !record(&r, 'E', &want)) break;
            if (own.n)
                vars = own;
            else
                assert_true(record(&next, 'V', &vars));
            if (check_case(t, vars, refused ? NULL : &want)) continue;
            if (!t) print_message("parse: %s\n", err.msg);
            print_message("of: %.*s\n", source.n > 300 ? 300 : (int)source.n, source.p);
            n_bad++;
        }
        sb_template_free(t);
    }
    assert_true(r.p == r.end);
}

static void renders_equal_the_reference(void **state)
{
    (void)state;
    sb_map talk;
    sb_error err = {0};
    assert_int_equal(sb_map_open(&talk, paths[0], &err), SB_OK);
    const reader conversations = {(const char *)talk.p, (const char *)talk.p + talk.bytes};
    for (char **path = paths + 1; *path; path++) {
        sb_map m;
        assert_int_equal(sb_map_open(&m, *path, &err), SB_OK);
        check_file((reader){(const char *)m.p, (const char *)m.p + m.bytes}, conversations);
        sb_map_close(&m);
    }
    sb_map_close(&talk);
    assert_int_equal(n_bad, 0);
    assert_true(n_cases >= 600);
}

int main(int argc, char **argv)
{
    (void)argc;
    paths = argv + 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(renders_equal_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
