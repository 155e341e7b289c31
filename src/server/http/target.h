/* SPDX-License-Identifier: Apache-2.0
 * target.h - the target of a request: a path that is safe to compare, and its query.
 *
 * Invariants  A path that is accepted is valid UTF-8 that begins with '/', without control bytes,
 *             backslash, empty segment ("//") or dot segment, however these were written: it is
 *             decoded once and checked after. An encoded slash is a slash.
 * Errors      400, 503 without memory. */
#ifndef SB_SERVER_HTTP_TARGET_H
#define SB_SERVER_HTTP_TARGET_H
#include "server/http/fields.h"

/* Puts the decoded path into *path (cleared first); *query is a part of the target. */
sb_refusal sb_target_parse(sb_str target, sb_buf *path, sb_str *query);
#endif
