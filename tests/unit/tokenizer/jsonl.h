/* SPDX-License-Identifier: Apache-2.0
 * jsonl.h - strings and arrays of numbers out of the lines that tools/check-tokenizer.py writes.
 *
 * Purpose     Not a JSON reader: the lines are trusted, and only these two kinds of value occur.
 * Errors      those of the buffers. */
#ifndef SB_TEST_JSONL_H
#define SB_TEST_JSONL_H
#include "base/base.h"
#include "base/buf.h"
#include "base/ids.h"

/* Appends the JSON string at *p (on its quote) to out; moves *p behind it. */
sb_status jsonl_read_string(const char **p, sb_buf *out, sb_error *err) SB_MUST_USE;
/* Appends the numbers of "[1, 2]" at p. */
sb_status jsonl_read_ids(const char *p, sb_ids *out, sb_error *err) SB_MUST_USE;
/* One line each, to stdout. */
void jsonl_print_ids(const sb_ids *a);
void jsonl_print_string(const sb_buf *b);
#endif
