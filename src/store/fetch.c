/* SPDX-License-Identifier: Apache-2.0
 * fetch.c - the loop around transfer.c: keep what came, wait, ask for the rest.
 *
 * What may be gone on with is decided by the notes: a hash of the host's that is still the same, or
 * a validator that the host itself compares (If-Range). Without either, a resumed download could be
 * two files glued together, so it starts over. */
#include "store/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "store/internal.h"
#include "store/json_in.h"

enum { FIRST_WAIT_MS = 250, STEP_NS = 50000000, READ_BYTES = 1 << 20 };

typedef struct fetch {
    const sb_fetch_job *job;
    int fd;
    sb_sha256 *hash;
    uint64_t done, want; /* want: UINT64_MAX until somebody says */
    char validator[200]; /* of the bytes in the part */
} fetch;

/* Waits before try number n (from 1); SB_CANCELLED when asked to stop. */
static sb_status wait_for_try(int n, const sb_transfer_head *head, const sb_pull_hooks *hooks,
                              sb_error *err)
{
    uint64_t ms = (uint64_t)FIRST_WAIT_MS << (n < 8 ? n - 1 : 7);
    if (head->retry_after_s >= 0 && (uint64_t)head->retry_after_s * 1000 > ms)
        ms = (uint64_t)head->retry_after_s * 1000;
    const uint64_t end_ns = sb_now_ns() + ms * 1000000;
    while (sb_now_ns() < end_ns) {
        if (sb_pull_cancelled(hooks)) return SB_FAIL(err, SB_CANCELLED, "interrupted");
        const struct timespec t = {.tv_sec = 0, .tv_nsec = STEP_NS};
        (void)nanosleep(&t, NULL);
    }
    return SB_OK;
}

/* After a failure: SB_OK = try again (the wait is over), else the failure itself. */
static sb_status after_failure(sb_status s, int *n_tries, const sb_transfer_head *head,
                               const sb_pull_hooks *hooks, sb_error *err)
{
    if (!head->try_again || s == SB_CANCELLED) return s;
    if (head->retry_after_s > SB_MAX_RETRY_WAIT_SECONDS)
        return sb_error_prefix(err, s, "the host asks to wait %d s", head->retry_after_s);
    if (++*n_tries >= SB_MAX_FETCH_TRIES)
        return sb_error_prefix(err, s, "given up after %d tries", *n_tries);
    return wait_for_try(*n_tries, head, hooks, err);
}

/* What a text is gathered into. */
typedef struct text {
    sb_buf *out;
    const char *shown;
    bool head;
} text;

static sb_status text_begin(void *ctx, const sb_transfer_head *head, sb_error *err)
{
    text *t = ctx;
    sb_buf_clear(t->out);
    if (head->status == 206 && head->first_byte != 0)
        return SB_FAIL(err, SB_IO, "%s: the host sent another range than the one asked for",
                       t->shown);
    return SB_OK;
}

static sb_status text_body(void *ctx, const unsigned char *p, size_t n, bool *out_enough,
                           sb_error *err)
{
    text *t = ctx;
    const size_t room = t->out->max - t->out->n;
    if (n > room && !t->head)
        return SB_FAIL(err, SB_LIMIT, "%s: more than %zu bytes", t->shown, t->out->max);
    SB_TRY(sb_buf_add(t->out, p, n < room ? n : room, err));
    *out_enough = t->head && t->out->n == t->out->max;
    return SB_OK;
}

sb_status sb_fetch_text(const sb_fetch_look *look, sb_buf *out, sb_transfer_head *out_head,
                        sb_error *err)
{
    text t = {out, look->shown, look->head};
    const sb_transfer_request rq = {.url = look->url,
                                    .shown = look->shown,
                                    .last_byte = look->head ? out->max - 1 : UINT64_MAX,
                                    .ctx = &t,
                                    .begin = text_begin,
                                    .body = text_body};
    for (int n_tries = 0;;) {
        const sb_status s = sb_transfer_get(look->http, &rq, out_head, err);
        if (s == SB_OK) return SB_OK;
        SB_TRY(after_failure(s, &n_tries, out_head, look->hooks, err));
    }
}

