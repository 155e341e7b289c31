/* SPDX-License-Identifier: Apache-2.0
 * output.h - a model's streamed text to reasoning, content and tool calls.
 *
 * Purpose     The families of models mark their thinking and their calls each in their own way;
 *             families.def names the families, edges.def is their grammar, and one machine reads
 *             both. Text goes in as it is decoded; events come out as soon as what they tell is
 *             certain.
 * Invariants  The events do not depend on how the text was cut: content and reasoning put together,
 *             and the calls, are the same for every split. What does not parse is content, never
 *             lost and never an error. Held back is only what may still be a marker, a call that is
 *             not complete yet, and white space that a marker may follow. Arguments are one JSON
 *             object, whole and valid.
 * Ownership   A parser copies its tools and prompt tail; an event's texts live until the callback
 *             returns.
 * Threads     One caller at a time for each parser.
 * Errors      SB_NO_MEMORY, and whatever the callback returns; the parser is then good for
 *             sb_output_free() only.
 * Cost        Linear in the text. Memory: at most SB_MAX_CALL_BYTES of held text and as much again
 *             while a call is read; a longer one is content. */
#ifndef SB_OUTPUT_H
#define SB_OUTPUT_H
#include "base/base.h"

typedef enum sb_output_format {
    SB_OUTPUT_AUTO, /* in options: recognise it */
#define X(name, word, ...) SB_OUTPUT_##name,
#include "output/families.def"
#undef X
    SB_OUTPUT_FORMAT_COUNT
} sb_output_format;

/* The word of a format ("hermes"), and back: SB_OUTPUT_FORMAT_COUNT when there is none. */
const char *sb_output_format_word(sb_output_format f);
sb_output_format sb_output_format_find(sb_str word);

/* Tells a model's format from its chat template and its vocabulary. has_token: whether a token of
 * exactly this text exists. Never SB_OUTPUT_AUTO. */
sb_output_format sb_output_recognise(sb_str chat_template,
                                     bool (*has_token)(void *ctx, sb_str text), void *ctx);

typedef enum sb_output_kind {
    SB_OUTPUT_CONTENT,    /* text: what is said */
    SB_OUTPUT_REASONING,  /* text: what is thought before it */
    SB_OUTPUT_CALL_BEGIN, /* text: name of the tool */
    SB_OUTPUT_CALL_ARGS,  /* text: the next part of the arguments' JSON */
    SB_OUTPUT_CALL_END    /* text: empty */
} sb_output_kind;

typedef struct sb_output_event {
    sb_output_kind kind;
    int32_t i_call; /* CALL_*: index of the call in its answer, from 0 */
    sb_str id;      /* CALL_*: its id */
    sb_str text;
} sb_output_event;

enum { SB_CALL_ID_BYTES = 64 }; /* room for an id, its NUL included */

typedef struct sb_output_opts {
    sb_output_format format; /* not SB_OUTPUT_AUTO */
    sb_str prompt_tail;      /* the last bytes of the prompt, control tokens by name: it may have
                                opened the reasoning, or closed it */
    sb_str tools; /* JSON list of the tools on offer, [{"type": "function", "function": {"name",
                     "parameters"}}]; empty: calls are content */
    /* Writes the id of a call; NULL: "call_" and the index. */
    void (*make_id)(void *ctx, int32_t i_call, char id[SB_CALL_ID_BYTES]);
    sb_status (*on_event)(void *ctx, const sb_output_event *e, sb_error *err);
    void *ctx;
} sb_output_opts;

typedef struct sb_output sb_output;

sb_status sb_output_new(sb_output **out, const sb_output_opts *o, sb_error *err) SB_MUST_USE;
void sb_output_free(sb_output *p);
sb_status sb_output_push(sb_output *p, sb_str text, sb_error *err) SB_MUST_USE;
/* The answer is over: what is held back is decided. */
sb_status sb_output_finish(sb_output *p, sb_error *err) SB_MUST_USE;
/* Calls that were handed out. */
int32_t sb_output_n_calls(const sb_output *p);

/* True when the format reads this control token, so that its name must be part of the text. */
bool sb_output_reads(sb_output_format f, sb_str control_token);
#endif
