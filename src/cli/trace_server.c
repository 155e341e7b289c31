/* SPDX-License-Identifier: Apache-2.0
 * trace_server.c - fork, exec, the process's clock, and plain requests.
 *
 * Time is read from the process's own clock, which counts nanoseconds; /proc would give hundredths
 * of a second. What the whole run took comes from wait4, which knows dead children, too. */
#define CURL_DISABLE_TYPECHECK // it would hide the calls of our table behind macros
#include "cli/trace_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "cli/stop.h"

enum {
    READY_S = 300,      /* a large model may take its time */
    LOOK_NS = 20000000, /* between two looks whether it is ready, or has ended */
    END_LOOKS = 1000,   /* of these, until it is killed */
    NOT_RUN = 127,      /* exit status of a program that could not be run */
    URL_BYTES = 512
};

/* ---- programs ---- */

static sb_status add(sb_trace_program *p, const char *word, size_t n, sb_error *err)
{
    if (p->n_words + 1 >= SB_TRACE_WORDS) /* the last place stays NULL */
        return SB_FAIL(err, SB_LIMIT, "a server's command line has more than %d words",
                       SB_TRACE_WORDS - 1);
    char *copy = sb_strdup_n(word, n);
    if (!copy) return SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
    p->words[p->n_words++] = copy;
    return SB_OK;
}

sb_status sb_trace_add_word(sb_trace_program *p, const char *word, sb_error *err)
{
    return add(p, word, strlen(word), err);
}

sb_status sb_trace_add_words(sb_trace_program *p, const char *text, sb_error *err)
{
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        const size_t n = strcspn(text, " ");
        SB_TRY(add(p, text, n, err));
        text += n;
    }
    return SB_OK;
}

void sb_trace_cut_words(sb_trace_program *p, size_t n)
{
    while (p->n_words > n) {
        sb_free(p->words[--p->n_words]);
        p->words[p->n_words] = NULL;
    }
}

/* ---- requests ---- */

static size_t on_body(char *p, size_t one, size_t n, void *ctx)
{
    sb_trace_ask *a = ctx;
    (void)one;
    a->failed = sb_buf_add(&a->body, p, n, a->err);
    return a->failed == SB_OK ? n : 0;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)ctx, (void)dt, (void)dn, (void)ut, (void)un;
    return sb_stop_asked(NULL);
}

sb_status sb_trace_ask_open(sb_trace_ask *a, const sb_curl_lib *lib, sb_error *err)
{
    *a = (sb_trace_ask){.lib = lib};
    sb_buf_init(&a->body, SB_MAX_REPLY_BYTES, "answer of a server");
    a->easy = lib->curl_easy_init();
    a->headers = lib->curl_slist_append(NULL, "Content-Type: application/json");
    if (a->easy && a->headers) return SB_OK;
    sb_trace_ask_close(a);
    return SB_FAIL(err, SB_NO_MEMORY, "trace: out of memory");
}

void sb_trace_ask_close(sb_trace_ask *a)
{
    if (a->easy) a->lib->curl_easy_cleanup(a->easy);
    if (a->headers) a->lib->curl_slist_free_all(a->headers);
    sb_buf_deinit(&a->body);
    *a = (sb_trace_ask){0};
}

static bool set_options(sb_trace_ask *a, const char *url, const char *post)
{
    CURL *e = a->easy;
    bool ok = true;
#define SET(option, value) ok &= a->lib->curl_easy_setopt(e, option, value) == CURLE_OK
    SET(CURLOPT_URL, url);
    SET(CURLOPT_NOPROXY, "*"); /* it is on this machine */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, a->why);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, a);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_HTTPHEADER, a->headers);
    if (post)
        SET(CURLOPT_POSTFIELDS, post);
    else
        SET(CURLOPT_HTTPGET, 1L);
#undef SET
    return ok;
}

sb_status sb_trace_ask_do(sb_trace_ask *a, const char *base, const char *path, const char *post,
                          long *out_http, sb_error *err)
{
    char url[URL_BYTES];
    (void)snprintf(url, sizeof url, "%s%s", base, path);
    sb_buf_clear(&a->body);
    a->why[0] = 0;
    a->err = err;
    a->failed = SB_OK;
    if (!set_options(a, url, post))
        return SB_FAIL(err, SB_UNSUPPORTED, "libcurl is too old: 7.85 or newer is needed");
    const CURLcode code = a->lib->curl_easy_perform(a->easy);
    if (a->failed != SB_OK) return a->failed;
    if (code == CURLE_ABORTED_BY_CALLBACK) return SB_FAIL(err, SB_CANCELLED, "interrupted");
    if (code != CURLE_OK)
        return SB_FAIL(err, SB_IO, "%.100s: %.120s", base,
                       a->why[0] ? a->why : a->lib->curl_easy_strerror(code));
    (void)a->lib->curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, out_http);
    return SB_OK;
}

/* ---- the process ---- */

/* A port that nobody has at this moment; 0: none. */
static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0 &&
                    getsockname(fd, (struct sockaddr *)&at, &n) == 0;
    if (fd >= 0) (void)close(fd);
    return ok ? ntohs(at.sin_port) : 0;
}

