/* SPDX-License-Identifier: Apache-2.0
 * pack_cache_test.c - packed weights in a file: the same bits from it, and from whatever was done
 * to it. */
#include "base/alloc.h"
#include "base/file.h"
#include "rig.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 24, N_MORE = 2, N_CTX = 64, LINE = 512 };

static char path[128], packed[160], part[200];
static char noted[LINE]; /* all lines of one start */
static float *right;     /* logits of weights packed in memory */
static size_t right_bytes;

static void write_model(sb_format f, uint64_t seed)
{
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    t.format = f, t.n_embd = 256, t.n_ff = 512, t.n_heads = 6, t.n_kv_heads = 2, t.head_dim = 32;
    t.n_vocab = 5000, t.n_ctx = 512, t.seed = seed; /* a head of several runs */
    if (sb_tiny_write(&t, path, &err) != SB_OK) fail_msg("%s", err.msg);
}

static void note(void *ctx, const char *line)
{
    (void)ctx;
    const size_t n = strlen(noted);
    (void)snprintf(noted + n, sizeof noted - n, "%s\n", line);
}

static sb_engine_opts opts(sb_cache_use use)
{
    sb_engine_opts o = sb_rig_opts(N_CTX);
    o.weights = SB_WEIGHTS_PACKED, o.cache = use, o.on_note = note;
    noted[0] = 0;
    return o;
}

static float *logits(sb_rig *r)
{
    int32_t ids[N];
    sb_error err = {0};
    right_bytes = (size_t)(1 + N_MORE) * (size_t)r->model->hp.n_vocab * sizeof(float);
    float *out = sb_alloc(1, right_bytes);
    assert_non_null(out);
    sb_rig_ids(ids, N, r->model->hp.n_vocab, 3);
    const sb_rig_way way = {10, false};
    if (sb_rig_run(r, ids, N, N_MORE, way, out, &err) != SB_OK) fail_msg("%s", err.msg);
    return out;
}

static void open_with(sb_rig *r, const sb_engine_opts *o, int n_threads)
{
    sb_error err = {0};
    if (sb_rig_open(r, path, n_threads, o, &err) != SB_OK) fail_msg("%s", err.msg);
}

static void check_right(sb_rig *r)
{
    float *now = logits(r);
    assert_memory_equal(now, right, right_bytes);
    sb_free(now);
}

/* Starts, asks, compares; true when the file served. */
static bool start(sb_cache_use use, int n_threads)
{
    sb_rig r;
    const sb_engine_opts o = opts(use);
    open_with(&r, &o, n_threads);
    const bool has = sb_engine_has_cache(r.engine);
    check_right(&r);
    sb_rig_close(&r);
    return has;
}

static void remember(sb_format f, uint64_t seed)
{
    sb_rig r;
    (void)unlink(packed);
    write_model(f, seed);
    const sb_engine_opts o = opts(SB_CACHE_NONE);
    open_with(&r, &o, 1);
    sb_free(right);
    right = logits(&r);
    assert_true(right[0] != right[1]);
    sb_rig_close(&r);
    assert_int_equal(access(packed, F_OK), -1);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/sobre-cache-%d.gguf", (int)getpid());
    (void)snprintf(packed, sizeof packed, "%s.packed", path);
    (void)snprintf(part, sizeof part, "%s.part", packed);
    remember(SB_F_Q4_0, 5);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sb_free(right);
    (void)unlink(packed);
    return unlink(path);
}

/* A fresh, whole file. */
static void make(void)
{
    (void)unlink(packed);
    assert_false(start(SB_CACHE_WRITE, 2));
    assert_string_equal(noted, "");
    assert_int_equal(access(packed, R_OK), 0);
    assert_int_equal(access(part, F_OK), -1);
}

static size_t size_of(const char *p)
{
    struct stat st;
    assert_int_equal(stat(p, &st), 0);
    return (size_t)st.st_size;
}

