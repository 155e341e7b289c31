/* SPDX-License-Identifier: Apache-2.0
 * talk_file.c - a conversation as JSON on disk: written whole or not at all, read as a stranger's.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/talk.h"

enum { SHOWN_BYTES = 96, MAX_DEPTH = 8 };

static sb_status fail_io(sb_error *err, const char *path, int why)
{
    char shown[SHOWN_BYTES];
    sb_path_escape(shown, sizeof shown, path);
    return SB_FAIL(err, SB_IO, "cannot write '%s': %s", shown, strerror(why));
}

static json_t *as_json(const sb_talk *t, const char *model)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < t->n; i++) {
        const sb_message *m = &t->messages[i];
        json_t *one = json_pack("{s:s%, s:s%}", "role", m->role.p, m->role.n, "content",
                                m->content.p, m->content.n);
        ok = one != NULL;
        if (ok && m->reasoning.n)
            ok = json_object_set_new(one, "reasoning_content",
                                     json_stringn(m->reasoning.p, m->reasoning.n)) == 0;
        ok = json_array_append_new(list, one) == 0 && ok;
    }
    json_t *all = ok ? json_pack("{s:s, s:o}", "model", model, "messages", list) : NULL;
    if (!ok) json_decref(list);
    return all;
}

typedef struct file_out {
    int fd, why;
} file_out;

static int put(const char *p, size_t n, void *ctx)
{
    file_out *f = ctx;
    while (n > 0) {
        const ssize_t w = write(f->fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) {
            f->why = errno;
            return -1;
        }
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

/* The text, a newline and the disk's word that it has them; errno of what failed, or 0. */
static int write_json(int fd, const json_t *all)
{
    file_out f = {.fd = fd};
    if (json_dump_callback(all, put, &f, JSON_INDENT(1)) != 0) return f.why ? f.why : ENOMEM;
    if (put("\n", 1, &f) != 0) return f.why;
    return fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

sb_status sb_talk_save(const sb_talk *t, const char *path, const char *model, sb_error *err)
{
    char beside[SB_MAX_PATH_BYTES + 32];
    const int k = snprintf(beside, sizeof beside, "%s.%ld.new", path, (long)getpid());
    if (k < 0 || (size_t)k >= sizeof beside) return fail_io(err, path, ENAMETOOLONG);
    json_t *all = as_json(t, model);
    if (!all) return SB_FAIL(err, SB_NO_MEMORY, "JSON: no memory");
    const int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int why = fd < 0 ? errno : write_json(fd, all);
    json_decref(all);
    if (fd >= 0 && close(fd) != 0 && !why) why = errno;
    if (!why && rename(beside, path) != 0) why = errno;
    if (why && fd >= 0) (void)unlink(beside);
    return why ? fail_io(err, path, why) : SB_OK;
}

/* What a file of any content is checked for before the JSON library sees it. */
static bool is_shallow(const sb_map *m)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < m->bytes; i++) {
        const unsigned char c = m->p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == '{') && ++depth > MAX_DEPTH)
            return false;
        else if (!quoted && (c == ']' || c == '}'))
            depth--;
    }
    return true;
}

static sb_status bad(sb_error *err, size_t i, const char *what)
{
    return SB_FAIL(err, SB_CORRUPT, "message %zu: %s", i, what);
}

static const char *known_role(const char *role)
{
    static const char *const known[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; role && i < SB_ARRAY_LEN(known); i++)
        if (strcmp(known[i], role) == 0) return known[i];
    return NULL;
}

static sb_str text_of(const json_t *j)
{
    return (sb_str){json_string_value(j), json_string_length(j)};
}

static sb_status take_message(sb_talk *t, size_t i, json_t *m, sb_error *err)
{
    const json_t *content = json_object_get(m, "content");
    const json_t *reasoning = json_object_get(m, "reasoning_content");
    const char *role = known_role(json_string_value(json_object_get(m, "role")));
    if (!json_is_object(m)) return bad(err, i, "not an object");
    if (!role) return bad(err, i, "role must be system, user, assistant or tool");
    if (!json_is_string(content)) return bad(err, i, "content must be a string");
    if (reasoning && (!json_is_string(reasoning) || strcmp(role, "assistant") != 0))
        return bad(err, i, "reasoning_content must be a string, and an assistant's");
    if (json_object_size(m) > 2u + (reasoning != NULL))
        return bad(err, i, "a member beside role, content and reasoning_content");
    if (strcmp(role, "system") == 0 && i != 0) return bad(err, i, "only the first may be system's");
    return sb_talk_add(t, role, text_of(content), text_of(reasoning), err);
}

static sb_status take_all(sb_talk *t, json_t *all, sb_error *err)
{
    const json_t *list = json_object_get(all, "messages"), *model = json_object_get(all, "model");
    if (!json_is_object(all) || !json_is_array(list) || (model && !json_is_string(model)) ||
        json_object_size(all) > 1u + (model != NULL))
        return SB_FAIL(err, SB_CORRUPT,
                       "not a saved conversation: an object with messages and model is expected");
    for (size_t i = 0; i < json_array_size(list); i++)
        SB_TRY(take_message(t, i, json_array_get(list, i), err));
    return SB_OK;
}

static sb_status read_talk(sb_talk *t, const sb_map *m, sb_error *err)
{
    if (m->bytes > 2 * (size_t)SB_MAX_PROMPT_BYTES)
        return SB_FAIL(err, SB_LIMIT, "%zu bytes (at most %d)", m->bytes, 2 * SB_MAX_PROMPT_BYTES);
    if (!is_shallow(m))
        return SB_FAIL(err, SB_CORRUPT, "not a saved conversation: nested more than %d deep",
                       MAX_DEPTH);
    json_error_t why;
    json_t *all = json_loadb((const char *)m->p, m->bytes, JSON_REJECT_DUPLICATES, &why);
    if (!all)
        return SB_FAIL(err, SB_CORRUPT, "not JSON: line %d, column %d: %s", why.line, why.column,
                       why.text);
    const sb_status s = take_all(t, all, err);
    json_decref(all);
    return s;
}

sb_status sb_talk_load(sb_talk *t, const char *path, sb_error *err)
{
    char shown[SHOWN_BYTES];
    sb_path_escape(shown, sizeof shown, path);
    sb_map m;
    sb_talk fresh = {0};
    SB_TRY(sb_map_open(&m, path, err));
    const sb_status s = read_talk(&fresh, &m, err);
    sb_map_close(&m);
    if (s != SB_OK) {
        sb_talk_deinit(&fresh);
        return sb_error_prefix(err, s, "'%s'", shown);
    }
    sb_talk_deinit(t);
    *t = fresh;
    return SB_OK;
}