/* What the child does; it never comes back. */
static void be_server(const sb_trace_program *p, int log, char *const words[])
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    const int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)setpgid(0, 0); /* Ctrl-C is ours to hear: we end it */
    if (none >= 0) (void)dup2(none, STDIN_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    if (p->home) (void)setenv("SOBRE_HOME", p->home, 1);
    (void)setenv("LC_ALL", "C", 1);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("LISTEN_FDS");
    (void)sigaction(SIGPIPE, &usual, NULL); /* handlers go with exec, what is ignored would stay */
    (void)execvp(words[0], words);
    _exit(NOT_RUN);
}

/* The last line that it printed, or "". */
static void last_words(const char *log, char *out, size_t out_bytes)
{
    char text[2048];
    const int fd = open(log, O_RDONLY | O_CLOEXEC);
    const off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    const off_t from = end > (off_t)sizeof text - 1 ? end - (off_t)sizeof text + 1 : 0;
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, from) : 0;
    if (fd >= 0) (void)close(fd);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    text[n > 0 ? n : 0] = 0;
    const char *line = strrchr(text, '\n');
    sb_path_escape(out, out_bytes, line ? line + 1 : text);
}

/* SB_OK while it runs. */
static sb_status check_alive(sb_trace_server *s, sb_error *err)
{
    int status = 0;
    char line[160];
    if (s->pid == 0 || waitpid(s->pid, &status, WNOHANG) == 0) return SB_OK;
    s->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_RUN)
        return SB_FAIL(err, SB_NOT_FOUND, "%.100s: cannot be run", s->program->words[0]);
    last_words(s->program->log, line, sizeof line);
    return SB_FAIL(err, SB_IO, "%.60s ended: %.150s", s->program->name,
                   line[0] ? line : "it said nothing");
}

static void nap(void)
{
    const struct timespec t = {.tv_nsec = LOOK_NS};
    (void)nanosleep(&t, NULL);
}

static sb_status wait_ready(sb_trace_server *s, const sb_curl_lib *lib, sb_error *err)
{
    sb_trace_ask a;
    sb_error why = {0};
    SB_TRY(sb_trace_ask_open(&a, lib, err));
    const uint64_t end_ns = sb_now_ns() + READY_S * UINT64_C(1000000000);
    sb_status st = SB_OK;
    for (long http = 0; st == SB_OK; nap()) {
        if (sb_trace_ask_do(&a, s->base, "/health", NULL, &http, &why) == SB_OK && http == 200)
            break;
        st = check_alive(s, err);
        if (st == SB_OK && sb_stop_asked(NULL)) st = SB_FAIL(err, SB_CANCELLED, "interrupted");
        if (st == SB_OK && sb_now_ns() > end_ns)
            st = SB_FAIL(err, SB_IO, "%.60s is not ready after %d seconds", s->program->name,
                         READY_S);
    }
    sb_trace_ask_close(&a);
    return st;
}

static sb_status launch(sb_trace_server *s, sb_error *err)
{
    const sb_trace_program *p = s->program;
    char port[16], *words[SB_TRACE_WORDS + 3] = {NULL}, option[] = "--port";
    const int number = free_port();
    memcpy(words, p->words, p->n_words * sizeof *words);
    words[p->n_words] = option;
    words[p->n_words + 1] = port;
    (void)snprintf(port, sizeof port, "%d", number);
    (void)snprintf(s->base, sizeof s->base, "http://127.0.0.1:%d", number);
    const int log = open(p->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log < 0 || number == 0) {
        const int why = errno;
        if (log >= 0) (void)close(log);
        return SB_FAIL(err, SB_IO, "%.60s: %s", p->name, strerror(why));
    }
    const pid_t pid = fork();
    if (pid == 0) be_server(p, log, words);
    const int why = errno;
    (void)close(log);
    if (pid < 0) return SB_FAIL(err, SB_IO, "%.60s: %s", p->name, strerror(why));
    s->pid = pid;
    return SB_OK;
}

sb_status sb_trace_server_start(sb_trace_server *out, const sb_trace_program *p,
                                const sb_curl_lib *lib, sb_error *err)
{
    sb_trace_server s = {.program = p};
    if (p->url)
        (void)snprintf(s.base, sizeof s.base, "%s", p->url);
    else
        SB_TRY(launch(&s, err));
    const sb_status st = wait_ready(&s, lib, err);
    if (st == SB_OK)
        *out = s;
    else
        (void)sb_trace_server_stop(&s);
    return st;
}

uint64_t sb_trace_server_cpu_ns(const sb_trace_server *s)
{
    clockid_t id;
    struct timespec t;
    if (s->pid == 0 || clock_getcpuclockid(s->pid, &id) != 0 || clock_gettime(id, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static uint64_t ns_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_usec * 1000;
}

uint64_t sb_trace_server_stop(sb_trace_server *s)
{
    struct rusage used = {0};
    int status = 0;
    pid_t gone = 0;
    if (s->pid == 0) return 0;
    (void)kill(s->pid, SIGTERM);
    for (int i = 0; gone == 0 && i < END_LOOKS; i++) {
        gone = wait4(s->pid, &status, WNOHANG, &used);
        if (gone == 0) nap();
    }
    if (gone == 0) {
        (void)kill(s->pid, SIGKILL);
        do
            gone = wait4(s->pid, &status, 0, &used);
        while (gone < 0 && errno == EINTR);
    }
    const bool known = gone == s->pid;
    s->pid = 0;
    return known ? ns_of(used.ru_utime) + ns_of(used.ru_stime) : 0;
}