/* Flips one bit, keeping the time of change when told. */
static void flip(size_t at, bool quietly)
{
    struct stat st;
    unsigned char c = 0;
    const int fd = open(packed, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
    const struct timespec was[2] = {st.st_atim, st.st_mtim};
    if (quietly) assert_int_equal(futimens(fd, was), 0);
    assert_int_equal(close(fd), 0);
}

static bool is_noted(const char *what)
{
    return strstr(noted, what) && strchr(noted, '\n') == strrchr(noted, '\n');
}

static void the_second_start_gives_the_same_bits(void **state)
{
    (void)state;
    static const sb_format formats[] = {SB_F_Q4_0, SB_F_Q6_K, SB_F_Q8_0, SB_F_BF16, SB_F_MXFP4};
    for (size_t i = 0; i < SB_ARRAY_LEN(formats); i++) {
        remember(formats[i], 5);
        make();
        const size_t bytes = size_of(packed);
        for (int n = 1; n <= 3; n++)
            assert_true(start(n == 2 ? SB_CACHE_WRITE : SB_CACHE_READ, n));
        assert_string_equal(noted, "");
        assert_int_equal(size_of(packed), bytes);
    }
    remember(SB_F_Q4_0, 5);
}

static void without_the_wish_there_is_none(void **state)
{
    (void)state;
    sb_rig r;
    (void)unlink(packed);
    assert_false(start(SB_CACHE_READ, 1)); /* reading makes none */
    assert_int_equal(access(packed, F_OK), -1);
    sb_engine_opts o = opts(SB_CACHE_WRITE);
    o.precision = SB_EXACT;
    open_with(&r, &o, 1);
    sb_rig_close(&r);
    assert_int_equal(access(packed, F_OK), -1);
    make();
    assert_false(start(SB_CACHE_NONE, 1));
    o = opts(SB_CACHE_READ);
    o.weights = SB_WEIGHTS_MAPPED; /* pages of a file are as cheap either way */
    open_with(&r, &o, 1);
    assert_true(sb_engine_has_cache(r.engine) && !sb_engine_is_mapped(r.engine));
    check_right(&r);
    sb_rig_close(&r);
}

static void every_byte_of_the_head_counts(void **state)
{
    (void)state;
    make();
    for (size_t at = 0; at < 4096; at += at < 200 ? 1 : 61) {
        flip(at, false);
        assert_false(start(SB_CACHE_READ, 1));
        assert_true(is_noted("weights are packed again"));
        flip(at, false);
    }
    assert_true(start(SB_CACHE_READ, 1));
    flip(100, false);
    assert_false(start(SB_CACHE_WRITE, 2)); /* a broken one is replaced */
    assert_true(start(SB_CACHE_WRITE, 2));
}

static void every_length_is_survived(void **state)
{
    (void)state;
    make();
    const size_t all = size_of(packed);
    const size_t cuts[] = {0, 1, 79, 80, 4095, 4096, 5000, all / 2, all - 4096, all - 1, all + 1};
    for (size_t i = 0; i < SB_ARRAY_LEN(cuts); i++) {
        make();
        assert_int_equal(truncate(packed, (off_t)cuts[i]), 0);
        assert_false(start(SB_CACHE_READ, 2));
        assert_true(is_noted("damaged"));
    }
}

/* Parts that are not right are packed again before a word is made of them. */
static void damaged_runs_are_mended(void **state)
{
    (void)state;
    make();
    const size_t all = size_of(packed);
    for (size_t at = 4096; at < all; at += all / 23) {
        flip(at, true);
        assert_true(start(SB_CACHE_READ, 3));
        assert_true(noted[0] == 0 || is_noted("broken parts")); /* 0: between two runs */
        flip(at, true);
    }
    for (size_t at = 4096 + 100; at < all; at += 4096) /* all of it */
        flip(at, true);
    assert_true(start(SB_CACHE_READ, 3));
    assert_true(is_noted("broken parts"));
    assert_int_equal(access(packed, F_OK), 0);
    assert_true(start(SB_CACHE_WRITE, 3));
    assert_int_equal(access(packed, F_OK), -1); /* the next start writes a new one */
    make();
    assert_true(start(SB_CACHE_READ, 1));
}

static void another_model_is_not_believed(void **state)
{
    (void)state;
    sb_rig r;
    make();
    const struct timespec later[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = 1700000000, .tv_nsec = 7}};
    assert_int_equal(utimensat(AT_FDCWD, path, later, 0), 0);
    assert_false(start(SB_CACHE_READ, 1));
    assert_true(is_noted("made of another file"));
    assert_false(start(SB_CACHE_WRITE, 1));
    assert_true(start(SB_CACHE_READ, 1));
    sb_engine_opts o = opts(SB_CACHE_READ);
    o.pulled_as = "0123";
    open_with(&r, &o, 1);
    assert_false(sb_engine_has_cache(r.engine));
    assert_true(is_noted("made of another file"));
    sb_rig_close(&r);
    char other[200];
    (void)snprintf(other, sizeof other, "%s.old", packed);
    assert_int_equal(rename(packed, other), 0);
    remember(SB_F_Q4_0, 6); /* the same sizes, other weights */
    assert_int_equal(rename(other, packed), 0);
    assert_false(start(SB_CACHE_READ, 1));
    assert_true(is_noted("made of another file"));
    remember(SB_F_Q4_0, 5);
}

