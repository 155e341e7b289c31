/* SPDX-License-Identifier: Apache-2.0
 * pip.c - runs `pip download` as a child and watches its folders grow.
 *
 * The child gets an argument list (no shell), /dev/null as input, a log as output and its own
 * process group, so that Ctrl-C reaches us alone and we can stop all of it. pip's own progress bar
 * is not parsed: it differs between versions; bytes on disk do not. posix_spawn rather than fork:
 * it tells why a program cannot be started, and no code of ours runs between the two. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/internal.h"

enum {
    POLL_NS = 200000000,
    PATIENCE_NS = 2000000000, /* between asking the child to stop and making it */
    LOG_TAIL_BYTES = 8192,
    SHOWN_BYTES = 120
};

/* environ with TMPDIR set; the array is ours, the strings are borrowed. */
static char **make_environment(char *tmpdir)
{
    size_t n = 0, k = 0;
    while (environ && environ[n])
        n++;
    char **env = sb_alloc(n + 2, sizeof *env);
    if (!env) return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "TMPDIR=", 7) != 0) env[k++] = environ[i];
    env[k++] = tmpdir;
    env[k] = NULL;
    return env;
}

static void sleep_ns(long ns)
{
    const struct timespec t = {.tv_sec = 0, .tv_nsec = ns};
    (void)nanosleep(&t, NULL); /* a signal shortens it: the cancel is then seen sooner */
}

/* Ends the child's whole group, politely at first, and reaps the child. */
static void stop_child(pid_t pid)
{
    const uint64_t begin_ns = sb_now_ns();
    int status = 0;
    (void)kill(-pid, SIGTERM);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (sb_now_ns() - begin_ns > PATIENCE_NS) {
            (void)kill(-pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
            return;
        }
        sleep_ns(POLL_NS / 10);
    }
    (void)kill(-pid, SIGKILL); /* what the child may have left behind in its group */
}

/* Waits; returns SB_OK with the wait status, or SB_CANCELLED after stopping the child. */
static sb_status watch_child(pid_t pid, const sb_pip_job *job, int *out_status, sb_error *err)
{
    for (;;) {
        const pid_t r = waitpid(pid, out_status, WNOHANG);
        if (r == pid) return SB_OK;
        if (r < 0 && errno != EINTR) return SB_FAIL(err, SB_IO, "pip: wait: %s", strerror(errno));
        if (sb_pull_cancelled(job->hooks)) {
            stop_child(pid);
            return SB_FAIL(err, SB_CANCELLED, "interrupted");
        }
        const uint64_t seen = sb_folder_bytes(job->scratch) + sb_folder_bytes(job->dir);
        const uint64_t done = job->total_bytes && seen > job->total_bytes ? job->total_bytes : seen;
        sb_pull_tell(job->hooks, (sb_pull_progress){SB_PULL_FETCH, job->i_part, job->n_part, done,
                                                    job->total_bytes});
        sleep_ns(POLL_NS);
    }
}

/* Default signals, none blocked, a process group of its own. */
static int set_attributes(posix_spawnattr_t *at)
{
    sigset_t none, changed;
    (void)sigemptyset(&none);
    (void)sigemptyset(&changed);
    (void)sigaddset(&changed, SIGPIPE);
    (void)sigaddset(&changed, SIGINT);
    int why = posix_spawnattr_setsigmask(at, &none);
    if (!why) why = posix_spawnattr_setsigdefault(at, &changed);
    if (!why) why = posix_spawnattr_setpgroup(at, 0);
    const short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    return why ? why : posix_spawnattr_setflags(at, flags);
}

