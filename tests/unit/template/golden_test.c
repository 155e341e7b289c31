/* SPDX-License-Identifier: Apache-2.0
 * golden_test.c - renders equal to the reference implementation's, byte for byte.
 * argv: files made by tools/make-template-golden.py, which also states their form. */
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

/* The rest of the line behind "K ", when the next line begins so. */
static bool line(reader *r, char key, char *out, size_t out_bytes)
{
    if (r->p == r->end || r->p[0] != key) return false;
    const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));
    assert_non_null(nl);
    (void)snprintf(out, out_bytes, "%.*s", (int)(nl - r->p - 2), r->p + 2);
    r->p = nl + 1;
    return true;
}

static bool text(reader *r, char key, sb_str *out)
{
    char head[32];
    if (!line(r, key, head, sizeof head)) return false;
    out->n = (size_t)strtoull(head, NULL, 10);
    out->p = r->p;
    r->p += out->n + 1;
    return true;
}

static sb_str str(const char *s)
{
    return (sb_str){s, strlen(s)};
}

static sb_val ints(sb_val_ctx *c, const int *v, size_t n)
{
    const sb_val l = sb_val_list(c);
    for (size_t i = 0; i < n; i++)
        sb_val_list_add(c, l, sb_val_int(v[i]));
    return l;
}

/* VARS of the script. */
static void set_vars(sb_val_ctx *c)
{
    static const int xs[] = {3, 1, 2};
    static const char *const words[] = {"pear", "Apple", "fig", "apple"}, *const keys[] = {"one",
                                                                                           "two",
                                                                                           "three"};
    static const int values[] = {1, 2, 1};
    const sb_val w = sb_val_list(c), d = sb_val_dict(c), three = sb_val_list(c),
                 rows = sb_val_list(c);
    for (size_t i = 0; i < 4; i++)
        sb_val_list_add(c, w, sb_val_text(c, str(words[i])));
    sb_val_list_add(c, three, sb_val_bool(true));
    sb_val_list_add(c, three, sb_val_null());
    sb_val_list_add(c, three, sb_val_float(0.1));
    sb_val_dict_set(c, d, str("b"), sb_val_int(1));
    sb_val_dict_set(c, d, str("a"), sb_val_text(c, str("x \xC3\xA9")));
    sb_val_dict_set(c, d, str("c"), three);
    for (size_t i = 0; i < 3; i++) {
        const sb_val row = sb_val_dict(c);
        sb_val_dict_put(c, row, "k", sb_val_text(c, str(keys[i])));
        sb_val_dict_put(c, row, "v", sb_val_int(values[i]));
        sb_val_list_add(c, rows, row);
    }
    sb_val_ctx_set(c, "bos_token", sb_val_trusted(c, str("<s>")));
    sb_val_ctx_set(c, "eos_token", sb_val_trusted(c, str("</s>")));
    sb_val_ctx_set(c, "tools", sb_val_null());
    sb_val_ctx_set(c, "n", sb_val_int(42));
    sb_val_ctx_set(c, "f", sb_val_float(1.5));
    sb_val_ctx_set(c, "yes", sb_val_bool(true));
    sb_val_ctx_set(c, "s", sb_val_text(c, str(" Hello World ")));
    sb_val_ctx_set(c, "u",
                   sb_val_text(c, str("na\xC3\xAFve \xF0\x9F\x98\x80 \xE6\x97\xA5\xE6\x9C\xAC")));
    sb_val_ctx_set(c, "xs", ints(c, xs, 3));
    sb_val_ctx_set(c, "words", w);
    sb_val_ctx_set(c, "d", d);
    sb_val_ctx_set(c, "rows", rows);
}

static int check_case(const sb_template *t, reader *r, const char *name)
{
    sb_val_ctx *c = NULL;
    sb_error err = {0};
    char role[32], label[64];
    sb_str content = {0}, want = {0};
    (void)snprintf(label, sizeof label, "%s", name);
    const bool gen = name[strlen(name) - 1] == '1';
    assert_int_equal(sb_val_ctx_new(&c, &err), SB_OK);
    set_vars(c);
    const sb_val messages = sb_val_list(c);
    while (line(r, 'M', role, sizeof role)) {
        const sb_val m = sb_val_dict(c);
        assert_true(text(r, 'B', &content));
        sb_val_dict_put(c, m, "role", sb_val_text(c, str(role)));
        sb_val_dict_put(c, m, "content", sb_val_text(c, content));
        sb_val_list_add(c, messages, m);
    }
    sb_val_ctx_set(c, "messages", messages);
    sb_val_ctx_set(c, "add_generation_prompt", sb_val_bool(gen));
    assert_true(text(r, 'E', &want));
    sb_rendered got = {0};
    int n_bad = 0;
    if (sb_template_render(t, c, &got, &err) != SB_OK) {
        print_message("%s: %s\n", label, err.msg);
        n_bad = 1;
    } else if (got.bytes != want.n || memcmp(got.text, want.p, want.n) != 0) {
        print_message("%s: got\n%s\nwanted\n%.*s\n", label, got.text, (int)want.n, want.p);
        n_bad = 1;
    }
    sb_rendered_deinit(&got);
    sb_val_ctx_free(c);
    return n_bad;
}

static char **paths;

static void renders_equal_the_reference(void **state)
{
    (void)state;
    int n_bad = 0, n_cases = 0;
    for (char **path = paths; *path; path++) {
        sb_map m;
        sb_error err = {0};
        sb_str source = {0};
        char name[64];
        assert_int_equal(sb_map_open(&m, *path, &err), SB_OK);
        reader r = {(const char *)m.p, (const char *)m.p + m.bytes};
        while (text(&r, 'T', &source)) {
            sb_template *t = NULL;
            if (sb_template_new(&t, source, &err) != SB_OK)
                fail_msg("%.*s: %s", (int)source.n, source.p, err.msg);
            for (; line(&r, 'C', name, sizeof name); n_cases++)
                n_bad += check_case(t, &r, name);
            sb_template_free(t);
        }
        assert_true(r.p == r.end);
        sb_map_close(&m);
    }
    assert_int_equal(n_bad, 0);
    assert_true(n_cases >= 60);
}

int main(int argc, char **argv)
{
    (void)argc;
    paths = argv + 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(renders_equal_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
