/* SPDX-License-Identifier: Apache-2.0
 * french.h - what people read, in their language.
 *
 * Purpose     English is written in the code; french.def says the same in French. Translation
 *             happens here, at the edge, on what is about to be shown: a formatted line is matched
 *             against the English formats, and what filled them is carried over. What has no row
 *             stays English. Data, JSON and numbers are never touched.
 * Choice      LC_ALL, LC_MESSAGES, LANG: the first that is set names the locale. LANGUAGE, a list,
 *             goes before it unless that locale is C. No locale needs to be installed.
 * Threads     Pure functions of their arguments and the environment.
 * Cost        Nothing in English; one pass over the rows for each line in French. */
#ifndef SB_CLI_FRENCH_H
#define SB_CLI_FRENCH_H
#include "base/base.h"
#include "base/buf.h"

bool sb_french_wanted(void);
/* The French of a text that is a row as it stands, else the text: for texts without values. */
const char *sb_tr(const char *english);
/* Appends a formatted line in the reader's language. */
sb_status sb_tr_line(sb_buf *out, sb_str line, sb_error *err) SB_MUST_USE;
/* As sb_tr_line(), whatever the environment says. */
sb_status sb_french_line(sb_buf *out, sb_str line, sb_error *err) SB_MUST_USE;
#endif
