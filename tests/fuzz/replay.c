/* SPDX-License-Identifier: Apache-2.0
 * replay.c - feeds a fuzz target the files of its kept corpus: `make test` without a fuzzer.
 *
 * Usage: NAME_replay FOLDER - every file in it, and the empty input. Prints how many; a target that
 * finds something wrong stops the program. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BYTES = 1 << 24, MAX_SECONDS = 5 };

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

int main(int argc, char *argv[])
{
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    int n = 0, n_bad = feed(NULL) != 0;
    if (argc == 2 && !d) printf("no corpus at %s\n", argv[1]);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        char path[4096];
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        printf("# %s\n", e->d_name);
        (void)fflush(stdout); /* whoever dies next is named */
        n_bad += feed(path) != 0;
        n++;
    }
    if (d) (void)closedir(d);
    printf("%d inputs, %d bad\n", n, n_bad);
    return n_bad || !d || !n;
}
