/* SPDX-License-Identifier: Apache-2.0
 * server_nomem_test.c - a whole server with each request for memory refused in turn: a body that is
 * read, a run, a turn, a voice, a reply, a row of the data base.
 *
 * Once the n-th request alone is refused, once all from the n-th on. What that costs is the answer
 * under way, which breaks off or says so, and is never another text; the next one says what it
 * always said. JSON's and the loop's memory is refused, too. */
#include "server/server_in.h"
#include "starve.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"

static char home[] = "/tmp/sobre-server-nomem-XXXXXX", model[64];
static const char *const models[] = {model};
static sb_server *sv;
static pthread_t loop;
static sb_status ended;
static char got[1 << 18]; // of the last exchange

static void *take(size_t n)
{
    return sb_alloc(n, 1);
}

static void *resize(void *p, size_t n)
{
    return sb_realloc(p, n, 1);
}

static void *turn_loop(void *ctx)
{
    (void)ctx;
    ended = sb_server_run(sv, NULL);
    return NULL;
}

/* Sends a request and reads all that comes; the status, 0: none came. */
static int ask(const char *path, const char *body)
{
    char head[256];
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)sb_server_port(sv)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval wait = {20, 0};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n = 0;
    got[0] = 0;
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)snprintf(head, sizeof head,
                   "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                   *body ? "POST" : "GET", path, strlen(body));
    ssize_t k = connect(fd, (const struct sockaddr *)&to, sizeof to);
    if (k == 0) k = send(fd, head, strlen(head), MSG_NOSIGNAL);
    if (k > 0 && *body) k = send(fd, body, strlen(body), MSG_NOSIGNAL);
    while (k > 0 && (k = recv(fd, got + n, sizeof got - 1 - n, 0)) > 0)
        n += (size_t)k;
    if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) fail_msg("no answer: %.200s", got);
    got[n] = 0;
    (void)close(fd);
    return n > 12 ? atoi(got + 9) : 0;
}

/* Nothing is under way any more. */
static void settle(void)
{
    for (int i = 0; i < 20000 && atomic_load(&sv->n_runs) > 0; i++)
        (void)usleep(500);
    assert_int_equal(atomic_load(&sv->n_runs), 0);
}

static int open_server(void **state)
{
    sb_tiny t;
    sb_error err;
    bool usage;
    (void)state;
    if (!mkdtemp(home)) return -1;
    (void)snprintf(model, sizeof model, "%s/tiny.gguf", home);
    sb_tiny_defaults(&t);
    t.n_layers = 1;
    if (sb_tiny_write(&t, model, NULL) != SB_OK) return -1;
    const sb_server_opts o = {.version = "test",
                              .home = home,
                              .models = models,
                              .n_models = 1,
                              .listen_fd = -1,
                              .engine = {.kv = SB_KV_BF16,
                                         .cap = SB_LEVEL_avx2,
                                         .n_ctx = 256,
                                         .n_sessions = 1,
                                         .n_rows = 64},
                              .n_threads = 1,
                              .max_queue = 8,
                              .grace_s = 5,
                              .no_sandbox = true};
    if (sb_server_open(&sv, &o, &usage, &err) != SB_OK) fail_msg("%s", err.msg);
    if (pthread_create(&loop, NULL, turn_loop, NULL) != 0) return -1;
    for (int i = 0; i < 2000 && ask("/ready", "") != 200; i++)
        (void)usleep(10000);
    return ask("/ready", "") == 200 ? 0 : -1;
}

static int close_server(void **state)
{
    char line[128];
    (void)state;
    (void)kill(getpid(), SIGTERM);
    (void)pthread_join(loop, NULL);
    sb_server_close(sv);
    (void)snprintf(line, sizeof line, "rm -r %s", home);
    return system(line) == 0 && ended == SB_OK ? 0 : -1; // NOLINT(cert-env33-c): a path of ours
}