static int set_files(posix_spawn_file_actions_t *fa, const char *log)
{
    int why = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
    if (!why)
        why = posix_spawn_file_actions_addopen(fa, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    return why ? why : posix_spawn_file_actions_adddup2(fa, 1, 2);
}

/* errno of what kept the program from starting, or 0 and *out_pid. */
static int start_program(const char *log, char *const argv[], char *const envp[], pid_t *out_pid)
{
    posix_spawnattr_t at;
    posix_spawn_file_actions_t fa;
    int why = posix_spawnattr_init(&at);
    if (why) return why;
    why = posix_spawn_file_actions_init(&fa);
    if (!why) {
        why = set_attributes(&at);
        if (!why) why = set_files(&fa, log);
        if (!why) why = posix_spawnp(out_pid, argv[0], &fa, &at, argv, envp);
        (void)posix_spawn_file_actions_destroy(&fa);
    }
    (void)posix_spawnattr_destroy(&at);
    return why;
}

/* Runs argv to its end; *out_why as start_program, *out_status the wait status. */
static sb_status run_program(const sb_pip_job *job, char *const argv[], char *const envp[],
                             int *out_why, int *out_status, sb_error *err)
{
    pid_t pid = -1;
    *out_why = start_program(job->log, argv, envp, &pid);
    return *out_why ? SB_OK : watch_child(pid, job, out_status, err);
}

/* Reads the end of the log into text (a C string). */
static void read_tail(const char *log, char text[LOG_TAIL_BYTES + 1])
{
    text[0] = 0;
    const int fd = open(log, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    const off_t end = lseek(fd, 0, SEEK_END);
    const off_t from = end > LOG_TAIL_BYTES ? end - LOG_TAIL_BYTES : 0;
    const ssize_t n = pread(fd, text, LOG_TAIL_BYTES, from);
    text[n > 0 ? n : 0] = 0;
    (void)close(fd);
}

/* The line that says most: the last that begins with ERROR, else the last that is not empty. */
static void telling_line(char *text, char shown[SHOWN_BYTES])
{
    const char *best = "", *last = "";
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        if (strncmp(line, "ERROR", 5) == 0) best = line;
        if (line[strspn(line, " \t\r")]) last = line;
    }
    sb_path_escape(shown, SHOWN_BYTES, best[0] ? best : last);
}

static sb_status explain(const sb_pip_job *job, int why, int status, sb_error *err)
{
    if (why)
        return SB_FAIL(err, SB_UNSUPPORTED,
                       "pip cannot be started (%s): install it (package python3-pip)",
                       strerror(why));
    char text[LOG_TAIL_BYTES + 1], line[SHOWN_BYTES];
    read_tail(job->log, text);
    telling_line(text, line);
    if (WIFSIGNALED(status))
        return SB_FAIL(err, SB_IO, "pip download %s was ended by signal %d", job->spec,
                       WTERMSIG(status));
    return SB_FAIL(err, SB_IO, "pip download %s failed: %s", job->spec,
                   line[0] ? line : "no reason");
}

static bool log_says_no_pip(const char *log)
{
    char text[LOG_TAIL_BYTES + 1];
    read_tail(log, text);
    return strstr(text, "No module named pip") != NULL;
}

sb_status sb_pip_download(const sb_pip_job *job, sb_error *err)
{
    /* One list serves both spellings: `pip3 ...` is `python3 -m pip ...` without its first two. */
    const char *const words[] = {"python3",
                                 "-m",
                                 "pip",
                                 "download",
                                 "--no-deps",
                                 "--only-binary",
                                 ":all:",
                                 "--no-cache-dir",
                                 "--disable-pip-version-check",
                                 "--no-input",
                                 "--progress-bar",
                                 "off",
                                 "-d",
                                 job->dir,
                                 "--",
                                 job->spec,
                                 NULL};
    char *argv[SB_ARRAY_LEN(words)];
    memcpy(argv, words, sizeof words); /* exec takes char *const[] and does not write */
    sb_buf tmpdir;
    sb_buf_init(&tmpdir, SB_MAX_PATH_BYTES, "path of a folder");
    sb_status s = sb_buf_addf(&tmpdir, err, "TMPDIR=%s", job->scratch);
    char **env = s == SB_OK ? make_environment(tmpdir.p) : NULL;
    if (s == SB_OK && !env) s = SB_FAIL(err, SB_NO_MEMORY, "pip: no memory");
    int why = 0, status = 0;
    if (s == SB_OK) s = run_program(job, argv, env, &why, &status, err);
    if (s == SB_OK && (why || (status != 0 && log_says_no_pip(job->log)))) {
        argv[2] = (char *)(uintptr_t) "pip3";
        s = run_program(job, argv + 2, env, &why, &status, err);
    }
    if (s == SB_OK && (why || status != 0)) s = explain(job, why, status, err);
    sb_free(env);
    sb_buf_deinit(&tmpdir);
    return s;
}

sb_status sb_pip_wheel(const char *dir, const char *shown, sb_buf *out, sb_error *err)
{
    DIR *d = opendir(dir);
    if (!d) return sb_folder_fail(err, "cannot read folder", dir, errno);
    sb_status s = SB_FAIL(err, SB_NOT_FOUND, "pip brought no file for '%.100s'", shown);
    const struct dirent *e;
    while ((e = readdir(d))) {
        const size_t n = strlen(e->d_name);
        if (n < 4 || strcmp(e->d_name + n - 4, ".whl") != 0) continue;
        s = sb_buf_addf(out, err, "%s/%s", dir, e->d_name);
        break;
    }
    (void)closedir(d);
    return s;
}
