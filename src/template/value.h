/* SPDX-License-Identifier: Apache-2.0
 * value.h - what is inside a sb_val, and what can be done with one; inside the template room.
 *
 * Invariants  Every string is valid UTF-8. A string's marks, where it has them, are one byte 0 or 1
 *             for each of its bytes.
 * Ownership   All memory is the render's region: nothing is freed one by one.
 * Errors      Functions with a sb_run fail into it and spend its steps; those with a region return
 *             NULL or false when it is full. */
#ifndef SB_TEMPLATE_VALUE_H
#define SB_TEMPLATE_VALUE_H
#include "template/region.h"
#include "template/template.h"

typedef struct sb_run sb_run;

/* ---- values (value.c, dict.c, text.c) ---- */

typedef struct sb_list {
    sb_val *v;
    size_t n, cap;
} sb_list;

typedef struct sb_pair {
    sb_val k, v;
} sb_pair;

typedef struct sb_dict {
    sb_pair *v;
    size_t n, cap;
    uint32_t *index; /* once there are many entries; else NULL */
    size_t index_size;
} sb_dict;

/* Where the reference's filter is a generator; a list in fact, as a budget needs to see the work
 * where it is asked for. */
typedef struct sb_iter {
    const sb_list *items;
    size_t at; /* handed out so far */
} sb_iter;

enum { SB_STR_SAFE = 1 }; /* a string after "safe": what is added to it is escaped */

typedef struct sb_loop {
    const sb_list *items;
    size_t i;
    const struct sb_node *node;
    struct sb_scope *scope; /* around the loop */
    int64_t level;          /* 0, and one more in each call of a recursive loop */
    const sb_val *seen;     /* what changed() was asked last */
} sb_loop;

typedef struct sb_macro {
    const struct sb_node *node;
    struct sb_scope *scope; /* where it was defined */
} sb_macro;

struct sb_val_ctx {
    sb_region mem;
    sb_dict *vars;
    int64_t now_s;
    bool has_now;
    sb_status status;
    sb_error err;
};

/* ---- values ---- */

const char *sb_tpl_type_name(sb_val v);
sb_val sb_val_literal(const char *s); /* of static storage */
bool sb_val_is_str(sb_val v);
bool sb_val_is_seq(sb_val v); /* list or tuple */
bool sb_val_truth(sb_val v);
bool sb_val_number(sb_val v, double *out); /* int, float or bool */
bool sb_val_whole(sb_val v, int64_t *out); /* int or bool */
bool sb_val_has_content(sb_val v);         /* any byte of a string, or the scalar */
sb_status sb_val_equal(sb_run *r, sb_val a, sb_val b, bool *out);
sb_status sb_val_order(sb_run *r, sb_val a, sb_val b, int *out); /* -1, 0, 1 */
sb_list *sb_list_new(sb_region *m, size_t cap);
bool sb_list_push(sb_region *m, sb_list *l, sb_val v);
sb_dict *sb_dict_new(sb_region *m);
const sb_val *sb_dict_find(const sb_dict *d, const char *key, size_t n);
bool sb_dict_put(sb_region *m, sb_dict *d, sb_val k, sb_val v);
size_t sb_dict_seek(const sb_dict *d, sb_val key); /* position, or SIZE_MAX */
void sb_dict_remove(sb_dict *d, size_t at);
bool sb_dict_index(sb_region *m, sb_dict *d); /* makes the index anew, where one is due */
size_t sb_dict_cost(const sb_dict *d);        /* steps of one look-up */
/* Doubles an array of the region; the old one stays behind until the end. */
void *sb_tpl_grow(sb_region *m, void *old, size_t n, size_t *cap, size_t size);
sb_val sb_val_of_list(sb_list *l, sb_val_type type);
/* A list as a generator; NULL items pass on. */
sb_status sb_val_to_iter(sb_run *r, sb_val list, sb_val *out);
/* Generators are lists to all that the reference refuses for them: lengths, slices, JSON. */
sb_status sb_val_settle(sb_run *r, sb_val *v);
sb_val sb_val_of_dict(sb_dict *d, sb_val_type type);
/* An equal value whose lists and dicts are its own. */
sb_status sb_val_clone(sb_run *r, sb_val v, sb_val *out);
/* What a for loop and most filters walk over. */
sb_status sb_tpl_items(sb_run *r, sb_val v, const sb_list **out);