static sb_status write_notes(const fetch *f, sb_error *err)
{
    json_t *j = json_pack("{s:s, s:I, s:s, s:s}", "source", f->job->shown, "bytes",
                          (json_int_t)(f->want == UINT64_MAX ? -1 : (json_int_t)f->want), "sha256",
                          f->job->sha256, "validator", f->validator);
    return sb_json_write(f->job->notes, j, err);
}

/* Do the notes of an earlier try describe the file that is asked for now? */
static bool notes_fit(fetch *f)
{
    json_t *j = NULL;
    char source[SB_MAX_URL_BYTES + 1], sha256[65];
    if (sb_json_read(&j, f->job->notes, NULL) != SB_OK) return false;
    sb_json_copy(j, "source", source, sizeof source);
    sb_json_copy(j, "sha256", sha256, sizeof sha256);
    sb_json_copy(j, "validator", f->validator, sizeof f->validator);
    const uint64_t bytes = sb_json_count(j, "bytes", UINT64_MAX);
    json_decref(j);
    const bool vouched = f->job->sha256[0] ? strcmp(sha256, f->job->sha256) == 0
                                           : f->validator[0] && strcmp(source, f->job->shown) == 0;
    return vouched && bytes == f->job->bytes;
}

static sb_status start_over(fetch *f, sb_error *err)
{
    f->done = 0;
    SB_TRY(sb_sha256_restart(f->hash, err));
    if (ftruncate(f->fd, 0) != 0 || lseek(f->fd, 0, SEEK_SET) != 0)
        return sb_folder_fail(err, "cannot cut", f->job->part, errno);
    return SB_OK;
}

static void tell(const fetch *f, sb_pull_phase phase, uint64_t done, uint64_t total)
{
    sb_pull_tell(f->job->hooks, (sb_pull_progress){phase, f->job->i_part, f->job->n_part, done,
                                                   total == UINT64_MAX ? 0 : total});
}

/* Hashes what an earlier try left; f->done is then its length. */
static sb_status take_up(fetch *f, uint64_t kept, sb_error *err)
{
    unsigned char *piece = sb_alloc(READ_BYTES, 1);
    if (!piece) return SB_FAIL(err, SB_NO_MEMORY, "download: no memory");
    sb_status s = SB_OK;
    while (s == SB_OK && f->done < kept) {
        const ssize_t n = read(f->fd, piece, READ_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) s = sb_folder_fail(err, "cannot read", f->job->part, errno);
        if (n <= 0) break;
        s = sb_sha256_add(f->hash, piece, (size_t)n, err);
        f->done += (uint64_t)n;
        tell(f, SB_PULL_CHECK, f->done, kept);
        if (s == SB_OK && sb_pull_cancelled(f->job->hooks))
            s = SB_FAIL(err, SB_CANCELLED, "interrupted");
    }
    sb_free(piece);
    return s;
}

