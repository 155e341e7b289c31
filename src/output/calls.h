/* SPDX-License-Identifier: Apache-2.0
 * calls.h - calls in the making: from the pieces that the machine found to a name and one JSON
 * object; for this room's files only.
 *
 * Invariants  A call in the list has a name of allowed characters and arguments that are one valid
 *             JSON object without white space between its parts.
 * Errors      SB_INVALID: not a call; SB_LIMIT: too large. The caller then takes the text for
 *             content. SB_NO_MEMORY. */
#ifndef SB_OUTPUT_CALLS_H
#define SB_OUTPUT_CALLS_H
#include "base/buf.h"
#include "base/limits.h"

typedef struct sb_call_span {
    size_t name_at, name_n, args_at, args_n; /* in sb_calls.text */
} sb_call_span;

typedef struct sb_key_span {
    size_t at, n; /* in sb_calls.args, quotes included */
} sb_key_span;

typedef struct sb_calls {
    sb_str tools; /* valid JSON: the tools on offer */
    sb_buf text;  /* names and arguments of the calls */
    sb_call_span *v;
    size_t n, cap;
    /* The call being put together. */
    sb_buf name, key, args;
    int32_t n_args;
    sb_key_span keys[SB_MAX_CALL_ARGS]; /* [n_args] */
} sb_calls;

void sb_calls_init(sb_calls *c, sb_str tools);
void sb_calls_deinit(sb_calls *c);
/* Forgets the calls and the one being put together. */
void sb_calls_clear(sb_calls *c);

/* Begins a call. */
sb_status sb_calls_name(sb_calls *c, sb_str name, sb_error *err) SB_MUST_USE;
/* One argument: its key, then its value. */
sb_status sb_calls_key(sb_calls *c, sb_str key, sb_error *err) SB_MUST_USE;
sb_status sb_calls_text(sb_calls *c, sb_str text, sb_error *err) SB_MUST_USE;
sb_status sb_calls_json(sb_calls *c, sb_str json, sb_error *err) SB_MUST_USE;
/* JSON or text, as the tool declares the argument; a text when it does not. */
sb_status sb_calls_typed(sb_calls *c, sb_str value, sb_error *err) SB_MUST_USE;
/* Ends the call; known: its tool must be on offer. */
sb_status sb_calls_end(sb_calls *c, bool known, sb_error *err) SB_MUST_USE;

/* Ends the call that was begun with all its arguments: an object, or a string that holds one. */
sb_status sb_calls_args(sb_calls *c, sb_str json, sb_error *err) SB_MUST_USE;
/* Whole calls from valid JSON: {"name", "arguments" or "parameters"}, or a list of such. */
sb_status sb_calls_object(sb_calls *c, sb_str json, bool known, sb_error *err) SB_MUST_USE;
/* Name of the i-th parameter that a tool declares, with its quotes; {NULL, 0} when there is
 * none. */
sb_str sb_calls_param(const sb_calls *c, sb_str tool, int32_t i);

/* code_call.c: calls written as code, f(a=1, b="x"), in a list or one a line; or JSON. */
sb_status sb_calls_code(sb_calls *c, sb_str code, bool known, sb_error *err) SB_MUST_USE;
/* brace_call.c: call:f{a:1,b:<escape>x<escape>} */
sb_status sb_calls_braces(sb_calls *c, sb_str text, sb_error *err) SB_MUST_USE;
#endif
