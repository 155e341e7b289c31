/* SPDX-License-Identifier: Apache-2.0
 * replay.c - feeds a fuzz target the files of its kept corpus: `make test` without a fuzzer.
 *
 * Usage: NAME_replay FOLDER - every file in it, and the empty input, on a stack of 256 KB. Prints
 * how many; a target that finds something wrong stops the program. */
#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BYTES = 1 << 24, MAX_SECONDS = 5 };
/* A sanitizer's frames are up to four times as large. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_BYTES = 1 << 20 };
#else
enum { STACK_BYTES = 256 << 10 };
#endif

typedef struct replay {
    const char *folder; /* or NULL: the empty input alone */
    int n, n_bad;
} replay;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* One input in a block of its own size, so that a sanitizer sees what reads past it. */
static int feed(const char *path)
{
    FILE *f = path ? fopen(path, "rb") : NULL;
    if (path && !f) return -1;
    uint8_t *all = malloc(MAX_BYTES);
    const size_t n = f && all ? fread(all, 1, MAX_BYTES, f) : 0;
    if (f) (void)fclose(f);
    uint8_t *exact = all ? malloc(n ? n : 1) : NULL;
    if (!exact) {
        free(all);
        return -1;
    }
    memcpy(exact, all, n);
    free(all);
    const clock_t begin = clock();
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    if (seconds > MAX_SECONDS) printf("%s: took %.1f s\n", path ? path : "nothing", seconds);
    return seconds > MAX_SECONDS ? -1 : 0;
}

static void *run(void *ctx)
{
    replay *r = ctx;
    DIR *d = r->folder ? opendir(r->folder) : NULL;
    r->n_bad = feed(NULL) != 0;
    if (r->folder && !d) printf("no corpus at %s\n", r->folder);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        char path[4096];
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", r->folder, e->d_name);
        printf("# %s\n", e->d_name);
        (void)fflush(stdout); /* whoever dies next is named */
        r->n_bad += feed(path) != 0;
        r->n++;
    }
    if (d) (void)closedir(d);
    return NULL;
}

int main(int argc, char *argv[])
{
    replay r = {.folder = argc == 2 ? argv[1] : NULL};
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) || pthread_attr_setstacksize(&attr, STACK_BYTES) ||
        pthread_create(&thread, &attr, run, &r) || pthread_join(thread, NULL)) {
        printf("no thread to replay in\n");
        return 1;
    }
    (void)pthread_attr_destroy(&attr);
    printf("%d inputs, %d bad\n", r.n, r.n_bad);
    return r.n_bad || !r.n;
}
