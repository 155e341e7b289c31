/* SPDX-License-Identifier: Apache-2.0
 * render_tool.c - renders templates for tools/check-templates: records in, results out.
 *
 * Record: "T bytes", a template, or "V bytes", its variables as a JSON object, rendered with the
 * last template; each text is followed by a newline. Answer to a V: "OK bytes" and the text, or
 * "ERR bytes" and why. The date is 2024-02-29 13:05:09. */
#include "base/alloc.h"
#include "template/template.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool read_text(size_t n, char **out)
{
    char *p = sb_alloc(n + 1, 1);
    *out = p;
    return p && fread(p, 1, n, stdin) == n && getchar() == '\n';
}

static sb_status render(const sb_template *t, sb_str vars, sb_rendered *out, sb_error *err)
{
    sb_val_ctx *c = NULL;
    sb_val v;
    SB_TRY(sb_val_ctx_new(&c, err));
    sb_status s = sb_val_json(c, vars, &v, err);
    if (s == SB_OK) {
        sb_val_ctx_set_all(c, v);
        sb_val_ctx_set_now(c, 1709211909);
        s = sb_template_render(t, c, out, err);
    }
    sb_val_ctx_free(c);
    return s;
}

static void answer(const char *how, const char *p, size_t n)
{
    printf("%s %zu\n", how, n);
    (void)fwrite(p, 1, n, stdout);
    (void)putchar('\n');
    (void)fflush(stdout);
}

int main(void)
{
    sb_template *t = NULL;
    sb_error parse_err = {0};
    char kind, *text = NULL;
    size_t n;
    while (scanf("%c %zu", &kind, &n) == 2 && getchar() == '\n' && read_text(n, &text)) {
        sb_error err = parse_err;
        sb_rendered r = {0};
        if (kind == 'T') {
            sb_template_free(t);
            t = NULL;
            parse_err = (sb_error){0};
            (void)!sb_template_new(&t, (sb_str){text, n}, &parse_err);
        } else if (t && render(t, (sb_str){text, n}, &r, &err) == SB_OK) {
            answer("OK", r.text, r.bytes);
        } else {
            answer("ERR", err.msg, strlen(err.msg));
        }
        sb_rendered_deinit(&r);
        sb_free(text);
        text = NULL;
    }
    sb_free(text);
    sb_template_free(t);
    return ferror(stdin) != 0;
}
