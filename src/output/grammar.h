/* SPDX-License-Identifier: Apache-2.0
 * grammar.h - the formats as data: states and the edges between them; for this room's files only.
 *
 * A state says what kind of text it reads (its mode), an edge which literal ends that text, what is
 * then made of it, and where it goes on. states.def and edges.def are the lists. */
#ifndef SB_OUTPUT_GRAMMAR_H
#define SB_OUTPUT_GRAMMAR_H
#include "output/output.h"

typedef enum sb_output_mode {
    SB_MODE_CONTENT,   /* text that is handed out as it comes, until a literal */
    SB_MODE_REASONING, /* the same, as reasoning */
    SB_MODE_BETWEEN,   /* white space, then a literal */
    SB_MODE_NAME,      /* letters, digits and _-.:/, white space, then a literal */
    SB_MODE_RAW,       /* anything until a literal */
    SB_MODE_JSON,      /* an object or list, white space, then a literal */
    SB_MODE_LIST,      /* a bracketed list of code, white space, then a literal */
    SB_MODE_CODE       /* code until a literal outside its strings */
} sb_output_mode;

typedef enum sb_output_state {
#define X(name, mode) SB_AT_##name,
#include "output/states.def"
#undef X
    SB_AT_COUNT
} sb_output_state;

/* What is made of the text that an edge ends. */
typedef enum sb_output_action {
    SB_ACT_none,
    SB_ACT_name,       /* it names the tool; its arguments begin empty */
    SB_ACT_args,       /* it is the JSON of the arguments: the call is complete */
    SB_ACT_object,     /* it is JSON {"name", "arguments"}, or a list of such */
    SB_ACT_known,      /* the same, of tools that are on offer */
    SB_ACT_code,       /* it is code: name(key=value), or a list; or JSON as `known` */
    SB_ACT_key,        /* it names an argument */
    SB_ACT_value,      /* it is that argument's value, of the type that the tool declares */
    SB_ACT_value_text, /* the same, a text */
    SB_ACT_value_json, /* the same, JSON */
    SB_ACT_call,       /* the arguments so far make a complete call */
    SB_ACT_braces,     /* it is name{key:value,...} with texts between <escape> */
    SB_ACT_header      /* it is a message's header; tells itself where to go on */
} sb_output_action;

typedef struct sb_output_edge {
    uint32_t formats; /* bit sb_output_format */
    sb_output_state from;
    const char *literal; /* "": the answer ends here */
    bool peek;           /* the literal is the beginning of what comes next */
    sb_output_action action;
    bool drop; /* all so far is understood: calls are handed out, the text behind them is gone */
    sb_output_state to;
} sb_output_edge;

sb_output_mode sb_grammar_mode(sb_output_state at);
/* Edges of all formats, ordered by `from`. */
const sb_output_edge *sb_grammar_edges(size_t *n);
/* True for states that only requests with tools come to. */
bool sb_grammar_is_call(sb_output_state at);
#endif