/* What a stream said, or NULL: it does not say that it is whole. */
static char *streamed(void)
{
    sb_buf b;
    sb_buf_init(&b, sizeof got, "text");
    assert_int_equal(sb_buf_add(&b, "", 0, NULL), SB_OK);
    for (const char *p = strstr(got, "data: {"); p; p = strstr(p + 1, "data: {")) {
        json_t *e = json_loads(p + 6, JSON_DISABLE_EOF_CHECK, NULL);
        const char *s = NULL;
        if (e && json_unpack(e, "{s:[{s:{s:s}}]}", "choices", "delta", "content", &s) == 0)
            assert_int_equal(sb_buf_add(&b, s, strlen(s), NULL), SB_OK);
        json_decref(e);
    }
    const bool whole = strstr(got, "data: [DONE]") && !strstr(got, "\"error\"");
    char *out = whole ? sb_strdup_n(b.p ? b.p : "", b.n) : NULL;
    sb_buf_deinit(&b);
    return out;
}

/* What the last exchange answered in words, or NULL: nothing whole. sb_free() it. */
static char *answered(void)
{
    static const char *const ways[][2] = {{"choices", "message"}, {"output", NULL}};
    const char *body = strstr(got, "\r\n\r\n"), *s = NULL;
    if (strstr(got, "text/event-stream")) return streamed();
    json_t *e = body ? json_loads(body + 4, 0, NULL) : NULL;
    char *out = NULL;
    if (e && (json_unpack(e, "{s:[{s:{s:s}}]}", ways[0][0], ways[0][1], "content", &s) == 0 ||
              json_unpack(e, "{s:[{s:[{s:s}]}]}", ways[1][0], "content", "text", &s) == 0))
        out = sb_strdup_n(s, strlen(s));
    json_decref(e);
    return out;
}

static void sweep(const char *path, const char *body, bool for_good)
{
    assert_int_equal(ask(path, body), 200);
    char *good = answered();
    assert_non_null(good);
    assert_true(*good);
    settle();
    const long before = starve_live();
    long n = 0, n_lost = 0;
    bool refused = true;
    for (; refused; n++) {
        starve_from(n, for_good);
        const int status = ask(path, body);
        settle();
        refused = starve_end();
        if (status != 0 && status != 200 && status != 500 && status != 503)
            fail_msg("request %ld for memory refused: status %d: %.300s", n, status, got);
        char *said = answered();
        n_lost += said == NULL;
        if (said && strcmp(said, good) != 0) fail_msg("request %ld: '%s'", n, said);
        sb_free(said);
        if (ask(path, body) != 200) fail_msg("after request %ld: %.300s", n, got);
        said = answered();
        if (!said || strcmp(said, good) != 0) fail_msg("after request %ld: %.300s", n, got);
        sb_free(said);
        settle();
    }
    (void)ask("/health", "");
    (void)usleep(20000); // the loop's last connection
    /* What was said is remembered word by word, some blocks for each answer that was cut otherwise;
     * a leak would be one for each of the many refusals. */
    if (starve_live() > before + 40) fail_msg("%ld blocks lost", starve_live() - before);
    sb_free(good);
    print_message("# %ld requests for memory, %ld answers lost\n", n, n_lost);
    assert_true(n > 60 && n_lost > 40); // or nothing was swept
}

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"go on\"}]"
#define FEW "\"seed\":7,\"ignore_eos\":true,"

static void an_answer_survives(void **state)
{
    (void)state;
    for (int for_good = 0; for_good < 2; for_good++)
        sweep("/v1/chat/completions", "{" FEW "\"max_tokens\":4,\"n\":2," MESSAGES "}", for_good);
}

static void a_stream_survives(void **state)
{
    (void)state;
    for (int for_good = 0; for_good < 2; for_good++)
        sweep("/v1/chat/completions", "{" FEW "\"max_tokens\":4,\"stream\":true," MESSAGES "}",
              for_good);
}

static void a_stored_answer_survives(void **state)
{
    (void)state;
    for (int for_good = 0; for_good < 2; for_good++)
        sweep("/v1/responses", "{" FEW "\"max_output_tokens\":4,\"input\":\"go on\"}", for_good);
}

int main(void)
{
    json_set_alloc_funcs(take, sb_free);
    event_set_mem_functions(take, resize, sb_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_survives),
        cmocka_unit_test(a_stream_survives),
        cmocka_unit_test(a_stored_answer_survives),
    };
    const int failed =
        cmocka_run_group_tests_name("server without memory", tests, open_server, close_server);
    if (starve_live() > 2) (void)fprintf(stderr, "%ld blocks lost\n", starve_live());
    return failed || starve_live() > 2; // libevent keeps a table
}
