/* SPDX-License-Identifier: Apache-2.0
 * watcher_test.c - texts from the process that asks plugs: never torn, never old, never waited for
 * once the meter is open; what becomes of one process when the other ends. */
#include "server/watcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/letters.h"

static const uint64_t ms_ns = 1000000;

/* ---- letters ---- */

enum { LETTERS = 4000, TORN_BYTES = 60000 };

static void *write_letters(void *letters)
{
    sb_letters *l = letters;
    sb_letters_side writer = 0;
    for (uint32_t i = 1; i <= LETTERS; i++) {
        sb_letter *x = sb_letters_blank(l, writer);
        const size_t n = i % 7 == 0 ? TORN_BYTES : i % 97;
        x->what = i;
        x->good = 1;
        x->n_bytes = (uint32_t)n;
        memset(x->text, 'a' + (char)(i % 26), n);
        sb_letters_post(l, &writer);
    }
    return NULL;
}

static void letters_are_whole_and_in_order(void **state)
{
    static char text[TORN_BYTES + 1];
    (void)state;
    sb_letters *l = calloc(1, sizeof *l);
    sb_letters_side writer, reader;
    pthread_t thread;
    assert_non_null(l);
    sb_letters_init(l, &writer, &reader);
    assert_int_equal(sb_letters_newest(l, &reader)->what, 0);
    assert_int_equal(pthread_create(&thread, NULL, write_letters, l), 0);
    for (uint32_t last = 0; last < LETTERS;) {
        const sb_letter *x = sb_letters_newest(l, &reader);
        const uint32_t what = x->what;
        assert_true(what >= last);
        last = what;
        if (what == 0) continue;
        assert_true(sb_letter_copy(x, text, sizeof text));
        const size_t n = what % 7 == 0 ? TORN_BYTES : what % 97;
        assert_int_equal(strlen(text), n);
        for (size_t i = 0; i < n; i++)
            if (text[i] != 'a' + (char)(what % 26)) fail_msg("letter %u, byte %zu", what, i);
    }
    (void)pthread_join(thread, NULL);
    free(l);
}

static void a_writer_that_lies_is_read_in_bounds(void **state)
{
    char out[8];
    (void)state;
    sb_letters *l = calloc(1, sizeof *l);
    sb_letters_side writer, reader;
    assert_non_null(l);
    sb_letters_init(l, &writer, &reader);
    for (unsigned between = 0; between < 64; between++) {
        atomic_store(&l->between, between | between << 28);
        const sb_letter *x = sb_letters_newest(l, &reader);
        assert_true(x >= l->v && x < l->v + 3);
    }
    l->v[0] = (sb_letter){.n_bytes = UINT32_MAX, .text = "12345678"};
    assert_false(sb_letter_copy(&l->v[0], out, sizeof out));
    l->v[0].n_bytes = 8; /* no room for the NUL */
    assert_false(sb_letter_copy(&l->v[0], out, sizeof out));
    l->v[0].n_bytes = 7;
    assert_true(sb_letter_copy(&l->v[0], out, sizeof out));
    assert_string_equal(out, "1234567");
    free(l);
}

/* ---- the two processes ---- */

typedef enum { GOOD, SILENT, HANGS, LONG } mood;

/* The network that the watcher sees; the test and it share the page. */
typedef struct network {
    atomic_int mood, n_asked, n_other;
    atomic_int pid;
} network;

static network *net;
static const char *const urls[] = {"127.0.0.1", "http://127.0.0.1:9/metrics"};
static const char shelly[] = "http://127.0.0.1/rpc/Switch.GetStatus?id=0",
                  tasmota[] = "http://127.0.0.1/cm?cmnd=Status%2010",
                  node[] = "http://127.0.0.1:9/metrics";
static const sb_watcher_pace quick = {.again_ns = 40000000,
                                      .rest_ns = 160000000,
                                      .old_ns = 400000000,
                                      .wait_ns = 1000000000,
                                      .forget_ns = 300000000};

static void sleep_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* In the watcher. */
static bool answer(void *ctx, const char *url, char *out, size_t out_bytes)
{
    (void)ctx;
    const bool other = strcmp(url, node) == 0;
    const int n = 1 + atomic_fetch_add(other ? &net->n_other : &net->n_asked, 1);
    while (atomic_load(&net->mood) == HANGS)
        sleep_ms(5);
    if (atomic_load(&net->mood) == SILENT || strcmp(url, shelly) == 0) return false;
    (void)snprintf(out, out_bytes, "%s %d", other ? "node" : "plug", n);
    if (atomic_load(&net->mood) == LONG) {
        memset(out, 'x', out_bytes);
        out[out_bytes - 1] = 0;
    }
    return true;
}