static sb_status open_part(fetch *f, sb_error *err)
{
    const sb_fetch_job *job = f->job;
    struct stat st;
    f->fd = open(job->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return sb_folder_fail(err, "cannot open", job->part, errno);
    const uint64_t kept = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    if (kept > 0 && notes_fit(f) && (job->bytes == UINT64_MAX || kept <= job->bytes))
        return take_up(f, kept, err);
    f->validator[0] = 0;
    return start_over(f, err);
}

/* The room that is still needed, before the first byte takes any. */
static sb_status check_room(const fetch *f, sb_error *err)
{
    if (f->want == UINT64_MAX) return SB_OK;
    return sb_folder_need(f->job->part, f->want - f->done, err);
}

static sb_status fetch_begin(void *ctx, const sb_transfer_head *head, sb_error *err)
{
    fetch *f = ctx;
    const sb_fetch_job *job = f->job;
    if (head->status == 200 && f->done > 0) SB_TRY(start_over(f, err));
    if (head->first_byte != f->done)
        return SB_FAIL(err, SB_IO, "%s: the host sent another range than the one asked for",
                       job->shown);
    if (head->total_bytes != UINT64_MAX) {
        if (f->want != UINT64_MAX && head->total_bytes != f->want)
            return SB_FAIL(err, SB_CORRUPT,
                           "%s: the host sends %llu bytes and announced %llu: not used", job->shown,
                           (unsigned long long)head->total_bytes, (unsigned long long)f->want);
        f->want = head->total_bytes;
    }
    if (f->want != UINT64_MAX && f->want / 1000000000 >= SB_MAX_MODEL_GB)
        return SB_FAIL(err, SB_LIMIT, "%s: more than %d GB", job->shown, SB_MAX_MODEL_GB);
    if (f->done == 0 || strcmp(f->validator, head->validator) != 0) {
        memcpy(f->validator, head->validator, sizeof f->validator);
        SB_TRY(write_notes(f, err));
    }
    return check_room(f, err);
}

static sb_status fetch_body(void *ctx, const unsigned char *p, size_t n, bool *out_enough,
                            sb_error *err)
{
    fetch *f = ctx;
    (void)out_enough;
    const uint64_t most = f->want != UINT64_MAX ? f->want : (uint64_t)SB_MAX_MODEL_GB * 1000000000;
    if (n > most - f->done)
        return SB_FAIL(err, SB_CORRUPT, "%s: more than the %llu bytes that were announced",
                       f->job->shown, (unsigned long long)most);
    SB_TRY(sb_write_all(f->fd, p, n, f->job->part, err));
    SB_TRY(sb_sha256_add(f->hash, p, n, err));
    f->done += n;
    tell(f, SB_PULL_FETCH, f->done, f->want);
    return SB_OK;
}

/* One request for what is missing. *out_more: it brought something, but not the end. */
static sb_status fetch_once(fetch *f, sb_transfer_head *head, sb_error *err)
{
    const sb_transfer_request rq = {.url = f->job->url,
                                    .shown = f->job->shown,
                                    .first_byte = f->done,
                                    .last_byte = UINT64_MAX,
                                    .if_range = f->done > 0 ? f->validator : NULL,
                                    .ctx = f,
                                    .begin = fetch_begin,
                                    .body = fetch_body};
    SB_TRY(sb_transfer_get(f->job->http, &rq, head, err));
    if (head->status == 416) { /* the file is shorter now than what we have of it */
        head->try_again = true;
        SB_TRY(start_over(f, err));
        return SB_FAIL(err, SB_IO, "%s: the host has no bytes from there on", f->job->shown);
    }
    if (f->want == UINT64_MAX || f->done == f->want) return SB_OK;
    head->try_again = true;
    return SB_FAIL(err, SB_IO, "%s: the transfer ended at byte %llu of %llu", f->job->shown,
                   (unsigned long long)f->done, (unsigned long long)f->want);
}

static sb_status fetch_all(fetch *f, sb_error *err)
{
    int n_tries = 0;
    while (f->want == UINT64_MAX || f->done < f->want) {
        sb_transfer_head head;
        const uint64_t before = f->done;
        const sb_status s = fetch_once(f, &head, err);
        if (s == SB_OK) break;
        if (f->done > before) n_tries = 0;
        SB_TRY(after_failure(s, &n_tries, &head, f->job->hooks, err));
    }
    if (fsync(f->fd) != 0) return sb_folder_fail(err, "cannot flush", f->job->part, errno);
    return SB_OK;
}

static sb_status check_hash(const fetch *f, const char *hex, sb_error *err)
{
    if (!f->job->sha256[0] || strcmp(hex, f->job->sha256) == 0) return SB_OK;
    (void)unlink(f->job->part);
    (void)unlink(f->job->notes);
    return SB_FAIL(err, SB_CORRUPT, "%s: SHA-256 is %.16s..., it should be %.16s...: not used",
                   f->job->shown, hex, f->job->sha256);
}

sb_status sb_fetch_file(const sb_fetch_job *job, uint64_t *out_bytes, char out_sha256[65],
                        sb_error *err)
{
    fetch f = {.job = job, .fd = -1, .want = job->bytes};
    char hex[SB_SHA256_HEX_BYTES];
    sb_status s = sb_sha256_new(&f.hash, err);
    if (s == SB_OK) s = open_part(&f, err);
    if (s == SB_OK) s = fetch_all(&f, err);
    if (s == SB_OK) s = sb_sha256_finish(f.hash, hex, err);
    if (s == SB_OK) s = check_hash(&f, hex, err);
    if (f.fd >= 0) (void)close(f.fd);
    sb_sha256_free(f.hash);
    if (s != SB_OK) return s;
    *out_bytes = f.done;
    memcpy(out_sha256, hex, sizeof hex);
    return SB_OK;
}
