/* SPDX-License-Identifier: Apache-2.0
 * template.h - chat templates: a Jinja subset with its own values and its own evaluator.
 *
 * Purpose     Prints a conversation as a model wants to read it, and says of every byte whether the
 *             template wrote it or a person did. Template text comes from a model file: it is
 *             hostile until shown otherwise, has no I/O, no clock of its own, and a budget.
 * Dialect     As the reference library renders chat templates: trim_blocks and lstrip_blocks on,
 *             break and continue, tojson without HTML escapes. Unknown tags, filters, tests and
 *             methods are refused when the template is parsed, with line and column.
 * Provenance  Bytes from the template's own text, and from strings handed in as trusted, are
 *             "literal"; all else is content, through every operator, filter and method. Control
 *             tokens may be read from literal bytes only. Adjacent segments are one text: encode
 *             what lies between two control tokens as a whole, or word boundaries differ.
 * Ownership   sb_template and sb_val_ctx own all they hold and copy what they are given. A render
 *             changes neither, so both serve any number of renders.
 * Threads     A parsed template is immutable: render it from any thread. A sb_val_ctx has one
 *             writer.
 * Errors      SB_CORRUPT: the template is wrong (syntax, or an operation that makes no sense);
 *             SB_UNSUPPORTED: a construct outside the subset; SB_LIMIT: a budget of limits.def is
 *             used up; SB_INVALID: the template itself refused the conversation
 *             (raise_exception), or text is not UTF-8; SB_NO_MEMORY. */
#ifndef SB_TEMPLATE_H
#define SB_TEMPLATE_H
#include "base/base.h"

/* ---- values ---- */

typedef enum sb_val_type {
    SB_VAL_UNDEFINED, /* zero: a zeroed sb_val is undefined */
    SB_VAL_NULL,
    SB_VAL_BOOL,
    SB_VAL_INT,
    SB_VAL_FLOAT,
    SB_VAL_STR,
    SB_VAL_LIST,
    SB_VAL_TUPLE,
    SB_VAL_DICT, /* keeps the order of insertion */
    SB_VAL_NAMESPACE,
    SB_VAL_ITER, /* what select and its kin give: true even when empty, walked once */
    SB_VAL_LOOP,
    SB_VAL_MACRO,
    SB_VAL_FUNCTION, /* a global such as range, or a macro's caller */
    SB_VAL_METHOD    /* a method bound to its value, not called yet */
} sb_val_type;

/* A value by handle: copying it copies no contents. Made only by the functions below. */
typedef struct sb_val {
    uint8_t type;      /* sb_val_type */
    bool from_content; /* of a scalar, or of a string without marks */
    uint16_t id;       /* function, method; SB_STR_SAFE of a string, SB_FLOAT_BIG_INT of a float */
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            double f; /* nearly */
            const char *digits;
            size_t n;
        } big; /* a whole number from outside that no int64 holds: printed as it came */
        struct {
            const char *p;
            size_t n;
            const uint8_t *marks; /* per byte 1 = content, or NULL: all of one origin */
        } s;
        struct sb_list *list;
        struct sb_dict *dict;
        struct sb_iter *iter;
        struct sb_loop *loop;
        struct sb_macro *macro;
        const struct sb_val *self;
        const char *name; /* of an undefined, or NULL */
    } as;
} sb_val;

/* Values and variables for renders. The makers below never fail on the spot: the first failure
 * (memory, text that is not UTF-8, adding to what is no list) is kept and reported by
 * sb_val_ctx_status() and by the render. */
typedef struct sb_val_ctx sb_val_ctx;

sb_status sb_val_ctx_new(sb_val_ctx **out, sb_error *err) SB_MUST_USE;
void sb_val_ctx_free(sb_val_ctx *c);
sb_status sb_val_ctx_status(const sb_val_ctx *c, sb_error *err) SB_MUST_USE;

sb_val sb_val_null(void);
sb_val sb_val_bool(bool b);
sb_val sb_val_int(int64_t i);
sb_val sb_val_float(double f);
/* What people, tools and models say. */
sb_val sb_val_text(sb_val_ctx *c, sb_str s);
/* What the house itself says and may form control tokens: bos_token, eos_token, and role names
 * checked against the known ones (some templates print "<|" + role + "|>"). */
sb_val sb_val_trusted(sb_val_ctx *c, sb_str s);
sb_val sb_val_list(sb_val_ctx *c);
void sb_val_list_add(sb_val_ctx *c, sb_val list, sb_val item);
sb_val sb_val_dict(sb_val_ctx *c);
/* JSON text as a value, all of it content. Fails on the spot, with the byte; json is copied. */
sb_status sb_val_json(sb_val_ctx *c, sb_str json, sb_val *out, sb_error *err) SB_MUST_USE;
/* The key is content, as in JSON from outside; a later value replaces an earlier one. */
void sb_val_dict_set(sb_val_ctx *c, sb_val dict, sb_str key, sb_val v);
/* The key is one of our own words: "role", "content". */
void sb_val_dict_put(sb_val_ctx *c, sb_val dict, const char *key, sb_val v);
/* A variable of the template: messages, add_generation_prompt, bos_token, tools ... */
void sb_val_ctx_set(sb_val_ctx *c, const char *name, sb_val v);
/* Every key of a dict as a variable. */
void sb_val_ctx_set_all(sb_val_ctx *c, sb_val dict);
/* Of a list or dict; 0 of all else. */
size_t sb_val_n_items(sb_val v);
/* Looks through the keys of a dict, in order; false when i is past the last or v is no dict. */
bool sb_val_dict_key(sb_val v, size_t i, sb_str *out);
/* What strftime_now() calls now: seconds since 1970 plus the local offset. Unset: it is refused. */
void sb_val_ctx_set_now(sb_val_ctx *c, int64_t local_s);

/* ---- templates ---- */

typedef struct sb_template sb_template;

sb_status sb_template_new(sb_template **out, sb_str source, sb_error *err) SB_MUST_USE;
void sb_template_free(sb_template *t);

typedef sb_status (*sb_template_literal_fn)(void *ctx, sb_str literal, sb_error *err);
/* Hands out every text and string constant of the template, in no special order; borrowed from t.
 * Stops at the first failure and returns it. */
sb_status sb_template_literals(const sb_template *t, sb_template_literal_fn fn, void *ctx,
                               sb_error *err) SB_MUST_USE;

typedef struct sb_segment {
    size_t offset, bytes; /* in the rendered text; segments touch and cover all of it */
    bool from_content;    /* neighbours differ in it */
} sb_segment;

typedef struct sb_rendered {
    char *text; /* UTF-8, NUL-terminated */
    size_t bytes;
    sb_segment *segments;
    size_t n_segments;
} sb_rendered;

sb_status sb_template_render(const sb_template *t, const sb_val_ctx *c, sb_rendered *out,
                             sb_error *err) SB_MUST_USE;
void sb_rendered_deinit(sb_rendered *r);
#endif
