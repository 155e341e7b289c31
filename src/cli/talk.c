/* SPDX-License-Identifier: Apache-2.0
 * talk.c - messages in memory: an array of copies. */
#include "cli/talk.h"

#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

static void drop_text(sb_talk *t, sb_str s)
{
    if (!s.p) return;
    t->bytes -= s.n;
    sb_free((char *)(uintptr_t)s.p); /* sb_talk_add() made it */
}

static void drop_message(sb_talk *t, const sb_message *m)
{
    drop_text(t, m->content);
    drop_text(t, m->reasoning);
}

void sb_talk_deinit(sb_talk *t)
{
    while (t->n > 0)
        sb_talk_drop(t);
    sb_free(t->messages);
    *t = (sb_talk){0};
}

void sb_talk_drop(sb_talk *t)
{
    if (t->n > 0) drop_message(t, &t->messages[--t->n]);
}

static sb_status make_message(sb_talk *t, const char *role, sb_str content, sb_str reasoning,
                              sb_message *out, sb_error *err)
{
    size_t bytes = t->bytes;
    if (ckd_add(&bytes, bytes, content.n) || ckd_add(&bytes, bytes, reasoning.n) ||
        bytes > SB_MAX_PROMPT_BYTES)
        return SB_FAIL(err, SB_LIMIT, "the conversation would be longer than %d bytes",
                       SB_MAX_PROMPT_BYTES);
    sb_message m = {.role = {role, strlen(role)}};
    m.content = (sb_str){sb_strdup_n(content.p ? content.p : "", content.n), content.n};
    if (reasoning.n) m.reasoning = (sb_str){sb_strdup_n(reasoning.p, reasoning.n), reasoning.n};
    t->bytes = bytes;
    if (m.content.p && (m.reasoning.p || !reasoning.n)) {
        *out = m;
        return SB_OK;
    }
    if (!m.content.p) t->bytes -= content.n;
    if (!m.reasoning.p) t->bytes -= reasoning.n;
    drop_message(t, &m);
    return SB_FAIL(err, SB_NO_MEMORY, "conversation: out of memory");
}

static sb_status make_room(sb_talk *t, sb_error *err)
{
    if (t->n >= SB_MAX_MESSAGES)
        return SB_FAIL(err, SB_LIMIT, "%zu messages (at most %d)", t->n + 1, SB_MAX_MESSAGES);
    if (t->n < t->cap) return SB_OK;
    const size_t cap = t->cap ? 2 * t->cap : 16;
    sb_message *m = sb_realloc(t->messages, cap, sizeof *m);
    if (!m) return SB_FAIL(err, SB_NO_MEMORY, "conversation: out of memory");
    t->messages = m;
    t->cap = cap;
    return SB_OK;
}

sb_status sb_talk_add(sb_talk *t, const char *role, sb_str content, sb_str reasoning, sb_error *err)
{
    sb_message m;
    SB_TRY(make_room(t, err));
    SB_TRY(make_message(t, role, content, reasoning, &m, err));
    t->messages[t->n++] = m;
    return SB_OK;
}

static bool has_system(const sb_talk *t)
{
    return t->n > 0 && t->messages[0].role.n == 6 &&
           memcmp(t->messages[0].role.p, "system", 6) == 0;
}

sb_str sb_talk_system(const sb_talk *t)
{
    return has_system(t) ? t->messages[0].content : (sb_str){NULL, 0};
}

void sb_talk_reset(sb_talk *t)
{
    const size_t kept = has_system(t);
    while (t->n > kept)
        sb_talk_drop(t);
}

sb_status sb_talk_set_system(sb_talk *t, sb_str text, sb_error *err)
{
    sb_message m = {0};
    if (text.n) {
        SB_TRY(make_room(t, err));
        SB_TRY(make_message(t, "system", text, (sb_str){NULL, 0}, &m, err));
    }
    if (has_system(t)) {
        drop_message(t, &t->messages[0]);
        memmove(t->messages, t->messages + 1, --t->n * sizeof *t->messages);
    }
    if (!text.n) return SB_OK;
    memmove(t->messages + 1, t->messages, t->n * sizeof *t->messages);
    t->messages[0] = m;
    t->n++;
    return SB_OK;
}
