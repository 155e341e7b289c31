/* SPDX-License-Identifier: Apache-2.0
 * prompt.h - from a conversation to token ids through a model's chat template.
 *
 * Purpose     The neutral chat request that the command and the server share: messages with their
 *             reasoning, tool calls and tool results, the tools on offer, and what else a template
 *             may ask for. It knows no dialect of any server.
 * Safety      Segments the template wrote may hold control tokens, segments people wrote may not;
 *             what lies between two control tokens is encoded as one text.
 * Ownership   A request borrows all it points to, for the call. A prompter borrows the model.
 * Threads     A prompter is immutable after _init: ask it from any thread.
 * Errors      SB_NOT_FOUND when there is no template; SB_INVALID for a request that makes no sense
 *             or that the template refuses (raise_exception); the template's and tokenizer's own.
 *             The message names the message, tool call or field. */
#ifndef SB_PROMPT_H
#define SB_PROMPT_H
#include "base/ids.h"
#include "model/model.h"
#include "template/template.h"

/* ---- the conversation ---- */

typedef enum sb_part_kind { SB_PART_TEXT } sb_part_kind; /* images will be the next */

/* A piece of a message's content. */
typedef struct sb_part {
    sb_part_kind kind;
    sb_str text;
} sb_part;

/* A call of a tool, as the model made it. */
typedef struct sb_tool_call {
    sb_str id, name;
    sb_str arguments; /* JSON text of an object; empty = {} */
} sb_tool_call;

/* A message; what is not set is zero. */
typedef struct sb_message {
    sb_str role;          /* a known word: system, developer, user, assistant, tool */
    sb_str content;       /* p NULL: none (an assistant that only calls tools) */
    const sb_part *parts; /* [n_parts] instead of content, when there are any */
    size_t n_parts;
    sb_str reasoning;          /* of an assistant: what it thought before its content */
    const sb_tool_call *calls; /* [n_calls] of an assistant */
    size_t n_calls;
    sb_str tool_call_id; /* of a tool's result: the call it answers */
    sb_str name;         /* of a tool's result: the tool */
} sb_message;

/* How the prompt ends. */
typedef enum sb_prompt_end {
    SB_PROMPT_ASK,     /* with the words that open an answer */
    SB_PROMPT_NONE,    /* with the last message, closed */
    SB_PROMPT_CONTINUE /* inside the last message, for the model to go on with */
} sb_prompt_end;

typedef enum sb_thinking { SB_THINKING_DEFAULT, SB_THINKING_ON, SB_THINKING_OFF } sb_thinking;

/* What is asked of a template; all but messages may be zero. */
typedef struct sb_prompt_request {
    const sb_message *messages;
    size_t n_messages;
    sb_str tools; /* JSON text: [{"type": "function", "function": {...}}, ...] */
    sb_prompt_end end;
    sb_thinking thinking;    /* enable_thinking and thinking, where the template knows them */
    sb_str reasoning_effort; /* "low", "medium", "high" ... */
    sb_str kwargs;           /* JSON text of an object: any other variables of the template */
    bool has_now;            /* now_local_s: seconds since 1970 plus the local offset */
    int64_t now_local_s;
} sb_prompt_request;

/* ---- the prompter ---- */

typedef struct sb_prompter {
    const sb_model *model;
    sb_template *tmpl;  /* NULL: there is none, or it does not parse */
    sb_error tmpl_err;  /* why it does not parse */
    sb_str text;        /* the template in use, borrowed from the model or own; empty: none */
    sb_template *tools; /* the model's own for requests with tools, or NULL */
    sb_error tools_err; /* why that does not parse */
    char *own;          /* the text that was handed in */
    bool args_as_text;  /* the template wants a call's arguments as JSON text */
    bool parts_only;    /* the template wants every content as a list of parts */
    bool takes_parts;   /* the template can read a list of parts */
    bool null_as_empty; /* the template cannot read a content that is none */
} sb_prompter;

/* Parses the template and reserves its markers in the model's tokenizer. text empty: the model's
 * own, and one that does not parse fails later, when it is asked for, as completion works without
 * it. text given (copied): used instead of the model's, and a failure to parse it is one here. */
sb_status sb_prompter_init(sb_prompter *p, const sb_model *m, sb_str text,
                           sb_error *err) SB_MUST_USE;
void sb_prompter_deinit(sb_prompter *p);

/* The prompt as text, by origin. What follows the last control token tells how an answer begins
 * (inside an opened <think>, for one). */
sb_status sb_prompter_render(const sb_prompter *p, const sb_prompt_request *r, sb_rendered *out,
                             sb_error *err) SB_MUST_USE;
/* Appends the ids of a rendered prompt; a template that prints bos itself gets no second one. */
sb_status sb_prompter_encode(const sb_prompter *p, const sb_rendered *r, sb_ids *out,
                             sb_error *err) SB_MUST_USE;
/* The ids of what follows byte `at`, a segment's end, for an `out` that ends with those of what
 * lies before it. SB_INVALID when no segment ends there. */
sb_status sb_prompter_encode_rest(const sb_prompter *p, const sb_rendered *r, size_t at,
                                  sb_ids *out, sb_error *err) SB_MUST_USE;
/* Render and encode. */
sb_status sb_prompter_chat(const sb_prompter *p, const sb_prompt_request *r, sb_ids *out,
                           sb_error *err) SB_MUST_USE;
/* control: control tokens in the text match. */
sb_status sb_prompter_raw(const sb_prompter *p, sb_str text, bool control, sb_ids *out,
                          sb_error *err) SB_MUST_USE;

/* ---- built-in templates ---- */

/* Text of a well-known template by name ("chatml", "llama3" ...), or {NULL, 0}. */
sb_str sb_prompt_builtin(sb_str name);
/* Their names, separated by ", ". */
const char *sb_prompt_builtin_list(void);
#endif