static void only_a_file_of_ours_is_opened(void **state)
{
    (void)state;
    char moved[200];
    make();
    assert_int_equal(chmod(packed, 0666), 0);
    assert_false(start(SB_CACHE_READ, 1));
    assert_true(is_noted("only they may write"));
    assert_int_equal(chmod(packed, 0644), 0);
    (void)snprintf(moved, sizeof moved, "%s.moved", packed);
    assert_int_equal(rename(packed, moved), 0);
    assert_int_equal(symlink(moved, packed), 0);
    assert_false(start(SB_CACHE_READ, 1));
    assert_true(is_noted("cannot be opened"));
    assert_false(start(SB_CACHE_WRITE, 1)); /* the link is replaced, not followed */
    assert_true(start(SB_CACHE_READ, 1));
    assert_int_equal(unlink(moved), 0);
    assert_int_equal(unlink(packed), 0);
    assert_int_equal(mkfifo(packed, 0600), 0);
    assert_false(start(SB_CACHE_READ, 1)); /* nor waited for */
    assert_true(is_noted("only they may write"));
    assert_int_equal(unlink(packed), 0);
}

/* A folder that takes no file, a link in the way, a lid, a full disk: noted, nothing is left. */
static void what_cannot_be_written_is_noted(void **state)
{
    (void)state;
    sb_rig r;
    (void)unlink(packed);
    assert_int_equal(mkdir(part, 0700), 0);
    assert_false(start(SB_CACHE_WRITE, 1));
    assert_true(is_noted("not written: Is a directory"));
    assert_int_equal(rmdir(part), 0);
    assert_int_equal(symlink("/tmp/nowhere", part), 0);
    assert_false(start(SB_CACHE_WRITE, 1));
    assert_true(is_noted("not written"));
    assert_int_equal(unlink(part), 0);
    sb_engine_opts o = opts(SB_CACHE_WRITE);
    o.cache_max_bytes = 100000;
    open_with(&r, &o, 1);
    assert_true(is_noted("larger than it may be"));
    sb_rig_close(&r);
    assert_int_equal(access(part, F_OK), -1);
    struct rlimit was, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    low = was;
    low.rlim_cur = 300000;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_false(start(SB_CACHE_WRITE, 1));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_true(is_noted("not written: File too large"));
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(access(packed, F_OK), -1);
}

