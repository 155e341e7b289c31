/* SPDX-License-Identifier: Apache-2.0
 * tiny_open.c - writes a model of all defaults and opens it. */
#include "tiny_open.h"

#include "tiny.h"

#include <stdio.h>
#include <unistd.h>

sb_model *tiny_opened;
static char path[64];

int tiny_open(void **state)
{
    (void)state;
    sb_tiny t;
    sb_error err = {0};
    sb_tiny_defaults(&t);
    (void)snprintf(path, sizeof path, "/tmp/sobre-tiny-%d.gguf", (int)getpid());
    sb_status s = sb_tiny_write(&t, path, &err);
    if (s == SB_OK) s = sb_model_open(&tiny_opened, path, &err);
    if (s != SB_OK) (void)fprintf(stderr, "%s\n", err.msg);
    return s == SB_OK ? 0 : -1;
}

int tiny_close(void **state)
{
    (void)state;
    sb_model_close(tiny_opened);
    return unlink(path);
}