typedef struct rig {
    sb_watcher *w;
    sb_meter_roots roots;
} rig;

static rig begin(mood m, const sb_watcher_pace *pace)
{
    static const sb_meter_fetch ask = {answer, NULL};
    rig r = {0};
    bool child = false;
    sb_error err;
    atomic_store(&net->mood, m);
    atomic_store(&net->n_asked, 0);
    atomic_store(&net->n_other, 0);
    assert_int_equal(sb_watcher_fork(&r.w, urls, 2, pace, &child, &err), SB_OK);
    if (child) {
        atomic_store(&net->pid, getpid());
        sb_watcher_work(r.w, &ask, NULL);
        sb_watcher_close(r.w);
        _exit(7);
    }
    if (sb_watcher_ready(r.w, &r.roots, &err) != SB_OK) fail_msg("%s", err.msg);
    assert_int_equal(r.roots.n_urls, 2);
    return r;
}

/* The watcher ends with the server's end, and by itself. */
static void end(rig *r)
{
    int status = 0;
    atomic_store(&net->mood, GOOD);
    sb_watcher_close(r->w);
    assert_int_equal(waitpid(atomic_load(&net->pid), &status, 0), atomic_load(&net->pid));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static bool get(const rig *r, const char *url, char out[32])
{
    return r->roots.fetch->get(r->roots.fetch->ctx, url, out, 32);
}

/* Whether it comes to that within so long. */
static bool becomes(const rig *r, bool good, long most_ms)
{
    char out[32];
    for (long i = 0; i < most_ms; i += 10) {
        if (get(r, tasmota, out) == good) return true;
        sleep_ms(10);
    }
    return false;
}

/* With a plug that has answered once, and the meter open. */
static rig begin_opened(uint64_t old_ns)
{
    char out[32];
    sb_watcher_pace pace = quick;
    pace.old_ns = old_ns;
    rig r = begin(GOOD, &pace);
    assert_true(get(&r, tasmota, out));
    sb_watcher_opened(r.w);
    return r;
}

static void while_opening_it_waits(void **state)
{
    char out[32] = "";
    (void)state;
    rig r = begin(GOOD, &quick);
    assert_false(get(&r, shelly, out)); /* nothing there */
    assert_int_equal(atomic_load(&net->n_asked), 1);
    assert_false(get(&r, shelly, out)); /* known by now */
    assert_int_equal(atomic_load(&net->n_asked), 1);
    assert_true(get(&r, tasmota, out));
    assert_string_equal(out, "plug 2");
    assert_true(get(&r, tasmota, out)); /* the same, a moment later */
    assert_string_equal(out, "plug 2");
    assert_true(get(&r, node, out));
    assert_string_equal(out, "node 1");
    assert_false(get(&r, "http://127.0.0.1/relay/0?turn=off", out)); /* no address of a meter */
    assert_false(get(&r, "http://127.0.0.1:7/metrics", out));
    assert_int_equal(atomic_load(&net->n_asked), 2);
    end(&r);
}

static void an_address_that_hangs_is_given_up(void **state)
{
    char out[32] = "";
    (void)state;
    sb_watcher_pace pace = quick;
    pace.wait_ns = 100 * ms_ns;
    rig r = begin(HANGS, &pace);
    const uint64_t begin_ns = sb_now_ns();
    assert_false(get(&r, tasmota, out));
    assert_in_range(sb_now_ns() - begin_ns, 100 * ms_ns, 900 * ms_ns);
    end(&r);
}

static void once_open_nothing_waits_and_nothing_is_old(void **state)
{
    char out[32] = "";
    (void)state;
    rig r = begin_opened(quick.old_ns);
    atomic_store(&net->mood, HANGS);
    uint64_t worst_ns = 0;
    bool good = true;
    for (int i = 0; i < 100; i++) {
        const uint64_t begin_ns = sb_now_ns();
        good = get(&r, tasmota, out);
        const uint64_t ns = sb_now_ns() - begin_ns;
        if (ns > worst_ns) worst_ns = ns;
        if (i < 5) assert_true(good); /* a text of a moment ago is one */
        sleep_ms(10);
    }
    assert_false(good); /* a second later it is none */
    assert_in_range(worst_ns, 0, 200 * ms_ns);
    atomic_store(&net->mood, GOOD);
    assert_true(becomes(&r, true, 2000));
    end(&r);
}

static void what_fails_is_no_reading_until_it_answers(void **state)
{
    (void)state;
    rig r = begin_opened(60000 * ms_ns); /* the failure says it, not the age */
    atomic_store(&net->mood, SILENT);
    assert_true(becomes(&r, false, 2000));
    atomic_store(&net->mood, GOOD);
    assert_true(becomes(&r, true, 2000));
    atomic_store(&net->mood, LONG); /* more than the reader has room for */
    assert_true(becomes(&r, false, 2000));
    end(&r);
}

static void it_is_asked_as_often_as_it_is_read(void **state)
{
    char out[32] = "";
    (void)state;
    rig r = begin(GOOD, &quick);
    assert_true(get(&r, tasmota, out) && get(&r, node, out));
    sb_watcher_opened(r.w);
    int before = atomic_load(&net->n_asked);
    const uint64_t begin_ns = sb_now_ns();
    for (int i = 0; i < 100; i++) {
        (void)get(&r, tasmota, out);
        sleep_ms(5);
    }
    const uint64_t ns = sb_now_ns() - begin_ns;
    const int n_busy = atomic_load(&net->n_asked) - before;
    assert_in_range(n_busy, 4, ns / quick.again_ns + 2);
    sleep_ms(100);
    const int n_other = atomic_load(&net->n_other); /* by now nobody wants it */
    before = atomic_load(&net->n_asked);
    sleep_ms(800);
    assert_in_range(atomic_load(&net->n_asked) - before, 2, 6);
    assert_int_equal(atomic_load(&net->n_other), n_other);
    assert_true(becomes(&r, true, 2000)); /* and is never old for that */
    end(&r);
}

static void a_rest_leaves_a_text_that_is_good(void **state)
{
    char out[32] = "";
    (void)state;
    rig r = begin_opened(500 * ms_ns);
    for (int i = 0; i < 3; i++) {
        sleep_ms(600); /* the text of the last reading would be too old */
        assert_true(get(&r, tasmota, out));
    }
    end(&r);
}

static void a_watcher_that_died_is_no_meter(void **state)
{
    char out[32] = "";
    (void)state;
    rig r = begin_opened(60000 * ms_ns);
    assert_int_equal(kill(atomic_load(&net->pid), SIGKILL), 0);
    assert_true(becomes(&r, false, 2000));
    assert_false(get(&r, tasmota, out));
    sb_watcher_close(r.w);
    assert_int_equal(waitpid(atomic_load(&net->pid), NULL, 0), atomic_load(&net->pid));
}

static void why_it_cannot_ask_is_said(void **state)
{
    sb_watcher *w = NULL;
    sb_meter_roots roots = {0};
    bool child = false;
    sb_error err;
    (void)state;
    assert_int_equal(sb_watcher_fork(&w, urls, 2, &quick, &child, &err), SB_OK);
    if (child) {
        (void)SB_FAIL(&err, SB_UNSUPPORTED, "no library");
        sb_watcher_work(w, NULL, &err);
        _exit(0);
    }
    assert_int_equal(sb_watcher_ready(w, &roots, &err), SB_UNSUPPORTED);
    assert_string_equal(err.msg, "no library");
    assert_null(roots.fetch);
    sb_watcher_close(w);
    assert_int_equal(sb_watcher_fork(&w, urls, SB_MAX_METER_URLS + 1, &quick, &child, &err),
                     SB_INVALID);
    while (wait(NULL) > 0) {}
}

static int share(void **state)
{
    (void)state;
    net = mmap(NULL, sizeof *net, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return net == MAP_FAILED;
}

static int unshare_all(void **state)
{
    (void)state;
    return munmap(net, sizeof *net);
}

#define CASE(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(letters_are_whole_and_in_order),
        CASE(a_writer_that_lies_is_read_in_bounds),
        CASE(while_opening_it_waits),
        CASE(an_address_that_hangs_is_given_up),
        CASE(once_open_nothing_waits_and_nothing_is_old),
        CASE(what_fails_is_no_reading_until_it_answers),
        CASE(it_is_asked_as_often_as_it_is_read),
        CASE(a_rest_leaves_a_text_that_is_good),
        CASE(a_watcher_that_died_is_no_meter),
        CASE(why_it_cannot_ask_is_said),
    };
    return cmocka_run_group_tests_name("texts of plugs", tests, share, unshare_all);
}