/* text (text.c) */
typedef struct sb_text { /* a string being built in the region */
    sb_run *r;
    const char *p;
    const uint8_t *marks; /* NULL while all of one origin */
    size_t n;
    bool from_content;
} sb_text;
sb_status sb_text_add(sb_text *b, sb_val s);
sb_status sb_text_add_raw(sb_text *b, const char *p, size_t n, bool from_content);
sb_val sb_text_val(const sb_text *b);
sb_status sb_text_cat(sb_run *r, sb_val a, sb_val b, sb_val *out);
sb_val sb_text_cut(sb_val s, size_t at, size_t n);                   /* shares the bytes */
size_t sb_text_find(sb_val s, size_t from, const char *p, size_t n); /* SIZE_MAX: not there */
size_t sb_text_count_cp(sb_val s);
bool sb_text_space(uint32_t cp);
enum { SB_TRIM_LEFT = 1, SB_TRIM_RIGHT = 2 };
/* chars: the set to strip, or NULL for white space. */
sb_val sb_text_trim(sb_val s, const sb_val *chars, int sides);
sb_status sb_text_replace(sb_run *r, sb_val s, sb_val old, sb_val new, int64_t max, sb_val *out);
sb_status sb_text_split(sb_run *r, sb_val s, const sb_val *sep, int64_t max, bool from_right,
                        sb_val *out);
sb_status sb_text_lines(sb_run *r, sb_val s, bool keep_ends, sb_val *out);
sb_status sb_text_join(sb_run *r, sb_val sep, const sb_list *items, bool strict, sb_val *out);
sb_status sb_text_repeat(sb_run *r, sb_val s, int64_t times, sb_val *out);
/* & < > ' " for HTML, marked safe; a safe string stays as it is. */
sb_status sb_text_escape(sb_run *r, sb_val v, sb_val *out);
typedef enum sb_case { SB_CASE_UPPER, SB_CASE_LOWER, SB_CASE_TITLE, SB_CASE_CAPITAL } sb_case;
sb_status sb_text_case(sb_run *r, sb_val s, sb_case how, sb_val *out);

/* numbers and JSON from text (numbers.c, json.c) */
/* Digits of a base with an optional sign and white space around; base 0: as 0x, 0o, 0b say. */
bool sb_tpl_read_int(sb_val s, int64_t base, int64_t *out);
/* A plain decimal number with white space around. */
bool sb_tpl_read_float(sb_val s, double *out);
enum { SB_FLOAT_BIG_INT = 1 };
/* A number of JSON, checked to be one; p is kept. */
sb_val sb_tpl_number(const char *p, size_t n, bool is_int);
/* One JSON value, all of it content; the result lives in mem. */
sb_status sb_tpl_json_read(sb_region *mem, sb_str json, sb_val *out, sb_error *err);

/* printing (print.c, format.c, tojson.c) */
sb_status sb_tpl_str(sb_run *r, sb_val v, sb_val *out); /* what {{ v }} prints */
sb_status sb_tpl_repr(sb_run *r, sb_val v, sb_val *out);
/* format % args, as Python's (format.c). */
sb_status sb_tpl_printf(sb_run *r, sb_val format, sb_val args, sb_val *out);
size_t sb_tpl_float_text(double f, char out[40]);
typedef struct sb_json_options {
    bool ensure_ascii, sort_keys;
    int indent; /* -1: one line */
    sb_val item_sep, key_sep;
} sb_json_options;
sb_status sb_tpl_json(sb_run *r, sb_val v, const sb_json_options *o, sb_val *out);
#endif
