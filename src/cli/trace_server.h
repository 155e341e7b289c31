/* SPDX-License-Identifier: Apache-2.0
 * trace_server.h - a server on this machine that a trace is replayed against: started, asked,
 * ended.
 *
 * Purpose     Runs a program that answers OpenAI's chat completions over HTTP, counts the processor
 *             time it takes, and asks it. A server that runs already is given by its address; what
 *             it takes is not known then.
 * Invariants  What was started is ended by _stop, and with this process, however it ends.
 * Ownership   The caller's memory. sb_trace_ask borrows the library's table.
 * Errors      SB_IO (it ended, it does not answer, it refuses), with its own last words;
 * SB_CANCELLED.
 * Threads     A server: the thread that started it. Requests: one thread each. */
#ifndef SB_CLI_TRACE_SERVER_H
#define SB_CLI_TRACE_SERVER_H
#include "base/base.h"
#include "base/buf.h"
#include "store/dynlib.h"

#include <sys/types.h>

enum { SB_TRACE_WORDS = 96, SB_TRACE_NAME_BYTES = 96 };

/* How a server is started. */
typedef struct sb_trace_program {
    char name[SB_TRACE_NAME_BYTES]; /* for tables */
    char *words[SB_TRACE_WORDS];    /* [n_words] its own, then those of the run */
    size_t n_words;
    const char *url;  /* it runs already: no words */
    const char *home; /* what SOBRE_HOME is to be for it, or NULL */
    const char *log;  /* file that takes what it prints */
} sb_trace_program;

/* Appends the words of a text, parted by blanks. */
sb_status sb_trace_add_words(sb_trace_program *p, const char *text, sb_error *err) SB_MUST_USE;
/* Appends a word as it is. */
sb_status sb_trace_add_word(sb_trace_program *p, const char *word, sb_error *err) SB_MUST_USE;
/* Back to its first n words. */
void sb_trace_cut_words(sb_trace_program *p, size_t n);

typedef struct sb_trace_server {
    const sb_trace_program *program;
    pid_t pid; /* 0: it was running */
    char base[256];
} sb_trace_server;

/* Returns when it is ready to answer. */
sb_status sb_trace_server_start(sb_trace_server *out, const sb_trace_program *p,
                                const sb_curl_lib *lib, sb_error *err) SB_MUST_USE;
/* User and system time of all its threads so far; 0: not known. */
uint64_t sb_trace_server_cpu_ns(const sb_trace_server *s);
/* Ends it and says what it took from start to end, its own children's included; 0: not known. A
 * zeroed one is allowed. */
uint64_t sb_trace_server_stop(sb_trace_server *s);

/* One connection that asks. */
typedef struct sb_trace_ask {
    const sb_curl_lib *lib;
    CURL *easy;
    struct curl_slist *headers;
    sb_buf body;
    sb_error *err; /* of the request under way */
    sb_status failed;
    char why[CURL_ERROR_SIZE];
} sb_trace_ask;

sb_status sb_trace_ask_open(sb_trace_ask *a, const sb_curl_lib *lib, sb_error *err) SB_MUST_USE;
void sb_trace_ask_close(sb_trace_ask *a);
/* post NULL: GET. What it said is in a->body until the next one. */
sb_status sb_trace_ask_do(sb_trace_ask *a, const char *base, const char *path, const char *post,
                          long *out_http, sb_error *err) SB_MUST_USE;
#endif
