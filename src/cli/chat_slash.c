/* SPDX-License-Identifier: Apache-2.0
 * chat_slash.c - the commands of a chat, found in slash.def. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/chat_room.h"
#include "cli/french.h"

typedef sb_status (*slash_fn)(sb_chat_room *r, sb_str rest, sb_error *err);

typedef struct slash_row {
    const char *name, *aliases, *args;
    bool needs;
    const char *what;
    slash_fn run;
} slash_row;

#define X(name, aliases, args, needs, what)                                                        \
    static sb_status slash_##name(sb_chat_room *r, sb_str rest, sb_error *err);
#include "cli/slash.def"
#undef X

static const slash_row rows[] = {
#define X(name, aliases, args, needs, what) {#name, aliases, args, needs, what, slash_##name},
#include "cli/slash.def"
#undef X
};

/* One line for a person; what reads a pipe is told nothing. */
#define TELL(r, ...)                                                                               \
    do {                                                                                           \
        if (sb_lines_has_person((r)->lines)) {                                                     \
            sb_out_say((r)->c->out, __VA_ARGS__);                                                  \
            sb_out_add((r)->c->out, "\n", 1);                                                      \
        }                                                                                          \
    } while (0)

static sb_status slash_help(sb_chat_room *r, sb_str rest, sb_error *err)
{
    (void)rest, (void)err;
    sb_out *o = r->c->out;
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        const char *args = sb_tr(rows[i].args);
        const int pad = 18 - (int)(strlen(rows[i].name) + (*args != 0) + strlen(args));
        sb_out_addf(o, "  /%s%s%s%*s", rows[i].name, *args ? " " : "", args, pad > 0 ? pad : 1, "");
        sb_out_say(o, "%s", sb_tr(rows[i].what));
        sb_out_add(o, "\n", 1);
    }
    sb_out_say(
        o, "A text between two \"\"\", or lines that end with \\, are one message. Ctrl-C stops "
           "an answer.");
    sb_out_add(o, "\n", 1);
    return SB_OK;
}

static sb_status slash_system(sb_chat_room *r, sb_str rest, sb_error *err)
{
    const sb_str now = sb_talk_system(&r->talk);
    if (rest.n == 0 && now.n == 0) {
        TELL(r, "there is no system message");
    } else if (rest.n == 0) {
        sb_out_escaped(r->c->out, now, true);
        sb_out_add(r->c->out, "\n", 1);
    } else {
        const bool away = rest.n == 1 && rest.p[0] == '-';
        SB_TRY(sb_talk_set_system(&r->talk, away ? (sb_str){NULL, 0} : rest, err));
        if (away)
            TELL(r, "the system message is gone");
        else
            TELL(r, "the system message is set; it counts from the next answer on");
    }
    return SB_OK;
}

static sb_status slash_reset(sb_chat_room *r, sb_str rest, sb_error *err)
{
    (void)rest, (void)err;
    sb_talk_reset(&r->talk);
    r->sums.n_context = 0;
    TELL(r, "the conversation begins anew");
    return SB_OK;
}

/* The path that a person means: ~/ is the home folder. */
static sb_status take_path(sb_str rest, sb_buf *out, sb_error *err)
{
    const char *home = getenv("HOME");
    sb_buf_init(out, SB_MAX_PATH_BYTES - 1, "path");
    if (rest.n >= 2 && rest.p[0] == '~' && rest.p[1] == '/' && home && *home) {
        SB_TRY(sb_buf_add(out, home, strlen(home), err));
        rest = (sb_str){rest.p + 1, rest.n - 1};
    }
    return sb_buf_add(out, rest.p, rest.n, err);
}

static sb_status slash_save(sb_chat_room *r, sb_str rest, sb_error *err)
{
    sb_buf path;
    char shown[96];
    sb_status s = take_path(rest, &path, err);
    if (s == SB_OK) s = sb_talk_save(&r->talk, path.p, sb_chat_room_model(r), err);
    if (s == SB_OK) {
        sb_path_escape(shown, sizeof shown, path.p);
        TELL(r, "%zu messages are in '%s'", r->talk.n, shown);
    }
    sb_buf_deinit(&path);
    return s;
}

static sb_status slash_load(sb_chat_room *r, sb_str rest, sb_error *err)
{
    sb_buf path;
    sb_status s = take_path(rest, &path, err);
    if (s == SB_OK) s = sb_talk_load(&r->talk, path.p, err);
    if (s == SB_OK) {
        r->sums.n_context = 0; /* known again with the next answer */
        TELL(r, "%zu messages; the next answer reads them all", r->talk.n);
    }
    sb_buf_deinit(&path);
    return s;
}

static sb_status slash_stats(sb_chat_room *r, sb_str rest, sb_error *err)
{
    (void)rest, (void)err;
    sb_chat_sums_show(r);
    return SB_OK;
}

static sb_status slash_receipt(sb_chat_room *r, sb_str rest, sb_error *err)
{
    sb_buf path;
    char shown[96];
    if (rest.n == 0) return sb_chat_receipt_show(r, NULL, err);
    sb_status s = take_path(rest, &path, err);
    if (s == SB_OK) s = sb_chat_receipt_show(r, path.p, err);
    if (s == SB_OK) {
        sb_path_escape(shown, sizeof shown, path.p);
        TELL(r, "the receipt is in '%s'", shown);
    }
    sb_buf_deinit(&path);
    return s;
}

static sb_status slash_exit(sb_chat_room *r, sb_str rest, sb_error *err)
{
    (void)rest, (void)err;
    r->leaving = true;
    return SB_OK;
}

/* True when word is one of the words of list, which blanks separate. */
static bool is_listed(const char *list, sb_str word)
{
    for (const char *p = list; *p;) {
        const size_t n = strcspn(p, " ");
        if (n == word.n && memcmp(p, word.p, n) == 0) return true;
        p += n + strspn(p + n, " ");
    }
    return false;
}

static const slash_row *find_row(sb_str word)
{
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++)
        if (is_listed(rows[i].name, word) || is_listed(rows[i].aliases, word)) return &rows[i];
    return NULL;
}

static sb_str trimmed(sb_str s)
{
    while (s.n && strchr(" \t\n", s.p[0]))
        s = (sb_str){s.p + 1, s.n - 1};
    while (s.n && strchr(" \t\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

sb_status sb_chat_slash(sb_chat_room *r, sb_str line, sb_error *err)
{
    size_t n = 1;
    while (n < line.n && !strchr(" \t\n", line.p[n]))
        n++;
    const sb_str word = {line.p + 1, n - 1}, rest = trimmed((sb_str){line.p + n, line.n - n});
    const slash_row *row = find_row(word);
    if (!row) {
        char shown[48], name[48];
        const size_t k = word.n < sizeof name - 1 ? word.n : sizeof name - 1;
        memcpy(name, word.p, k);
        name[k] = 0;
        sb_path_escape(shown, sizeof shown, name);
        return SB_FAIL(err, SB_INVALID,
                       "no command '/%s': /help shows them; a message that begins with / needs a "
                       "blank before it",
                       shown);
    }
    if (row->needs && rest.n == 0)
        return SB_FAIL(err, SB_INVALID, "/%s needs %s", row->name, sb_tr(row->args));
    if (!*row->args && rest.n > 0)
        return SB_FAIL(err, SB_INVALID, "/%s takes nothing after it", row->name);
    return row->run(r, rest, err);
}
