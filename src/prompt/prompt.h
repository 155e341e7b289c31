/* SPDX-License-Identifier: Apache-2.0
 * prompt.h - from messages to token ids through a model's template.
 *
 * Safety      Segments the template wrote may hold control tokens, segments people wrote may not;
 *             what lies between two control tokens is encoded as one text.
 * Ownership   A prompter borrows the model.
 * Errors      SB_NOT_FOUND when the model has no template; the template's and tokenizer's own. */
#ifndef SB_PROMPT_H
#define SB_PROMPT_H
#include "base/ids.h"
#include "model/model.h"
#include "template/template.h"

/* A message. role is one of the known words (system, user, assistant, tool). */
typedef struct sb_message {
    sb_str role, content;
} sb_message;

typedef struct sb_prompter {
    const sb_model *model;
    sb_template *tmpl; /* NULL: the file has none, or it does not parse */
    sb_error tmpl_err; /* why it does not parse */
} sb_prompter;

/* Parses the model's template and reserves its markers in the model's tokenizer. A template that
 * does not parse fails later, when it is asked for: completion works without it. */
sb_status sb_prompter_init(sb_prompter *p, const sb_model *m, sb_error *err) SB_MUST_USE;
void sb_prompter_deinit(sb_prompter *p);
sb_status sb_prompter_chat(const sb_prompter *p, const sb_message *messages, size_t n, sb_ids *out,
                           sb_error *err) SB_MUST_USE;
/* control: control tokens in the text match. */
sb_status sb_prompter_raw(const sb_prompter *p, sb_str text, bool control, sb_ids *out,
                          sb_error *err) SB_MUST_USE;
#endif
