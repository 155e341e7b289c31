/* SPDX-License-Identifier: Apache-2.0
 * journal.h - the server's log: one line an event, "key=value" pairs, no content.
 *
 * Purpose     What operators grep. Never a prompt, an answer, a key, a header's value or a path's
 *             free part: only routes, names of models and keys, numbers and our own messages.
 * Form        ts=2026-11-26T21:00:00.123Z event=WORD key=value ...; a value with a blank, a quote
 *             or a control byte stands in double quotes with \xNN for those.
 * Threads     Any; a line is one write.
 * Errors      A line that cannot be written is lost, and counted in the next one that can. */
#ifndef SB_SERVER_JOURNAL_H
#define SB_SERVER_JOURNAL_H
#include "base/base.h"

typedef struct sb_journal sb_journal;

/* path: a file to append to, "-" for standard error, NULL for no log. */
sb_status sb_journal_open(sb_journal **out, const char *path, sb_error *err) SB_MUST_USE;
void sb_journal_close(sb_journal *j);
/* After the file was moved away: appends to a new one of the name. */
void sb_journal_reopen(sb_journal *j);
bool sb_journal_is_on(const sb_journal *j);

typedef struct sb_journal_line {
    size_t n;
    char text[1024];
} sb_journal_line;

void sb_journal_begin(sb_journal_line *l, const char *event);
void sb_journal_text(sb_journal_line *l, const char *key, sb_str value);
void sb_journal_int(sb_journal_line *l, const char *key, int64_t value);
/* Milliseconds with three decimals. */
void sb_journal_ms(sb_journal_line *l, const char *key, uint64_t ns);
void sb_journal_end(sb_journal *j, sb_journal_line *l);
#endif
