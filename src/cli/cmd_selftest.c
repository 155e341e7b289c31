/* SPDX-License-Identifier: Apache-2.0
 * cmd_selftest.c - `sobre selftest sandbox`: the server's sandbox around this process, and what it
 * must refuse then. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "server/sandbox.h"

/* The folder of the test: `data` may be written, `model` may be read, `other` neither. */
typedef struct scene {
    char dir[64], data[80], model[80], other[80];
    int listener; /* an own one, so that a refused connection is the sandbox's doing */
    struct sockaddr_in address;
} scene;

static bool put(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const bool ok = fd >= 0 && write(fd, "x", 1) == 1;
    if (fd >= 0) (void)close(fd);
    return ok;
}

static bool set_scene(scene *s)
{
    socklen_t n = sizeof s->address;
    (void)memcpy(s->dir, "/tmp/sobre-selftest-XXXXXX", 27);
    if (!mkdtemp(s->dir)) return false;
    (void)snprintf(s->data, sizeof s->data, "%s/data", s->dir);
    (void)snprintf(s->model, sizeof s->model, "%s/model", s->dir);
    (void)snprintf(s->other, sizeof s->other, "%s/other", s->dir);
    s->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return s->listener >= 0 &&
           bind(s->listener, (struct sockaddr *)&s->address, sizeof s->address) == 0 &&
           listen(s->listener, 1) == 0 &&
           getsockname(s->listener, (struct sockaddr *)&s->address, &n) == 0 && put(s->data) &&
           put(s->model) && put(s->other);
}

static void clear_scene(const scene *s)
{
    (void)unlink(s->data);
    (void)unlink(s->model);
    (void)unlink(s->other);
    (void)rmdir(s->dir);
}

/* ---- the tries: 0, or errno ---- */

static int try_open(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    (void)close(fd);
    return 0;
}

static int read_data(const scene *s)
{
    return try_open(s->data, O_RDONLY);
}

static int write_data(const scene *s)
{
    return try_open(s->data, O_WRONLY);
}

static int read_model(const scene *s)
{
    return try_open(s->model, O_RDONLY);
}

static int write_model(const scene *s)
{
    return try_open(s->model, O_WRONLY);
}

static int cut_model(const scene *s)
{
    return truncate(s->model, 0) == 0 ? 0 : errno;
}

static int remove_model(const scene *s)
{
    return unlink(s->model) == 0 ? 0 : errno;
}

static int read_other(const scene *s)
{
    return try_open(s->other, O_RDONLY);
}

static int make_file(const scene *s)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/new", s->dir);
    return try_open(path, O_WRONLY | O_CREAT);
}

static int run_program(const scene *s)
{
    char *const argv[] = {(char *)(uintptr_t) "true", NULL};
    (void)s;
    (void)execv("/bin/true", argv);
    return errno;
}

static int make_process(const scene *s)
{
    (void)s;
    const pid_t pid = fork();
    if (pid < 0) return errno;
    if (pid == 0) _exit(0);
    (void)waitpid(pid, NULL, 0);
    return 0;
}

static int make_socket(const scene *s)
{
    (void)s;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    (void)close(fd);
    return 0;
}

/* Also over a socket that was there before. */
static int connect_out(const scene *s)
{
    return connect(s->listener, (const struct sockaddr *)&s->address, sizeof s->address) == 0
               ? 0
               : errno;
}

static int trace_parent(const scene *s)
{
    (void)s;
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0 ? 0 : errno;
}

static int kill_parent(const scene *s)
{
    (void)s;
    return kill(getppid(), 0) == 0 ? 0 : errno;
}

static int change_mode(const scene *s)
{
    (void)s;
    return setuid(0) == 0 ? 0 : errno;
}

static const struct {
    const char *name;
    int (*run)(const scene *s);
    bool files, allowed; /* files: Landlock's doing */
} tries[] = {
    {"read the data", read_data, true, true},
    {"write the data", write_data, true, true},
    {"read a model", read_model, true, true},
    {"write a model", write_model, true, false},
    {"cut a model short", cut_model, true, false},
    {"remove a model", remove_model, true, false},
    {"read another file", read_other, true, false},
    {"make a file", make_file, true, false},
    {"run a program", run_program, false, false},
    {"make a process", make_process, false, false},
    {"make a socket", make_socket, false, false},
    {"connect", connect_out, false, false},
    {"trace another process", trace_parent, false, false},
    {"send a signal to another process", kill_parent, false, false},
    {"become another user", change_mode, false, false},
};

/* One line a try; the number of those that went wrong. */
static int run_tries(const scene *s, sb_out *o, bool has_files, bool has_calls)
{
    int n_bad = 0;
    for (size_t i = 0; i < SB_ARRAY_LEN(tries); i++) {
        const int why = tries[i].run(s);
        const bool here = tries[i].files ? has_files : has_calls;
        const bool good = tries[i].allowed ? why == 0 : why == EPERM || why == EACCES;
        const char *word = good ? "ok" : here ? "NOT OK" : "not contained by this kernel";
        n_bad += !good;
        sb_out_addf(o, "%s: %s (%s)\n", word, tries[i].name,
                    why == 0        ? "allowed"
                    : why == EPERM  ? "EPERM"
                    : why == EACCES ? "EACCES"
                                    : strerror(why));
    }
    return n_bad;
}

sb_status sb_cmd_selftest(const sb_cli *c, sb_error *err)
{
    scene s = {.listener = -1};
    char note[SB_SANDBOX_NOTE_BYTES];
    if (strcmp(c->args->words[0], "sandbox") != 0) {
        *c->usage = true;
        return SB_FAIL(err, SB_INVALID, "there is `sobre selftest sandbox` alone");
    }
    if (!set_scene(&s)) return SB_FAIL(err, SB_IO, "/tmp: the test's files cannot be made");
    const pid_t pid = fork(); /* somebody must clear up, who still may */
    if (pid < 0) return SB_FAIL(err, SB_IO, "a process cannot be made");
    if (pid == 0) {
        const sb_sandbox box = {.read = {"/usr", "/lib", "/lib64", "/bin", "/etc", s.model},
                                .n_read = 6,
                                .write = {s.data},
                                .n_write = 1};
        sb_status st = sb_sandbox_close(&box, note, err);
        if (st != SB_OK) {
            sb_term_say("%s", err->msg);
            _exit(SB_EXIT_FAILED);
        }
        sb_out_addf(c->out, "contained: %s\n", note);
        const int n_bad =
            run_tries(&s, c->out, !strstr(note, "no Landlock"), !strstr(note, "no seccomp"));
        sb_out_flush(c->out);
        _exit(n_bad ? SB_EXIT_FAILED : SB_EXIT_DONE);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    clear_scene(&s);
    (void)close(s.listener);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return SB_OK;
    return SB_FAIL(err, SB_UNSUPPORTED, "the sandbox does not hold everything here");
}