static void two_starts_do_not_meet(void **state)
{
    (void)state;
    (void)unlink(packed);
    const int fd = open(part, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    assert_int_equal(write(fd, "half", 4), 4);
    assert_false(start(SB_CACHE_WRITE, 1));
    assert_true(is_noted("another start is writing it"));
    assert_int_equal(size_of(part), 4);
    assert_int_equal(close(fd), 0); /* that one is gone: what it left is taken over */
    make();
    for (int round = 0; round < 5; round++) {
        pid_t pid[3];
        (void)unlink(packed);
        for (int i = 0; i < 3; i++) {
            pid[i] = fork();
            if (pid[i] == 0) {
                (void)start(SB_CACHE_WRITE, 1);
                _exit(0);
            }
        }
        for (int i = 0; i < 3; i++) {
            int status = 0;
            assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
            assert_int_equal(status, 0);
        }
        assert_int_equal(access(part, F_OK), -1);
        assert_true(start(SB_CACHE_READ, 1));
        assert_string_equal(noted, "");
    }
}

static void on_bus(int sig, siginfo_t *info, void *ctx)
{
    (void)sig, (void)ctx;
    if (!sb_map_patch(info->si_addr)) _exit(9);
}

/* Written to, or cut short, in place and between steps: the step is made again without it. */
static void changes_while_in_use_are_seen(void **state)
{
    (void)state;
    const struct sigaction act = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    struct sigaction was;
    assert_int_equal(sigaction(SIGBUS, &act, &was), 0);
    for (int how = 0; how < 4; how++) {
        sb_rig r;
        make();
        const size_t all = size_of(packed);
        const sb_engine_opts o = opts(how % 2 ? SB_CACHE_READ : SB_CACHE_WRITE);
        open_with(&r, &o, 2);
        assert_true(sb_engine_has_cache(r.engine));
        if (how < 2) check_right(&r); /* every run has been looked at */
        for (size_t at = 4096; how != 1 && at < all; at += 4096)
            flip(at + 64, false);
        if (how == 1 || how == 3) assert_int_equal(truncate(packed, 4096), 0);
        check_right(&r);
        assert_non_null(strstr(noted, "changed while in use"));
        check_right(&r);
        sb_rig_close(&r);
        assert_int_equal(access(packed, F_OK), how % 2 ? 0 : -1);
    }
    assert_int_equal(sigaction(SIGBUS, &was, NULL), 0);
}

typedef struct seen {
    uint64_t last, all, give_up_at;
} seen;

static bool progress(void *ctx, uint64_t done, uint64_t all)
{
    seen *s = ctx;
    assert_true(done >= s->last && done < all && (s->all == 0 || s->all == all));
    s->last = done, s->all = all;
    return done < s->give_up_at;
}

static void progress_counts_writing_and_it_can_be_given_up(void **state)
{
    (void)state;
    sb_rig r;
    sb_error err = {0};
    (void)unlink(packed);
    sb_engine_opts o = opts(SB_CACHE_WRITE);
    seen s = {.give_up_at = UINT64_MAX};
    o.on_pack = progress, o.pack_ctx = &s;
    open_with(&r, &o, 1);
    sb_rig_close(&r);
    assert_true(s.last > s.all / 2);
    (void)unlink(packed);
    seen early = {.give_up_at = s.all / 2 + 1};
    o.pack_ctx = &early;
    assert_int_equal(sb_rig_open(&r, path, 1, &o, &err), SB_CANCELLED);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(access(packed, F_OK), -1);
    assert_string_equal(noted, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_start_gives_the_same_bits),
        cmocka_unit_test(without_the_wish_there_is_none),
        cmocka_unit_test(every_byte_of_the_head_counts),
        cmocka_unit_test(every_length_is_survived),
        cmocka_unit_test(damaged_runs_are_mended),
        cmocka_unit_test(another_model_is_not_believed),
        cmocka_unit_test(only_a_file_of_ours_is_opened),
        cmocka_unit_test(what_cannot_be_written_is_noted),
        cmocka_unit_test(two_starts_do_not_meet),
        cmocka_unit_test(changes_while_in_use_are_seen),
        cmocka_unit_test(progress_counts_writing_and_it_can_be_given_up)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
